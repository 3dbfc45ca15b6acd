//! Faults from the first day: killed and hanging validators, one and all.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::Value;

use crate::scenario::stage::{Demo, all_laws_hold, free_port, program, send};

#[tokio::test]
async fn a_validator_killed_again_and_again_costs_nothing_that_was_acknowledged() {
    let demo = Demo::start(&["--households", "6"]);
    demo.wait_until("trading goes on", async |demo| {
        (demo.settled_periods().await >= 1).then_some(())
    })
    .await;
    let mut acknowledged = Vec::new();
    for height in 1..=demo.height().await {
        let transactions = transactions_of(&demo, height).await.expect("a block");
        acknowledged.push((height, transactions));
    }
    assert!(acknowledged.iter().any(|(_, transactions)| !transactions.is_empty()));
    for name in ["validator-2", "validator-3"] {
        let before = demo.height().await;
        let pid = demo.pid(name);
        demo.signal(name, Signal::KILL);
        demo.wait_until("the others go on", async |demo| {
            (demo.height().await > before + 3).then_some(())
        })
        .await;
        demo.wait_until("it is started again", async |demo| {
            demo.pid(name).filter(|now| Some(*now) != pid)
        })
        .await;
        let tip = demo.height().await;
        demo.wait_until("it has caught up and votes", async |demo| {
            let port = status_port(demo, name)?;
            let url = format!("http://127.0.0.1:{port}/status");
            let status: serde_json::Value = reqwest::get(url).await.ok()?.json().await.ok()?;
            (status["height"].as_u64()? >= tip && status["has_quorum"] == true).then_some(())
        })
        .await;
        // Voting, not just listening: its signature stands under a block of afterwards.
        let address = address_of(&demo, name);
        demo.wait_until("its vote commits a block again", async |demo| {
            let block = demo.page(&format!("/api/v1/blocks/{}", demo.height().await)).await?;
            let voted = block["height"].as_u64()? > tip
                && block["signatures"].as_array()?.iter().any(|it| it["validator"] == address);
            voted.then_some(())
        })
        .await;
    }
    for (height, transactions) in acknowledged {
        assert_eq!(transactions_of(&demo, height).await, Some(transactions), "block {height}");
    }
    let settled = demo.settled_periods().await;
    demo.wait_until("another period is settled", async |demo| {
        (demo.settled_periods().await > settled).then_some(())
    })
    .await;
    let (status, report) = demo.end();
    assert!(status.success(), "{status}");
    all_laws_hold(&report);
    assert!(report["restarts"].as_u64() >= Some(2));
}

/// Nobody remembers for the others: whatever comes back was on a disk.
#[tokio::test]
async fn all_validators_killed_at_once_again_and_again_lose_nothing_that_was_acknowledged() {
    let demo = Demo::start(&["--households", "4"]);
    demo.wait_until("trading goes on", async |demo| (demo.height().await > 5).then_some(())).await;
    let names = ["validator-1", "validator-2", "validator-3", "validator-4"];
    let mut acknowledged = BTreeMap::new();
    // Instants within a block's way from its proposal to the disk; the same ones every time.
    for wait_ms in [0, 130, 410] {
        let told = u64::try_from(acknowledged.len()).expect("a height");
        for height in told + 1..=demo.height().await {
            let block = demo.page(&format!("/api/v1/blocks/{height}")).await.expect("a block");
            acknowledged.insert(height, essence(&block));
        }
        super::trading::pause(wait_ms).await;
        let before = demo.height().await;
        let pids = names.map(|name| demo.pid(name).expect("it runs"));
        for pid in pids {
            send(pid, Signal::KILL);
        }
        demo.wait_until("trading goes on again", async |demo| {
            (demo.height().await > before + 3).then_some(())
        })
        .await;
    }
    assert!(acknowledged.values().any(|(_, transactions)| !transactions.is_empty()));
    for (height, told) in acknowledged {
        let block = demo.page(&format!("/api/v1/blocks/{height}")).await.expect("a block");
        assert_eq!(essence(&block), told, "block {height}");
    }
    // The audit holds the hashes of all four stores against each other, height by height.
    let (status, report) = demo.end();
    assert!(status.success(), "{status}");
    all_laws_hold(&report);
    assert!(report["restarts"].as_u64() >= Some(12), "{report}");
}

