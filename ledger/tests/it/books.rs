//! The books over random histories of everything that can be said: pending and posted, derivable
//! from the postings, the same on every node.

use ledger::acts::{Corrected, Matter, Measure, Verdict, settlements_digest};
use ledger::apply::apply;
use ledger::posting::{Account, Balance, Posting, Stage};
use ledger::state::State;
use ledger::transaction::Transaction;
use market::energy::Energy;
use market::money::Money;
use market::order::Side;
use market::price::Price;
use market::settlement::of_trade;
use market::tariff::Tariff;
use market::time::DeliveryPeriod;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

use crate::neighbourhood::{
    Chain, genesis, minute, order, party, party_key, quarter, reading, validators,
};
use crate::speaking::{
    by_operator, by_party, by_party_with, enrol, invite, join, place, replace_key,
};

/// Somebody says something about quarter 9 to 13, or time goes on.
#[derive(Debug, Clone)]
enum Event {
    Order { party: usize, quarter: i64, side: Side, limit: i64, wh: i64, sequence: u64 },
    Reading { party: usize, quarter: i64, figures: (i64, i64), sequence: u64 },
    Invite(usize),
    Join(usize),
    Enrol(usize),
    Revoke(usize),
    Erase(usize),
    ReplaceKey(usize),
    Dispute { party: usize, quarter: i64 },
    Withdraw { party: usize, dispute: u64 },
    Decide { dispute: u64, corrected: Option<(usize, i64, i64)> },
    Approve { from: i64, through: i64 },
    Payout { party: usize, micros: i64 },
    Tariff { quarter: i64, retail: i64 },
    Validators(usize),
    Block { minutes: i64 },
}

/// Four members and two who may join.
const PARTIES: usize = 6;

fn event() -> impl Strategy<Value = Event> {
    let a_party = || 0..PARTIES;
    let a_quarter = || 9..14_i64;
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let an_order = (a_party(), a_quarter(), side, 1..40_i64, 0..2_500_i64, 1..4_u64).prop_map(
        |(party, quarter, side, limit, wh, sequence)| {
            let limit = limit * 10_000;
            Event::Order { party, quarter, side, limit, wh, sequence }
        },
    );
    let a_reading = (a_party(), a_quarter(), (0..3_000_i64, 0..3_000_i64), 1..5_u64).prop_map(
        |(party, quarter, figures, sequence)| Event::Reading { party, quarter, figures, sequence },
    );
    let corrected = prop::option::of((a_party(), 0..3_000_i64, 0..3_000_i64));
    let minutes = prop_oneof![6 => 1..30_i64, 2 => 30..90_i64, 1 => 1_000..1_500_i64];
    prop_oneof![
        12 => an_order,
        12 => a_reading,
        1 => (4..PARTIES).prop_map(Event::Invite),
        2 => (4..PARTIES).prop_map(Event::Join),
        2 => (4..PARTIES).prop_map(Event::Enrol),
        1 => a_party().prop_map(Event::Revoke),
        1 => a_party().prop_map(Event::Erase),
        1 => a_party().prop_map(Event::ReplaceKey),
        2 => (a_party(), a_quarter()).prop_map(|(party, quarter)| Event::Dispute { party, quarter }),
        1 => (a_party(), 1..5_u64).prop_map(|(party, dispute)| Event::Withdraw { party, dispute }),
        2 => (1..5_u64, corrected)
            .prop_map(|(dispute, corrected)| Event::Decide { dispute, corrected }),
        1 => (a_quarter(), a_quarter())
            .prop_map(|(from, through)| Event::Approve { from, through }),
        1 => (a_party(), -9_000..9_000_i64)
            .prop_map(|(party, micros)| Event::Payout { party, micros }),
        1 => (10..20_i64, 100..900_i64)
            .prop_map(|(quarter, retail)| Event::Tariff { quarter, retail }),
        1 => (3..6_usize).prop_map(Event::Validators),
        9 => minutes.prop_map(|minutes| Event::Block { minutes }),
    ]
}

