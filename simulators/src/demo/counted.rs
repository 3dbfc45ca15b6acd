//! What the meters counted, held against what was signed: each household, each delivery period.
//!
//! A simulated household's counters follow from its plan alone, so they can be had again for any
//! instant. An agent sees them only when it reads its meter, and draws a straight line between two
//! reads to the edge of a period. So the law for every edge is: the figure lies among those that
//! the counter showed within reach of the edge, a few reads before and after; and one course of
//! the counter has to explain all edges of neighbouring periods together, so that what is said too
//! much in one period is missing in the next.

use std::collections::{BTreeMap, BTreeSet};

use market::energy::Energy;
use market::reading::{IntervalReading, Quality};
use market::time::Timestamp;

use crate::demo::DemoError;
use crate::household::{Household, HouseholdPlan};

/// A household's counters at the instants that matter, Wh rounded down as the meter shows them.
struct Counters {
    at: BTreeMap<Timestamp, Shown>,
    first: Shown,
    last: Shown,
}

/// What both counters show.
#[derive(Debug, Clone, Copy)]
struct Shown {
    import_wh: i64,
    export_wh: i64,
}

/// One of the two counters.
#[derive(Clone, Copy)]
enum Counter {
    Import,
    Export,
}

/// Judges all readings that one household has signed; says where one does not follow from what
/// the meter counted between `since` and `until`.
///
/// `reach_ms` is how far from an edge, in milliseconds of market time, the reads can lie from
/// which a figure of quality [`Quality::Ok`] was drawn.
///
/// # Errors
/// [`DemoError`] if the household cannot live that long.
pub(super) fn contradiction(
    plan: &HouseholdPlan,
    readings: &[&IntervalReading],
    (since, until): (Timestamp, Timestamp),
    reach_ms: i64,
) -> Result<Option<String>, DemoError> {
    let counters = Counters::of(plan, readings, (since, until), reach_ms)?;
    // The newest of each period make up the course; each older one has to hold by itself.
    let mut newest = BTreeMap::new();
    for reading in readings {
        let known = newest.entry(reading.period).or_insert(*reading);
        if reading.sequence > known.sequence {
            *known = reading;
        }
    }
    let newest: Vec<&IntervalReading> = newest.into_values().collect();
    let runs = newest.chunk_by(|one, next| one.period.end() == next.period.start());
    for run in readings.iter().map(std::slice::from_ref).chain(runs) {
        for counter in [Counter::Import, Counter::Export] {
            if let Some(at) = counters.first_unexplained(run, counter, reach_ms) {
                return Ok(Some(counters.words(plan, at, counter, reach_ms)));
            }
        }
    }
    Ok(None)
}

impl Counters {
    fn of(
        plan: &HouseholdPlan,
        readings: &[&IntervalReading],
        (since, until): (Timestamp, Timestamp),
        reach_ms: i64,
    ) -> Result<Self, DemoError> {
        let mut instants = BTreeSet::from([since, until]);
        for edge in readings.iter().flat_map(|it| [it.period.start(), it.period.end()]) {
            for at in around(edge, reach_ms) {
                instants.insert(at.clamp(since, until));
            }
        }
        let mut household = Household::new(plan, since)?;
        let mut at = BTreeMap::new();
        let mut last = Shown::of(&household);
        let first = last;
        for instant in instants {
            household.advance(instant)?;
            last = Shown::of(&household);
            at.insert(instant, last);
        }
        Ok(Self { at, first, last })
    }

