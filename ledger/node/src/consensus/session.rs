//! One life of the engine: started, answered by a driver, stopped.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use arc_malachitebft_app_channel::app::engine::consensus::ConsensusMsg as EngineMsg;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_app_channel::{
    Channels, ConsensusContext, EngineBuilder, EngineHandle, NetworkContext, NetworkIdentity,
    RequestContext, SyncContext, WalContext,
};
use arc_malachitebft_signing::Signer as _;
use ledger::validators::Address;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::allow_list::AllowList;
use super::application::Application;
use super::codec::Borsh;
use super::context::{Chain, Voter};
use super::driver::{Driver, Watch};
use super::evidence::EvidenceFile;
use super::network::{self, EngineConfig};
use super::signing::{ChainVerifier, GuardedSigner};
use super::status::ConsensusStatus;
use super::{ConsensusConfig, ConsensusError};

/// How long each actor of the engine may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// One life of the engine.
pub(super) struct Session<'a> {
    pub(super) config: &'a ConsensusConfig,
    pub(super) engine: EngineConfig,
    pub(super) signer: &'a GuardedSigner,
    pub(super) wal: &'a Path,
    /// If it only watches: until when.
    pub(super) watch: Option<Watch>,
}

impl Session<'_> {
    /// Works until shutdown, until the signer refuses, or, if it only watches, until it has watched
    /// enough. Gives the application back, with the words of the refusal.
    pub(super) async fn run<A: Application>(
        self,
        application: A,
        shutdown: &CancellationToken,
        status: &watch::Sender<ConsensusStatus>,
    ) -> Result<(A, Option<String>), ConsensusError> {
        let allowed = AllowList::new(self.config, application.endpoints())?;
        let (channels, mut handle) = self.start(&allowed).await?;
        let Self { config, signer, wal, watch, .. } = self;
        let mut driver = Driver::new(config, application, allowed, &channels, status.clone())?;
        driver.watching = watch;
        let evidence = EvidenceFile::open(&config.data_dir);
        status.send_modify(|status| status.evidence_count = evidence.count());
        driver.evidence = Some(evidence);
        // The driver ends with all its pending answers dropped: the engine's actors wait for none.
        let (application, result) = driver.run(channels, shutdown).await;
        let result = match result {
            Ok(()) => Ok(None),
            Err(ConsensusError::EngineStopped) => match signer.refusal().get() {
                Some(words) => Ok(Some(words.clone())),
                None if still_stands(&mut handle).await => Err(ConsensusError::SafetyFailure),
                None => Err(ConsensusError::EngineStopped),
            },
            Err(error) => Err(error),
        };
        stop(handle, wal).await;
        result.map(|refusal| (application, refusal))
    }

    /// Starts the engine, with its log and its network.
    pub(super) async fn start(
        &self,
        allowed: &AllowList,
    ) -> Result<(Channels<Chain>, EngineHandle), ConsensusError> {
        let Self { config, signer, .. } = self;
        let engine = self.engine.clone().admitting(allowed.addresses());
        let voter = Voter(Address::of(&config.signing_key.public()));
        let identity = identity(config, voter, signer).await?;
        let verifier = ChainVerifier::new(config.chain);
        EngineBuilder::new(Chain, engine)
            .with_default_wal(WalContext::new(self.wal.to_owned(), Borsh))
            .with_default_network(NetworkContext::new(identity, Borsh))
            .with_default_sync(SyncContext::new(Borsh))
            .with_default_consensus(ConsensusContext::new_validator(
                voter,
                Box::new(verifier),
                Box::new(GuardedSigner::clone(signer)),
            ))
            .with_default_request(RequestContext::new(16))
            .build()
            .await
            .map_err(|error| ConsensusError::EngineStart(format!("{error:#}")))
    }
}

async fn identity(
    config: &ConsensusConfig,
    voter: Voter,
    signer: &GuardedSigner,
) -> Result<NetworkIdentity, ConsensusError> {
    let keypair = network::transport_keypair(&config.transport_key_seed)?;
    let peer = keypair.public().to_peer_id().to_bytes();
    let key = config.signing_key.public().as_bytes().to_vec();
    let failed = |error: String| ConsensusError::EngineStart(error);
    let proof =
        signer.sign_validator_proof(key, peer).await.map_err(|error| failed(error.to_string()))?;
    let proof = Borsh.encode(&proof).map_err(|error| failed(error.to_string()))?;
    Ok(NetworkIdentity::new_validator(config.moniker.clone(), keypair, voter.to_string(), proof))
}

/// Whether an engine that closed its channels still stands, which is how it halts for safety.
async fn still_stands(engine: &mut EngineHandle) -> bool {
    tokio::time::timeout(Duration::from_millis(500), &mut engine.handle).await.is_err()
}

/// Stops what is left of the engine: first what speaks, then what it speaks through, so that
/// nothing fails for want of the other. What does not stop in time is killed.
pub(super) async fn stop(mut engine: EngineHandle, wal: &Path) {
    let node = engine.actor.get_cell();
    let mut actors = node.get_children();
    actors.sort_by_key(|actor| actor.is_message_type_of::<EngineMsg<Chain>>() != Some(true));
    for actor in &actors {
        // The node would take the end of an actor for a failure.
        actor.unlink(node.clone());
    }
    for actor in actors {
        if actor.stop_and_wait(None, Some(STOP_TIMEOUT)).await.is_err() {
            actor.kill();
        }
    }
    engine.actor.stop(None);
    if !engine.handle.is_finished() {
        // It has nothing left to wait for.
        let _ = tokio::time::timeout(STOP_TIMEOUT, &mut engine.handle).await;
    }
    // The log's own thread ends a moment later than its actor; until then the file is locked.
    let closed = async {
        while File::open(wal).is_ok_and(|file| file.try_lock().is_err()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = tokio::time::timeout(STOP_TIMEOUT, closed).await;
}
