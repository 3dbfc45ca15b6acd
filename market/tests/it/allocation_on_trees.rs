//! Who trades with whom on a tree: inside a zone first, then up; in each zone partners first, then
//! origin, then everybody by lot. It moves neither prices nor quantities.

use std::collections::BTreeSet;

use market::clearing::ClearingResult;
use market::order::{Origin, Side};
use market::trade::Trade;
use market::zone::ZoneId;
use proptest::prelude::*;

use crate::bare::{Bare, auction, bid, book, filled, fills, offer, order_id, party, salt, terms};
use crate::tree::{Market, choosy_markets, free, meeting, narrow, way_up, zone_price};

/// The trades of the n-th order.
fn trades_of(result: &ClearingResult, n: usize) -> impl Iterator<Item = &Trade> {
    let id = order_id(n);
    result.trades.iter().filter(move |trade| trade.bid == id || trade.offer == id)
}

fn owner(market: &Market, n: usize) -> usize {
    market.orders[n].party.unwrap_or(n)
}

/// All bids with all offers, by number.
fn pairs(market: &Market) -> Vec<(usize, usize)> {
    let of = |side| {
        let orders = market.orders.iter().enumerate();
        orders.filter(move |(_, order)| order.side == side).map(|(n, _)| n)
    };
    of(Side::Buy).flat_map(|bid| of(Side::Sell).map(move |offer| (bid, offer))).collect()
}

/// Whether a bid and an offer wish for each other's party, at least on one side.
fn wish(market: &Market, bid: usize, offer: usize) -> bool {
    let names =
        |one: usize, other: usize| market.orders[one].partners.contains(&owner(market, other));
    names(bid, offer) || names(offer, bid)
}

fn origins_match(market: &Market, bid: usize, offer: usize) -> bool {
    let origin = market.orders[bid].origin;
    origin.is_some() && origin == market.orders[offer].origin
}

fn number(market: &Market, id: market::order::OrderId) -> usize {
    (0..market.orders.len()).find(|n| order_id(*n) == id).expect("an order of the book")
}

