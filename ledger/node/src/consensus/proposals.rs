//! Block bodies before they are decided: built, sent, received, judged.

use arc_malachitebft_app_channel::app::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::{LocallyProposedValue, PeerId, ProposedValue};
use arc_malachitebft_app_channel::{NetworkMsg, Reply};
use arc_malachitebft_core_types::{Round, Validity};
use ledger::block::{BLOCK_BYTES_MAX, BlockHash};

use super::ConsensusError;
use super::application::{Application, Refusal, Standing, Undecided};
use super::context::{Chain, Height, Outline, Part, Value};
use super::driver::{Driver, send};
use super::parts::{Body, Place, cut};

/// How many old bodies wait for their proposals; each is of at most a block's length.
const WAITING_MAX: usize = 8;

impl<A: Application> Driver<A> {
    /// Gives the engine the bodies that are known for a round as it starts: those that came early,
    /// and once per process those that an earlier process stored.
    pub(super) async fn round_started(
        &mut self,
        height: Height,
        round: Round,
        reply: Reply<Vec<ProposedValue<Chain>>>,
    ) -> Result<(), ConsensusError> {
        let Some(place) = self.place_of(height, round) else {
            send(reply, Vec::new());
            return Ok(());
        };
        self.running = Some(place);
        self.publish_progress(|status| status.round = place.round);
        let mut values = Vec::new();
        if !self.recovered {
            self.recovered = true;
            values = self.recover(place.height).await?;
        }
        while let Some(body) = self.parts.take(place) {
            values.extend(self.judge(body).await?);
        }
        while let Some(value) = self.judge_waiting().await? {
            values.push(value);
        }
        send(reply, values);
        Ok(())
    }

    /// What an earlier process of this node stored for the height that it did not finish.
    async fn recover(&mut self, height: u64) -> Result<Vec<ProposedValue<Chain>>, ConsensusError> {
        let mut values = Vec::new();
        for stored in self.application.undecided(height).await? {
            let Undecided { round, hash, bytes, .. } = stored;
            match self.application.check(height, &bytes, Standing::Reproposed).await {
                Ok(checked) if checked == hash => {
                    values.push(self.value(height, round, None, hash, Validity::Valid)?);
                }
                Ok(checked) => tracing::error!(%hash, %checked, "a stored body has another hash"),
                Err(refusal) => tracing::warn!(height, round, %hash, %refusal, "not offered again"),
            }
        }
        if !values.is_empty() {
            tracing::info!(height, count = values.len(), "offering stored blocks again");
        }
        Ok(values)
    }

    /// Proposes a block: the one that this node stored for the round, or a new one.
    pub(super) async fn propose(
        &mut self,
        height: Height,
        round: Round,
        reply: Reply<LocallyProposedValue<Chain>>,
    ) -> Result<(), ConsensusError> {
        // Without an answer the engine lets the round time out, as it must if it is past already,
        // or if this node only watches.
        let place = self.place_of(height, round).filter(|_| self.watching.is_none());
        let Some(place) = place else { return Ok(()) };
        let stored = self.application.undecided(place.height).await?;
        let body = match stored.into_iter().find(|body| body.own && body.round == place.round) {
            Some(body) => body,
            None => self.build(place).await?,
        };
        send(reply, LocallyProposedValue::new(height, round, Value(body.hash)));
        self.stream(place, None, &body.bytes).await;
        Ok(())
    }

    async fn build(&mut self, place: Place) -> Result<Undecided, ConsensusError> {
        let Place { height, round } = place;
        let candidate = self.application.build(height, round).await?;
        let length = candidate.bytes.len();
        if length > BLOCK_BYTES_MAX {
            return Err(ConsensusError::OversizedCandidate { length });
        }
        let (hash, bytes) = (candidate.hash, candidate.bytes);
        let body = Undecided { height, round, hash, own: true, bytes };
        self.application.put_undecided(body.clone()).await?;
        Ok(body)
    }

    /// Sends a body again that the engine proposes again, or that it locked late.
    pub(super) async fn stream_again(
        &mut self,
        height: Height,
        round: Round,
        valid_round: Round,
        block: BlockHash,
    ) -> Result<(), ConsensusError> {
        let Some(place) = self.place_of(height, round) else { return Ok(()) };
        let mut stored = self.application.undecided(place.height).await?.into_iter();
        match stored.find(|body| body.hash == block) {
            Some(body) => self.stream(place, valid_round.as_u32(), &body.bytes).await,
            None => tracing::error!(%height, %block, "cannot send a block again: it is not stored"),
        }
        Ok(())
    }

