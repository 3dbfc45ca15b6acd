//! S5: statements + the community's accounts + grid operator + supplier = 0, to the micro-unit; every amount has a
//! payer, a payee and a cause, and what rounding leaves is a line of its own.

use std::collections::BTreeMap;

use market::money::Money;
use market::settlement::{Cause, Holder, Imbalance, Transfer, difference, of_trade, pool_shares};
use proptest::prelude::*;

use crate::settlement::world::{self, World};

/// Everything that is posted when a period is settled for the first time.
fn posted(world: &World) -> Vec<Transfer> {
    let trades = world.trades.iter().flat_map(of_trade);
    trades.chain(difference(&world.settled(), None).unwrap()).collect()
}

/// Received minus paid, by holder.
fn balances(transfers: &[Transfer]) -> BTreeMap<Holder, i64> {
    let mut balances = BTreeMap::new();
    for transfer in transfers {
        *balances.entry(transfer.payer).or_default() -= transfer.amount.micros();
        *balances.entry(transfer.payee).or_default() += transfer.amount.micros();
    }
    balances
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn s5_parties_community_grid_operator_and_supplier_together_have_nothing(
        world in world::worlds(),
    ) {
        let settlement = world.settled();
        let parties: i64 = settlement
            .parties
            .values()
            .map(|settled| settled.net_income().unwrap().micros())
            .sum();
        prop_assert_eq!(parties + settlement.community.total().unwrap().micros(), 0);
    }

    #[test]
    fn the_transfers_give_everybody_exactly_what_the_settlement_says(world in world::worlds()) {
        let settlement = world.settled();
        let balances = balances(&posted(&world));
        let of = |holder| balances.get(&holder).copied().unwrap_or_default();
        for (party, settled) in &settlement.parties {
            prop_assert_eq!(of(Holder::Party(*party)), settled.net_income().unwrap().micros());
        }
        let c = settlement.community;
        let wheeling: i64 =
            settlement.parties.values().map(|one| one.wheeling().unwrap().micros()).sum();
        prop_assert_eq!(of(Holder::GridOperator), wheeling);
        let sum = |lines: &[Money]| lines.iter().map(|line| line.micros()).sum::<i64>();
        prop_assert_eq!(of(Holder::Supplier), sum(&[c.supplier, c.levies, c.tax]));
        prop_assert_eq!(of(Holder::GridOperator), sum(&[c.trade_wheeling, c.pool_wheeling]));
        prop_assert_eq!(of(Holder::CongestionRent), c.congestion_rent.micros());
        prop_assert_eq!(of(Holder::Rounding), c.rounding.micros());
        let known = |holder: &Holder| match holder {
            Holder::Party(party) => settlement.parties.contains_key(party),
            _ => true,
        };
        prop_assert!(balances.keys().all(known));
    }

    #[test]
    fn no_transfer_is_empty_or_to_oneself_and_each_cause_has_its_payer_and_payee(
        world in world::worlds(),
    ) {
        for Transfer { payer, payee, cause, amount } in posted(&world) {
            prop_assert!(!amount.is_zero() && payer != payee);
            let party = |holder| matches!(holder, Holder::Party(_));
            let fits = match cause {
                Cause::Trade => party(payer) && party(payee),
                Cause::TradeWheeling | Cause::PoolWheeling => {
                    party(payer) && payee == Holder::GridOperator && amount > Money::ZERO
                }
                Cause::CongestionRent => {
                    party(payer) && payee == Holder::CongestionRent && amount > Money::ZERO
                }
                Cause::PoolShort => party(payer) && payee == Holder::Rounding,
                Cause::PoolLong => payer == Holder::Rounding && party(payee),
                Cause::Supplied | Cause::Levies | Cause::Tax => {
                    party(payer) && payee == Holder::Supplier
                }
                Cause::FedIn => payer == Holder::Supplier && party(payee),
            };
            prop_assert!(fits, "{:?} pays {:?} for {:?}", payer, payee, cause);
        }
    }

    /// Three roundings, each by at most half a micro-unit, for each side of each party that pools.
    #[test]
    fn rounding_leaves_next_to_nothing(world in world::worlds()) {
        let settlement = world.settled();
        let sides: i64 = settlement
            .parties
            .values()
            .map(|s| i64::from(!s.pooled_long.is_zero()) + i64::from(!s.pooled_short.is_zero()))
            .sum();
        prop_assert!(2 * settlement.community.rounding.micros().abs() <= 3 * sides);
        // And what each pays or gets in a pool is its share at the price, as near.
        let shares = world.facts(pool_shares).unwrap();
        for (party, s) in &settlement.parties {
            let exact_thousandths: i64 = shares
                .iter()
                .filter(|share| share.party == *party)
                .map(|share| {
                    let worth = share.energy.wh() * share.price.micros_per_kwh();
                    if share.imbalance == Imbalance::Long { worth } else { -worth }
                })
                .sum();
            let got = s.pool_income.micros() - s.pool_cost.micros();
            prop_assert!((1_000 * got - exact_thousandths).abs() <= 3_000, "{:?}", s);
        }
    }
}
