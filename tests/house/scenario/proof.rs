//! A household checks its trade with nothing but the genesis.

use std::path::Path;

use crate::scenario::stage::{Demo, program};

#[tokio::test]
async fn a_trade_receipt_is_proved_offline_and_any_flipped_byte_is_noticed() {
    let demo = Demo::start(&["--households", "6"]);
    let receipt_path = demo
        .wait_until("somebody has traded", async |demo| {
            let households = demo.page("/api/v1/households").await?;
            for household in households.as_array()? {
                let party = household["party"].as_str()?;
                let trades = demo.page(&format!("/api/v1/households/{party}/trades")).await?;
                let first = trades.as_array().and_then(|trades| trades.first());
                if let Some(trade) = first {
                    return trade["receipt"].as_str().map(str::to_owned);
                }
            }
            None
        })
        .await;
    let response = reqwest::get(demo.url(&receipt_path)).await.expect("the receipt");
    let receipt = response.bytes().await.expect("its bytes").to_vec();
    let genesis = demo.data_dir().join("genesis.toml");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("receipt.json");

    let (code, said) = verify(&file, &receipt, &genesis);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("Proved: a trade of"), "{said}");

    // The unit tests flip every byte; here the program itself is asked, at places across the file.
    for at in (0..receipt.len()).step_by(receipt.len() / 40) {
        let mut forged = receipt.clone();
        forged[at] ^= 1;
        let (code, said) = verify(&file, &forged, &genesis);
        assert_eq!(code, Some(1), "byte {at}: {said}");
        assert!(said.starts_with("Not proved: step "), "byte {at}: {said}");
    }
}

#[tokio::test]
async fn a_household_writes_its_month_and_proves_it_offline() {
    let demo = Demo::start(&["--households", "2"]);
    demo.wait_until("something is settled", async |demo| {
        let now = demo.page("/api/v1/now").await?;
        now["period_start_ms"].as_i64()
    })
    .await;
    let genesis = demo.data_dir().join("genesis.toml").canonicalize().expect("the genesis");
    let month = month_of_the_beginning(&genesis);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("statement.json");
    let mut write = program();
    write.args(["agent", "statement", "--config"]);
    write.arg(demo.data_dir().join("house-01/agent.toml"));
    write.args(["--month", &month, "--out"]).arg(&file);

    let written = write.output().expect("it ran");
    let said = String::from_utf8_lossy(&written.stdout).into_owned();
    assert!(written.status.success(), "{said}{}", String::from_utf8_lossy(&written.stderr));
    assert!(said.contains(&format!("--genesis {}", genesis.display())), "{said}");
    let mut check = program();
    check.args(["verify", "statement"]).arg(&file).arg("--genesis").arg(&genesis);
    let checked = check.output().expect("it ran");
    let proved = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && proved.starts_with("Proved: "), "{proved}");
    assert!(proved.contains("drawn"), "no delivery period is in it: {proved}");

    let again = write.output().expect("it ran");
    let complaint = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("is there already"), "{complaint}");
}

/// The month in which the community of this genesis begins, as its own clocks show it.
fn month_of_the_beginning(genesis: &Path) -> String {
    let text = std::fs::read_to_string(genesis).expect("the genesis");
    let genesis: serde_json::Value = toml::from_str(&text).expect("a genesis file");
    let begins = genesis["starts_at_ms"].as_i64().expect("when it begins");
    let zone = genesis["time_zone"].as_str().unwrap_or("UTC");
    let begins = jiff::Timestamp::from_millisecond(begins).expect("an instant");
    begins.in_tz(zone).expect("a time zone").strftime("%Y-%m").to_string()
}

fn verify(file: &Path, receipt: &[u8], genesis: &Path) -> (Option<i32>, String) {
    std::fs::write(file, receipt).expect("written");
    let mut command = program();
    command.args(["verify", "receipt"]).arg(file).arg("--genesis").arg(genesis);
    let output = command.output().expect("it ran");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}
