//! The release-build law checks pass on every clearing, and fail on every clearing of one zone that
//! was tampered with. A check that cannot fail proves nothing. (Grids: `laws_of_grids`.)

use market::answer::Reason;
use market::book::{NotABook, sealed_from_orders};
use market::clearing::laws::BrokenLaw;
use market::clearing::{ClearingError, ClearingResult};
use market::energy::Energy;
use market::gate::GateIndex;
use market::money::Money;
use market::order::{MalformedOrder, Origin, Side};
use market::price::Price;
use market::zone::ZoneId;
use proptest::prelude::*;

use crate::bare::{
    Bare, auction, bid, book, booked, choosy_orders, cleared, filled, flat, k_and_tick, lawful,
    offer, order_id, party, period, price, salt, terms,
};
use crate::tree::{choosy_markets, odd_markets};

proptest! {
    #[test]
    fn every_clearing_keeps_every_law(orders in choosy_orders(16), (k, tick) in k_and_tick()) {
        let (book, terms) = (book(&orders, salt(4)), flat(k, tick));
        let result = auction(&book, &terms).unwrap();
        prop_assert_eq!(lawful(&book, &terms, &result), Ok(()));
        prop_assert_eq!(auction(&book, &terms).unwrap(), result);
    }

    /// A1 to A4 and A6, on any tree: the law checks judge what other tests judge by other means.
    #[test]
    fn every_clearing_on_any_tree_keeps_every_law(
        market in prop_oneof![choosy_markets(), odd_markets()],
        (k, tick) in k_and_tick(),
        lot in any::<u64>(),
    ) {
        let (book, terms) = (book(&market.orders, salt(lot)), terms(&market.zones, k, tick));
        let result = auction(&book, &terms).unwrap();
        prop_assert_eq!(lawful(&book, &terms, &result), Ok(()));
    }

    /// Nothing in a result is free: flip any bit, and some law is broken.
    #[test]
    fn no_bit_of_a_result_can_flip_unnoticed(
        orders in choosy_orders(8),
        at in any::<prop::sample::Index>(),
    ) {
        let (book, terms) = (book(&orders, salt(5)), flat(500_000, 1));
        let result = auction(&book, &terms).unwrap();
        let mut bytes = borsh::to_vec(&result).unwrap();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(flipped) = borsh::from_slice::<ClearingResult>(&bytes) {
            prop_assert!(lawful(&book, &terms, &flipped).is_err(), "bit {} of {:?}", bit, result);
        }
    }
}

/// Two bids and two offers trade at 150, another bid and another offer are left over; everybody is
/// at the margin or inside it.
fn orders() -> Vec<Bare> {
    vec![
        bid(&[(200_000, 40)]),
        bid(&[(150_000, 30), (120_000, 10)]),
        bid(&[(150_000, 60)]),
        Bare { origin: Some(Origin::Solar), ..offer(&[(100_000, 50)]) },
        offer(&[(110_000, 20)]),
        offer(&[(190_000, 20)]),
    ]
}

/// What the check says about the clearing of [`orders`] after a change.
fn verdict(change: impl FnOnce(&mut ClearingResult)) -> BrokenLaw {
    let mut result = cleared(&orders());
    assert_eq!((result.volume.wh(), price(&result)), (70, Some("0.15".parse().unwrap())));
    change(&mut result);
    lawful(&book(&orders(), salt(0)), &flat(500_000, 1), &result).unwrap_err()
}

/// Fills the n-th order with so much more, and its zone to match.
fn fill(result: &mut ClearingResult, n: usize, wh: i64) {
    let answer = result.answers.iter_mut().find(|answer| answer.order == order_id(n));
    let answer = answer.expect("every order is answered");
    add(&mut answer.filled, wh);
    let zone = &mut result.zones[0];
    add(if answer.side == Side::Buy { &mut zone.bought } else { &mut zone.sold }, wh);
}

fn add(energy: &mut Energy, wh: i64) {
    *energy = Energy::from_wh(energy.wh() + wh);
}

fn micro(money: Money) -> Money {
    Money::from_micros(money.micros() + 1)
}

#[test]
fn a_result_of_another_book_is_noticed() {
    assert_eq!(verdict(|r| r.gate = GateIndex(1)), BrokenLaw::OtherBook);
    assert_eq!(verdict(|r| r.period = r.period.next().unwrap()), BrokenLaw::OtherBook);
}

