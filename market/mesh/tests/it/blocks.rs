//! Block fetching between nodes.

use std::time::Duration;

use mesh::{BlockRequest, BlockResponse, FETCH_TIMEOUT, Mesh, MeshError, MeshEvent, TransportKey};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::node::{Node, Role, config, eventually};

const ASK: BlockRequest = BlockRequest { from_height: 5, count_max: 3, with_results: true };

async fn pair(serve: fn(&BlockRequest) -> Option<BlockResponse>) -> (Node, Node) {
    let server = Node::with(config(&[]), Role { serve, ..Role::default() }).await;
    let mut without_blocks = config(&[server.address()]);
    without_blocks.serve_blocks = false;
    let client = Node::with(without_blocks, Role::default()).await;
    eventually("they know each other", || client.knows(&server) && server.knows(&client)).await;
    (server, client)
}

#[tokio::test]
async fn blocks_come_back_as_they_were_given() {
    let serve = |request: &BlockRequest| {
        let heights = (request.from_height..).take(usize::from(request.count_max));
        let block = |height: u64| height.to_be_bytes().repeat(20_000);
        Some(BlockResponse { tip_height: 70, blocks: heights.map(block).collect() })
    };
    let (server, client) = pair(serve).await;
    let answer = client.mesh.fetch(server.mesh.peer_id(), ASK).await.expect("an answer");
    assert_eq!(Some(answer), serve(&ASK));

    // Who serves is known before asking, and asking one that does not is an error.
    let status = |from: &Node, of: &Node| {
        let peers = from.mesh.peers();
        peers.into_iter().find(|status| status.peer == of.mesh.peer_id()).expect("a neighbour")
    };
    assert!(status(&client, &server).serves_blocks);
    assert!(!status(&server, &client).serves_blocks);
    let error = server.mesh.fetch(client.mesh.peer_id(), ASK).await;
    assert!(matches!(error, Err(MeshError::FetchFailed { .. })));

    let stranger = TransportKey::generate().peer_id();
    let error = client.mesh.fetch(stranger, ASK).await;
    assert!(matches!(error, Err(MeshError::NotConnected { peer }) if peer == stranger));
}

#[tokio::test]
async fn a_dropped_request_fails_at_once_and_more_blocks_than_asked_are_refused() {
    let started = Instant::now();
    let (server, client) = pair(|_| None).await;
    let error = client.mesh.fetch(server.mesh.peer_id(), ASK).await;
    assert!(matches!(error, Err(MeshError::FetchFailed { .. })), "{error:?}");
    assert!(started.elapsed() < FETCH_TIMEOUT);

    let greedy = |_: &BlockRequest| Some(BlockResponse { tip_height: 1, blocks: vec![vec![]; 4] });
    let (server, client) = pair(greedy).await;
    let error = client.mesh.fetch(server.mesh.peer_id(), ASK).await;
    assert!(matches!(error, Err(MeshError::TooManyBlocks { sent: 4, asked: 3, .. })));
}

#[tokio::test]
async fn a_silent_server_costs_the_time_out_and_at_most_two_requests_wait_on_it() {
    let shutdown = CancellationToken::new();
    let (silent, mut events) =
        Mesh::start(config(&[]), shutdown.clone()).await.expect("the mesh starts");
    let client = Node::start(&silent.listening()).await;
    eventually("they know each other", || client.mesh.peers().len() == 1).await;
    let asked = Instant::now();
    let (first, second, third) = tokio::join!(
        client.mesh.fetch(silent.peer_id(), ASK),
        client.mesh.fetch(silent.peer_id(), ASK),
        client.mesh.fetch(silent.peer_id(), ASK),
    );
    let results = [first, second, third];
    let timed_out =
        results.iter().filter(|result| matches!(result, Err(MeshError::FetchTimedOut { .. })));
    assert_eq!(timed_out.count(), 2, "{results:?}");
    assert_eq!(silent.counters().snapshot().requests_refused, 1);
    let waited = asked.elapsed();
    assert!(waited >= FETCH_TIMEOUT && waited < FETCH_TIMEOUT + Duration::from_secs(5));

    // An answer that comes too late harms nobody.
    while let Some(event) = events.recv().await {
        if let MeshEvent::BlocksRequested { ticket, .. } = event {
            silent.answer(ticket, BlockResponse { tip_height: 1, blocks: Vec::new() });
            break;
        }
    }
    shutdown.cancel();
    events.stopped().await.expect("the mesh ends");
}
