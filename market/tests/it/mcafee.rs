//! McAfee's trade reduction: nobody gains by misstating a limit, the community never pays in.

use std::collections::BTreeMap;

use market::answer::{Language, Reason};
use market::clearing::laws::{BrokenLaw, check};
use market::clearing::{ClearingResult, MechanismKind};
use market::order::Side;
use market::price::Price;
use proptest::prelude::*;

use crate::bare::{Bare, bid, book, choosy_orders, filled, fills, flat, offer, order_id, orders};
use crate::bare::{price, salt};
use crate::single::{CENT, flipped, freed, gain, knows_one_zone, lawfully, money, of_orders};
use crate::tree::odd_markets;

const KIND: MechanismKind = MechanismKind::TradeReduction;

fn unit_orders(bids: &[i64], offers: &[i64]) -> Vec<Bare> {
    let bids = bids.iter().map(|limit| bid(&[(limit * CENT, 1_000)]));
    let offers = offers.iter().map(|limit| offer(&[(limit * CENT, 1_000)]));
    bids.chain(offers).collect()
}

/// The price of buyers and of sellers, in tenths of a cent.
fn prices(result: &ClearingResult) -> (i64, i64) {
    let trade = &result.trades[0];
    let tenths = |price: Price| price.micros_per_kwh() * 10 / CENT;
    (tenths(trade.buyer_price), tenths(trade.seller_price))
}

fn told(result: &ClearingResult, n: usize) -> Reason {
    result.answers.iter().find(|answer| answer.order == order_id(n)).unwrap().reason
}

/// Table A of clearing.md (HS Mittweida): the price from outside, and the reduction.
#[test]
fn table_a_both_branches_of_mcafee() {
    let result = of_orders(&unit_orders(&[100, 90, 80, 70, 60], &[80, 85, 95, 100, 110]), &KIND);
    assert_eq!((prices(&result), result.volume.wh()), ((875, 875), 2_000));
    assert_eq!(money(&result).2, 0);
    assert_eq!(told(&result, 0), Reason::Filled);
    let limit = Price::from_micros_per_kwh(80 * CENT);
    assert_eq!(told(&result, 2), Reason::LimitNotReached { limit });

    let result = of_orders(&unit_orders(&[100, 90, 84, 70, 60], &[80, 85, 100, 100, 110]), &KIND);
    assert_eq!((prices(&result), result.volume.wh()), ((900, 850), 1_000));
    assert_eq!(money(&result), (90 * CENT, 85 * CENT, 5 * CENT));
    assert_eq!(price(&result).unwrap().micros_per_kwh(), 875 * CENT / 10);
    let limit = Price::from_micros_per_kwh(90 * CENT);
    assert_eq!(told(&result, 1), Reason::PriceSetting { limit });
    let answer = result.answers.iter().find(|answer| answer.order == order_id(1)).unwrap();
    assert_eq!(answer.price, Some(limit));
    let words = answer.sentence(Language::English);
    assert!(words.contains("nobody gains by misstating a limit"), "{words}");
}

/// Table E (pymarket `docs/Huang.ipynb`): prices in units of 1, 1 = 1,000,000 micro-units.
#[test]
fn table_e_huang_drops_the_whole_marginal_order_on_each_side() {
    let unit = 1_000_000;
    let bids = [67, 66, 65, 64, 63, 60].map(|tenths| bid(&[(tenths * unit / 10, 1_000)]));
    let offers = [(10, 1), (20, 1), (30, 2), (40, 2), (61, 1)]
        .map(|(tenths, kwh)| offer(&[(tenths * unit / 10, kwh * 1_000)]));
    let orders: Vec<_> = bids.into_iter().chain(offers).collect();
    let result = of_orders(&orders, &KIND);
    let trade = &result.trades[0];
    assert_eq!(trade.buyer_price.micros_per_kwh(), 6 * unit);
    assert_eq!(trade.seller_price.micros_per_kwh(), 4 * unit);
    let fills: Vec<_> = (0..orders.len()).map(|n| filled(&result, n)).collect();
    assert_eq!(fills, [800, 800, 800, 800, 800, 0, 1_000, 1_000, 2_000, 0, 0]);
    let gains: Vec<_> = (0..10)
        .map(|n| gain(&result, n, orders[n].side, orders[n].steps[0].0) / 10_000_000)
        .collect();
    assert_eq!(gains, [56, 48, 40, 32, 24, 0, 300, 200, 200, 0], "published, in hundredths");
    assert_eq!(money(&result).2, 8 * unit);
    assert_eq!(told(&result, 0), Reason::Rationed);
    // Efficient: 6 units, welfare 21.5.
    assert_eq!(crate::bare::cleared(&orders).welfare.micros(), 215 * unit / 10);
}

