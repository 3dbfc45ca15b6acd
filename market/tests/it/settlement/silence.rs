//! Nobody gains by not sending a reading.

use market::energy::Energy;
use market::price::Price;
use market::reading::Quality;
use market::settlement::{Expected, Metered, Settlement};
use proptest::prelude::*;

use crate::bare::party;
use crate::settlement::world::{self, Reading, World, metered};

fn net(settlement: &Settlement, n: usize) -> i64 {
    settlement.parties[&party(n)].net_income().unwrap().micros()
}

/// Amounts are rounded one by one: two readings may differ by a few micro-units for nothing.
const ROUNDING: i64 = 4;

fn worlds() -> impl Strategy<Value = World> {
    // Where feeding in costs money, or drawing is paid for, it is worth to feed in less and to draw
    // more, with or without a meter.
    let usual = |world: &World| {
        let rates = world.rates();
        ![rates.feed_in, rates.import_levies].iter().any(|price| *price < Price::ZERO)
    };
    world::worlds().prop_filter("energy is worth something", usual)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever its history, a true reading that does not lie beyond it serves a party at least as
    /// well as silence.
    #[test]
    fn silence_never_pays(
        world in worlds(),
        who in any::<prop::sample::Index>(),
        history in prop::collection::vec((0..60_i64, 0..60_i64), 1..5),
        share in any::<prop::sample::Index>(),
        more_fed_in in 0..80_i64,
    ) {
        let who = who.index(world.homes.len());
        let periods = history.iter().map(|(imported, exported)| metered(*imported, *exported));
        let expected = Expected::from_history(periods).expect("a history");
        let (most, least) = (expected.imported.wh(), expected.exported.wh());
        let world = World { expected: (most, least), ..world };
        let says = |reading: Reading| {
            let mut readings = world.readings.clone();
            readings[who] = reading;
            world.metering(&readings).settled()
        };
        let drawn = i64::try_from(share.index(usize::try_from(most).unwrap() + 1)).unwrap();
        let truth = Some((drawn, least + more_fed_in));
        let (silent, spoken) = (says(None), says(truth));
        prop_assert!(
            net(&silent, who) <= net(&spoken, who) + ROUNDING,
            "{:?} is worth more than {:?}", silent.parties[&party(who)], spoken.parties[&party(who)]
        );
    }

    /// Of whom nothing is known, that is taken to have fed in nothing, and to have drawn what it
    /// bought.
    #[test]
    fn silence_for_ever_is_no_delivery(world in world::worlds(), who in any::<prop::sample::Index>()) {
        let who = who.index(world.homes.len());
        let world = World { expected: (0, 0), ..world };
        let says = |reading: Reading| {
            let mut readings = world.readings.clone();
            readings[who] = reading;
            world.metering(&readings).settled()
        };
        let (_, bought) = world.traded(who);
        let spoken = says(Some((bought, 0)));
        let mut silent = says(None);
        let of_silent = silent.parties.get_mut(&party(who)).unwrap();
        prop_assert_eq!(of_silent.metered.quality, Quality::Missing);
        of_silent.metered.quality = Quality::Ok;
        prop_assert_eq!(silent, spoken);
    }
}

#[test]
fn who_draws_and_sends_nothing_is_billed_for_what_it_drew_before() {
    let mut world = World::quiet(&[(400, 0)], 320_000, 80_000);
    let spoken = net(&world.settled(), 0);
    world.readings = vec![None];
    let day = [metered(400, 0), metered(390, 10)];
    let expected = Expected::from_history(day).unwrap();
    assert_eq!((expected.imported.wh(), expected.exported.wh()), (400, 0));
    world.expected = (400, 0);
    assert_eq!((spoken, net(&world.settled(), 0)), (-128_000, -128_000));
}

#[test]
fn a_history_is_the_most_drawn_and_the_least_fed_in() {
    let of = |imported, exported, quality| {
        let [imported, exported] = [imported, exported].map(Energy::from_wh);
        Metered { imported, exported, quality }
    };
    let periods =
        [of(5, 90, Quality::Ok), of(70, 30, Quality::Estimated), of(60, 40, Quality::Missing)];
    let expected = Expected::from_history(periods).unwrap();
    assert_eq!((expected.imported.wh(), expected.exported.wh()), (70, 30));
    assert_eq!(Expected::from_history([]), None);
    assert_eq!(Expected::default(), Expected { imported: Energy::ZERO, exported: Energy::ZERO });
}
