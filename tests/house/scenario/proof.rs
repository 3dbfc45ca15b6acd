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

fn verify(file: &Path, receipt: &[u8], genesis: &Path) -> (Option<i32>, String) {
    std::fs::write(file, receipt).expect("written");
    let mut command = program();
    command.args(["verify", "receipt"]).arg(file).arg("--genesis").arg(genesis);
    let output = command.output().expect("it ran");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}
