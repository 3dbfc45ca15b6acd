//! Origin: no watt-hour is claimed twice, and none that was not both traded and delivered (E3).

use std::collections::BTreeMap;

use market::certificate::{Certificate, difference, issue};
use market::energy::Energy;
use market::member::PartyId;
use market::order::{OrderId, Origin};
use market::reading::Quality;
use market::settlement::Settlement;
use market::trade::Trade;
use proptest::prelude::*;

use crate::bare::party;
use crate::settlement::world::{self, World};

fn issued(world: &World) -> Vec<Certificate> {
    issue(&world.settled(), &world.trades).unwrap()
}

/// Claimed energy by whatever names it.
fn claimed<K: Ord>(
    certificates: &[Certificate],
    name: impl Fn(&Certificate) -> K,
) -> BTreeMap<K, i64> {
    let mut sums = BTreeMap::new();
    for certificate in certificates {
        *sums.entry(name(certificate)).or_default() += certificate.energy.wh();
    }
    sums
}

/// What a side of its trades really came to: the smaller of traded and metered.
fn real(settlement: &Settlement, party: PartyId, sells: bool) -> i64 {
    let s = settlement.parties[&party];
    let (traded, metered) =
        if sells { (s.sold, s.metered.exported) } else { (s.bought, s.metered.imported) };
    traded.min(metered).wh()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn e3_no_watt_hour_is_claimed_twice(world in world::worlds()) {
        let (settlement, certificates) = (world.settled(), issued(&world));
        for (producer, sum) in claimed(&certificates, |one| one.producer) {
            prop_assert!(sum <= real(&settlement, producer, true));
        }
        for (consumer, sum) in claimed(&certificates, |one| one.consumer) {
            prop_assert!(sum <= real(&settlement, consumer, false));
        }
        let mut names: Vec<_> = certificates.iter().map(|one| (one.offer, one.bid)).collect();
        names.dedup();
        prop_assert_eq!(names.len(), certificates.len());
        prop_assert!(names.is_sorted());
    }

    /// Each lies within a watt-hour of the smaller of the two sides' pro rata parts.
    #[test]
    fn a_certificate_is_the_part_of_its_trades_that_both_sides_had(world in world::worlds()) {
        let (settlement, certificates) = (world.settled(), issued(&world));
        let found: BTreeMap<_, _> =
            certificates.iter().map(|one| ((one.offer, one.bid), one)).collect();
        let mut deals: BTreeMap<(OrderId, OrderId), (i64, &Trade)> = BTreeMap::new();
        for trade in &world.trades {
            let deal = deals.entry((trade.offer, trade.bid)).or_insert((0, trade));
            deal.0 += trade.energy.wh();
        }
        for (name, (energy, trade)) in deals {
            let seller = settlement.parties[&trade.seller];
            let buyer = settlement.parties[&trade.buyer];
            let unproven = [seller, buyer].iter().any(|s| s.metered.quality == Quality::Missing);
            let certified = found.get(&name).map_or(0, |one| one.energy.wh());
            if trade.origin.is_none() || unproven {
                prop_assert_eq!(certified, 0);
                continue;
            }
            let delivered = energy * real(&settlement, trade.seller, true);
            let taken = energy * real(&settlement, trade.buyer, false);
            let least = (delivered / seller.sold.wh()).min(taken / buyer.bought.wh());
            prop_assert!(least <= certified && certified <= least + 1, "{least} {certified}");
            prop_assert!(certified <= energy);
            if let Some(one) = found.get(&name) {
                prop_assert_eq!((one.producer, one.consumer), (trade.seller, trade.buyer));
                prop_assert_eq!((Some(one.origin), one.period), (trade.origin, world.period));
                prop_assert!(one.energy.is_positive());
            }
        }
    }

    #[test]
    fn delivered_and_taken_as_traded_everything_with_an_origin_is_certified(
        world in world::worlds(),
    ) {
        let certified = issued(&world.as_traded());
        let with_origin = world.trades.iter().filter(|trade| trade.origin.is_some());
        let traded: i64 = with_origin.map(|trade| trade.energy.wh()).sum();
        prop_assert_eq!(certified.iter().map(|one| one.energy.wh()).sum::<i64>(), traded);
        prop_assert!(issued(&world.metering(&vec![None; world.homes.len()])).is_empty());
    }

    #[test]
    fn the_order_of_the_trades_does_not_matter(
        (world, shuffled) in world::worlds().prop_flat_map(|world| {
            let trades = Just(world.trades.clone()).prop_shuffle();
            (Just(world), trades)
        }),
    ) {
        let other = World { trades: shuffled, ..world.clone() };
        prop_assert_eq!(issued(&world), issued(&other));
    }

    #[test]
    fn corrections_are_exact_differences_and_a_re_run_issues_nothing(
        (world, readings) in world::worlds().prop_flat_map(|world| {
            let readings = world::readings(world.homes.len());
            (Just(world), readings)
        }),
    ) {
        let (before, now) = (issued(&world), issued(&world.metering(&readings)));
        let name = |one: &Certificate| (one.offer, one.bid, one.producer, one.consumer, one.origin);
        let change = difference(&now, &before).unwrap();
        prop_assert!(change.iter().all(|one| !one.energy.is_zero()));
        let mut sum = claimed(&[before.clone(), change].concat(), name);
        sum.retain(|_, energy| *energy != 0);
        prop_assert_eq!(sum, claimed(&now, name));
        prop_assert_eq!(difference(&now, &now).unwrap(), vec![]);
    }
}

#[test]
fn a_shortfall_is_spread_pro_rata_over_the_trades() {
    use crate::bare::{bid, cleared, offer};
    let solar = |mut offer: crate::bare::Bare| {
        offer.origin = Some(Origin::Solar);
        offer
    };
    let orders = [solar(offer(&[(1_000, 90)])), bid(&[(3_000, 60)]), bid(&[(2_000, 30)])];
    let trades = cleared(&orders).trades;
    let mut world = World::quiet(&[(0, 30), (60, 0), (29, 0)], 10_000, 0);
    world.trades = trades;
    // 30 of 90 Wh were delivered: 20 of the first buyer's 60, 10 of the second's 30.
    let certified = claimed(&issued(&world), |one| one.consumer);
    assert_eq!(certified, BTreeMap::from([(party(1), 20), (party(2), 10)]));
    // Delivered in full, but the second buyer took 4 Wh only.
    world.readings = vec![Some((0, 95)), Some((70, 0)), Some((4, 0))];
    let certified = claimed(&issued(&world), |one| one.consumer);
    assert_eq!(certified, BTreeMap::from([(party(1), 60), (party(2), 4)]));
    assert_eq!(Energy::sum(issued(&world).iter().map(|one| one.energy)).unwrap().wh(), 64);
}