    async fn stream(&self, place: Place, valid_round: Option<u32>, bytes: &[u8]) {
        for part in cut(place, valid_round, bytes) {
            if self.network.send(NetworkMsg::PublishProposalPart(part)).await.is_err() {
                tracing::debug!("the engine's network takes no more parts");
                return;
            }
        }
    }

    /// Takes in one part of a body; if it was the last, judges the body.
    pub(super) async fn part_received(
        &mut self,
        publisher: PeerId,
        part: StreamMessage<Part>,
        reply: Reply<Option<ProposedValue<Chain>>>,
    ) -> Result<(), ConsensusError> {
        let place = self.place();
        if let Err(refused) = self.parts.add(publisher, part, place) {
            tracing::debug!(%publisher, %refused, "a part of a block is dropped");
        }
        let mut value = None;
        if self.running.is_some() {
            if let Some(body) = self.parts.take(place) {
                value = self.judge(body).await?;
            }
            if value.is_none() {
                value = self.judge_waiting().await?;
            }
        } else if self.parts.knows_of(place.height) {
            // Handed out when the round starts.
            self.start_next("a proposal arrives")?;
        }
        send(reply, value);
        Ok(())
    }

    /// What the application says about a body, durable if it is good. A garbled one is no value at
    /// all: it says nothing about the block that it pretends to be.
    async fn judge(&mut self, body: Body) -> Result<Option<ProposedValue<Chain>>, ConsensusError> {
        let Outline { height, round, valid_round, .. } = body.outline;
        let Some(checked) = self.check(&body).await else {
            self.wait_for_proposal(body);
            return Ok(None);
        };
        let (hash, validity) = match checked {
            Ok(hash) => {
                let bytes = body.bytes;
                let body = Undecided { height, round, hash, own: false, bytes };
                self.application.put_undecided(body).await?;
                (hash, Validity::Valid)
            }
            Err(refusal) => {
                tracing::warn!(height, round, %refusal, "a proposed block is refused");
                match refusal {
                    Refusal::Invalid { hash, .. } => (hash, Validity::Invalid),
                    Refusal::Garbled { .. } | Refusal::Unavailable { .. } => return Ok(None),
                }
            }
        };
        self.value(height, round, valid_round, hash, validity).map(Some)
    }

    /// A block that is proposed again may be old. But parts are not signed, so their claim waives
    /// nothing: the proposer's own signed word does, for which the engine wants the prevotes of the
    /// earlier round. `None`: the block is too old without that word, which may still come.
    async fn check(&mut self, body: &Body) -> Option<Result<BlockHash, Refusal>> {
        let Outline { height, round, valid_round, .. } = body.outline;
        if valid_round.is_none() {
            return Some(self.application.check(height, &body.bytes, Standing::Fresh).await);
        }
        let hash = match self.application.check(height, &body.bytes, Standing::Reproposed).await {
            Ok(hash) => hash,
            refused => return Some(refused),
        };
        let signed = self.proposed.get(&(height, round)).copied();
        if signed.is_some_and(|(block, again)| block == hash && again.is_some()) {
            return Some(Ok(hash));
        }
        if !self.application.is_late(&body.bytes) {
            return Some(Ok(hash));
        }
        signed?;
        Some(self.application.check(height, &body.bytes, Standing::Fresh).await)
    }

    /// Keeps an old body until its proposer's signed proposal has come.
    fn wait_for_proposal(&mut self, body: Body) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.remove(0);
        }
        self.waiting.push(body);
    }

    /// Judges the next of the waiting bodies whose proposals have come.
    async fn judge_waiting(&mut self) -> Result<Option<ProposedValue<Chain>>, ConsensusError> {
        let next = self.next_height();
        self.waiting.retain(|body| body.outline.height == next);
        while let Some(at) = self
            .waiting
            .iter()
            .position(|body| self.proposed.contains_key(&(body.outline.height, body.outline.round)))
        {
            let body = self.waiting.remove(at);
            if let Some(value) = self.judge(body).await? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn value(
        &self,
        height: u64,
        round: u32,
        valid_round: Option<u32>,
        hash: BlockHash,
        validity: Validity,
    ) -> Result<ProposedValue<Chain>, ConsensusError> {
        Ok(ProposedValue {
            height: Height(height),
            round: round.into(),
            valid_round: valid_round.into(),
            proposer: self.seats()?.proposer(height, round).voter,
            value: Value(hash),
            validity,
        })
    }

    /// The place of an engine's question about the next height; `None` if it is about another.
    fn place_of(&self, height: Height, round: Round) -> Option<Place> {
        let place = Place { height: height.0, round: round.as_u32()? };
        (place.height == self.next_height()).then_some(place)
    }
}
