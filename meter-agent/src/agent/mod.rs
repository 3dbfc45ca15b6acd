//! The agent's event loop: it owns all state, and everything else reports to it.

mod intervals;
mod market_side;
mod report;

use ledger::genesis::Genesis;
use ledger::transaction::Transaction;
use market::time::{Clock, Timestamp};
use mesh::key_file::Keychain;
use mesh::{Mesh, MeshEvents};
use rand::rngs::SysRng;
use rand::{SeedableRng as _, TryRng as _};
use rand_chacha::ChaCha12Rng;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::commission::Watch;
use crate::config::AgentConfig;
use crate::delivery::Delivery;
use crate::error::AgentError;
use crate::follow::{Announcement, Follow, Followed};
use crate::forecast::Surroundings;
use crate::forecast::weather::WeatherFile;
use crate::interval::{ClosedInterval, IntervalMeter};
use crate::modbus::{Device, Endpoint, MeterEvent};
use crate::orders::Orders;
use crate::outbox::{Judgement, Outbox, Restored};
use crate::setup::{Prepared, gap_max_ms, interval_rules, prepare};
use crate::signer::{MessageKind, Signer};
use crate::status::Status;

/// How often orders and repetitions are looked at (real time).
const TICK: Duration = Duration::from_millis(500);
/// How often the status file is written (real time).
const STATUS_EVERY: Duration = Duration::from_secs(2);
/// How often the state of the machine is kept between two periods (real time), so that a `kill -9`
/// costs no more than the interpolation across this time.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// Events of the meter that may wait for the loop.
const METER_EVENTS_MAX: usize = 16;
/// Announcements that may wait for the follower; of more than this the next one tells as much.
const ANNOUNCEMENTS_MAX: usize = 32;
/// Followed blocks that may wait for the loop.
const FOLLOWED_MAX: usize = 16;

/// Runs a household's agent until `shutdown`. `keys` opens its key files.
///
/// # Errors
/// [`AgentError`] says in one sentence what keeps the agent from starting, or that a part of it
/// ended. A meter, a neighbour or a disk that fails later does not end the agent.
pub async fn run(
    config: AgentConfig,
    keys: Keychain,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) -> Result<(), AgentError> {
    let (prepared, lock) = prepare(&config, &keys, clock.now()).await?;
    drop(keys);
    let stop = shutdown.child_token();
    let (mesh, mesh_events) = match Mesh::start(prepared.mesh.clone(), stop.clone()).await {
        Ok(started) => started,
        Err(error) => {
            prepared.outbox.close().await;
            return Err(error.into());
        }
    };
    let mut parts = JoinSet::new();
    let meter_events = start_meter(&config, &clock, &mut parts, &stop);
    let position = prepared.restored.position;
    let (announce, announcements) = mpsc::channel(ANNOUNCEMENTS_MAX);
    let (tell, followed) = mpsc::channel(FOLLOWED_MAX);
    let follow = Follow {
        mesh: mesh.clone(),
        genesis: Arc::clone(&prepared.genesis),
        outbox: prepared.outbox.clone(),
        party: config.party,
        zone: prepared.member.zone,
        announcements,
        followed: tell,
    };
    parts.spawn(follow.run(position, stop.clone()));
    let outbox = prepared.outbox.clone();
    let mut inbox = Inbox { mesh_events, meter_events, followed };
    let mut agent = Agent::new(config, prepared, clock, mesh, announce);
    tracing::info!(party = %agent.config.party, peer = %agent.mesh.peer_id(), "the agent runs");
    let ended = agent.serve(&mut inbox, &mut parts, &shutdown).await;
    agent.leave().await;
    stop.cancel();
    drop(agent);
    while parts.join_next().await.is_some() {}
    let stopped = inbox.mesh_events.stopped().await;
    outbox.close().await;
    drop(lock);
    ended?;
    Ok(stopped?)
}

