//! Settlement: metered = traded + imbalance on each side, and what that costs.

use std::collections::BTreeMap;

use market::energy::Energy;
use market::member::PartyId;
use market::price::Price;
use market::reading::Quality;
use market::settlement::{Metered, PartySettlement, Settlement, settle};
use market::tariff::Tariffs;
use market::trade::Trade;
use proptest::prelude::*;

use crate::bare::{Bare, bid, cleared, offer, orders, party, period};

/// Readings for some of the parties: imported and exported.
type Readings = Vec<Option<(i64, i64)>>;

const PARTIES: usize = 8;

fn readings() -> impl Strategy<Value = Readings> {
    prop::collection::vec(prop::option::of((0..60_i64, 0..60_i64)), PARTIES)
}

fn tariffs() -> impl Strategy<Value = Tariffs> {
    (-200_000..500_000_i64, 0..500_000_i64).prop_map(|(feed_in, more)| Tariffs {
        feed_in: Price::from_micros_per_kwh(feed_in),
        retail: Price::from_micros_per_kwh(feed_in + more),
    })
}

fn metered(imported: i64, exported: i64) -> Metered {
    Metered {
        imported: Energy::from_wh(imported),
        exported: Energy::from_wh(exported),
        quality: Quality::Ok,
    }
}

fn all(readings: &Readings) -> BTreeMap<PartyId, Option<Metered>> {
    let read = |(n, reading): (usize, &Option<(i64, i64)>)| {
        (party(n), reading.map(|(imported, exported)| metered(imported, exported)))
    };
    readings.iter().enumerate().map(read).collect()
}

fn trades_of(orders: &[Bare]) -> Vec<Trade> {
    cleared(orders).trades
}

/// Half to even by hand: price x Wh / 1000.
fn cost(price: Price, wh: i64) -> i64 {
    let exact = i128::from(price.micros_per_kwh()) * i128::from(wh);
    let (floor, rest) = (exact.div_euclid(1_000), exact.rem_euclid(1_000));
    let up = rest > 500 || (rest == 500 && floor.rem_euclid(2) == 1);
    i64::try_from(floor + i128::from(up)).unwrap()
}

fn settled(trades: &[Trade], readings: &Readings, tariffs: &Tariffs) -> Settlement {
    settle(period(), &all(readings), trades, tariffs).unwrap()
}

fn income(settlement: &PartySettlement) -> i64 {
    settlement.net_income().unwrap().micros()
}

