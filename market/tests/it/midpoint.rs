//! Pair midpoints: the quantities of the auction, each pair in the middle of its limits.

use market::answer::{Language, Reason};
use market::clearing::laws::{BrokenLaw, check};
use market::clearing::sharing::{SharingKey, SharingRule};
use market::clearing::{ClearingResult, MechanismKind, clear};
use market::energy::Energy;
use market::order::Side;
use market::price::Price;
use proptest::prelude::*;

use crate::bare::{Bare, bid, book, choosy_orders, cleared, fills, flat, k_and_tick, offer};
use crate::bare::{order_id, orders, price, salt};
use crate::single::{CENT, flipped, freed, knows_one_zone, lawfully, money, of_orders, turnover};
use crate::tree::odd_markets;

const KIND: MechanismKind = MechanismKind::PairMidpoints;

/// clearing.md section 4: what the sweep pairs, and lemlab's and our pay-as-bid total.
fn ten_orders() -> Vec<Bare> {
    let kwh = |tenths: i64, cents: i64| [(cents * CENT, tenths * 100)];
    vec![
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
    ]
}

#[test]
fn the_worked_example_of_ten_orders_turns_over_109_7_cents() {
    let result = of_orders(&ten_orders(), &KIND);
    assert_eq!(money(&result), (1_097 * CENT / 10, 1_097 * CENT / 10, 0));
    assert_eq!((result.volume.wh(), result.welfare.micros()), (6_200, 458 * CENT / 10));
    // b0-a4 1.0 at 18; b0 with 14 1.0 at 20; 2.2 of 20 with 14 at 17; 0.3 of 20 with a7 at 18;
    // b3-a7 1.7 at 17.
    let expected = [(17 * CENT, 3_900), (18 * CENT, 1_300), (20 * CENT, 1_000)];
    assert_eq!(turnover(&result), expected.into());
    // 109.7 / 6.2 to the micro-unit.
    assert_eq!(price(&result).unwrap().micros_per_kwh(), 176_935);
    let told = |n: usize| result.answers.iter().find(|a| a.order == order_id(n)).unwrap();
    // 1.0 at 18 and 1.0 at 20.
    assert_eq!((told(0).reason, told(0).price), (Reason::Filled, Some("0.19".parse().unwrap())));
    assert!(told(0).averaged && !told(3).averaged);
    assert_eq!(
        [Language::English, Language::Japanese].map(|language| told(0).sentence(language)),
        [
            "All 2.000 kWh traded at 0.190000 on average.",
            "2.000 kWhすべてが平均0.190000で約定しました。"
        ]
    );
    let one_price = told(3).sentence(Language::English);
    assert!(one_price.contains("traded at 0.170000: "), "{one_price}");
    assert_eq!((told(3).filled.wh(), told(3).reason), (1_700, Reason::Rationed));
    assert_eq!(told(8).reason, Reason::NobodyLeft { limit: "0.22".parse().unwrap() });
    assert_eq!(told(9).price, None, "there is no price for an order that trades nothing");
    let words = told(9).sentence(Language::English);
    assert!(words.contains("no offer was left that your limit 0.120000 reaches"), "{words}");
    assert!(told(8).sentence(Language::Japanese).contains("買い注文"));
}

