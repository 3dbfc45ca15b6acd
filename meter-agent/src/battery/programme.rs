//! The linear programme.

use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};

use std::time::Duration;

use crate::battery::{Household, Powers, hours};

/// A day of quarters of an hour takes some milliseconds; a solver that does not end is left.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What a Wh costs that the car lacks at its deadline, as a multiple of the dearest price: more than
/// anything that waiting could save.
const LACK: f64 = 10.0;

struct Period {
    charged: Variable,
    discharged: Variable,
    into_car: Variable,
}

/// The powers of the cheapest course; `None` if the solver finds none.
pub(super) fn solve(household: &Household<'_>) -> Option<Vec<Powers>> {
    let mut problem = Problem::new(OptimizationDirection::Minimize);
    problem.set_time_limit(TIME_LIMIT);
    let size = household.size;
    let (now_wh, capacity_wh) = (household.stored.wh(), f64::from(size.capacity_wh));
    let least_wh = f64::from(size.reserve_wh).min(now_wh);
    let efficiency = f64::from(size.round_trip_permille.clamp(1, 1_000)) / 1_000.0;
    let last = household.outlooks.len().checked_sub(1)?;
    let mut periods: Vec<Period> = Vec::with_capacity(household.outlooks.len());
    let mut before: Option<Variable> = None;
    for (index, outlook) in household.outlooks.iter().enumerate() {
        let period = outlook.position.period;
        let length_hours = hours(period);
        let up_to = |watts: f64| (0.0, watts * length_hours);
        let [buy, sell, wear] =
            [outlook.prices.buy, outlook.prices.sell, household.wear].map(|kwh| kwh / 1_000.0);
        let charged = problem.add_var(0.0, up_to(f64::from(size.charge_max_w)));
        let discharged = problem.add_var(wear, up_to(f64::from(size.discharge_max_w)));
        let into_car = problem.add_var(0.0, up_to(household.car_max_w(period)));
        let imported = problem.add_var(buy, (0.0, f64::INFINITY));
        let exported = problem.add_var(-sell, (0.0, f64::INFINITY));
        let worth = if index == last { -household.worth_of_stored() } else { 0.0 };
        let stored = problem.add_var(worth, (least_wh, capacity_wh.max(now_wh)));
        problem.add_constraint(
            [
                (discharged, 1.0),
                (charged, -1.0),
                (into_car, -1.0),
                (exported, -1.0),
                (imported, 1.0),
            ],
            ComparisonOp::Eq,
            -outlook.position.expected_wh,
        );
        let mut change = vec![(stored, 1.0), (charged, -efficiency), (discharged, 1.0)];
        let start_wh = match before {
            Some(before) => {
                change.push((before, -1.0));
                0.0
            }
            None => now_wh,
        };
        problem.add_constraint(change, ComparisonOp::Eq, start_wh);
        before = Some(stored);
        periods.push(Period { charged, discharged, into_car });
    }
    if let Some(car) = household.car {
        let prices = household.outlooks.iter().map(|outlook| outlook.prices.buy.abs());
        let dearest = prices.fold(0.01, f64::max) / 1_000.0;
        let lack = problem.add_var(LACK * dearest, (0.0, f64::INFINITY));
        let mut total: Vec<_> = periods.iter().map(|period| (period.into_car, 1.0)).collect();
        total.push((lack, 1.0));
        problem.add_constraint(total, ComparisonOp::Eq, car.needs_wh.max(0.0));
    }
    let solution = problem.solve().ok()?;
    let powers = periods.iter().zip(household.outlooks).map(|(period, outlook)| {
        let length_hours = hours(outlook.position.period);
        let watts = |variable: Variable| solution.var_value(variable) / length_hours;
        Powers {
            battery_w: watts(period.charged) - watts(period.discharged),
            car_w: watts(period.into_car),
        }
    });
    Some(powers.collect())
}
