//! Plain lines, for logs and pipes: one when something changes, and a heartbeat.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use market::time::Timestamp;

use crate::demo::view::trouble;
use crate::demo::watch::Seen;

/// At least one line in this time.
const HEARTBEAT: Duration = Duration::from_secs(10);

pub(in crate::demo) struct Lines {
    last_settled: Option<u64>,
    last_state: String,
    last_at: Duration,
    /// How often each process had ended when it was last told of.
    ends: BTreeMap<String, u32>,
}

#[expect(clippy::print_stdout, reason = "these lines are the demo's output")]
impl Lines {
    pub(in crate::demo) fn new(dashboard_url: &str, dir: &Path) -> Self {
        println!("dashboard  {dashboard_url}");
        println!("data       {}", dir.display());
        println!("Ctrl-C ends it.");
        Self {
            last_settled: None,
            last_state: String::new(),
            last_at: Duration::ZERO,
            ends: BTreeMap::new(),
        }
    }

    pub(in crate::demo) fn print(&mut self, seen: &Seen, now: Timestamp, running: Duration) {
        let dashboard = &seen.dashboard;
        for (health, _) in &seen.processes {
            let told = self.ends.entry(health.name.clone()).or_default();
            if health.ends > *told
                && let Some(words) = trouble::words(health)
            {
                *told = health.ends;
                println!("{now}  {words}");
            }
        }
        if dashboard.state != self.last_state {
            let words = if dashboard.words.is_empty() { "starting" } else { &dashboard.words };
            println!("{now}  {words}");
            self.last_state.clone_from(&dashboard.state);
        }
        let news = self.last_settled != Some(dashboard.settled_periods);
        if !news && running.saturating_sub(self.last_at) < HEARTBEAT {
            return;
        }
        self.last_settled = Some(dashboard.settled_periods);
        self.last_at = running;
        let heights: Vec<String> = seen
            .validators
            .iter()
            .map(|seen| seen.as_ref().map_or("-".to_owned(), |seen| seen.height.to_string()))
            .collect();
        let (up, all) = (
            seen.processes.iter().filter(|(health, _)| health.pid.is_some()).count(),
            seen.processes.len(),
        );
        println!(
            "{now}  heights {}  settled {}  price {}  traded today {}  saved today {}  \
             processes {up}/{all}",
            heights.join(" "),
            dashboard.settled_periods,
            dashboard.last_price.as_deref().unwrap_or("-"),
            market::energy::Energy::from_wh(dashboard.traded_today_wh),
            if dashboard.saved_today.is_empty() { "-" } else { &dashboard.saved_today },
        );
    }
}
