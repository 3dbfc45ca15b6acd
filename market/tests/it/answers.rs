//! Every order is answered, with the reason that is true, in words that people understand.

use std::collections::BTreeSet;

use market::answer::{Answer, Language, Reason};
use market::clearing::ClearingResult;
use market::energy::Energy;
use market::order::Side;
use market::price::Price;
use market::zone::ZoneId;
use proptest::prelude::*;

use crate::bare::{Bare, bid, cleared, offer, order_id};
use crate::tree::{
    Market, choosy_markets, flow, free, markets, meeting, narrow, way_up, zone_price,
};

fn told(result: &ClearingResult, n: usize) -> &Answer {
    let answer = result.answers.iter().find(|answer| answer.order == order_id(n));
    answer.expect("every order is answered")
}

fn price(text: &str) -> Price {
    text.parse().expect("a price")
}

/// For what the other side trades in a zone; where nothing is traded, for what it would.
fn offered(market: &Market, result: &ClearingResult, zone: ZoneId, side: Side) -> Option<i64> {
    let book = market.book();
    let orders = if side == Side::Buy { book.offers() } else { book.bids() };
    let limits = orders.iter().filter(|order| order.zone == zone);
    let mut limits: Vec<_> = limits.map(|order| order.steps[0].limit.micros_per_kwh()).collect();
    limits.sort_unstable();
    let best = if side == Side::Buy { limits.first() } else { limits.last() };
    zone_price(result, zone.0).or(best.copied())
}

/// The best price behind a full edge, with all wheeling charges on the way, and all edges that are
/// the first full one on the way to it.
fn beyond(
    market: &Market,
    result: &ClearingResult,
    from: ZoneId,
    side: Side,
) -> Option<(i64, BTreeSet<ZoneId>)> {
    let mut found: BTreeSet<(i64, ZoneId)> = BTreeSet::new();
    for (to, _) in market.zones.iter().filter(|(to, _)| *to != from) {
        let top = meeting(&market.zones, from, to);
        let up: Vec<_> =
            way_up(&market.zones, from).into_iter().take_while(|z| *z != top).collect();
        let mut down: Vec<_> =
            way_up(&market.zones, to).into_iter().take_while(|z| *z != top).collect();
        down.reverse();
        let way =
            up.into_iter().map(|zone| (zone, true)).chain(down.into_iter().map(|z| (z, false)));
        let (mut charges, mut full) = (0, None);
        for (zone, looks_up) in way {
            let edge = market.zones.zone(zone).and_then(|zone| zone.edge).expect("not the root");
            charges += edge.charge.micros_per_kwh();
            // What is offered comes to the bid, and what is sold leaves the offer.
            let flow = Energy::from_wh(flow(result, zone));
            let capacity = match (side, looks_up) {
                (Side::Buy, true) | (Side::Sell, false) => {
                    edge.capacity_down.is_some_and(|most| flow.wh() == -most.wh())
                }
                _ => edge.capacity_up == Some(flow),
            };
            full = full.or(capacity.then_some(zone));
        }
        if let (Some(full), Some(price)) = (full, offered(market, result, to, side)) {
            found.insert((if side == Side::Buy { price + charges } else { price - charges }, full));
        }
    }
    let best = if side == Side::Buy { found.first() } else { found.last() };
    let best = best?.0;
    let edges = found.into_iter().filter(|(price, _)| *price == best).map(|(_, zone)| zone);
    Some((best, edges.collect()))
}