/// What an event says, as its speaker would say it who knows the last state.
fn said(event: &Event, state: &State, sequence: u64) -> Option<Transaction> {
    let operator = |measure| Some(by_operator(0, sequence, measure));
    match *event {
        Event::Order { party, quarter: n, side, limit, wh, sequence } => {
            let steps: &[_] = if wh == 0 { &[] } else { &[(limit, wh)] };
            Some(order(party, quarter(n), side, steps, sequence))
        }
        Event::Reading { party, quarter: n, figures, sequence } => {
            Some(reading(party, quarter(n), figures, sequence))
        }
        Event::Invite(n) => operator(invite(n, place(n), state.time().plus_millis(9_000_000))),
        Event::Join(n) => Some(join(n, &party_key(n))),
        Event::Enrol(n) => operator(enrol(n, &party_key(n))),
        Event::Revoke(n) => operator(Measure::Revoke { party: party(n) }),
        Event::Erase(n) => operator(Measure::Erase { party: party(n) }),
        // There and back again, so that the key of the other events often holds.
        Event::ReplaceKey(n) => {
            let (first, second) = (party_key(n), party_key(n + 20));
            let now = state.members().get(&party(n)).map(|member| member.key);
            let (from, to) =
                if now == Some(first.public()) { (first, second) } else { (second, first) };
            Some(by_party_with(&from, n, sequence, replace_key(party(n), &to)))
        }
        Event::Dispute { party, quarter: n } => {
            let matter = Matter::Dispute { period: quarter(n), reason: "too much".to_owned() };
            Some(by_party(party, sequence, matter))
        }
        Event::Withdraw { party, dispute } => {
            Some(by_party(party, sequence, Matter::WithdrawDispute { dispute }))
        }
        Event::Decide { dispute, corrected } => {
            let verdict = corrected.map_or(Verdict::Dismissed, |(n, imported, exported)| {
                let (imported, exported) = (Energy::from_wh(imported), Energy::from_wh(exported));
                let readings = vec![Corrected { party: party(n), imported, exported }];
                Verdict::Corrected { readings }
            });
            operator(Measure::Decide { dispute, verdict, note: String::new() })
        }
        Event::Approve { from, through } => {
            let (from, through) = (quarter(from), quarter(through));
            let now = state.time().plus_millis(1);
            let settlements = settlements_digest(state.approvable(from, through, now));
            operator(Measure::Approve { from, through, settlements })
        }
        Event::Payout { party: n, micros } => {
            let (amount, reference) = (Money::from_micros(micros), "bank".to_owned());
            operator(Measure::RecordPayout { party: party(n), amount, reference })
        }
        Event::Tariff { quarter: n, retail } => {
            let price = |milli: i64| Price::from_micros_per_kwh(milli * 1_000);
            let tariff = Tariff::flat(price(retail), price(80)).expect("a tariff");
            operator(Measure::Tariff { from: quarter(n), tariff })
        }
        Event::Validators(count) => {
            let set = validators(&vec![1; count]);
            operator(Measure::Validators { set, endpoints: vec![] })
        }
        Event::Block { .. } => None,
    }
}

/// Plays a history; what does not apply is left out.
fn play(events: &[Event]) -> Chain {
    let (mut chain, mut now, mut waiting, mut sequence) = (Chain::new(), 0, Vec::new(), 0);
    for event in events {
        sequence += 1;
        waiting.extend(said(event, &chain.state, sequence));
        if let Event::Block { minutes } = event {
            now += minutes;
            chain.try_block(minute(now), std::mem::take(&mut waiting));
        }
    }
    chain.try_block(minute(now + 400), waiting);
    chain.block(minute(now + 401), vec![]);
    chain
}

