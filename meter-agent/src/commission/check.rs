//! The commissioning test of one meter.

use market::time::{Clock, Timestamp};
use std::time::Duration;
use tokio::time::{Instant, sleep};

use crate::commission::diagnosis::explain;
use crate::commission::record::{Outcome, Record};
use crate::commission::watch::Watch;
use crate::commission::{Contradiction, Finding, Flow};
use crate::config::MeterSettings;
use crate::interval::GAP_MAX_MS;
use crate::modbus::{Connection, PollError, Session, in_words};
use crate::profile::{RegisterReading, Vitals};

/// A clock that is off by more than this is worth a word, in seconds.
const SKEW_MAX_S: i64 = 10;
/// A line on which an answer was missed has to be quiet for so long.
const QUIET: Duration = Duration::from_secs(1);
/// After so many polls in a row without a reading the check ends.
const FAILURES_MAX: u32 = 5;
/// Less power than this says nothing about the direction, in W.
const POWER_MIN_W: f64 = 20.0;

/// How to check.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions {
    /// The most power that the metering point carries in either direction, in W.
    pub rated_power_w: u32,
    /// For how long to look (real time).
    pub duration: Duration,
    /// What flows at present, if the owner knows.
    pub owner: Option<Flow>,
}

/// What a meter shows at one poll.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// Its counters and power.
    pub reading: RegisterReading,
    /// Everything else.
    pub vitals: Vitals,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Where the meter is and what it is.
    pub meter: String,
    /// When the check ended.
    pub checked_at: Timestamp,
    /// What it showed last.
    pub last: Option<Live>,
    /// How far its own clock is ahead of this machine's, in milliseconds, if it has one.
    pub clock_ahead_ms: Option<i64>,
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How the check ended.
    pub fn outcome(&self) -> Outcome {
        if self.findings.iter().any(Finding::fails) {
            Outcome::Failed
        } else if self.findings.iter().any(Finding::leaves_open) {
            Outcome::Open
        } else {
            Outcome::Passed
        }
    }

    /// What the agent keeps of it.
    pub fn record(&self) -> Record {
        Record {
            outcome: self.outcome(),
            checked_at: self.checked_at.to_string(),
            meter: self.meter.clone(),
            findings: self.findings.iter().map(Finding::to_string).collect(),
        }
    }
}

/// Looks at a meter for a while and says what is wrong with it. `live` hears every poll. Nobody
/// else may read the meter meanwhile: many serve one client alone.
pub async fn check(
    settings: &MeterSettings,
    options: CheckOptions,
    clock: &dyn Clock,
    mut live: impl FnMut(&Live),
) -> Report {
    let mut seen = Seen::default();
    let deadline = Instant::now() + options.duration;
    let watched = watch(settings, deadline, clock, &mut seen, &mut live).await;
    let mut findings = Vec::new();
    let mut clock_ahead_ms = None;
    match watched {
        Err(finding) => findings.push(finding),
        Ok(()) => {
            seen.judge(&options, &mut findings);
            clock_ahead_ms = look_again(settings, clock, &seen, &mut findings).await;
        }
    }
    findings.sort_by_key(|finding| (!finding.fails(), finding.leaves_open()));
    Report {
        meter: format!("{}, unit {}: {}", settings.address, settings.unit, settings.profile.name),
        checked_at: clock.now(),
        last: seen.last,
        clock_ahead_ms,
        findings,
    }
}

/// What was seen while the meter was watched.
#[derive(Default)]
struct Seen {
    watch: Watch,
    first: Option<RegisterReading>,
    last: Option<Live>,
    power_sum_w: f64,
    power_count: u32,
    most_w: i64,
}

impl Seen {
    fn take(&mut self, live: Live) {
        let reading = live.reading;
        self.watch.take(&reading);
        let first = *self.first.get_or_insert(reading);
        if let Some(power_w) = reading.power_w {
            self.power_sum_w += power_w as f64;
            self.power_count = self.power_count.saturating_add(1);
            self.most_w = self.most_w.max(power_w.saturating_abs());
        }
        self.most_w = self.most_w.max(counted_w(&first, &reading));
        self.last = Some(live);
    }

    fn judge(&self, options: &CheckOptions, findings: &mut Vec<Finding>) {
        let limit_w = i64::from(options.rated_power_w).saturating_mul(11) / 10;
        if self.most_w > limit_w {
            let rated_w = options.rated_power_w;
            findings.push(Finding::BeyondRatedPower { seen_w: self.most_w, rated_w });
        }
        let contradiction = self.watch.contradiction().or(self.watch.last_run().flatten());
        let direction = self.direction(options.owner);
        match contradiction {
            // The owner's word tells which of the two is wrong.
            Some(Contradiction::OtherDirection { .. }) if direction.is_some() => {}
            Some(contradiction) => findings.push(Finding::Counters(contradiction)),
            None => {}
        }
        match (options.owner, direction) {
            (_, Some(finding)) => findings.push(finding),
            (None, None) if contradiction.is_none() => findings.push(Finding::DirectionUnproved),
            _ => {}
        }
        if self.watch.last_run().is_none() {
            findings.push(Finding::TooLittleFlowed { wh: self.net_wh().saturating_abs() });
        }
    }

