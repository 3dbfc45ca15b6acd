//! From cumulative counters to interval readings: differences at period edges, and nothing else.
//!
//! Traded energy is a difference of two counters, never an integral of power. The machine here is
//! pure; time comes with the readings.
//!
//! **What counts.** A value counts once the next read confirms it: the counters have not fallen,
//! and did not rise by more than rated power x elapsed time x 1.1 (plus two steps of the counter).
//! So a single wrong value, however plausible, changes nothing. Zero after anything above zero is a
//! device that is waking up, never a counter.
//!
//! **Falls.** A small fall (less than an hour at rated power) is a device that lost its latest
//! counts: the high-water mark stays, and counting goes on when the counter passes it. A larger
//! fall, or a leap beyond rated power, is another series of counts if it holds for
//! [`SERIES_READS`] consistent reads over [`SERIES_SPAN_MS`], or at once if the device shows another
//! serial number: it counts from its first read on, and what lies between the two series is
//! nobody's energy. A fall across the profile's rollover
//! modulus, within an hour and within rated power, is counted across.
//!
//! **Edges.** The counter at a period edge is interpolated between the two reads around it and
//! rounded down, so the intervals never sum up to more than the counter. It is
//! [`Quality::Estimated`] if the reads lie more than [`IntervalRules::gap_max_ms`] apart. Across a
//! silence of several periods the proven difference is spread evenly, all of it estimated.
//!
//! **What cannot be seen here.** A device that lies twice in a row, rising and within its rated
//! power, is believed; the false energy is at most rated power x 1.1 x the time of the lie.

mod series;

use borsh::{BorshDeserialize, BorshSerialize};
use market::energy::Energy;
use market::reading::Quality;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};

use crate::profile::RegisterReading;
use series::{Break, Candidate, Sample};
pub use series::{SERIES_READS, SERIES_SPAN_MS};

/// The least time between two reads that makes an edge between them estimated, in milliseconds of
/// market time (reference `meters.md`, failure 24).
pub const GAP_MAX_MS: i64 = 60_000;

/// The longest silence that is spread over its periods; of a longer one only the end.
const SPREAD_MAX_MS: i64 = 7 * 24 * 3_600_000;

/// What the machine has to know about a metering point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntervalRules {
    /// How long a delivery period is.
    pub period_length: PeriodLength,
    /// The most power that the metering point carries in either direction, in W.
    pub rated_power_w: u32,
    /// Reads further apart than this make an edge between them estimated, in milliseconds of
    /// market time. At least [`GAP_MAX_MS`], and twice the poll interval, which a scaled clock may
    /// stretch beyond a minute.
    pub gap_max_ms: i64,
    /// Where the counters start again from 0, in Wh: import, export.
    pub rollovers_wh: (Option<i64>, Option<i64>),
}

/// What a meter counted in one delivery period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ClosedInterval {
    /// The period.
    pub period: DeliveryPeriod,
    /// Drawn from the grid; not negative.
    pub imported: Energy,
    /// Fed into the grid; not negative.
    pub exported: Energy,
    /// Never [`Quality::Missing`].
    pub quality: Quality,
}

/// What became of one register reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first value of all: counting starts here.
    First,
    /// It follows from the value before, which now counts.
    Counted,
    /// It contradicts the value before, which was a single wrong one and is dropped.
    DroppedBefore,
    /// Not later than the value before.
    NotLater,
    /// Zero where the counter stood above zero.
    ZeroRefused,
    /// Below the high-water mark; counting waits until the counter has passed it.
    BelowHighWater {
        /// By how much, in Wh.
        by_wh: i64,
    },
    /// Possibly another series of counts.
    Suspect {
        /// How many reads in a row have agreed with each other.
        reads: u32,
    },
    /// Another series of counts begins.
    NewSeries,
}

/// A reading's verdict and the periods that ended with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What became of the reading.
    pub verdict: Verdict,
    /// The periods whose both edges are now known, oldest first.
    pub closed: Vec<ClosedInterval>,
}

/// Everything that a restart has to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SeriesState {
    /// The last value that counts.
    confirmed: Option<Sample>,
    /// The value that the next read confirms or drops.
    pending: Option<Sample>,
    candidate: Option<Candidate>,
    edge: Option<Edge>,
    /// The number on the name plate of the meter that counts.
    serial: Option<String>,
    /// Whether another meter has taken its place, which was not read yet.
    exchanged: bool,
}

