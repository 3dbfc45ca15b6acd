//! Every order is answered, with the reason that is true, in words that people understand.

use std::collections::BTreeSet;

use market::answer::{Answer, Language, Reason};
use market::clearing::ClearingResult;
use market::energy::Energy;
use market::order::Side;
use market::price::Price;
use market::zone::{ZoneId, ZoneTree};
use proptest::prelude::*;

use crate::bare::{Bare, bid, cleared, offer, order_id};
use crate::tree::{Market, choosy_markets, flow, free, markets, narrow, way_up, zone_price};

fn told(result: &ClearingResult, n: usize) -> &Answer {
    let answer = result.answers.iter().find(|answer| answer.order == order_id(n));
    answer.expect("every order is answered")
}

fn price(text: &str) -> Price {
    text.parse().expect("a price")
}

/// The best price that somebody in a zone meets further up, with all wheeling charges on the way.
fn best_above(zones: &ZoneTree, result: &ClearingResult, zone: ZoneId, side: Side) -> Option<i64> {
    let (mut charges, mut best) = (0, None);
    let way = way_up(zones, zone);
    for (below, above) in way.iter().zip(way.iter().skip(1)) {
        charges += zones.zone(*below)?.edge?.charge.micros_per_kwh();
        let Some(price) = zone_price(result, above.0) else { continue };
        best = match side {
            Side::Buy => Some(best.unwrap_or(i64::MAX).min(price + charges)),
            Side::Sell => Some(best.unwrap_or(i64::MIN).max(price - charges)),
        };
    }
    best
}

/// The first edge on the way up that has no room for what this side would convey.
fn first_full(
    zones: &ZoneTree,
    result: &ClearingResult,
    zone: ZoneId,
    side: Side,
) -> Option<ZoneId> {
    let full = |zone: &ZoneId| {
        let Some(edge) = zones.zone(*zone).and_then(|zone| zone.edge) else { return false };
        match side {
            Side::Buy => edge.capacity_down == Some(Energy::from_wh(-flow(result, *zone))),
            Side::Sell => edge.capacity_up == Some(Energy::from_wh(flow(result, *zone))),
        }
    };
    way_up(zones, zone).into_iter().find(full)
}