    /// What the owner's word says against counters or power.
    fn direction(&self, owner: Option<Flow>) -> Option<Finding> {
        let owner = owner?;
        let mean_w = self.power_sum_w / f64::from(self.power_count.max(1));
        let power = (mean_w.abs() >= POWER_MIN_W).then(|| Flow::of(mean_w) == owner);
        let net_wh = self.net_wh();
        let step_wh = self.first.map_or(1, |first| first.step_wh);
        let moved = net_wh.saturating_abs() >= step_wh.saturating_mul(2);
        let counters = moved.then(|| Flow::of(net_wh as f64) == owner);
        match (counters, power) {
            (Some(true) | None, Some(true)) | (Some(true), None) => None,
            (Some(false), Some(true)) => Some(Finding::CountersSwapped { owner }),
            (Some(true), Some(false)) => Some(Finding::PowerReversed { owner }),
            (Some(false) | None, Some(false)) | (Some(false), None) => {
                Some(Finding::MountedBackwards { owner })
            }
            (None, None) => Some(Finding::DirectionUnproved),
        }
    }

    /// What was counted, in Wh, positive for import.
    fn net_wh(&self) -> i64 {
        let (Some(first), Some(last)) = (&self.first, &self.last) else { return 0 };
        let imported = last.reading.import_wh.saturating_sub(first.import_wh);
        let exported = last.reading.export_wh.saturating_sub(first.export_wh);
        imported.saturating_sub(exported)
    }
}

/// The power that the counters prove, two of their steps taken off, in W.
fn counted_w(first: &RegisterReading, last: &RegisterReading) -> i64 {
    let elapsed_ms = last.at.millis_since(first.at);
    let imported = last.import_wh.saturating_sub(first.import_wh);
    let exported = last.export_wh.saturating_sub(first.export_wh);
    let steps_wh = first.step_wh.max(last.step_wh).saturating_mul(2);
    let proved_wh = imported.max(exported).saturating_sub(steps_wh).max(0);
    proved_wh.saturating_mul(3_600_000).checked_div(elapsed_ms).unwrap_or(0)
}

/// Polls until the deadline. An error ends the check.
async fn watch(
    settings: &MeterSettings,
    deadline: Instant,
    clock: &dyn Clock,
    seen: &mut Seen,
    live: &mut impl FnMut(&Live),
) -> Result<(), Finding> {
    let (profile, unit) = (&settings.profile, settings.unit);
    let mut failures = 0_u32;
    while Instant::now() < deadline {
        let (mut connection, mut session) = connect(settings).await?;
        session.check().map_err(|error| explain(&session.map, &session.all_answers(), &error))?;
        while Instant::now() < deadline {
            let read = session.poll(&mut connection, unit, profile, clock, GAP_MAX_MS).await;
            match read {
                Ok(reading) => {
                    failures = 0;
                    let shown = Live { reading, vitals: session.vitals() };
                    live(&shown);
                    seen.take(shown);
                }
                Err(error) if failures >= FAILURES_MAX => {
                    return Err(finding(&error, Some(&session)));
                }
                Err(PollError::NoReading(error)) if seen.first.is_none() => {
                    return Err(explain(&session.map, &session.all_answers(), &error));
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if error.poisons_connection() {
                        sleep(QUIET).await;
                        break;
                    }
                }
            }
            sleep(settings.poll_interval).await;
        }
    }
    if seen.first.is_some() {
        Ok(())
    } else {
        Err(Finding::NoReading { why: "nothing came in time".to_owned() })
    }
}

async fn connect(settings: &MeterSettings) -> Result<(Connection, Session), Finding> {
    let opened = Connection::open(&settings.address, &settings.profile).await;
    let mut connection = opened.map_err(|error| finding(&error, None))?;
    let session = Session::open(&mut connection, settings.unit, &settings.profile).await;
    Ok((connection, session.map_err(|error| finding(&error, None))?))
}

fn finding(error: &PollError, session: Option<&Session>) -> Finding {
    match (error, session) {
        (PollError::NoReading(error), Some(session)) => {
            explain(&session.map, &session.all_answers(), error)
        }
        (PollError::NoReading(error), None) => Finding::NoReading { why: error.to_string() },
        (PollError::Refused(_), _) => Finding::NoReading { why: error.to_string() },
        _ => Finding::Unreachable { why: in_words(error).into_owned() },
    }
}

/// Who answers on a new connection, and what time it is there.
async fn look_again(
    settings: &MeterSettings,
    clock: &dyn Clock,
    seen: &Seen,
    findings: &mut Vec<Finding>,
) -> Option<i64> {
    let session = match connect(settings).await {
        Ok((_, session)) => session,
        Err(finding) => {
            findings.push(finding);
            return None;
        }
    };
    let now = clock.now();
    let vitals = session.vitals();
    let first = seen.last.as_ref().and_then(|live| live.vitals.serial.clone());
    if let (Some(first), Some(second)) = (first, vitals.serial)
        && first != second
    {
        findings.push(Finding::SerialChanges { first, second });
    }
    let ahead_ms = vitals.clock?.millis_since(now);
    let ahead_s = ahead_ms / 1_000;
    if ahead_s.abs() > SKEW_MAX_S {
        findings.push(Finding::ClockSkew { ahead_s });
    }
    Some(ahead_ms)
}
