//! Whoever watches the chain grow: a member of the mesh that checks every certificate and counts
//! what each block carries.

use std::sync::Arc;
use std::time::Duration;

use ledger::follower::LightFollower;
use ledger::genesis::Genesis;
use ledger::results::ServedBlock;
use mesh::{BlockRequest, Mesh, MeshEvent, MeshEvents, Topic, Verdict};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::crowd::Outstanding;

/// How often blocks are asked for if none is announced.
const POLL_EVERY: Duration = Duration::from_millis(250);

/// Blocks asked for at once.
const BATCH: u16 = 16;

/// What has been committed so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) height: u64,
    pub(super) orders: u64,
    /// Blocks that carry orders.
    pub(super) blocks: u64,
    pub(super) bytes: u64,
    pub(super) largest_bytes: usize,
    /// Blocks that were not decided in their first round.
    pub(super) late_count: u64,
    /// From the signature to the certified block in the witness' hands, in milliseconds.
    pub(super) latencies_ms: Vec<f64>,
}

pub(super) struct Witness {
    mesh: Mesh,
    follower: LightFollower,
    outstanding: Arc<Outstanding>,
    tally: watch::Sender<Tally>,
}

impl Witness {
    /// Watches until shutdown.
    pub(super) fn start(
        mesh: Mesh,
        events: MeshEvents,
        genesis: &Genesis,
        outstanding: Arc<Outstanding>,
        ending: CancellationToken,
    ) -> watch::Receiver<Tally> {
        let (tally, seen) = watch::channel(Tally::default());
        let follower = LightFollower::at_genesis(genesis);
        let witness = Self { mesh, follower, outstanding, tally };
        tokio::spawn(async move {
            tokio::select! {
                () = ending.cancelled() => {}
                () = witness.watch(events) => {}
            }
        });
        seen
    }

    async fn watch(mut self, mut events: MeshEvents) {
        let mut poll = tokio::time::interval(POLL_EVERY);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(MeshEvent::Message { topic, ticket, .. }) => {
                        // It carries on what others have to judge.
                        self.mesh.judge(ticket, Verdict::Ignore);
                        if topic != Topic::Blocks {
                            continue;
                        }
                    }
                    Some(_) => continue,
                    None => return,
                },
                _ = poll.tick() => {}
            }
            while self.follow_next().await {}
        }
    }

    /// Follows the next blocks; whether there were any.
    async fn follow_next(&mut self) -> bool {
        let from_height = self.follower.height() + 1;
        let request = BlockRequest { from_height, count_max: BATCH, with_results: false };
        let serving = self.mesh.peers().into_iter().filter(|peer| peer.serves_blocks);
        let peers: Vec<_> = serving.map(|status| status.peer).collect();
        let turn = usize::try_from(from_height).unwrap_or_default();
        let Some(peer) = turn.checked_rem(peers.len()).and_then(|at| peers.get(at)) else {
            return false;
        };
        let Ok(response) = self.mesh.fetch(*peer, request).await else { return false };
        let mut advanced = false;
        for bytes in &response.blocks {
            let Ok(served) = borsh::from_slice::<ServedBlock>(bytes) else { break };
            if self.follower.follow(&served).is_err() {
                break;
            }
            advanced = true;
            self.count(&served, bytes.len());
        }
        advanced
    }

    fn count(&self, served: &ServedBlock, bytes: usize) {
        let (block, now) = (&served.committed.block, Instant::now());
        let signed = block.transactions.iter().filter_map(|one| self.outstanding.committed(one));
        let latencies: Vec<f64> =
            signed.map(|at| now.duration_since(at).as_secs_f64() * 1_000.0).collect();
        self.tally.send_modify(|tally| {
            tally.height = block.header.height;
            tally.late_count += u64::from(served.committed.certificate.round > 0);
            tally.latencies_ms.extend(latencies);
            if !block.transactions.is_empty() {
                tally.blocks += 1;
                tally.orders += u64::try_from(block.transactions.len()).unwrap_or_default();
                tally.bytes += u64::try_from(bytes).unwrap_or_default();
                tally.largest_bytes = tally.largest_bytes.max(bytes);
            }
        });
    }
}