#[test]
fn a_result_of_another_grid_is_noticed() {
    assert_eq!(verdict(|r| r.zones.clear()), BrokenLaw::OtherGrid);
    assert_eq!(verdict(|r| r.zones.push(r.zones[0])), BrokenLaw::OtherGrid);
    assert_eq!(verdict(|r| r.zones[0].zone = ZoneId(1)), BrokenLaw::OtherGrid);
}

#[test]
fn an_order_outside_the_grid_is_noticed() {
    let mut far = orders();
    far[5].zone = ZoneId(7);
    let judged = lawful(&book(&far, salt(0)), &flat(500_000, 1), &cleared(&orders()));
    let unknown = ClearingError::UnknownZone { order: order_id(5), zone: ZoneId(7) };
    assert_eq!(judged, Err(BrokenLaw::Book(unknown.clone())));
    assert_eq!(auction(&book(&far, salt(0)), &flat(500_000, 1)), Err(unknown));
    // Also one that is left out because its own party stands on the other side.
    let own = |order: Bare| Bare { party: Some(0), ..order };
    let crossed = [own(bid(&[(100, 5)])).at(7), own(offer(&[(100, 5)]))];
    let unknown = ClearingError::UnknownZone { order: order_id(0), zone: ZoneId(7) };
    assert_eq!(auction(&book(&crossed, salt(0)), &flat(500_000, 1)), Err(unknown));
}

#[test]
fn a_price_without_a_trade_and_a_trade_without_a_price_are_noticed() {
    let broken = verdict(|r| r.zones[0].price = None);
    assert!(matches!(broken, BrokenLaw::PriceWithoutTrade { .. }), "{broken}");
    let mut result = cleared(&[bid(&[(10, 5)])]);
    result.zones[0].price = Some(Price::ZERO);
    let judged = lawful(&book(&[bid(&[(10, 5)])], salt(0)), &flat(500_000, 1), &result);
    assert!(matches!(judged, Err(BrokenLaw::PriceWithoutTrade { .. })), "{judged:?}");
}

#[test]
fn bought_but_not_sold_is_noticed() {
    let unequal = |broken| matches!(broken, BrokenLaw::Unbalanced { .. });
    assert!(unequal(verdict(|r| fill(r, 0, 1))));
    assert!(unequal(verdict(|r| fill(r, 3, -1))));
    assert!(unequal(verdict(|r| add(&mut r.zones[0].bought, 1))));
    assert!(unequal(verdict(|r| {
        // Both as much more, but no order has it.
        add(&mut r.zones[0].bought, 1);
        add(&mut r.zones[0].sold, 1);
    })));
}

#[test]
fn a_fill_beyond_limit_or_energy_is_noticed() {
    let broken = verdict(|r| {
        fill(r, 0, 1);
        fill(r, 1, -1);
    });
    assert!(matches!(broken, BrokenLaw::BeyondLimit { order, .. } if order == order_id(0)));
    // At a price of 0.16 the bids at 0.15 may not trade at all.
    let broken = verdict(|r| r.zones[0].price = Some("0.16".parse().unwrap()));
    assert!(matches!(broken, BrokenLaw::BeyondLimit { .. }), "{broken}");
}

#[test]
fn somebody_left_out_who_would_gain_is_noticed() {
    let broken = verdict(|r| {
        fill(r, 0, -1);
        fill(r, 2, 1);
    });
    assert!(matches!(broken, BrokenLaw::LeftOut { order, .. } if order == order_id(0)));
}

#[test]
fn a_pair_that_both_want_and_nobody_matched_is_noticed() {
    for (limit, other) in [(20, 10), (10, 10)] {
        let orders = [bid(&[(limit, 5)]), offer(&[(other, 5)])];
        let mut result = cleared(&orders);
        fill(&mut result, 0, -5);
        fill(&mut result, 1, -5);
        result.zones[0].price = None;
        let judged = lawful(&book(&orders, salt(0)), &flat(500_000, 1), &result);
        assert!(matches!(judged, Err(BrokenLaw::UnmatchedPair { .. })), "{judged:?}");
    }
}

#[test]
fn a_share_at_the_margin_that_is_not_pro_rata_is_noticed() {
    assert_eq!([1, 2].map(|n| filled(&cleared(&orders()), n)), [10, 20]);
    // 30 Wh for claims of 30 and 60: one more here and one less there is a whole watt-hour off.
    for off in [1, -1, 2, -5] {
        let broken = verdict(|r| {
            fill(r, 1, off);
            fill(r, 2, -off);
        });
        assert!(matches!(broken, BrokenLaw::NotProRata { .. }), "{off}: {broken}");
    }
}

