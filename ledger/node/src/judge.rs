//! The node's judges: orders, readings and acts from the mesh, taken in or refused.
//!
//! Nearly all that judging costs is the check of a signature, and that needs nobody else. So there
//! are as many benches as cores, and each judges one message at a time.

use ledger::acts::Signer;
use ledger::state::State;
use ledger::transaction::Transaction;
use market::time::Clock;
use mesh::{Mesh, MessageTicket, PeerId, Topic, Verdict};
use std::num::NonZero;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

use crate::mempool::{Mempool, NotPooled};
use crate::metrics::NodeMetrics;

/// What a judge needs; clones are equal.
#[derive(Clone)]
pub(crate) struct Judge {
    pub(crate) mesh: Mesh,
    pub(crate) mempool: Mempool,
    pub(crate) state: watch::Receiver<Arc<State>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<NodeMetrics>,
}

/// A message that waits for its verdict. The mesh bounds how many there are.
pub(crate) struct Said {
    pub(crate) topic: Topic,
    pub(crate) payload: Vec<u8>,
    pub(crate) ticket: MessageTicket,
    pub(crate) from: PeerId,
}

/// A judge has panicked.
#[derive(Debug)]
pub(crate) struct JudgeGone;

/// A queue for each judge; the judges end when the queues are dropped.
pub(crate) struct Benches {
    queues: Vec<mpsc::UnboundedSender<Said>>,
    turn: usize,
}

impl Benches {
    /// One bench for each core.
    pub(crate) fn of(judge: &Judge) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let bench = |_| {
            let (queue, said) = mpsc::unbounded_channel();
            tokio::spawn(judge.clone().sit(said));
            queue
        };
        Self { queues: (0..cores).map(bench).collect(), turn: 0 }
    }

    /// Hands a message to the judge whose turn it is. Acts all go to one: of two by the same signer
    /// the first must come first.
    ///
    /// # Errors
    /// [`JudgeGone`].
    pub(crate) fn hand(&mut self, said: Said) -> Result<(), JudgeGone> {
        let bench = match said.topic {
            Topic::Acts => self.queues.first(),
            _ => {
                self.turn = self.turn.wrapping_add(1);
                self.queues.get(self.turn % self.queues.len().max(1))
            }
        };
        bench.ok_or(JudgeGone)?.send(said).map_err(|_| JudgeGone)
    }
}

impl Judge {
    async fn sit(self, mut said: mpsc::UnboundedReceiver<Said>) {
        while let Some(Said { topic, payload, ticket, from }) = said.recv().await {
            let verdict = self.judge(topic, &payload, &from.to_string());
            self.mesh.judge(ticket, verdict);
            // Consensus must not wait until a long queue is empty.
            tokio::task::yield_now().await;
        }
    }

    fn judge(&self, topic: Topic, payload: &[u8], from: &str) -> Verdict {
        let transaction = match (Transaction::from_bytes(payload), topic) {
            (Ok(order @ (Transaction::Order(_) | Transaction::Curve(_))), Topic::Orders) => order,
            (Ok(reading @ Transaction::Reading(_)), Topic::Readings) => reading,
            (
                Ok(
                    act @ (Transaction::Join(_)
                    | Transaction::PartyAct(_)
                    | Transaction::OperatorAct(_)),
                ),
                Topic::Acts,
            ) => act,
            _ => {
                tracing::warn!(
                    peer = from,
                    ?topic,
                    bytes = payload.len(),
                    "garbled message refused"
                );
                self.metrics.refused("garbled");
                return Verdict::Reject;
            }
        };
        let (subject, sequence) = transaction.subject();
        let now = self.clock.now();
        let state = Arc::clone(&self.state.borrow());
        match self.mempool.offer(transaction, &state, now) {
            Ok(()) => {
                self.metrics.accepted(topic);
                Verdict::Accept
            }
            Err(NotPooled::Known) => {
                self.repeated(&subject.signer(), sequence, from);
                Verdict::Ignore
            }
            Err(NotPooled::Rejected(refused)) if refused.is_repetition() => {
                self.repeated(&subject.signer(), sequence, from);
                Verdict::Ignore
            }
            Err(NotPooled::Rejected(rejection)) => {
                let signer = subject.signer();
                tracing::warn!(%signer, sequence, peer = from, %rejection, "message refused");
                self.metrics.refused(rejection.code());
                if rejection.is_everywhere() { Verdict::Reject } else { Verdict::Ignore }
            }
            Err(full @ (NotPooled::SignerFull(_) | NotPooled::Full)) => {
                tracing::warn!(peer = from, %full, "message refused");
                self.metrics.refused("mempool_full");
                Verdict::Ignore
            }
        }
    }

    fn repeated(&self, signer: &Signer, sequence: u64, from: &str) {
        tracing::info!(%signer, sequence, peer = from, "repeated message refused");
        self.metrics.refused("sequence_replayed");
    }
}
