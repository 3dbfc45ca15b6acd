//! The same messages in any order, repeated, leave the same book and the same clearing.

use market::book::PeriodBook;
use market::order::{Order, Side};
use market::signed::Envelope;
use proptest::prelude::*;

use crate::bare::{period, salt};
use crate::community::Community;

const PARTIES: usize = 4;

/// What each party says on each side, in the order in which it says it: withdrawals among it.
fn histories() -> impl Strategy<Value = Vec<Vec<(i64, i64)>>> {
    let said = prop_oneof![
        4 => (-20..20_i64, 1..400_i64).prop_map(Some),
        1 => Just(None),
    ];
    let history = prop::collection::vec(said, 0..4);
    let words = |history: Vec<Option<(i64, i64)>>| {
        history.into_iter().map(|said| said.unwrap_or((0, 0))).collect()
    };
    prop::collection::vec(history.prop_map(words), PARTIES * 2)
}

fn messages(community: &Community, histories: &[Vec<(i64, i64)>]) -> Vec<Envelope<Order>> {
    let mut messages = Vec::new();
    for (n, history) in histories.iter().enumerate() {
        let side = if n % 2 == 0 { Side::Buy } else { Side::Sell };
        for (sequence, (limit, wh)) in (1..).zip(history) {
            let step = (limit * 10_000, *wh);
            let steps: &[_] = if *wh == 0 { &[] } else { &[step] };
            let order = community.order(n / 2, side, steps, sequence);
            messages.push(community.sign(n / 2, order));
        }
    }
    messages
}

fn deliver<'a>(
    community: &Community,
    messages: impl IntoIterator<Item = &'a Envelope<Order>>,
) -> PeriodBook {
    let mut book = PeriodBook::default();
    for message in messages {
        // A replay is refused, and that is all that happens.
        let _ = community.place(&mut book, message, community.early());
    }
    book
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_permutation_and_repetition_gives_the_same_book(
        (histories, shuffled) in histories().prop_flat_map(|histories| {
            let count: usize = histories.iter().map(Vec::len).sum();
            let places: Vec<usize> = (0..count).chain(0..count).collect();
            (Just(histories), Just(places).prop_shuffle())
        }),
    ) {
        let community = Community::of(PARTIES);
        let messages = messages(&community, &histories);
        let in_order = deliver(&community, &messages);
        let doubled = deliver(&community, shuffled.iter().map(|at| &messages[*at]));
        prop_assert_eq!(&in_order, &doubled);
        prop_assert_eq!(borsh::to_vec(&in_order).unwrap(), borsh::to_vec(&doubled).unwrap());
        let clear = |book: &PeriodBook| {
            community.clear(&book.seal(period(), &community.members, salt(0)))
        };
        prop_assert_eq!(clear(&in_order), clear(&doubled));
    }
}

#[test]
fn the_newest_order_counts_even_if_it_comes_first() {
    let community = Community::of(1);
    let old = community.sign(0, community.order(0, Side::Buy, &[(100_000, 10)], 1));
    let new = community.sign(0, community.order(0, Side::Buy, &[(50_000, 20)], 2));
    let book = deliver(&community, [&new, &old]);
    let sealed = book.seal(period(), &community.members, salt(0));
    assert_eq!(sealed.bids().len(), 1);
    assert_eq!(sealed.bids()[0].steps[0].energy.wh(), 20);
}