#[test]
fn a_trade_that_is_not_of_this_book_is_noticed() {
    let changes: [fn(&mut ClearingResult); 16] = [
        |r| r.trades[0].period = r.period.next().unwrap(),
        |r| r.trades[0].gate = GateIndex(3),
        |r| r.trades[0].buyer = party(8),
        |r| r.trades[0].seller = party(8),
        |r| r.trades[0].bid = order_id(8),
        |r| r.trades[0].offer = order_id(8),
        |r| r.trades[0].bid = r.trades[0].offer,
        |r| r.trades[0].buyer_price = Price::ZERO,
        |r| r.trades[0].seller_price = Price::ZERO,
        |r| r.trades[0].energy = Energy::ZERO,
        |r| add(&mut r.trades[0].energy, 1),
        |r| r.trades[0].path.from = ZoneId(1),
        |r| r.trades[0].path.over = ZoneId(1),
        |r| r.trades[0].path.to = ZoneId(1),
        |r| {
            // Both sides agree on a price of their own: the matcher is not to be trusted.
            r.trades[0].buyer_amount = micro(r.trades[0].buyer_amount);
            r.trades[0].seller_amount = micro(r.trades[0].seller_amount);
        },
        |r| {
            let trade = r.trades.iter_mut().find(|trade| trade.offer == order_id(3)).unwrap();
            trade.origin = Some(Origin::Battery);
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let broken = verdict(change);
        assert!(matches!(broken, BrokenLaw::WrongTrade { .. }), "change {number}: {broken}");
    }
}

#[test]
fn trades_that_do_not_add_up_to_the_fills_are_noticed() {
    let differ = |broken| matches!(broken, BrokenLaw::TradesDifferFromFill { .. });
    assert!(differ(verdict(|r| r.trades.truncate(r.trades.len() - 1))));
    assert!(differ(verdict(|r| r.trades.push(r.trades[0].clone()))));
    assert!(differ(verdict(|r| r.trades.clear())));
}

#[test]
fn money_that_does_not_add_up_is_noticed() {
    let lost = |broken| matches!(broken, BrokenLaw::MoneyLost { .. });
    assert!(lost(verdict(|r| r.trades[0].charge = Money::from_micros(-1))));
    assert!(lost(verdict(|r| r.trades[0].rent = Money::from_micros(1))));
    assert!(lost(verdict(|r| {
        r.trades[0].charge = Money::from_micros(-1);
        r.trades[0].rent = Money::from_micros(1);
    })));
}

#[test]
fn an_order_without_its_one_answer_is_noticed() {
    let broken = verdict(|r| r.answers.truncate(5));
    assert_eq!(broken, BrokenLaw::Unanswered { orders: 6, answers: 5 });
    let broken = verdict(|r| {
        r.answers.pop();
        r.answers.push(r.answers[0].clone());
    });
    assert!(matches!(broken, BrokenLaw::WrongAnswer(_)), "{broken}");
}

#[test]
fn an_answer_that_is_not_true_is_noticed() {
    let changes: [fn(&mut ClearingResult); 9] = [
        |r| r.answers[0].order = order_id(9),
        |r| r.answers[0].party = party(9),
        |r| r.answers[0].side = Side::Sell,
        |r| r.answers[0].period = r.period.next().unwrap(),
        |r| r.answers[0].gate = GateIndex(1),
        |r| add(&mut r.answers[0].ordered, 1),
        |r| r.answers[0].filled = Energy::from_wh(-1),
        |r| r.answers[0].price = None,
        |r| r.answers[0].reason = Reason::NoTrade,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let broken = verdict(change);
        assert!(matches!(broken, BrokenLaw::WrongAnswer(_)), "change {number}: {broken}");
    }
}

/// Every reason is one for some of these orders, and for no other.
#[test]
fn a_reason_that_does_not_hold_is_noticed() {
    let limit = "0.19".parse().unwrap();
    let reasons = [
        Reason::Filled,
        Reason::SharedAtMargin,
        Reason::LimitNotReached { limit },
        Reason::NoTrade,
        Reason::EdgeFull { zone: ZoneId(0), limit },
        Reason::OwnOrderOpposite,
        Reason::Rationed,
        Reason::NobodyLeft { limit },
        Reason::PriceSetting { limit },
        Reason::SharedByKey,
    ];
    let honest = cleared(&orders());
    for (at, answer) in honest.answers.iter().enumerate() {
        for reason in reasons.into_iter().filter(|reason| *reason != answer.reason) {
            let broken = verdict(|r| r.answers[at].reason = reason);
            assert_eq!(broken, BrokenLaw::WrongAnswer(answer.order), "{reason:?}");
        }
    }
}

#[test]
fn a_misstated_volume_or_welfare_is_noticed() {
    let broken = verdict(|r| add(&mut r.volume, 1));
    assert!(matches!(broken, BrokenLaw::WrongVolume { .. }), "{broken}");
    let broken = verdict(|r| r.welfare = micro(r.welfare));
    assert!(matches!(broken, BrokenLaw::WrongWelfare { .. }), "{broken}");
}

#[test]
fn sums_beyond_the_range_are_noticed() {
    let broken = verdict(|r| {
        let all = [0, 1].map(|n| r.answers[n].order);
        for answer in r.answers.iter_mut().filter(|answer| all.contains(&answer.order)) {
            answer.filled = Energy::from_wh(i64::MAX);
        }
    });
    assert!(matches!(broken, BrokenLaw::Overflow(_)), "{broken}");
}

/// An order is named once; that it is not, only forged bytes can say.
#[test]
fn an_order_that_stands_in_the_book_twice_is_noticed() {
    let honest = book(&orders(), salt(0));
    let mut bytes = borsh::to_vec(&honest).unwrap();
    let (one, other) = (order_id(0), order_id(1));
    let at = bytes.windows(32).position(|window| window == other.as_bytes()).unwrap();
    bytes[at..at + 32].copy_from_slice(one.as_bytes());
    let forged = borsh::from_slice(&bytes).unwrap();
    let judged = lawful(&forged, &flat(500_000, 1), &cleared(&orders()));
    assert_eq!(judged, Err(BrokenLaw::OrderTwice(one)));
}

/// Nobody trades with himself: where the best bid of a party reaches its best offer, its bids stay
/// out, all of them, and are told so.
#[test]
fn bids_of_a_party_that_meet_its_own_offers_stay_out() {
    let own = |order: Bare| Bare { party: Some(0), ..order };
    let orders = [
        own(bid(&[(100, 5)])),
        own(bid(&[(90, 5)])),
        own(offer(&[(100, 5)])),
        bid(&[(120, 8)]),
        offer(&[(80, 3)]),
    ];
    let result = cleared(&orders);
    let fills: Vec<_> = (0..5).map(|n| filled(&result, n)).collect();
    assert_eq!(fills, [0, 0, 5, 8, 3]);
    let told = result.answers.iter().filter(|a| a.reason == Reason::OwnOrderOpposite);
    assert_eq!(told.count(), 2);
    // One step worse, and they do not meet.
    let apart = [own(bid(&[(99, 5)])), own(offer(&[(100, 5)])), bid(&[(120, 5)])];
    assert_eq!(filled(&cleared(&apart), 1), 5);
    assert!(cleared(&apart).answers.iter().all(|a| a.reason != Reason::OwnOrderOpposite));
}

#[test]
fn orders_that_do_not_form_a_book_are_refused() {
    let made = |bids, offers| sealed_from_orders(period(), bids, offers, salt(0));
    let (bought, mut sold) = (booked(0, &bid(&[(100, 5)])), booked(1, &offer(&[(100, 5)])));
    sold.id = bought.id;
    let refused = made(vec![bought.clone()], vec![sold]).unwrap_err();
    assert_eq!(refused, NotABook::OrderTwice(order_id(0)));
    let mut empty = bought.clone();
    empty.steps.clear();
    assert_eq!(made(vec![empty], vec![]).unwrap_err(), NotABook::EmptyOrder(order_id(0)));
    let mut negative = bought.clone();
    negative.steps[0].energy = Energy::from_wh(-1);
    let refused = made(vec![negative], vec![]).unwrap_err();
    let problem = MalformedOrder::EnergyNotPositive { index: 0, energy: Energy::from_wh(-1) };
    assert_eq!(refused, NotABook::Malformed { order: order_id(0), problem });
    let rising = booked(2, &bid(&[(100, 5), (100, 1)]));
    let problem = MalformedOrder::StepsNotInOrder { index: 1 };
    let refused = made(vec![rising], vec![]).unwrap_err();
    assert_eq!(refused, NotABook::Malformed { order: order_id(2), problem });
}
