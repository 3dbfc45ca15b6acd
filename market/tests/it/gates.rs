//! L3. Several gates: what the first leaves stays for the second, and nothing is filled twice.

use std::collections::BTreeMap;

use market::answer::Reason;
use market::book::{PeriodBook, SealedBook};
use market::clearing::ClearingResult;
use market::energy::Energy;
use market::gate::{GateIndex, GateSchedule};
use market::member::PartyId;
use market::order::{OrderId, Side};
use proptest::prelude::*;

use crate::bare::{self, Bare, bid, offer, party, period, salt};
use crate::community::{Community, REGISTERED_WH};

const PARTIES: usize = 5;

/// Seals, clears, checks and takes the fills out of the book.
fn close(community: &Community, book: &mut PeriodBook) -> (SealedBook, ClearingResult) {
    let sealed = book.seal(period(), &community.members, salt(u64::from(book.next_gate().0)));
    let result = community.clear(&sealed);
    book.close_gate(&result).unwrap();
    (sealed, result)
}

#[derive(Debug, Clone)]
struct Said {
    party: usize,
    side: Side,
    steps: Vec<(i64, i64)>,
}

fn said() -> impl Strategy<Value = Said> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let steps = prop::collection::vec((1..4_i64, 1..700_i64), 0..3);
    (0..PARTIES, side, -5..10_i64, steps).prop_map(|(party, side, first, steps)| {
        let worse = if side == Side::Buy { -1 } else { 1 };
        let mut limit = first;
        let curve = steps.into_iter().map(|(gap, wh)| {
            limit += worse * gap;
            (limit * 10_000, wh)
        });
        Said { party, side, steps: curve.collect() }
    })
}

/// What a history knows about fills, counted apart from the book.
#[derive(Default)]
struct Tally {
    sequence: u64,
    by_party: BTreeMap<(PartyId, Side), i64>,
    by_order: BTreeMap<OrderId, i64>,
    ordered: BTreeMap<OrderId, i64>,
}

impl Tally {
    fn speak(&mut self, community: &Community, book: &mut PeriodBook, said: &Said) {
        self.sequence += 1;
        let order = community.order(said.party, said.side, &said.steps, self.sequence);
        let signed = community.sign(said.party, order);
        let wh: i64 = said.steps.iter().map(|(_, wh)| wh).sum();
        let filled = self.by_party.get(&(party(said.party), said.side)).copied().unwrap_or(0);
        let counts = community.place(book, &signed, community.early()).is_ok();
        // E4: filled + live never exceeds what the metering point is registered for.
        assert_eq!(counts, wh == 0 || filled + wh <= REGISTERED_WH);
        if counts {
            self.ordered.insert(signed.id(&community.chain), wh);
        }
    }

