//! Who trades with whom: partners first, then origin, and it costs nobody anything.

use std::collections::{BTreeMap, BTreeSet};

use market::clearing::ClearingResult;
use market::clearing::laws::BrokenLaw;
use market::order::{Origin, Side};
use proptest::prelude::*;

use crate::bare::{
    Bare, auction, bid, book, choosy_orders, cleared, filled, fills, flat, lawful, offer, order_id,
    party, salt,
};

/// How much each pair of orders trades, by number.
fn pairs(orders: &[Bare], result: &ClearingResult) -> BTreeMap<(usize, usize), i64> {
    let number = |id| (0..orders.len()).find(|n| order_id(*n) == id).expect("an order");
    let mut pairs = BTreeMap::new();
    for trade in &result.trades {
        let pair = (number(trade.bid), number(trade.offer));
        *pairs.entry(pair).or_default() += trade.energy.wh();
    }
    pairs
}

/// All (bid, offer) of which one names the other's party.
fn wishes(orders: &[Bare]) -> BTreeSet<(usize, usize)> {
    let mut wishes = BTreeSet::new();
    for (n, order) in orders.iter().enumerate() {
        for partner in order.partners.iter().filter(|partner| **partner < orders.len()) {
            match (order.side, orders[*partner].side) {
                (Side::Buy, Side::Sell) => wishes.insert((n, *partner)),
                (Side::Sell, Side::Buy) => wishes.insert((*partner, n)),
                _ => false,
            };
        }
    }
    wishes
}

proptest! {
    #[test]
    fn preferences_cost_nobody_anything(orders in choosy_orders(14)) {
        let plain: Vec<_> = orders
            .iter()
            .map(|order| Bare { partners: Vec::new(), origin: None, ..order.clone() })
            .collect();
        let (with, without) = (cleared(&orders), cleared(&plain));
        prop_assert_eq!(&with.zones, &without.zones);
        prop_assert_eq!(fills(&with), fills(&without));
        prop_assert_eq!(with.answers, without.answers);
        prop_assert_eq!(with.welfare, without.welfare);
    }

    #[test]
    fn trades_sum_to_fills_join_two_parties_and_are_fewer_than_filled_orders(
        orders in choosy_orders(14),
    ) {
        let result = cleared(&orders);
        let pairs = pairs(&orders, &result);
        for n in 0..orders.len() {
            let mine = pairs.iter().filter(|((bid, offer), _)| *bid == n || *offer == n);
            prop_assert_eq!(mine.map(|(_, wh)| wh).sum::<i64>(), filled(&result, n));
        }
        prop_assert!(result.trades.iter().all(|trade| trade.buyer != trade.seller));
        let filled = result.answers.iter().filter(|answer| answer.filled.is_positive()).count();
        prop_assert!(result.trades.len() <= filled + 2);
        prop_assert_eq!(pairs.len(), result.trades.len(), "no pair trades twice");
    }

    /// Partners come first: of two that wish for each other, not both trade with somebody whom
    /// nobody wished for.
    #[test]
    fn partners_trade_with_each_other_before_either_trades_with_others(
        orders in choosy_orders(14),
    ) {
        let pairs = pairs(&orders, &cleared(&orders));
        let wishes = wishes(&orders);
        let mut strangers = pairs.keys().filter(|pair| !wishes.contains(pair));
        let with_stranger: Vec<_> = strangers.by_ref().copied().collect();
        for (bid, offer) in &wishes {
            let bid_strays = with_stranger.iter().any(|(b, _)| b == bid);
            let offer_strays = with_stranger.iter().any(|(_, o)| o == offer);
            prop_assert!(!(bid_strays && offer_strays), "bid {} and offer {}", bid, offer);
        }
    }

    /// Then origin: of a bid that would rather have solar and an offer of solar, not both trade
    /// with somebody who is neither partner nor of that origin.
    #[test]
    fn equal_origins_meet_before_the_others(orders in choosy_orders(14)) {
        let pairs = pairs(&orders, &cleared(&orders));
        let wishes = wishes(&orders);
        let matches = |(bid, offer): &(usize, usize)| {
            orders[*bid].origin.is_some() && orders[*bid].origin == orders[*offer].origin
        };
        let others: Vec<_> =
            pairs.keys().filter(|pair| !wishes.contains(pair) && !matches(pair)).collect();
        for bid in 0..orders.len() {
            for offer in 0..orders.len() {
                let (buys, sells) = (orders[bid].side, orders[offer].side);
                if (buys, sells) == (Side::Buy, Side::Sell) && matches(&(bid, offer)) {
                    let bid_strays = others.iter().any(|(b, _)| *b == bid);
                    let offer_strays = others.iter().any(|(_, o)| *o == offer);
                    prop_assert!(!(bid_strays && offer_strays), "{} and {}", bid, offer);
                }
            }
        }
    }
}

#[test]
fn partners_beat_origin_and_origin_beats_place() {
    let wish = |order: Bare, partners: &[usize], origin| Bare {
        partners: partners.to_vec(),
        origin,
        ..order
    };
    let solar = Some(Origin::Solar);
    let orders = [
        wish(bid(&[(200, 10)]), &[3], solar),
        wish(bid(&[(200, 10)]), &[], solar),
        wish(offer(&[(100, 10)]), &[], solar),
        wish(offer(&[(100, 10)]), &[], Some(Origin::Battery)),
    ];
    let result = cleared(&orders);
    assert_eq!(pairs(&orders, &result), BTreeMap::from([((0, 3), 10), ((1, 2), 10)]));
    let solar_trade = result.trades.iter().find(|trade| trade.offer == order_id(2)).unwrap();
    assert_eq!(solar_trade.origin, solar);
}

#[test]
fn a_seller_may_name_partners_as_well() {
    let orders = [
        bid(&[(200, 10)]),
        bid(&[(200, 10)]),
        Bare { partners: vec![1], ..offer(&[(100, 10)]) },
        Bare { partners: vec![0], ..offer(&[(100, 10)]) },
    ];
    let expected = BTreeMap::from([((0, 3), 10), ((1, 2), 10)]);
    assert_eq!(pairs(&orders, &cleared(&orders)), expected);
}

#[test]
fn naming_oneself_a_stranger_or_somebody_on_the_same_side_does_nothing() {
    let orders = [
        Bare { partners: vec![0, 1, 77], ..bid(&[(200, 10)]) },
        bid(&[(200, 10)]),
        offer(&[(100, 20)]),
    ];
    let result = cleared(&orders);
    assert_eq!(result.volume.wh(), 20);
    assert!(result.trades.iter().all(|trade| trade.seller == party(2)));
}

/// A book in which a party meets itself cannot be sealed; but bytes from elsewhere must not make
/// the pairing go round for ever.
#[test]
fn a_book_forged_so_that_a_party_meets_itself_still_ends() {
    let honest = book(&[bid(&[(200, 10)]), offer(&[(100, 10)])], salt(0));
    let bytes = borsh::to_vec(&honest).unwrap();
    let (one, other) = (party(0), party(1));
    let at = bytes.windows(16).position(|window| window == other.as_bytes()).unwrap();
    let mut forged = bytes;
    forged[at..at + 16].copy_from_slice(one.as_bytes());
    let forged = borsh::from_slice(&forged).unwrap();
    let result = auction(&forged, &flat(500_000, 1)).unwrap();
    let judged = lawful(&forged, &flat(500_000, 1), &result);
    assert!(matches!(judged, Err(BrokenLaw::WrongTrade { .. })), "{judged:?}");
}
