//! A series of counts: which value may follow which.

use borsh::{BorshDeserialize, BorshSerialize};
use market::reading::Quality;
use market::time::Timestamp;

use crate::interval::IntervalRules;
use crate::profile::RegisterReading;

/// How many consistent reads in a row make another series of counts.
pub const SERIES_READS: u32 = 10;

/// For how long they have to hold, in milliseconds of market time.
pub const SERIES_SPAN_MS: i64 = 300_000;

/// Falls below what rated power counts in this time are a device that lost its latest counts;
/// rollovers are believed within this time. In milliseconds of market time.
const HOUR_MS: i64 = 3_600_000;

/// A value of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    /// As the device shows them.
    raw_import_wh: i64,
    raw_export_wh: i64,
    /// Carried on across rollovers and other series of counts; these never fall.
    pub(super) import_wh: i64,
    pub(super) export_wh: i64,
    /// The coarser of the two counters' steps here.
    step_wh: i64,
    pub(super) quality: Quality,
}

/// Why a reading does not follow from a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    NotLater,
    Zero,
    SmallFall { by_wh: i64 },
    OtherSeries,
}

/// How one counter moved.
enum Move {
    Rose(i64),
    Zero,
    Fell(i64),
    Leapt,
}

impl Sample {
    /// The first value of all.
    pub(super) fn first(reading: &RegisterReading) -> Self {
        Self {
            at: reading.at,
            raw_import_wh: reading.import_wh,
            raw_export_wh: reading.export_wh,
            import_wh: reading.import_wh,
            export_wh: reading.export_wh,
            step_wh: reading.step_wh,
            quality: reading.quality,
        }
    }

    /// The reading as the value after this one.
    pub(super) fn next(
        &self,
        reading: &RegisterReading,
        rules: &IntervalRules,
    ) -> Result<Self, Break> {
        let elapsed_ms = reading.at.millis_since(self.at);
        if elapsed_ms <= 0 {
            return Err(Break::NotLater);
        }
        let (import_modulus, export_modulus) = rules.rollovers_wh;
        let possible_wh = rules.possible_wh(elapsed_ms, self.coarser_step(reading));
        let step = |from, to, modulus| step(from, to, modulus, (elapsed_ms, possible_wh));
        let import = step(self.raw_import_wh, reading.import_wh, import_modulus);
        let export = step(self.raw_export_wh, reading.export_wh, export_modulus);
        match (import, export) {
            (Move::Rose(imported), Move::Rose(exported)) => Ok(Self {
                at: reading.at,
                raw_import_wh: reading.import_wh,
                raw_export_wh: reading.export_wh,
                import_wh: self.import_wh.saturating_add(imported),
                export_wh: self.export_wh.saturating_add(exported),
                step_wh: reading.step_wh,
                quality: reading.quality,
            }),
            (import, export) => Err(self.name_break(reading, rules, &import, &export)),
        }
    }

    /// Steps change with a float's magnitude and with a device's scale factor.
    fn coarser_step(&self, reading: &RegisterReading) -> i64 {
        self.step_wh.max(reading.step_wh)
    }

    fn name_break(
        &self,
        reading: &RegisterReading,
        rules: &IntervalRules,
        import: &Move,
        export: &Move,
    ) -> Break {
        // A meter that was exchanged may well show 0 on one counter, but then the other one does
        // not go on as before. 0 beside a counter that goes on, or twice, is a device waking up.
        let other_goes_on = |other: &Move| matches!(other, Move::Rose(_) | Move::Zero);
        let waking = (matches!(import, Move::Zero) && other_goes_on(export))
            || (matches!(export, Move::Zero) && other_goes_on(import))
            || (reading.import_wh == 0 && reading.export_wh == 0);
        if waking {
            return Break::Zero;
        }
        let hour_wh = rules.possible_wh(HOUR_MS, self.coarser_step(reading));
        let fell = |step: &Move, from: i64| match step {
            Move::Fell(by_wh) => Some(*by_wh),
            Move::Zero => Some(from),
            Move::Rose(_) | Move::Leapt => None,
        };
        let falls = [fell(import, self.raw_import_wh), fell(export, self.raw_export_wh)];
        let largest = falls.iter().flatten().max();
        let leapt = matches!(import, Move::Leapt) || matches!(export, Move::Leapt);
        match largest {
            Some(by_wh) if !leapt && *by_wh < hour_wh => Break::SmallFall { by_wh: *by_wh },
            _ => Break::OtherSeries,
        }
    }
}

impl IntervalRules {
    /// The most that a counter can have risen in a time, in Wh: rated power x 1.1, and two steps.
    fn possible_wh(&self, elapsed_ms: i64, step_wh: i64) -> i64 {
        let milliwatt_ms = i128::from(self.rated_power_w)
            .saturating_mul(1_100)
            .saturating_mul(i128::from(elapsed_ms));
        let wh = i64::try_from(milliwatt_ms.div_euclid(3_600_000_000)).unwrap_or(i64::MAX);
        wh.saturating_add(step_wh.max(1).saturating_mul(2))
    }
}

/// How a counter moved from one value to another in a time in which so much is possible.
fn step(from: i64, to: i64, modulus: Option<i64>, (elapsed_ms, possible_wh): (i64, i64)) -> Move {
    let rise = to.saturating_sub(from);
    if rise >= 0 {
        return if rise <= possible_wh { Move::Rose(rise) } else { Move::Leapt };
    }
    if to == 0 {
        return Move::Zero;
    }
    let across = modulus.filter(|modulus| from < *modulus && elapsed_ms <= HOUR_MS);
    match across.map(|modulus| rise.saturating_add(modulus)) {
        Some(rise) if (0..=possible_wh).contains(&rise) => Move::Rose(rise),
        _ => Move::Fell(rise.saturating_neg()),
    }
}

/// Reads that agree with each other, but not with the series that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Candidate {
    first: Sample,
    latest: Sample,
    reads: u32,
}

impl Candidate {
    pub(super) fn new(reading: &RegisterReading) -> Self {
        let first = Sample::first(reading);
        Self { first, latest: first, reads: 1 }
    }

    /// One more read: it agrees, or starts another candidate.
    pub(super) fn extend(self, reading: &RegisterReading, rules: &IntervalRules) -> Self {
        match self.latest.next(reading, rules) {
            Ok(latest) => Self { latest, reads: self.reads.saturating_add(1), ..self },
            Err(_) => Self::new(reading),
        }
    }

    pub(super) fn reads(&self) -> u32 {
        self.reads
    }

    /// Whether it has held long enough to be believed.
    pub(super) fn holds(&self) -> bool {
        let span_ms = self.latest.at.millis_since(self.first.at);
        self.reads >= SERIES_READS && span_ms >= SERIES_SPAN_MS
    }

    /// Its first and latest value, carried on from the last value of the series before.
    pub(super) fn continuing(&self, before: &Sample) -> (Sample, Sample) {
        let carry = |sample: Sample| Sample {
            import_wh: carried(before.import_wh, self.first.import_wh, sample.import_wh),
            export_wh: carried(before.export_wh, self.first.export_wh, sample.export_wh),
            ..sample
        };
        (carry(self.first), carry(self.latest))
    }
}

fn carried(before: i64, first: i64, now: i64) -> i64 {
    before.saturating_add(now.saturating_sub(first))
}
