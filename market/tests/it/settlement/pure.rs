//! S1: a settlement is a pure function of its facts. S2: their order does not matter.

use proptest::prelude::*;

use crate::settlement::world::{self, World};

proptest! {
    #[test]
    fn s1_the_same_facts_settle_alike(world in world::worlds()) {
        prop_assert_eq!(world.settled(), world.clone().settled());
    }

    #[test]
    fn s2_the_order_of_the_trades_does_not_matter(
        (world, shuffled) in world::worlds().prop_flat_map(|world| {
            let trades = Just(world.trades.clone()).prop_shuffle();
            (Just(world), trades)
        }),
    ) {
        let other = World { trades: shuffled, ..world.clone() };
        prop_assert_eq!(world.settled(), other.settled());
    }

    /// Capacities bound what is traded, not what has flowed.
    #[test]
    fn capacities_do_not_touch_what_has_flowed(world in world::worlds()) {
        let free = world.zones.iter().map(|(id, zone)| {
            let mut zone = zone.clone();
            if let Some(edge) = &mut zone.edge {
                (edge.capacity_up, edge.capacity_down) = (None, None);
            }
            (id, zone)
        });
        let zones = market::zone::ZoneTree::new(free.collect()).unwrap();
        let other = World { zones, ..world.clone() };
        prop_assert_eq!(world.settled(), other.settled());
    }
}
