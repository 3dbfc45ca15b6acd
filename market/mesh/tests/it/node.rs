//! A whole node with a simple role behind it: it judges by a rule and notes what it hears.

use std::time::Duration;

use mesh::{
    BlockRequest, BlockResponse, Mesh, MeshConfig, MeshError, MeshEvent, MeshEvents, Multiaddr,
    Topic, TransportKey, Verdict,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) const CHAIN: [u8; 32] = [0xab; 32];
/// The wire tag of [`CHAIN`], written out: it must never change by itself.
pub(crate) const TAG: &str = "abababababababab";
/// Longer than anything takes on a busy machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct Node {
    pub(crate) mesh: Mesh,
    pub(crate) heard: mpsc::UnboundedReceiver<(Topic, Vec<u8>)>,
    shutdown: CancellationToken,
    role: JoinHandle<Result<(), MeshError>>,
}

/// What the role behind a node does.
#[derive(Clone, Copy)]
pub(crate) struct Role {
    pub(crate) judge: fn(&[u8]) -> Option<Verdict>,
    pub(crate) serve: fn(&BlockRequest) -> Option<BlockResponse>,
}

impl Default for Role {
    fn default() -> Role {
        Role { judge: |_| Some(Verdict::Accept), serve: |_| None }
    }
}

pub(crate) fn loopback() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddress")
}

pub(crate) fn config(bootstrap: &[Multiaddr]) -> MeshConfig {
    MeshConfig {
        transport_key: TransportKey::generate(),
        chain_id: CHAIN,
        listen: vec![loopback()],
        bootstrap: bootstrap.to_vec(),
        mdns: false,
        serve_blocks: true,
    }
}

impl Node {
    pub(crate) async fn start(bootstrap: &[Multiaddr]) -> Node {
        Node::with(config(bootstrap), Role::default()).await
    }

    pub(crate) async fn with(config: MeshConfig, role: Role) -> Node {
        let shutdown = CancellationToken::new();
        let (mesh, events) = Mesh::start(config, shutdown.clone()).await.expect("the mesh starts");
        let (sender, heard) = mpsc::unbounded_channel();
        let role = tokio::spawn(play(role, mesh.clone(), events, sender));
        Node { mesh, heard, shutdown, role }
    }

    pub(crate) fn address(&self) -> Multiaddr {
        self.mesh.listening().first().cloned().expect("a listening address")
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.role.await.expect("the role ends").expect("the mesh ends");
    }

    pub(crate) async fn hears(&mut self) -> (Topic, Vec<u8>) {
        timeout(PATIENCE, self.heard.recv()).await.expect("heard in time").expect("a live role")
    }

    pub(crate) fn knows(&self, other: &Node) -> bool {
        self.mesh.peers().iter().any(|status| status.peer == other.mesh.peer_id())
    }

    /// Publishes as soon as somebody listens.
    pub(crate) async fn says(&self, topic: Topic, payload: &[u8]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.mesh.publish(topic, payload.to_vec()).await {
                Ok(()) => return,
                Err(MeshError::NoPeers { .. }) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("cannot publish: {error}"),
            }
        }
    }
}

async fn play(
    role: Role,
    mesh: Mesh,
    mut events: MeshEvents,
    heard: mpsc::UnboundedSender<(Topic, Vec<u8>)>,
) -> Result<(), MeshError> {
    while let Some(event) = events.recv().await {
        match event {
            MeshEvent::Message { topic, payload, ticket, .. } => {
                if let Some(verdict) = (role.judge)(&payload) {
                    mesh.judge(ticket, verdict);
                }
                // The test may be over.
                let _ = heard.send((topic, payload));
            }
            MeshEvent::BlocksRequested { request, ticket, .. } => {
                if let Some(response) = (role.serve)(&request) {
                    mesh.answer(ticket, response);
                }
            }
            MeshEvent::SnapshotRequested { ticket, .. } => drop(ticket),
            MeshEvent::PeerJoined { .. }
            | MeshEvent::PeerLeft { .. }
            | MeshEvent::Listening { .. } => {}
        }
    }
    events.stopped().await
}

/// Waits until a condition holds that only other tasks can bring about.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
