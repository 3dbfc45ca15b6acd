//! Blocks and receipts: what was certified, in full.

use ledger::receipt::Receipt;
use web::HouseholdPages;

use crate::stage::{BLOCKS, Stage, list, whole};

#[tokio::test]
async fn blocks_are_listed_newest_first_and_page_by_page() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Closed).await;
    let mut before = String::new();
    let mut heights = Vec::new();
    loop {
        let page = stage.get(&format!("/blocks?count=37{before}")).await;
        let Some(last) = list(&page).last() else { break };
        for shown in list(&page) {
            let height = usize::try_from(whole(shown, "height")).expect("a height");
            let made = &stage.community.blocks[height - 1];
            assert_eq!(shown["hash"], made.block.hash().to_string());
            assert_eq!(whole(shown, "time_ms"), made.block.header.time.as_millis());
            assert_eq!(shown["transactions_count"], made.block.transactions.len());
            assert_eq!(
                (&shown["signatures_count"], &shown["validators_count"]),
                (&3.into(), &4.into())
            );
            heights.push(height);
        }
        before = format!("&before={}", whole(last, "height"));
    }
    assert_eq!(heights, (1..=BLOCKS).rev().collect::<Vec<_>>());
    stage.stop().await;
}

#[tokio::test]
async fn a_block_shows_all_it_carries_and_every_receipt_holds() {
    let stage = Stage::after_blocks(25, HouseholdPages::Open).await;
    let mut kinds = std::collections::BTreeSet::new();
    for (made, executed) in stage.community.blocks.iter().zip(&stage.community.executed) {
        let height = made.block.header.height;
        let shown = stage.get(&format!("/blocks/{height}")).await;
        let header = &made.block.header;
        assert_eq!(shown["previous"], header.previous.to_string());
        assert_eq!(shown["state_root"], header.state_root.to_string());
        assert_eq!(shown["results_root"], header.results_root.to_string());
        assert_eq!(shown["transactions_root"], header.transactions_root.to_string());
        assert_eq!((whole(&shown, "quorum_power"), whole(&shown, "total_power")), (3, 4));
        assert_eq!(list(&shown["signatures"]).len(), 3);
        let transactions = list(&shown["transactions"]);
        assert_eq!(transactions.len(), made.block.transactions.len());
        for (one, transaction) in transactions.iter().zip(&made.block.transactions) {
            assert_eq!(one["hash"], transaction.hash().to_string());
            assert!(one["party"].is_string());
        }
        let leaves = executed.results.leaves();
        assert_eq!(list(&shown["results"]).len(), leaves.len());
        for (result, leaf) in list(&shown["results"]).iter().zip(leaves) {
            for language in ["en", "ja"] {
                assert!(!result["summary"][language].as_str().unwrap_or_default().is_empty());
            }
            kinds.insert(result["kind"].to_string());
            let file = stage.text(result["receipt"].as_str().expect("a path")).await;
            let receipt = Receipt::from_json(&file).expect("a receipt");
            let proven = receipt.verify(&stage.community.genesis).expect("the receipt holds");
            assert_eq!((proven.result(), proven.header()), (Some(&leaf), header));
        }
    }
    assert_eq!(kinds.len(), 7, "all kinds of results occur: {kinds:?}");
    stage.stop().await;
}
