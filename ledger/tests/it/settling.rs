//! When a period is settled, what late and corrected readings post, and in which order all that
//! may arrive.

use ledger::posting::{Account, Cause};
use ledger::results::ResultLeaf;
use ledger::transaction::Transaction;
use market::order::Side;
use market::reading::Quality;
use market::time::DeliveryPeriod;
use proptest::prelude::*;

use crate::neighbourhood::{
    Chain, PARTIES, genesis, minute, order, party, quarter, reading, reading_in,
};

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
    // in 350; 3 drew 200. What 2 has left, 50, is shared by those who are short of 50 + 30 + 200,
    // at the clearing price; retail for the rest is 0.32.
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
    // Estimated against its silence: nothing is known of household 1, so it has delivered nothing.
    assert_eq!((chain.net(0), chain.net(1)), (-200_000 - 32_000, 200_000 - 320_000));
    assert_eq!(chain.state.next_due_at(), None);
    assert!(chain.block(minute(500), vec![]).results.postings.is_empty(), "a re-run posts nothing");
    // The late reading: 100 Wh were missing. Only that difference is posted.
    let late = chain.block(minute(501), vec![reading(1, period, (0, 900), 1)]);
    assert_eq!(late.results.settlements.len(), 1);
    let postings: Vec<_> =
        late.results.postings.iter().map(|p| (p.cause, p.amount.micros())).collect();
    assert_eq!(postings, [(Cause::Supplied, 288_000)]);
    assert_eq!(late.results.postings[0].credit, Account::Party(party(1)));
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
    // The silent seller owes the supplier what it sold.
    assert_eq!(chain.net(0) + chain.net(1), -10 * 320);
}

/// The chain halts until 40 traded periods are final, more than one block settles: every trade is
/// paid all the same, and what the silent seller did not deliver.
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
    assert_eq!((chain.net(0), chain.net(1)), (-40 * 2_000, 40 * (2_000 - 3_200)));
    chain.block(minute(11_000), vec![]);
    for n in quarters {
        assert!(chain.state.trades(quarter(n)).is_empty());
        assert!(chain.state.settlement(quarter(n)).is_none());
    }
}

/// What a household is settled with that has sent no reading of a period.
fn estimated(chain: &Chain, n: usize, period: DeliveryPeriod) -> (i64, i64) {
    let metered = chain.state.party_settlement(period, &party(n)).unwrap().metered;
    assert_eq!(metered.quality, Quality::Missing);
    (metered.imported.wh(), metered.exported.wh())
}

/// Settlement waits an hour for readings, and is final after three days.
#[test]
fn a_silent_meter_is_held_to_what_it_metered_before() {
    let mut genesis = genesis();
    genesis.rules.finality_delay_ms = 3 * 86_400_000;
    let (mut chain, day) = (Chain::of(&genesis), 96);
    let of = |n, at, figures| reading_in(&genesis, n, quarter(at), figures, 1);
    let settled = |chain: &mut Chain, at: i64, said: Vec<Transaction>| {
        chain.block(quarter(at).end(), said);
        chain.block(chain.state.rules().estimated_from(quarter(at)), vec![]);
        assert!(chain.state.settlement(quarter(at)).is_some());
    };
    settled(&mut chain, 0, vec![of(0, 0, (400, 5)), of(1, 0, (1, 0))]);
    settled(&mut chain, 10, vec![of(0, 10, (700, 2)), of(1, 10, (1, 0))]);
    // Nothing is known of 0 at this time of day: the most that it has drawn.
    settled(&mut chain, 20, vec![of(1, 20, (1, 0))]);
    assert_eq!(estimated(&chain, 0, quarter(20)), (700, 0));
    assert_eq!(estimated(&chain, 2, quarter(20)), (0, 0), "it has never spoken");
    // A day later it is known, and then it stays known for as long as the meter is silent.
    for n in 1..8 {
        settled(&mut chain, n * day, vec![of(1, n * day, (1, 0))]);
        assert_eq!(estimated(&chain, 0, quarter(n * day)), (400, 0), "after {n} days");
    }
    assert!(chain.state.settlement(quarter(0)).is_none(), "long final");
    // Its estimate stands when a neighbour corrects a reading, and goes with its own.
    let (last, supplier) = (quarter(7 * day), Account::Supplier);
    let before = chain.net(0);
    chain.block(
        chain.state.time().plus_millis(1),
        vec![of(0, 6 * day, (900, 0)), reading_in(&genesis, 1, last, (9, 0), 2)],
    );
    assert_eq!(estimated(&chain, 0, last), (400, 0));
    assert_eq!(chain.net(0), before - 500 * 320, "of the sixth day alone");
    let own = chain.block(chain.state.time().plus_millis(1), vec![of(0, 7 * day, (100, 0))]);
    let posted: Vec<_> =
        own.results.postings.iter().map(|p| (p.debit, p.amount.micros())).collect();
    assert_eq!(posted, [(supplier, 300 * 320)]);
}

/// A party corrects 40 settled periods in one block: each block settles 16 of them anew, those that
/// wait longest first, also when they have become final in the meantime.
#[test]
fn many_corrections_at_once_are_settled_in_turn() {
    let mut chain = Chain::new();
    let first: Vec<_> = (0..40)
        .flat_map(|n| (0..PARTIES).map(move |who| reading(who, quarter(n), (10, 0), 1)))
        .collect();
    let mut now = quarter(40).end();
    chain.block(now, first);
    while chain.state.next_due_at().is_some() {
        now = now.plus_millis(1);
        chain.block(now, vec![]);
    }
    assert_eq!(chain.net(0), -40 * 10 * 320);
    // Just before the first period is final.
    now = chain.state.rules().final_at(quarter(0)).plus_millis(-1);
    let again = (0..40).map(|n| reading(0, quarter(n), (20, 0), 2)).collect();
    let mut anew = vec![chain.block(now, again).results.settlements.clone()];
    // One more correction of a period that is done, and one of a period that waits.
    let more = vec![reading(0, quarter(3), (30, 0), 3), reading(0, quarter(39), (30, 0), 3)];
    now = now.plus_millis(2);
    assert_eq!(chain.state.next_due_at(), Some(chain.state.time()));
    let (block, refused) = chain.try_block(now, more);
    assert!(refused.is_empty());
    anew.push(block.results.settlements.clone());
    while chain.state.next_due_at().is_some() {
        now = now.plus_millis(1);
        anew.push(chain.block(now, vec![]).results.settlements.clone());
    }
    let counts: Vec<_> = anew.iter().map(Vec::len).collect();
    assert_eq!(counts, [16, 16, 9]);
    let periods: Vec<_> = anew.concat().iter().map(|settled| settled.period).collect();
    let turn: Vec<_> = (0..40).chain([3]).map(quarter).collect();
    assert_eq!(periods, turn, "who comes later waits longer");
    assert_eq!(chain.net(0), -(38 * 20 + 2 * 30) * 320);
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
