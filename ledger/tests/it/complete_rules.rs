//! The complete rules on a chain: wheeling charges and full lines, time of use, levies and tax, gates
//! after delivery, certificates of origin; and replay of all that.

use ledger::apply::apply;
use ledger::genesis::Genesis;
use ledger::posting::{Account, Cause};
use ledger::results::ResultLeaf;
use ledger::state::State;
use ledger::transaction::Transaction;
use market::admission::Rejection;
use market::clearing::MechanismKind;
use market::clearing::sharing::{Shares, SharingKey, SharingRule};
use market::energy::Energy;
use market::gate::{GateIndex, GateSchedule};
use market::order::{Origin, Preferences, Side, Step};
use market::price::Price;
use market::schedule::Schedule;
use market::signed::Signed;
use market::standing::StandingCurve;
use market::tariff::{Days, Levy, LevyBase, Tariff, Window};
use market::zone::{Edge, Zone, ZoneId, ZoneTree};
use std::collections::BTreeMap;

use crate::neighbourhood::{
    Chain, genesis, metering_point, minute, order_in, party, party_key, quarter, reading_in,
};

/// A charge of 0.02 on the way to feeder 1, which carries at most 500 Wh up.
fn with_feeder(genesis: &mut Genesis) {
    let edge = Edge {
        parent: ZoneId(0),
        charge: Price::from_micros_per_kwh(20_000),
        capacity_up: Some(Energy::from_wh(500)),
        capacity_down: None,
    };
    genesis.zones = ZoneTree::new(BTreeMap::from([
        (ZoneId(0), Zone { label: "Street".to_owned(), edge: None }),
        (ZoneId(1), Zone { label: "Feeder 1".to_owned(), edge: Some(edge) }),
    ]))
    .unwrap();
}

/// Levies, tax and two windows; every second household sits on feeder 1.
fn community() -> Genesis {
    let mut genesis = genesis();
    with_feeder(&mut genesis);
    let window = |from_minute, to_minute, retail| Window {
        days: Days::ALL,
        from_minute,
        to_minute,
        retail: Price::from_micros_per_kwh(retail),
        feed_in: Price::from_micros_per_kwh(80_000),
    };
    let levy = Levy {
        name: "duty".to_owned(),
        price: Price::from_micros_per_kwh(20_000),
        base: LevyBase::Supplied,
    };
    let windows = vec![window(0, 720, 280_000), window(720, 1_440, 320_000)];
    genesis.rules.tariffs = Schedule::always(Tariff::new(0, windows, vec![levy], 100_000).unwrap());
    genesis.check().unwrap();
    genesis
}

fn solar(order: Transaction, genesis: &Genesis, n: usize) -> Transaction {
    let Transaction::Order(envelope) = order else { panic!("an order") };
    let mut order = envelope.unverified().clone();
    order.preferences = Preferences { origin: Some(Origin::Solar), ..Preferences::default() };
    let chain = genesis.chain_id();
    Transaction::Order(Signed::sign(order, &chain, &party_key(n)).into_envelope())
}

#[test]
fn charges_go_to_the_grid_operator_and_the_rent_of_a_full_line_to_the_community() {
    let genesis = community();
    let (mut chain, period) = (Chain::of(&genesis), quarter(20));
    let offer = order_in(&genesis, 1, period, Side::Sell, &[(100_000, 800)], 1);
    chain.block(
        minute(1),
        vec![
            order_in(&genesis, 0, period, Side::Buy, &[(300_000, 1_000)], 1),
            solar(offer, &genesis, 1),
        ],
    );
    // The buyer takes all that 0.30 can get; the line carries 500 of the 800 Wh that are offered at
    // 0.10, so the feeder's price stays there and the street's at the bid.
    let summary = chain.block(minute(180), vec![]).results.clearings[0].summary.clone();
    let prices: Vec<_> = summary.zones.iter().map(|zone| zone.price.unwrap().to_string()).collect();
    assert_eq!(prices, ["0.300000", "0.100000"]);
    assert_eq!(summary.edges[0].flow.wh(), 500);
    chain.block(minute(285), vec![]);
    let settled = chain.block(
        minute(316),
        vec![
            reading_in(&genesis, 0, period, (700, 0), 1),
            reading_in(&genesis, 1, period, (0, 450), 1),
            reading_in(&genesis, 2, period, (0, 0), 1),
            reading_in(&genesis, 3, period, (0, 0), 1),
        ],
    );
    let settled = settled.clone();
    let amount = |cause| {
        let of = settled.results.postings.iter().filter(|posting| posting.cause == cause);
        of.map(|posting| posting.amount.micros()).collect::<Vec<_>>()
    };
    assert_eq!(amount(Cause::Trade), [50_000]);
    assert_eq!(amount(Cause::TradeWheeling), [10_000]);
    assert_eq!(amount(Cause::CongestionRent), [90_000]);
    // 0 drew 200 Wh more than it bought, 1 fed in 50 too little: 250 Wh from the supplier at 0.32
    // after noon, a levy of 0.02 and ten per cent on both.
    assert_eq!(amount(Cause::Supplied), [64_000, 16_000]);
    assert_eq!(amount(Cause::Levies), [4_000, 1_000]);
    assert_eq!(amount(Cause::Tax), [6_800, 1_700]);
    assert_eq!(chain.net_of(Account::GridOperator), 10_000);
    assert_eq!(chain.net_of(Account::CongestionRent), 90_000);
    assert_eq!(chain.net_of(Account::Rounding), 0);
    let certificates = settled.results.certificates.clone();
    let certified: Vec<_> =
        certificates.iter().map(|one| (one.producer, one.energy.wh())).collect();
    assert_eq!(certified, [(party(1), 450)], "what was sold and really fed in");
    let leaves = settled.results.leaves();
    let sums = leaves.iter().filter(|leaf| matches!(leaf, ResultLeaf::CommunitySettled(_)));
    assert_eq!(sums.count(), 1);
    // A correction withdraws exactly what was claimed too much.
    let corrected = chain.block(minute(320), vec![reading_in(&genesis, 1, period, (0, 400), 2)]);
    let change: Vec<_> = corrected.results.certificates.iter().map(|one| one.energy.wh()).collect();
    assert_eq!(change, [-50]);
    assert_eq!(chain.net_of_all(), 0);
}

