//! A plausible mix of households along the feeders of a street.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::plan::HouseholdPlan;
use crate::appliances::Routine;
use crate::battery::BatterySize;
use crate::error::SimulatorError;
use crate::place::Place;
use crate::random::{COMMUNITY, Purpose, between, chance, stream};
use crate::solar::{Roof, SolarPlant};

/// Of twelve households so many have a roof with modules ...
const SOLAR_OF_TWELVE: u32 = 7;
/// ... and so many of these a battery.
const BATTERY_OF_TWELVE: u32 = 2;

/// Plans a neighbourhood of `households` houses along `feeders` feeders.
///
/// Seven of twelve have solar power and two of these a battery (rounded up for other numbers);
/// houses are numbered along the street, so neighbours share a feeder; every feeder gets its part
/// of the roofs. The same seed gives the same neighbourhood.
///
/// # Errors
///
/// [`SimulatorError::EmptyNeighbourhood`] if there is no household or no feeder.
pub fn neighbourhood(
    seed: u64,
    households: u32,
    feeders: u32,
    place: &Place,
) -> Result<Vec<HouseholdPlan>, SimulatorError> {
    if households == 0 || feeders == 0 {
        return Err(SimulatorError::EmptyNeighbourhood { households, feeders });
    }
    let mut rng = stream(seed, COMMUNITY, Purpose::Neighbourhood, 0);
    let with_solar = of_twelve(SOLAR_OF_TWELVE, households);
    let with_battery = of_twelve(BATTERY_OF_TWELVE, households).min(with_solar);
    let feeder_of = |household: u32| {
        let along_street = u64::from(household) * u64::from(feeders) / u64::from(households);
        u32::try_from(along_street).unwrap_or(0)
    };

    let mut plans: Vec<HouseholdPlan> = (0..households)
        .map(|household| consumer(seed, household, feeder_of(household), place))
        .collect();
    let mut equipped = 0;
    for household in taking_turns_by_feeder(&plans, feeders, &mut rng) {
        if equipped == with_solar {
            break;
        }
        if let Some(plan) = plans.get_mut(household) {
            let mut rng = stream(seed, plan.household, Purpose::Neighbourhood, 1);
            let plant = draw_plant(&mut rng);
            plan.battery =
                (equipped < with_battery).then(|| draw_battery(&mut rng, plant.peak_w()));
            plan.solar = Some(plant);
            equipped += 1;
        }
    }
    Ok(plans)
}

fn of_twelve(share: u32, households: u32) -> u32 {
    let rounded_up = (u64::from(households) * u64::from(share)).div_ceil(12);
    u32::try_from(rounded_up).unwrap_or(households)
}

/// All households in random order, but so that feeders take turns.
fn taking_turns_by_feeder(plans: &[HouseholdPlan], feeders: u32, rng: &mut impl Rng) -> Vec<usize> {
    let mut turns: Vec<(usize, u32, usize)> = Vec::with_capacity(plans.len());
    for feeder in 0..feeders {
        let mut houses: Vec<usize> = plans
            .iter()
            .enumerate()
            .filter(|(_, plan)| plan.feeder == feeder)
            .map(|(household, _)| household)
            .collect();
        houses.shuffle(rng);
        turns.extend(houses.into_iter().enumerate().map(|(turn, house)| (turn, feeder, house)));
    }
    turns.sort_unstable();
    turns.into_iter().map(|(_, _, house)| house).collect()
}

fn consumer(seed: u64, household: u32, feeder: u32, place: &Place) -> HouseholdPlan {
    let mut rng = stream(seed, household, Purpose::Neighbourhood, 0);
    // Shares of households by size in Central Europe, the smallest somewhat rarer than in cities.
    let residents = match rng.random_range(0..100) {
        0..25 => 1,
        25..60 => 2,
        60..77 => 3,
        77..93 => 4,
        _ => 5,
    };
    let routine = match rng.random_range(0..100) {
        0..35 => Routine::AtHome,
        35..65 => Routine::DayOut,
        _ => Routine::HalfDay,
    };
    HouseholdPlan {
        seed,
        household,
        label: format!("House {:02}", household.saturating_add(1)),
        feeder,
        place: place.clone(),
        residents,
        routine,
        solar: None,
        battery: None,
        // Eastron numbers have eight digits; the last ones tell the houses of a street apart.
        meter_serial: 20_000_000 + rng.random_range(0..7_000) * 10_000 + household % 10_000,
    }
}

