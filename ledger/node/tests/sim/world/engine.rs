//! The engine around its core: what its actors do with what reaches them, in one thread and in
//! simulated time. The core and the driver are the real ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context as TaskContext, Waker};

use arc_malachitebft_app_channel::app::consensus::{self as core, Input, LivenessMsg, Params};
use arc_malachitebft_app_channel::app::engine::host::HeightParams;
use arc_malachitebft_app_channel::app::engine::util::events::Event;
use arc_malachitebft_app_channel::app::events::TxEvent;
use arc_malachitebft_app_channel::app::metrics::Metrics;
use arc_malachitebft_app_channel::app::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::{
    LocallyProposedValue, PeerId, ProposedValue, SignedConsensusMsg,
};
use arc_malachitebft_app_channel::{AppMsg, Channels};
use arc_malachitebft_core_types::{
    LinearTimeouts, Timeout, ValueOrigin, ValuePayload, ValueResponse,
};
use arc_malachitebft_sync::RawDecidedValue;
use ledger::transaction::Transaction;
use market::keys::{ChainId, SigningKey};
use tokio::sync::{mpsc, oneshot, watch};

use super::disk::Disk;
use super::effects::Rest;
use super::forgery::Forgery;
use super::member::Member;
use super::record::Stop;
use crate::consensus::allow_list::AllowList;
use crate::consensus::codec::SYNC_BATCH;
use crate::consensus::context::{Chain, Height, Part};
use crate::consensus::driver::{Driver, Watch};
use crate::consensus::signing::{ChainVerifier, GuardedSigner};
use crate::consensus::{Application as _, ConsensusConfig, ConsensusStatus, Guard, Timeouts};

/// How many messages wait at most while a height starts.
const EARLY_MAX: usize = 1024;
/// How many heights ahead, and messages of each, the core keeps.
const QUEUE: (usize, usize) = (10, 1_000);

/// The log is simulated: there is no file that the signer could sync.
const NO_LOG: &str = "/nonexistent/consensus.wal";

/// What travels between nodes.
#[derive(Debug, Clone)]
pub(in crate::consensus) enum Wire {
    Consensus(SignedConsensusMsg<Chain>),
    Liveness(LivenessMsg<Chain>),
    Part(StreamMessage<Part>),
    Status { tip: u64 },
    Request { from_height: u64 },
    Response { values: Vec<RawDecidedValue<Chain>> },
    Said(Transaction),
}

/// What reaches the engine.
pub(super) enum Mail {
    Start(Height, HeightParams<Chain>),
    Received(PeerId, Wire),
    Elapsed(Timeout, u64),
    Propose(LocallyProposedValue<Chain>),
    Proposed(ProposedValue<Chain>, ValueOrigin),
}

/// What the engine wants from the world.
#[expect(clippy::large_enum_variant, reason = "most of them are the large one")]
pub(super) enum Out {
    Publish(Wire),
    Schedule { timeout: Timeout, turn: u64, after_ms: u64 },
}

/// What an engine is started with.
pub(super) struct Setting {
    pub(super) chain: ChainId,
    pub(super) key: SigningKey,
    pub(super) guard: Guard,
    pub(super) disk: Disk,
    pub(super) allowed: BTreeSet<PeerId>,
    /// The height until which it only fetches blocks.
    pub(super) watched_height: Option<u64>,
    /// Sends bodies that are longer than a block can be.
    pub(super) forgery: Option<Forgery>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Unstarted,
    Recovering,
    Running,
}

pub(super) struct Engine {
    core: Option<core::State<Chain>>,
    params: Params<Chain>,
    metrics: Metrics,
    rest: Rest,
    early: VecDeque<Mail>,
    fetched: BTreeMap<u64, (PeerId, RawDecidedValue<Chain>)>,
}

