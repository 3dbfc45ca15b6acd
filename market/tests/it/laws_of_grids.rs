//! The law checks of grids fail on every clearing whose flows, prices or charges were changed.

use market::answer::Reason;
use market::clearing::laws::BrokenLaw;
use market::clearing::{ClearingResult, EdgeResult, ZoneResult};
use market::energy::Energy;
use market::money::Money;
use market::price::Price;
use market::zone::ZoneId;
use proptest::prelude::*;

use crate::bare::{bid, lawful, offer, order_id, terms};
use crate::tree::{Market, choosy_markets, free, narrow, zone_price};

/// Zone 1 sells 30 Wh up its narrow edge and zone 2 buys them over a free one; both edges charge.
/// In zone 3, below zone 2 and with a charge too high for it, a bid and an offer meet.
fn market() -> Market {
    let branches = [(1, 0, narrow(10_000, 30)), (2, 0, free(20_000)), (3, 2, free(90_000))];
    let orders = vec![
        offer(&[(50_000, 40)]).at(1),
        bid(&[(45_000, 15)]).at(1),
        bid(&[(200_000, 50)]).at(2),
        bid(&[(110_000, 10)]).at(3),
        offer(&[(130_000, 10), (150_000, 5)]).at(3),
        bid(&[(140_000, 4)]).at(3),
    ];
    Market::new(&branches, orders)
}

fn verdict(change: impl FnOnce(&mut ClearingResult)) -> BrokenLaw {
    let market = market();
    let mut result = market.cleared();
    let prices: Vec<_> = (0..4).map(|zone| zone_price(&result, zone)).collect();
    assert_eq!(prices, [Some(180_000), Some(50_000), Some(200_000), Some(130_000)]);
    assert_eq!(result.edges.iter().map(|edge| edge.flow.wh()).collect::<Vec<_>>(), [30, -30, 0]);
    change(&mut result);
    lawful(&market.book(), &terms(&market.zones, 500_000, 1), &result).unwrap_err()
}

fn at(price: &str) -> Option<Price> {
    Some(price.parse().unwrap())
}

fn add(energy: &mut Energy, wh: i64) {
    *energy = Energy::from_wh(energy.wh() + wh);
}

fn more(money: &mut Money, micros: i64) {
    *money = Money::from_micros(money.micros() + micros);
}

proptest! {
    /// Flip any bit of a result on any tree, and some law is broken, but for the choice among
    /// several reasons that hold.
    #[test]
    fn no_bit_of_a_result_on_any_tree_can_flip_unnoticed(
        market in choosy_markets(),
        ats in prop::collection::vec(any::<prop::sample::Index>(), 16),
    ) {
        let (book, terms) = (market.book(), terms(&market.zones, 500_000, 1));
        let result = market.cleared();
        let bytes = borsh::to_vec(&result).unwrap();
        for at in ats {
            let bit = at.index(bytes.len() * 8);
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(mut flipped) = borsh::from_slice::<ClearingResult>(&bytes) else { continue };
            let judged = lawful(&book, &terms, &flipped);
            for (new, old) in flipped.answers.iter_mut().zip(&result.answers) {
                new.reason = old.reason;
            }
            prop_assert!(judged.is_err() || flipped == result, "{:?} to {:?}", result, flipped);
        }
    }
}

#[test]
fn a_result_of_another_grid_is_noticed() {
    assert_eq!(verdict(|r| r.edges.clear()), BrokenLaw::OtherGrid);
    assert_eq!(verdict(|r| r.edges.swap(0, 1)), BrokenLaw::OtherGrid);
    assert_eq!(verdict(|r| r.zones.swap(0, 1)), BrokenLaw::OtherGrid);
    assert_eq!(verdict(|r| r.edges[0].zone = ZoneId(0)), BrokenLaw::OtherGrid);
    assert_eq!(verdict(|r| r.zones[3].zone = ZoneId(4)), BrokenLaw::OtherGrid);
}

