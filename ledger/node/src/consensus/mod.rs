//! The consensus room: Tendermint by the Malachite engine, around an [`Application`].
//!
//! This is the one module tree that names the engine's types. It owns what the engine leaves to
//! its host: which bytes are signed and who refuses to sign them, how messages look on the wire,
//! how block bodies travel, when a height starts, and what is durable before what is said.
//!
//! # Layout
//!
//! | module | what it is about |
//! |---|---|
//! | `application` | what the rest of the node gives to consensus |
//! | `context` | the engine's nouns in the ledger's terms |
//! | `signing`, `guard` | Ed25519 by the strict rule; never contradict what was signed |
//! | `log` | the engine's write-ahead log, judged before the engine opens it |
//! | `codec`, `parts` | messages as bytes; block bodies in pieces |
//! | `network`, `allow_list` | addresses and limits; who may connect |
//! | `session` | one life of the engine |
//! | `driver` | the one task that answers the engine |
//! | `evidence` | what proves that another validator broke the rules |
//! | `proposals`, `commits`, `peers` | what it does before and after a decision, and with whom |
//!
//! # When heights start
//!
//! Blocks wait for work. After a commit the driver keeps the engine waiting until
//! [`Application::work`] resolves, another validator is heard at the next height, or the peers of
//! a lost quorum return. A node that catches up does not wait. The first height after a start
//! waits until a quorum of validators is connected (bounded), so that the first proposal finds
//! listeners.
//!
//! A validator whose ledger ends before what it has signed, because the ledger was lost, watches
//! first: it fetches the chain by value sync, and votes once the chain has passed the height at
//! which it signed last, or stands there because the others cannot decide it alone. The same holds
//! for one whose signer has refused to contradict its record, because its log was damaged and knows
//! less than the record. One whose ledger comes from a backup or a snapshot watches until the chain
//! has gone on without it (`watch_until`).
//!
//! # Safety
//!
//! A block body is durable before this node proposes it or votes for it, what led to a statement
//! is in the log and the statement in the guard's record before it is signed, and block and
//! certificate are durable before the next height starts. After a crash the same block is proposed
//! again for the same round.

mod allow_list;
mod application;
mod codec;
mod commits;
mod context;
mod driver;
mod evidence;
mod guard;
mod log;
mod network;
mod parts;
mod peers;
mod proposals;
mod session;
mod signing;
mod status;
pub(crate) mod watch_until;

/// The engine's core and this room in simulated time: `tests/sim`.
#[cfg(test)]
#[path = "../../tests/sim/mod.rs"]
mod sim;

/// Real engines in one process, and in processes that die: `tests/engines`.
#[cfg(test)]
#[path = "../../tests/engines/mod.rs"]
mod engines;

use std::path::{Path, PathBuf};
use std::time::Duration;

use arc_malachitebft_app_channel::app::metrics;
use arc_malachitebft_core_types::LinearTimeouts;
use ledger::block::BlockHash;
use ledger::certificate::CertificateError;
use market::keys::{ChainId, SigningKey};
use mesh::key_file::Seed;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use application::{Application, Candidate, Fatal, Refusal, Standing, Undecided};
pub use guard::{Guard, GuardError, Statement, Step};
pub use status::{ConsensusStatus, Phase};

use driver::Watch;
use network::EngineConfig;
use session::Session;
use signing::GuardedSigner;

/// What the log's filter says about the engine, to be appended to the operator's own directives.
/// The engine reports every failed dial of a peer that is down as an error; this room says once
/// when a validator is lost and once when it is back.
pub const LOG_FILTER: &str = "arc_malachitebft=warn,arc_malachitebft_network=off,\
     arc_malachitebft_discovery=off,libp2p=warn,ractor=warn";

/// What this validator is and whom it talks to.
#[derive(Debug, Clone)]
pub struct ConsensusConfig {
    /// The community. Part of everything that is signed.
    pub chain: ChainId,
    /// A name for logs and metrics; different for each engine in a process.
    pub moniker: String,
    /// Where the write-ahead log and the signer's record live; this node's alone.
    pub data_dir: PathBuf,
    /// The validator key.
    pub signing_key: SigningKey,
    /// The secret seed of the transport key, which is not the validator key.
    pub transport_key_seed: Seed,
    /// Where to listen: `/ip4/ADDRESS/tcp/PORT`.
    pub listen: String,
    /// The other validators: `/ip4/ADDRESS/tcp/PORT/p2p/PEER-ID`. Nobody else may connect, until
    /// the ledger names endpoints, which then decide.
    pub peers: Vec<String>,
    /// How long the steps of a round may take.
    pub timeouts: Timeouts,
    /// How long the first height waits for a quorum of connected validators, in milliseconds.
    pub quorum_wait_ms: u64,
}

