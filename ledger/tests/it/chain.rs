//! A chain of blocks: gates, random histories, replay, double entry, what is dropped.

use std::collections::{BTreeMap, BTreeSet};

use ledger::acts::NotApplied;
use ledger::apply::apply;
use ledger::posting::{Account, Accounts, Cause, Posting, Stage};
use ledger::received::Received;
use ledger::results::ResultLeaf;
use ledger::state::State;
use ledger::transaction::{Subject, Transaction};
use market::admission::Rejection;
use market::gate::GateIndex;
use market::money::Money;
use market::order::Side;
use market::settlement::PartySettlement;
use proptest::prelude::*;

use crate::neighbourhood::{Chain, PARTIES, genesis, minute, order, party, quarter, reading};

/// Somebody says something, or time goes on.
#[derive(Debug, Clone)]
enum Event {
    Order { party: usize, quarter: i64, side: Side, limit: i64, wh: i64, sequence: u64 },
    Reading { party: usize, quarter: i64, figures: (i64, i64), sequence: u64 },
    Block { minutes: i64 },
}

fn event() -> impl Strategy<Value = Event> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let an_order = (0..PARTIES, 9..14_i64, side, 1..40_i64, 0..5_000_i64, 1..4_u64).prop_map(
        |(party, quarter, side, limit, wh, sequence)| Event::Order {
            party,
            quarter,
            side,
            limit: limit * 10_000,
            wh,
            sequence,
        },
    );
    let a_reading = (0..PARTIES, 9..14_i64, (0..3_000_i64, 0..3_000_i64), 1..5_u64).prop_map(
        |(party, quarter, figures, sequence)| Event::Reading { party, quarter, figures, sequence },
    );
    let a_block = prop_oneof![4 => 1..30_i64, 1 => 30..90_i64, 1 => 1_000..1_500_i64];
    prop_oneof![
        4 => an_order,
        4 => a_reading,
        3 => a_block.prop_map(|minutes| Event::Block { minutes }),
    ]
}

fn said(event: &Event) -> Option<Transaction> {
    match *event {
        Event::Order { party, quarter: n, side, limit, wh, sequence } => {
            let steps: &[_] = if wh == 0 { &[] } else { &[(limit, wh)] };
            Some(order(party, quarter(n), side, steps, sequence))
        }
        Event::Reading { party, quarter: n, figures, sequence } => {
            Some(reading(party, quarter(n), figures, sequence))
        }
        Event::Block { .. } => None,
    }
}

