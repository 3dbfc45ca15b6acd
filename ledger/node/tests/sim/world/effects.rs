//! What the engine's actors do when the core asks for something: timers, log, signatures, and the
//! questions to the driver.

use std::collections::VecDeque;

use arc_malachitebft_app_channel::app::consensus::{
    self as core, Effect, LivenessMsg, Resumable as _, Resume,
};
use arc_malachitebft_app_channel::app::engine::host::{Next, SyncedValueOutcome};
use arc_malachitebft_app_channel::{AppMsg, NetworkMsg};
use arc_malachitebft_core_types::{LinearTimeouts, Timeout, ValueOrigin, ValueResponse};
use arc_malachitebft_signing::{Signer as _, Verifier as _, VerifierExt as _};
use tokio::sync::{mpsc, oneshot};

use super::disk::Disk;
use super::engine::{Mail, Out, Phase, Wire};
use super::forgery::Forgery;
use super::member::Member;
use crate::consensus::context::{Chain, Voter};
use crate::consensus::driver::Driver;
use crate::consensus::signing::{ChainVerifier, GuardedSigner};

/// Everything that effects touch.
pub(super) struct Rest {
    pub(super) driver: Driver<Member>,
    pub(super) published: mpsc::Receiver<NetworkMsg<Chain>>,
    pub(super) signer: GuardedSigner,
    pub(super) verifier: ChainVerifier,
    pub(super) disk: Disk,
    pub(super) phase: Phase,
    pub(super) is_validator: bool,
    pub(super) timeouts: LinearTimeouts,
    pub(super) timers: Vec<(Timeout, u64)>,
    pub(super) turn: u64,
    pub(super) next: Option<oneshot::Receiver<Next<Chain>>>,
    pub(super) mailbox: VecDeque<Mail>,
    pub(super) out: Vec<Out>,
    pub(super) failure: Option<String>,
    pub(super) forgery: Option<Forgery>,
}

/// An effect that could not be carried out; why stands in `failure`.
#[derive(Debug)]
pub(super) struct Failed;

impl Rest {
    pub(super) fn fail(&mut self, words: String) -> Failed {
        self.failure.get_or_insert(words);
        Failed
    }

    /// The driver's answer to the start of the next height, once it has given one.
    pub(super) fn collect_next(&mut self) {
        let answer = self.next.as_mut().map(oneshot::Receiver::try_recv);
        if let Some(Ok(Next::Start(height, params) | Next::Restart(height, params))) = answer {
            self.next = None;
            self.mailbox.push_back(Mail::Start(height, params));
        }
    }

    pub(super) fn take_timer(&mut self, timeout: Timeout, turn: u64) -> bool {
        let before = self.timers.len();
        self.timers.retain(|timer| *timer != (timeout, turn));
        self.timers.len() < before
    }

    /// Asks the driver, and sends what it publishes.
    pub(super) async fn ask(&mut self, question: AppMsg<Chain>) -> Result<(), Failed> {
        if let Err(error) = self.driver.answer(question).await {
            return Err(self.fail(error.to_string()));
        }
        while let Ok(NetworkMsg::PublishProposalPart(part)) = self.published.try_recv() {
            let parts = Forgery::parts(self.forgery, part).into_iter();
            self.out.extend(parts.map(|part| Out::Publish(Wire::Part(part))));
        }
        Ok(())
    }

    fn sync_log(&mut self) -> Result<(), Failed> {
        if self.phase == Phase::Recovering || !self.is_validator {
            return Ok(());
        }
        self.disk.sync_log().map_err(|died| self.fail(died.to_string()))
    }

    pub(super) async fn carry_out(
        &mut self,
        effect: Effect<Chain>,
    ) -> Result<Resume<Chain>, Failed> {
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
            // The signer syncs the log before its own record.
            Effect::SignVote(vote, r) => {
                self.sync_log()?;
                match self.signer.sign_vote(vote).await {
                    Ok(signed) => Ok(r.resume_with(signed)),
                    Err(error) => Err(self.fail(error.to_string())),
                }
            }
            Effect::SignProposal(proposal, r) => {
                self.sync_log()?;
                match self.signer.sign_proposal(proposal).await {
                    Ok(signed) => Ok(r.resume_with(signed)),
                    Err(error) => Err(self.fail(error.to_string())),
                }
            }
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