/// How long the steps of a round may take, in milliseconds. The defaults suit one machine or one
/// local network: twice the round trip plus the time to build and judge a block must fit in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the proposal and its body to arrive.
    pub propose_ms: u64,
    /// After a mixed quorum of prevotes.
    pub prevote_ms: u64,
    /// After a mixed quorum of precommits.
    pub precommit_ms: u64,
    /// What each further round adds to each.
    pub delta_ms: u64,
}

/// Why consensus did not start, or ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// An address that cannot be used.
    #[error("{address:?} is no address for a validator: expected {expected}")]
    BadAddress {
        /// As configured.
        address: String,
        /// Its expected form.
        expected: &'static str,
    },
    /// The transport seed gives no key.
    #[error("the transport key seed gives no Ed25519 key")]
    TransportKey,
    /// The signer's record cannot be used.
    #[error("the signer's record cannot be used: {0}")]
    Guard(#[from] GuardError),
    /// The engine did not start.
    #[error("the consensus engine did not start: {0}")]
    EngineStart(String),
    /// The engine's write-ahead log cannot be read to its end.
    #[error(
        "{path} is damaged ({problem}), so the engine does not know where it stood: if the other \
         validators decide blocks without this one, move it away and start again; the signer's \
         record keeps this validator from contradicting what it has signed. Never do so on several \
         validators at the same height: what they were bound to would be forgotten"
    )]
    DamagedLog {
        /// The log.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The engine stopped by itself. Restarting the process is safe.
    #[error("the consensus engine stopped by itself; its last words are in the log")]
    EngineStopped,
    /// The engine stopped signing because its write-ahead log failed or contradicts itself.
    #[error(
        "the consensus engine halted for safety; look at the disk and the log before a restart"
    )]
    SafetyFailure,
    /// The application cannot go on.
    #[error(transparent)]
    Application(#[from] Fatal),
    /// The application built a block that does not fit.
    #[error("the application built a block of {length} bytes, more than a block can have")]
    OversizedCandidate {
        /// Its length in bytes.
        length: usize,
    },
    /// A block was decided whose body is not in the store.
    #[error("block {block} was decided at height {height}, but its body is not in the store")]
    MissingBody {
        /// The height.
        height: u64,
        /// The block.
        block: BlockHash,
    },
    /// The application is at another height than the engine.
    #[error("height {decided} was decided, but the application stands at {tip}")]
    OutOfStep {
        /// What was decided.
        decided: u64,
        /// The application's last committed height.
        tip: u64,
    },
    /// The engine decided with a certificate that does not verify.
    #[error("the certificate of height {height} does not verify: {source}")]
    UnsoundCertificate {
        /// The height.
        height: u64,
        /// What is wrong with it.
        source: CertificateError,
    },
    /// The application names no validators.
    #[error("height {height} has no validators")]
    NoValidators {
        /// The height.
        height: u64,
    },
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { propose_ms: 1000, prevote_ms: 400, precommit_ms: 400, delta_ms: 300 }
    }
}

/// The peer id that belongs to a transport seed, as it stands in the addresses of its peers.
///
/// # Errors
/// [`ConsensusError::TransportKey`] if the seed gives no key.
pub fn peer_id(transport_key_seed: &[u8; 32]) -> Result<String, ConsensusError> {
    let keypair = network::transport_keypair(transport_key_seed)?;
    Ok(keypair.public().to_peer_id().to_base58())
}

/// The engine's own metrics of this process in the Prometheus text format.
pub fn engine_metrics() -> String {
    let mut text = String::new();
    metrics::export(&mut text);
    text
}

/// Takes part in consensus until shutdown, or until this node is no validator any more.
///
/// # Errors
/// [`ConsensusError`] if it cannot start or cannot go on. Nothing is signed after it returns, and
/// it may be called again on the same data directory.
pub async fn run(
    config: ConsensusConfig,
    application: impl Application,
    shutdown: CancellationToken,
    status: watch::Sender<ConsensusStatus>,
) -> Result<(), ConsensusError> {
    take_part(config, application, shutdown, status).await.map(drop)
}

/// The same, and gives the application back, so that a node which is no validator any more can go
/// on as a follower, and one that becomes a validator again can take part again.
///
/// # Errors
/// As [`run`].
pub async fn take_part<A: Application>(
    config: ConsensusConfig,
    application: A,
    shutdown: CancellationToken,
    status: watch::Sender<ConsensusStatus>,
) -> Result<A, ConsensusError> {
    let result = decide(config, application, shutdown, status.clone()).await;
    status.send_modify(|status| {
        status.phase = Phase::Stopped;
        status.failure = result.as_ref().err().map(ToString::to_string);
    });
    result
}