/// What an order should be told, from the outcome alone.
fn reason(market: &Market, result: &ClearingResult, n: usize) -> Reason {
    let Bare { side, zone, steps, .. } = &market.orders[n];
    if market.book().crossed().iter().any(|(_, out)| out.id == order_id(n)) {
        return Reason::OwnOrderOpposite;
    }
    let mut left = told(result, n).filled.wh();
    let unfilled = steps.iter().find(|(_, wh)| {
        left -= wh;
        left < 0
    });
    let Some((limit, _)) = unfilled else { return Reason::Filled };
    let own = zone_price(result, zone.0);
    let better = |price: i64| match side {
        Side::Buy => price <= *limit && own.is_none_or(|own| price < own),
        Side::Sell => price >= *limit && own.is_none_or(|own| price > own),
    };
    let beyond = best_above(&market.zones, result, *zone, *side).filter(|price| better(*price));
    let full = first_full(&market.zones, result, *zone, *side);
    let stated = Price::from_micros_per_kwh(*limit);
    match (beyond, full, own) {
        (Some(_), Some(zone), _) => Reason::EdgeFull { zone, limit: stated },
        (_, _, None) => Reason::NoTrade,
        (_, _, Some(own)) if own == *limit => Reason::SharedAtMargin,
        _ => Reason::LimitNotReached { limit: stated },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_order_is_told_what_became_of_it_and_why(
        market in prop_oneof![markets(), choosy_markets()],
    ) {
        let result = market.cleared();
        let answered: BTreeSet<_> = result.answers.iter().map(|answer| answer.order).collect();
        prop_assert_eq!(answered.len(), market.orders.len());
        prop_assert_eq!(result.answers.len(), market.orders.len());
        for n in 0..market.orders.len() {
            prop_assert_eq!(told(&result, n).reason, reason(&market, &result, n), "order {}", n);
        }
    }

    /// An answer has its figures: how much of how much, at which price or at which limit not.
    #[test]
    fn every_sentence_names_its_figures(market in prop_oneof![markets(), choosy_markets()]) {
        for answer in market.cleared().answers {
            for language in [Language::English, Language::Japanese] {
                let sentence = answer.sentence(language);
                if answer.filled.is_positive() {
                    prop_assert!(sentence.contains(&answer.filled.to_string()), "{}", sentence);
                    let price = answer.price.expect("it traded").to_string();
                    prop_assert!(sentence.contains(&price), "{}", sentence);
                }
                if let Reason::LimitNotReached { limit } | Reason::EdgeFull { limit, .. } =
                    answer.reason
                {
                    prop_assert!(sentence.contains(&limit.to_string()), "{}", sentence);
                }
                prop_assert!(!sentence.contains("  ") && !sentence.contains("at ;"));
                let ends = if language == Language::English { '.' } else { '。' };
                prop_assert!(sentence.ends_with(ends), "{}", sentence);
            }
        }
    }
}

/// Solar below a feeder that takes 30 Wh out, and a home in it with too low a bid.
fn full_feeder() -> Market {
    Market::new(
        &[(1, 0, narrow(10_000, 30)), (2, 1, free(0))],
        vec![
            offer(&[(50_000, 40)]).at(1),
            bid(&[(200_000, 50)]).at(0),
            bid(&[(40_000, 10)]).at(1),
            offer(&[(190_000, 10)]).at(2),
            offer(&[(300_000, 10)]).at(1),
        ],
    )
}

#[test]
fn sellers_behind_a_full_edge_are_told_so_and_buyers_who_bid_too_little_are_not() {
    let result = full_feeder().cleared();
    let full = |limit| Reason::EdgeFull { zone: ZoneId(1), limit: price(limit) };
    assert_eq!(told(&result, 0).reason, full("0.05"));
    assert_eq!(told(&result, 3).reason, full("0.19"), "two edges up, the first is free");
    let sentence = |n: usize, language| told(&result, n).sentence(language);
    assert_eq!(
        sentence(0, Language::English),
        "0.030 kWh of 0.040 kWh traded at 0.050000; for the rest, at your limit 0.050000, the line \
         above zone 1 was full."
    );
    assert_eq!(
        sentence(0, Language::Japanese),
        "0.040 kWhのうち0.030 kWhが0.050000で約定しました。残り(指値0.050000)は、ゾーン1の上位の線路が満杯でした。"
    );
    assert_eq!(
        sentence(3, Language::English),
        "Nothing traded at your limit 0.190000: the line above zone 1 was full."
    );
    assert_eq!(
        sentence(3, Language::Japanese),
        "約定なし:ゾーン1の上位の線路が満杯のため、指値0.190000では約定できませんでした。"
    );
    assert_eq!(told(&result, 2).reason, Reason::LimitNotReached { limit: price("0.04") });
    assert_eq!(
        sentence(2, Language::English),
        "Nothing traded: your limit 0.040000 was below the clearing price 0.050000."
    );
    // At 0.30 not even the price beyond the edge would have been enough.
    assert_eq!(told(&result, 4).reason, Reason::LimitNotReached { limit: price("0.3") });
    // The buyer at the root sets the price there.
    assert_eq!(told(&result, 1).reason, Reason::SharedAtMargin);
}

#[test]
fn buyers_behind_a_full_edge_are_told_so() {
    let market = Market::new(
        &[(1, 0, narrow(10_000, 30))],
        vec![
            bid(&[(200_000, 40), (70_000, 5)]).at(1),
            bid(&[(60_000, 5), (59_999, 5)]).at(1),
            offer(&[(50_000, 90)]).at(0),
            bid(&[(55_000, 5)]).at(1),
        ],
    );
    let result = market.cleared();
    let full = |limit| Reason::EdgeFull { zone: ZoneId(1), limit: price(limit) };
    assert_eq!(told(&result, 0).reason, full("0.2"));
    assert_eq!(told(&result, 1).reason, full("0.06"), "0.05 and the charge");
    assert_eq!(told(&result, 3).reason, Reason::LimitNotReached { limit: price("0.055") });
}

/// Where nothing is traded or conveyed there is no price; but what is traded above it counts.
#[test]
fn an_edge_that_lets_nothing_through_is_named_also_below_a_zone_without_trade() {
    let market = Market::new(
        &[(1, 0, free(1_000)), (2, 1, narrow(1_000, 0))],
        vec![
            offer(&[(10_000, 5)]),
            bid(&[(10_000, 9)]),
            bid(&[(30_000, 5)]).at(2),
            bid(&[(11_999, 5)]).at(2),
            offer(&[(8_000, 7)]).at(2),
        ],
    );
    let result = market.cleared();
    assert_eq!(zone_price(&result, 1), None);
    assert_eq!(zone_price(&result, 2), Some(11_999));
    let full = |limit| Reason::EdgeFull { zone: ZoneId(2), limit: price(limit) };
    assert_eq!(told(&result, 2).reason, Reason::Filled);
    assert_eq!(told(&result, 3).reason, Reason::SharedAtMargin, "10,000 and two charges are more");
    let closed = Market { orders: market.orders[..4].to_vec(), ..market };
    let result = closed.cleared();
    assert_eq!(zone_price(&result, 2), None);
    assert_eq!(told(&result, 2).reason, full("0.03"));
    assert_eq!(told(&result, 3).reason, Reason::NoTrade);
    assert_eq!(
        told(&result, 3).sentence(Language::English),
        "Nothing traded: nobody within reach would trade at your limit."
    );
    assert_eq!(
        told(&result, 3).sentence(Language::Japanese),
        "約定なし:届く範囲に、この指値で取引する相手がいませんでした。"
    );
}

#[test]
fn the_sentences_of_one_zone() {
    let own = |order: Bare| Bare { party: Some(99), ..order };
    let orders = [
        bid(&[(200_000, 40)]),
        bid(&[(150_000, 60)]),
        offer(&[(100_000, 70)]),
        offer(&[(190_000, 20)]),
        bid(&[(160_000, 10), (140_000, 10)]),
        own(bid(&[(300_000, 10)])),
        own(offer(&[(290_000, 10)])),
    ];
    let result = cleared(&orders);
    let said = |n: usize| {
        [Language::English, Language::Japanese].map(|language| told(&result, n).sentence(language))
    };
    assert_eq!(
        said(0),
        ["All 0.040 kWh traded at 0.150000.", "0.040 kWhすべてが0.150000で約定しました。"]
    );
    assert_eq!(
        said(1),
        [
            "0.020 kWh of 0.060 kWh traded at 0.150000, exactly your limit: there was not enough \
             for all at this price, so it was shared out pro rata.",
            "0.060 kWhのうち0.020 kWhが指値どおりの0.150000で約定しました。この価格では全員分に足りないため、按分されました。",
        ]
    );
    assert_eq!(
        said(3),
        [
            "Nothing traded: your limit 0.190000 was above the clearing price 0.150000.",
            "約定なし:指値0.190000が約定価格0.150000を上回りました。",
        ]
    );
    assert_eq!(
        said(4),
        [
            "0.010 kWh of 0.020 kWh traded at 0.150000; your next limit 0.140000 was below it.",
            "0.020 kWhのうち0.010 kWhが0.150000で約定しました。次の指値0.140000は約定価格を下回りました。",
        ]
    );
    assert_eq!(
        said(5),
        [
            "Left out: your own order stands on the other side.",
            "対象外:ご自身の反対注文があります。",
        ]
    );
}
