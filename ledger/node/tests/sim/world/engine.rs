//! The engine around its core: what its actors do with inputs, effects, timers and the log, in one
//! thread and in simulated time. The core and the driver are the real ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context as TaskContext, Waker};

use arc_malachitebft_app_channel::app::consensus::{
    self as core, Effect, Input, LivenessMsg, Params, Resumable as _, Resume,
};
use arc_malachitebft_app_channel::app::engine::host::{HeightParams, Next, SyncedValueOutcome};
use arc_malachitebft_app_channel::app::engine::util::events::Event;
use arc_malachitebft_app_channel::app::events::TxEvent;
use arc_malachitebft_app_channel::app::metrics::Metrics;
use arc_malachitebft_app_channel::app::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::{
    LocallyProposedValue, PeerId, ProposedValue, SignedConsensusMsg,
};
use arc_malachitebft_app_channel::{AppMsg, Channels, NetworkMsg};
use arc_malachitebft_core_types::{
    LinearTimeouts, Timeout, ValueOrigin, ValuePayload, ValueResponse,
};
use arc_malachitebft_signing::{Signer as _, Verifier as _, VerifierExt as _};
use arc_malachitebft_sync::RawDecidedValue;
use ledger::transaction::Transaction;
use market::keys::{ChainId, SigningKey};
use tokio::sync::{mpsc, oneshot, watch};

use super::disk::Disk;
use super::forgery;
use super::member::Member;
use super::record::Stop;
use crate::consensus::codec::SYNC_BATCH;
use crate::consensus::context::{Chain, Height, Part, Voter};
use crate::consensus::driver::Driver;
use crate::consensus::signing::{ChainVerifier, GuardedSigner};
use crate::consensus::{Application as _, ConsensusConfig, ConsensusStatus, Guard, Timeouts};

/// How many messages wait at most while a height starts.
const EARLY_MAX: usize = 1024;
/// How many heights ahead, and messages of each, the core keeps.
const QUEUE: (usize, usize) = (10, 1_000);