/// Makes the signer's record of a node whose ledger and log are new, so that a node which follows
/// the chain before it becomes a validator is known to have signed nothing.
///
/// # Errors
/// [`ConsensusError`] if the record cannot be made, or is another validator's.
pub async fn begin_record(
    config: &ConsensusConfig,
    application: &mut impl Application,
) -> Result<(), ConsensusError> {
    let wal = config.data_dir.join("wal").join("consensus.wal");
    if may_have_signed(application, &wal).await?.is_none() {
        let key = config.signing_key.public();
        Guard::open(&config.data_dir, config.chain, key, None)?;
    }
    Ok(())
}

async fn decide<A: Application>(
    config: ConsensusConfig,
    mut application: A,
    shutdown: CancellationToken,
    status: watch::Sender<ConsensusStatus>,
) -> Result<A, ConsensusError> {
    let engine = EngineConfig::of(&config)?;
    let logs = config.data_dir.join("wal");
    let wal = logs.join("consensus.wal");
    let restored = watch_until::read(&config.data_dir)?;
    let may_have_signed = match restored {
        // What came with the ledger says nothing about this key; it watches instead.
        Some(_) => None,
        None => may_have_signed(&mut application, &wal).await?,
    };
    let key = config.signing_key.public();
    let guard = Guard::open(&config.data_dir, config.chain, key, may_have_signed)?;
    let signed_height = guard.last().map_or(0, |signed| signed.height);
    let signer = GuardedSigner::new(config.chain, config.signing_key.clone(), guard, wal.clone());
    let watching_wal = logs.join("watching.wal");
    let watching = |watch| {
        let (engine, watch) = (engine.watching(), Some(watch));
        Session { config: &config, engine, signer: &signer, wal: &watching_wal, watch }
    };
    if let Some(until) = restored {
        tracing::warn!(
            height = application.tip(),
            %until,
            "the ledger comes from a backup or a snapshot; this validator votes once the others \
             have committed a block of a later time (if they cannot without it, give it a new key)"
        );
        (application, _) =
            watching(Watch::until(until)).run(application, &shutdown, &status).await?;
        remove_log(&watching_wal)?;
        if shutdown.is_cancelled() {
            return Ok(application);
        }
        watch_until::remove(&config.data_dir)?;
    }
    let height = application.tip();
    let mut watch = None;
    if height.saturating_add(1) < signed_height {
        tracing::warn!(
            height,
            signed_height,
            "the ledger ends before what this validator has signed; it fetches the chain first"
        );
        // The engine's log is about blocks that were lost with the ledger. The signer's record,
        // which knows all that was signed, stays.
        remove_log(&wal)?;
        watch = Some(Watch::past(signed_height));
    }
    while !shutdown.is_cancelled() {
        if let Some(watch) = watch.take() {
            (application, _) = watching(watch).run(application, &shutdown, &status).await?;
            remove_log(&watching_wal)?;
            continue;
        }
        log::check(&wal)?;
        let (engine, signer) = (engine.clone(), signer.renewed());
        let session = Session { config: &config, engine, signer: &signer, wal: &wal, watch: None };
        let refusal;
        (application, refusal) = session.run(application, &shutdown, &status).await?;
        let Some(refusal) = refusal else { break };
        let height = application.tip().saturating_add(1);
        tracing::warn!(height, refusal, "this validator watches until others decide the height");
        watch = Some(Watch::past(height));
    }
    Ok(application)
}

/// The height up to which this validator may have signed, by what its ledger and the engine's log
/// hold; `None` if both are new.
async fn may_have_signed(
    application: &mut impl Application,
    wal: &Path,
) -> Result<Option<u64>, Fatal> {
    let next = application.tip().saturating_add(1);
    let has_log = wal.metadata().is_ok_and(|log| log.len() > 0);
    // What it voted for is stored before it votes.
    let is_new = next == 1 && !has_log && application.undecided(next).await?.is_empty();
    Ok((!is_new).then_some(next))
}

fn remove_log(path: &Path) -> Result<(), ConsensusError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ConsensusError::EngineStart(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

impl From<Timeouts> for LinearTimeouts {
    fn from(timeouts: Timeouts) -> Self {
        let ms = Duration::from_millis;
        let Timeouts { propose_ms, prevote_ms, precommit_ms, delta_ms } = timeouts;
        let round_ms = propose_ms.saturating_add(prevote_ms).saturating_add(precommit_ms);
        Self {
            propose: ms(propose_ms),
            propose_delta: ms(delta_ms),
            prevote: ms(prevote_ms),
            prevote_delta: ms(delta_ms),
            precommit: ms(precommit_ms),
            precommit_delta: ms(delta_ms),
            rebroadcast: ms(round_ms).max(Duration::from_secs(2)),
            max_timeout: Duration::from_secs(30),
        }
    }
}
