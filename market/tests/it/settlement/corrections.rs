//! S2: readings in any order, repeated, settle alike. S3: run k+1 posts f(new) - already posted,
//! and a re-run posts nothing. S6: estimates are marked, and the later correction is the exact
//! difference.

use std::collections::BTreeMap;

use market::reading::Quality;
use market::settlement::{Cause, Holder, Settlement, SettlementError, Transfer, difference};
use proptest::prelude::*;

use crate::bare::party;
use crate::settlement::world::{self, Reading, World};

/// A reading of the n-th party with its sequence.
type Message = (usize, u64, (i64, i64));

/// Settles anew after each message and posts the differences.
#[derive(Default)]
struct Books {
    sequences: BTreeMap<usize, u64>,
    posted: BTreeMap<(Holder, Holder, Cause), i64>,
    last: Option<Settlement>,
}

impl Books {
    fn run(&mut self, world: &World) -> Vec<Transfer> {
        let now = world.settled();
        let transfers = difference(&now, self.last.as_ref()).unwrap();
        for Transfer { payer, payee, cause, amount } in &transfers {
            *self.posted.entry((*payer, *payee, *cause)).or_default() += amount.micros();
        }
        self.posted.retain(|_, amount| *amount != 0);
        self.last = Some(now);
        transfers
    }

    fn hear(&mut self, world: &mut World, (n, sequence, reading): Message) {
        let known = self.sequences.entry(n).or_default();
        if sequence > *known {
            *known = sequence;
            world.readings[n] = Some(reading);
        }
        self.run(world);
    }
}

fn posted_at_once(world: &World) -> BTreeMap<(Holder, Holder, Cause), i64> {
    let mut books = Books::default();
    books.run(world);
    books.posted
}

/// A world whose readings come as messages, the same messages shuffled and some of them twice.
fn histories() -> impl Strategy<Value = (World, Vec<Message>, Vec<Message>)> {
    world::worlds().prop_flat_map(|world| {
        let count = world.homes.len();
        let said = (0..count, (0..60_i64, 0..60_i64));
        let messages = prop::collection::vec(said, 0..12).prop_map(|said| {
            // Each message has a sequence of its own, as signed readings have.
            let numbered = said.into_iter().zip(1..);
            numbered.map(|((n, reading), sequence)| (n, sequence, reading)).collect::<Vec<_>>()
        });
        let silent = World { readings: vec![None; count], ..world };
        (Just(silent), messages).prop_flat_map(|(world, messages)| {
            let again = prop::sample::subsequence(messages.clone(), 0..=messages.len());
            let twice = (Just(messages.clone()), again)
                .prop_map(|(messages, again)| [messages, again].concat())
                .prop_shuffle();
            (Just(world), Just(messages), twice)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn s3_all_differences_together_are_the_last_settlement_and_a_re_run_posts_nothing(
        (world, messages, _) in histories(),
    ) {
        let (mut books, mut heard) = (Books::default(), world);
        books.run(&heard);
        for message in messages {
            books.hear(&mut heard, message);
            prop_assert_eq!(books.run(&heard), vec![], "a re-run");
        }
        prop_assert_eq!(books.posted, posted_at_once(&heard));
    }

    #[test]
    fn s2_messages_in_any_order_and_repeated_give_the_same_books(
        (world, messages, shuffled) in histories(),
    ) {
        let (mut one, mut other) = (Books::default(), Books::default());
        let (mut in_order, mut in_disorder) = (world.clone(), world);
        messages.into_iter().for_each(|message| one.hear(&mut in_order, message));
        shuffled.into_iter().for_each(|message| other.hear(&mut in_disorder, message));
        prop_assert_eq!(&one.last, &other.last);
        prop_assert_eq!(one.posted, other.posted);
    }

    #[test]
    fn s6_an_estimate_is_marked_and_its_correction_is_the_exact_difference(
        world in world::worlds(),
        who in any::<prop::sample::Index>(),
        late in (0..60_i64, 0..60_i64),
    ) {
        let who = who.index(world.homes.len());
        let mut readings: Vec<Reading> = world.readings.clone();
        readings[who] = None;
        let estimated = world.metering(&readings).settled();
        let s = estimated.parties[&party(who)];
        prop_assert_eq!(s.metered.quality, Quality::Missing);
        let counted = World { readings: readings.clone(), ..world.clone() }.counted(who);
        prop_assert_eq!((s.metered.imported.wh(), s.metered.exported.wh()), counted);
        readings[who] = Some(late);
        let corrected = world.metering(&readings).settled();
        prop_assert_eq!(corrected.parties[&party(who)].metered.quality, Quality::Ok);
        let mut change: BTreeMap<_, i64> = BTreeMap::new();
        for transfer in difference(&corrected, Some(&estimated)).unwrap() {
            *change.entry(transfer.payee).or_default() += transfer.amount.micros();
            *change.entry(transfer.payer).or_default() -= transfer.amount.micros();
        }
        for (party, now) in &corrected.parties {
            let before = estimated.parties[party].net_income().unwrap().micros();
            let moved = change.get(&Holder::Party(*party)).copied().unwrap_or_default();
            prop_assert_eq!(now.net_income().unwrap().micros() - before, moved);
            prop_assert_eq!(now.trade_cost, estimated.parties[party].trade_cost, "trades stand");
        }
        prop_assert_eq!(change.values().sum::<i64>(), 0);
    }

    /// A household that joins between two runs is settled; one that left is taken back.
    #[test]
    fn who_joins_or_leaves_between_two_runs_is_part_of_the_difference(
        world in world::worlds(),
        more in (0..60_i64, 0..60_i64),
    ) {
        let mut larger = world.clone();
        larger.homes.push(world.homes[0]);
        larger.readings.push(Some(more));
        let mut books = Books::default();
        books.run(&world);
        books.run(&larger);
        prop_assert_eq!(&books.posted, &posted_at_once(&larger));
        books.run(&world);
        prop_assert_eq!(books.posted, posted_at_once(&world));
    }

    #[test]
    fn settlements_of_other_trades_or_periods_are_not_compared(world in world::worlds()) {
        prop_assume!(!world.trades.is_empty());
        let settled = world.settled();
        let refused = Err(SettlementError::NotComparable);
        let fewer = World { trades: world.trades[1..].to_vec(), ..world.clone() };
        let amount = world.trades[0].buyer_amount;
        prop_assume!(!amount.is_zero());
        prop_assert_eq!(&difference(&fewer.settled(), Some(&settled)), &refused);
        let later = World { period: world.period.next().unwrap(), ..world };
        prop_assert_eq!(&difference(&later.settled(), Some(&settled)), &refused);
    }
}
