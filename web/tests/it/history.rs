//! A household over longer stretches, and finding things by their identifiers.

use ledger::receipt::Receipt;
use web::HouseholdPages;

use crate::stage::{BLOCKS, Stage, list, micros, whole};

#[tokio::test]
async fn stretches_come_to_what_their_days_come_to() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Open).await;
    let entries = stage.get("/households").await;
    let mut seen = 0;
    for entry in list(&entries) {
        let party = entry["party"].as_str().expect("a party");
        let path = format!("/households/{party}");
        let year = stage.get(&format!("{path}/history?span=year")).await;
        assert_eq!(list(&year["now"]["bars"]).len(), 12);
        // Every day of the chain, added up from the days' own pages: an oracle of its own.
        let month = stage.get(&format!("{path}/history?span=month")).await;
        let (first, last) = (&month["now"]["first_date"], &month["now"]["last_date"]);
        let month_name = &first.as_str().expect("a date")[..8];
        let days: u32 = last.as_str().expect("a date")[8..].parse().expect("a day");
        let (mut net, mut imported, mut exported) = (0, 0, 0);
        for day in 1..=days {
            let shown = stage.get(&format!("{path}?date={month_name}{day:02}")).await;
            let totals = &shown["totals"];
            let number = usize::try_from(day).expect("a day") - 1;
            let bar = &list(&month["now"]["bars"])[number];
            for name in ["imported_wh", "exported_wh"] {
                assert_eq!(whole(bar, name), whole(totals, name), "{party} on {day}: {name}");
            }
            for name in ["net", "net_grid_only", "saved"] {
                assert_eq!(micros(bar, name), micros(totals, name), "{party} on {day}: {name}");
            }
            assert_eq!(micros(bar, "earned") - micros(bar, "spent"), micros(bar, "net"));
            assert_eq!(whole(bar, "periods_count"), whole_of(list(&shown["periods"]).len()));
            assert_eq!(whole(bar, "estimated_count"), whole(&shown, "estimated_count"));
            net += micros(totals, "net");
            imported += whole(totals, "imported_wh");
            exported += whole(totals, "exported_wh");
            seen += list(&shown["periods"]).len();
        }
        let totals = &month["now"]["totals"];
        assert_eq!(
            (micros(totals, "net"), whole(totals, "imported_wh"), whole(totals, "exported_wh")),
            (net, imported, exported)
        );
        assert!(whole(totals, "from_neighbours_wh") <= imported);
        assert!(whole(totals, "to_neighbours_wh") <= exported);
        let before = &month["before"];
        assert!(before["last_date"].as_str() < first.as_str());
    }
    assert!(seen > 0, "something was settled");
    stage.stop().await;
}

fn whole_of(count: usize) -> i64 {
    i64::try_from(count).expect("a count")
}

#[tokio::test]
async fn a_stretch_must_be_one_that_there_is() {
    let stage = Stage::after_blocks(3, HouseholdPages::Open).await;
    let entries = stage.get("/households").await;
    let party = list(&entries)[0]["party"].as_str().expect("a party");
    for query in ["span=decade", "span=day&span=week", "date=2026-02-30", "from=1"] {
        let path = format!("/api/v1/households/{party}/history?{query}");
        assert_eq!(stage.response(&path).await.status(), 400, "{query}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn everything_is_found_by_its_identifier_and_every_transaction_proved() {
    let stage = Stage::after_blocks(40, HouseholdPages::Open).await;
    let mut transactions = 0;
    for made in &stage.community.blocks {
        let (height, hash) = (made.block.header.height, made.block.hash().to_string());
        let found = stage.get(&format!("/search?id={hash}")).await;
        assert_eq!(found, serde_json::json!([{ "kind": "block", "height": height }]));
        for transaction in &made.block.transactions {
            let hash = transaction.hash().to_string();
            let found = stage.get(&format!("/search?id={}", &hash[..20])).await;
            assert_eq!(list(&found)[0]["hash"], hash);
            let shown = stage.get(&format!("/transactions/{hash}")).await;
            assert_eq!(whole(&shown, "height").unsigned_abs(), height);
            let file = stage.text(shown["receipt"].as_str().expect("a path")).await;
            let receipt = Receipt::from_json(&file).expect("a receipt");
            receipt.verify(&stage.community.genesis).expect("the receipt holds");
            transactions += 1;
        }
    }
    assert!(transactions > 0);
    let found = stage.get("/search?id=7").await;
    assert_eq!(found, serde_json::json!([{ "kind": "block", "height": 7 }]));
    let entries = stage.get("/households").await;
    let party = list(&entries)[0]["party"].as_str().expect("a party");
    let found = stage.get(&format!("/search?id={}", &party[..6])).await;
    assert!(list(&found).iter().any(|hit| hit["party"] == party));
    assert!(list(&stage.get("/search?id=999999").await).is_empty());
    for id in ["", "xyz", "abc", "1/x"] {
        assert_eq!(stage.response(&format!("/api/v1/search?id={id}")).await.status(), 400, "{id}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn closed_pages_neither_find_nor_prove_households() {
    let stage = Stage::after_blocks(40, HouseholdPages::Closed).await;
    let (party, _) = stage.community.genesis.members.iter().next().expect("a member");
    assert!(list(&stage.get(&format!("/search?id={party}")).await).is_empty());
    let carried = stage.community.blocks.iter().flat_map(|made| &made.block.transactions);
    let hash = carried.map(|transaction| transaction.hash()).next().expect("a transaction");
    let shown = stage.get(&format!("/transactions/{hash}")).await;
    assert!(shown["receipt"].is_null() && shown["party"].is_null());
    for path in [format!("transactions/{hash}/receipt"), format!("households/{party}/history")] {
        assert_eq!(stage.response(&format!("/api/v1/{path}")).await.status(), 403, "{path}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn the_anchor_is_the_genesis() {
    let stage = Stage::after_blocks(3, HouseholdPages::Closed).await;
    let anchor = stage.get("/validators").await;
    let genesis = &stage.community.genesis;
    assert_eq!(anchor["chain_id"], genesis.chain_id().to_string());
    let named = list(&anchor["validators"]).iter().zip(genesis.validators.iter());
    for (shown, validator) in named {
        assert_eq!(shown["key"], validator.key.to_string());
        assert_eq!(whole(shown, "power").unsigned_abs(), validator.power);
    }
    assert_eq!(list(&anchor["validators"]).len(), genesis.validators.count());
    stage.stop().await;
}
