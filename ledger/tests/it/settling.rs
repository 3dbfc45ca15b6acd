//! When a period is settled, what late and corrected readings post, and in which order all that
//! may arrive.

use ledger::posting::{Account, Cause};
use ledger::results::ResultLeaf;
use ledger::transaction::Transaction;
use market::order::Side;
use market::reading::Quality;
use proptest::prelude::*;

use crate::neighbourhood::{Chain, PARTIES, minute, order, party, quarter, reading};

#[test]
fn a_period_is_settled_in_the_block_that_brings_the_last_reading() {
    let chain = Chain::of_one_traded_quarter();
    assert!(chain.blocks[4].results.settlements.is_empty(), "two of four readings are in");
    let results = &chain.blocks[5].results;
    assert_eq!(results.settlements.len(), PARTIES);
    // 600 Wh and 300 Wh, both at 0.3: the bid was left over each time.
    let trades: Vec<_> = results.postings.iter().filter(|p| p.cause == Cause::Trade).collect();
    let amounts: Vec<_> = trades.iter().map(|posting| posting.amount.micros()).collect();
    assert_eq!(amounts, [180_000, 300 * 300]);
    // Household 0 bought 900 and took 950; 1 sold 600, fed in 580 and drew 10; 2 sold 300 and fed
    // in 350; 3 drew 200. What 2 has left, 50, is shared by those who are short of 50 + 30 + 200, at
    // the clearing price; retail for the rest is 0.32.
    assert_eq!(chain.net(0), -180_000 - 90_000 - 9 * 300 - 41 * 320);
    assert_eq!(chain.net(1), 180_000 - 5 * 300 - 25 * 320);
    assert_eq!(chain.net(2), 90_000 + 50 * 300);
    assert_eq!(chain.net(3), -36 * 300 - 164 * 320);
    assert_eq!(chain.net_of(Account::Supplier), (41 + 25 + 164) * 320);
}

#[test]
fn readings_that_do_not_come_are_estimated_when_the_delay_ends_and_corrected_exactly_later() {
    let (mut chain, period) = (Chain::new(), quarter(20));
    chain.block(
        minute(1),
        vec![
            order(0, period, Side::Buy, &[(300_000, 1_000)], 1),
            order(1, period, Side::Sell, &[(100_000, 1_000)], 1),
        ],
    );
    chain.block(minute(285), vec![]);
    chain.block(minute(316), vec![reading(0, period, (1_100, 0), 1)]);
    let delay_ends = chain.state.rules().estimated_from(period);
    assert_eq!(chain.state.next_due_at(), Some(delay_ends));
    assert!(chain.block(delay_ends.plus_millis(-1), vec![]).results.settlements.is_empty());
    let settled = chain.block(delay_ends, vec![]).results.settlements.clone();
    assert_eq!(settled.len(), PARTIES);
    let of = |n: usize| settled.iter().find(|settled| settled.party == party(n)).unwrap();
    assert_eq!(of(0).settlement.metered.quality, Quality::Ok);
    for n in 1..PARTIES {
        assert_eq!(of(n).settlement.metered.quality, Quality::Missing, "marked as estimated");
    }
    // Estimated as traded: household 1 is paid in full for now.
    assert_eq!((chain.net(0), chain.net(1)), (-200_000 - 32_000, 200_000));
    assert_eq!(chain.state.next_due_at(), None);
    assert!(chain.block(minute(500), vec![]).results.postings.is_empty(), "a re-run posts nothing");
    // The late reading: 100 Wh were missing. Only that difference is posted.
    let late = chain.block(minute(501), vec![reading(1, period, (0, 900), 1)]);
    assert_eq!(late.results.settlements.len(), 1);
    let postings: Vec<_> =
        late.results.postings.iter().map(|p| (p.cause, p.amount.micros())).collect();
    assert_eq!(postings, [(Cause::Supplied, 32_000)]);
    // A correction downwards turns the direction.
    let corrected = chain.block(minute(502), vec![reading(1, period, (0, 950), 2)]);
    let posting = corrected.results.postings[0];
    assert_eq!((posting.debit, posting.credit), (Account::Supplier, Account::Party(party(1))));
    assert_eq!(posting.amount.micros(), 16_000);
    assert_eq!(chain.net(1), 200_000 - 16_000);
    // The same figures once more: a new reading, and nothing to post or to say.
    let again = chain.block(minute(503), vec![reading(1, period, (0, 950), 3)]);
    assert!(again.results.postings.is_empty() && again.results.settlements.is_empty());
}

#[test]
fn a_gate_and_the_end_of_the_delay_may_fall_into_one_block() {
    let (mut chain, period) = (Chain::new(), quarter(20));
    chain.block(
        minute(1),
        vec![
            order(0, period, Side::Buy, &[(300_000, 10)], 1),
            order(1, period, Side::Sell, &[(100_000, 10)], 1),
        ],
    );
    // The chain halts for two days and goes on: gates, settlement and finality at once.
    let executed = chain.block(minute(4_000), vec![]);
    assert_eq!(executed.results.clearings.len(), 1, "what the first gate filled is gone");
    assert_eq!(executed.results.settlements.len(), PARTIES);
    assert!(executed.results.postings.iter().any(|posting| posting.cause == Cause::Trade));
    assert!(chain.state.settlement(period).is_none(), "final at once");
    assert_eq!(chain.net(0) + chain.net(1), 0);
}