/// The counters at a period edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Edge {
    at: Timestamp,
    import_wh: i64,
    export_wh: i64,
    quality: Quality,
}

/// The state machine of one metering point.
#[derive(Debug, Clone)]
pub struct IntervalMeter {
    rules: IntervalRules,
    state: SeriesState,
}

impl IntervalMeter {
    /// Goes on from a kept state; [`SeriesState::default`] starts anew.
    pub fn resume(rules: IntervalRules, state: SeriesState) -> Self {
        Self { rules, state }
    }

    /// What a restart has to know.
    pub fn state(&self) -> &SeriesState {
        &self.state
    }

    /// Net energy fed in since the last edge (negative if drawn), in Wh, and for how long, in
    /// milliseconds; `None` before the first edge.
    pub fn running(&self) -> Option<(i64, i64)> {
        let (edge, last) = (self.state.edge?, self.state.confirmed?);
        let exported = last.export_wh.saturating_sub(edge.export_wh);
        let imported = last.import_wh.saturating_sub(edge.import_wh);
        let elapsed_ms = last.at.millis_since(edge.at);
        (elapsed_ms > 0).then(|| (exported.saturating_sub(imported), elapsed_ms))
    }

    /// Hears the serial number that the device shows, before its readings. Another one than before
    /// is another meter: the next reading begins another series of counts. Whether it is another.
    pub fn identify(&mut self, serial: &str) -> bool {
        let other = self.state.serial.as_deref().is_some_and(|known| known != serial);
        self.state.serial = Some(serial.to_owned());
        self.state.exchanged |= other;
        other
    }

    /// Starts anew with the next reading, as if the meter had just been put in: what it showed so
    /// far is not to be believed.
    pub fn forget(&mut self) {
        let serial = self.state.serial.take();
        self.state = SeriesState { serial, ..SeriesState::default() };
    }

    /// Takes the next reading.
    pub fn take(&mut self, reading: &RegisterReading) -> Taken {
        let Some(pending) = self.state.pending else {
            self.state.exchanged = false;
            self.state.pending = Some(Sample::first(reading));
            return Taken { verdict: Verdict::First, closed: Vec::new() };
        };
        if self.state.exchanged {
            return self.exchange(reading);
        }
        let found = match pending.next(reading, &self.rules) {
            Ok(next) => return self.count(pending, next),
            Err(found) => found,
        };
        if found == Break::NotLater {
            return Taken { verdict: Verdict::NotLater, closed: Vec::new() };
        }
        let Some(confirmed) = self.state.confirmed else {
            // Of two first values that contradict each other the later one is taken: nothing has
            // been counted yet.
            self.state.pending = Some(Sample::first(reading));
            return Taken { verdict: Verdict::DroppedBefore, closed: Vec::new() };
        };
        match confirmed.next(reading, &self.rules) {
            Ok(next) => {
                self.state.pending = Some(next);
                self.state.candidate = None;
                Taken { verdict: Verdict::DroppedBefore, closed: Vec::new() }
            }
            Err(found) => self.suspect(confirmed, reading, found),
        }
    }

    /// `pending` is confirmed by `next`.
    fn count(&mut self, pending: Sample, next: Sample) -> Taken {
        let closed = match self.state.confirmed {
            Some(confirmed) => self.cross_edges(&confirmed, &pending),
            None => {
                self.edge_on(&pending);
                Vec::new()
            }
        };
        self.state.confirmed = Some(pending);
        self.state.pending = Some(next);
        self.state.candidate = None;
        Taken { verdict: Verdict::Counted, closed }
    }

    /// A reading that follows neither from the pending nor from the confirmed value.
    fn suspect(&mut self, confirmed: Sample, reading: &RegisterReading, found: Break) -> Taken {
        let verdict = match found {
            Break::NotLater => Verdict::NotLater,
            Break::Zero => Verdict::ZeroRefused,
            Break::SmallFall { by_wh } => Verdict::BelowHighWater { by_wh },
            Break::OtherSeries => {
                let candidate = match self.state.candidate.take() {
                    Some(candidate) => candidate.extend(reading, &self.rules),
                    None => Candidate::new(reading),
                };
                if candidate.holds() {
                    self.begin_series(&confirmed, &candidate);
                    return Taken { verdict: Verdict::NewSeries, closed: Vec::new() };
                }
                let reads = candidate.reads();
                self.state.candidate = Some(candidate);
                return Taken { verdict: Verdict::Suspect { reads }, closed: Vec::new() };
            }
        };
        self.state.candidate = None;
        Taken { verdict, closed: Vec::new() }
    }