proptest! {
    #[test]
    fn metered_is_traded_plus_imbalance_on_each_side(
        orders in orders(PARTIES, 2, 40),
        readings in readings(),
        tariffs in tariffs(),
    ) {
        let trades = trades_of(&orders);
        let settlement = settled(&trades, &readings, &tariffs);
        prop_assert_eq!(settlement.parties.len(), PARTIES);
        for (n, reading) in readings.iter().enumerate() {
            let s = settlement.parties[&party(n)];
            let traded = |of: fn(&Trade) -> PartyId| {
                let mine = trades.iter().filter(|trade| of(trade) == party(n));
                mine.map(|trade| trade.energy.wh()).sum::<i64>()
            };
            let (sold, bought) = (traded(|t| t.seller), traded(|t| t.buyer));
            prop_assert_eq!((s.sold.wh(), s.bought.wh()), (sold, bought));
            // A reading that never came is taken as "delivered exactly as traded", and marked.
            let (imported, exported) = reading.unwrap_or((bought, sold));
            let missing = s.metered.quality == Quality::Missing;
            prop_assert_eq!(missing, reading.is_none());
            let signed = |over: Energy, under: Energy| over.wh() - under.wh();
            prop_assert_eq!(exported, sold + signed(s.surplus, s.missing));
            prop_assert_eq!(imported, bought + signed(s.extra, s.not_taken));
            for part in [s.surplus, s.missing, s.extra, s.not_taken] {
                prop_assert!(!part.is_negative());
            }
            prop_assert!(s.surplus.is_zero() || s.missing.is_zero());
            prop_assert!(s.extra.is_zero() || s.not_taken.is_zero());
        }
        let sum = |part: fn(&PartySettlement) -> Energy| {
            settlement.parties.values().map(|s| part(s).wh()).sum::<i64>()
        };
        prop_assert_eq!(sum(|s| s.sold), sum(|s| s.bought));
    }

    #[test]
    fn an_imbalance_costs_exactly_retail_and_earns_exactly_feed_in(
        orders in orders(PARTIES, 2, 40),
        readings in readings(),
        tariffs in tariffs(),
    ) {
        let settlement = settled(&trades_of(&orders), &readings, &tariffs);
        for s in settlement.parties.values() {
            let (short, long) = (s.missing.wh() + s.extra.wh(), s.surplus.wh() + s.not_taken.wh());
            prop_assert_eq!(s.supplier_cost.micros(), cost(tariffs.retail, short));
            prop_assert_eq!(s.supplier_income.micros(), cost(tariffs.feed_in, long));
        }
    }

    #[test]
    fn all_parties_and_the_supplier_together_have_nothing(
        orders in orders(PARTIES, 2, 40),
        readings in readings(),
        tariffs in tariffs(),
    ) {
        let settlement = settled(&trades_of(&orders), &readings, &tariffs);
        let parties: i64 = settlement.parties.values().map(income).sum();
        let supplier: i64 = settlement
            .parties
            .values()
            .map(|s| s.supplier_cost.micros() - s.supplier_income.micros())
            .sum();
        prop_assert_eq!(parties + supplier, 0);
    }

    #[test]
    fn without_trades_a_party_pays_what_it_would_without_the_market(
        readings in readings(),
        tariffs in tariffs(),
    ) {
        for s in settled(&[], &readings, &tariffs).parties.values() {
            prop_assert_eq!(s.net_income(), s.net_income_without_market(&tariffs));
        }
    }

    /// Delivered as traded, inside the corridor of the tariffs: nobody loses by the market but for
    /// the rounding of the single trades.
    #[test]
    fn delivered_as_traded_nobody_does_worse_than_with_the_supplier_alone(
        orders in orders(PARTIES, 2, 40),
    ) {
        let tariffs = Tariffs {
            feed_in: Price::from_micros_per_kwh(-9_000),
            retail: Price::from_micros_per_kwh(9_000),
        };
        let trades = trades_of(&orders);
        let inside = |trade: &Trade| {
            (tariffs.feed_in..=tariffs.retail).contains(&trade.buyer_price)
        };
        prop_assume!(trades.iter().all(inside));
        for s in settled(&trades, &vec![None; PARTIES], &tariffs).parties.values() {
            let alone = s.net_income_without_market(&tariffs).unwrap().micros();
            let rounding = i64::try_from(trades.len()).unwrap();
            prop_assert!(income(s) + rounding >= alone, "{:?}", s);
        }
    }

    #[test]
    fn the_order_of_the_trades_does_not_matter(
        (trades, shuffled) in orders(PARTIES, 2, 40).prop_flat_map(|orders| {
            let trades = trades_of(&orders);
            (Just(trades.clone()), Just(trades).prop_shuffle())
        }),
        readings in readings(),
        tariffs in tariffs(),
    ) {
        let one = settled(&trades, &readings, &tariffs);
        prop_assert_eq!(one, settled(&shuffled, &readings, &tariffs));
    }

    /// A correction of one reading changes that party's figures alone, and by the difference that
    /// the supplier's tariffs make of it.
    #[test]
    fn a_correction_concerns_nobody_else(
        orders in orders(PARTIES, 2, 40),
        readings in readings(),
        tariffs in tariffs(),
        who in 0..PARTIES,
        corrected in (0..60_i64, 0..60_i64),
    ) {
        let trades = trades_of(&orders);
        let before = settled(&trades, &readings, &tariffs);
        let mut changed = readings.clone();
        changed[who] = Some(corrected);
        let after = settled(&trades, &changed, &tariffs);
        for n in (0..PARTIES).filter(|n| *n != who) {
            prop_assert_eq!(before.parties[&party(n)], after.parties[&party(n)]);
        }
        let (was, is) = (before.parties[&party(who)], after.parties[&party(who)]);
        prop_assert_eq!((was.sold, was.bought), (is.sold, is.bought), "trades stand");
        prop_assert_eq!(was.trade_income, is.trade_income);
        prop_assert_eq!(was.trade_cost, is.trade_cost);
    }
}

#[test]
fn each_kind_of_imbalance_is_settled_by_its_own_tariff() {
    let orders = [bid(&[(200_000, 1_000)]), offer(&[(100_000, 1_000)])];
    let trades = cleared(&orders).trades;
    let tariffs = Tariffs {
        retail: Price::from_micros_per_kwh(320_000),
        feed_in: Price::from_micros_per_kwh(80_000),
    };
    let settle = |buyer: (i64, i64), seller: (i64, i64)| {
        let settlement = settled(&trades, &vec![Some(buyer), Some(seller)], &tariffs);
        [0, 1].map(|n| income(&settlement.parties[&party(n)]))
    };
    // 1 kWh at 0.15 between them, then 0.1 kWh too much or too little on each register.
    assert_eq!(settle((1_000, 0), (0, 1_000)), [-150_000, 150_000]);
    assert_eq!(settle((1_100, 0), (0, 1_000)), [-150_000 - 32_000, 150_000], "extra");
    assert_eq!(settle((900, 0), (0, 1_000)), [-150_000 + 8_000, 150_000], "not taken");
    assert_eq!(settle((1_000, 0), (0, 1_100)), [-150_000, 150_000 + 8_000], "surplus");
    assert_eq!(settle((1_000, 0), (0, 900)), [-150_000, 150_000 - 32_000], "missing");
    // Both registers are gross: what a buyer feeds in is surplus, it does not net its import.
    assert_eq!(settle((1_000, 100), (100, 1_000)), [-150_000 + 8_000, 150_000 - 32_000]);
}

#[test]
fn an_amount_beyond_the_range_is_an_error() {
    let tariffs = Tariffs {
        retail: Price::from_micros_per_kwh(i64::MAX),
        feed_in: Price::from_micros_per_kwh(0),
    };
    let reading = BTreeMap::from([(party(0), Some(metered(i64::MAX, 0)))]);
    assert!(settle(period(), &reading, &[], &tariffs).is_err());
}