    /// The reading in a run of neighbouring periods at whose end no single course of the counter
    /// explains the figures any more.
    fn first_unexplained<'a>(
        &self,
        run: &[&'a IntervalReading],
        counter: Counter,
        reach_ms: i64,
    ) -> Option<&'a IntervalReading> {
        let first = *run.first()?;
        // What the counter can have shown where the run begins, as far as is known by now.
        let (mut least, mut most) =
            self.possible(first.period.start(), first.quality, counter, reach_ms);
        let mut said: i64 = 0;
        for (index, reading) in run.iter().enumerate() {
            said = said.saturating_add(counter.of_reading(reading).wh());
            // An edge is as good as the better one of the two intervals that share it.
            let next = run.get(index + 1).map_or(reading.quality, |next| next.quality);
            let quality = reading.quality.min(next);
            let end = self.possible(reading.period.end(), quality, counter, reach_ms);
            least = least.max(end.0.saturating_sub(said));
            most = most.min(end.1.saturating_sub(said));
            if least > most {
                return Some(reading);
            }
        }
        None
    }

    /// The least and the most that a counter can be said to have shown at an edge.
    fn possible(
        &self,
        edge: Timestamp,
        quality: Quality,
        counter: Counter,
        reach_ms: i64,
    ) -> (i64, i64) {
        let unknown = (self.first, self.last);
        let (before, after) = match quality {
            Quality::Ok => self.around(edge, reach_ms).unwrap_or(unknown),
            // Drawn across a silence of any length.
            Quality::Estimated | Quality::Missing => unknown,
        };
        (counter.of(before), counter.of(after))
    }

    /// What was shown before and after an edge; beyond the demo's time, what was shown last.
    fn around(&self, edge: Timestamp, reach_ms: i64) -> Option<(Shown, Shown)> {
        let (since, _) = self.at.first_key_value()?;
        let (until, _) = self.at.last_key_value()?;
        let [before, after] = around(edge, reach_ms).map(|at| at.clamp(*since, *until));
        Some((*self.at.get(&before)?, *self.at.get(&after)?))
    }

    fn words(
        &self,
        plan: &HouseholdPlan,
        reading: &IntervalReading,
        counter: Counter,
        reach_ms: i64,
    ) -> String {
        let period = reading.period;
        let between = |(least, most): (i64, i64)| (Energy::from_wh(least), Energy::from_wh(most));
        let edge = |at| self.possible(at, reading.quality, counter, reach_ms);
        let (start, end) = (edge(period.start()), edge(period.end()));
        let (least, most) = between(((end.0 - start.1).max(0), end.1 - start.0));
        let (verb, said) = match counter {
            Counter::Import => ("drew", reading.imported),
            Counter::Export => ("fed in", reading.exported),
        };
        format!(
            "house {} signed that it {verb} {said} in {period:?} (reading {}); with the periods \
             before, that is not what its meter counted, {least} to {most} around this one",
            plan.household.saturating_add(1),
            reading.sequence
        )
    }
}

impl Shown {
    fn of(household: &Household) -> Self {
        let readout = household.readout();
        let shown = |wh: u64| i64::try_from(wh).unwrap_or(i64::MAX);
        Self { import_wh: shown(readout.import_wh()), export_wh: shown(readout.export_wh()) }
    }
}

impl Counter {
    fn of(self, shown: Shown) -> i64 {
        match self {
            Self::Import => shown.import_wh,
            Self::Export => shown.export_wh,
        }
    }

    fn of_reading(self, reading: &IntervalReading) -> Energy {
        match self {
            Self::Import => reading.imported,
            Self::Export => reading.exported,
        }
    }
}