/// Plays a history: orders may come early enough or too late, readings too early, twice or never.
fn play(events: &[Event]) -> Chain {
    let (mut chain, mut now, mut waiting) = (Chain::new(), 0, Vec::new());
    for event in events {
        waiting.extend(said(event));
        if let Event::Block { minutes } = event {
            now += minutes;
            chain.try_block(minute(now), std::mem::take(&mut waiting));
        }
    }
    // Everything that can still be settled is.
    chain.try_block(minute(now + 400), waiting);
    chain.block(minute(now + 401), vec![]);
    chain
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn replay_from_genesis_gives_every_root_again(
        events in prop::collection::vec(event(), 10..80),
    ) {
        let chain = play(&events);
        let mut state = State::at_genesis(&genesis());
        for executed in &chain.blocks {
            let again = apply(&state, &executed.block).unwrap();
            prop_assert_eq!(&again.results, &executed.results);
            prop_assert_eq!(again.state.root(), executed.block.header.state_root);
            // What a node keeps on disk is the same state.
            let bytes = borsh::to_vec(&again.state).unwrap();
            state = borsh::from_slice(&bytes).unwrap();
            prop_assert_eq!(&state, &executed.state);
        }
    }

    /// The root that a chain of blocks carries on, block by block, is the one that a node computes
    /// which knows nothing but the state's bytes.
    #[test]
    fn a_root_carried_on_is_the_root_made_from_scratch(
        events in prop::collection::vec(event(), 10..80),
    ) {
        for executed in &play(&events).blocks {
            let bytes = borsh::to_vec(&executed.state).unwrap();
            let from_scratch: State = borsh::from_slice(&bytes).unwrap();
            prop_assert_eq!(from_scratch.root(), executed.block.header.state_root);
            prop_assert_eq!(executed.state.root(), executed.block.header.state_root);
            prop_assert_eq!(borsh::to_vec(&from_scratch).unwrap(), bytes);
        }
    }

    /// L1, L2, S3, S5: postings count without gaps, balance, and sum to what the statements say,
    /// corrections included.
    #[test]
    fn accounts_are_the_sum_of_the_latest_statements(
        events in prop::collection::vec(event(), 10..80),
    ) {
        let chain = play(&events);
        let mut numbers = 0;
        let mut latest: BTreeMap<_, PartySettlement> = BTreeMap::new();
        let mut nets: BTreeMap<Account, i64> = BTreeMap::new();
        for executed in &chain.blocks {
            let posted = executed.results.postings.iter().filter(|posting| posting.is_posted());
            let before = posted.count();
            let mut changed = false;
            for settled in &executed.results.settlements {
                let key = (settled.party, settled.period);
                prop_assert_ne!(latest.insert(key, settled.settlement), Some(settled.settlement));
                changed = true;
            }
            prop_assert!(changed || before == 0, "nothing moves without a statement");
            for posting in &executed.results.postings {
                numbers += 1;
                prop_assert_eq!(posting.number, numbers);
                prop_assert!(posting.amount > Money::ZERO);
                if !posting.is_posted() {
                    continue;
                }
                *nets.entry(posting.debit).or_default() -= posting.amount.micros();
                *nets.entry(posting.credit).or_default() += posting.amount.micros();
            }
            prop_assert!(executed.state.accounts().balanced());
        }
        let mut parties = 0;
        for n in 0..PARTIES {
            let mine = latest.iter().filter(|((owner, _), _)| *owner == party(n));
            let statements: i64 = mine.map(|(_, s)| s.net_income().unwrap().micros()).sum();
            prop_assert_eq!(chain.net(n), statements, "household {}", n);
            parties += statements;
        }
        let community = [Account::CongestionRent, Account::Rounding].map(|one| chain.net_of(one));
        let others = [Account::Supplier, Account::GridOperator].map(|one| chain.net_of(one));
        prop_assert_eq!(parties + community.iter().chain(&others).sum::<i64>(), 0);
        for (account, balance) in chain.state.accounts().iter() {
            prop_assert_eq!(balance.net().unwrap().micros(), nets.get(account).copied().unwrap_or_default());
        }
    }

    /// Every order that counts at a gate is answered there, and filled up to what it asked for.
    #[test]
    fn every_committed_order_is_answered_at_its_gate(
        events in prop::collection::vec(event(), 10..80),
    ) {
        let chain = play(&events);
        let mut live: BTreeMap<Subject, Transaction> = BTreeMap::new();
        let mut answered = BTreeSet::new();
        for executed in &chain.blocks {
            for leaf in executed.results.leaves() {
                if let ResultLeaf::Answer(answer) = leaf {
                    prop_assert!(answer.filled <= answer.ordered);
                    prop_assert!(answered.insert((answer.order, answer.gate)), "answered twice");
                }
            }
            for transaction in &executed.block.transactions {
                if let Transaction::Order(_) = transaction {
                    live.insert(transaction.subject().0, transaction.clone());
                }
            }
        }
        for transaction in live.values() {
            let Transaction::Order(envelope) = transaction else { continue };
            let order = envelope.unverified();
            let id = envelope.id(&genesis().chain_id());
            let closed = order.period.start() <= chain.state.time();
            let told = (0..2).any(|gate| answered.contains(&(id, GateIndex(gate))));
            prop_assert!(!closed || told || order.is_withdrawal(), "{:?}", order);
        }
    }
}

#[test]
fn a_gate_closes_in_the_first_block_at_or_after_its_instant() {
    let period = quarter(20);
    // The first gate closes at minute 180, the second at minute 285.
    for (at, clearings) in [(179, 0), (180, 1), (181, 1), (284, 1), (285, 2), (400, 2)] {
        let mut chain = Chain::new();
        chain.block(minute(1), vec![order(0, period, Side::Buy, &[(300_000, 10)], 1)]);
        let results = &chain.block(minute(at), vec![]).results;
        assert_eq!(results.clearings.len(), clearings, "minute {at}");
    }
}

#[test]
fn what_the_closing_block_carries_comes_too_late_for_the_gate_it_closes() {
    let (mut chain, period) = (Chain::new(), quarter(20));
    chain.block(minute(1), vec![order(0, period, Side::Buy, &[(300_000, 10)], 1)]);
    let late = order(1, period, Side::Sell, &[(100_000, 10)], 1);
    let closing = chain.block(minute(180), vec![late]);
    assert_eq!(closing.results.clearings[0].result.volume.wh(), 0);
    let next = chain.block(minute(285), vec![]);
    assert_eq!(next.results.clearings[0].result.volume.wh(), 10);
    let refused =
        chain.try_block(minute(286), vec![order(2, period, Side::Sell, &[(100_000, 10)], 1)]).1;
    assert!(matches!(refused[..], [NotApplied::Message(Rejection::AfterGateClosure(_))]));
}