/// What an order may be told, from the outcome alone.
fn reasons(market: &Market, result: &ClearingResult, n: usize) -> Vec<Reason> {
    let Bare { side, zone, steps, .. } = &market.orders[n];
    if market.book().crossed().iter().any(|(_, out)| out.id == order_id(n)) {
        return vec![Reason::OwnOrderOpposite];
    }
    let mut left = told(result, n).filled.wh();
    let unfilled = steps.iter().find(|(_, wh)| {
        left -= wh;
        left < 0
    });
    let Some((limit, _)) = unfilled else { return vec![Reason::Filled] };
    let own = zone_price(result, zone.0);
    let better = |price: i64| match side {
        Side::Buy => price <= *limit && own.is_none_or(|own| price < own),
        Side::Sell => price >= *limit && own.is_none_or(|own| price > own),
    };
    let stated = Price::from_micros_per_kwh(*limit);
    let beyond = beyond(market, result, *zone, *side).filter(|(price, _)| better(*price));
    match (beyond, own) {
        (Some((_, edges)), _) => {
            edges.into_iter().map(|zone| Reason::EdgeFull { zone, limit: stated }).collect()
        }
        (_, None) => vec![Reason::NoTrade],
        (_, Some(own)) if own == *limit => vec![Reason::SharedAtMargin],
        _ => vec![Reason::LimitNotReached { limit: stated }],
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
            let (told, may_be) = (told(&result, n).reason, reasons(&market, &result, n));
            prop_assert!(may_be.contains(&told), "order {}: {:?}, not {:?}", n, told, may_be);
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
    // The buyer at the root sets the price there, and would buy the rest from below.
    assert_eq!(told(&result, 1).reason, full("0.2"));
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

/// The line down to zone 2 is full: that is why neither the town nor zone 1 sells more, and zone 1,
/// where nothing is traded, is told so too.
#[test]
fn sellers_above_and_beside_a_full_edge_are_told_so() {
    let market = Market::new(
        &[(1, 0, free(20_000)), (2, 0, narrow(20_000, 30))],
        vec![
            offer(&[(100_000, 80)]),
            offer(&[(150_000, 10)]).at(1),
            offer(&[(490_000, 10)]).at(1),
            bid(&[(500_000, 90)]).at(2),
            bid(&[(90_000, 10)]).at(1),
        ],
    );
    let result = market.cleared();
    let full = |limit| Reason::EdgeFull { zone: ZoneId(2), limit: price(limit) };
    assert_eq!((told(&result, 0).reason, told(&result, 0).filled.wh()), (full("0.1"), 30));
    assert_eq!(told(&result, 1).reason, full("0.15"), "0.5 less two charges of 0.02");
    assert_eq!(told(&result, 2).reason, Reason::NoTrade, "0.49 is more than 0.46");
    assert_eq!(told(&result, 3).reason, full("0.5"));
    assert_eq!(told(&result, 4).reason, Reason::NoTrade, "there is room for 0.12, but not at 0.09");
}

/// Nothing is traded in either zone: the limits that are left over say what the line keeps apart.
#[test]
fn orders_that_only_a_closed_edge_keeps_apart_are_told_so() {
    let market = Market::new(
        &[(1, 0, narrow(20_000, 0))],
        vec![offer(&[(100_000, 80)]), bid(&[(120_000, 10)]).at(1), bid(&[(119_999, 10)]).at(1)],
    );
    let result = market.cleared();
    let full = |limit| Reason::EdgeFull { zone: ZoneId(1), limit: price(limit) };
    assert_eq!(told(&result, 0).reason, full("0.1"));
    assert_eq!(told(&result, 1).reason, full("0.12"));
    assert_eq!(told(&result, 2).reason, Reason::NoTrade);
}

/// Whatever the reason, an answer to an order that traded nothing reads as such.
#[test]
fn every_reason_reads_right_where_nothing_was_filled() {
    let result = cleared(&[bid(&[(200_000, 40)]), offer(&[(100_000, 40)])]);
    let limit = price("0.15");
    let reasons = [
        Reason::SharedAtMargin,
        Reason::LimitNotReached { limit },
        Reason::NoTrade,
        Reason::EdgeFull { zone: ZoneId(1), limit },
        Reason::OwnOrderOpposite,
        Reason::Rationed,
        Reason::NobodyLeft { limit },
        Reason::PriceSetting { limit },
        Reason::SharedByKey,
    ];
    for reason in reasons {
        let needs_price = matches!(reason, Reason::SharedAtMargin | Reason::LimitNotReached { .. });
        for stated in [None, Some(limit)].into_iter().skip(usize::from(needs_price)) {
            let answer =
                Answer { filled: Energy::ZERO, price: stated, reason, ..told(&result, 0).clone() };
            let [english, japanese] =
                [Language::English, Language::Japanese].map(|language| answer.sentence(language));
            let begins =
                ["Nothing traded", "Left out", "The community's sharing key allotted nothing"];
            assert!(begins.iter().any(|begin| english.starts_with(begin)), "{english}");
            assert!(!english.contains("0.000 kWh") && !japanese.contains("0.000 kWh"), "{english}");
            let begins = ["約定なし", "対象外", "この時間帯は"];
            assert!(begins.iter().any(|begin| japanese.starts_with(begin)), "{japanese}");
        }
    }
}

/// Two bids at 18 and 15 for 14 of one offer, k = 0: the second stands at the price and gets
/// nothing.
#[test]
fn who_stands_at_the_margin_and_gets_nothing_is_told_so() {
    let orders =
        vec![bid(&[(180_000, 1_000)]), bid(&[(150_000, 1_000)]), offer(&[(140_000, 1_000)])];
    let result = Market::new(&[], orders).cleared_at(0);
    let answer = told(&result, 1);
    assert_eq!((answer.filled.wh(), answer.reason), (0, Reason::SharedAtMargin));
    assert_eq!(
        answer.sentence(Language::English),
        "Nothing traded: at the price of 0.150000, exactly your limit, nothing was left for you \
         after better limits and the sharing pro rata."
    );
    assert_eq!(
        answer.sentence(Language::Japanese),
        "約定なし:約定価格0.150000は指値どおりでしたが、より有利な指値と按分のあとに残りがありませんでした。"
    );
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