#[test]
fn energy_that_comes_from_nowhere_is_noticed() {
    let broken = verdict(|r| add(&mut r.edges[0].flow, -1));
    assert!(matches!(broken, BrokenLaw::Unbalanced { .. }), "{broken}");
}

#[test]
fn a_flow_beyond_the_capacity_is_noticed() {
    let broken = verdict(|r| {
        // One more is sold in zone 1 and bought in zone 2.
        for (n, zone) in [(0, 1), (2, 2)] {
            let answer = r.answers.iter_mut().find(|answer| answer.order == order_id(n)).unwrap();
            add(&mut answer.filled, 1);
            let ZoneResult { bought, sold, .. } = &mut r.zones[zone];
            add(if n == 0 { sold } else { bought }, 1);
        }
        add(&mut r.edges[0].flow, 1);
        add(&mut r.edges[1].flow, -1);
    });
    let over = BrokenLaw::OverCapacity { zone: ZoneId(1), flow: Energy::from_wh(31) };
    assert_eq!(broken, over);
}

#[test]
fn a_price_without_a_flow_is_noticed() {
    let broken = verdict(|r| r.zones[0].price = None);
    assert!(matches!(broken, BrokenLaw::PriceWithoutTrade { .. }), "{broken}");
}

#[test]
fn prices_that_do_not_fit_an_edge_are_noticed() {
    let wrong = |broken| matches!(broken, BrokenLaw::WrongPriceDifference { .. });
    // The free edge below the root: too high and too low.
    assert!(wrong(verdict(|r| r.zones[0].price = at("0.181"))));
    assert!(wrong(verdict(|r| r.zones[0].price = at("0.179"))));
    // The narrow one is full, but never sells at a loss.
    assert!(wrong(verdict(|r| r.zones[1].price = at("0.171"))));
    // Zone 3 has room, and would sell.
    assert!(wrong(verdict(|r| r.zones[3].price = at("0.109999"))));
    assert!(wrong(verdict(|r| r.zones[3].price = at("0.290001"))));
}

#[test]
fn a_pair_that_could_trade_over_an_edge_is_noticed() {
    let market = Market::new(
        &[(1, 0, free(10)), (2, 0, free(20))],
        vec![offer(&[(100, 5)]).at(1), bid(&[(130, 5)]).at(2)],
    );
    let mut result = market.cleared();
    assert_eq!(result.volume.wh(), 5, "100 + 10 + 20");
    result.trades.clear();
    for answer in &mut result.answers {
        answer.filled = Energy::ZERO;
    }
    for zone in &mut result.zones {
        (zone.price, zone.bought, zone.sold) = (None, Energy::ZERO, Energy::ZERO);
    }
    for edge in &mut result.edges {
        (edge.flow, edge.charge, edge.rent) = (Energy::ZERO, Money::ZERO, Money::ZERO);
    }
    let judged = lawful(&market.book(), &terms(&market.zones, 500_000, 1), &result);
    assert!(matches!(judged, Err(BrokenLaw::UnmatchedPair { .. })), "{judged:?}");
}

#[test]
fn trades_that_take_another_way_are_noticed() {
    let broken = verdict(|r| r.trades[0].path.over = ZoneId(2));
    assert!(matches!(broken, BrokenLaw::WrongTrade { .. }), "{broken}");
}

