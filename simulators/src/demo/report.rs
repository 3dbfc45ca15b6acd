//! How the demo ended: an audit of what the validators stored, and the figures on the way.

use std::collections::BTreeMap;
use std::time::Instant;

use ledger_node::audit::{Audit, Law, audit};
use market::reading::IntervalReading;
use market::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::demo::counted::contradiction;
use crate::demo::founding::{Founded, party_of};
use crate::demo::roles::{Cast, reads_reach_ms};
use crate::demo::supervisor::Role;
use crate::demo::watch::Seen;
use crate::demo::{DemoError, DemoOptions};

/// How the demo ended.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Whether every law held.
    pub all_laws_held: bool,
    /// The laws, each with the first place where it did not hold.
    pub laws: Vec<LawFound>,
    /// What was played.
    pub seed: u64,
    /// How many households.
    pub households: u32,
    /// How many validators.
    pub validators: usize,
    /// Market seconds per real second.
    pub speed: f64,
    /// The height that every validator has stored.
    pub common_height: u64,
    /// Periods that were cleared and settled.
    pub settled_periods: u64,
    /// Orders in blocks.
    pub orders: u64,
    /// Readings in blocks.
    pub readings: u64,
    /// Each cleared period.
    pub periods: Vec<PeriodFound>,
    /// What was traded in all, Wh.
    pub traded_wh: i64,
    /// What everybody together saved against the supplier alone, in the currency.
    pub saved: String,
    /// Seconds from the start to the first cleared period as the dashboard saw it.
    pub first_cleared_after_s: Option<f64>,
    /// Order signed to committed, over all agents, in real milliseconds.
    pub order_latency: Option<Latency>,
    /// What each role used.
    pub resources: BTreeMap<&'static str, ResourcesFound>,
    /// How often processes had to be started again.
    pub restarts: u32,
    /// Processes that could not run at the end, because somebody has to mend something first.
    pub given_up: Vec<GivenUp>,
}

/// A process that could not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GivenUp {
    /// Its name, as in the data directory.
    pub name: String,
    /// Its last words.
    pub why: String,
}

/// A law and how it stands.
#[derive(Debug, Clone, Serialize)]
pub struct LawFound {
    /// Its name.
    pub name: String,
    /// Whether it held everywhere.
    pub held: bool,
    /// Where it did not; empty if it held.
    pub detail: String,
}

/// A cleared period.
#[derive(Debug, Clone, Serialize)]
pub struct PeriodFound {
    /// When it starts, milliseconds since 1970.
    pub period_start_ms: i64,
    /// The clearing price per kWh; absent if nothing was traded.
    pub price: Option<String>,
    /// How much was traded, Wh.
    pub volume_wh: i64,
}

/// Times from signing to being seen in a block, as the agents measured them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// The median household's median.
    pub median_ms: u64,
    /// The worst household's 99th percentile.
    pub p99_ms: u64,
}

/// What the processes of one role used.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ResourcesFound {
    /// How many processes.
    pub processes: usize,
    /// The largest resident memory any of them had, MB of 10^6 bytes.
    pub resident_max_mb: f64,
    /// All together at the last look, MB.
    pub resident_sum_mb: f64,
    /// CPU time of all together, in cores: seconds of CPU per second.
    pub cpu_cores: f64,
}

/// What is remembered while the demo plays.
#[derive(Debug, Default)]
pub(super) struct Highlights {
    first_cleared_after_s: Option<f64>,
    resources: BTreeMap<&'static str, ResourcesFound>,
    latencies: BTreeMap<usize, Latency>,
    restarts: u32,
    given_up: Vec<GivenUp>,
}

impl Highlights {
    /// Takes note of what was just seen.
    pub(super) fn note(&mut self, seen: &Seen, started_at: Instant) {
        let running_s = started_at.elapsed().as_secs_f64();
        if self.first_cleared_after_s.is_none() && seen.dashboard.last_price.is_some() {
            self.first_cleared_after_s = Some(running_s);
        }
        self.restarts = seen.processes.iter().map(|(health, _)| health.restarts).sum();
        let given_up = seen.processes.iter().filter(|(health, _)| health.given_up);
        let given_up = given_up
            .map(|(health, _)| GivenUp { name: health.name.clone(), why: health.why().to_owned() });
        self.given_up = given_up.collect();
        for found in self.resources.values_mut() {
            *found =
                ResourcesFound { resident_max_mb: found.resident_max_mb, ..Default::default() };
        }
        for (health, resources) in &seen.processes {
            let Some(resources) = resources else { continue };
            let name = match health.role {
                Role::Validator => "validator",
                Role::Agent => "agent",
                Role::Dashboard => "dashboard",
            };
            let found = self.resources.entry(name).or_default();
            let resident_mb = in_thousands(resources.resident_bytes) / 1_000.0;
            found.processes += 1;
            found.resident_max_mb = found.resident_max_mb.max(resident_mb);
            found.resident_sum_mb += resident_mb;
            found.cpu_cores += in_thousands(resources.cpu_ms) / running_s.max(0.001);
        }
        for (index, status) in seen.agents.iter().enumerate() {
            if let Some(latency) = status.as_ref().and_then(latency) {
                self.latencies.insert(index, latency);
            }
        }
    }