/// A block's hash and those of its transactions.
fn essence(block: &Value) -> (String, Vec<String>) {
    let hash = |it: &Value| it["hash"].as_str().expect("a hash").to_owned();
    let transactions = block["transactions"].as_array().expect("transactions");
    (hash(block), transactions.iter().map(hash).collect())
}

#[tokio::test]
async fn two_of_four_down_halts_trading_says_so_and_goes_on_by_itself() {
    let demo = Demo::start(&["--households", "4"]);
    demo.wait_until("trading goes on", async |demo| (demo.height().await > 5).then_some(())).await;
    // Stopped processes are not dead, so nobody starts them again before we say so.
    for name in ["validator-1", "validator-4"] {
        demo.signal(name, Signal::STOP);
    }
    demo.wait_until("the dashboard says that trading has stopped", async |demo| {
        let status = demo.page("/api/v1/status").await?;
        (status["state"] == "halted").then_some(())
    })
    .await;
    let halted_at = demo.height().await;
    super::trading::pause(3_000).await;
    assert_eq!(demo.height().await, halted_at, "no block without a quorum");
    for name in ["validator-1", "validator-4"] {
        demo.signal(name, Signal::CONT);
    }
    demo.wait_until("trading goes on again", async |demo| {
        let status = demo.page("/api/v1/status").await?;
        (status["state"] == "live" && status["height"].as_u64()? > halted_at + 3).then_some(())
    })
    .await;
    let (status, report) = demo.end();
    assert!(status.success(), "{status}");
    all_laws_hold(&report);
}

#[tokio::test]
async fn a_process_that_somebody_has_to_mend_is_named_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let outbox = dir.path().join("data").join("house-01").join("data").join("outbox.sqlite");
    std::fs::create_dir_all(outbox.parent().expect("a folder")).expect("made");
    std::fs::write(&outbox, "no database at all".repeat(100)).expect("written");
    let mut demo = Demo::start_in(dir, &["--households", "4", "--periods", "1"]);
    let (status, report) = demo.await_end();
    assert!(status.success(), "{status}");
    all_laws_hold(&report);
    let lines = demo.lines();
    let told: Vec<&str> =
        lines.lines().filter(|line| line.contains("house-01 cannot run: ")).collect();
    assert_eq!(told.len(), 1, "{lines}");
    assert!(told[0].contains(&outbox.display().to_string()), "{}", told[0]);
    assert_eq!(report["restarts"], 0, "it was not tried again");
    assert_eq!(report["given_up"][0]["name"], "house-01");
}

#[tokio::test]
async fn a_demo_that_can_never_show_its_periods_ends_and_says_why() {
    let dir = tempfile::tempdir().expect("a directory");
    let model = dir.path().join("data").join("dashboard").join("data").join("read_model.sqlite");
    std::fs::create_dir_all(model.parent().expect("a folder")).expect("made");
    std::fs::write(&model, "no database at all".repeat(100)).expect("written");
    let output = program()
        .args(["demo", "--headless", "--households", "2", "--periods", "1", "--data-dir"])
        .arg(dir.path().join("data"))
        .args(["--port", &free_port().to_string()])
        .output()
        .expect("it ran");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("dashboard cannot run, so the wanted --periods"), "{told}");
    assert!(told.contains(&model.display().to_string()), "{told}");
}

/// The hashes of a block's transactions.
async fn transactions_of(demo: &Demo, height: u64) -> Option<Vec<String>> {
    let block = demo.page(&format!("/api/v1/blocks/{height}")).await?;
    let hash = |it: &serde_json::Value| it["hash"].as_str().map(str::to_owned);
    block["transactions"].as_array()?.iter().map(hash).collect()
}

/// The address a validator votes under.
fn address_of(demo: &Demo, name: &str) -> String {
    let path = demo.data_dir().join(name).join("validator.key");
    let seed = mesh::key_file::read(&path).expect("a key");
    let key = market::keys::SigningKey::from_seed(&seed).public();
    ledger::validators::Address::of(&key).to_string()
}

/// Where a validator serves its status page, from its configuration.
pub(crate) fn status_port(demo: &Demo, name: &str) -> Option<u16> {
    let text = std::fs::read_to_string(demo.data_dir().join(name).join("node.toml")).ok()?;
    let config: toml::Table = toml::from_str(&text).ok()?;
    config.get("http_listen")?.as_str()?.rsplit_once(':')?.1.parse().ok()
}
