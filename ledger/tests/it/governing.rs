//! Grid, tariff, mechanism, validators and operators from a period or height on.

use ledger::acts::{EdgeChange, Endpoint, Measure, NotApplied, NotOperators, Operators};
use ledger::follower::{Follower, NotFollowed};
use ledger::genesis::{Genesis, GenesisError};
use ledger::transaction::{MEMBER_TRANSACTION_BYTES_MAX, TRANSACTION_BYTES_MAX, Transaction};
use ledger::validators::{Validator, ValidatorSet};
use market::clearing::MechanismKind;
use market::energy::Energy;
use market::keys::PublicKey;
use market::order::Side;
use market::price::Price;
use market::tariff::{Days, Tariff, Window};
use market::time::{DeliveryPeriod, PeriodLength};
use market::zone::{Edge, ZoneId};

use crate::neighbourhood::{
    Chain, certify, genesis, minute, operator_key, order, party, party_key, quarter, reading,
    validator_key, validators,
};
use crate::speaking::{by_operator, by_operator_in, by_party, refusal, refused, replace_key};

fn edge(charge: i64) -> Edge {
    Edge {
        parent: ZoneId(0),
        charge: Price::from_micros_per_kwh(charge),
        capacity_up: None,
        capacity_down: None,
    }
}

fn set(zone: u16, charge: i64) -> EdgeChange {
    EdgeChange::Set { zone: ZoneId(zone), label: "Feeder".to_owned(), edge: edge(charge) }
}

fn flat(retail: i64, feed_in: i64) -> Tariff {
    let price = Price::from_micros_per_kwh;
    Tariff::flat(price(retail), price(feed_in)).unwrap()
}

fn grid(from: DeliveryPeriod, edges: Vec<EdgeChange>) -> Measure {
    Measure::Grid { from, edges }
}

#[test]
fn a_tariff_holds_from_its_period_on_and_not_before() {
    let mut chain = Chain::new();
    let from = quarter(21);
    let changed = Measure::Tariff { from, tariff: flat(400_000, 80_000) };
    chain.block(minute(1), vec![by_operator(0, 1, changed)]);
    for (n, expected) in [(20, -320), (21, -400)] {
        let before = chain.net(0);
        let at = minute(15 * n + 16);
        let readings = (0..4).map(|m| reading(m, quarter(n), (i64::from(m == 0), 0), 1));
        chain.block(at, readings.collect());
        assert_eq!(chain.net(0) - before, expected);
    }
}

#[test]
fn a_grid_changes_for_periods_whose_gates_are_all_open() {
    let mut chain = Chain::new();
    // The first gate of quarter 20 closes at minute 180.
    let late = by_operator(0, 1, grid(quarter(20), vec![set(1, 20_000)]));
    assert_eq!(refusal(&chain, minute(180), &late), NotApplied::RulesFixed(minute(180)));
    chain.block(minute(179), vec![late]);
    chain.block(
        minute(185),
        vec![
            order(0, quarter(22), Side::Buy, &[(300_000, 500)], 1),
            order(1, quarter(22), Side::Sell, &[(100_000, 500)], 1),
        ],
    );
    let cleared = chain.block(minute(210), vec![]).results.clearings[0].result.clone();
    assert_eq!(cleared.trades[0].charge.micros(), 10_000, "0.02 per kWh on the way to feeder 1");
    // Nobody's zone goes away, no zone hangs in the air, nothing is changed by nothing.
    let at = minute(211);
    let mut sequence = 1;
    let mut problem = |edges: Vec<EdgeChange>| {
        sequence += 1;
        refusal(&chain, at, &by_operator(0, sequence, grid(quarter(40), edges)))
    };
    let lost = GenesisError::UnknownZone { party: party(1), zone: ZoneId(1) };
    assert_eq!(problem(vec![EdgeChange::Remove { zone: ZoneId(1) }]), lost.into());
    assert_eq!(problem(vec![]), NotApplied::NoChange);
    let missing = EdgeChange::Remove { zone: ZoneId(7) };
    assert_eq!(problem(vec![missing]), NotApplied::UnknownZone(ZoneId(7)));
    assert!(matches!(problem(vec![set(0, 0)]), NotApplied::Zones(_)), "the root has no edge");
    assert!(matches!(problem(vec![set(1, -1)]), NotApplied::Zones(_)));
    assert!(matches!(problem(vec![EdgeChange::Remove { zone: ZoneId(0) }]), NotApplied::Zones(_)));
    let label = EdgeChange::Set { zone: ZoneId(1), label: "\n".to_owned(), edge: edge(0) };
    assert!(matches!(problem(vec![label]), NotApplied::Text { field: "label", .. }));
    let dear = (1..4).map(|zone| set(zone, 1_000_000_000_000)).collect();
    assert!(matches!(problem(dear), NotApplied::Unsound(GenesisError::Turnover { .. })));
    // A new zone, and a change before it would be undone.
    let more = vec![set(2, 0), set(1, 30_000)];
    chain.block(at, vec![by_operator(0, 2, grid(quarter(40), more))]);
    let before = by_operator(0, 3, grid(quarter(39), vec![set(1, 40_000)]));
    let later = quarter(40).start();
    assert_eq!(refusal(&chain, minute(212), &before), NotApplied::ChangesLater(later));
    chain.block(minute(212), vec![by_operator(0, 3, grid(quarter(40), vec![set(1, 5_000)]))]);
    let tree = chain.state.zones().during(quarter(41));
    assert!(tree.zone(ZoneId(2)).is_some(), "a change adds to what would hold");
    assert_eq!(tree.zone(ZoneId(1)).unwrap().edge, Some(edge(5_000)));
    let first = chain.state.zones().during(quarter(39)).zone(ZoneId(1)).unwrap().edge;
    assert_eq!(first, Some(edge(20_000)));
}

