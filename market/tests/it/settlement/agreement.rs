//! The settlement agrees with the naive one in every figure, on communities that are not tame.

use std::collections::{BTreeMap, BTreeSet};

use market::clearing::MechanismKind;
use market::clearing::sharing::{SharingKey, SharingRule};
use market::money::Money;
use market::settlement::{settle_own, settle_with_shares};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::settlement::naive;
use crate::settlement::world::{self, World};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn it_is_what_plain_loops_and_decimals_come_to(world in world::worlds()) {
        let (mut ours, mut theirs) = (world.settled(), naive::settle(&world));
        // Zones beside each other may be settled in any order.
        for settlement in [&mut ours, &mut theirs] {
            settlement.pools.sort_by_key(|pool| pool.zone);
        }
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn who_knows_only_its_own_part_comes_to_the_same(world in world::worlds()) {
        let (settlement, shares) = world.facts(settle_with_shares).unwrap();
        prop_assert_eq!(&settlement, &world.settled());
        prop_assert!(shares.iter().all(|share| share.energy.is_positive()), "{:?}", shares);
        let (parties, rates) = (world.parties(), world.rates());
        for (party, expected) in &settlement.parties {
            let metered = parties.get(party).and_then(|delivery| delivery.metered);
            let estimate = parties.get(party).map(|delivery| delivery.expected).unwrap_or_default();
            let own = settle_own(party, metered, estimate, &world.trades, &shares, &rates);
            prop_assert_eq!(own.as_ref(), Ok(expected));
        }
    }
}

proptest! {
    #[test]
    fn it_is_so_without_a_pool_too(world in world::worlds()) {
        let rule = SharingRule { price: world::price(1_000), key: SharingKey::ProRata };
        let world = World { mechanism: MechanismKind::Sharing(rule), ..world };
        prop_assert_eq!(world.settled(), naive::settle(&world));
    }
}

/// A law that holds because nothing happens is no law: the random communities have of everything.
#[test]
fn the_random_communities_reach_what_the_laws_are_about() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..1_000 {
        let world = world::worlds().new_tree(&mut runner).unwrap().current();
        let settlement = world.settled();
        let mut zones = BTreeSet::new();
        let twice = settlement.pools.iter().filter(|pool| !zones.insert(pool.zone)).count();
        let c = settlement.community;
        let any = |of: fn(&market::settlement::PartySettlement) -> bool| {
            settlement.parties.values().any(of)
        };
        for (what, found) in [
            ("pools", !settlement.pools.is_empty()),
            ("pools above a zone", c.pool_wheeling != Money::ZERO),
            ("several rounds in one zone", twice > 0),
            ("rounding", c.rounding != Money::ZERO),
            ("congestion rent", c.congestion_rent != Money::ZERO),
            ("trades over zones", c.trade_wheeling != Money::ZERO),
            ("levies", c.levies != Money::ZERO),
            ("tax", c.tax != Money::ZERO),
            ("partly pooled", any(|s| !s.pooled_long.is_zero() && !s.fed_in.is_zero())),
            (
                "nobody on both sides",
                !any(|s| !s.pooled_long.is_zero() && !s.pooled_short.is_zero()),
            ),
            (
                "both supplied and fed in",
                any(|s| !s.supplied.is_zero()) && any(|s| !s.fed_in.is_zero()),
            ),
            ("on both sides", any(|s| !s.pooled_long.is_zero() && !s.pooled_short.is_zero())),
            ("not taken", any(|s| !s.not_taken.is_zero())),
            ("missing", any(|s| !s.missing.is_zero())),
        ] {
            *seen.entry(what).or_default() += u32::from(found);
        }
    }
    for (what, times) in &seen {
        assert!(*times >= 10, "{what} in {times} of 1000: {seen:?}");
    }
}
