//! How fast the ledger is: four validators on this machine, signed orders over the mesh, and the
//! floor that no ledger on this engine can beat, measured in the same run.
//!
//! Both are measured in processor time for each order, because other load on the machine disturbs
//! that least, and by turns. The floor is what the bare engine needs for blocks of the same bytes
//! (`bare`), and one strict signature check for each validator.

mod bare;
mod crowd;
mod error;
mod figures;
mod nodes;
mod witness;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use market::keys::SigningKey;
use market::time::Clock;
use mesh::{Mesh, MeshConfig, MeshEvents, TransportKey, Verdict};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use bare::run_bare;
pub use error::BenchError;
pub use figures::{Figures, Latency, Round};

use crate::demo::DemoOptions;
use crate::demo::founding::{Founded, Secret, found_in, party_of, secret};
use crate::demo::home::Home;
use crate::scaled_clock::ScaledClock;
use crowd::{Crowd, Outstanding, Pace};
use figures::{check_us, latency};
use nodes::{Nodes, Start, VALIDATORS};
use witness::{Tally, Witness};

/// How many parties order.
const HOUSEHOLDS: u32 = 500;

/// Through how many members of the mesh.
const MEMBERS: usize = 8;

/// Orders that may be in no block yet: a few blocks full of them.
const WINDOW: usize = 12_000;

/// Heights that the bare engines decide before they are measured.
const BARE_WARM_UP: u64 = 5;

/// How long everybody may take to meet, and the last orders to stand in a block.
const PATIENCE: Duration = Duration::from_secs(60);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What to measure.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The program whose subcommands the processes are: this one.
    pub program: PathBuf,
    /// How often floor and ledger are measured, by turns; 1 to 20.
    pub rounds: u32,
    /// How long each time, in seconds; 2 to 600.
    pub seconds: u64,
}

impl BenchOptions {
    fn check(&self) -> Result<(), BenchError> {
        let (rounds, seconds) = (u64::from(self.rounds), self.seconds);
        for (option, expected, found, holds) in [
            ("--rounds", "1 to 20", rounds, (1..=20).contains(&rounds)),
            ("--seconds", "2 to 600", seconds, (2..=600).contains(&seconds)),
        ] {
            if !holds {
                return Err(BenchError::Option { option, expected, found });
            }
        }
        Ok(())
    }
}

/// Measures ledger and floor by turns.
///
/// # Errors
/// [`BenchError`] if it could not be done. A bound that is left is no error but part of the figures.
pub async fn run(
    options: BenchOptions,
    progress: impl Fn(&str),
    shutdown: CancellationToken,
) -> Result<Figures, BenchError> {
    options.check()?;
    tokio::select! {
        measured = measure(&options, &progress) => measured,
        () = shutdown.cancelled() => Err(BenchError::Interrupted),
    }
}

async fn measure(options: &BenchOptions, progress: &impl Fn(&str)) -> Result<Figures, BenchError> {
    progress("starting four validators");
    let home = Home::open(None).await?;
    let founded = found_in(&home.dir, &street(options))?;
    let clock = ScaledClock::starting_at(founded.genesis.starts_at, 1.0);
    let start = Start {
        dir: &home.dir,
        program: &options.program,
        seed: founded.seed,
        clock: clock.to_string(),
    };
    let nodes = Nodes::validators(&start)?;
    let mut bench = Bench::open(nodes, founded, Arc::new(clock)).await?;
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        progress(&format!("round {round} of {}: the ledger", options.rounds));
        let ledger = bench.ledger(Duration::from_secs(options.seconds)).await?;
        progress(&format!("round {round} of {}: the bare engine", options.rounds));
        rounds.push(bench.floor(&start, round, ledger, options.seconds).await?);
    }
    progress("latency at half the speed");
    let speed = figures::median(rounds.iter().map(|round| round.orders_per_second));
    let latency = bench.latency(speed / 2.0, Duration::from_secs(options.seconds)).await?;
    bench.close().await;
    Ok(Figures::of(rounds, latency))
}

fn street(options: &BenchOptions) -> DemoOptions {
    DemoOptions {
        program: options.program.clone(),
        households: HOUSEHOLDS,
        validators: VALIDATORS,
        speed: 1.0,
        seed: 1,
        data_dir: None,
        port: 0,
        periods: None,
        headless: true,
        report: None,
    }
}

/// The running stage.
struct Bench {
    nodes: Nodes,
    crowd: Arc<Crowd>,
    outstanding: Arc<Outstanding>,
    tally: watch::Receiver<Tally>,
    ending: CancellationToken,
}

/// One turn of the ledger.
struct LedgerTurn {
    orders: u64,
    blocks: u64,
    bytes: u64,
    largest_bytes: usize,
    late_count: u64,
    lost: usize,
    cpu_ms: u64,
    seconds: f64,
}

