//! Where in their range the prices of zones lie (design section 4): above less the charge while a
//! zone exports, above plus the charge while it imports, and by the k-rule where nothing flows or
//! the edge is full: between the bounds of its own orders and those of the edge.

use market::clearing::ClearingResult;

use crate::bare::{Bare, auction, bid, book, lawful, offer, salt, terms};
use crate::tree::{Market, Way, free, narrow, zone_price};

/// The root trades 50 Wh by itself at 100,000, whatever k.
fn root() -> Vec<Bare> {
    vec![offer(&[(100_000, 500)]), bid(&[(300_000, 50)])]
}

/// The prices of zone 1, below the root over `way`, at k = 0, 1/2 and 1.
fn prices(way: Way, orders: &[Bare]) -> [Option<i64>; 3] {
    let orders = root().into_iter().chain(orders.iter().cloned().map(|order| order.at(1)));
    let market = Market::new(&[(1, 0, way)], orders.collect());
    [0, 500_000, 1_000_000].map(|k| {
        let result = market.cleared_at(k);
        assert_eq!(zone_price(&result, 0), Some(100_000));
        zone_price(&result, 1)
    })
}

#[test]
fn an_importing_zone_pays_the_price_above_and_the_charge() {
    let buys = [bid(&[(250_000, 30)])];
    assert_eq!(prices(free(20_000), &buys), [Some(120_000); 3]);
    assert_eq!(prices(narrow(20_000, 31), &buys), [Some(120_000); 3]);
}

#[test]
fn an_exporting_zone_gets_the_price_above_less_the_charge() {
    let sells = [offer(&[(10_000, 30)])];
    assert_eq!(prices(free(20_000), &sells), [Some(80_000); 3]);
    assert_eq!(prices(free(100_000), &[offer(&[(-10_000, 30)])]), [Some(0); 3]);
}

#[test]
fn a_zone_without_flow_has_the_price_of_its_own_crossing() {
    let own = [bid(&[(130_000, 30)]), offer(&[(90_000, 30)])];
    let expected = [90_000, 110_000, 130_000].map(Some);
    assert_eq!(prices(free(40_000), &own), expected);
    // With a smaller charge its price may not leave what energy from above would cost.
    assert_eq!(prices(free(25_000), &own), [90_000, 107_500, 125_000].map(Some));
    assert_eq!(prices(free(5_000), &own), [95_000, 100_000, 105_000].map(Some));
    assert_eq!(prices(narrow(5_000, 0), &own), expected);
}

#[test]
fn a_zone_whose_edge_is_full_has_the_price_of_its_own_curve_there() {
    // 20 of 30 Wh come in: the bid left over sets the price.
    assert_eq!(prices(narrow(20_000, 20), &[bid(&[(250_000, 30)])]), [Some(250_000); 3]);
    // Exactly as much comes in as the first bid wants: between it and the next.
    let two = [bid(&[(250_000, 20)]), bid(&[(150_000, 10)])];
    assert_eq!(prices(narrow(20_000, 20), &two), [150_000, 200_000, 250_000].map(Some));
    // The next would not have paid the charge anyway, but bounds it below only with the charge.
    let low = [bid(&[(250_000, 20)]), bid(&[(50_000, 10)])];
    assert_eq!(prices(narrow(20_000, 20), &low), [120_000, 185_000, 250_000].map(Some));
    let sells = [offer(&[(10_000, 20)]), offer(&[(30_000, 10)])];
    assert_eq!(prices(narrow(20_000, 20), &sells), [10_000, 20_000, 30_000].map(Some));
}

/// All that is wanted comes in, and nobody is left over: the other bound is the price above with
/// the charge. An order that never trades does not change that.
#[test]
fn a_zone_that_fits_its_full_edge_exactly_has_a_price_between_its_orders_and_the_one_above() {
    let import = [120_000, 185_000, 250_000].map(Some);
    let buys = [bid(&[(250_000, 20)]), bid(&[(-5_000_000, 1)])];
    assert_eq!(prices(narrow(20_000, 20), &buys[..1]), import);
    assert_eq!(prices(narrow(20_000, 20), &buys), import);
    assert_eq!(prices(narrow(20_000, 21), &buys), [Some(120_000); 3]);
    let export = [10_000, 45_000, 80_000].map(Some);
    let sells = [offer(&[(10_000, 20)]), offer(&[(5_000_000, 1)])];
    assert_eq!(prices(narrow(20_000, 20), &sells[..1]), export);
    assert_eq!(prices(narrow(20_000, 20), &sells), export);
    assert_eq!(prices(narrow(20_000, 21), &sells), [Some(80_000); 3]);
}

fn at(market: &Market, k: u32, tick: u32) -> ClearingResult {
    let (book, terms) = (book(&market.orders, salt(0)), terms(&market.zones, k, tick));
    let result = auction(&book, &terms).unwrap();
    assert_eq!(lawful(&book, &terms, &result), Ok(()));
    result
}

/// Prices chosen inside an interval are whole ticks; those that follow from a charge or a limit are
/// what they are.
#[test]
fn prices_are_rounded_down_to_the_tick_but_never_out_of_their_range() {
    let market =
        Market::new(&[(1, 0, free(1_234))], vec![offer(&[(10_017, 5)]).at(1), bid(&[(20_900, 5)])]);
    let result = at(&market, 500_000, 1_000);
    // [11,251, 20,900]: the middle is 16,075.5.
    assert_eq!(zone_price(&result, 0), Some(16_000));
    assert_eq!(zone_price(&result, 1), Some(16_000 - 1_234));
    let result = at(&market, 0, 1_000);
    assert_eq!(zone_price(&result, 0), Some(11_251), "11,000 would undercut the seller");
    assert_eq!(zone_price(&result, 1), Some(10_017));
}

/// Among equal offers and bids at the margin offers sell, in whichever zones: the seller in zone 1
/// before the buyer in zone 2 stands back.
#[test]
fn at_one_price_offers_sell_before_bids_stand_back_across_zones() {
    let market = Market::new(
        &[(1, 0, free(0)), (2, 0, free(0))],
        vec![
            offer(&[(10, 5)]).at(1),
            offer(&[(5, 5)]).at(2),
            bid(&[(10, 5)]).at(2),
            bid(&[(20, 5)]).at(0),
        ],
    );
    assert_eq!(market.cleared().volume.wh(), 10);
}