#[test]
fn rules_that_genesis_would_refuse_are_refused_later_too() {
    let mut chain = Chain::new();
    let at = minute(1);
    let other = DeliveryPeriod::containing(minute(300), PeriodLength::Minutes30).unwrap();
    let tariff = |from, tariff| by_operator(0, 1, Measure::Tariff { from, tariff });
    assert_eq!(refused(&chain, at, &tariff(other, flat(1, 0))), "wrong_period_length");
    // Households with so large limits could turn over more than an account holds at this price.
    let mut large = genesis();
    let limits = large.members.values_mut();
    limits.for_each(|member| member.import_max = Energy::from_wh(100_000));
    let dear = Measure::Tariff { from: quarter(20), tariff: flat(1_000_000_000_000, 0) };
    let dear = by_operator_in(&large, 0, 1, dear);
    assert!(matches!(
        refusal(&Chain::of(&large), at, &dear),
        NotApplied::Unsound(GenesisError::Turnover { .. })
    ));
    let mechanism =
        |sequence, from, kind| by_operator(0, sequence, Measure::Mechanism { from, kind });
    chain.block(at, vec![by_operator(0, 1, grid(quarter(30), vec![set(1, 1)]))]);
    let single = mechanism(2, quarter(20), MechanismKind::PairMidpoints);
    assert!(
        matches!(
            refusal(&chain, minute(2), &single),
            NotApplied::Unsound(GenesisError::Mechanism(_))
        ),
        "from quarter 30 on the grid has a charge"
    );
    chain.block(minute(2), vec![by_operator(0, 2, grid(quarter(30), vec![set(1, 0)]))]);
    let single = mechanism(3, quarter(20), MechanismKind::PairMidpoints);
    chain.block(minute(3), vec![single]);
    let charge = by_operator(0, 4, grid(quarter(30), vec![set(1, 1)]));
    assert_eq!(refused(&chain, minute(4), &charge), "unsound");
    chain.block(minute(4), vec![mechanism(4, quarter(30), MechanismKind::ZonalAuction)]);
    chain.block(minute(5), vec![by_operator(0, 5, grid(quarter(30), vec![set(1, 1)]))]);
    let during = |n| chain.state.rules().mechanism.during(quarter(n)).clone();
    assert_eq!(
        (during(29), during(30)),
        (MechanismKind::PairMidpoints, MechanismKind::ZonalAuction)
    );
}

