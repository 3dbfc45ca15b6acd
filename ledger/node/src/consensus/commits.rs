//! Blocks once they are decided: committed, served to others, received while catching up.

use std::ops::RangeInclusive;
use std::time::Instant;

use arc_malachitebft_app_channel::Reply;
use arc_malachitebft_app_channel::app::engine::host::{Next, SyncedValueOutcome};
use arc_malachitebft_app_channel::app::types::{MisbehaviorEvidence, ProposedValue};
use arc_malachitebft_core_types::{
    CommitCertificate as EngineCertificate, Round, SignedMessage, Validity,
};
use arc_malachitebft_sync::RawDecidedValue;
use bytes::Bytes;
use ledger::block::BLOCK_BYTES_MAX;

use super::ConsensusError;
use super::application::{Application, Refusal, Standing, Undecided};
use super::codec::{SYNC_BATCH, commit_certificate, decided_value};
use super::context::{Chain, Height, Proposal, Value, Vote, Voter};
use super::driver::{Driver, send};
use super::signing::{proposal_statement, vote_statement};

impl<A: Application> Driver<A> {
    /// Makes a decision durable, with a certificate that everybody can check, and applies it.
    pub(super) async fn decided(
        &mut self,
        certificate: &EngineCertificate<Chain>,
        reply: Reply<()>,
    ) -> Result<(), ConsensusError> {
        let (height, tip) = (certificate.height.0, self.application.tip());
        let block = certificate.value_id;
        let Some(certificate) = commit_certificate(
            certificate.height,
            certificate.round,
            block,
            &certificate.commit_signatures,
        )
        .filter(|_| height == self.next_height()) else {
            return Err(ConsensusError::OutOfStep { decided: height, tip });
        };
        certificate
            .verify(&self.chain, &self.application.validators())
            .map_err(|source| ConsensusError::UnsoundCertificate { height, source })?;
        let mut stored = self.application.undecided(height).await?.into_iter();
        let body = stored
            .find(|body| body.hash == block)
            .ok_or(ConsensusError::MissingBody { height, block })?;
        let round = certificate.round;
        self.application.commit(body.bytes, certificate).await?;

        let tip = self.application.tip();
        if tip != height {
            return Err(ConsensusError::OutOfStep { decided: height, tip });
        }
        tracing::debug!(height, round, %block, "committed");
        self.running = None;
        self.recovered = true;
        self.parts.prune(self.next_height());
        self.publish_tip(self.seats()?.len());
        self.publish_progress(|status| status.last_commit_at = Some(Instant::now()));
        send(reply, ());
        self.follow_membership().await
    }

    /// Notes what the height brought to light, and waits for a reason to start the next.
    pub(super) fn finalized(
        &mut self,
        height: Height,
        evidence: &MisbehaviorEvidence<Chain>,
        reply: Reply<Next<Chain>>,
    ) -> Result<(), ConsensusError> {
        self.note_evidence(evidence);
        let tip = self.application.tip();
        if tip != height.0 {
            return Err(ConsensusError::OutOfStep { decided: height.0, tip });
        }
        self.hold(reply)
    }

    /// Keeps what proves that a validator broke the rules.
    fn note_evidence(&mut self, evidence: &MisbehaviorEvidence<Chain>) {
        let chain = self.chain;
        let mut pairs = Vec::new();
        for (validator, proposals) in evidence.proposals.iter() {
            for (one, other) in proposals {
                let signed = |it: &SignedMessage<Chain, Proposal>| {
                    let (statement, bytes) = proposal_statement(&chain, &it.message)?;
                    Some((statement, bytes, it.signature))
                };
                pairs.push((validator.0, signed(one), signed(other)));
            }
        }
        for (validator, votes) in evidence.votes.iter() {
            for (one, other) in votes {
                let signed = |it: &SignedMessage<Chain, Vote>| {
                    let (statement, bytes) = vote_statement(&chain, &it.message)?;
                    Some((statement, bytes, it.signature))
                };
                pairs.push((validator.0, signed(one), signed(other)));
            }
        }
        for (validator, one, other) in pairs {
            let (Some(one), Some(other)) = (one, other) else { continue };
            tracing::warn!(
                %validator, one = %one.0, other = %other.0,
                "a validator signed two statements about one step"
            );
            let Some(file) = &mut self.evidence else { continue };
            if let Err(error) = file.keep(&validator, [one, other]) {
                tracing::error!(%error, "the evidence cannot be kept");
            }
            let count = file.count();
            self.status.send_modify(|status| status.evidence_count = count);
        }
    }

