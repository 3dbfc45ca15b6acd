//! Energy is the exact integral of power, and a household's course is its seed's.

use market::time::Timestamp;
use proptest::prelude::*;
use simulators::SimulatorError;
use simulators::household::{Household, HouseholdPlan};
use simulators::power::STEP_MS;

use crate::stage::{SUMMER_MORNING, street};

fn later(millis: i64) -> Timestamp {
    SUMMER_MORNING.plus_millis(millis)
}

fn house_with_battery(seed: u64) -> HouseholdPlan {
    street(seed).into_iter().find(|plan| plan.battery.is_some()).expect("a battery")
}

/// What a household and its meter can be told apart by.
fn course(household: &Household) -> impl PartialEq + std::fmt::Debug + use<> {
    (household.readout(), household.totals(), household.stored_nj(), household.flows())
}

#[test]
fn the_sum_of_power_times_time_is_the_difference_of_the_counters() {
    for plan in street(3) {
        let start = later(1_234);
        let mut household = Household::new(&plan, start).expect("a household");
        let first = household.readout();
        let (mut integral, mut at) = (0_i128, start);
        // Look at the power at the beginning of each step, for six hours.
        while at < later(6 * 3_600_000) {
            let next = at.plus_millis(STEP_MS - at.as_millis().rem_euclid(STEP_MS));
            let power_mw = household.readout().power_mw;
            integral += i128::from(power_mw) * i128::from(next.millis_since(at));
            household.advance(next).expect("a step");
            at = next;
        }
        let last = household.readout();
        let imported = i128::from(last.import_uj - first.import_uj);
        let exported = i128::from(last.export_uj - first.export_uj);
        assert_eq!(imported - exported, integral, "{}", plan.label);
        assert!(imported + exported > 0, "{} does something in six hours", plan.label);
    }
}

#[test]
fn inside_the_house_energy_is_neither_made_nor_lost() {
    for plan in street(8) {
        let mut household = Household::new(&plan, SUMMER_MORNING).expect("a household");
        let (start, stored) = (household.readout(), household.stored_nj().unwrap_or(0));
        for hour in 1..=72 {
            household.advance(later(hour * 3_600_000 + 777 * hour)).expect("an hour");
            let (flows, totals) = (household.flows(), household.totals());
            assert_eq!(flows.solar_mw + flows.grid_mw, flows.load_mw + flows.battery_mw);
            assert!(flows.solar_mw >= 0 && flows.load_mw > 0);
            assert_eq!(
                totals.solar_uj + totals.discharged_uj + totals.import_uj,
                totals.load_uj + totals.charged_uj + totals.export_uj
            );
            let readout = household.readout();
            assert_eq!(readout.import_uj - start.import_uj, totals.import_uj);
            assert_eq!(readout.export_uj - start.export_uj, totals.export_uj);
            assert_eq!(readout.phase_power_mw.iter().sum::<i64>(), readout.power_mw);
        }
        if let Some(size) = plan.battery {
            let totals = household.totals();
            let change = i128::from(household.stored_nj().expect("a battery")) - i128::from(stored);
            let efficiency = i128::from(size.round_trip_permille);
            let expected = i128::from(totals.charged_uj) * efficiency
                - i128::from(totals.discharged_uj) * 1_000;
            assert_eq!(change, expected);
            assert!(totals.charged_uj > 0 && totals.discharged_uj > 0);
        }
    }
}

#[test]
fn a_battery_only_shifts_surplus_and_never_trades_with_the_grid() {
    let mut household =
        Household::new(&house_with_battery(5), SUMMER_MORNING).expect("a household");
    for step in 1..=2 * 8_640 {
        let flows = household.flows();
        if flows.battery_mw > 0 {
            assert!(flows.grid_mw <= 0, "charges only from surplus: {flows:?}");
        }
        if flows.battery_mw < 0 {
            assert!(flows.grid_mw >= 0, "discharges only to cover load: {flows:?}");
        }
        household.advance(later(step * STEP_MS)).expect("a step");
    }
}

#[test]
fn the_same_seed_gives_the_same_series_and_another_seed_another() {
    let lived = |seed| {
        let mut household =
            Household::new(&house_with_battery(seed), SUMMER_MORNING).expect("a household");
        household.advance(later(86_400_000)).expect("a day");
        household
    };
    assert_eq!(course(&lived(21)), course(&lived(21)));
    assert_ne!(lived(21).totals(), lived(22).totals());
}

#[test]
fn time_that_goes_back_changes_nothing_and_a_leap_too_far_is_refused() {
    let mut household =
        Household::new(&house_with_battery(2), SUMMER_MORNING).expect("a household");
    household.advance(later(3_600_000)).expect("an hour");
    let before = course(&household);
    household.advance(later(60_000)).expect("an instant in the past");
    assert_eq!(course(&household), before);
    let refused = household.advance(later(401 * 86_400_000));
    assert!(matches!(refused, Err(SimulatorError::LeapTooLong { .. })), "{refused:?}");
    assert!(household.advance(Timestamp::from_millis(i64::MAX)).is_err());
    assert_eq!(course(&household), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_often_a_household_is_looked_at_its_counters_are_the_same(
        seed in 0_u64..200,
        offset_ms in 0_i64..86_400_000,
        looks in prop::collection::vec(1_i64..5_000_000, 1..40),
    ) {
        let plan = house_with_battery(seed);
        let start = later(offset_ms);
        let mut looked_at = Household::new(&plan, start).expect("a household");
        let mut alone = looked_at.clone();
        let mut at = start;
        for pause_ms in looks {
            at = at.plus_millis(pause_ms);
            let before = looked_at.readout();
            looked_at.advance(at).expect("a pause");
            prop_assert!(looked_at.readout().import_uj >= before.import_uj);
            prop_assert!(looked_at.readout().export_uj >= before.export_uj);
        }
        alone.advance(at).expect("all of it");
        prop_assert_eq!(course(&looked_at), course(&alone));
    }
}