/// An order for a period of which nobody spoke before the first gate waits for the second.
#[test]
fn an_order_between_the_gates_waits_for_the_next_gate_and_is_not_cleared_at_once() {
    let (mut chain, period) = (Chain::new(), quarter(20));
    chain.block(
        minute(200),
        vec![
            order(0, period, Side::Buy, &[(300_000, 10)], 1),
            order(1, period, Side::Sell, &[(100_000, 10)], 1),
        ],
    );
    assert_eq!(chain.state.next_due_at(), Some(minute(285)), "the clock has nothing to do before");
    assert!(chain.block(minute(201), vec![]).results.clearings.is_empty());
    // A better offer that comes in time for the second gate takes part on equal terms.
    chain.block(minute(202), vec![order(2, period, Side::Sell, &[(50_000, 10)], 1)]);
    let results = &chain.block(minute(285), vec![]).results;
    assert_eq!(results.clearings.len(), 1);
    let result = &results.clearings[0].result;
    assert_eq!((result.gate, result.volume.wh()), (GateIndex(1), 10));
    assert_eq!(result.trades[0].seller, party(2));
    assert!(chain.state.book(period).is_none(), "after its last gate the book is gone");
}

#[test]
fn after_finality_the_state_of_a_period_is_dropped_and_its_readings_are_refused() {
    let (mut chain, period) = (Chain::of_one_traded_quarter(), quarter(20));
    let final_at = chain.state.rules().final_at(period);
    let nets: Vec<_> = (0..PARTIES).map(|n| chain.net(n)).collect();
    let last = chain.block(final_at.plus_millis(-1), vec![reading(3, period, (201, 0), 2)]);
    assert_eq!(last.results.settlements.len(), 1, "a correction in the last instant counts");
    assert!(chain.state.settlement(period).is_some());
    let refused = chain.try_block(final_at, vec![reading(3, period, (202, 0), 3)]).1;
    assert_eq!(refused, [Rejection::AfterFinality(final_at).into()]);
    assert!(chain.state.settlement(period).is_none());
    assert!(chain.state.trades(period).is_empty());
    assert!(chain.state.reading(period, &party(0)).is_none());
    assert_eq!(chain.net(3), nets[3] - 320, "one watt-hour at retail");
    for (n, net) in nets.iter().enumerate().take(3) {
        assert_eq!(chain.net(n), *net, "what is posted stays");
    }
}

#[test]
fn a_refused_transaction_leaves_the_draft_as_it_was() {
    let (mut with, mut without) = (Chain::new(), Chain::new());
    let good = order(0, quarter(20), Side::Buy, &[(300_000, 10)], 1);
    let beyond = order(1, quarter(20), Side::Buy, &[(300_000, 5_001)], 1);
    let early = reading(1, quarter(20), (1, 1), 1);
    let said = vec![beyond, good.clone(), early, good.clone()];
    let (executed, refused) = with.try_block(minute(1), said);
    let codes: Vec<_> = refused.iter().map(NotApplied::code).collect();
    assert_eq!(codes, ["beyond_metering_point", "before_delivery", "sequence_replayed"]);
    assert_eq!(executed.block, without.block(minute(1), vec![good]).block);
}

#[test]
fn what_the_state_judges_alone_is_what_a_block_would_judge() {
    let chain = Chain::of_one_traded_quarter();
    let at = minute(400);
    for said in [
        order(0, quarter(20), Side::Buy, &[(300_000, 10)], 9),
        order(0, quarter(40), Side::Buy, &[(300_000, 10)], 1),
        order(0, quarter(40), Side::Buy, &[(300_050, 10)], 1),
        reading(0, quarter(20), (1, 1), 1),
        reading(0, quarter(20), (1, 1), 2),
    ] {
        let mut draft =
            ledger::draft::Draft::open(&chain.state, at, crate::neighbourhood::salt(1)).unwrap();
        let judged = chain.state.admit(&said, at);
        let received = Received::from(said.clone());
        assert_eq!(chain.state.check(&received, at), judged, "only the signature is left out");
        assert_eq!(draft.admit(said), judged);
    }
}

#[test]
fn a_posting_moves_what_it_says_or_nothing() {
    let mut accounts = Accounts::default();
    let (a, b) = (Account::Party(party(0)), Account::Supplier);
    let period = quarter(20);
    let mut post = |debit, credit, micros| {
        accounts.post(debit, credit, Money::from_micros(micros), Cause::Trade, period)
    };
    let posted = |number, debit, credit, micros| Posting {
        number,
        stage: Stage::Direct,
        debit,
        credit,
        amount: Money::from_micros(micros),
        cause: Cause::Trade,
        period,
    };
    assert_eq!(post(a, b, 0), Ok(None));
    assert_eq!(post(a, b, 5), Ok(Some(posted(1, a, b, 5))));
    assert_eq!(post(a, b, -7), Ok(Some(posted(2, b, a, 7))), "the other way round");
    assert!(post(a, b, i64::MIN).is_err());
    assert!(post(a, b, i64::MAX).is_err());
    assert_eq!(accounts.posting_count(), 2);
    assert_eq!(accounts.balance(&a).net().unwrap().micros(), 2);
    assert!(accounts.balanced());
}
