//! E1: metered = traded + imbalance on each side. E2: sold = bought. What is pooled and what the
//! supplier delivers or takes is the imbalance, and pooled shares are pro rata (A6).

use std::collections::BTreeMap;

use market::energy::Energy;
use market::reading::Quality;
use market::settlement::{Imbalance, PartySettlement, PoolShare, Settlement, pool_shares};
use market::trade::Trade;
use proptest::prelude::*;

use crate::bare::party;
use crate::settlement::world;

fn total(settlement: &Settlement, part: fn(&PartySettlement) -> Energy) -> i64 {
    settlement.parties.values().map(|settled| part(settled).wh()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn e1_metered_is_traded_plus_imbalance_on_each_side(world in world::worlds()) {
        let settlement = world.settled();
        prop_assert_eq!(settlement.parties.len(), world.homes.len());
        for (n, reading) in world.readings.iter().enumerate() {
            let s = settlement.parties[&party(n)];
            let traded = |mine: &dyn Fn(&Trade) -> bool| -> i64 {
                world.trades.iter().filter(|trade| mine(trade)).map(|trade| trade.energy.wh()).sum()
            };
            let sold = traded(&|trade| trade.seller == party(n));
            let bought = traded(&|trade| trade.buyer == party(n));
            prop_assert_eq!((s.sold.wh(), s.bought.wh()), (sold, bought));
            // A reading that never came is estimated, and marked.
            let (imported, exported) = world.counted(n);
            prop_assert_eq!(s.metered.imported.wh(), imported);
            prop_assert_eq!(s.metered.exported.wh(), exported);
            prop_assert_eq!(s.metered.quality == Quality::Missing, reading.is_none());
            prop_assert_eq!(exported, sold + s.surplus.wh() - s.missing.wh());
            prop_assert_eq!(imported, bought + s.extra.wh() - s.not_taken.wh());
            for part in [s.surplus, s.missing, s.extra, s.not_taken] {
                prop_assert!(!part.is_negative());
            }
            prop_assert!(s.surplus.is_zero() || s.missing.is_zero());
            prop_assert!(s.extra.is_zero() || s.not_taken.is_zero());
        }
    }

    #[test]
    fn e2_sold_is_bought_and_what_one_pools_another_pools(world in world::worlds()) {
        let settlement = world.settled();
        prop_assert_eq!(total(&settlement, |s| s.sold), total(&settlement, |s| s.bought));
        let pooled: i64 = settlement.pools.iter().map(|pool| pool.energy.wh()).sum();
        prop_assert_eq!(total(&settlement, |s| s.pooled_long), pooled);
        prop_assert_eq!(total(&settlement, |s| s.pooled_short), pooled);
        prop_assert!(settlement.pools.iter().all(|pool| pool.energy.is_positive()));
        // What the community really drew is what the supplier delivered, less what it took.
        let metered = total(&settlement, |s| s.metered.imported)
            - total(&settlement, |s| s.metered.exported);
        prop_assert_eq!(
            total(&settlement, |s| s.supplied) - total(&settlement, |s| s.fed_in),
            metered
        );
    }

    #[test]
    fn an_imbalance_is_what_is_pooled_and_what_is_the_suppliers(world in world::worlds()) {
        for s in world.settled().parties.values() {
            prop_assert_eq!(
                s.pooled_long.wh() + s.fed_in.wh(), s.surplus.wh() + s.not_taken.wh());
            prop_assert_eq!(
                s.pooled_short.wh() + s.supplied.wh(), s.missing.wh() + s.extra.wh());
            for part in [s.pooled_long, s.pooled_short, s.supplied, s.fed_in] {
                prop_assert!(!part.is_negative());
            }
        }
    }

    #[test]
    fn the_shares_of_the_pools_add_up_and_are_pro_rata_within_a_watt_hour(
        world in world::worlds(),
    ) {
        let settlement = world.settled();
        let shares = world.facts(pool_shares).unwrap();
        let mut open: BTreeMap<_, i64> = BTreeMap::new();
        for (party, s) in &settlement.parties {
            open.insert((*party, Imbalance::Long), s.surplus.wh() + s.not_taken.wh());
            open.insert((*party, Imbalance::Short), s.missing.wh() + s.extra.wh());
        }
        let mut left = shares.as_slice();
        for pool in &settlement.pools {
            for imbalance in [Imbalance::Long, Imbalance::Short] {
                let mine = |share: &PoolShare| {
                    share.zone == pool.zone && share.imbalance == imbalance
                };
                let (here, rest) = left.split_at(left.iter().take_while(|s| mine(s)).count());
                let sum: i64 = here.iter().map(|share| share.energy.wh()).sum();
                // Two rounds in one zone alternate sides, so each stretch is one pool's.
                prop_assert_eq!(sum, pool.energy.wh());
                for (one, other) in here.iter().zip(here.iter().skip(1)) {
                    let of = |share: &PoolShare| {
                        (share.energy.wh(), open[&(share.party, imbalance)])
                    };
                    let ((part, claim), (other_part, other_claim)) = (of(one), of(other));
                    let off = (part * other_claim - other_part * claim).abs();
                    prop_assert!(off < claim + other_claim, "{:?} {:?}", one, other);
                }
                for share in here {
                    prop_assert_eq!(share.price, pool.price);
                    *open.get_mut(&(share.party, imbalance)).unwrap() -= share.energy.wh();
                }
                left = rest;
            }
        }
        prop_assert!(left.is_empty());
        for (party, s) in &settlement.parties {
            prop_assert_eq!(open[&(*party, Imbalance::Long)], s.fed_in.wh());
            prop_assert_eq!(open[&(*party, Imbalance::Short)], s.supplied.wh());
        }
    }
}
