//! How the demo ended: an audit of what the validators stored, and the figures on the way.

use std::collections::BTreeMap;
use std::time::Instant;

use ledger_node::audit::{Audit, Law, audit};
use market::energy::Energy;
use serde::Serialize;
use serde_json::Value;

use crate::demo::founding::{Founded, party_of};
use crate::demo::roles::Cast;
use crate::demo::stage::MeterTruth;
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
}

impl Highlights {
    /// Takes note of what was just seen.
    pub(super) fn note(&mut self, seen: &Seen, started_at: Instant) {
        let running_s = started_at.elapsed().as_secs_f64();
        if self.first_cleared_after_s.is_none() && seen.dashboard.last_price.is_some() {
            self.first_cleared_after_s = Some(running_s);
        }
        self.restarts = seen.processes.iter().map(|(health, _)| health.restarts).sum();
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

/// Audits the stopped validators, holds the ledger against the meters, and writes the report.
///
/// # Errors
/// [`DemoError`] if the stores cannot be read or the report cannot be written.
pub(super) async fn conclude(
    options: &DemoOptions,
    founded: &Founded,
    cast: &Cast,
    truth: &[MeterTruth],
    highlights: &Highlights,
) -> Result<Outcome, DemoError> {
    let audit = audit(&founded.genesis, &cast.validator_dirs).await?;
    let mut laws: Vec<LawFound> = audit.laws.iter().map(LawFound::from).collect();
    laws.push(nothing_unmetered(founded, &audit, truth));
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
        readings: audit.readings_count,
        traded_wh: audit.cleared.values().map(|(_, volume)| volume.wh()).sum(),
        periods: periods.collect(),
        saved: audit.saved.to_string(),
        first_cleared_after_s: highlights.first_cleared_after_s,
        order_latency: highlights.latency(),
        resources: highlights.resources.clone(),
        restarts: highlights.restarts,
    };
    if let Some(path) = &options.report {
        let text = serde_json::to_string_pretty(&outcome).map_err(DemoError::founding)?;
        std::fs::write(path, text + "\n").map_err(DemoError::file(path))?;
    }
    Ok(outcome)
}

/// No household has signed more energy than its meter has counted.
fn nothing_unmetered(founded: &Founded, audit: &Audit, truth: &[MeterTruth]) -> LawFound {
    let mut detail = String::new();
    for (index, truth) in truth.iter().enumerate() {
        let party = party_of(founded.seed, index);
        let (imported, exported) = audit.metered.get(&party).copied().unwrap_or_default();
        let counted = (Energy::from_wh(truth.imported_wh), Energy::from_wh(truth.exported_wh));
        if (imported > counted.0 || exported > counted.1) && detail.is_empty() {
            detail = format!(
                "house {} signed {imported} in and {exported} out, its meter counted {} and {}",
                index + 1,
                counted.0,
                counted.1
            );
        }
    }
    LawFound { name: "nothing_unmetered_is_signed".to_owned(), held: detail.is_empty(), detail }
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
