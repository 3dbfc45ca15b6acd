//! The one task that answers the engine.
//!
//! The engine asks by messages, each with a channel for the answer, and waits for most answers
//! before it asks on. All of them are answered here in turn, so the application is never called
//! twice at a time, and its slow work delays messages but blocks no actor of the engine except
//! while a round starts.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::engine::host::{HeightParams, Next};
use arc_malachitebft_app_channel::app::engine::util::events::Event;
use arc_malachitebft_app_channel::app::types::SignedConsensusMsg;
use arc_malachitebft_app_channel::{AppMsg, Channels, NetworkMsg, NetworkRequest, Reply};
use arc_malachitebft_core_types::LinearTimeouts;
use ledger::block::BlockHash;
use ledger::validators::Address;
use market::keys::ChainId;
use market::time::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::allow_list::AllowList;
use super::application::Application;
use super::context::{Chain, Height, Proposal, Seats, Voter};
use super::evidence::EvidenceFile;
use super::parts::{Assembly, Body, Place, ROUNDS_AHEAD};
use super::peers::Opening;
use super::signing::ChainVerifier;
use super::status::{ConsensusStatus, Phase};
use super::{ConsensusConfig, ConsensusError};

/// How long a watching node waits for the height that it has signed at. Longer than the others take
/// to decide it alone if they can.
const WATCH_PATIENCE: Duration = Duration::from_secs(30);

/// Following without taking part, as long as votes could contradict what was signed before the
/// ledger was lost or taken from elsewhere.
pub(super) struct Watch {
    end: WatchEnd,
    begun_at: Instant,
}

/// What ends watching.
#[derive(Clone, Copy)]
enum WatchEnd {
    /// The chain has passed the height at which this validator signed last.
    Past(u64),
    /// The chain has a block of a later time.
    Until(Timestamp),
}

impl Watch {
    /// Until the chain has passed the height at which this validator signed last.
    pub(super) fn past(signed_height: u64) -> Self {
        Self { end: WatchEnd::Past(signed_height), begun_at: Instant::now() }
    }

    /// Until the chain has a block of a later market time.
    pub(super) fn until(time: Timestamp) -> Self {
        Self { end: WatchEnd::Until(time), begun_at: Instant::now() }
    }
}

/// How long a node that is no validator any more stays with the others: the last block that it
/// decided with them must not fail for want of its vote.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);

/// The state between two messages of the engine.
pub(super) struct Driver<A> {
    pub(super) application: A,
    pub(super) chain: ChainId,
    pub(super) voter: Voter,
    pub(super) network: mpsc::Sender<NetworkMsg<Chain>>,
    pub(super) network_requests: mpsc::Sender<NetworkRequest>,
    pub(super) parts: Assembly,
    /// The first proposal that its proposer has signed for each round of this height: the block,
    /// and the earlier round in which it got its prevotes, if it is proposed again.
    pub(super) proposed: BTreeMap<(u64, u32), (BlockHash, Option<u32>)>,
    /// Old bodies whose proposals have not come yet.
    pub(super) waiting: Vec<Body>,
    /// The round that runs, once the engine has started one at the next height.
    pub(super) running: Option<Place>,
    /// The start of the first height, while it waits for a quorum.
    pub(super) opening: Option<Opening>,
    /// The start of the next height, while there is no reason for it.
    pub(super) held: Option<Reply<Next<Chain>>>,
    /// The last height that came by value sync: others are ahead, so the next one may not wait.
    pub(super) synced: u64,
    /// Whether the bodies that an earlier process left for this height were offered.
    pub(super) recovered: bool,
    pub(super) status: watch::Sender<ConsensusStatus>,
    /// If this node only watches: how long.
    pub(super) watching: Option<Watch>,
    /// Where it keeps what proves that another validator broke the rules.
    pub(super) evidence: Option<EvidenceFile>,
    /// Whom the network admits.
    allowed: AllowList,
    /// Since when this node is no validator any more.
    outside_since: Option<Instant>,
    /// The highest height for which a validator was heard.
    heard: u64,
    verifier: ChainVerifier,
    timeouts: LinearTimeouts,
}

impl<A: Application> Driver<A> {
    pub(super) fn new(
        config: &ConsensusConfig,
        application: A,
        allowed: AllowList,
        channels: &Channels<Chain>,
        status: watch::Sender<ConsensusStatus>,
    ) -> Result<Self, ConsensusError> {
        let driver = Self {
            application,
            chain: config.chain,
            voter: Voter(Address::of(&config.signing_key.public())),
            network: channels.network.clone(),
            network_requests: channels.net_requests.clone(),
            parts: Assembly::new(allowed.peers()),
            proposed: BTreeMap::new(),
            waiting: Vec::new(),
            allowed,
            outside_since: None,
            running: None,
            opening: Some(Opening::new(config.quorum_wait_ms)),
            held: None,
            synced: 0,
            recovered: false,
            status,
            watching: None,
            evidence: None,
            heard: 0,
            verifier: ChainVerifier::new(config.chain),
            timeouts: config.timeouts.into(),
        };
        driver.publish_tip(driver.seats()?.len());
        Ok(driver)
    }