fn postings(chain: &Chain) -> impl Iterator<Item = &Posting> {
    chain.blocks.iter().flat_map(|executed| &executed.results.postings)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_history_of_everything_replays_to_the_same_roots(
        events in prop::collection::vec(event(), 20..120),
    ) {
        let chain = play(&events);
        let mut state = State::at_genesis(&genesis());
        for executed in &chain.blocks {
            let again = apply(&state, &executed.block).unwrap();
            prop_assert_eq!(&again.results, &executed.results);
            prop_assert_eq!(again.state.root(), executed.block.header.state_root);
            let bytes = borsh::to_vec(&again.state).unwrap();
            state = borsh::from_slice(&bytes).unwrap();
            prop_assert_eq!(&state, &executed.state);
            prop_assert_eq!(state.root(), executed.block.header.state_root, "from its bytes alone");
        }
    }

    #[test]
    fn balances_follow_from_the_postings_at_any_time(
        events in prop::collection::vec(event(), 20..120),
    ) {
        let chain = play(&events);
        let mut books: BTreeMap<Account, Balance> = BTreeMap::new();
        let mut number = 0;
        for executed in &chain.blocks {
            for posting in &executed.results.postings {
                number += 1;
                prop_assert_eq!(posting.number, number);
                prop_assert!(posting.amount > Money::ZERO);
                let add = |to: &mut Money| *to = to.plus(posting.amount).unwrap();
                let take = |from: &mut Money| *from = from.minus(posting.amount).unwrap();
                let debit = books.entry(posting.debit).or_default();
                match posting.stage {
                    Stage::Pending => add(&mut debit.debits_pending),
                    Stage::Posts(_) => {
                        take(&mut debit.debits_pending);
                        add(&mut debit.debits_posted);
                    }
                    Stage::Direct => add(&mut debit.debits_posted),
                }
                let credit = books.entry(posting.credit).or_default();
                match posting.stage {
                    Stage::Pending => add(&mut credit.credits_pending),
                    Stage::Posts(_) => {
                        take(&mut credit.credits_pending);
                        add(&mut credit.credits_posted);
                    }
                    Stage::Direct => add(&mut credit.credits_posted),
                }
            }
            let kept = executed.state.accounts().iter();
            let kept: BTreeMap<_, _> = kept.map(|(account, balance)| (*account, *balance)).collect();
            prop_assert_eq!(&kept, &books);
            prop_assert!(executed.state.accounts().balanced());
        }
        prop_assert_eq!(chain.net_of_all(), 0);
    }

    /// What is pending is the money of the trades whose periods have not been settled; each of it
    /// is posted exactly once, as it was announced.
    #[test]
    fn trades_are_pending_until_their_period_is_settled(
        events in prop::collection::vec(event(), 20..120),
    ) {
        let chain = play(&events);
        let mut traded: BTreeMap<DeliveryPeriod, i64> = BTreeMap::new();
        for executed in &chain.blocks {
            for trade in executed.results.clearings.iter().flat_map(|it| &it.result.trades) {
                let money = of_trade(trade).map(|part| part.amount.micros().abs());
                *traded.entry(trade.period).or_default() += money.sum::<i64>();
            }
            for settled in &executed.results.settlements {
                traded.remove(&settled.period);
            }
            let accounts = executed.state.accounts();
            let pending: i64 = accounts.iter().map(|(_, it)| it.debits_pending.micros()).sum();
            prop_assert_eq!(pending, traded.values().sum::<i64>());
            for (period, micros) in &traded {
                let waiting = accounts.pending(*period).iter();
                prop_assert_eq!(waiting.map(|one| one.amount.micros()).sum::<i64>(), *micros);
            }
        }
        let mut completed = BTreeSet::new();
        for posting in postings(&chain) {
            let Stage::Posts(number) = posting.stage else { continue };
            prop_assert!(completed.insert(number), "posted twice");
            let pending = postings(&chain).find(|one| one.number == number).unwrap();
            prop_assert_eq!(pending.stage, Stage::Pending);
            let announced = Posting { number: posting.number, stage: posting.stage, ..*pending };
            prop_assert_eq!(&announced, posting);
        }
    }

    /// Whatever decisions correct, before or after finality, the books are those of a community in
    /// which the decided readings came at once; every correction sums to zero.
    #[test]
    fn decisions_post_exact_differences(
        figures in prop::collection::vec((0..4_usize, 0..3_000_i64, 0..3_000_i64), 1..6),
        after_finality in any::<bool>(),
    ) {
        let (mut chain, period) = (Chain::of_one_traded_quarter(), quarter(20));
        let dispute = Matter::Dispute { period, reason: "too much".to_owned() };
        let mut at = minute(330);
        if after_finality {
            at = chain.state.rules().final_at(period).plus_millis(-1);
        }
        let mut last: BTreeMap<usize, (i64, i64)> = BTreeMap::new();
        chain.block(at, vec![by_party(0, 1, dispute)]);
        if after_finality {
            at = at.plus_millis(60_000);
            chain.block(at, vec![]);
        }
        for (n, imported, exported) in figures {
            last.insert(n, (imported, exported));
        }
        let readings = last.iter().map(|(n, (imported, exported))| Corrected {
            party: party(*n),
            imported: Energy::from_wh(*imported),
            exported: Energy::from_wh(*exported),
        });
        let verdict = Verdict::Corrected { readings: readings.collect() };
        let measure = Measure::Decide { dispute: 1, verdict, note: String::new() };
        chain.block(at.plus_millis(1), vec![by_operator(0, 1, measure)]);
        prop_assert_eq!(chain.net_of_all(), 0);
        let mut straight = Chain::of_one_traded_quarter();
        let readings = last.iter().map(|(n, figures)| reading(*n, period, *figures, 2));
        straight.block(minute(330), readings.collect());
        for (account, balance) in straight.state.accounts().iter() {
            prop_assert_eq!(chain.net_of(*account), balance.net().unwrap().micros());
        }
    }
}

/// The histories above are worth something only if acts do apply in them.
#[test]
fn random_histories_contain_every_kind_of_act() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(event(), 80..160);
    let mut kinds: BTreeSet<String> = BTreeSet::new();
    for _ in 0..60 {
        let events = strategy.new_tree(&mut runner).unwrap().current();
        for executed in &play(&events).blocks {
            for transaction in &executed.block.transactions {
                let kind = match transaction {
                    Transaction::PartyAct(act) => format!("{:?}", act.unverified().matter),
                    Transaction::OperatorAct(act) => format!("{:?}", act.unverified().measure),
                    other => format!("{other:?}"),
                };
                kinds.insert(kind.split(['(', ' ']).next().unwrap().to_owned());
            }
        }
    }
    let expected = [
        "Approve",
        "Decide",
        "Dispute",
        "Enrol",
        "Erase",
        "Invite",
        "Join",
        "Order",
        "Reading",
        "RecordPayout",
        "ReplaceKey",
        "Revoke",
        "Tariff",
        "Validators",
        "WithdrawDispute",
    ];
    let missing: Vec<_> = expected.iter().filter(|kind| !kinds.contains(**kind)).collect();
    assert!(missing.is_empty(), "{missing:?} of {kinds:?}");
}
