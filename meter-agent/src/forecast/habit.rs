//! Habit: what a household usually does at a time of day.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

use crate::forecast::surroundings::LocalTime;

/// Weight of the newest day in a mean, once there are days enough.
const WEIGHT: f64 = 0.1;
/// Habits of neighbouring times of day count too: a kettle is not put on to the minute.
const NEIGHBOURS: [(i64, f64); 5] = [(-2, 1.0), (-1, 2.0), (0, 3.0), (1, 2.0), (2, 1.0)];
/// Yesterday's neighbours, closer by.
const CLOSE: [(i64, f64); 3] = [(-1, 1.0), (0, 2.0), (1, 1.0)];
/// How far the second day is thought to differ from the first at least, in Wh.
const FIRST_DEVIATION_WH: f64 = 30.0;
const DAY_MINUTES: i64 = 1_440;

/// The habits of a household, by local time of day.
#[derive(Debug, Clone, Default, PartialEq, BorshSerialize, BorshDeserialize)]
pub(super) struct Habits {
    /// By minutes since local midnight.
    slots: BTreeMap<i64, Slot>,
}

#[derive(Debug, Clone, Default, PartialEq, BorshSerialize, BorshDeserialize)]
struct Slot {
    every_day: Mean,
    workdays: Mean,
    weekends: Mean,
    /// Mean square of what lay beside the mean, in Wh².
    variance: f64,
    /// Light by the weather file, in W/m².
    light: Mean,
    latest_wh: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, BorshSerialize, BorshDeserialize)]
struct Mean {
    value: f64,
    days: f64,
}

impl Mean {
    fn take(&mut self, value: f64) {
        self.days += 1.0;
        self.value += WEIGHT.max(1.0 / self.days) * (value - self.value);
    }
}

/// What is usual at a time of day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usual {
    /// Export minus import, in Wh.
    pub(super) net_wh: f64,
    /// How far days lie beside it, in Wh.
    pub(super) deviation_wh: f64,
    /// How far workdays, or weekends, lie above every day, in Wh.
    pub(super) day_type_wh: f64,
    /// How far the latest day lay above it, in Wh.
    pub(super) latest_wh: f64,
    /// Usual light by the weather file, in W/m²; `None` if it never said.
    pub(super) light: Option<f64>,
    /// How many days have been seen.
    pub(super) days: f64,
}

impl Habits {
    /// Learns a metered period.
    pub(super) fn take(&mut self, time: LocalTime, net_wh: f64, light: Option<f64>) {
        let usual = self.usual(time).map_or(net_wh, |usual| usual.net_wh);
        let slot = self.slots.entry(time.minute).or_default();
        let square = if slot.every_day.days == 0.0 {
            // Nothing to compare with: a day is thought to differ by a third.
            (net_wh / 3.0).powi(2) + FIRST_DEVIATION_WH.powi(2)
        } else {
            (net_wh - usual).powi(2)
        };
        slot.every_day.take(net_wh);
        let weight = WEIGHT.max(1.0 / (slot.every_day.days + 1.0));
        slot.variance +=
            if slot.every_day.days <= 1.0 { square } else { weight * (square - slot.variance) };
        let of_type = if time.weekend { &mut slot.weekends } else { &mut slot.workdays };
        of_type.take(net_wh);
        if let Some(light) = light {
            slot.light.take(light);
        }
        slot.latest_wh = net_wh;
    }

    /// What is usual at a time of day; `None` if that time was never metered.
    pub(super) fn usual(&self, time: LocalTime) -> Option<Usual> {
        let here = self.slots.get(&time.minute)?;
        let of_type = |slot: &Slot| if time.weekend { slot.weekends } else { slot.workdays };
        let around = |weights: &[(i64, f64)], of: &dyn Fn(&Slot) -> Option<f64>| {
            let (mut sum, mut total) = (0.0, 0.0);
            for (away, weight) in weights {
                let minute = (time.minute + away * time.length_minutes).rem_euclid(DAY_MINUTES);
                if let Some(value) = self.slots.get(&minute).and_then(of) {
                    sum += weight * value;
                    total += weight;
                }
            }
            if total > 0.0 { sum / total } else { 0.0 }
        };
        let net_wh = around(&NEIGHBOURS, &|slot| Some(slot.every_day.value));
        let variance = around(&NEIGHBOURS, &|slot| Some(slot.variance));
        let typed = around(&NEIGHBOURS, &|slot| {
            Some(of_type(slot)).filter(|mean| mean.days > 0.0).map(|mean| mean.value)
        });
        let day_type_wh = if of_type(here).days > 0.0 { typed - net_wh } else { 0.0 };
        Some(Usual {
            net_wh,
            deviation_wh: variance.sqrt(),
            day_type_wh,
            latest_wh: around(&CLOSE, &|slot| Some(slot.latest_wh)) - net_wh,
            light: Some(here.light).filter(|light| light.days > 0.0).map(|light| light.value),
            days: here.every_day.days,
        })
    }
}
