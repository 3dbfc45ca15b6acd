//! Tables that others have published (shared reference `clearing.md`, sections 4 and 5), computed
//! with our auction. Prices there are units or ct per kWh; here 1 = 10,000 micro-units.

use market::answer::{Language, Reason};
use market::clearing::ClearingResult;
use market::price::Price;

use crate::bare::{self, Bare, auction, bid, book, cleared, filled, flat, offer, order_id, salt};
use crate::tree::{Market, free, zone_price};

const CENT: i64 = 10_000;

/// 1 kWh each at these prices in cents.
fn unit_orders(bids: &[i64], offers: &[i64]) -> Vec<Bare> {
    let bids = bids.iter().map(|limit| bid(&[(limit * CENT, 1_000)]));
    let offers = offers.iter().map(|limit| offer(&[(limit * CENT, 1_000)]));
    bids.chain(offers).collect()
}

fn cleared_at(orders: &[Bare], k_millionths: u32) -> ClearingResult {
    auction(&book(orders, salt(0)), &flat(k_millionths, 1)).unwrap()
}

/// The ends of the price range, and the volume in kWh.
fn range(orders: &[Bare]) -> (i64, i64, i64) {
    let (low, high) = (cleared_at(orders, 0), cleared_at(orders, 1_000_000));
    assert_eq!(low.volume, high.volume);
    let cents = |result: &ClearingResult| bare::price(result).unwrap().micros_per_kwh() / CENT;
    (cents(&low), cents(&high), low.volume.wh() / 1_000)
}

fn price(cents_times_ten: i64) -> Option<Price> {
    Some(Price::from_micros_per_kwh(cents_times_ten * CENT / 10))
}

/// Section 4: ten orders, 6.2 kWh at 18 ct, welfare 45.8 ct, 111.6 ct paid and received.
#[test]
fn the_worked_example_of_ten_orders() {
    let kwh = |tenths: i64, cents: i64| [(cents * CENT, tenths * 100)];
    let orders = [
        bid(&kwh(20, 26)),
        bid(&kwh(15, 20)),
        bid(&kwh(10, 20)),
        bid(&kwh(25, 18)),
        offer(&kwh(10, 10)),
        offer(&kwh(20, 14)),
        offer(&kwh(12, 14)),
        offer(&kwh(20, 16)),
        offer(&kwh(30, 22)),
        bid(&kwh(10, 12)),
    ];
    for k in [0, 500_000, 1_000_000] {
        let result = cleared_at(&orders, k);
        assert_eq!((result.volume.wh(), bare::price(&result)), (6_200, price(180)));
        assert_eq!(result.welfare.micros(), 458 * CENT / 10);
        let paid: i64 = result.trades.iter().map(|trade| trade.buyer_amount.micros()).sum();
        let received: i64 = result.trades.iter().map(|trade| trade.seller_amount.micros()).sum();
        assert_eq!((paid, received), (1_116 * CENT / 10, 1_116 * CENT / 10));
        let fills: Vec<_> = (0..orders.len()).map(|n| filled(&result, n)).collect();
        assert_eq!(fills, [2_000, 1_500, 1_000, 1_700, 1_000, 2_000, 1_200, 2_000, 0, 0]);
    }
    let result = cleared_at(&orders, 500_000);
    let told = |n: usize| {
        let id = order_id(n);
        result.answers.iter().find(|answer| answer.order == id).unwrap()
    };
    assert_eq!(told(3).reason, Reason::SharedAtMargin);
    assert_eq!(told(7).reason, Reason::Filled);
    let dear = told(8).sentence(Language::English);
    assert!(dear.contains("0.220000 was above the clearing price 0.180000"), "{dear}");
    let low = told(9).sentence(Language::English);
    assert!(low.contains("0.120000 was below the clearing price 0.180000"), "{low}");
    assert!(told(9).sentence(Language::Japanese).contains("0.120000"));
}