    /// Judges a block that others committed while this node was away.
    ///
    /// The engine has checked its certificate, but only against the hash that we compute here.
    pub(super) async fn synced_value(
        &mut self,
        height: Height,
        round: Round,
        proposer: Voter,
        bytes: Bytes,
        reply: Reply<SyncedValueOutcome<Chain>>,
    ) -> Result<(), ConsensusError> {
        let outcome = match round.as_u32().filter(|_| height.0 == self.next_height()) {
            Some(round_number) => {
                let verdict = self.judge_synced(height.0, round_number, bytes).await?;
                match verdict {
                    Ok((hash, validity)) => SyncedValueOutcome::Verdict(ProposedValue {
                        height,
                        round,
                        valid_round: Round::Nil,
                        proposer,
                        value: Value(hash),
                        validity,
                    }),
                    Err(outcome) => outcome,
                }
            }
            // Asked for before a commit that has happened meanwhile.
            None => SyncedValueOutcome::LocalTransientError,
        };
        send(reply, outcome);
        Ok(())
    }

    async fn judge_synced(
        &mut self,
        height: u64,
        round: u32,
        bytes: Bytes,
    ) -> Result<
        Result<(ledger::block::BlockHash, Validity), SyncedValueOutcome<Chain>>,
        ConsensusError,
    > {
        if bytes.len() > BLOCK_BYTES_MAX {
            tracing::warn!(height, length = bytes.len(), "a synced block is too long");
            return Ok(Err(SyncedValueOutcome::PeerFault));
        }
        let bytes = bytes.to_vec();
        Ok(match self.application.check(height, &bytes, Standing::Certified).await {
            Ok(hash) => {
                self.synced = height;
                let body = Undecided { height, round, hash, own: false, bytes };
                self.application.put_undecided(body).await?;
                Ok((hash, Validity::Valid))
            }
            Err(Refusal::Invalid { hash, words }) => {
                // If the hash is the certificate's, two thirds of the power disagree with us, and
                // the engine stands still at this height. If not, it blames the peer.
                tracing::error!(height, %hash, words, "a synced block breaks a rule here");
                Ok((hash, Validity::Invalid))
            }
            Err(refusal @ Refusal::Garbled { .. }) => {
                tracing::warn!(height, %refusal, "a synced block is refused");
                Err(SyncedValueOutcome::PeerFault)
            }
            Err(refusal @ Refusal::Unavailable { .. }) => {
                tracing::warn!(height, %refusal, "a synced block is asked for again");
                Err(SyncedValueOutcome::LocalTransientError)
            }
        })
    }

    /// Gives a node that catches up the blocks it asks for, as far as we hold them without a gap.
    pub(super) async fn serve(
        &mut self,
        range: &RangeInclusive<Height>,
        reply: Reply<Vec<RawDecidedValue<Chain>>>,
    ) {
        let last = range.end().0.min(self.application.tip());
        let mut values = Vec::new();
        for height in (range.start().0..=last).take(SYNC_BATCH) {
            match self.application.decided(height).await {
                Ok(Some((bytes, certificate))) => values.push(decided_value(bytes, &certificate)),
                Ok(None) => break,
                Err(fatal) => {
                    tracing::error!(
                        height,
                        error = &fatal as &dyn std::error::Error,
                        "cannot serve"
                    );
                    break;
                }
            }
        }
        send(reply, values);
    }
}
