//! A5. The same messages in any order, repeated, leave the same book and the same clearing; so do
//! the same bare orders in any order, and any number of threads. Where a party's own bid reaches
//! its own offer, the order of these two matters: the older one stays out (`gates`).

use market::book::{PeriodBook, sealed_from_orders};
use market::order::{Order, Origin, Side};
use market::signed::Envelope;
use proptest::prelude::*;

use crate::bare::{Bare, auction, bid, booked, offer, period, salt, terms};
use crate::community::Community;
use crate::tree::{Market, choosy_markets, free, narrow};

const PARTIES: usize = 8;

/// What each party says, in the order in which it says it: withdrawals among it. Every other party
/// buys.
fn histories() -> impl Strategy<Value = Vec<Vec<(i64, i64)>>> {
    let said = prop_oneof![
        4 => (-20..20_i64, 1..400_i64).prop_map(Some),
        1 => Just(None),
    ];
    let history = prop::collection::vec(said, 0..4);
    let words = |history: Vec<Option<(i64, i64)>>| {
        history.into_iter().map(|said| said.unwrap_or((0, 0))).collect()
    };
    prop::collection::vec(history.prop_map(words), PARTIES)
}

fn messages(community: &Community, histories: &[Vec<(i64, i64)>]) -> Vec<Envelope<Order>> {
    let mut messages = Vec::new();
    for (n, history) in histories.iter().enumerate() {
        let side = if n % 2 == 0 { Side::Buy } else { Side::Sell };
        for (sequence, (limit, wh)) in (1..).zip(history) {
            let step = (limit * 10_000, *wh);
            let steps: &[_] = if *wh == 0 { &[] } else { &[step] };
            let order = community.order(n, side, steps, sequence);
            messages.push(community.sign(n, order));
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
        let community = Community::on_two_feeders(PARTIES);
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

    #[test]
    fn any_permutation_of_bare_orders_gives_the_same_clearing(
        (market, places) in choosy_markets().prop_flat_map(|market| {
            let places: Vec<usize> = (0..market.orders.len()).collect();
            (Just(market), Just(places).prop_shuffle())
        }),
    ) {
        let of = |side, places: &[usize]| {
            let orders = places.iter().map(|n| (*n, &market.orders[*n]));
            let of_side = orders.filter(|(_, order)| order.side == side);
            of_side.map(|(n, order)| booked(n, order)).collect()
        };
        let (bids, offers) = (of(Side::Buy, &places), of(Side::Sell, &places));
        let shuffled = sealed_from_orders(period(), bids, offers, salt(0)).unwrap();
        prop_assert_eq!(&shuffled, &market.book());
        let result = auction(&shuffled, &terms(&market.zones, 500_000, 1)).unwrap();
        prop_assert_eq!(borsh::to_vec(&result).unwrap(), borsh::to_vec(&market.cleared()).unwrap());
    }
}

/// Large enough for every part of the clearing to go parallel, in one zone and on a tree: with
/// curves, ties, wishes and edges that bind.
#[test]
fn one_thread_and_two_threads_clear_alike() {
    let one_zone = large_market(1, 36_000);
    let tree = large_market(40, 36_000);
    for market in [one_zone, tree] {
        let clear = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| market.cleared())
        };
        let (alone, together) = (clear(1), clear(2));
        assert!(alone.trades.len() > 16_384 && alone.answers.len() > 2 * 16_384, "it is large");
        assert!(alone == together);
        let filled = alone.answers.iter().filter(|answer| answer.filled.is_positive()).count();
        assert!(alone.trades.len() <= filled + 2 * alone.zones.len());
    }
}

/// A market drawn from a fixed seed: zones three deep, prices on few levels.
fn large_market(zones: u16, orders: usize) -> Market {
    let mut state = 7_u64;
    let mut draw = |below: i64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(state >> 33).expect("31 bits") % below
    };
    let branches: Vec<_> = (1..zones)
        .map(|zone| {
            let way = match draw(3) {
                0 => free(draw(3) * 1_000),
                _ => narrow(draw(20) * 1_000, draw(200_000)),
            };
            (zone, zone / 6, way)
        })
        .collect();
    let orders = (0..orders).map(|n| {
        let (limit, wh) = (draw(40) * 5_000, draw(2_000) + 1);
        let order = if n % 2 == 0 {
            bid(&[(limit + 30_000, wh), (limit + 10_000, wh)])
        } else {
            offer(&[(limit - 30_000, wh), (limit - 10_000, wh)])
        };
        let zone = u16::try_from(draw(i64::from(zones))).expect("a small number");
        let origin = [None, Some(Origin::Solar), Some(Origin::Battery)];
        let origin = origin[usize::try_from(draw(3)).expect("a small number")];
        let partners = if draw(10) == 0 { vec![n ^ 1, n ^ 5] } else { Vec::new() };
        Bare { origin, partners, ..order.at(zone) }
    });
    Market::new(&branches, orders.collect())
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