/// Whether an order trades with others than those that come `first`, in the zone `at` or above it:
/// then it was still open when the orders met there.
fn strays(
    market: &Market,
    result: &ClearingResult,
    n: usize,
    at: ZoneId,
    first: impl Fn(usize, usize) -> bool,
) -> bool {
    trades_of(result, n).any(|trade| {
        let over = trade.path.over;
        let (bid, offer) = (number(market, trade.bid), number(market, trade.offer));
        if over == at { !first(bid, offer) } else { way_up(&market.zones, at).contains(&over) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn preferences_cost_nobody_anything_on_any_tree(market in choosy_markets()) {
        let plain = |order: &Bare| Bare { partners: Vec::new(), origin: None, ..order.clone() };
        let orders = market.orders.iter().map(plain).collect();
        let indifferent = Market { zones: market.zones.clone(), orders };
        let (with, without) = (market.cleared(), indifferent.cleared());
        prop_assert_eq!(&with.zones, &without.zones);
        prop_assert_eq!(&with.answers, &without.answers);
        prop_assert_eq!(with.welfare, without.welfare);
        let flows = |result: &ClearingResult| -> Vec<_> {
            result.edges.iter().map(|edge| edge.flow).collect()
        };
        prop_assert_eq!(flows(&with), flows(&without));
    }

    #[test]
    fn trades_sum_to_fills_and_are_hardly_more_than_filled_orders(market in choosy_markets()) {
        let result = market.cleared();
        for n in 0..market.orders.len() {
            let traded: i64 = trades_of(&result, n).map(|trade| trade.energy.wh()).sum();
            prop_assert_eq!(traded, filled(&result, n));
        }
        let filled = fills(&result).values().filter(|filled| **filled > 0).count();
        prop_assert!(result.trades.len() <= filled + 2 * result.zones.len());
    }

    /// Whoever meets at a zone trades all that one of the two has left for it, once. Two trades of
    /// one pair would round their money twice.
    #[test]
    fn a_bid_and_an_offer_have_one_trade_at_most(market in choosy_markets(), lot in any::<u64>()) {
        let terms = terms(&market.zones, 500_000, 1);
        let result = auction(&book(&market.orders, salt(lot)), &terms).unwrap();
        let pairs: BTreeSet<_> =
            result.trades.iter().map(|trade| (trade.offer, trade.bid)).collect();
        prop_assert_eq!(pairs.len(), result.trades.len(), "{:?}", result.trades);
    }

    #[test]
    fn nobody_trades_with_himself(market in choosy_markets()) {
        let result = market.cleared();
        prop_assert!(result.trades.iter().all(|trade| trade.buyer != trade.seller));
    }

    /// What a zone and all below it can settle among themselves does not leave it: out go bids or
    /// offers, never both.
    #[test]
    fn trades_stay_as_low_in_the_tree_as_they_can(market in choosy_markets()) {
        let result = market.cleared();
        for (zone, _) in market.zones.iter() {
            let below = |of: ZoneId| way_up(&market.zones, of).contains(&zone);
            let leave = |trade: &&Trade| below(trade.path.from) != below(trade.path.to);
            let sells: BTreeSet<_> =
                result.trades.iter().filter(leave).map(|trade| below(trade.path.from)).collect();
            prop_assert!(sells.len() <= 1, "{:?} both sells and buys", zone);
        }
    }

    #[test]
    fn partners_trade_with_each_other_before_either_trades_with_others(
        market in choosy_markets(),
    ) {
        let result = market.cleared();
        for (bid, offer) in pairs(&market).into_iter().filter(|(b, o)| wish(&market, *b, *o)) {
            let at = meeting(&market.zones, market.orders[bid].zone, market.orders[offer].zone);
            let strays = |n| strays(&market, &result, n, at, |b, o| wish(&market, b, o));
            prop_assert!(!(strays(bid) && strays(offer)), "bid {} and offer {}", bid, offer);
        }
    }

    #[test]
    fn equal_origins_meet_before_the_others(market in choosy_markets()) {
        let result = market.cleared();
        let matching = pairs(&market).into_iter().filter(|(b, o)| origins_match(&market, *b, *o));
        for (bid, offer) in matching {
            let at = meeting(&market.zones, market.orders[bid].zone, market.orders[offer].zone);
            let first = |b, o| wish(&market, b, o) || origins_match(&market, b, o);
            let strays = |n| strays(&market, &result, n, at, first);
            prop_assert!(!(strays(bid) && strays(offer)), "bid {} and offer {}", bid, offer);
        }
    }
}

#[test]
fn partners_in_other_zones_are_honoured_up_the_tree() {
    let names = |order: Bare, partner| Bare { partners: vec![partner], ..order };
    // Two sellers below zone 1; a buyer below zone 2 wishes for the second of them, and the first
    // wishes for a buyer at the root.
    let market = Market::new(
        &[(1, 0, free(10)), (2, 0, free(10)), (3, 2, free(10))],
        vec![
            names(offer(&[(100, 10)]).at(1), 3),
            offer(&[(100, 10)]).at(1),
            names(bid(&[(200, 10)]).at(3), 1),
            bid(&[(200, 10)]).at(0),
        ],
    );
    let result = market.cleared();
    let met: BTreeSet<_> = result.trades.iter().map(|trade| (trade.bid, trade.offer)).collect();
    assert_eq!(met, [(2, 1), (3, 0)].map(|(b, o)| (order_id(b), order_id(o))).into());
    assert!(result.trades.iter().all(|trade| trade.path.over == ZoneId(0)));
}

/// A wish does not take energy past a neighbour who is nearer, nor through a full edge.
#[test]
fn a_wish_takes_no_energy_past_the_own_zone_or_through_a_full_edge() {
    let market = Market::new(
        &[(1, 0, free(10)), (2, 0, narrow(0, 0))],
        vec![
            Bare { partners: vec![2, 3], ..offer(&[(100, 10)]).at(1) },
            bid(&[(200, 10)]).at(1),
            bid(&[(200, 10)]).at(0),
            bid(&[(900, 10)]).at(2),
        ],
    );
    let result = market.cleared();
    // At 200 less 10 the root gets nothing: it is worth more at home.
    assert_eq!(result.trades.len(), 1);
    assert_eq!(result.trades[0].buyer, party(1));
    assert_eq!(filled(&result, 3), 0);
}

#[test]
fn origins_find_each_other_up_the_tree() {
    let of = |order: Bare, origin| Bare { origin: Some(origin), ..order };
    let market = Market::new(
        &[(1, 0, free(0)), (2, 0, free(0))],
        vec![
            of(offer(&[(100, 10)]).at(1), Origin::Battery),
            of(offer(&[(100, 10)]).at(1), Origin::Solar),
            of(bid(&[(200, 10)]).at(2), Origin::Solar),
            of(bid(&[(200, 10)]).at(2), Origin::Battery),
        ],
    );
    for lot in 0..20 {
        let book = book(&market.orders, salt(lot));
        let result = auction(&book, &terms(&market.zones, 500_000, 1)).unwrap();
        let met: BTreeSet<_> = result.trades.iter().map(|trade| (trade.bid, trade.offer)).collect();
        assert_eq!(met, [(2, 1), (3, 0)].map(|(b, o)| (order_id(b), order_id(o))).into());
        assert!(result.trades.iter().all(|trade| trade.origin.is_some()));
    }
}

/// Of two neighbours with 10 and 30 Wh whose zone meets 20, each trades a part at home that is pro
/// rata on average: who goes up is drawn by lot, watt-hour by watt-hour.
fn drawn_pro_rata(own: impl Fn(i64) -> Bare, others: impl Fn(i64) -> Bare) {
    let orders = vec![own(10).at(1), own(30).at(1), others(20).at(1), others(20).at(0)];
    let market = Market::new(&[(1, 0, free(0))], orders);
    let (mut at_home, lots) = (0, 2_000);
    for lot in 0..lots {
        let book = book(&market.orders, salt(lot));
        let result = auction(&book, &terms(&market.zones, 500_000, 1)).unwrap();
        let at_two = |trade: &&Trade| [trade.bid, trade.offer].contains(&order_id(2));
        let home = trades_of(&result, 0).filter(at_two);
        at_home += home.map(|trade| trade.energy.wh()).sum::<i64>();
        assert_eq!(zone_price(&result, 0), zone_price(&result, 1));
    }
    // 5 on average, with a standard deviation of about 4.1 in one draw and 0.1 in 2,000.
    let mean_tenths = at_home * 10 / i64::try_from(lots).unwrap();
    assert!((46..=54).contains(&mean_tenths), "{mean_tenths}");
}

#[test]
fn who_leaves_the_zone_is_drawn_pro_rata() {
    let (sell, buy) = (|wh| offer(&[(100, wh)]), |wh| bid(&[(200, wh)]));
    drawn_pro_rata(sell, buy);
    drawn_pro_rata(buy, sell);
}
