//! Whole agents: a meter on Modbus TCP at one end, a block with their trade at the other.

use ledger::results::ResultLeaf;
use ledger::transaction::Transaction;
use market::time::Clock;
use mesh::key_file::Keychain;
use meter_agent::commission::{Outcome, Record};
use meter_agent::status::{MeterState, Status};
use meter_agent::{AgentConfig, AgentError, run};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::meter::{Manner, Meter, Shown};
use crate::node::Node;
use crate::world::{FastClock, STARTS_AT, genesis, household, party};

/// A quarter of an hour lasts three seconds.
const SPEED: u32 = 300;

/// A meter through which a constant power flows; positive = import.
async fn constant_meter(clock: Arc<dyn Clock>, power_w: i64) -> Meter {
    Meter::start(move |_| {
        let counted_wh = clock.now().millis_since(STARTS_AT) * power_w.abs() / 3_600_000;
        let (import_wh, export_wh) =
            if power_w > 0 { (4_000_000 + counted_wh, 77) } else { (88, 5_000_000 + counted_wh) };
        (Shown { import_wh, export_wh, power_w: power_w as f32 }, Manner::Sound)
    })
    .await
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), AgentError>>,
}

fn start(config: &AgentConfig, clock: &Arc<dyn Clock>) -> Running {
    let stop = CancellationToken::new();
    let task =
        tokio::spawn(run(config.clone(), Keychain::plain(), Arc::clone(clock), stop.clone()));
    Running { stop, task }
}

impl Running {
    async fn ends(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap().unwrap();
    }
}