/// Table A: HS Mittweida, blockchain-academy.hs-mittweida.de/?p=5674, published 87.5.
#[test]
fn table_a_hs_mittweida() {
    let orders = unit_orders(&[100, 90, 80, 70, 60], &[80, 85, 95, 100, 110]);
    assert_eq!(range(&orders), (85, 90, 2));
    assert_eq!(bare::price(&cleared_at(&orders, 500_000)), price(875));
}

/// Table B: gridsingularity/gsy-e `tests/test_two_sided_market.py`, 1 kWh each; its published rates
/// are ours at k = 1.
#[test]
fn table_b_gsy_e_two_sided_market() {
    type Case<'a> = (&'a [i64], &'a [i64], (i64, i64, i64));
    let cases: [Case<'_>; 7] = [
        (&[1, 2, 3, 4, 5, 6, 7], &[1, 2, 3, 4, 5, 6, 7], (4, 4, 4)),
        (&[8, 9, 10, 11, 12, 13, 14], &[8, 9, 10, 11, 12, 13, 14], (11, 11, 4)),
        (&[2, 3, 3, 5, 6, 7, 8], &[1, 2, 3, 4, 5, 6, 7], (4, 5, 3)),
        (&[10; 7], &[1, 2, 3, 4, 10, 10, 10], (10, 10, 3)),
        (&[1, 2, 5, 5, 5, 6, 7], &[5; 7], (5, 5, 5)),
        (&[2, 3, 6, 7, 7, 7, 7], &[7, 5, 5, 2, 2, 2, 2], (5, 5, 2)),
        (&[2, 2, 4, 4, 4, 4, 6], &[6, 6, 6, 6, 2, 2, 2], (4, 4, 4)),
    ];
    let published = [4, 11, 5, 10, 5, 5, 4];
    for ((offers, bids, expected), rate) in cases.into_iter().zip(published) {
        let orders = unit_orders(bids, offers);
        assert_eq!(range(&orders), expected, "offers {offers:?}, bids {bids:?}");
        assert_eq!(bare::price(&cleared_at(&orders, 1_000_000)), price(rate * 10));
    }
}

/// Table C: gridsingularity/gsy-framework `test_pay_as_clear_matching_algorithm.py`. The optimal
/// values, not the published ones (95 kWh at 2, and 20 kWh at 3), whose welfare is lower.
#[test]
fn table_c_gsy_framework_optimal_values_not_the_published() {
    // Limits in micro-units, energies in Wh: 1 there = 1,000,000 micro-units here.
    let unit = 1_000_000;
    let first = [
        offer(&[(unit, 55_000)]),
        offer(&[(5 * unit, 60_000)]),
        offer(&[(unit, 65_000)]),
        bid(&[(3 * unit / 2, 40_000)]),
        bid(&[(2 * unit, 45_000)]),
        bid(&[(6 * unit, 50_000)]),
    ];
    let result = cleared(&first);
    assert_eq!(result.volume.wh(), 120_000);
    assert_eq!(bare::price(&result), Some(Price::from_micros_per_kwh(3 * unit / 2)));
    let published_welfare = 50 * 6 * unit + 45 * 2 * unit - 95 * unit;
    assert_eq!(result.welfare.micros(), published_welfare + 25 * (3 * unit / 2 - unit));

    let second = [
        offer(&[(1_000_020, 25_000)]),
        offer(&[(5 * unit, 30_000)]),
        offer(&[(12 * unit / 5, 35_000)]),
        bid(&[(unit, 10_000)]),
        bid(&[(2 * unit, 15_000)]),
        bid(&[(3 * unit, 20_000)]),
    ];
    let result = cleared(&second);
    assert_eq!(result.volume.wh(), 25_000);
    assert_eq!(bare::price(&result), Some(Price::from_micros_per_kwh(2 * unit)));
    let published_welfare = 20 * (3 * unit - 1_000_020);
    assert_eq!(result.welfare.micros(), published_welfare + 5 * (2 * unit - 1_000_020));
}