fn curve(genesis: &Genesis, n: usize, side: Side, limit: i64, sequence: u64) -> Transaction {
    let chain = genesis.chain_id();
    let step = Step { limit: Price::from_micros_per_kwh(limit), energy: Energy::from_wh(100_000) };
    let curve = StandingCurve {
        community: chain,
        party: party(n),
        metering_point: metering_point(n),
        side,
        steps: vec![step],
        sequence,
        preferences: Preferences::default(),
    };
    Transaction::Curve(Signed::sign(curve, &chain, &party_key(n)).into_envelope())
}

/// One gate ten minutes after delivery, and no other.
fn after_delivery() -> Genesis {
    let mut genesis = genesis();
    genesis.rules.gates = GateSchedule::with_ex_post(vec![], Some(600_000)).unwrap();
    genesis.check().unwrap();
    genesis
}

#[test]
fn a_gate_after_delivery_trades_what_the_meters_counted_at_standing_limits() {
    let genesis = after_delivery();
    let (mut chain, period) = (Chain::of(&genesis), quarter(20));
    let refused =
        chain.state.admit(&order_in(&genesis, 0, period, Side::Buy, &[(300_000, 1)], 1), minute(1));
    assert_eq!(refused, Err(Rejection::NoGateBeforeDelivery));
    // 0 pays at most 0.20; the others have said nothing, so they take what beats the supplier.
    chain.block(minute(1), vec![curve(&genesis, 0, Side::Buy, 200_000, 1)]);
    let replayed = chain.state.admit(&curve(&genesis, 0, Side::Buy, 250_000, 1), minute(2));
    assert_eq!(replayed, Err(Rejection::SequenceReplayed { given: 1, known: 1 }));
    chain.block(
        minute(316),
        vec![
            reading_in(&genesis, 0, period, (400, 0), 1),
            reading_in(&genesis, 1, period, (0, 300), 1),
            reading_in(&genesis, 2, period, (100, 0), 1),
        ],
    );
    assert_eq!(chain.state.next_due_at(), Some(minute(325)), "the gate, ten minutes after the end");
    // What comes in the closing block is too late for the gate, and settled all the same.
    let closing = chain.block(minute(325), vec![reading_in(&genesis, 3, period, (50, 0), 1)]);
    let result = &closing.results.clearings[0].result;
    assert_eq!((result.gate, result.volume.wh()), (GateIndex(0), 300));
    let bought = |n: usize| {
        let own = result.trades.iter().filter(|trade| trade.buyer == party(n));
        own.map(|trade| trade.energy.wh()).sum::<i64>()
    };
    assert_eq!((bought(0), bought(2), bought(3)), (200, 100, 0));
    assert_eq!(closing.results.settlements.len(), 4);
    assert!(closing.results.postings.iter().any(|posting| posting.cause == Cause::Trade));
    // Nobody is worse off than with the supplier alone.
    for n in 0..4 {
        let settled = chain.state.party_settlement(period, &party(n)).unwrap();
        let alone = settled.net_income_without_market(&genesis.rules.rates(period)).unwrap();
        assert!(settled.net_income().unwrap() >= alone, "household {n}");
    }
    // The same reading a second time does not open the gate again.
    let again = chain.block(minute(330), vec![reading_in(&genesis, 3, period, (60, 0), 2)]);
    assert!(again.results.clearings.is_empty());
}