impl Running {
    /// Ends in the middle of whatever it does, as by `kill -9`; nothing is tidied up or kept.
    async fn dies(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
        // What is left of its mesh goes with the process.
        self.stop.cancel();
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn status(dir: &TempDir) -> Option<Status> {
    Status::read(&dir.path().join("data")).ok()
}

#[tokio::test]
async fn two_households_trade_are_metered_and_settled_also_across_a_kill() {
    let clock: Arc<dyn Clock> = Arc::new(FastClock::new(STARTS_AT, SPEED));
    let node = Node::start(&genesis(), Arc::clone(&clock)).await;
    let sunny = constant_meter(Arc::clone(&clock), -3_000).await;
    let hungry = constant_meter(Arc::clone(&clock), 2_000).await;
    let (sunny_dir, hungry_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sunny_config = household(sunny_dir.path(), 1, sunny.address, &node.address);
    let hungry_config = household(hungry_dir.path(), 2, hungry.address, &node.address);
    let hungry_agent = start(&hungry_config, &clock);
    let sunny_agent = start(&sunny_config, &clock);

    until("they have traded", || has_trades(&node)).await;
    sunny_agent.dies().await;
    let before = status(&sunny_dir).unwrap();
    assert_eq!(before.meter.state, MeterState::Online);
    let sunny_agent = start(&sunny_config, &clock);

    let settled = |dir: &TempDir| {
        status(dir).is_some_and(|status| {
            status.totals.settled_periods >= 3
                && (status.totals.sold_wh > 0 || status.totals.bought_wh > 0)
        })
    };
    until("both are settled", || settled(&sunny_dir) && settled(&hungry_dir)).await;
    sunny_agent.ends().await;
    hungry_agent.ends().await;

    let (sunny, hungry) = (status(&sunny_dir).unwrap(), status(&hungry_dir).unwrap());
    assert!(sunny.last_answer.unwrap().starts_with("Sold "), "{:?}", hungry.last_answer);
    assert!(sunny.totals.net_income_micros > sunny.totals.without_market_micros);
    assert!(hungry.totals.net_income_micros > hungry.totals.without_market_micros);
    assert!(hungry.latency.count > 0 && hungry.latency.p99_ms < 5_000, "{:?}", hungry.latency);
    check_readings(&node);
    let refused = node.rejections.lock().unwrap().clone();
    assert!(refused.is_empty(), "{refused:?}");
}

fn has_trades(node: &Node) -> bool {
    let history = node.history.lock().unwrap();
    let mut leaves = history.iter().flat_map(|served| served.results.iter().flatten());
    leaves.any(|leaf| matches!(leaf, ResultLeaf::Trade(_)))
}

/// 3 kW make 750 Wh and 2 kW make 500 Wh in a quarter of an hour, restart or not; the watt-hours of
/// an edge may fall to either side. No period is told twice.
fn check_readings(node: &Node) {
    let history = node.history.lock().unwrap();
    let transactions = history.iter().flat_map(|served| &served.committed.block.transactions);
    let mut sunny_periods = BTreeSet::new();
    for transaction in transactions {
        let Transaction::Reading(envelope) = transaction else { continue };
        let reading = envelope.unverified();
        assert_eq!(reading.sequence, 1, "{reading:?}");
        if reading.party == party(1) {
            assert!((740..=760).contains(&reading.exported.wh()), "{reading:?}");
            assert!(reading.imported.is_zero(), "{reading:?}");
            sunny_periods.insert(reading.period);
        } else {
            assert!((490..=510).contains(&reading.imported.wh()), "{reading:?}");
        }
    }
    let (first, last) = (sunny_periods.first().unwrap(), sunny_periods.last().unwrap());
    let span = last.end().millis_since(first.start()) / first.length().as_millis();
    assert_eq!(i64::try_from(sunny_periods.len()), Ok(span), "a period is missing");
}

async fn refusal(config: AgentConfig) -> String {
    let clock = Arc::new(FastClock::new(STARTS_AT, 1));
    let ended = timeout(
        Duration::from_secs(10),
        run(config, Keychain::plain(), clock, CancellationToken::new()),
    );
    ended.await.unwrap().unwrap_err().to_string()
}

fn lonely(dir: &Path) -> AgentConfig {
    let nowhere = "/ip4/127.0.0.1/tcp/9".parse().unwrap();
    household(dir, 1, "127.0.0.1:9".parse().unwrap(), &nowhere)
}

#[tokio::test]
async fn what_does_not_belong_together_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let config = lonely(dir.path());
    let stranger = AgentConfig { party: party(9), ..config.clone() };
    assert!(refusal(stranger).await.contains("is not a member of \"Test street\""));
    let other_party = AgentConfig { party: party(2), ..config.clone() };
    assert!(refusal(other_party).await.contains("is not the key of party"));
    let point = Some(market::member::MeteringPointId::from_bytes([5; 16]));
    let other_point = AgentConfig { metering_point: point, ..config.clone() };
    assert!(refusal(other_point).await.contains("correct `metering_point`"));
    let no_genesis = AgentConfig { genesis: dir.path().join("none.toml"), ..config.clone() };
    assert!(refusal(no_genesis).await.contains("none.toml"));

    let exposed = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&config.party_key, exposed).unwrap();
    assert!(refusal(config).await.contains("chmod 600"));
}

#[tokio::test]
async fn a_data_directory_is_one_agents_alone() {
    let clock: Arc<dyn Clock> = Arc::new(FastClock::new(STARTS_AT, 1));
    let dir = tempfile::tempdir().unwrap();
    let config = lonely(dir.path());
    let first = start(&config, &clock);
    until("the first runs", || status(&dir).is_some()).await;
    let warned = status(&dir).unwrap();
    assert_ne!(warned.meter.state, MeterState::Online);
    assert!(refusal(config.clone()).await.contains("another agent is using"));
    first.ends().await;

    let elsewhere = tempfile::tempdir().unwrap();
    let other = household(
        elsewhere.path(),
        2,
        "127.0.0.1:9".parse().unwrap(),
        &"/ip4/127.0.0.1/tcp/9".parse().unwrap(),
    );
    let foreign = AgentConfig { data_dir: config.data_dir, ..other };
    assert!(refusal(foreign).await.contains("give this agent a data_dir of its own"));
}

/// Design: a meter that fails the check does not trade; nothing it counts is signed.
#[tokio::test]
async fn a_meter_that_failed_its_check_neither_trades_nor_is_signed() {
    let clock: Arc<dyn Clock> = Arc::new(FastClock::new(STARTS_AT, SPEED));
    let sunny = constant_meter(Arc::clone(&clock), -3_000).await;
    let dir = tempfile::tempdir().unwrap();
    let nowhere = "/ip4/127.0.0.1/tcp/9".parse().unwrap();
    let config = household(dir.path(), 1, sunny.address, &nowhere);
    let failed = Record {
        outcome: Outcome::Failed,
        checked_at: "2026-06-15T10:00:00Z".to_owned(),
        meter: "127.0.0.1".to_owned(),
        findings: vec!["The words are swapped.".to_owned()],
    };
    failed.write(&config.data_dir).unwrap();
    let agent = start(&config, &clock);
    // Three periods and more.
    let read = || status(&dir).is_some_and(|status| status.meter.reading_count > 100);
    until("it was read for long", read).await;
    agent.ends().await;
    let seen = status(&dir).unwrap();
    assert_eq!((seen.last_order, seen.last_interval, seen.pending), (None, None, 0));
    let told = |warning: &String| warning.contains("The words are swapped.");
    assert!(seen.warnings.iter().any(told), "{:?}", seen.warnings);

    Record { outcome: Outcome::Passed, ..failed }.write(&config.data_dir).unwrap();
    let agent = start(&config, &clock);
    let trades = |status: &Status| status.last_interval.is_some() && status.last_order.is_some();
    until("it trades", || status(&dir).as_ref().is_some_and(trades)).await;
    agent.ends().await;
}

/// A meter whose power and counters contradict each other is found out while the agent runs.
#[tokio::test]
async fn a_meter_that_contradicts_itself_is_not_believed() {
    let clock: Arc<dyn Clock> = Arc::new(FastClock::new(STARTS_AT, SPEED / 3));
    let shown = Arc::clone(&clock);
    let meter = Meter::start(move |_| {
        let export_wh = 5_000_000 + shown.now().millis_since(STARTS_AT) * 3_000 / 3_600_000;
        (Shown { import_wh: 88, export_wh, power_w: 3_000.0 }, Manner::Sound)
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let nowhere = "/ip4/127.0.0.1/tcp/9".parse().unwrap();
    let config = household(dir.path(), 1, meter.address, &nowhere);
    let agent = start(&config, &clock);
    let told = |warning: &String| warning.contains("the other counter moves");
    let warned = || status(&dir).is_some_and(|status| status.warnings.iter().any(told));
    until("it is warned of", warned).await;
    agent.ends().await;
    assert_eq!(status(&dir).unwrap().last_interval, None);
}
