//! A household over longer stretches, and finding things by their identifiers.

use ledger::acts::Signer;
use ledger::receipt::Receipt;
use ledger::results::ResultLeaf;
use market::hash::Digest;
use market::member::PartyId;
use market::order::OrderId;
use serde_json::json;
use web::HouseholdPages;

use crate::community::party;
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
        assert_eq!(stage.response(&format!("/api/v1/{path}")).await.status(), 401, "{path}");
    }
    stage.stop().await;
}

/// Households 1 and 2 look for the same things: each finds its own and none of the other's.
#[tokio::test]
async fn a_household_finds_and_proves_what_is_its_own_alone() {
    let stage = Stage::after_blocks(40, HouseholdPages::Closed).await;
    let cookies = [stage.household(1).await, stage.household(2).await];
    let ask = |path: String, who: usize| {
        let (stage, cookie) = (&stage, cookies[who].as_str());
        async move { stage.ask("GET", &format!("/api/v1{path}"), Some(cookie), None).await }
    };
    for (own, other) in [(0, 1), (1, 0)] {
        let own_party = party([1, 2][own]);
        let found = ask(format!("/search?id={own_party}"), own).await.json();
        assert_eq!(found, json!([{ "kind": "party", "party": own_party.to_string() }]));
        assert!(list(&ask(format!("/search?id={own_party}"), other).await.json()).is_empty());

        let (height, index, order) = answer_to(&stage, own_party);
        let result = json!({ "kind": "result", "height": height, "index": index });
        for id in [order.to_string(), format!("{height}/{index}")] {
            let found = ask(format!("/search?id={id}"), own).await.json();
            assert!(list(&found).contains(&result), "{id}: {found}");
            assert!(list(&ask(format!("/search?id={id}"), other).await.json()).is_empty(), "{id}");
        }

        let hash = said_by(&stage, own_party);
        let shown = ask(format!("/transactions/{hash}"), own).await.json();
        assert_eq!(shown["party"], own_party.to_string());
        let file = ask(format!("/transactions/{hash}/receipt"), own).await.text;
        let receipt = Receipt::from_json(&file).expect("a receipt");
        receipt.verify(&stage.community.genesis).expect("the receipt holds");
        let shown = ask(format!("/transactions/{hash}"), other).await.json();
        assert!(shown["receipt"].is_null() && shown["party"].is_null(), "{shown}");
        assert_eq!(ask(format!("/transactions/{hash}/receipt"), other).await.status, 404);
        assert_eq!(ask(format!("/households/{own_party}/history"), other).await.status, 404);
    }
    stage.stop().await;
}

/// Where the answer to a household's order stands, and the order's identifier.
fn answer_to(stage: &Stage, party: PartyId) -> (usize, usize, OrderId) {
    let blocks = stage.community.executed.iter().zip(1..);
    let mut leaves = blocks.flat_map(|(block, height)| {
        let leaves = block.results.leaves().into_iter().enumerate();
        leaves.map(move |(index, leaf)| (height, index, leaf))
    });
    let answer = leaves.find_map(|(height, index, leaf)| match leaf {
        ResultLeaf::Answer(answer) if answer.party == party => Some((height, index, answer.order)),
        _ => None,
    });
    answer.expect("an answer")
}

/// Something that a household has said.
pub(crate) fn said_by(stage: &Stage, party: PartyId) -> Digest {
    let mut carried = stage.community.blocks.iter().flat_map(|made| &made.block.transactions);
    let own = carried.find(|one| one.subject().0.signer() == Signer::Party(party));
    own.expect("a transaction").hash()
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
