//! The release-build law checks: they pass on every clearing, and fail on every clearing that was
//! tampered with. A check that cannot fail proves nothing.

use market::book::{NotABook, sealed_from_orders};
use market::clearing::laws::{BrokenLaw, check};
use market::clearing::{ClearingResult, Fill, clear};
use market::energy::Energy;
use market::gate::GateIndex;
use market::money::Money;
use market::order::{MalformedOrder, Origin, Side};
use market::price::Price;
use proptest::prelude::*;

use crate::bare::{
    Bare, bid, book, booked, choosy_orders, cleared, k_and_tick, offer, order_id, party, period,
    rules, salt,
};

proptest! {
    #[test]
    fn every_clearing_keeps_every_law(orders in choosy_orders(16), (k, tick) in k_and_tick()) {
        let book = book(&orders, salt(4));
        let result = clear(&book, &rules(k, tick)).unwrap();
        prop_assert_eq!(check(&book, &result), Ok(()));
        prop_assert_eq!(clear(&book, &rules(k, tick)).unwrap(), result);
    }

    /// Nothing in a result is free: flip any bit, and some law is broken.
    #[test]
    fn no_bit_of_a_result_can_flip_unnoticed(
        orders in choosy_orders(8),
        at in any::<prop::sample::Index>(),
    ) {
        let book = book(&orders, salt(5));
        let result = clear(&book, &rules(500_000, 1)).unwrap();
        let mut bytes = borsh::to_vec(&result).unwrap();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(flipped) = borsh::from_slice::<ClearingResult>(&bytes) {
            prop_assert!(check(&book, &flipped).is_err(), "bit {} of {:?}", bit, result);
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
    let book = book(&orders(), salt(0));
    let mut result = cleared(&orders());
    assert_eq!(check(&book, &result), Ok(()));
    assert_eq!((result.volume.wh(), result.price), (70, Some("0.15".parse().unwrap())));
    change(&mut result);
    check(&book, &result).unwrap_err()
}

fn fill_of(result: &mut ClearingResult, n: usize) -> &mut Fill {
    result.fills.iter_mut().find(|fill| fill.order == order_id(n)).expect("it is filled")
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
fn a_price_without_a_trade_and_a_trade_without_a_price_are_noticed() {
    assert!(matches!(verdict(|r| r.price = None), BrokenLaw::PriceWithoutTrade { .. }));
    let book = book(&[bid(&[(10, 5)])], salt(0));
    let mut result = cleared(&[bid(&[(10, 5)])]);
    result.price = Some(Price::ZERO);
    assert!(matches!(check(&book, &result), Err(BrokenLaw::PriceWithoutTrade { .. })));
    result.price = None;
    result.volume = Energy::from_wh(-1);
    assert!(matches!(check(&book, &result), Err(BrokenLaw::BoughtNotSold { .. })));
}

#[test]
fn a_wrong_fill_is_noticed() {
    assert_eq!(verdict(|r| fill_of(r, 0).order = order_id(9)), BrokenLaw::WrongFill(order_id(9)));
    let wrong = BrokenLaw::WrongFill(order_id(0));
    assert_eq!(verdict(|r| fill_of(r, 0).side = Side::Sell), wrong);
    assert_eq!(verdict(|r| fill_of(r, 0).party = party(1)), wrong);
    assert_eq!(verdict(|r| fill_of(r, 0).energy = Energy::ZERO), wrong);
    assert_eq!(verdict(|r| fill_of(r, 0).energy = Energy::from_wh(-5)), wrong);
}

/// Twice the same fill on each side, the volume to match: the sums alone would agree.
#[test]
fn a_fill_that_is_counted_twice_is_noticed() {
    let broken = verdict(|r| {
        let (bought, sold) = (*fill_of(r, 0), *fill_of(r, 4));
        r.fills.extend([Fill { energy: sold.energy, ..bought }, sold]);
        add(&mut r.volume, sold.energy.wh());
    });
    assert!(matches!(broken, BrokenLaw::WrongFill(_)), "{broken}");
}

#[test]
fn bought_but_not_sold_is_noticed() {
    let unequal = |broken| matches!(broken, BrokenLaw::BoughtNotSold { .. });
    assert!(unequal(verdict(|r| add(&mut fill_of(r, 0).energy, 1))));
    assert!(unequal(verdict(|r| add(&mut fill_of(r, 3).energy, -1))));
    assert!(unequal(verdict(|r| add(&mut r.volume, 1))));
    assert!(unequal(verdict(|r| r.fills.truncate(r.fills.len() - 1))));
}

#[test]
fn a_fill_beyond_limit_or_energy_is_noticed() {
    let broken = verdict(|r| {
        add(&mut fill_of(r, 0).energy, 1);
        add(&mut fill_of(r, 1).energy, -1);
    });
    assert!(matches!(broken, BrokenLaw::BeyondLimit { order, .. } if order == order_id(0)));
    // At a price of 0.16 the bids at 0.15 may not trade at all.
    let broken = verdict(|r| r.price = Some("0.16".parse().unwrap()));
    assert!(matches!(broken, BrokenLaw::BeyondLimit { .. }), "{broken}");
}

#[test]
fn somebody_left_out_who_would_gain_is_noticed() {
    let broken = verdict(|r| {
        add(&mut fill_of(r, 0).energy, -1);
        add(&mut fill_of(r, 2).energy, 1);
    });
    assert!(matches!(broken, BrokenLaw::LeftOut { order, .. } if order == order_id(0)));
}

#[test]
fn a_pair_that_both_want_and_nobody_matched_is_noticed() {
    let nothing = |orders: &[Bare]| {
        let mut result = cleared(orders);
        (result.price, result.volume) = (None, Energy::ZERO);
        result.fills.clear();
        result.trades.clear();
        check(&book(orders, salt(0)), &result).unwrap_err()
    };
    for (limit, other) in [(20, 10), (10, 10)] {
        let broken = nothing(&[bid(&[(limit, 5)]), offer(&[(other, 5)])]);
        assert!(matches!(broken, BrokenLaw::UnmatchedPair { .. }), "{broken}");
    }
}

#[test]
fn a_share_at_the_margin_that_is_not_pro_rata_is_noticed() {
    // 30 Wh for claims of 30 and 60: 10 and 20, not 12 and 18.
    let broken = verdict(|r| {
        add(&mut fill_of(r, 1).energy, 2);
        add(&mut fill_of(r, 2).energy, -2);
    });
    assert!(matches!(broken, BrokenLaw::NotProRata { .. }), "{broken}");
}

#[test]
fn a_trade_that_is_not_of_this_book_is_noticed() {
    let changes: [fn(&mut ClearingResult); 13] = [
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
fn lost_money_is_noticed() {
    let lost = |broken| matches!(broken, BrokenLaw::MoneyLost { .. });
    assert!(lost(verdict(|r| r.trades[0].buyer_amount = micro(r.trades[0].buyer_amount))));
    assert!(lost(verdict(|r| r.trades[0].seller_amount = micro(r.trades[0].seller_amount))));
    assert!(lost(verdict(|r| r.trades[0].charge = Money::from_micros(-1))));
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
    let changes: [fn(&mut ClearingResult); 8] = [
        |r| r.answers[0].party = party(1),
        |r| r.answers[0].side = Side::Sell,
        |r| r.answers[0].period = r.period.next().unwrap(),
        |r| r.answers[0].gate = GateIndex(1),
        |r| add(&mut r.answers[0].ordered, 1),
        |r| add(&mut r.answers[0].filled, 1),
        |r| r.answers[0].price = None,
        |r| r.answers[0].reason = market::answer::Reason::NoTrade,
    ];
    for change in changes {
        assert!(matches!(verdict(change), BrokenLaw::WrongAnswer(_)));
    }
}

#[test]
fn a_misstated_welfare_is_noticed() {
    let broken = verdict(|r| r.welfare = micro(r.welfare));
    assert!(matches!(broken, BrokenLaw::WrongWelfare { .. }), "{broken}");
}

#[test]
fn sums_beyond_the_range_are_noticed() {
    let broken = verdict(|r| fill_of(r, 0).energy = Energy::from_wh(i64::MAX));
    assert!(matches!(broken, BrokenLaw::Overflow(_)), "{broken}");
}

/// Who trades with whom may be another matching of the same fills, but never a party with itself.
#[test]
fn a_book_in_which_a_party_would_trade_with_itself_is_none() {
    let mut own = booked(1, &offer(&[(100, 5)]));
    let bought = booked(0, &bid(&[(100, 5)]));
    own.party = bought.party;
    let made = |bids, offers| sealed_from_orders(period(), bids, offers, salt(0));
    let refused = made(vec![bought.clone()], vec![own.clone()]).unwrap_err();
    assert_eq!(refused, NotABook::OwnOrdersCross(party(0)));
    own.steps[0].limit = Price::from_micros_per_kwh(101);
    assert!(made(vec![bought.clone()], vec![own.clone()]).is_ok(), "they do not meet");
    own.id = bought.id;
    let refused = made(vec![bought.clone()], vec![own]).unwrap_err();
    assert_eq!(refused, NotABook::OrderTwice(order_id(0)));
    let mut twice = booked(2, &bid(&[(90, 5)]));
    twice.party = bought.party;
    let refused = made(vec![bought.clone(), twice], vec![]).unwrap_err();
    assert_eq!(refused, NotABook::PartyTwice { party: party(0), side: Side::Buy });
    let mut empty = bought.clone();
    empty.steps.clear();
    assert_eq!(made(vec![empty], vec![]).unwrap_err(), NotABook::EmptyOrder(order_id(0)));
    let mut negative = bought;
    negative.steps[0].energy = Energy::from_wh(-1);
    let refused = made(vec![negative], vec![]).unwrap_err();
    let problem = MalformedOrder::EnergyNotPositive { index: 0, energy: Energy::from_wh(-1) };
    assert_eq!(refused, NotABook::Malformed { order: order_id(0), problem });
}