fn around(edge: Timestamp, reach_ms: i64) -> [Timestamp; 2] {
    [edge.plus_millis(reach_ms.saturating_neg()), edge.plus_millis(reach_ms)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::household::neighbourhood;
    use crate::place::Place;
    use market::keys::ChainId;
    use market::member::{MeteringPointId, PartyId};
    use market::time::{DeliveryPeriod, PeriodLength};

    /// 2026-06-15 09:00 UTC: sun, and people at home.
    const SINCE: Timestamp = Timestamp::from_millis(1_781_514_000_000);
    const PERIODS: i64 = 8;
    const LENGTH_MS: i64 = 15 * 60_000;
    const REACH_MS: i64 = 210_000;

    fn until() -> Timestamp {
        SINCE.plus_millis((PERIODS + 1) * LENGTH_MS)
    }

    fn solar_house() -> HouseholdPlan {
        let place = Place::new(48.14, 11.58, "Europe/Berlin").expect("Munich");
        let plans = neighbourhood(1, 12, 3, &place).expect("a street");
        plans.into_iter().find(|plan| plan.solar.is_some()).expect("a roof")
    }

    /// What an agent signs that reads its meter `late_ms` after every edge and takes that for the
    /// edge.
    fn signed(plan: &HouseholdPlan, late_ms: i64) -> Vec<IntervalReading> {
        let mut household = Household::new(plan, SINCE).expect("a household");
        let mut shown = |at: Timestamp| {
            household.advance(at.plus_millis(late_ms)).expect("it lives");
            Shown::of(&household)
        };
        let mut before = shown(SINCE);
        let mut readings = Vec::new();
        for index in 0..PERIODS {
            let start = SINCE.plus_millis(index * LENGTH_MS);
            let after = shown(start.plus_millis(LENGTH_MS));
            let counted = |of: fn(&Shown) -> i64| Energy::from_wh(of(&after) - of(&before));
            readings.push(IntervalReading {
                community: ChainId::from_bytes([1; 32]),
                party: PartyId::from_bytes([1; 16]),
                metering_point: MeteringPointId::from_bytes([1; 16]),
                period: DeliveryPeriod::starting_at(start, PeriodLength::Minutes15)
                    .expect("a period"),
                imported: counted(|shown| shown.import_wh),
                exported: counted(|shown| shown.export_wh),
                quality: Quality::Ok,
                sequence: 1,
            });
            before = after;
        }
        readings
    }

    fn found(plan: &HouseholdPlan, readings: &[IntervalReading]) -> Option<String> {
        let readings: Vec<_> = readings.iter().collect();
        contradiction(plan, &readings, (SINCE, until()), REACH_MS).expect("judged")
    }

    fn add(energy: &mut Energy, wh: i64) {
        *energy = Energy::from_wh(energy.wh() + wh);
    }

    #[test]
    fn what_the_meter_counted_holds_however_late_it_was_read() {
        let plan = solar_house();
        for late_ms in [0, 1, 60_000, REACH_MS] {
            let readings = signed(&plan, late_ms);
            assert!(readings.iter().all(|reading| reading.exported > Energy::ZERO));
            assert_eq!(found(&plan, &readings), None, "{late_ms} ms late");
        }
    }

    #[test]
    fn energy_moved_from_one_period_to_another_is_noticed_though_the_sum_is_right() {
        let plan = solar_house();
        let mut readings = signed(&plan, 0);
        let moved = readings[2].exported.wh();
        add(&mut readings[2].exported, -moved);
        add(&mut readings[5].exported, moved);
        let told = found(&plan, &readings).expect("noticed");
        assert!(told.starts_with(&format!("house {} signed", plan.household + 1)), "{told}");
        // The same within the first of the two alone.
        assert!(found(&plan, &readings[..3]).is_some());
    }

    #[test]
    fn a_little_too_much_in_every_period_is_noticed_where_it_has_grown() {
        let plan = solar_house();
        let mut readings = signed(&plan, 0);
        let each = readings.iter().map(|reading| reading.exported.wh()).min().expect("some") / 5;
        for reading in &mut readings {
            add(&mut reading.exported, each.max(1));
        }
        assert_eq!(found(&plan, &readings[..1]), None, "one alone could be a late read");
        assert!(found(&plan, &readings).is_some());
    }

    #[test]
    fn what_was_estimated_may_be_spread_but_not_invented() {
        let plan = solar_house();
        let mut readings = signed(&plan, 0);
        let (second, third) = (readings[2].exported.wh(), readings[3].exported.wh());
        readings[2].quality = Quality::Estimated;
        readings[3].quality = Quality::Estimated;
        add(&mut readings[2].exported, third / 2);
        add(&mut readings[3].exported, -(third / 2));
        assert_eq!(found(&plan, &readings), None, "spread over the silence");
        add(&mut readings[3].exported, second + third);
        assert!(found(&plan, &readings).is_some(), "more than both together");
    }

    #[test]
    fn a_reading_that_was_corrected_later_is_judged_too() {
        let plan = solar_house();
        let mut readings = signed(&plan, 0);
        let mut corrected = readings[1].clone();
        corrected.sequence = 2;
        add(&mut readings[1].imported, 20_000);
        readings.push(corrected);
        let told = found(&plan, &readings).expect("noticed");
        assert!(told.contains("(reading 1)"), "{told}");
    }
}