/// clearing.md section 4: 4.2 kWh, buy 18, sell 16, the long side pro rata.
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
    let result = of_orders(&orders, &KIND);
    assert_eq!((prices(&result), result.volume.wh()), ((180, 160), 4_200));
    let fills: Vec<_> = (0..orders.len()).map(|n| filled(&result, n)).collect();
    assert_eq!(fills, [1_867, 1_400, 933, 0, 1_000, 2_000, 1_200, 0, 0, 0]);
    assert_eq!(money(&result), (756 * CENT / 10, 672 * CENT / 10, 84 * CENT / 10));
    // The best steps of each rationed bid first: 95.202 - 54.8 ct.
    assert_eq!(result.welfare.micros(), 40_402 * CENT / 1_000);
}

#[test]
fn curves_that_meet_at_one_price_still_trade() {
    // pymarket's huang gives nothing here (clearing.md, section 3).
    let orders = unit_orders(&[20, 15], &[10, 15]);
    let result = of_orders(&orders, &KIND);
    assert_eq!((prices(&result), result.volume.wh()), ((150, 150), 1_000));
}

#[test]
fn a_marginal_curve_stays_out_with_its_better_steps_too() {
    let orders =
        [bid(&[(300, 10), (200, 10)]), bid(&[(250, 10)]), offer(&[(100, 15)]), offer(&[(150, 15)])];
    let result = of_orders(&orders, &KIND);
    // The crossing is 30 Wh: the marginal steps are those at 200 and 150.
    let fills: Vec<_> = (0..4).map(|n| filled(&result, n)).collect();
    assert_eq!(fills, [0, 10, 10, 0]);
    assert_eq!(result.trades[0].buyer_price.micros_per_kwh(), 200);
    let limit = Price::from_micros_per_kwh(200);
    assert_eq!(told(&result, 0), Reason::PriceSetting { limit });
    assert_eq!(told(&result, 2), Reason::Rationed);
}

#[test]
fn one_pair_alone_does_not_trade() {
    let result = of_orders(&[bid(&[(20, 5)]), offer(&[(10, 5)])], &KIND);
    assert_eq!((price(&result), result.trades.len()), (None, 0));
    assert!(matches!(told(&result, 0), Reason::PriceSetting { .. }));
    for answer in &result.answers {
        let words = answer.sentence(Language::English);
        assert!(words.contains("nobody else was left to trade"), "{words}");
        assert!(!words.contains("the others"), "there is no price for anybody: {words}");
        assert!(answer.sentence(Language::Japanese).contains("ほかに取引する人もいませんでした"));
    }
    let result = of_orders(&[bid(&[(20, 5)]), bid(&[(30, 5)]), offer(&[(10, 10)])], &KIND);
    assert_eq!(result.trades.len(), 0, "the only offer is the marginal one");
    assert_eq!(told(&result, 1), Reason::Rationed, "nothing was left for it");
}

#[test]
fn it_knows_one_zone() {
    knows_one_zone(&KIND, &unit_orders(&[100, 90, 80, 70], &[60, 85, 95, 100]));
}

