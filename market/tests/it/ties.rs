//! Ties: pro rata by largest remainder within one watt-hour; nobody can choose who gets the odd one.

use proptest::prelude::*;

use crate::bare::{Bare, auction, bid, book, filled, flat, offer, party, salt};

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
