//! Somebody on the mesh who means no good: refused, counted, named, and nothing stops.

use ledger::results::ServedBlock;
use ledger::transaction::Transaction;
use market::energy::Energy;
use market::keys::{ChainId, SigningKey};
use market::member::PartyId;
use market::order::{Order, Preferences, Side, Step};
use market::price::Price;
use market::signed::Signed;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use mesh::{BlockRequest, Mesh, MeshConfig, Topic, TransportKey};
use tokio_util::sync::CancellationToken;

use crate::scenario::faults::status_port;
use crate::scenario::raw_peer::RawPeer;
use crate::scenario::stage::{Demo, all_laws_hold};

#[tokio::test]
async fn nonsense_on_the_mesh_is_refused_counted_and_stops_nothing() {
    let demo = Demo::start(&["--households", "4"]);
    demo.wait_until("trading goes on", async |demo| (demo.height().await > 3).then_some(())).await;
    let genesis = std::fs::read_to_string(demo.data_dir().join("genesis.toml")).expect("genesis");
    let genesis = ledger::genesis::read(&genesis).expect("a genesis");
    let chain = genesis.chain_id();
    let member = *genesis.members.keys().next().expect("a member");
    let mallory = SigningKey::from_seed(&[66; 32]);
    let status = demo.page("/api/v1/status").await.expect("a status");
    let now = Timestamp::from_millis(status["market_time_ms"].as_i64().expect("a time"));

    let order = |party: PartyId, at: Timestamp| Order {
        community: chain,
        party,
        metering_point: genesis.members[&member].metering_point,
        period: DeliveryPeriod::containing(at, PeriodLength::Minutes15).expect("a period"),
        side: Side::Buy,
        steps: vec![Step {
            limit: Price::from_micros_per_kwh(300_000),
            energy: Energy::from_wh(100),
        }],
        sequence: 900,
        preferences: Preferences::default(),
    };
    let later = now.plus_millis(3 * 3_600_000);
    let stranger = PartyId::from_bytes([9; 16]);
    let other_chain = ChainId::from_bytes([7; 32]);
    let signed = |order: Order, chain: &ChainId| {
        Transaction::Order(Signed::sign(order, chain, &mallory).into_envelope()).to_bytes()
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("garbled", b"not a transaction at all".to_vec()),
        ("bad_signature", signed(order(member, later), &chain)),
        ("unknown_party", signed(order(stranger, later), &chain)),
        ("after_gate_closure", signed(order(member, now), &chain)),
        ("other_community", {
            let order = Order { community: other_chain, ..order(member, later) };
            signed(order, &other_chain)
        }),
    ];
    for (reason, payload) in cases {
        // A fresh stranger for each: whoever sends what everybody can see is bad is cut off.
        let before = refused(&demo, reason).await;
        let attacker = Attacker::join(&demo, &chain).await;
        attacker.publish(payload).await;
        demo.wait_until(reason, async |demo| (refused(demo, reason).await > before).then_some(()))
            .await;
        attacker.leave();
    }

    nothing_has_stopped(demo).await;
}

/// An honest household's own signed bytes, taken from a block and sent again by a stranger: once
/// counted is counted.
#[tokio::test]
async fn a_replayed_message_is_refused_and_counts_no_second_time() {
    let demo = Demo::start(&["--households", "4"]);
    demo.wait_until("trading goes on", async |demo| (demo.height().await > 3).then_some(())).await;
    let chain = chain(&demo);
    let listener = Attacker::join(&demo, &chain).await;
    let readings = demo
        .wait_until("a block with readings", async |_| {
            let readings = listener.readings_in_blocks().await;
            (!readings.is_empty()).then_some(readings)
        })
        .await;
    listener.leave();
    // Sooner, every node would still know the bytes as a repetition and not even look at them.
    super::trading::pause(u64::try_from(mesh::DUPLICATE_WINDOW.as_millis()).unwrap() + 3_000).await;

    let attacker = Attacker::join(&demo, &chain).await;
    let before = refused(&demo, "sequence_replayed").await;
    for payload in readings.clone() {
        attacker.publish_on(Topic::Readings, payload).await;
    }
    // Honest households repeat themselves too: the log tells whose repetition was refused.
    let name = attacker.mesh.peer_id().to_string();
    demo.wait_until("it is refused, by name", async |demo| {
        let log = demo.log("validator-1");
        let told = |line: &&str| line.contains("repeated message refused") && line.contains(&name);
        (log.lines().filter(told).count() >= readings.len()).then_some(())
    })
    .await;
    assert!(refused(&demo, "sequence_replayed").await >= before + readings.len() as u64);
    let all = attacker.readings_in_blocks().await;
    for payload in &readings {
        assert_eq!(all.iter().filter(|it| *it == payload).count(), 1, "in one block, once");
    }
    attacker.leave();
    nothing_has_stopped(demo).await;
}