/// One-step orders of one size, or of many sizes; limits on few levels or to the micro-unit.
fn one_step_orders() -> impl Strategy<Value = Vec<Bare>> {
    let limit = prop_oneof![
        prop::collection::vec((-6..7_i64).prop_map(|level| level * 1_000), 2..9),
        prop::collection::vec(-6_000..7_000_i64, 2..9),
    ];
    let sizes = prop_oneof![Just(vec![1; 9]), prop::collection::vec(1..7_i64, 9)];
    (limit, sizes, prop::collection::vec(any::<bool>(), 9)).prop_map(|(limits, sizes, sides)| {
        let order = |((limit, wh), buys): ((i64, i64), bool)| {
            if buys { bid(&[(limit, wh)]) } else { offer(&[(limit, wh)]) }
        };
        limits.into_iter().zip(sizes).zip(sides).map(order).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Each order tries every other limit that could matter: around each limit of the book and each
    /// middle of two of them, and far beyond. Nothing gains it more than the truth.
    #[test]
    fn no_order_gains_by_misstating_its_limit(
        orders in one_step_orders(),
        tick in prop::sample::select(vec![1, 1_000]),
        lot in any::<u64>(),
    ) {
        let clear = |orders: &[Bare]| {
            let result = market::clearing::clear(&book(orders, salt(lot)), &KIND, &flat(0, tick));
            result.unwrap()
        };
        let truth = clear(&orders);
        let limits: Vec<_> = orders.iter().map(|order| order.steps[0].0).collect();
        let middles = limits.iter().flat_map(|a| limits.iter().map(move |b| (a + b).div_euclid(2)));
        let mut tries: Vec<_> = middles.flat_map(|l| [l - 1, l, l + 1]).collect();
        tries.extend([-1_000_000, 1_000_000]);
        tries.sort_unstable();
        tries.dedup();
        for (n, order) in orders.iter().enumerate() {
            let limit = limits[n];
            let honest = gain(&truth, n, order.side, limit);
            prop_assert!(honest >= 0, "order {} loses", n);
            for stated in &tries {
                let mut lying = orders.clone();
                lying[n].steps[0].0 = *stated;
                let lied = gain(&clear(&lying), n, order.side, limit);
                prop_assert!(lied <= honest, "order {n} gains {lied} > {honest} with {stated}");
            }
        }
    }

    #[test]
    fn the_community_never_pays_in_and_nobody_trades_at_a_loss(
        orders in orders(14, 3, 9),
        lot in any::<u64>(),
    ) {
        let result = lawfully(&book(&orders, salt(lot)), &KIND, &flat(500_000, 1));
        let (paid, received, kept) = money(&result);
        prop_assert_eq!(paid, received + kept);
        prop_assert!(result.trades.iter().all(|trade| !trade.rent.is_negative()));
        let auction = crate::bare::cleared(&orders);
        prop_assert!(result.welfare <= auction.welfare && result.volume <= auction.volume);
    }

    /// What is given up is the marginal orders at most: without rationing all others would trade.
    #[test]
    fn all_but_the_marginal_orders_trade_on_the_shorter_side(
        orders in one_step_orders(),
        lot in any::<u64>(),
    ) {
        let result = lawfully(&book(&orders, salt(lot)), &KIND, &flat(500_000, 1));
        let auction = crate::bare::cleared(&orders);
        let most = |side: Side| {
            let of_side = orders.iter().filter(|order| order.side == side);
            of_side.map(|order| order.steps[0].1).max().unwrap_or(0)
        };
        let lost = auction.volume.wh() - result.volume.wh();
        prop_assert!(lost <= most(Side::Buy).max(most(Side::Sell)), "lost {}", lost);
    }

    #[test]
    fn over_free_edges_all_zones_are_one(market in odd_markets(), lot in any::<u64>()) {
        let zones = freed(&market.zones);
        let terms = crate::bare::terms(&zones, 500_000, 1);
        let spread = lawfully(&book(&market.orders, salt(lot)), &KIND, &terms);
        let zone = market::zone::ZoneId(0);
        let gathered: Vec<_> =
            market.orders.iter().map(|order| Bare { zone, ..order.clone() }).collect();
        let one = lawfully(&book(&gathered, salt(lot)), &KIND, &flat(500_000, 1));
        prop_assert_eq!(fills(&one), fills(&spread));
        prop_assert_eq!(one.answers, spread.answers);
    }

    #[test]
    fn preferences_cost_nobody_anything(orders in choosy_orders(12)) {
        let plain: Vec<_> = orders
            .iter()
            .map(|order| Bare { partners: Vec::new(), origin: None, ..order.clone() })
            .collect();
        let (with, without) = (of_orders(&orders, &KIND), of_orders(&plain, &KIND));
        prop_assert_eq!(with.answers, without.answers);
        prop_assert_eq!(with.welfare, without.welfare);
    }

    #[test]
    fn no_bit_of_a_result_can_flip_unnoticed(
        orders in choosy_orders(8),
        at in any::<prop::sample::Index>(),
    ) {
        let (book, terms) = (book(&orders, salt(5)), flat(500_000, 1));
        let result = lawfully(&book, &KIND, &terms);
        if let Some(flipped) = flipped(&result, &at) {
            prop_assert!(check(&book, &KIND, &terms, &flipped).is_err(), "{:?}", result);
        }
    }
}

/// The last of equal limits sets the price and stays out. Who that is, neither the party nor the
/// place in the book decides, and nobody knows it while he can still change his order.
#[test]
fn who_of_equal_limits_stays_out_is_drawn_by_lot() {
    let orders = unit_orders(&[20, 20, 20], &[10, 10, 10]);
    let mut out: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    for lot in 0..90 {
        let book = book(&orders, salt(lot));
        let result = lawfully(&book, &KIND, &flat(500_000, 1));
        let sets = |n: &usize| matches!(told(&result, *n), Reason::PriceSetting { .. });
        let (bids, offers): (Vec<_>, Vec<_>) = (0..6).filter(sets).partition(|n| *n < 3);
        assert_eq!((bids.len(), offers.len()), (1, 1), "one on each side");
        *out.entry((bids[0], offers[0])).or_default() += 1;
    }
    assert_eq!(out.len(), 9, "each bid with each offer: {out:?}");
    assert!(out.values().all(|times| *times < 30), "none far more often than others: {out:?}");
}

/// Who trades must not set his own price.
#[test]
fn a_price_that_a_trader_sets_is_noticed() {
    let orders = unit_orders(&[100, 90, 84], &[80, 85, 100]);
    let (book, terms) = (book(&orders, salt(0)), flat(500_000, 1));
    let mut result = lawfully(&book, &KIND, &terms);
    for trade in &mut result.trades {
        trade.buyer_price = Price::from_micros_per_kwh(100 * CENT);
        trade.buyer_amount = trade.buyer_price.amount_for(trade.energy).unwrap();
        trade.rent = trade.buyer_amount.minus(trade.seller_amount).unwrap();
    }
    let middle = Price::from_micros_per_kwh(925 * CENT / 10);
    result.zones[0].price = Some(middle);
    for answer in result.answers.iter_mut().filter(|answer| answer.side == Side::Buy) {
        let limit = Price::from_micros_per_kwh(100 * CENT);
        answer.price = Some(limit);
        answer.reason = match answer.reason {
            Reason::Filled => Reason::Filled,
            _ if answer.order == order_id(1) => {
                Reason::LimitNotReached { limit: Price::from_micros_per_kwh(90 * CENT) }
            }
            other => other,
        };
    }
    let broken = check(&book, &KIND, &terms, &result).unwrap_err();
    assert!(matches!(broken, BrokenLaw::SetsOwnPrice { side: Side::Buy, .. }), "{broken}");
}