/// The pairs once more, watt-hour by watt-hour: limits of all filled units, sorted.
fn naive_turnover(orders: &[Bare], result: &ClearingResult, tick: i64) -> i128 {
    let filled = fills(result);
    let units = |side: Side| {
        let mut units = Vec::new();
        for (n, order) in orders.iter().enumerate().filter(|(_, order)| order.side == side) {
            let mut left = filled[&order_id(n)];
            for (limit, wh) in &order.steps {
                let taken = left.min(*wh);
                left -= taken;
                units.extend((0..taken).map(|_| *limit));
            }
        }
        units.sort_unstable();
        units
    };
    let (bids, offers) = (units(Side::Buy), units(Side::Sell));
    let pairs = bids.iter().rev().zip(&offers);
    let middle = |(bid, offer): (&i64, &i64)| {
        let middle = (bid + offer).div_euclid(2);
        i128::from((middle - middle.rem_euclid(tick)).max(*offer))
    };
    pairs.map(middle).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn quantities_are_those_of_the_auction(orders in orders(14, 3, 9), lot in any::<u64>()) {
        let book = book(&orders, salt(lot));
        let result = lawfully(&book, &KIND, &flat(500_000, 1));
        let auction = clear(&book, &MechanismKind::ZonalAuction, &flat(500_000, 1)).unwrap();
        prop_assert_eq!(fills(&result), fills(&auction));
        prop_assert_eq!((result.volume, result.welfare), (auction.volume, auction.welfare));
    }

    #[test]
    fn every_pair_of_the_sweep_trades_in_the_middle(
        orders in orders(14, 3, 9),
        (k, tick) in k_and_tick(),
        lot in any::<u64>(),
    ) {
        let result = lawfully(&book(&orders, salt(lot)), &KIND, &flat(k, tick));
        let traded = result.trades.iter().map(|trade| {
            i128::from(trade.buyer_price.micros_per_kwh()) * i128::from(trade.energy.wh())
        });
        prop_assert_eq!(traded.sum::<i128>(), naive_turnover(&orders, &result, tick.into()));
        prop_assert!(result.trades.iter().all(|trade| trade.rent.is_zero()));
    }

    #[test]
    fn neither_the_order_of_messages_nor_k_nor_preferences_change_anything(
        orders in choosy_orders(10),
        k in 0..=1_000_000_u32,
    ) {
        let result = lawfully(&book(&orders, salt(1)), &KIND, &flat(k, 1));
        let plain: Vec<_> = orders
            .iter()
            .map(|order| Bare { partners: Vec::new(), ..order.clone() })
            .collect();
        prop_assert_eq!(&lawfully(&book(&plain, salt(1)), &KIND, &flat(500_000, 1)), &result);
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
        prop_assert_eq!(&one.answers, &spread.answers);
        prop_assert_eq!(money(&one), money(&spread));
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

proptest! {
    /// Equal limits pay and get the same, but for single watt-hours: whatever the lot.
    #[test]
    fn no_lot_decides_whom_equal_limits_meet(
        energies in prop::collection::vec(10..400_i64, 2..6),
        offers in prop::collection::vec((0..40_i64, 10..400_i64), 1..6),
        lot in any::<u64>(),
        mirrored in any::<bool>(),
    ) {
        let equal = energies.iter().map(|wh| [(40_000, *wh)]);
        let others = offers.iter().map(|(limit, wh)| [(limit * 1_000, *wh)]);
        let mirror = |[(limit, wh)]: [(i64, i64); 1]| [(80_000 - limit, wh)];
        let orders: Vec<Bare> = if mirrored {
            let bids = others.map(mirror).map(|steps| bid(&steps));
            equal.map(|steps| offer(&steps)).chain(bids).collect()
        } else {
            equal.map(|steps| bid(&steps)).chain(others.map(|steps| offer(&steps))).collect()
        };
        let result = lawfully(&book(&orders, salt(lot)), &KIND, &flat(500_000, 1));
        let told = (0..energies.len()).map(|n| {
            result.answers.iter().find(|answer| answer.order == order_id(n)).unwrap()
        });
        let traded: Vec<_> = told
            .filter(|answer| answer.filled.is_positive())
            .map(|answer| (answer.price.unwrap().micros_per_kwh(), answer.filled.wh()))
            .collect();
        // Prices lie within 20,000 of each other; a watt-hour off in each of five blocks.
        let off = |wh: i64| 5 * 20_000 / wh + 1;
        for (one, wh) in &traded {
            for (other, other_wh) in &traded {
                prop_assert!((one - other).abs() <= off(*wh) + off(*other_wh), "{:?}", traded);
            }
        }
    }
}

#[test]
fn a_pair_that_does_not_trade_in_the_middle_is_noticed() {
    let orders = ten_orders();
    let (book, terms) = (book(&orders, salt(0)), flat(500_000, 1));
    let mut result = lawfully(&book, &KIND, &terms);
    // The pair agrees on the price of another pair of limits, in money too.
    let trade = result.trades.iter_mut().find(|trade| trade.bid == order_id(3)).unwrap();
    trade.buyer_price = Price::from_micros_per_kwh(17 * CENT - 1);
    trade.seller_price = trade.buyer_price;
    trade.buyer_amount = trade.buyer_price.amount_for(trade.energy).unwrap();
    trade.seller_amount = trade.buyer_amount;
    let broken = check(&book, &KIND, &terms, &result).unwrap_err();
    assert!(matches!(broken, BrokenLaw::WrongTrade { .. }), "{broken}");
}

/// Curves can be paired so that each pair is in the middle of some steps, and still be wrong.
#[test]
fn pairs_in_the_middle_of_the_wrong_steps_are_noticed() {
    let orders = [bid(&[(200, 10), (100, 10)]), offer(&[(50, 20)])];
    let (book, terms) = (book(&orders, salt(0)), flat(500_000, 1));
    let mut result = lawfully(&book, &KIND, &terms);
    assert_eq!(turnover(&result), [(75, 10), (125, 10)].into());
    for trade in &mut result.trades {
        trade.buyer_price = Price::from_micros_per_kwh(75);
        trade.seller_price = trade.buyer_price;
        trade.buyer_amount = trade.buyer_price.amount_for(trade.energy).unwrap();
        trade.seller_amount = trade.buyer_amount;
    }
    result.zones[0].price = Some(Price::from_micros_per_kwh(75));
    for answer in &mut result.answers {
        answer.price = Some(Price::from_micros_per_kwh(75));
        answer.averaged = false;
    }
    assert_eq!(check(&book, &KIND, &terms, &result), Err(BrokenLaw::NotMidpoints));
}

#[test]
fn the_middle_goes_down_to_the_tick_but_not_below_the_offer() {
    let at = |high: i64, low: i64, tick: u32| {
        let book = book(&[bid(&[(high, 5)]), offer(&[(low, 5)])], salt(0));
        price(&lawfully(&book, &KIND, &flat(500_000, tick))).unwrap().micros_per_kwh()
    };
    assert_eq!((at(30, 10, 10), at(40, 10, 10), at(25, 10, 1)), (20, 20, 17));
    // Limits that are no whole ticks, as the corridor of an ex-post gate makes them.
    assert_eq!((at(19, 13, 10), at(13, 13, 10)), (13, 13));
    assert_eq!(at(-10, -31, 10), -30);
}

#[test]
fn energy_that_crosses_at_one_price_trades_in_full() {
    let orders = [bid(&[(20, 2)]), bid(&[(15, 2)]), offer(&[(10, 2)]), offer(&[(15, 2)])];
    assert_eq!(of_orders(&orders, &KIND).volume, Energy::from_wh(4));
    assert_eq!(cleared(&orders).volume, Energy::from_wh(4));
}

#[test]
fn it_knows_one_zone() {
    knows_one_zone(&KIND, &ten_orders());
}

#[test]
fn nobody_on_one_side_means_no_trade() {
    for orders in [vec![], vec![bid(&[(20, 10)])], vec![bid(&[(5, 1)]), offer(&[(6, 1)])]] {
        let result = of_orders(&orders, &KIND);
        assert_eq!((price(&result), result.trades.len()), (None, 0));
        assert!(result.answers.iter().all(|answer| answer.reason == Reason::NoTrade));
    }
}

fn extremes() -> impl Strategy<Value = Vec<Bare>> {
    let limit = prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), any::<i64>()];
    let wh = prop_oneof![Just(1), Just(i64::MAX), Just(i64::MAX / 2), 1..i64::MAX];
    let order = (any::<bool>(), limit, wh).prop_map(|(buys, limit, wh)| {
        if buys { bid(&[(limit, wh)]) } else { offer(&[(limit, wh)]) }
    });
    prop::collection::vec(order, 0..6)
}

proptest! {
    /// Whatever a bare book says, each mechanism gives a lawful result or an error.
    #[test]
    fn hostile_numbers_are_an_error_and_no_wrap(orders in extremes(), price in any::<i64>()) {
        let sharing = SharingRule {
            price: Price::from_micros_per_kwh(price),
            key: SharingKey::ProRata,
        };
        let (book, terms) = (book(&orders, salt(0)), flat(500_000, 1));
        for kind in [KIND, MechanismKind::TradeReduction, MechanismKind::Sharing(sharing)] {
            if let Ok(result) = clear(&book, &kind, &terms) {
                prop_assert_eq!(check(&book, &kind, &terms, &result), Ok(()));
            }
        }
    }
}