/// What travels between nodes.
#[derive(Debug, Clone)]
pub(super) enum Wire {
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
    pub(super) metrics: Metrics,
    /// Sends bodies that are longer than a block can be.
    pub(super) oversized: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
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

/// Everything that effects touch.
struct Rest {
    driver: Driver<Member>,
    published: mpsc::Receiver<NetworkMsg<Chain>>,
    signer: GuardedSigner,
    verifier: ChainVerifier,
    disk: Disk,
    phase: Phase,
    is_validator: bool,
    timeouts: LinearTimeouts,
    timers: Vec<(Timeout, u64)>,
    turn: u64,
    next: Option<oneshot::Receiver<Next<Chain>>>,
    mailbox: VecDeque<Mail>,
    out: Vec<Out>,
    failure: Option<String>,
    oversized: bool,
}

/// An effect that could not be carried out; why stands in `failure`.
#[derive(Debug)]
struct Failed;

impl Engine {
    /// A process that starts: its driver, and the core at its first height.
    pub(super) async fn start(setting: Setting, member: Member) -> Self {
        let Setting { chain, key, guard, disk, allowed, metrics, oversized } = setting;
        let config = ConsensusConfig {
            chain,
            moniker: String::new(),
            data_dir: std::path::PathBuf::new(),
            signing_key: key.clone(),
            transport_key_seed: [1; 32],
            listen: String::new(),
            peers: Vec::new(),
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
        let mut driver = Driver::new(&config, member, allowed, &channels, status).unwrap();
        driver.opening = None;
        let params = Params {
            address: driver.voter,
            threshold_params: core::ThresholdParams::default(),
            value_payload: ValuePayload::ProposalAndParts,
            enabled: true,
        };
        let first = Mail::Start(Height(driver.next_height()), driver.height_params().unwrap());
        let rest = Rest {
            driver,
            published,
            signer: GuardedSigner::new(chain, key, guard),
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
            oversized,
        };
        let (early, fetched) = (VecDeque::new(), BTreeMap::new());
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
        self.rest.is_validator = seats.seat(&self.params.address).is_some();
        let entries = if self.rest.is_validator {
            self.rest.disk.log_of(height.0)
        } else {
            self.rest.disk.forget_log(height.0);
            Vec::new()
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

impl Rest {
    fn fail(&mut self, words: String) -> Failed {
        self.failure.get_or_insert(words);
        Failed
    }

    /// The driver's answer to the start of the next height, once it has given one.
    fn collect_next(&mut self) {
        let answer = self.next.as_mut().map(oneshot::Receiver::try_recv);
        if let Some(Ok(Next::Start(height, params) | Next::Restart(height, params))) = answer {
            self.next = None;
            self.mailbox.push_back(Mail::Start(height, params));
        }
    }

    fn take_timer(&mut self, timeout: Timeout, turn: u64) -> bool {
        let before = self.timers.len();
        self.timers.retain(|timer| *timer != (timeout, turn));
        self.timers.len() < before
    }

    /// Asks the driver, and sends what it publishes.
    async fn ask(&mut self, question: AppMsg<Chain>) -> Result<(), Failed> {
        if let Err(error) = self.driver.answer(question).await {
            return Err(self.fail(error.to_string()));
        }
        while let Ok(NetworkMsg::PublishProposalPart(part)) = self.published.try_recv() {
            let parts = if self.oversized { forgery::oversized(&part) } else { vec![part] };
            self.out.extend(parts.into_iter().map(|part| Out::Publish(Wire::Part(part))));
        }
        Ok(())
    }

    fn sync_log(&mut self) -> Result<(), Failed> {
        if self.phase == Phase::Recovering || !self.is_validator {
            return Ok(());
        }
        self.disk.sync_log().map_err(|died| self.fail(died.to_string()))
    }

    async fn carry_out(&mut self, effect: Effect<Chain>) -> Result<Resume<Chain>, Failed> {
        if self.failure.is_some() {
            return Err(Failed);
        }
        match effect {
            Effect::CancelAllTimeouts(r) => {
                self.timers.clear();
                Ok(r.resume_with(()))
            }
            Effect::CancelTimeout(timeout, r) => {
                self.timers.retain(|(running, _)| *running != timeout);
                Ok(r.resume_with(()))
            }
            Effect::ScheduleTimeout(timeout, r) => {
                self.schedule(timeout);
                Ok(r.resume_with(()))
            }
            Effect::StartRound(height, round, proposer, role, r) => {
                self.sync_log()?;
                let (reply_value, mut values) = oneshot::channel();
                let question = AppMsg::StartedRound { height, round, proposer, role, reply_value };
                self.ask(question).await?;
                for value in values.try_recv().unwrap_or_default() {
                    self.mailbox.push_back(Mail::Proposed(value, ValueOrigin::Consensus));
                }
                Ok(r.resume_with(()))
            }
            Effect::GetValue(height, round, timeout, r) => {
                let (reply, mut value) = oneshot::channel();
                let timeout = duration_of(&self.timeouts, timeout);
                self.ask(AppMsg::GetValue { height, round, timeout, reply }).await?;
                self.mailbox.extend(value.try_recv().ok().map(Mail::Propose));
                Ok(r.resume_with(()))
            }
            Effect::RestreamProposal(height, round, valid_round, address, value_id, r) => {
                let question =
                    AppMsg::RestreamProposal { height, round, valid_round, address, value_id };
                self.ask(question).await?;
                Ok(r.resume_with(()))
            }
            Effect::WalAppend(height, entry, r) => {
                if self.phase != Phase::Recovering && self.is_validator {
                    self.disk.append(height.0, entry);
                }
                Ok(r.resume_with(()))
            }
            Effect::PublishConsensusMsg(message, r) => {
                self.sync_log()?;
                self.out.push(Out::Publish(Wire::Consensus(message)));
                Ok(r.resume_with(()))
            }
            Effect::PublishLivenessMsg(message, r) => {
                self.out.push(Out::Publish(Wire::Liveness(message)));
                Ok(r.resume_with(()))
            }
            Effect::RepublishVote(vote, r) => {
                self.out.push(Out::Publish(Wire::Liveness(LivenessMsg::Vote(vote))));
                Ok(r.resume_with(()))
            }
            Effect::RepublishRoundCertificate(certificate, r) => {
                let message = LivenessMsg::SkipRoundCertificate(certificate);
                self.out.push(Out::Publish(Wire::Liveness(message)));
                Ok(r.resume_with(()))
            }
            other => self.carry_out_judgement(other).await,
        }
    }

    /// Signatures, certificates and decisions.
    async fn carry_out_judgement(
        &mut self,
        effect: Effect<Chain>,
    ) -> Result<Resume<Chain>, Failed> {
        match effect {
            Effect::SignVote(vote, r) => match self.signer.sign_vote(vote).await {
                Ok(signed) => Ok(r.resume_with(signed)),
                Err(error) => Err(self.fail(error.to_string())),
            },
            Effect::SignProposal(proposal, r) => match self.signer.sign_proposal(proposal).await {
                Ok(signed) => Ok(r.resume_with(signed)),
                Err(error) => Err(self.fail(error.to_string())),
            },
            Effect::VerifySignature(signed, key, r) => {
                let signature = &signed.signature;
                let holds = match &signed.message {
                    core::ConsensusMsg::Vote(vote) => {
                        self.verifier.verify_signed_vote(vote, signature, &key).await
                    }
                    core::ConsensusMsg::Proposal(proposal) => {
                        self.verifier.verify_signed_proposal(proposal, signature, &key).await
                    }
                };
                Ok(r.resume_with(holds.is_ok_and(|result| result.is_valid())))
            }
            Effect::VerifyCommitCertificate(certificate, seats, thresholds, r) => {
                let verifier = &self.verifier;
                let holds =
                    verifier.verify_commit_certificate(&Chain, &certificate, &seats, thresholds);
                Ok(r.resume_with(holds.await))
            }
            Effect::VerifyExtendedCommitCertificate(certificate, seats, thresholds, policy, r) => {
                let holds = self.verifier.verify_extended_commit_certificate(
                    &Chain,
                    &certificate,
                    &seats,
                    thresholds,
                    policy,
                );
                Ok(r.resume_with(holds.await))
            }
            Effect::VerifyPolkaCertificate(certificate, seats, thresholds, r) => {
                let verifier = &self.verifier;
                let holds =
                    verifier.verify_polka_certificate(&Chain, &certificate, &seats, thresholds);
                Ok(r.resume_with(holds.await))
            }
            Effect::VerifyRoundCertificate(certificate, seats, thresholds, r) => {
                let verifier = &self.verifier;
                let holds =
                    verifier.verify_round_certificate(&Chain, &certificate, &seats, thresholds);
                Ok(r.resume_with(holds.await))
            }
            Effect::Decide(certificate, extensions, r) => {
                self.sync_log()?;
                let (reply, _) = oneshot::channel();
                self.ask(AppMsg::Decided { certificate, extensions, reply }).await?;
                Ok(r.resume_with(()))
            }
            Effect::Finalize(certificate, extensions, evidence, r) => {
                let (reply, next) = oneshot::channel();
                self.next = Some(next);
                self.ask(AppMsg::Finalized { certificate, extensions, evidence, reply }).await?;
                Ok(r.resume_with(()))
            }
            Effect::CertRejectedSyncValue(_, _, _, r) => Ok(r.resume_with(())),
            Effect::CertVerifiedSyncValue(response, proposer, r) => {
                self.judge_fetched(response, proposer).await?;
                Ok(r.resume_with(()))
            }
            // This chain has no vote extensions, so the core asks for none.
            other => Err(self.fail(format!("an unexpected effect: {other:?}"))),
        }
    }

    async fn judge_fetched(
        &mut self,
        response: ValueResponse<Chain>,
        proposer: Voter,
    ) -> Result<(), Failed> {
        let (reply, mut outcome) = oneshot::channel();
        let (certificate, value_bytes) = (response.certificate, response.value_bytes);
        let (height, round) = (certificate.height, certificate.round);
        self.ask(AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply })
            .await?;
        if let Ok(SyncedValueOutcome::Verdict(mut value)) = outcome.try_recv()
            && value.value.0 == certificate.value_id
        {
            value.round = round;
            self.mailbox.push_back(Mail::Proposed(value, ValueOrigin::Sync));
        }
        Ok(())
    }

    fn schedule(&mut self, timeout: Timeout) {
        self.timers.retain(|(running, _)| *running != timeout);
        self.turn += 1;
        self.timers.push((timeout, self.turn));
        let after = duration_of(&self.timeouts, timeout);
        let after_ms = u64::try_from(after.as_millis()).unwrap();
        self.out.push(Out::Schedule { timeout, turn: self.turn, after_ms });
    }
}

fn duration_of(timeouts: &LinearTimeouts, timeout: Timeout) -> std::time::Duration {
    arc_malachitebft_core_types::Timeouts::<Chain>::duration_for(timeouts, timeout)
}
