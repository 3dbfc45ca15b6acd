//! Somebody on the mesh who means no good: refused, counted, named, and nothing stops.

use ledger::transaction::Transaction;
use market::energy::Energy;
use market::keys::{ChainId, SigningKey};
use market::member::PartyId;
use market::order::{Order, Preferences, Side, Step};
use market::price::Price;
use market::signed::Signed;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use mesh::{Mesh, MeshConfig, Topic, TransportKey};
use tokio_util::sync::CancellationToken;

use crate::scenario::faults::status_port;
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

/// How many messages validator-1 has refused for a reason.
async fn refused(demo: &Demo, reason: &str) -> u64 {
    let Some(port) = status_port(demo, "validator-1") else { return 0 };
    let Ok(response) = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await else {
        return 0;
    };
    let text = response.text().await.unwrap_or_default();
    let line = text.lines().find(|line| {
        line.starts_with("hidamari_node_messages_refused_total")
            && line.contains(&format!("reason=\"{reason}\""))
    });
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_default()
}

struct Attacker {
    mesh: Mesh,
    shutdown: CancellationToken,
}

impl Attacker {
    async fn join(demo: &Demo, chain: &ChainId) -> Self {
        let path = demo.data_dir().join("validator-1").join("node.toml");
        let text = std::fs::read_to_string(path).expect("a configuration");
        let config: toml::Table = toml::from_str(&text).expect("TOML");
        let listen = config["mesh"]["listen"][0].as_str().expect("an address");
        let shutdown = CancellationToken::new();
        let config = MeshConfig {
            transport_key: TransportKey::generate(),
            chain_id: *chain.as_bytes(),
            listen: Vec::new(),
            bootstrap: vec![listen.parse().expect("an address")],
            mdns: false,
            serve_blocks: false,
        };
        let (mesh, mut events) = Mesh::start(config, shutdown.clone()).await.expect("a mesh");
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        Self { mesh, shutdown }
    }

    async fn publish(&self, payload: Vec<u8>) {
        for _ in 0..100 {
            if self.mesh.publish(Topic::Orders, payload.clone()).await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("nobody to publish to");
    }

    fn leave(self) {
        self.shutdown.cancel();
    }
}