    fn read(&mut self, result: &ClearingResult) {
        for answer in &result.answers {
            let filled = answer.filled.wh();
            *self.by_party.entry((answer.party, answer.side)).or_default() += filled;
            *self.by_order.entry(answer.order).or_default() += filled;
        }
        for answer in &result.answers {
            let before = self.by_order.get(&answer.order).copied().unwrap_or(0);
            let before = before - answer.filled.wh();
            // What stands in the book is what was ordered less what earlier gates filled.
            assert_eq!(answer.ordered.wh(), self.ordered[&answer.order] - before);
        }
        for (order, filled) in &self.by_order {
            assert!(*filled <= self.ordered[order], "gate 0 + gate 1 exceed the order");
        }
        assert!(self.by_party.values().all(|filled| *filled <= REGISTERED_WH));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn gates_together_fill_no_order_twice_and_no_metering_point_beyond_its_limit(
        before in prop::collection::vec(said(), 0..16),
        between in prop::collection::vec(said(), 0..16),
    ) {
        let community = Community::on_two_feeders(PARTIES);
        let (mut book, mut tally) = (PeriodBook::default(), Tally::default());
        for gate in [&before, &between] {
            gate.iter().for_each(|said| tally.speak(&community, &mut book, said));
            let (_, result) = close(&community, &mut book);
            tally.read(&result);
        }
        for ((party, side), filled) in &tally.by_party {
            prop_assert_eq!(book.filled((*side, *party)).wh(), *filled);
        }
    }

    #[test]
    fn a_second_gate_without_news_finds_nothing_more_to_trade(
        before in prop::collection::vec(said(), 0..12),
    ) {
        let community = Community::of(PARTIES);
        let (mut book, mut tally) = (PeriodBook::default(), Tally::default());
        // Without own orders on both sides: one that stepped aside may come back at the next gate.
        for said in before.iter().filter(|said| (said.side == Side::Buy) == (said.party % 2 == 0)) {
            tally.speak(&community, &mut book, said);
        }
        close(&community, &mut book);
        let (_, again) = close(&community, &mut book);
        prop_assert_eq!((again.volume, again.trades.len()), (Energy::ZERO, 0));
        prop_assert!(again.zones.iter().all(|zone| zone.price.is_none()));
    }
}

#[test]
fn a_remainder_keeps_its_worse_steps_and_trades_at_the_next_gate() {
    let community = Community::of(3);
    let (mut book, at) = (PeriodBook::default(), community.early());
    let place = |book: &mut PeriodBook, n, side, steps: &[(i64, i64)], sequence| {
        let signed = community.sign(n, community.order(n, side, steps, sequence));
        community.place(book, &signed, at).unwrap();
    };
    place(&mut book, 0, Side::Buy, &[(300_000, 100), (200_000, 50)], 1);
    place(&mut book, 1, Side::Sell, &[(100_000, 120)], 1);
    let (_, first) = close(&community, &mut book);
    assert_eq!(first.volume.wh(), 120);
    place(&mut book, 2, Side::Sell, &[(150_000, 500)], 1);
    let (sealed, second) = close(&community, &mut book);
    assert_eq!(second.gate, GateIndex(1));
    let rest: Vec<_> = sealed.bids()[0].steps.iter().map(|s| (s.limit, s.energy.wh())).collect();
    assert_eq!(rest, [("0.2".parse().unwrap(), 30)], "only the rest of the worse step stands");
    assert_eq!(second.volume.wh(), 30);
    assert_eq!(book.filled((Side::Buy, party(0))).wh(), 150);
}

#[test]
fn a_replacement_between_gates_counts_from_what_is_already_filled() {
    let community = Community::of(2);
    let (mut book, at) = (PeriodBook::default(), community.early());
    let sign = |n, side, wh, sequence| {
        community.sign(n, community.order(n, side, &[(100_000, wh)], sequence))
    };
    community.place(&mut book, &sign(0, Side::Buy, 1_000, 1), at).unwrap();
    community.place(&mut book, &sign(1, Side::Sell, 600, 1), at).unwrap();
    close(&community, &mut book);
    // 600 are filled, 400 are left of the metering point.
    let refused = community.place(&mut book, &sign(0, Side::Buy, 401, 2), at).unwrap_err();
    assert_eq!(refused.code(), "beyond_metering_point");
    community.place(&mut book, &sign(0, Side::Buy, 400, 2), at).unwrap();
    community.place(&mut book, &sign(1, Side::Sell, 400, 2), at).unwrap();
    let (_, second) = close(&community, &mut book);
    assert_eq!(second.volume.wh(), 400);
}

#[test]
fn a_withdrawal_between_gates_keeps_what_was_filled_and_ends_the_rest() {
    let community = Community::of(3);
    let (mut book, at) = (PeriodBook::default(), community.early());
    let sign = |n, side, steps: &[(i64, i64)], sequence| {
        community.sign(n, community.order(n, side, steps, sequence))
    };
    community.place(&mut book, &sign(0, Side::Buy, &[(100_000, 500)], 1), at).unwrap();
    community.place(&mut book, &sign(1, Side::Sell, &[(100_000, 200)], 1), at).unwrap();
    close(&community, &mut book);
    community.place(&mut book, &sign(0, Side::Buy, &[], 2), at).unwrap();
    community.place(&mut book, &sign(2, Side::Sell, &[(50_000, 500)], 1), at).unwrap();
    let (sealed, second) = close(&community, &mut book);
    assert_eq!((sealed.bids().len(), second.volume.wh()), (0, 0));
    assert_eq!(book.filled((Side::Buy, party(0))).wh(), 200);
}

#[test]
fn of_two_crossing_orders_of_one_party_the_older_stays_out_and_is_told_so() {
    let community = Community::of(1);
    let at = community.early();
    // Each side counts its own sequences: whatever they are, the order placed first is the older.
    let sequences = [(1, 2), (2, 1), (1, 1), (7, 1)];
    for ((bid_sequence, offer_sequence), out) in
        sequences.into_iter().flat_map(|both| [(both, Side::Buy), (both, Side::Sell)])
    {
        let mut book = PeriodBook::default();
        let bid = community.order(0, Side::Buy, &[(200_000, 10)], bid_sequence);
        let offer = community.order(0, Side::Sell, &[(100_000, 10)], offer_sequence);
        let (first, then) = if out == Side::Buy { (bid, offer) } else { (offer, bid) };
        community.place(&mut book, &community.sign(0, first), at).unwrap();
        community.place(&mut book, &community.sign(0, then), at).unwrap();
        let (sealed, result) = close(&community, &mut book);
        assert_eq!(sealed.crossed().len(), 1);
        assert_eq!(sealed.crossed()[0].0, out);
        assert_eq!((result.volume, result.answers.len()), (Energy::ZERO, 2));
        let told = result.answers.iter().find(|answer| answer.side == out).unwrap();
        assert_eq!(told.reason, Reason::OwnOrderOpposite);
    }
}

#[test]
fn orders_of_former_members_stay_out_of_the_sealed_book() {
    let mut community = Community::of(2);
    let (mut book, at) = (PeriodBook::default(), community.early());
    let order = community.order(0, Side::Buy, &[(100_000, 10)], 1);
    community.place(&mut book, &community.sign(0, order), at).unwrap();
    community.members.get_mut(&party(0)).unwrap().revoked_at = Some(at);
    assert!(book.seal(period(), &community.members, salt(0)).is_empty());
    community.members.remove(&party(0));
    assert!(book.seal(period(), &community.members, salt(0)).is_empty());
}

#[test]
fn orders_that_fall_are_answered_once_and_what_was_filled_stands() {
    let community = Community::of(2);
    let (mut book, at) = (PeriodBook::default(), community.early());
    let said = [
        community.sign(0, community.order(0, Side::Buy, &[(200_000, 10), (100_000, 5)], 1)),
        community.sign(1, community.order(1, Side::Sell, &[(100_000, 4)], 1)),
        community.sign(0, community.order(0, Side::Sell, &[], 1)),
    ];
    for order in &said {
        community.place(&mut book, order, at).unwrap();
    }
    close(&community, &mut book);
    assert!(book.has_order_of(party(0)));
    assert!(book.has_order_of(party(1)), "one side is enough");
    assert!(!book.has_order_of(party(2)));
    let fallen = book.let_fall(period(), party(0)).unwrap();
    let told: Vec<_> = fallen.iter().map(|a| (a.gate.0, a.ordered.wh(), a.filled.wh())).collect();
    assert_eq!(told, [(1, 11, 0)], "the withdrawal is no order");
    assert_eq!(fallen[0].reason, Reason::NoLongerMember);
    assert!(!book.has_order_of(party(0)));
    assert_eq!(book.let_fall(period(), party(0)), Ok(vec![]));
    assert_eq!(book.filled((Side::Buy, party(0))).wh(), 4);
}

#[test]
fn an_order_counts_for_the_first_gate_that_is_still_open() {
    let gates = GateSchedule::new(vec![7_200_000, 900_000, 0]).unwrap();
    let closes = |gate| gates.closes_at(period(), GateIndex(gate)).unwrap();
    assert_eq!(gates.closes_at(period(), GateIndex(3)), None);
    for gate in 0..3 {
        assert_eq!(gates.next_gate(period(), closes(gate).plus_millis(-1)), GateIndex(gate));
        assert_eq!(gates.next_gate(period(), closes(gate)), GateIndex(gate + 1));
    }
    assert_eq!(PeriodBook::before_gate(GateIndex(1)).next_gate(), GateIndex(1));
}

#[test]
fn demand_and_supply_add_up_all_steps_by_limit() {
    let community = Community::of(3);
    let (mut book, at) = (PeriodBook::default(), community.early());
    for (n, steps) in [(0, [(300_000, 10), (100_000, 5)]), (1, [(300_000, 7), (200_000, 1)])] {
        let order = community.order(n, Side::Buy, &steps, 1);
        community.place(&mut book, &community.sign(n, order), at).unwrap();
    }
    let sealed = book.seal(period(), &community.members, salt(0));
    let levels = sealed.demand().unwrap();
    let levels: Vec<_> = levels.iter().map(|(p, e)| (p.micros_per_kwh(), e.wh())).collect();
    assert_eq!(levels, [(300_000, 17), (200_000, 1), (100_000, 5)]);
    assert!(sealed.supply().unwrap().is_empty());
    let offers = [offer(&[(100_000, 5), (200_000, 1)]), offer(&[(100_000, 2), (300_000, 4)])];
    let levels = bare::book(&offers, salt(0)).supply().unwrap();
    let levels: Vec<_> = levels.iter().map(|(p, e)| (p.micros_per_kwh(), e.wh())).collect();
    assert_eq!(levels, [(100_000, 7), (200_000, 1), (300_000, 4)]);
}

#[test]
fn a_book_is_empty_if_nobody_ordered_anything() {
    let own = |order: Bare| Bare { party: Some(0), ..order };
    let one = |order: Bare| bare::book(&[order], salt(0)).is_empty();
    assert!(bare::book(&[], salt(0)).is_empty());
    assert!(!one(bid(&[(1, 1)])) && !one(offer(&[(1, 1)])));
    // Nobody trades with himself; but both were ordered.
    let crossed = bare::book(&[own(bid(&[(2, 1)])), own(offer(&[(1, 1)]))], salt(0));
    assert_eq!(crossed.crossed().len(), 1);
    assert!(!crossed.is_empty());
}