fn start_meter(
    config: &AgentConfig,
    clock: &Arc<dyn Clock>,
    parts: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> mpsc::Receiver<MeterEvent> {
    let (events, meter_events) = mpsc::channel(METER_EVENTS_MAX);
    let device = Device {
        unit: config.meter.unit,
        profile: config.meter.profile.clone(),
        poll_interval: config.meter.poll_interval,
        events,
    };
    let endpoint = Endpoint {
        address: config.meter.address.clone(),
        devices: vec![device],
        gap_max_ms: gap_max_ms(config, &**clock),
    };
    parts.spawn(endpoint.run(Arc::clone(clock), stop.clone()));
    meter_events
}

/// Everything that reports to the loop.
struct Inbox {
    mesh_events: MeshEvents,
    meter_events: mpsc::Receiver<MeterEvent>,
    followed: mpsc::Receiver<Followed>,
}

/// The agent's state.
struct Agent {
    config: AgentConfig,
    clock: Arc<dyn Clock>,
    genesis: Arc<Genesis>,
    signer: Signer,
    outbox: Outbox,
    mesh: Mesh,
    announce: mpsc::Sender<Announcement>,
    meter: IntervalMeter,
    judgement: Judgement,
    surroundings: Surroundings,
    weather_file: Option<WeatherFile>,
    /// Why the weather file cannot be used.
    weather_problem: Option<String>,
    /// For what is drawn by lot: the perturbations of margins that learn.
    lots: ChaCha12Rng,
    orders: Orders,
    delivery: Delivery,
    status: Status,
    /// Metered, but not yet on disk; not sent before they are.
    unsaved: VecDeque<ClosedInterval>,
    /// Whether the meter counts what flows.
    watch: Watch,
    /// What the last check of the meter says against it.
    failed_check: Option<String>,
    /// Whether the last attempt to write to the outbox failed.
    outbox_fails: Option<String>,
    last_read: Option<Timestamp>,
    last_power_w: Option<i64>,
    intervals_kept: u64,
}

impl Agent {
    fn new(
        config: AgentConfig,
        prepared: Prepared,
        clock: Arc<dyn Clock>,
        mesh: Mesh,
        announce: mpsc::Sender<Announcement>,
    ) -> Self {
        let Prepared { genesis, member, signer, outbox, restored, failed_check, .. } = prepared;
        let Restored { series, judgement, position, totals, pending, standing, fills } = restored;
        let room = (member.import_max, member.export_max);
        let mut orders = Orders::new(genesis.rules.clone(), config.strategy.clone(), room);
        for message in &standing {
            match Transaction::from_bytes(&message.bytes) {
                Ok(Transaction::Order(envelope)) => {
                    let order = envelope.unverified().clone();
                    orders.recall(order.period, order.side, order.steps);
                }
                Ok(Transaction::Curve(envelope)) => {
                    let curve = envelope.unverified().clone();
                    orders.recall_curve(curve.side, curve.steps, curve.preferences);
                }
                _ => {}
            }
        }
        for fill in &fills {
            orders.note_fill(fill);
        }
        let rules = interval_rules(&config, &genesis, &*clock);
        let mut status = report::empty_status(&config, &genesis);
        status.totals = totals;
        status.height = position.map_or(0, |position| position.height);
        Self {
            meter: IntervalMeter::resume(rules, series),
            judgement,
            surroundings: Surroundings::new(&genesis.time_zone, config.place),
            weather_file: config.weather_file.clone().map(WeatherFile::at),
            weather_problem: None,
            lots: lots(),
            delivery: Delivery::resume(pending, Instant::now()),
            config,
            clock,
            genesis,
            signer,
            outbox,
            mesh,
            announce,
            orders,
            status,
            unsaved: VecDeque::new(),
            watch: Watch::default(),
            failed_check,
            outbox_fails: None,
            last_read: None,
            last_power_w: None,
            intervals_kept: 0,
        }
    }

    async fn serve(
        &mut self,
        inbox: &mut Inbox,
        parts: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> Result<(), AgentError> {
        let mut ticks = every(TICK);
        let mut status_ticks = every(STATUS_EVERY);
        let mut keep_ticks = every(KEEP_EVERY);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                event = inbox.meter_events.recv() => match event {
                    Some(event) => self.on_meter(event).await,
                    None => return part_ended("meter reader", shutdown),
                },
                event = inbox.mesh_events.recv() => match event {
                    Some(event) => self.on_mesh(event).await,
                    None => return part_ended("mesh", shutdown),
                },
                followed = inbox.followed.recv() => match followed {
                    Some(followed) => self.on_followed(followed),
                    None => return part_ended("chain follower", shutdown),
                },
                Some(_) = parts.join_next() => return part_ended("background task", shutdown),
                _ = ticks.tick() => {
                    self.save_intervals().await;
                    self.trade().await;
                    self.give_up_useless();
                    self.send_due().await;
                }
                _ = status_ticks.tick() => self.write_status().await,
                _ = keep_ticks.tick() => {
                    self.refresh_weather();
                    self.keep_series().await;
                }
            }
        }
    }

    /// Leaves everything on disk, and a last status.
    async fn leave(&mut self) {
        self.save_intervals().await;
        self.keep_series().await;
        self.write_status().await;
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// A part that ends while nobody asked for it is a defect; the rest shuts down in order.
fn part_ended(part: &'static str, shutdown: &CancellationToken) -> Result<(), AgentError> {
    if shutdown.is_cancelled() { Ok(()) } else { Err(AgentError::PartEnded(part)) }
}

/// Whether a message goes where orders go.
fn is_order(kind: MessageKind) -> bool {
    kind != MessageKind::Reading
}

/// Lots that nobody foresees; where the system has no randomness to give, always the same.
fn lots() -> ChaCha12Rng {
    let mut seed = [0; 32];
    if let Err(error) = SysRng.try_fill_bytes(&mut seed) {
        tracing::warn!(%error, "the system has no randomness to give");
    }
    ChaCha12Rng::from_seed(seed)
}
