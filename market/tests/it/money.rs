//! A3. Buyers pay what sellers, the grid operator and the community receive, to the micro-unit; and
//! what the two latter get has its cause.

use std::collections::BTreeMap;

use market::energy::Energy;
use market::price::Price;
use market::zone::ZoneId;
use proptest::prelude::*;

use crate::tree::{choosy_markets, odd_markets, way_up};

proptest! {
    #[test]
    fn buyers_pay_what_sellers_receive_and_charges_and_rent(
        market in prop_oneof![choosy_markets(), odd_markets()],
        k in 0..=1_000_000_u32,
    ) {
        let result = market.cleared_at(k);
        let sum = |of: &dyn Fn(&market::trade::Trade) -> i64| -> i64 {
            result.trades.iter().map(of).sum()
        };
        let paid = sum(&|trade| trade.buyer_amount.micros());
        let received = sum(&|trade| trade.seller_amount.micros());
        let (charge, rent) = result.edges.iter().fold((0, 0), |(charge, rent), edge| {
            (charge + edge.charge.micros(), rent + edge.rent.micros())
        });
        prop_assert_eq!(paid, received + charge + rent);
        prop_assert_eq!(charge, sum(&|trade| trade.charge.micros()));
        prop_assert_eq!(rent, sum(&|trade| trade.rent.micros()));
    }

    /// A charge is the edge's rate times what flows, but for the roundings of the trades that cross
    /// it; and rent comes from full edges alone.
    #[test]
    fn charges_follow_the_flow_and_rent_comes_from_full_edges(
        market in prop_oneof![choosy_markets(), odd_markets()],
    ) {
        let result = market.cleared();
        let mut crossings: BTreeMap<ZoneId, i64> = BTreeMap::new();
        for trade in &result.trades {
            for end in [trade.path.from, trade.path.to] {
                let way = way_up(&market.zones, end);
                for zone in way.into_iter().take_while(|zone| *zone != trade.path.over) {
                    *crossings.entry(zone).or_default() += 1;
                }
            }
        }
        for edge in &result.edges {
            let limits = market.zones.zone(edge.zone).unwrap().edge.unwrap();
            let rate = i128::from(limits.charge.micros_per_kwh());
            let exact = rate * i128::from(edge.flow.wh().abs());
            let off = i128::from(edge.charge.micros()) * 1_000 - exact;
            let crossings = crossings.get(&edge.zone).copied().unwrap_or(0);
            prop_assert!(off.abs() <= i128::from(crossings) * 1_000, "{:?}", edge);
            let full = limits.capacity_up == Some(edge.flow)
                || limits.capacity_down == Some(edge.flow).map(|f| Energy::from_wh(-f.wh()));
            prop_assert!(full || edge.rent.is_zero(), "{:?}", edge);
        }
    }

    /// A1 in money: nobody pays more than its limit nor gets less, trade by trade, and rounding
    /// takes at most half a micro-unit.
    #[test]
    fn no_trade_costs_more_than_the_limit_allows(
        market in prop_oneof![choosy_markets(), odd_markets()],
    ) {
        let (book, result) = (market.book(), market.cleared());
        for trade in &result.trades {
            let bid = book.bids().iter().find(|order| order.id == trade.bid).unwrap();
            let offer = book.offers().iter().find(|order| order.id == trade.offer).unwrap();
            let (most, least) = (bid.steps[0].limit, offer.steps[0].limit);
            prop_assert!(trade.buyer_price <= most && trade.seller_price >= least);
            prop_assert!(trade.buyer_amount <= most.amount_for(trade.energy).unwrap());
            prop_assert!(trade.seller_amount >= least.amount_for(trade.energy).unwrap());
        }
    }

    /// A8. Splitting a trade into n parts moves its money by at most (n + 1) / 2 micro-units.
    #[test]
    fn splitting_a_trade_hardly_moves_its_money(
        micros in -2_000_000..2_000_000_i64,
        parts in prop::collection::vec(1..5_000_i64, 1..10),
    ) {
        let price = Price::from_micros_per_kwh(micros);
        let amount = |wh: i64| price.amount_for(Energy::from_wh(wh)).unwrap().micros();
        let split: i64 = parts.iter().map(|wh| amount(*wh)).sum();
        let off = (split - amount(parts.iter().sum())).abs();
        let count = i64::try_from(parts.len()).unwrap();
        prop_assert!(off * 2 <= count + 1, "{} off in {} parts", off, count);
    }
}