impl Bench {
    async fn open(
        nodes: Nodes,
        founded: Founded,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BenchError> {
        let ending = CancellationToken::new();
        let outstanding = Arc::<Outstanding>::default();
        let mut meshes = Vec::new();
        for index in 0..=MEMBERS {
            meshes.push(join(&nodes, &founded, index, &ending).await?);
        }
        let begun = Instant::now();
        while meshes.iter().any(|(mesh, _)| mesh.peers().len() < VALIDATORS) {
            if begun.elapsed() >= PATIENCE {
                let (what, seconds) = ("not everybody met on the mesh", PATIENCE.as_secs());
                return Err(BenchError::Late { what, seconds });
            }
            sleep(LOOK_EVERY).await;
        }
        let watching = meshes.split_off(MEMBERS).into_iter().next();
        let genesis = founded.genesis.clone();
        let tally = match watching {
            Some((mesh, events)) => {
                let (seen, ending) = (Arc::clone(&outstanding), ending.clone());
                Witness::start(mesh, events, &genesis, seen, ending)
            }
            None => watch::channel(Tally::default()).1,
        };
        let members = meshes.into_iter().map(|(mesh, events)| heard_only(mesh, events)).collect();
        let key = |index| SigningKey::from_seed(&secret(founded.seed, Secret::PartyKey, index));
        let households = usize::try_from(HOUSEHOLDS).unwrap_or_default();
        let keys = (0..households).map(|index| (party_of(founded.seed, index), key(index)));
        let crowd = Arc::new(Crowd {
            members,
            genesis,
            keys: keys.collect(),
            clock,
            outstanding: Arc::clone(&outstanding),
            next: AtomicU64::new(0),
        });
        Ok(Self { nodes, crowd, outstanding, tally, ending })
    }

    /// Lets the crowd send as much as the ledger bears, until all of it stands in blocks.
    async fn ledger(&mut self, span: Duration) -> Result<LedgerTurn, BenchError> {
        let (before, begun) = (self.tally.borrow().clone(), Instant::now());
        let cpu_before = self.nodes.cpu_ms()?;
        self.crowd.send(Pace { per_second: None, window: WINDOW }, span).await;
        self.drain().await;
        let cpu_ms = self.nodes.cpu_ms()?.saturating_sub(cpu_before);
        let (after, seconds) = (self.tally.borrow().clone(), begun.elapsed().as_secs_f64());
        if after.orders == before.orders {
            return Err(BenchError::Late {
                what: "no order was committed",
                seconds: span.as_secs(),
            });
        }
        Ok(LedgerTurn {
            orders: after.orders - before.orders,
            blocks: after.blocks - before.blocks,
            bytes: after.bytes - before.bytes,
            largest_bytes: after.largest_bytes,
            late_count: after.late_count - before.late_count,
            lost: self.outstanding.give_up(),
            cpu_ms,
            seconds,
        })
    }

    /// Waits until everything sent stands in a block, or nothing more comes.
    async fn drain(&mut self) {
        let quiet = Duration::from_secs(3);
        while self.outstanding.count() > 0 {
            if tokio::time::timeout(quiet, self.tally.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Lets the bare engine decide blocks as large as those were, and checks signatures alone.
    async fn floor(
        &mut self,
        start: &Start<'_>,
        round: u32,
        ledger: LedgerTurn,
        seconds: u64,
    ) -> Result<Round, BenchError> {
        let block_bytes = usize::try_from(ledger.bytes / ledger.blocks).unwrap_or_default();
        let mut nodes = Nodes::bare(start, round, block_bytes)?;
        nodes.wait_for_height(BARE_WARM_UP).await?;
        let (before, begun) = (nodes.bare_progress().unwrap_or_default(), Instant::now());
        let cpu_before = nodes.cpu_ms()?;
        sleep(Duration::from_secs(seconds)).await;
        let cpu_ms = nodes.cpu_ms()?.saturating_sub(cpu_before);
        let after = nodes.bare_progress().unwrap_or_default();
        let span = begun.elapsed().as_secs_f64();
        nodes.stop().await;
        let heights = after.height.saturating_sub(before.height);
        if heights == 0 {
            return Err(BenchError::Late { what: "the bare engines decided nothing", seconds });
        }
        let check_us = check_us().await.ok_or(BenchError::NoProcessorTime)?;
        Ok(Round::of(&ledger, heights, cpu_ms, span, after.late_count, check_us))
    }

    /// How long an order takes that is sent while the ledger has time.
    async fn latency(&mut self, per_second: f64, span: Duration) -> Result<Latency, BenchError> {
        let known = self.tally.borrow().latencies_ms.len();
        let pace = Pace { per_second: Some(per_second), window: WINDOW };
        self.crowd.send(pace, span).await;
        self.drain().await;
        self.nodes.cpu_ms()?;
        let all = self.tally.borrow().latencies_ms.clone();
        Ok(latency(all.get(known..).unwrap_or_default(), per_second))
    }

    async fn close(self) {
        self.ending.cancel();
        self.nodes.stop().await;
    }
}

async fn join(
    nodes: &Nodes,
    founded: &Founded,
    index: usize,
    ending: &CancellationToken,
) -> Result<(Mesh, MeshEvents), BenchError> {
    let config = MeshConfig {
        transport_key: TransportKey::from_seed(secret(founded.seed, Secret::HouseMesh, index)),
        chain_id: *founded.genesis.chain_id().as_bytes(),
        listen: Vec::new(),
        bootstrap: nodes.mesh_addresses().iter().filter_map(|text| text.parse().ok()).collect(),
        mdns: false,
        serve_blocks: false,
    };
    Ok(Mesh::start(config, ending.child_token()).await?)
}

/// A member that sends, and leaves to others what it hears.
fn heard_only(mesh: Mesh, mut events: MeshEvents) -> Mesh {
    let judge = mesh.clone();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let mesh::MeshEvent::Message { ticket, .. } = event {
                judge.judge(ticket, Verdict::Ignore);
            }
        }
    });
    mesh
}
