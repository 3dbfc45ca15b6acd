//! Neighbours that announce what is true and keep the blocks to themselves.

use ledger::block::CommittedBlock;
use ledger::certificate::{CommitCertificate, VoteKind, vote_bytes};
use ledger::draft::Draft;
use ledger::results::ServedBlock;
use ledger::salt::BlockSalt;
use ledger::state::State;
use ledger::validators::Address;
use market::time::Clock;
use mesh::key_file::Keychain;
use mesh::{BlockResponse, Mesh, MeshConfig, MeshEvent, MeshEvents, Topic, TransportKey, Verdict};
use meter_agent::status::Status;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::world::{FastClock, STARTS_AT, genesis, household, validator_key};

/// Longer than the announcements of the chain below take.
const PATIENCE: Duration = Duration::from_secs(25);

fn chain(count: usize) -> Vec<ServedBlock> {
    let (mut state, mut blocks) = (State::at_genesis(&genesis()), Vec::new());
    for _ in 0..count {
        let draft =
            Draft::open(&state, state.time().plus_millis(1_000), BlockSalt::from_bytes([7; 32]))
                .unwrap();
        let executed = draft.finish().unwrap();
        let (header, key) = (&executed.block.header, validator_key());
        let (block, address) = (header.hash(), Address::of(&key.public()));
        let (kind, height) = (VoteKind::Precommit, header.height);
        let vote = vote_bytes(&header.chain, kind, height, 0, Some(&block), &address);
        let signatures = vec![(address, key.sign(&vote))];
        let certificate = CommitCertificate { height, round: 0, block, signatures };
        let committed = CommittedBlock { block: executed.block, certificate };
        blocks.push(ServedBlock { committed, results: Some(executed.results.leaves()) });
        state = executed.state;
    }
    blocks
}

async fn join(shutdown: &CancellationToken) -> (Mesh, MeshEvents) {
    let config = MeshConfig {
        transport_key: TransportKey::generate(),
        chain_id: *genesis().chain_id().as_bytes(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        bootstrap: Vec::new(),
        mdns: false,
        serve_blocks: true,
    };
    Mesh::start(config, shutdown.clone()).await.unwrap()
}

/// Serves blocks, says that there are `tip_height`, and passes no announcement on.
async fn serve(mesh: Mesh, mut events: MeshEvents, blocks: Vec<ServedBlock>, tip_height: u64) {
    while let Some(event) = events.recv().await {
        match event {
            MeshEvent::BlocksRequested { request, ticket, .. } => {
                let from = usize::try_from(request.from_height).unwrap() - 1;
                let blocks = blocks.iter().skip(from).take(usize::from(request.count_max));
                let blocks = blocks.map(|served| borsh::to_vec(served).unwrap()).collect();
                mesh.answer(ticket, BlockResponse { tip_height, blocks });
            }
            MeshEvent::Message { ticket, .. } => mesh.judge(ticket, Verdict::Ignore),
            _ => {}
        }
    }
}

/// Whoever announces is asked first. Each announcement is news, so nobody is asked for want of
/// news; the agent has to go on to the next neighbour by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_announces_blocks_and_keeps_them_is_passed_over() {
    let blocks = chain(300);
    let shutdown = CancellationToken::new();
    let (honest, honest_events) = join(&shutdown).await;
    let (keeper, keeper_events) = join(&shutdown).await;
    let served = blocks[..40].to_vec();
    let serving = tokio::spawn(serve(honest.clone(), honest_events, served, 40));
    let keeping = tokio::spawn(serve(keeper.clone(), keeper_events, Vec::new(), 300));

    let dir = tempfile::tempdir().unwrap();
    let nowhere: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let mut config = household(dir.path(), 1, nowhere, &keeper.listening()[0]);
    config.mesh.bootstrap.push(honest.listening()[0].clone());
    let clock: Arc<dyn Clock> = Arc::new(FastClock::new(STARTS_AT, 1));
    let agent = tokio::spawn(meter_agent::run(config, Keychain::plain(), clock, shutdown.clone()));

    let deadline = Instant::now() + PATIENCE;
    let mut to_announce = blocks[50..].iter();
    loop {
        let committed = &to_announce.next().expect("more to announce").committed;
        let (header, certificate) = (&committed.block.header, &committed.certificate);
        let payload = borsh::to_vec(&(header, certificate)).unwrap();
        // Nobody listens before the agent has come.
        let _ = keeper.publish(Topic::Blocks, payload).await;
        sleep(Duration::from_millis(150)).await;
        let height = Status::read(&dir.path().join("data")).map(|status| status.height);
        if height.is_ok_and(|height| height == 40) {
            break;
        }
        assert!(Instant::now() < deadline, "it believes who announces and serves nothing");
    }
    shutdown.cancel();
    agent.await.unwrap().unwrap();
    serving.await.unwrap();
    keeping.await.unwrap();
}
