//! Looking at the demo from outside, as an operator would: status pages over HTTP, the agents'
//! status files, and what the system says about processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::demo::roles::Cast;
use crate::demo::supervisor::ProcessHealth;

/// How long a status page may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Everything seen at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) validators: Vec<Option<ValidatorSeen>>,
    pub(super) dashboard: DashboardSeen,
    pub(super) agents: Vec<Option<Value>>,
    pub(super) processes: Vec<(ProcessHealth, Option<Resources>)>,
}

/// A validator's own word.
#[derive(Debug, Clone)]
pub(super) struct ValidatorSeen {
    pub(super) height: u64,
    pub(super) round: u64,
    pub(super) phase: String,
    pub(super) has_quorum: bool,
}

/// What the dashboard has followed and verified.
#[derive(Debug, Clone, Default)]
pub(super) struct DashboardSeen {
    /// `live`, `catching_up`, `halted` or `waiting`; empty while it does not answer.
    pub(super) state: String,
    pub(super) words: String,
    pub(super) height: u64,
    pub(super) settled_periods: u64,
    pub(super) last_price: Option<String>,
    pub(super) traded_today_wh: i64,
    pub(super) saved_today: String,
}

/// What a process costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resources {
    pub(super) resident_bytes: u64,
    pub(crate) cpu_ms: u64,
}

pub(super) struct Watcher {
    client: reqwest::Client,
    validator_urls: Vec<String>,
    dashboard_url: String,
    status_files: Vec<PathBuf>,
}

impl Watcher {
    pub(super) fn new(cast: &Cast) -> Self {
        Self {
            client: reqwest::Client::builder().timeout(TIMEOUT).build().unwrap_or_default(),
            validator_urls: cast.validator_urls.clone(),
            dashboard_url: cast.dashboard_url.clone(),
            status_files: cast.agent_dirs.iter().map(|dir| dir.join("status.json")).collect(),
        }
    }

    /// Looks again and again in a task of its own, so that a page that does not answer holds
    /// nobody up.
    pub(super) fn start(self, every: Duration, ending: CancellationToken) -> watch::Receiver<Seen> {
        let (publish, seen) = watch::channel(Seen::default());
        tokio::spawn(async move {
            let mut look = tokio::time::interval(every);
            look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = ending.cancelled() => return,
                    _ = look.tick() => {}
                }
                tokio::select! {
                    () = ending.cancelled() => return,
                    seen = self.look() => publish.send_replace(seen),
                };
            }
        });
        seen
    }

    /// Looks at everything once; all validators at the same time.
    async fn look(&self) -> Seen {
        let mut pages = JoinSet::new();
        for (index, url) in self.validator_urls.iter().enumerate() {
            let (client, url) = (self.client.clone(), format!("{url}/status"));
            pages.spawn(async move { (index, page(&client, &url).await) });
        }
        let mut validators = vec![None; self.validator_urls.len()];
        let dashboard = self.dashboard().await;
        while let Some(Ok((index, page))) = pages.join_next().await {
            if let Some(place) = validators.get_mut(index) {
                *place = page.as_ref().map(validator);
            }
        }
        Seen {
            validators,
            dashboard,
            agents: self.status_files.iter().map(|file| read_json(file)).collect(),
            processes: Vec::new(),
        }
    }

    async fn dashboard(&self) -> DashboardSeen {
        let base = format!("{}/api/v1", self.dashboard_url);
        let Some(status) = self.page(&format!("{base}/status")).await else {
            return DashboardSeen::default();
        };
        let mut seen = DashboardSeen {
            state: text(&status["state"]),
            words: text(&status["detail"]["en"]),
            height: status["height"].as_u64().unwrap_or_default(),
            ..DashboardSeen::default()
        };
        if let Some(now) = self.page(&format!("{base}/now")).await {
            seen.traded_today_wh = now["energy_today_wh"].as_i64().unwrap_or_default();
            seen.saved_today = text(&now["saved_today"]);
            seen.settled_periods = now["settled_periods_count"].as_u64().unwrap_or_default();
        }
        if let Some(auction) = self.page(&format!("{base}/auctions/latest")).await {
            seen.last_price = auction["price"].as_str().map(str::to_owned);
        }
        seen
    }

    async fn page(&self, url: &str) -> Option<Value> {
        page(&self.client, url).await
    }
}

impl Seen {
    /// Adds how the processes are, and what each costs.
    pub(super) fn note_processes(&mut self, processes: Vec<ProcessHealth>) {
        let with_resources = |health: ProcessHealth| {
            let resources = health.pid.and_then(resources);
            (health, resources)
        };
        self.processes = processes.into_iter().map(with_resources).collect();
    }
}

/// The JSON of a page, whatever its status; `None` if nobody answers.
async fn page(client: &reqwest::Client, url: &str) -> Option<Value> {
    client.get(url).send().await.ok()?.json().await.ok()
}

fn validator(page: &Value) -> ValidatorSeen {
    ValidatorSeen {
        height: page["height"].as_u64().unwrap_or_default(),
        round: page["round"].as_u64().unwrap_or_default(),
        phase: text(&page["phase"]),
        has_quorum: page["has_quorum"].as_bool().unwrap_or_default(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// Resident memory and CPU time of a process, as Linux counts them in `/proc`; `None` elsewhere.
pub(crate) fn resources(pid: u32) -> Option<Resources> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the numbers start behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let page_bytes = u64::try_from(rustix::param::page_size()).ok()?;
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Resources {
        resident_bytes: pages.saturating_mul(page_bytes),
        cpu_ms: user.saturating_add(system).saturating_mul(1_000) / ticks_per_second,
    })
}