/// The chain halts until 40 traded periods are final, more than one block settles: the seller is
/// paid for every one of them all the same.
#[test]
fn after_a_long_halt_every_period_is_settled_in_turn() {
    let mut chain = Chain::new();
    let quarters = 10..50;
    let orders = quarters.clone().flat_map(|n| {
        let bid = order(0, quarter(n), Side::Buy, &[(300_000, 10)], 1);
        [bid, order(1, quarter(n), Side::Sell, &[(100_000, 10)], 1)]
    });
    let orders = orders.collect();
    chain.block(minute(5), orders);
    let mut settled = 0;
    for minutes in 10_000.. {
        let due = chain.state.next_due_at();
        if due.is_none() {
            break;
        }
        assert!(due <= Some(minute(minutes)), "what is left is due at once");
        settled += chain.block(minute(minutes), vec![]).results.settlements.len();
    }
    assert_eq!(settled, quarters.clone().count() * PARTIES);
    assert_eq!((chain.net(0), chain.net(1)), (-40 * 2_000, 40 * 2_000));
    chain.block(minute(11_000), vec![]);
    for n in quarters {
        assert!(chain.state.trades(quarter(n)).is_empty());
        assert!(chain.state.settlement(quarter(n)).is_none());
    }
}

/// Orders with limits of their own, so that no lot is drawn, and readings with corrections.
fn messages() -> (Vec<Transaction>, Vec<Transaction>) {
    let period = quarter(20);
    let orders = vec![
        order(0, period, Side::Buy, &[(300_000, 700), (250_000, 300)], 1),
        order(0, period, Side::Buy, &[(310_000, 800), (240_000, 100)], 2),
        order(1, period, Side::Sell, &[(100_000, 600)], 1),
        order(1, period, Side::Sell, &[(110_000, 500), (130_000, 250)], 2),
        order(2, period, Side::Sell, &[(120_000, 400)], 1),
        order(2, period, Side::Sell, &[], 2),
        order(3, period, Side::Buy, &[(220_000, 500)], 1),
    ];
    let mut readings = Vec::new();
    for n in 0..PARTIES {
        for sequence in 1..4_u32 {
            let wh = i64::try_from(n).expect("few") * 100 + 40 * i64::from(sequence);
            let figures = if n % 2 == 0 { (wh, 7) } else { (3, wh) };
            readings.push(reading(n, period, figures, u64::from(sequence)));
        }
    }
    (orders, readings)
}

/// All messages, each twice, in this order, some in one block and some in the next.
fn deliver(orders: &[usize], readings: &[usize], cuts: &[bool]) -> Chain {
    let (said, metered) = messages();
    let (mut chain, mut cuts) = (Chain::new(), cuts.iter().cycle());
    for (from, to, order, messages) in [(1, 170, orders, &said), (320, 500, readings, &metered)] {
        let (mut now, mut waiting) = (from, Vec::new());
        for at in order {
            waiting.push(messages[*at].clone());
            if cuts.next() == Some(&true) {
                chain.try_block(minute(now), std::mem::take(&mut waiting));
                now += 1;
            }
        }
        chain.try_block(minute(to), waiting);
        chain.block(minute(to + 120), vec![]);
    }
    chain
}

fn twice_shuffled(count: usize) -> impl Strategy<Value = Vec<usize>> {
    Just((0..count).chain(0..count).collect::<Vec<_>>()).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn messages_in_any_order_repeated_give_the_same_statements(
        orders in twice_shuffled(7),
        readings in twice_shuffled(PARTIES * 3),
        cuts in prop::collection::vec(any::<bool>(), 1..8),
    ) {
        let straight = deliver(
            &(0..7).collect::<Vec<_>>(),
            &(0..PARTIES * 3).collect::<Vec<_>>(),
            &[false],
        );
        let shuffled = deliver(&orders, &readings, &cuts);
        let period = quarter(20);
        prop_assert!(!straight.state.trades(period).is_empty());
        prop_assert_eq!(straight.state.trades(period), shuffled.state.trades(period));
        prop_assert_eq!(straight.state.settlement(period), shuffled.state.settlement(period));
        for n in 0..PARTIES {
            prop_assert_eq!(straight.net(n), shuffled.net(n));
        }
    }
}

#[test]
fn a_leaf_concerns_exactly_the_parties_it_names() {
    let chain = Chain::of_one_traded_quarter();
    let mut counted = 0;
    for leaf in (1..=6).flat_map(|height| chain.leaves(height)) {
        let bytes = leaf.to_bytes();
        for n in 0..PARTIES {
            let named = bytes.windows(16).any(|window| window == party(n).as_bytes());
            assert_eq!(leaf.concerns(&party(n)), named, "{leaf:?}");
        }
        counted += usize::from(matches!(leaf, ResultLeaf::Trade(_)));
    }
    assert_eq!(counted, 2);
}
