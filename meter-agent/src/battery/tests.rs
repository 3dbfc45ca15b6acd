use super::*;
use market::time::{PeriodLength, Timestamp};
use proptest::prelude::*;

const SIZE: BatterySize = BatterySize {
    capacity_wh: 5_000,
    reserve_wh: 500,
    charge_max_w: 2_500,
    discharge_max_w: 2_000,
    round_trip_permille: 900,
};

fn quarter(index: i64) -> DeliveryPeriod {
    let start = Timestamp::from_millis(index * 900_000);
    DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap()
}

fn outlook(index: i64, net_wh: f64, buy: f64, sell: f64) -> Outlook {
    let position = NetPosition::normal(quarter(index), net_wh, 10.0);
    Outlook { position, prices: Prices { buy, sell } }
}

#[test]
fn noon_is_kept_for_the_evening() {
    let day: Vec<_> = (0..96)
        .map(|index| match index {
            40..56 => outlook(index, 400.0, 0.32, 0.08),
            72..88 => outlook(index, -250.0, 0.32, 0.08),
            _ => outlook(index, -50.0, 0.32, 0.08),
        })
        .collect();
    let plan = plan(&day, SIZE, Storage::from_wh(500), 0.02, None);
    let at_noon: i64 = plan.setpoints[40..56].iter().map(|at| at.battery_w).sum();
    let in_the_evening: i64 = plan.setpoints[72..88].iter().map(|at| at.battery_w).sum();
    assert!(at_noon > 0 && in_the_evening < 0, "{at_noon} {in_the_evening}");
    // 4.5 kWh that would be imported at 0.32 cost 5 kWh that would bring 0.08, and wear of 0.02.
    let gain = plan.cost_of_nothing - plan.cost;
    assert!((gain - (4.5 * 0.30 - 5.0 * 0.08)).abs() < 0.02, "{gain}");
    assert!(plan.stored.iter().all(|stored| (500.0..=5_000.0).contains(&stored.wh())));
}

#[test]
fn a_car_is_ready_in_time_and_takes_the_cheap_hours() {
    let night: Vec<_> = (0..32)
        .map(|index| outlook(index, -50.0, if index < 8 { 0.34 } else { 0.24 }, 0.08))
        .collect();
    let car = Car { needs_wh: 8_000.0, power_max_w: 3_700, ready_before: quarter(28) };
    let none = BatterySize { charge_max_w: 0, discharge_max_w: 0, ..SIZE };
    let plan = plan(&night, none, Storage::from_wh(500), 0.02, Some(car));
    let charged = |from: usize, to: usize| -> f64 {
        plan.setpoints[from..to].iter().map(|at| at.car_w as f64 / 4.0).sum()
    };
    assert!((charged(0, 28) - 8_000.0).abs() < 10.0, "{}", charged(0, 28));
    assert!(charged(0, 8) < 10.0 && charged(28, 32) == 0.0);
    let short = Car { needs_wh: 50_000.0, ..car };
    let plan = super::plan(&night, none, Storage::from_wh(500), 0.02, Some(short));
    assert!(plan.setpoints[..28].iter().all(|at| at.car_w >= 3_699), "as much as can be");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// State of charge within its limits, the law of storage, the energy balance, hard limits of
    /// power, and never worse than doing nothing.
    #[test]
    fn every_plan_is_possible_and_no_worse_than_doing_nothing(
        nets in prop::collection::vec((-1_500.0_f64..1_500.0, -0.1_f64..0.6, 0.0_f64..0.4), 1..40),
        (capacity_wh, reserve_wh) in (1_u32..15_000).prop_flat_map(|wh| (Just(wh), 0..=wh)),
        charge_max_w in 0_u32..6_000,
        discharge_max_w in 0_u32..6_000,
        round_trip_permille in 500_u16..=1_000,
        filled in 0.0_f64..=1.0,
        wear in 0.0_f64..0.2,
        needs_wh in prop::option::of(0.0_f64..30_000.0),
        deadline in 0_i64..50,
    ) {
        let outlooks: Vec<_> = (0..)
            .zip(&nets)
            .map(|(index, (net_wh, sell, more))| outlook(index, *net_wh, sell + more, *sell))
            .collect();
        let size = BatterySize {
            capacity_wh, reserve_wh, charge_max_w, discharge_max_w, round_trip_permille,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
        let start = Storage::from_wh((f64::from(capacity_wh) * filled) as u32);
        let car = needs_wh.map(|needs_wh| Car {
            needs_wh,
            power_max_w: 3_700,
            ready_before: quarter(deadline),
        });
        let plan = plan(&outlooks, size, start, wear, car);
        prop_assert_eq!(plan.setpoints.len(), outlooks.len());
        prop_assert!(plan.cost <= plan.cost_of_nothing);
        let least = Storage::from_wh(reserve_wh).min(start);
        let mut before = start;
        for ((at, stored), outlook) in plan.setpoints.iter().zip(&plan.stored).zip(&outlooks) {
            prop_assert!((least..=Storage::from_wh(capacity_wh)).contains(stored));
            prop_assert!(at.battery_w <= i64::from(charge_max_w));
            prop_assert!(at.battery_w >= -i64::from(discharge_max_w));
            prop_assert!((0..=3_700).contains(&at.car_w));
            let late = car.is_none_or(|car| at.period.end() > car.ready_before.start());
            prop_assert!(!late || at.car_w == 0, "the car has left");
            let (charged, discharged) = (at.battery_w.max(0), (-at.battery_w).max(0));
            let permille = f64::from(round_trip_permille) / 1_000.0;
            let change = (charged as f64 * permille - discharged as f64) / 4.0;
            prop_assert!((stored.wh() - before.wh() - change).abs() < 1e-6, "the law of storage");
            let used = (at.battery_w + at.car_w) as f64 / 4.0;
            let left = outlook.position.expected_wh - used;
            prop_assert!((at.position.expected_wh - left).abs() < 1e-6, "the balance");
            before = *stored;
        }
    }
}
