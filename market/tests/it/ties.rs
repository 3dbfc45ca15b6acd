//! A6. Ties: pro rata by largest remainder within one watt-hour; nobody can choose who gets the odd
//! one.

use std::collections::BTreeMap;

use market::order::Side;
use proptest::prelude::*;

use crate::bare::{
    Bare, auction, bid, book, filled, flat, lawful, offer, order_id, party, salt, terms,
};
use crate::tree::{Market, free, tied_markets, zone_price};

/// Many bids at one limit, and less energy than they want.
fn too_little(claims: &[i64], supply: i64) -> Vec<Bare> {
    let mut orders: Vec<_> = claims.iter().map(|claim| bid(&[(100_000, *claim)])).collect();
    orders.push(offer(&[(50_000, supply)]));
    orders
}

proptest! {
    #[test]
    fn parts_sum_exactly_and_each_is_less_than_a_watt_hour_off_its_share(
        claims in prop::collection::vec(1..2_000_i64, 1..12),
        per_mille in 1..1_000_i64,
        lot in any::<u64>(),
    ) {
        let all: i64 = claims.iter().sum();
        let supply = (all * per_mille / 1_000).max(1);
        let orders = too_little(&claims, supply);
        let result = auction(&book(&orders, salt(lot)), &flat(500_000, 1)).unwrap();
        let parts: Vec<_> = (0..claims.len()).map(|n| filled(&result, n)).collect();
        prop_assert_eq!(parts.iter().sum::<i64>(), supply);
        for (part, claim) in parts.iter().zip(&claims) {
            prop_assert!((part * all - claim * supply).abs() < all, "{} of {}", part, claim);
        }
    }

    /// On a tree the orders of a zone share its margin with the zones below: there is one part of
    /// each claim, the same for all orders of the zone, from which no share is a watt-hour off.
    #[test]
    fn in_every_zone_of_a_tree_all_equals_get_the_same_part(
        market in tied_markets(),
        lot in any::<u64>(),
    ) {
        let (book, terms) = (book(&market.orders, salt(lot)), terms(&market.zones, 500_000, 1));
        let result = auction(&book, &terms).unwrap();
        prop_assert_eq!(lawful(&book, &terms, &result), Ok(()));
        let mut margins: BTreeMap<_, Vec<(i64, i64)>> = BTreeMap::new();
        for (n, order) in market.orders.iter().enumerate() {
            let Some(price) = zone_price(&result, order.zone.0) else { continue };
            let better =
                |limit| if order.side == Side::Buy { limit > price } else { limit < price };
            let sum = |of: &dyn Fn(i64) -> bool| -> i64 {
                order.steps.iter().filter(|(limit, _)| of(*limit)).map(|(_, wh)| *wh).sum()
            };
            let crossed = book.crossed().iter().any(|(_, out)| out.id == order_id(n));
            let claim = sum(&|limit| limit == price);
            if claim > 0 && !crossed {
                let share = filled(&result, n) - sum(&better);
                margins.entry((order.zone, order.side)).or_default().push((share, claim));
            }
        }
        for margin in margins.values() {
            for (share, claim) in margin {
                for (other, other_claim) in margin {
                    // share - 1 < part x claim < share + 1, for both with one part.
                    prop_assert!((share - 1) * other_claim < (other + 1) * claim, "{:?}", margin);
                }
            }
        }
    }

    #[test]
    fn a_smaller_claim_never_gets_more_than_a_larger_one_beyond_the_odd_watt_hour(
        claims in prop::collection::vec(1..50_i64, 2..8),
        lot in any::<u64>(),
    ) {
        let supply = (claims.iter().sum::<i64>() / 2).max(1);
        let orders = too_little(&claims, supply);
        let result = auction(&book(&orders, salt(lot)), &flat(500_000, 1)).unwrap();
        for (a, more) in claims.iter().enumerate() {
            for (b, less) in claims.iter().enumerate() {
                if more > less {
                    prop_assert!(filled(&result, a) + 1 >= filled(&result, b));
                }
            }
        }
    }
}

/// The block hash draws the lots: over many hashes each of five equals wins about a fifth, whoever
/// they are and wherever they stand in the book.
#[test]
fn the_odd_watt_hour_is_drawn_by_lots_that_are_known_only_afterwards() {
    let orders = too_little(&[7; 5], 1);
    let mut wins = [0; 5];
    for lot in 0..1_000 {
        let result = auction(&book(&orders, salt(lot)), &flat(500_000, 1)).unwrap();
        let again = auction(&book(&orders, salt(lot)), &flat(500_000, 1)).unwrap();
        assert_eq!(result, again);
        for (n, wins) in wins.iter_mut().enumerate() {
            *wins += filled(&result, n);
        }
    }
    assert_eq!(wins.iter().sum::<i64>(), 1_000);
    // 200 each, with a standard deviation of 13; the lots are fixed, so this cannot flicker.
    assert!(wins.iter().all(|wins| (140..=260).contains(wins)), "{wins:?}");
}

#[test]
fn neither_the_party_nor_the_place_in_the_book_decides_a_tie() {
    // The same two claims, once as orders 0 and 1, once the other way round: the lot goes with the
    // order's name, so over many names both places win.
    let mut first_place_wins = 0;
    for lot in 0..200 {
        let result = auction(&book(&too_little(&[3, 3], 1), salt(lot)), &flat(500_000, 1)).unwrap();
        let bids = [0, 1].map(|n| (party(n), filled(&result, n)));
        first_place_wins += bids.iter().min().map_or(0, |(_, filled)| *filled);
    }
    assert!((60..=140).contains(&first_place_wins), "{first_place_wins} of 200");
}

#[test]
fn offers_are_rationed_by_the_same_rule_as_bids() {
    let mut orders = vec![bid(&[(100_000, 10)])];
    orders.extend([10, 20, 30].map(|claim| offer(&[(50_000, claim)])));
    let result = auction(&book(&orders, salt(3)), &flat(500_000, 1)).unwrap();
    // Exact shares 1.67, 3.33, 5: the largest remainder takes the odd watt-hour.
    assert_eq!([1, 2, 3].map(|n| filled(&result, n)), [2, 3, 5]);
}

/// Fifty zones whose exact shares end in a small fraction and fifty small orders whose end in a
/// large one: the small orders take all odd watt-hours, so the zone's orders together get five more than
/// their part, and yet each is within one watt-hour of its own.
#[test]
fn a_zone_with_many_zones_below_may_get_more_in_all_than_its_part() {
    let branches: Vec<_> = (1..=50).map(|zone| (zone, 0, free(0))).collect();
    let mut orders = vec![bid(&[(20, 1_350)]), offer(&[(10, 1_000)])];
    orders.extend((0..50).map(|_| offer(&[(10, 1)])));
    orders.extend((1..=50).map(|zone| offer(&[(10, 9)]).at(zone)));
    let market = Market::new(&branches, orders);
    let result = market.cleared();
    let fills: Vec<_> = (1..102).map(|n| filled(&result, n)).collect();
    // Nine tenths of each claim: 900, 0.9 and 8.1.
    let expected: Vec<_> = [900].into_iter().chain([1; 50]).chain([8; 50]).collect();
    assert_eq!(fills, expected);
}