impl Engine {
    /// A process that starts: its driver, and the core at its first height.
    pub(super) async fn start(setting: Setting, member: Member) -> Self {
        let Setting { chain, key, guard, disk, allowed, watched_height, forgery } = setting;
        let config = ConsensusConfig {
            chain,
            moniker: String::new(),
            data_dir: std::path::PathBuf::new(),
            signing_key: key.clone(),
            transport_key_seed: [1; 32].into(),
            listen: String::new(),
            peers: allowed.iter().map(|peer| format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}")).collect(),
            timeouts: Timeouts::default(),
            quorum_wait_ms: 0,
        };
        let (network, published) = mpsc::channel(256);
        let (_, asked) = mpsc::channel(1);
        let channels = Channels {
            consensus: asked,
            network,
            events: TxEvent::new(),
            requests: mpsc::channel(1).0,
            net_requests: mpsc::channel(1).0,
        };
        let (status, _) = watch::channel(ConsensusStatus::default());
        let allowed = AllowList::new(&config, Vec::new()).unwrap();
        let mut driver = Driver::new(&config, member, allowed, &channels, status).unwrap();
        driver.opening = None;
        driver.watching = watched_height.map(Watch::past);
        let params = Params {
            address: driver.voter,
            threshold_params: core::ThresholdParams::default(),
            value_payload: ValuePayload::ProposalAndParts,
            enabled: watched_height.is_none(),
        };
        let first = Mail::Start(Height(driver.next_height()), driver.height_params().unwrap());
        let rest = Rest {
            driver,
            published,
            signer: GuardedSigner::new(chain, key, guard, NO_LOG.into()),
            verifier: ChainVerifier::new(chain),
            disk,
            phase: Phase::Unstarted,
            is_validator: true,
            timeouts: LinearTimeouts::default(),
            timers: Vec::new(),
            turn: 0,
            next: None,
            mailbox: VecDeque::from([first]),
            out: Vec::new(),
            failure: None,
            forgery,
        };
        let (metrics, early, fetched) = (Metrics::new(), VecDeque::new(), BTreeMap::new());
        let mut engine = Self { core: None, params, metrics, rest, early, fetched };
        engine.run().await;
        engine
    }

    pub(super) async fn deliver(&mut self, mail: Mail) {
        self.rest.mailbox.push_back(mail);
        self.run().await;
    }

    /// What the driver's loop does between two questions.
    pub(super) async fn look_for_work(&mut self) {
        let driver = &mut self.rest.driver;
        if driver.held.is_some() {
            let mut context = TaskContext::from_waker(Waker::noop());
            let is_ready = pin!(driver.application.work()).poll(&mut context).is_ready();
            if is_ready {
                driver.start_next("there is work").unwrap();
            }
        }
        self.run().await;
    }

    /// Gives a peer the blocks it asks for.
    pub(super) async fn serve(&mut self, from_height: u64) -> Vec<RawDecidedValue<Chain>> {
        let last = from_height + u64::try_from(SYNC_BATCH).unwrap() - 1;
        let (reply, mut values) = oneshot::channel();
        let range = Height(from_height)..=Height(last);
        let asked = self.rest.ask(AppMsg::GetDecidedValues { range, reply }).await;
        asked.ok().and_then(|()| values.try_recv().ok()).unwrap_or_default()
    }