fn address(n: usize) -> String {
    let mut peer = vec![0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
    peer.extend([u8::try_from(n).expect("few"); 32]);
    format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", 7_400 + n, bs58::encode(peer).into_string())
}

#[test]
fn the_next_height_is_decided_by_the_new_validators() {
    let mut chain = Chain::new();
    let five = validators(&[1; 5]);
    let endpoint = |n| Endpoint { key: validator_key(n).public(), address: address(n) };
    let changed = |set, endpoints| by_operator(0, 1, Measure::Validators { set, endpoints });
    let nobody = changed(validators(&[1; 4]), vec![endpoint(4)]);
    assert_eq!(refused(&chain, minute(1), &nobody), "endpoint_of_nobody");
    let twice = changed(five.clone(), vec![endpoint(4), endpoint(4)]);
    assert_eq!(refused(&chain, minute(1), &twice), "endpoint_twice");
    let name = Endpoint { address: "/dns4/node.example/tcp/7400".to_owned(), ..endpoint(4) };
    assert_eq!(refused(&chain, minute(1), &changed(five.clone(), vec![name])), "endpoint_unusable");
    let keys = [party_key(1).public(), operator_key(0).public()];
    for key in keys {
        let taken = ValidatorSet::new(vec![Validator { key, power: 1 }]).unwrap();
        assert_eq!(refused(&chain, minute(1), &changed(taken, vec![])), "key_in_use");
    }
    assert_eq!(refused(&chain, minute(1), &changed(validators(&[1; 4]), vec![])), "no_change");
    let endpoints = vec![endpoint(0), endpoint(4)];
    let before = chain.state.validators().hash();
    chain.block(minute(1), vec![changed(five.clone(), endpoints.clone())]);
    chain.block(minute(2), vec![]);
    let header = |height: usize| chain.blocks[height - 1].block.header.clone();
    assert_eq!((header(1).next_validators, five.hash()), (five.hash(), header(2).next_validators));
    assert_ne!(before, five.hash());
    assert_eq!(chain.state.endpoints(), endpoints);
    let mut follower = Follower::at_genesis(&genesis());
    follower.follow(&chain.served(1).committed).unwrap();
    let mut second = chain.served(2).committed;
    assert!(matches!(follower.follow(&second), Err(NotFollowed::Certificate(_))), "3 of 5");
    second.certificate = certify(&header(2), &[0, 1, 2, 4]);
    follower.follow(&second).unwrap();
    let address = Validator { key: validator_key(4).public(), power: 1 }.address();
    assert!(follower.state().validators().get(&address).is_some());
}

fn three_of_whom_two_agree() -> (Genesis, Chain) {
    let keys = (0..3).map(|n| operator_key(n).public()).collect();
    let genesis = Genesis { operators: Operators::new(keys, 2).unwrap(), ..genesis() };
    let chain = Chain::of(&genesis);
    (genesis, chain)
}

#[test]
fn who_decides_and_who_operates_changes_only_if_enough_operators_say_the_same() {
    let (genesis, mut chain) = three_of_whom_two_agree();
    let act =
        |n, sequence, measure: &Measure| by_operator_in(&genesis, n, sequence, measure.clone());
    let five = Measure::Validators { set: validators(&[1; 5]), endpoints: vec![] };
    let six = Measure::Validators { set: validators(&[1; 6]), endpoints: vec![] };
    let two = (0..2).map(|n| operator_key(n).public()).collect();
    let alone = Measure::Operators { operators: Operators::new(two, 1).unwrap() };
    let before = chain.state.validators().clone();
    chain.block(minute(1), vec![act(0, 1, &five), act(0, 2, &alone)]);
    assert_eq!(chain.state.validators(), &before, "one of two");
    assert_eq!(chain.state.operators().approvals_required(), 2);
    assert_eq!(chain.state.agreements().len(), 2);
    assert_eq!(refused(&chain, minute(2), &act(0, 3, &five)), "approved_before");
    // Another set is another measure; who wants it does not want the first any more.
    chain.block(minute(2), vec![act(1, 1, &six)]);
    assert_eq!(chain.state.validators(), &before);
    chain.block(minute(3), vec![act(0, 3, &six)]);
    assert_eq!(chain.state.validators(), &validators(&[1; 6]));
    assert_eq!(chain.state.agreements().len(), 1, "nothing of its kind waits any more");
    // What waits for too long is void, and begins anew.
    let week = 7 * 24 * 60;
    chain.block(minute(1 + week), vec![act(2, 1, &alone)]);
    assert_eq!(chain.state.operators().approvals_required(), 2);
    chain.block(minute(2 + week), vec![act(1, 2, &alone)]);
    assert_eq!(chain.state.operators().keys().len(), 2);
    assert_eq!(chain.state.agreements(), []);
    // From here on one is enough; and what could not be carried out does not wait either.
    chain.block(minute(3 + week), vec![act(0, 4, &five)]);
    assert_eq!(chain.state.validators(), &validators(&[1; 5]));
    assert_eq!(refused(&chain, minute(4 + week), &act(0, 5, &five)), "no_change");
}

#[test]
fn whoever_is_no_operator_any_more_does_not_count() {
    let (genesis, mut chain) = three_of_whom_two_agree();
    let act =
        |n, sequence, measure: &Measure| by_operator_in(&genesis, n, sequence, measure.clone());
    let five = Measure::Validators { set: validators(&[1; 5]), endpoints: vec![] };
    let keys = (1..4).map(|n| operator_key(n).public()).collect();
    let without_0 = Measure::Operators { operators: Operators::new(keys, 2).unwrap() };
    chain.block(minute(1), vec![act(0, 1, &five), act(1, 1, &without_0), act(2, 1, &without_0)]);
    assert!(!chain.state.operators().contains(&operator_key(0).public()));
    chain.block(minute(2), vec![act(3, 1, &five)]);
    assert_eq!(chain.state.validators(), &validators(&[1; 4]));
    chain.block(minute(3), vec![act(2, 2, &five)]);
    assert_eq!(chain.state.validators(), &validators(&[1; 5]));
    let member = Operators::new(vec![party_key(0).public()], 1).unwrap();
    let member = act(1, 2, &Measure::Operators { operators: member });
    assert_eq!(refused(&chain, minute(4), &member), "key_in_use");
}

#[test]
fn new_operators_act_and_former_ones_do_not() {
    let mut chain = Chain::new();
    let operators = |keys: &[usize], n| {
        Operators::new(keys.iter().map(|n| operator_key(*n).public()).collect(), n)
    };
    let same = by_operator(0, 1, Measure::Operators { operators: operators(&[0], 1).unwrap() });
    assert_eq!(refused(&chain, minute(1), &same), "no_change");
    let next = operators(&[2, 1], 2).unwrap();
    let revoke = |n| Measure::Revoke { party: party(n) };
    chain.block(
        minute(1),
        vec![
            by_operator(0, 1, Measure::Operators { operators: next.clone() }),
            by_operator(1, 1, revoke(0)),
        ],
    );
    assert_eq!(chain.state.operators(), &next);
    let former = by_operator(0, 2, revoke(1));
    assert_eq!(refused(&chain, minute(2), &former), "not_an_operator");
    assert!(matches!(operators(&[], 1), Err(NotOperators::Count(0))));
    assert!(matches!(operators(&[0, 0], 1), Err(NotOperators::Twice(_))));
    assert!(matches!(operators(&[0], 2), Err(NotOperators::Approvals { .. })));
    assert!(matches!(operators(&[0], 0), Err(NotOperators::Approvals { .. })));
    let weak = Operators::new(vec![PublicKey::from_bytes([0; 32])], 1);
    assert!(matches!(weak, Err(NotOperators::Key(_))));
    // One value, one spelling.
    let mut keys = next.keys().to_vec();
    keys.reverse();
    assert!(borsh::from_slice::<Operators>(&borsh::to_vec(&(keys, 2_u8)).unwrap()).is_err());
}

/// A tariff with a price of its own for every quarter of an hour of a week fits into an act; what a
/// member says stays small.
#[test]
fn an_operators_act_may_be_larger_than_what_members_say() {
    let mut windows = Vec::new();
    for day in 0..7 {
        for quarter in 0..96_u16 {
            windows.push(Window {
                days: Days::from_bits(1 << day).unwrap(),
                from_minute: quarter * 15,
                to_minute: quarter * 15 + 15,
                retail: Price::from_micros_per_kwh(300_000 + i64::from(quarter)),
                feed_in: Price::from_micros_per_kwh(80_000),
            });
        }
    }
    let tariff = Tariff::new(0, windows, vec![], 0).unwrap();
    let act = by_operator(0, 1, Measure::Tariff { from: quarter(20), tariff });
    let bytes = act.to_bytes();
    assert!((MEMBER_TRANSACTION_BYTES_MAX..TRANSACTION_BYTES_MAX).contains(&bytes.len()));
    assert_eq!(Transaction::from_bytes(&bytes), Ok(act.clone()));
    let mut chain = Chain::new();
    chain.block(minute(1), vec![act]);
    let mut long = by_party(0, 1, replace_key(party(0), &party_key(9))).to_bytes();
    long.resize(MEMBER_TRANSACTION_BYTES_MAX + 1, 0);
    assert!(Transaction::from_bytes(&long).is_err());
}