/// What flows must be what is traded: here fills balance, but the trades go elsewhere.
#[test]
fn trades_that_are_not_the_flows_are_noticed() {
    let market = Market::new(
        &[(1, 0, free(0)), (2, 0, free(0))],
        vec![
            offer(&[(100, 5)]).at(1),
            bid(&[(100, 5)]).at(1),
            offer(&[(100, 5)]).at(2),
            bid(&[(100, 5)]).at(2),
        ],
    );
    let mut result = market.cleared();
    assert!(result.edges.iter().all(|edge| edge.flow.is_zero()), "everybody trades at home");
    let (first, second) = (result.trades[0].clone(), result.trades[1].clone());
    let across = |from: &market::trade::Trade, to: &market::trade::Trade| {
        let mut trade = from.clone();
        (trade.bid, trade.buyer) = (to.bid, to.buyer);
        (trade.path.over, trade.path.to) = (ZoneId(0), to.path.to);
        trade
    };
    // Crosswise each edge carries as much up as down: the net flow is still nothing.
    result.trades = vec![across(&first, &second), across(&second, &first)];
    let judged = |result| lawful(&market.book(), &terms(&market.zones, 500_000, 1), result);
    assert_eq!(judged(&result), Ok(()));
    // Only stated flows that differ from it are wrong, also where all zones still add up.
    let market = Market::new(
        &[(1, 0, free(0)), (2, 1, free(0))],
        vec![offer(&[(100, 5)]).at(2), bid(&[(100, 5)]).at(2), bid(&[(50, 1)]).at(0)],
    );
    let mut result = market.cleared();
    result.edges[0].flow = Energy::from_wh(1);
    let judged = lawful(&market.book(), &terms(&market.zones, 500_000, 1), &result);
    assert!(matches!(judged, Err(BrokenLaw::Unbalanced { .. })), "{judged:?}");
}

#[test]
fn money_moved_between_charge_and_rent_is_noticed() {
    let lost = |broken| {
        let noticed = matches!(broken, BrokenLaw::MoneyLost { .. } | BrokenLaw::WrongToll { .. });
        assert!(noticed, "{broken}");
    };
    lost(verdict(|r| more(&mut r.trades[0].charge, 1)));
    lost(verdict(|r| more(&mut r.edges[0].charge, 1)));
    lost(verdict(|r| more(&mut r.edges[0].rent, -1)));
    lost(verdict(|r| {
        more(&mut r.trades[0].charge, 1);
        more(&mut r.trades[0].rent, -1);
    }));
    lost(verdict(|r| {
        more(&mut r.edges[0].charge, 1);
        more(&mut r.edges[0].rent, -1);
    }));
    lost(verdict(|r| {
        // The grid operator would get less, the community more: in the trade and at the edge.
        more(&mut r.trades[0].charge, -1);
        more(&mut r.trades[0].rent, 1);
        more(&mut r.edges[0].charge, -1);
        more(&mut r.edges[0].rent, 1);
    }));
    lost(verdict(|r| {
        let [one, other, _] = &mut r.edges[..] else { panic!("three edges") };
        let moved: fn(&mut EdgeResult, i64) = |edge, micros| more(&mut edge.charge, micros);
        moved(one, 1);
        moved(other, -1);
    }));
}

#[test]
fn a_full_edge_that_is_not_full_is_noticed() {
    let seller =
        |r: &ClearingResult| r.answers.iter().position(|a| a.order == order_id(0)).unwrap();
    let honest = market().cleared();
    let limit = "0.05".parse().unwrap();
    assert_eq!(honest.answers[seller(&honest)].reason, Reason::EdgeFull { zone: ZoneId(1), limit });
    for zone in [0, 2, 3, 9] {
        let broken = verdict(|r| {
            let at = seller(r);
            r.answers[at].reason = Reason::EdgeFull { zone: ZoneId(zone), limit };
        });
        assert_eq!(broken, BrokenLaw::WrongAnswer(order_id(0)), "zone {zone}");
    }
}

#[test]
fn a_share_that_is_not_pro_rata_above_other_zones_is_noticed() {
    let market = Market::new(
        &[(1, 0, free(0))],
        vec![bid(&[(20, 45)]), offer(&[(10, 30)]), offer(&[(10, 30)]), offer(&[(10, 30)]).at(1)],
    );
    let shift = |wh: i64| {
        let mut result = market.cleared();
        for (n, wh) in [(1, wh), (2, -wh)] {
            let answer = result.answers.iter_mut().find(|answer| answer.order == order_id(n));
            add(&mut answer.unwrap().filled, wh);
        }
        lawful(&market.book(), &terms(&market.zones, 500_000, 1), &result)
    };
    for wh in [2, -2, 10] {
        assert!(matches!(shift(wh), Err(BrokenLaw::NotProRata { .. })), "{wh}: {:?}", shift(wh));
    }
}