    pub(super) fn take_out(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.rest.out)
    }

    pub(super) fn stop(&mut self) -> Option<Stop> {
        let words = self.rest.failure.take()?;
        Some(match self.rest.signer.refusal().get() {
            Some(refusal) => Stop::Refused(refusal.clone()),
            None => Stop::Failed(words),
        })
    }

    async fn run(&mut self) {
        while self.rest.failure.is_none() {
            self.rest.collect_next();
            let Some(mail) = self.rest.mailbox.pop_front() else {
                if !self.feed_fetched().await {
                    return;
                }
                continue;
            };
            if self.rest.phase == Phase::Running || matches!(mail, Mail::Start(..)) {
                self.handle(mail).await;
            } else if self.early.len() < EARLY_MAX {
                self.early.push_back(mail);
            }
        }
    }

    async fn handle(&mut self, mail: Mail) {
        match mail {
            Mail::Start(height, params) => self.start_height(height, params).await,
            Mail::Received(from, wire) => self.receive(from, wire).await,
            Mail::Elapsed(timeout, turn) => {
                if self.rest.take_timer(timeout, turn) {
                    self.process(Input::TimeoutElapsed(timeout)).await;
                }
            }
            Mail::Propose(value) => self.process(Input::Propose(value)).await,
            Mail::Proposed(value, origin) => {
                self.process(Input::ProposedValue(value, origin)).await;
            }
        }
    }

    async fn start_height(&mut self, height: Height, params: HeightParams<Chain>) {
        let seats = params.validator_set;
        if self.core.is_none() {
            let (ahead, each) = QUEUE;
            let core =
                core::State::new(Chain, height, seats.clone(), self.params.clone(), ahead, each);
            self.core = Some(core);
        }
        let is_seated = seats.seat(&self.params.address).is_some();
        self.rest.is_validator = self.params.enabled && is_seated;
        // One that watches has a log of its own, which nobody needs.
        let entries = match (self.rest.is_validator, self.params.enabled) {
            (true, _) => self.rest.disk.log_of(height.0),
            (false, takes_part) => {
                if takes_part {
                    self.rest.disk.forget_log(height.0);
                }
                Vec::new()
            }
        };
        self.rest.timeouts = params.timeouts;
        let (target_time, policy) = (params.target_time, params.vote_extension_policy);
        self.process(Input::StartHeight(height, seats, false, target_time, policy)).await;
        if !entries.is_empty() {
            self.replay(entries).await;
        }
        self.rest.phase = Phase::Running;
        while let Some(mail) = self.early.pop_back() {
            self.rest.mailbox.push_front(mail);
        }
        self.fetched.retain(|fetched, _| *fetched >= height.0);
    }

    async fn replay(&mut self, entries: Vec<Input<Chain>>) {
        self.rest.phase = Phase::Recovering;
        if let Some(core) = &mut self.core {
            core.record_recovered_own_precommit_extensions(entries.iter());
            core.index_wal_entries(entries.iter());
        }
        for entry in entries {
            self.process(entry).await;
        }
        if let Some(core) = &mut self.core {
            core.reset_entries_index();
        }
    }

    async fn receive(&mut self, from: PeerId, wire: Wire) {
        match wire {
            Wire::Consensus(message) => {
                let heard = Event::Received(message.clone());
                if let Err(error) = self.rest.driver.hear(&heard) {
                    self.rest.fail(error.to_string());
                }
                self.process(match message {
                    SignedConsensusMsg::Vote(vote) => Input::Vote(vote),
                    SignedConsensusMsg::Proposal(proposal) => Input::Proposal(proposal),
                })
                .await;
            }
            Wire::Liveness(message) => {
                self.process(match message {
                    LivenessMsg::Vote(vote) => Input::Vote(vote),
                    LivenessMsg::PolkaCertificate(certificate) => {
                        Input::PolkaCertificate(certificate)
                    }
                    LivenessMsg::SkipRoundCertificate(certificate) => {
                        Input::RoundCertificate(certificate)
                    }
                })
                .await;
            }
            Wire::Part(part) => {
                let (reply, mut value) = oneshot::channel();
                let published_by = Some(from);
                let question = AppMsg::ReceivedProposalPart { from, published_by, part, reply };
                if self.rest.ask(question).await.is_ok()
                    && let Ok(Some(value)) = value.try_recv()
                {
                    self.rest.mailbox.push_back(Mail::Proposed(value, ValueOrigin::Consensus));
                }
            }
            Wire::Response { values } => {
                for value in values {
                    self.fetched.insert(value.certificate.height.0, (from, value));
                }
            }
            Wire::Status { .. } | Wire::Request { .. } | Wire::Said(_) => {}
        }
    }

    /// Hands the block that was fetched for the running height to the core, if there is one.
    async fn feed_fetched(&mut self) -> bool {
        let height = self.rest.driver.next_height();
        let runs = self.rest.phase == Phase::Running && self.rest.driver.running.is_some();
        let at_height = self.core.as_ref().is_some_and(|core| core.height().0 == height);
        if !runs || !at_height {
            return false;
        }
        let Some((peer, value)) = self.fetched.remove(&height) else { return false };
        let response = ValueResponse::new(peer, value.value_bytes, value.certificate);
        self.process(Input::SyncValueResponse(response)).await;
        true
    }

    async fn process(&mut self, input: Input<Chain>) {
        if self.rest.failure.is_some() {
            return;
        }
        let Self { core: Some(core), rest, metrics, .. } = self else { return };
        let processed: Result<(), core::Error<Chain>> = core::process!(
            input: input,
            state: core,
            metrics: &*metrics,
            with: effect => rest.carry_out(effect).await
        );
        if let Err(error) = processed {
            rest.fail(error.to_string());
        }
    }
}
