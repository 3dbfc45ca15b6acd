//! A validator in a nutshell: the real rules and the real mesh, with one vote and no consensus.

use ledger::acts::NotApplied;
use ledger::block::CommittedBlock;
use ledger::certificate::{CommitCertificate, VoteKind, vote_bytes};
use ledger::draft::Draft;
use ledger::genesis::Genesis;
use ledger::results::ServedBlock;
use ledger::state::State;
use ledger::transaction::Transaction;
use ledger::validators::Address;
use market::time::Clock;
use mesh::{
    BlockResponse, Mesh, MeshConfig, MeshEvent, MeshEvents, Multiaddr, Topic, TransportKey, Verdict,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::world::validator_key;

/// A running node.
pub(crate) struct Node {
    pub(crate) address: Multiaddr,
    pub(crate) history: Arc<Mutex<Vec<ServedBlock>>>,
    pub(crate) rejections: Arc<Mutex<Vec<NotApplied>>>,
    stop: CancellationToken,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Maker {
    mesh: Mesh,
    events: MeshEvents,
    clock: Arc<dyn Clock>,
    heartbeat_ms: i64,
    waiting: Vec<Transaction>,
    state: State,
    history: Arc<Mutex<Vec<ServedBlock>>>,
    rejections: Arc<Mutex<Vec<NotApplied>>>,
}

impl Node {
    pub(crate) async fn start(genesis: &Genesis, clock: Arc<dyn Clock>) -> Self {
        let stop = CancellationToken::new();
        let config = MeshConfig {
            transport_key: TransportKey::generate(),
            chain_id: *genesis.chain_id().as_bytes(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            bootstrap: Vec::new(),
            mdns: false,
            serve_blocks: true,
        };
        let (mesh, events) = Mesh::start(config, stop.clone()).await.unwrap();
        let address = mesh.listening().remove(0);
        let (history, rejections) = (Arc::default(), Arc::default());
        let maker = Maker {
            mesh,
            events,
            clock,
            heartbeat_ms: i64::try_from(genesis.heartbeat_ms).unwrap(),
            waiting: Vec::new(),
            state: State::at_genesis(genesis),
            history: Arc::clone(&history),
            rejections: Arc::clone(&rejections),
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(maker.run()));
        Self { address, history, rejections, stop }
    }
}

impl Maker {
    async fn run(mut self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.hear(event),
                    None => return,
                },
                _ = ticks.tick() => self.make_block().await,
            }
        }
    }

    fn hear(&mut self, event: MeshEvent) {
        match event {
            MeshEvent::Message { topic: Topic::Blocks, ticket, .. } => {
                self.mesh.judge(ticket, Verdict::Ignore);
            }
            MeshEvent::Message { payload, ticket, .. } => {
                self.waiting.push(Transaction::from_bytes(&payload).unwrap());
                self.mesh.judge(ticket, Verdict::Accept);
            }
            MeshEvent::BlocksRequested { request, ticket, .. } => {
                let from = usize::try_from(request.from_height).unwrap().saturating_sub(1);
                let history = self.history.lock().unwrap();
                let blocks = history.iter().skip(from).take(usize::from(request.count_max));
                let blocks = blocks.map(|served| borsh::to_vec(served).unwrap()).collect();
                let tip_height = u64::try_from(history.len()).unwrap();
                self.mesh.answer(ticket, BlockResponse { tip_height, blocks });
            }
            _ => {}
        }
    }

    async fn make_block(&mut self) {
        let now = self.clock.now();
        if now <= self.state.time() {
            return;
        }
        let mut draft = Draft::open(&self.state, now).unwrap();
        for transaction in self.waiting.drain(..) {
            if let Err(rejection) = draft.admit(transaction) {
                self.rejections.lock().unwrap().push(rejection);
            }
        }
        let heartbeat = now.millis_since(self.state.time()) >= self.heartbeat_ms;
        if draft.transaction_count() == 0 && !heartbeat {
            return;
        }
        let executed = draft.finish().unwrap();
        let header = executed.block.header.clone();
        let (hash, key) = (header.hash(), validator_key());
        let address = Address::of(&key.public());
        let kind = VoteKind::Precommit;
        let vote = vote_bytes(&header.chain, kind, header.height, 0, Some(&hash), &address);
        let certificate = CommitCertificate {
            height: header.height,
            round: 0,
            block: hash,
            signatures: vec![(address, key.sign(&vote))],
        };
        let served = ServedBlock {
            committed: CommittedBlock { block: executed.block, certificate: certificate.clone() },
            results: Some(executed.results.leaves()),
        };
        self.history.lock().unwrap().push(served);
        self.state = executed.state;
        let announcement = borsh::to_vec(&(header, certificate)).unwrap();
        let _ = self.mesh.publish(Topic::Blocks, announcement).await;
    }
}