    fn latency(&self) -> Option<Latency> {
        let mut medians: Vec<u64> = self.latencies.values().map(|it| it.median_ms).collect();
        medians.sort_unstable();
        Some(Latency {
            count: self.latencies.values().map(|it| it.count).sum(),
            median_ms: *medians.get(medians.len() / 2)?,
            p99_ms: self.latencies.values().map(|it| it.p99_ms).max()?,
        })
    }
}

/// What an agent's status file says about its latencies; `None` before the first.
fn latency(status: &Value) -> Option<Latency> {
    let figure = |name: &str| status["latency"][name].as_u64();
    Some(Latency {
        count: figure("count").filter(|count| *count > 0)?,
        median_ms: figure("median_ms")?,
        p99_ms: figure("p99_ms")?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn in_thousands(count: u64) -> f64 {
    count as f64 / 1_000.0
}

/// Audits the stopped validators, and holds the ledger against what the meters counted in the time
/// that was played.
///
/// # Errors
/// [`DemoError`] if the stores cannot be read.
pub(super) async fn conclude(
    options: &DemoOptions,
    founded: &Founded,
    cast: &Cast,
    played: (Timestamp, Timestamp),
    highlights: &Highlights,
) -> Result<Outcome, DemoError> {
    let audit = audit(&founded.genesis, &cast.validator_dirs).await?;
    let mut laws: Vec<LawFound> = audit.laws.iter().map(LawFound::from).collect();
    laws.push(nothing_unmetered(options, founded, &audit, played)?);
    laws.push(settled_as_wanted(options, &audit));
    let periods = audit.cleared.iter().map(|(period, (price, volume))| PeriodFound {
        period_start_ms: period.start().as_millis(),
        price: price.map(|price| price.to_string()),
        volume_wh: volume.wh(),
    });
    let outcome = Outcome {
        all_laws_held: laws.iter().all(|law| law.held),
        laws,
        seed: options.seed,
        households: options.households,
        validators: options.validators,
        speed: options.speed,
        common_height: audit.common_height,
        settled_periods: audit.settled_count,
        orders: audit.orders_count,
        readings: u64::try_from(audit.readings.len()).unwrap_or(u64::MAX),
        traded_wh: audit.cleared.values().map(|(_, volume)| volume.wh()).sum(),
        periods: periods.collect(),
        saved: audit.saved.to_string(),
        first_cleared_after_s: highlights.first_cleared_after_s,
        order_latency: highlights.latency(),
        resources: highlights.resources.clone(),
        restarts: highlights.restarts,
        given_up: highlights.given_up.clone(),
    };
    Ok(outcome)
}

/// Every reading follows from what that household's meter counted in that period.
fn nothing_unmetered(
    options: &DemoOptions,
    founded: &Founded,
    audit: &Audit,
    played: (Timestamp, Timestamp),
) -> Result<LawFound, DemoError> {
    let reach_ms = reads_reach_ms(options.speed);
    let mut by_party: BTreeMap<_, Vec<&IntervalReading>> = BTreeMap::new();
    for reading in &audit.readings {
        by_party.entry(reading.party).or_default().push(reading);
    }
    let mut detail = String::new();
    for (index, plan) in founded.plans.iter().enumerate() {
        let Some(readings) = by_party.get(&party_of(founded.seed, index)) else { continue };
        if let Some(words) = contradiction(plan, readings, played, reach_ms)? {
            detail = words;
            break;
        }
    }
    let name = "nothing_unmetered_is_signed".to_owned();
    Ok(LawFound { name, held: detail.is_empty(), detail })
}

/// What the dashboard showed as settled is in the ledger.
fn settled_as_wanted(options: &DemoOptions, audit: &Audit) -> LawFound {
    let (wanted, found) = (options.periods.unwrap_or_default(), audit.settled_count);
    let detail = match found < wanted {
        true => format!("{wanted} periods were shown as settled, the ledger has {found}"),
        false => String::new(),
    };
    LawFound { name: "shown_is_stored".to_owned(), held: detail.is_empty(), detail }
}

impl From<&Law> for LawFound {
    fn from(law: &Law) -> Self {
        Self { name: law.name.to_owned(), held: law.held, detail: law.detail.clone() }
    }
}