fn draw_plant(rng: &mut impl Rng) -> SolarPlant {
    let peak_w = between(rng, 6.0, 20.0).round() * 500.0;
    let tilt_deg = between(rng, 22.0, 45.0).round();
    let south_deg = 180.0 + between(rng, -25.0, 25.0).round();
    let roofs = match rng.random_range(0..10) {
        0..5 => vec![Roof { peak_w, tilt_deg, azimuth_deg: south_deg }],
        5..8 => [south_deg - 90.0, south_deg + 90.0]
            .map(|azimuth_deg| Roof { peak_w: peak_w / 2.0, tilt_deg, azimuth_deg })
            .to_vec(),
        8 => vec![Roof { peak_w, tilt_deg, azimuth_deg: south_deg - 70.0 }],
        _ => vec![Roof { peak_w, tilt_deg, azimuth_deg: south_deg + 70.0 }],
    };
    SolarPlant { roofs, inverter_limit_w: (peak_w * between(rng, 0.80, 1.0)).round() }
}

fn draw_battery(rng: &mut impl Rng, peak_w: f64) -> BatterySize {
    // Batteries are sold in modules of 2.5 kWh, about one kWh for each kW of modules.
    let modules: u32 = if chance(rng, 0.5) { 2 } else { 3 };
    let modules = modules + u32::from(peak_w > 7_000.0);
    BatterySize {
        capacity_wh: modules * 2_500,
        power_limit_w: modules * 1_250,
        round_trip_permille: rng.random_range(880..=940),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn munich() -> Place {
        Place::new(48.14, 11.58, "Europe/Berlin").expect("a place")
    }

    #[test]
    fn twelve_houses_have_seven_roofs_two_batteries_and_three_feeders() {
        for seed in 0..50 {
            let plans = neighbourhood(seed, 12, 3, &munich()).expect("a neighbourhood");
            let roofs = plans.iter().filter(|plan| plan.solar.is_some()).count();
            let batteries: Vec<_> = plans.iter().filter(|plan| plan.battery.is_some()).collect();
            assert_eq!((plans.len(), roofs, batteries.len()), (12, 7, 2));
            assert!(batteries.iter().all(|plan| plan.solar.is_some()));
            for feeder in 0..3 {
                let houses: Vec<_> = plans.iter().filter(|plan| plan.feeder == feeder).collect();
                assert_eq!(houses.len(), 4);
                let roofs = houses.iter().filter(|plan| plan.solar.is_some()).count();
                assert!((2..=3).contains(&roofs));
            }
        }
    }

    #[test]
    fn equipment_stays_within_its_range_and_serial_numbers_differ() {
        let plans = neighbourhood(4, 600, 20, &munich()).expect("a neighbourhood");
        let mut serials: Vec<_> = plans.iter().map(|plan| plan.meter_serial % 10_000).collect();
        serials.sort_unstable();
        serials.dedup();
        assert_eq!(serials.len(), plans.len());
        let mut roof_count = 0;
        for plan in &plans {
            assert!((1..=5).contains(&plan.residents));
            let (import_wh, export_wh) = plan.counters_at_start_wh();
            assert!((100_000..3_000_000).contains(&import_wh));
            let Some(plant) = &plan.solar else {
                assert_eq!(export_wh, 0);
                continue;
            };
            roof_count += 1;
            assert!((3_000.0..=10_000.0).contains(&plant.peak_w()));
            assert!(plant.inverter_limit_w <= plant.peak_w());
            for roof in &plant.roofs {
                assert!((60.0..=300.0).contains(&roof.azimuth_deg), "{}", roof.azimuth_deg);
            }
        }
        assert_eq!(roof_count, 350);
        assert_eq!(plans.iter().filter(|plan| plan.battery.is_some()).count(), 100);
    }

    #[test]
    fn small_and_impossible_neighbourhoods() {
        for households in 1..12 {
            let plans = neighbourhood(1, households, 3, &munich()).expect("a neighbourhood");
            assert_eq!(plans.len(), usize::try_from(households).expect("small"));
            assert!(plans.iter().any(|plan| plan.solar.is_some()));
            assert!(plans.iter().all(|plan| plan.feeder < 3));
        }
        for (households, feeders) in [(0, 3), (12, 0)] {
            assert!(matches!(
                neighbourhood(1, households, feeders, &munich()),
                Err(SimulatorError::EmptyNeighbourhood { .. })
            ));
        }
    }
}
