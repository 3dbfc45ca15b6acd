//! A dashboard on a port of this machine, fed with a community's blocks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ledger::block::CommittedBlock;
use market::time::{Clock, Timestamp};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use web::{
    Clocks, Dashboard, DashboardConfig, HostName, HouseholdPages, MeshSection, Rate, RateLimits,
};

use crate::community::Community;

/// How many blocks most tests look at: seven hours, past the day's first final settlement and the
/// first snapshot.
pub(crate) const BLOCKS: usize = 110;

/// A market clock that stands where it was put.
pub(crate) struct StoppedClock(AtomicI64);

impl StoppedClock {
    pub(crate) fn at(time: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(time.as_millis())))
    }

    /// Puts it forward.
    pub(crate) fn pass(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn real_time_until(&self, at: Timestamp) -> Duration {
        let ahead = at.millis_since(self.now()) / 60;
        Duration::from_millis(u64::try_from(ahead).unwrap_or_default())
    }
}

/// A served dashboard.
pub(crate) struct Stage {
    pub(crate) community: Community,
    pub(crate) dashboard: Dashboard,
    pub(crate) base: String,
    /// Real time, as far as sessions go by it.
    pub(crate) real: Arc<StoppedClock>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    dir: TempDir,
}

/// Tests ask faster than people do.
const ALWAYS: Rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
const UNLIMITED: RateLimits = RateLimits { address: ALWAYS, session: ALWAYS, sign_in: ALWAYS };

pub(crate) fn config(dir: &Path, community: &Community, pages: HouseholdPages) -> DashboardConfig {
    let genesis = dir.join("genesis.toml");
    std::fs::write(&genesis, community.genesis_text()).expect("the genesis is written");
    DashboardConfig {
        data_dir: dir.join("data"),
        genesis,
        household_pages: pages,
        clock_speed: 60.0,
        allowed_hosts: Vec::new(),
        proxies: Vec::new(),
        tls: None,
        limits: UNLIMITED,
        mesh: MeshSection {
            transport_key: dir.join("transport.key"),
            listen: Vec::new(),
            bootstrap: Vec::new(),
            mdns: false,
        },
    }
}

pub(crate) async fn follow_all(dashboard: &mut Dashboard, blocks: &[CommittedBlock]) {
    for block in blocks {
        dashboard.follow(block.clone()).await.expect("the block is followed");
    }
}

impl Stage {
    /// After so many blocks.
    pub(crate) async fn after_blocks(count: usize, pages: HouseholdPages) -> Self {
        Self::of(Community::after_blocks(count), pages).await
    }

    pub(crate) async fn of(community: Community, pages: HouseholdPages) -> Self {
        Self::play(community, pages, |_| ()).await
    }

    /// After so many blocks, under more names than this machine's own.
    pub(crate) async fn with_hosts(
        count: usize,
        pages: HouseholdPages,
        hosts: Vec<HostName>,
    ) -> Self {
        let named = |config: &mut DashboardConfig| config.allowed_hosts = hosts;
        Self::play(Community::after_blocks(count), pages, named).await
    }

    /// With another configuration.
    pub(crate) async fn play(
        community: Community,
        pages: HouseholdPages,
        change: impl FnOnce(&mut DashboardConfig),
    ) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let market = StoppedClock::at(community.time());
        // Real time has nothing to do with market time.
        let real = StoppedClock::at(Timestamp::from_millis(1_900_000_000_000));
        let mut config = config(dir.path(), &community, pages);
        change(&mut config);
        let clocks = Clocks { market, real: Arc::clone(&real) as Arc<dyn Clock> };
        let mut dashboard = Dashboard::open(&config, clocks).await.expect("the dashboard opens");
        follow_all(&mut dashboard, &community.blocks).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(dashboard.serve(listener, shutdown.clone()));
        Self { community, dashboard, base, real, shutdown, server, dir }
    }

    /// Where the dashboard keeps what it knows.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) async fn response(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("{}{path}", self.base)).await.expect("an answer")
    }

    /// The JSON of a route under `/api/v1` that answers 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.response(&format!("/api/v1{path}")).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "application/json", "{path}");
        response.json().await.expect("JSON")
    }

    /// The text of a path, whatever its status.
    pub(crate) async fn text(&self, path: &str) -> String {
        self.response(path).await.text().await.expect("text")
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.expect("the server ends");
        self.dashboard.close().await;
    }
}

/// The whole number under a key.
pub(crate) fn whole(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or_else(|| panic!("{key} of {value} is no whole number"))
}

/// The decimal under a key, in millionths.
pub(crate) fn micros(value: &Value, key: &str) -> i64 {
    let text = value[key].as_str().unwrap_or_else(|| panic!("{key} of {value} is no text"));
    assert_eq!(text.split('.').nth(1).map(str::len), Some(6), "{key} {text} has six places");
    market::decimal::parse_millionths(text).expect("a decimal")
}

/// The elements of a list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}