/// A message a little too long is refused, counted and named; a very long one is never read.
#[tokio::test]
async fn an_oversized_message_is_refused_counted_and_named() {
    let demo = Demo::start(&["--households", "4"]);
    demo.wait_until("trading goes on", async |demo| (demo.height().await > 3).then_some(())).await;
    let chain = chain(&demo);
    let victim: libp2p::Multiaddr = mesh_address(&demo).parse().expect("an address");
    let mut peer = RawPeer::connect(victim.clone(), &chain).await;
    peer.shout(vec![1; mesh::PAYLOAD_BYTES_MAX + 1]);
    let name = peer.id().to_string();
    let named = demo.wait_until("it is refused, by name", async |demo| {
        let counted = turned_away(demo, "oversized").await == 1;
        let log = demo.log("validator-1");
        let told = |line: &str| line.contains("oversized message") && line.contains(&name);
        (counted && log.lines().any(told)).then_some(())
    });
    peer.meanwhile(named).await;

    let mut brute = RawPeer::connect(victim, &chain).await;
    for number in 0..8 {
        brute.shout(vec![number; 1 << 20]);
        brute.meanwhile(super::trading::pause(50)).await;
    }
    brute.meanwhile(nothing_has_stopped(demo)).await;
}

/// Trading goes on, no process has died, and every law holds.
async fn nothing_has_stopped(demo: Demo) {
    let height = demo.height().await;
    demo.wait_until("trading goes on", async |demo| {
        (demo.height().await > height + 2).then_some(())
    })
    .await;
    let (status, report) = demo.end();
    assert!(status.success(), "{status}");
    all_laws_hold(&report);
    assert_eq!(report["restarts"], 0, "nothing was stopped");
}

fn chain(demo: &Demo) -> ChainId {
    let genesis = std::fs::read_to_string(demo.data_dir().join("genesis.toml"));
    ledger::genesis::read(&genesis.unwrap_or_default()).expect("a genesis").chain_id()
}

/// How many messages validator-1 has refused for a reason.
async fn refused(demo: &Demo, reason: &str) -> u64 {
    figure(demo, "hidamari_node_messages_refused_total", reason).await
}

/// How many messages or peers the mesh of validator-1 has turned away for a reason.
async fn turned_away(demo: &Demo, reason: &str) -> u64 {
    figure(demo, "hidamari_node_mesh_turned_away", reason).await
}

async fn figure(demo: &Demo, name: &str, reason: &str) -> u64 {
    let Some(port) = status_port(demo, "validator-1") else { return 0 };
    let Ok(response) = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await else {
        return 0;
    };
    let text = response.text().await.unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with(name) && line.contains(&format!("reason=\"{reason}\"")));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_default()
}

/// Where validator-1 listens for members.
fn mesh_address(demo: &Demo) -> String {
    let path = demo.data_dir().join("validator-1").join("node.toml");
    let text = std::fs::read_to_string(path).expect("a configuration");
    let config: toml::Table = toml::from_str(&text).expect("TOML");
    config["mesh"]["listen"][0].as_str().expect("an address").to_owned()
}

struct Attacker {
    mesh: Mesh,
    shutdown: CancellationToken,
}

impl Attacker {
    async fn join(demo: &Demo, chain: &ChainId) -> Self {
        let shutdown = CancellationToken::new();
        let config = MeshConfig {
            transport_key: TransportKey::generate(),
            chain_id: *chain.as_bytes(),
            listen: Vec::new(),
            bootstrap: vec![mesh_address(demo).parse().expect("an address")],
            mdns: false,
            serve_blocks: false,
        };
        let (mesh, mut events) = Mesh::start(config, shutdown.clone()).await.expect("a mesh");
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        Self { mesh, shutdown }
    }

    async fn publish(&self, payload: Vec<u8>) {
        self.publish_on(Topic::Orders, payload).await;
    }

    async fn publish_on(&self, topic: Topic, payload: Vec<u8>) {
        for _ in 0..100 {
            if self.mesh.publish(topic, payload.clone()).await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("nobody to publish to");
    }

    /// Every reading in a block so far, as the bytes that its household sent.
    async fn readings_in_blocks(&self) -> Vec<Vec<u8>> {
        let mut readings = Vec::new();
        let mut from_height = 1;
        loop {
            let peers = self.mesh.peers();
            let Some(peer) = peers.iter().find(|peer| peer.serves_blocks) else { break };
            let request = BlockRequest { from_height, count_max: 100, with_results: false };
            let Ok(answer) = self.mesh.fetch(peer.peer, request).await else { break };
            for bytes in &answer.blocks {
                let served: ServedBlock = borsh::from_slice(bytes).expect("a block");
                let block = served.committed.block;
                from_height = block.header.height + 1;
                let is_reading = |it: &&Transaction| matches!(it, Transaction::Reading(_));
                readings
                    .extend(block.transactions.iter().filter(is_reading).map(|it| it.to_bytes()));
            }
            if answer.blocks.is_empty() || from_height > answer.tip_height {
                break;
            }
        }
        readings
    }

    fn leave(self) {
        self.shutdown.cancel();
    }
}