/// Table D: gridlab-d/gridlab-d
/// `market/autotest/test_markets_auction_large_unbalanced_marginal_price.glm`: its data, not the
/// comment in its header.
#[test]
fn table_d_gridlab_d_large_unbalanced_marginal_price() {
    let bids: Vec<_> = (1..=100).map(|n| 202 - 2 * n).collect();
    let offers: Vec<_> = (1..=150).collect();
    let orders = unit_orders(&bids, &offers);
    assert_eq!(range(&orders), (67, 68, 67));
    assert_eq!(bare::price(&cleared_at(&orders, 500_000)), price(675));
}

/// The branches that table D's sibling files list: exact, marginal buyer, marginal seller, failure,
/// no buyer, no seller.
#[test]
fn table_d_siblings_every_branch_of_a_crossing() {
    let exact = [bid(&[(10 * CENT, 1_000)]), offer(&[(4 * CENT, 1_000)])];
    assert_eq!(range(&exact), (4, 10, 1));
    let marginal_buyer = [bid(&[(10 * CENT, 3_000)]), offer(&[(4 * CENT, 1_000)])];
    assert_eq!(range(&marginal_buyer), (10, 10, 1));
    let marginal_seller = [bid(&[(10 * CENT, 1_000)]), offer(&[(4 * CENT, 3_000)])];
    assert_eq!(range(&marginal_seller), (4, 4, 1));
    let failure = [bid(&[(3 * CENT, 1_000)]), offer(&[(4 * CENT, 1_000)])];
    let no_buyer = [offer(&[(4 * CENT, 1_000)])];
    let no_seller = [bid(&[(10 * CENT, 1_000)])];
    for nothing in [&failure[..], &no_buyer, &no_seller] {
        assert_eq!(bare::price(&cleared(nothing)), None, "no trade is no price, never zero");
    }
}

/// Table F: gridsingularity/gsy-e `wiki/docs/grid-fee-accounting.md`: a path fee of 0.04, here two
/// edges of 0.02; an offer at 0.10 and a bid at 0.30. Its pay-as-offer is our k = 0, its pay-as-bid
/// our k = 1. (Its percentage fees are not ours: a charge is per kWh.)
#[test]
fn table_f_gsy_e_grid_fee_accounting() {
    let market = Market::new(
        &[(1, 0, free(20_000)), (2, 0, free(20_000))],
        vec![offer(&[(100_000, 1_000)]).at(1), bid(&[(300_000, 1_000)]).at(2)],
    );
    for (k, paid, received, root) in [
        (0, 140_000, 100_000, 120_000),
        (500_000, 220_000, 180_000, 200_000),
        (1_000_000, 300_000, 260_000, 280_000),
    ] {
        let result = market.cleared_at(k);
        assert_eq!(zone_price(&result, 0), Some(root));
        let [trade] = &result.trades[..] else { panic!("one trade") };
        assert_eq!((trade.buyer_amount.micros(), trade.seller_amount.micros()), (paid, received));
        assert_eq!((trade.charge.micros(), trade.rent.micros()), (40_000, 0));
        assert_eq!(result.edges.iter().map(|e| e.charge.micros()).collect::<Vec<_>>(), [20_000; 2]);
        assert_eq!(result.welfare.micros(), 300_000 - 100_000 - 40_000);
    }
}

/// Table G: Quartierstrom's rule and tariffs: an offer at 4 Rp., a grid fee of 6, a bid at 20.75:
/// the midpoint is 15.375, the seller keeps 9.375, the grid gets 6. On whichever side of the edge
/// the seller sits.
#[test]
fn table_g_quartierstrom_midpoint_with_grid_fee() {
    for (seller, buyer) in [(1, 0), (0, 1)] {
        let market = Market::new(
            &[(1, 0, free(60_000))],
            vec![offer(&[(40_000, 1_000)]).at(seller), bid(&[(207_500, 1_000)]).at(buyer)],
        );
        let result = market.cleared();
        assert_eq!(zone_price(&result, buyer), Some(153_750));
        assert_eq!(zone_price(&result, seller), Some(93_750));
        assert_eq!(result.edges[0].charge.micros(), 60_000);
        assert_eq!(result.edges[0].flow.wh(), if seller == 1 { 1_000 } else { -1_000 });
    }
}
