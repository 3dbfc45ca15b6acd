//! An imbalance never costs more than retail nor earns less than feed-in, to the micro-unit, and
//! nothing goes to the supplier that a neighbour could have had.

use market::energy::Energy;
use market::money::Money;
use market::settlement::{Imbalance, PartySettlement, pool_shares};
use market::trade::Trade;
use proptest::prelude::*;

use crate::bare::party;
use crate::settlement::world::{self, World};

fn plus(one: Energy, other: Energy) -> Energy {
    one.plus(other).unwrap()
}

/// What a party's imbalances come to, levies and tax aside.
fn imbalance(s: &PartySettlement) -> i64 {
    s.pool_income.micros() + s.supplier_income.micros()
        - s.pool_cost.micros()
        - s.supplier_cost.micros()
        - s.pool_wheeling.micros()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_imbalance_never_costs_more_than_retail_nor_earns_less_than_feed_in(
        world in world::worlds(),
    ) {
        let rates = world.rates();
        for s in world.settled().parties.values() {
            let long = rates.feed_in.amount_for(plus(s.surplus, s.not_taken)).unwrap();
            let short = rates.retail.amount_for(plus(s.missing, s.extra)).unwrap();
            prop_assert!(imbalance(s) >= long.micros() - short.micros(), "{:?}", s);
        }
    }

    #[test]
    fn every_step_of_the_pool_lies_in_the_corridor_charges_included(world in world::worlds()) {
        let rates = world.rates();
        for share in world.facts(pool_shares).unwrap() {
            let (price, charges) = (share.price.micros_per_kwh(), share.charges.micros_per_kwh());
            match share.imbalance {
                Imbalance::Long => prop_assert!(price - charges >= rates.feed_in.micros_per_kwh()),
                Imbalance::Short => prop_assert!(price + charges <= rates.retail.micros_per_kwh()),
            }
            let home = (0..world.homes.len()).find(|n| party(*n) == share.party).unwrap();
            prop_assert_eq!(world.charges(world.homes[home], share.zone), Some(charges));
        }
    }

    /// As A4 for orders: no two are left over that both would want, charges included.
    #[test]
    fn nothing_goes_to_the_supplier_that_a_neighbour_could_have_had(world in world::worlds()) {
        let settlement = world.settled();
        let room = world.rates().retail.micros_per_kwh() - world.rates().feed_in.micros_per_kwh();
        let left = |part: fn(&PartySettlement) -> Energy| -> Vec<_> {
            let open = |n: &usize| part(&settlement.parties[&party(*n)]).is_positive();
            (0..world.homes.len()).filter(open).map(|n| world.homes[n]).collect()
        };
        for giver in left(|s| s.fed_in) {
            for taker in left(|s| s.supplied) {
                let way = |zone| Some(world.charges(giver, zone)? + world.charges(taker, zone)?);
                let ways = world.zones.iter().filter_map(|(zone, _)| way(zone));
                prop_assert!(ways.min().unwrap() > room);
            }
        }
    }

    /// Levies and tax included, to the micro-unit: whoever only pools cannot lose.
    #[test]
    fn without_trades_nobody_does_worse_than_with_the_supplier_alone(world in world::worlds()) {
        let world = World { trades: Vec::new(), ..world };
        let rates = world.rates();
        for s in world.settled().parties.values() {
            let alone = s.net_income_without_market(&rates).unwrap();
            prop_assert!(s.net_income().unwrap() >= alone, "{:?}", s);
        }
    }

    #[test]
    fn alone_in_the_community_a_party_with_one_register_is_settled_as_without_the_market(
        wh in 0..60_i64,
        imports in any::<bool>(),
        world in world::worlds(),
    ) {
        let reading = Some(if imports { (wh, 0) } else { (0, wh) });
        let (homes, readings) = (vec![world.homes[0]], vec![reading]);
        let world = World { homes, readings, trades: Vec::new(), ..world };
        let s = world.settled().parties[&party(0)];
        prop_assert_eq!(s.net_income(), s.net_income_without_market(&world.rates()));
    }

    /// Delivered as traded, only the trades' own money moves, and what every import bears.
    #[test]
    fn delivered_as_traded_there_is_nothing_to_settle_but_the_trades(world in world::worlds()) {
        let world = world.as_traded();
        let rates = world.rates();
        let settlement = world.settled();
        prop_assert!(settlement.pools.is_empty());
        for n in 0..world.homes.len() {
            let s = settlement.parties[&party(n)];
            let sum = |amount: fn(&Trade) -> Money, mine: &dyn Fn(&Trade) -> bool| -> i64 {
                let trades = world.trades.iter().filter(|trade| mine(trade));
                trades.map(|trade| amount(trade).micros()).sum()
            };
            let earned = sum(|trade| trade.seller_amount, &|trade| trade.seller == party(n))
                - sum(|trade| trade.buyer_amount, &|trade| trade.buyer == party(n));
            let levies = rates.import_levies.amount_for(s.bought).unwrap();
            let tax = rates.tax(Money::ZERO, levies).unwrap();
            prop_assert_eq!((s.levies, s.tax), (levies, tax));
            prop_assert_eq!(
                s.net_income().unwrap().micros(), earned - levies.micros() - tax.micros());
        }
    }
}
