//! The price of the pool is the mean of the gates, by energy: the last one alone does not set it.

use market::settlement::ZonePrices;
use market::zone::ZoneId;

use crate::bare::{Bare, auction, bid, book, offer, salt, terms};
use crate::tree::{Market, free};

/// Prices after gates with these orders.
fn after(market: &Market, gates: &[&[Bare]]) -> ZonePrices {
    let mut prices = ZonePrices::default();
    for orders in gates {
        let terms = terms(&market.zones, 500_000, 1);
        let result = auction(&book(orders, salt(0)), &terms).unwrap();
        prices.note(&result, &market.zones).unwrap();
    }
    prices
}

fn at(prices: &ZonePrices, zone: u16) -> Option<i64> {
    prices.price(ZoneId(zone)).map(|price| price.micros_per_kwh())
}

#[test]
fn a_watt_hour_at_the_last_gate_hardly_moves_the_price_of_the_pool() {
    let street = Market::new(&[], Vec::new());
    let large = [bid(&[(200_000, 1_000)]), offer(&[(200_000, 1_000)])];
    let tiny = [bid(&[(5_000_000, 1)]), offer(&[(5_000_000, 1)])];
    assert_eq!(at(&after(&street, &[&large]), 0), Some(200_000));
    // (1,000 x 0.2 + 1 x 5) / 1,001 = 0.204795...
    assert_eq!(at(&after(&street, &[&large, &tiny]), 0), Some(204_795));
    assert_eq!(after(&street, &[&large, &tiny]), after(&street, &[&tiny, &large]));
    assert_eq!(at(&after(&street, &[&large, &[]]), 0), Some(200_000), "no trade is no price");
    assert_eq!(at(&after(&street, &[]), 0), None);
}

/// Half of a micro-unit goes to the even neighbour.
#[test]
fn the_mean_is_rounded_half_to_even() {
    let street = Market::new(&[], Vec::new());
    let of = |price| [bid(&[(price, 1)]), offer(&[(price, 1)])];
    assert_eq!(at(&after(&street, &[&of(1), &of(2)]), 0), Some(2));
    assert_eq!(at(&after(&street, &[&of(2), &of(3)]), 0), Some(2));
    assert_eq!(at(&after(&street, &[&of(-1), &of(-2)]), 0), Some(-2));
}

/// From zone 1 through zone 0 to zone 2: in each of them 30 Wh count, wherever they are sold.
#[test]
fn what_is_conveyed_counts_like_what_is_sold() {
    let market = Market::new(&[(1, 0, free(10_000)), (2, 0, free(20_000))], Vec::new());
    let conveyed = [offer(&[(100_000, 30)]).at(1), bid(&[(130_000, 30)]).at(2)];
    // All three zones by themselves, 10 Wh each.
    let home = |zone| [bid(&[(500_000, 10)]).at(zone), offer(&[(500_000, 10)]).at(zone)];
    let own: Vec<Bare> = (0..3).flat_map(home).collect();
    let prices = after(&market, &[&conveyed, &own]);
    for (zone, first) in [(0, 110_000), (1, 100_000), (2, 130_000)] {
        assert_eq!(at(&prices, zone), Some((3 * first + 500_000) / 4), "zone {zone}");
    }
}