    /// The first reading of another meter.
    fn exchange(&mut self, reading: &RegisterReading) -> Taken {
        let last = self.state.confirmed.or(self.state.pending);
        if last.is_some_and(|last| last.at >= reading.at) {
            return Taken { verdict: Verdict::NotLater, closed: Vec::new() };
        }
        self.state.exchanged = false;
        match self.state.confirmed {
            Some(confirmed) => self.begin_series(&confirmed, &Candidate::new(reading)),
            None => self.state.pending = Some(Sample::first(reading)),
        }
        Taken { verdict: Verdict::NewSeries, closed: Vec::new() }
    }

    /// Counts from the candidate's first read on, as if nothing had flowed since the last value of
    /// the old series. A period with its edge in between cannot be known.
    fn begin_series(&mut self, last: &Sample, candidate: &Candidate) {
        let (first, latest) = candidate.continuing(last);
        let crossed = self.last_edge(first.at) > last.at;
        self.state.edge = self.state.edge.filter(|_| !crossed);
        if let Some(edge) = &mut self.state.edge {
            edge.quality = Quality::Estimated;
        }
        self.state.confirmed = Some(first);
        self.state.pending = Some(latest);
        self.state.candidate = None;
        self.edge_on(&first);
    }

    /// The very first value may lie exactly on an edge.
    fn edge_on(&mut self, sample: &Sample) {
        if self.last_edge(sample.at) == sample.at {
            let quality = sample.quality;
            let (import_wh, export_wh) = (sample.import_wh, sample.export_wh);
            self.state.edge = Some(Edge { at: sample.at, import_wh, export_wh, quality });
        }
    }

    /// Interpolates every edge after `from` up to `to`, and closes the periods between them.
    fn cross_edges(&mut self, from: &Sample, to: &Sample) -> Vec<ClosedInterval> {
        let length_ms = self.rules.period_length.as_millis();
        let oldest = from.at.max(to.at.plus_millis(SPREAD_MAX_MS.saturating_neg()));
        let mut at = self.last_edge(oldest).plus_millis(length_ms);
        let mut closed = Vec::new();
        while at <= to.at {
            let edge = self.edge_between(from, to, at);
            closed.extend(self.close(&edge));
            self.state.edge = Some(edge);
            at = at.plus_millis(length_ms);
        }
        closed
    }

    fn edge_between(&self, from: &Sample, to: &Sample, at: Timestamp) -> Edge {
        let close = to.at.millis_since(from.at) <= self.rules.gap_max_ms;
        let quality = if close { from.quality.max(to.quality) } else { Quality::Estimated };
        Edge {
            at,
            import_wh: interpolate((from.at, from.import_wh), (to.at, to.import_wh), at),
            export_wh: interpolate((from.at, from.export_wh), (to.at, to.export_wh), at),
            quality,
        }
    }

    /// The period between the last known edge and this one, if it is exactly one.
    fn close(&self, end: &Edge) -> Option<ClosedInterval> {
        let start = self.state.edge?;
        let period = DeliveryPeriod::starting_at(start.at, self.rules.period_length).ok()?;
        (period.end() == end.at).then(|| ClosedInterval {
            period,
            imported: Energy::from_wh(end.import_wh.saturating_sub(start.import_wh)),
            exported: Energy::from_wh(end.export_wh.saturating_sub(start.export_wh)),
            quality: start.quality.max(end.quality),
        })
    }

    /// The last edge at or before an instant.
    fn last_edge(&self, at: Timestamp) -> Timestamp {
        let length_ms = self.rules.period_length.as_millis();
        at.plus_millis(at.as_millis().rem_euclid(length_ms).saturating_neg())
    }
}

/// The counter at `at`, on the straight line between two reads, rounded down.
fn interpolate(from: (Timestamp, i64), to: (Timestamp, i64), at: Timestamp) -> i64 {
    let span = i128::from(to.0.millis_since(from.0)).max(1);
    let part = i128::from(at.millis_since(from.0)).clamp(0, span);
    let rise = i128::from(to.1.saturating_sub(from.1));
    let risen = rise.saturating_mul(part).div_euclid(span);
    from.1.saturating_add(i64::try_from(risen).unwrap_or_default())
}

#[cfg(test)]
mod tests;