    /// Answers until shutdown, until it has watched enough, or until this node is no validator any
    /// more. Only `Ok` and
    /// [`ConsensusError::EngineStopped`] say that the engine has nothing open; whichever it is, all
    /// pending answers are dropped with the driver.
    pub(super) async fn run(
        mut self,
        channels: Channels<Chain>,
        shutdown: &CancellationToken,
    ) -> (A, Result<(), ConsensusError>) {
        let result = self.answer_all(channels, shutdown).await;
        (self.application, result)
    }

    async fn answer_all(
        &mut self,
        channels: Channels<Chain>,
        shutdown: &CancellationToken,
    ) -> Result<(), ConsensusError> {
        let Channels { consensus: mut questions, events, .. } = channels;
        let mut events = events.subscribe();
        let mut next_look = tokio::time::Instant::now();
        while !self.has_watched_enough() && !self.has_left() {
            let idle = self.held.is_some();
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                question = questions.recv() => match question {
                    Some(question) => self.answer(question).await?,
                    None => return Err(ConsensusError::EngineStopped),
                },
                // A lagging reader loses events; the next ones say the same.
                Ok(event) = events.recv() => self.hear(&event)?,
                () = self.application.work(), if idle => self.start_next("there is work")?,
                () = tokio::time::sleep_until(next_look) => {
                    self.look_around().await?;
                    next_look = tokio::time::Instant::now() + self.look_interval();
                }
            }
        }
        Ok(())
    }

    fn has_watched_enough(&self) -> bool {
        let Some(watch) = &self.watching else { return false };
        let signed_height = match watch.end {
            WatchEnd::Past(height) => height,
            WatchEnd::Until(time) => return self.application.tip_time() > time,
        };
        let last_commit_at = self.status.borrow().last_commit_at;
        let since = last_commit_at.map_or(watch.begun_at, |at| at.max(watch.begun_at));
        match self.next_height().cmp(&signed_height) {
            Ordering::Less => false,
            Ordering::Equal => since.elapsed() > WATCH_PATIENCE,
            Ordering::Greater => true,
        }
    }

    fn has_left(&self) -> bool {
        self.outside_since.is_some_and(|since| since.elapsed() >= LEAVE_PATIENCE)
    }

    /// Follows committed state: who may connect, and whether this node still votes.
    pub(super) async fn follow_membership(&mut self) -> Result<(), ConsensusError> {
        let endpoints = self.application.endpoints();
        if self.allowed.adjust(endpoints, &self.network_requests).await {
            self.parts.hear(self.allowed.peers());
        }
        let votes = self.watching.is_some() || self.seats()?.seat(&self.voter).is_some();
        if votes {
            self.outside_since = None;
        } else if self.outside_since.is_none() {
            tracing::warn!(
                height = self.next_height(),
                "this node is no validator any more: it stops voting, and goes on as a follower"
            );
            self.outside_since = Some(Instant::now());
        }
        Ok(())
    }

    pub(super) async fn answer(&mut self, question: AppMsg<Chain>) -> Result<(), ConsensusError> {
        match question {
            AppMsg::ConsensusReady { reply } => self.open(reply).await,
            AppMsg::StartedRound { height, round, reply_value, .. } => {
                self.round_started(height, round, reply_value).await
            }
            AppMsg::GetValue { height, round, reply, .. } => {
                self.propose(height, round, reply).await
            }
            AppMsg::ReceivedProposalPart { from, published_by, part, reply } => {
                self.part_received(published_by.unwrap_or(from), part, reply).await
            }
            AppMsg::RestreamProposal { height, round, valid_round, value_id, .. } => {
                self.stream_again(height, round, valid_round, value_id).await
            }
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                self.synced_value(height, round, proposer, value_bytes, reply).await
            }
            AppMsg::Decided { certificate, reply, .. } => self.decided(&certificate, reply).await,
            AppMsg::Finalized { certificate, evidence, reply, .. } => {
                self.finalized(certificate.height, &evidence, reply)
            }
            AppMsg::GetDecidedValues { range, reply } => {
                self.serve(&range, reply).await;
                Ok(())
            }
            AppMsg::GetHistoryMinHeight { reply } => {
                send(reply, Height(self.application.min_height().max(1)));
                Ok(())
            }
            // Every height runs without vote extensions, so the engine asks neither of these.
            AppMsg::ExtendVote { reply, .. } => {
                send(reply, None);
                Ok(())
            }
            AppMsg::VerifyVoteExtensions { reply, .. } => {
                send(reply, Vec::new());
                Ok(())
            }
        }
    }

    /// Notes what proposers sign, and a validator that is ahead of us: by its message we know that
    /// the next height runs.
    pub(super) fn hear(&mut self, event: &Event<Chain>) -> Result<(), ConsensusError> {
        let Event::Received(message) = event else { return Ok(()) };
        if let SignedConsensusMsg::Proposal(proposal) = message {
            self.note_proposal(message, &proposal.message)?;
        }
        let (height, next) = (message.height().0, self.next_height());
        // The running height is the engine's business, and far ones are nobody's.
        let is_news = if self.running.is_some() { height == next + 1 } else { height == next };
        if !is_news || height <= self.heard || !self.is_signed(message)? {
            return Ok(());
        }
        self.heard = height;
        if self.held.is_some() { self.start_next("another validator started") } else { Ok(()) }
    }

    /// The first word of a round's proposer counts, as it does for the engine.
    fn note_proposal(
        &mut self,
        message: &SignedConsensusMsg<Chain>,
        proposal: &Proposal,
    ) -> Result<(), ConsensusError> {
        let next = self.next_height();
        self.proposed.retain(|(height, _), _| *height == next);
        let Some(round) = proposal.round.as_u32() else { return Ok(()) };
        let place = (proposal.height.0, round);
        let is_near = place.0 == next && round <= self.place().round.saturating_add(ROUNDS_AHEAD);
        if !is_near || self.proposed.contains_key(&place) {
            return Ok(());
        }
        let is_his_turn = self.seats()?.proposer(next, round).voter == proposal.proposer;
        if is_his_turn && self.is_signed(message)? {
            self.proposed.insert(place, (proposal.value.0, proposal.pol_round.as_u32()));
        }
        Ok(())
    }

    fn is_signed(&self, message: &SignedConsensusMsg<Chain>) -> Result<bool, ConsensusError> {
        let seats = self.seats()?;
        let (voter, signature) = match message {
            SignedConsensusMsg::Vote(vote) => (&vote.voter, &vote.signature),
            SignedConsensusMsg::Proposal(proposal) => (&proposal.proposer, &proposal.signature),
        };
        let Some(seat) = seats.seat(voter) else { return Ok(false) };
        Ok(match message {
            SignedConsensusMsg::Vote(vote) => self.verifier.vote_holds(vote, signature, &seat.key),
            SignedConsensusMsg::Proposal(proposal) => {
                self.verifier.proposal_holds(proposal, signature, &seat.key)
            }
        })
    }

    /// Keeps the engine waiting for the next height, unless there is a reason for it already.
    pub(super) fn hold(&mut self, reply: Reply<Next<Chain>>) -> Result<(), ConsensusError> {
        let next = self.next_height();
        self.held = Some(reply);
        if self.synced.saturating_add(1) == next {
            self.start_next("the last block came by sync")
        } else if self.heard >= next || self.parts.knows_of(next) {
            self.start_next("another validator started")
        } else {
            self.status.send_modify(|status| status.phase = Phase::Idle);
            Ok(())
        }
    }

    /// Lets the engine start the next height, if it waits.
    pub(super) fn start_next(&mut self, reason: &'static str) -> Result<(), ConsensusError> {
        let Some(reply) = self.held.take() else { return Ok(()) };
        let height = self.next_height();
        tracing::debug!(height, reason, "starting a height");
        self.status.send_modify(|status| status.phase = Phase::Deciding);
        send(reply, Next::Start(Height(height), self.height_params()?));
        Ok(())
    }

    pub(super) fn height_params(&self) -> Result<HeightParams<Chain>, ConsensusError> {
        Ok(HeightParams::new(self.seats()?, self.timeouts, None))
    }

    /// The validators of the next height.
    pub(super) fn seats(&self) -> Result<Seats, ConsensusError> {
        let height = self.next_height();
        Seats::of(&self.application.validators()).ok_or(ConsensusError::NoValidators { height })
    }

    pub(super) fn next_height(&self) -> u64 {
        self.application.tip().saturating_add(1)
    }

    /// Where parts belong: the running round, or the first of the next height.
    pub(super) fn place(&self) -> Place {
        self.running.unwrap_or(Place { height: self.next_height(), round: 0 })
    }

    pub(super) fn publish_tip(&self, validators_count: usize) {
        let height = self.application.tip();
        self.status.send_modify(|status| {
            status.height = height;
            status.round = 0;
            status.validators_count = validators_count;
        });
    }

    pub(super) fn publish_progress(&self, publish: impl FnOnce(&mut ConsensusStatus)) {
        self.status.send_modify(|status| {
            status.last_progress_at = Some(Instant::now());
            publish(status);
        });
    }
}

/// Answers the engine. If it no longer waits, it is stopping, and the loop will notice.
pub(super) fn send<T>(reply: Reply<T>, answer: T) {
    if reply.send(answer).is_err() {
        tracing::debug!("the engine no longer waits for an answer");
    }
}