#[test]
fn readings_that_come_after_the_gate_are_settled_without_it() {
    let genesis = after_delivery();
    let (mut chain, period) = (Chain::of(&genesis), quarter(20));
    let late = vec![
        reading_in(&genesis, 0, period, (400, 0), 1),
        reading_in(&genesis, 1, period, (0, 300), 1),
    ];
    chain.block(minute(326), late);
    let next = chain.block(minute(327), vec![]);
    assert!(next.results.clearings.is_empty(), "the gate closed at minute 325");
    let due = chain.state.next_due_at().unwrap();
    assert_eq!(due, genesis.rules.estimated_from(period));
    let settled = chain.block(due, vec![]);
    assert_eq!(settled.results.settlements.len(), 4);
}

/// A halt leaves eighteen gates due at once, more than one block carries out.
#[test]
fn a_gate_that_waits_for_a_later_block_does_not_see_what_came_after_its_instant() {
    let mut genesis = genesis();
    genesis.rules.gates = GateSchedule::with_ex_post(vec![], Some(6 * 3_600_000)).unwrap();
    genesis.rules.settlement_delay_ms = 6 * 3_600_000;
    genesis.check().unwrap();
    let mut chain = Chain::of(&genesis);
    let in_time = (0..18).flat_map(|n| {
        let read = |party, figures| reading_in(&genesis, party, quarter(n), figures, 1);
        [read(0, (100, 0)), read(1, (0, 100))]
    });
    chain.block(minute(280), in_time.collect());
    let last = quarter(17);
    let late = vec![
        reading_in(&genesis, 0, last, (500, 0), 2),
        reading_in(&genesis, 1, last, (0, 500), 2),
        reading_in(&genesis, 2, last, (300, 0), 1),
    ];
    let closed = chain.block(minute(640), late).results.clearings.len();
    assert_eq!(closed, 16);
    assert_eq!(chain.state.next_due_at(), Some(minute(640)), "two more gates are due");
    let results = chain.block(minute(641), vec![]).results.clone();
    let result = &results.clearings.last().unwrap().result;
    assert_eq!((results.clearings.len(), result.period, result.volume.wh()), (2, last, 100));
    assert!(result.trades.iter().all(|trade| trade.buyer == party(0)));
    // What came late is settled with the figures that came last.
    let settled = chain.state.party_settlement(last, &party(0)).unwrap();
    assert_eq!((settled.metered.imported.wh(), settled.bought.wh()), (500, 100));
}

#[test]
fn what_a_sharing_key_leaves_to_nobody_is_the_suppliers() {
    let mut genesis = after_delivery();
    let shares = Shares::new([(party(0), 400_000)].into()).unwrap();
    let price = Price::from_micros_per_kwh(200_000);
    let rule = SharingRule { price, key: SharingKey::Static(shares) };
    genesis.rules.mechanism = Schedule::always(MechanismKind::Sharing(rule));
    genesis.check().unwrap();
    let (mut chain, period) = (Chain::of(&genesis), quarter(20));
    let readings = [(1_000, 0), (0, 1_000), (0, 0), (0, 0)];
    let readings = (0..4).map(|n| reading_in(&genesis, n, period, readings[n], 1));
    chain.block(minute(316), readings.collect());
    let results = &chain.block(minute(325), vec![]).results;
    let posted: Vec<_> =
        results.postings.iter().map(|one| (one.cause, one.amount.micros())).collect();
    let expected = [(Cause::Trade, 80_000), (Cause::Supplied, 192_000), (Cause::FedIn, 48_000)];
    assert_eq!(posted, expected);
}

#[test]
fn replay_gives_the_same_roots_with_the_complete_rules() {
    for genesis in [community(), after_delivery()] {
        let (mut chain, period) = (Chain::of(&genesis), quarter(20));
        let ex_post = genesis.rules.gates.leads_ms().is_empty();
        let said = if ex_post {
            vec![curve(&genesis, 0, Side::Buy, 210_000, 1)]
        } else {
            vec![
                order_in(&genesis, 0, period, Side::Buy, &[(300_000, 900)], 1),
                order_in(&genesis, 3, period, Side::Sell, &[(110_000, 900)], 1),
            ]
        };
        chain.block(minute(1), said);
        chain.block(minute(285), vec![]);
        let readings = (0..4)
            .map(|n| reading_in(&genesis, n, period, (100 * i64::try_from(n).unwrap(), 90), 1));
        chain.block(minute(317), readings.collect());
        chain.block(minute(326), vec![]);
        let mut state = State::at_genesis(&genesis);
        for executed in &chain.blocks {
            state = apply(&state, &executed.block).unwrap().state;
        }
        assert_eq!(state, chain.state);
        let bytes = borsh::to_vec(&state).unwrap();
        assert_eq!(borsh::from_slice::<State>(&bytes).unwrap().root(), state.root());
    }
}
