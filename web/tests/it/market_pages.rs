//! Community, status, now, prices and auctions: what the ledger says, to the watt-hour.

use std::collections::{BTreeMap, BTreeSet};

use ledger::results::Cleared;
use market::price::Price;
use serde_json::Value;
use web::HouseholdPages;

use crate::community::{Community, START_MS};
use crate::stage::{BLOCKS, Stage, list, micros, whole};

fn cleared(community: &Community) -> impl Iterator<Item = &Cleared> {
    community.executed.iter().flat_map(|executed| &executed.results.clearings)
}

fn text_of(price: Option<Price>) -> Value {
    price.map_or(Value::Null, |price| price.to_string().into())
}

#[tokio::test]
async fn before_the_first_block_everything_is_empty_and_nothing_fails() {
    let stage = Stage::of(Community::founded("New Village"), HouseholdPages::Open).await;
    let now = stage.get("/now").await;
    for key in ["period_start_ms", "price", "imported_wh", "saved_today", "self_sufficiency"] {
        assert!(now.get(key).is_some_and(Value::is_null), "{key} of {now}");
    }
    assert!(list(&now["flows"]).is_empty() && list(&now["homes"]).is_empty());
    assert_eq!(stage.get("/status").await["state"], "waiting");
    assert!(list(&stage.get("/prices").await["periods"]).is_empty());
    assert!(list(&stage.get("/blocks").await).is_empty());
    assert_eq!(stage.response("/api/v1/auctions/latest").await.status(), 404);
    assert_eq!(stage.response("/healthz").await.status(), 200);
    stage.stop().await;
}

#[tokio::test]
async fn the_community_is_what_genesis_says() {
    let stage = Stage::after_blocks(1, HouseholdPages::Closed).await;
    let community = stage.get("/community").await;
    assert_eq!(community["name"], "Sunny Village");
    assert_eq!(community["chain_id"], stage.community.genesis.chain_id().to_string());
    assert_eq!(community["household_pages"], "closed");
    assert_eq!(community["gate_lead_minutes"], serde_json::json!([30, 15]));
    assert_eq!(list(&community["validators"]).len(), 4);
    assert_eq!(whole(&community, "members_count"), 6);
    assert_eq!((micros(&community, "retail"), micros(&community, "feed_in")), (320_000, 80_000));
    let zones = list(&community["zones"]);
    assert_eq!((&zones[0]["parent"], &zones[2]["parent"]), (&Value::Null, &0.into()));
    stage.stop().await;
}

#[tokio::test]
async fn the_status_says_live_with_height_and_next_gate() {
    let stage = Stage::after_blocks(7, HouseholdPages::Closed).await;
    let status = stage.get("/status").await;
    assert_eq!((status["state"].as_str(), whole(&status, "height")), (Some("live"), 7));
    let now = stage.community.time().as_millis();
    assert_eq!((whole(&status, "block_time_ms"), whole(&status, "market_time_ms")), (now, now));
    // 15:30:01: the gates at 15:45 are next, and the earlier period's is named by its closing.
    assert_eq!(whole(&status["next_gate"], "closes_at_ms"), START_MS + 45 * 60_000);
    assert!(!status["detail"]["ja"].as_str().unwrap_or_default().is_empty());
    let metrics = stage.text("/metrics").await;
    assert!(metrics.contains("hidamari_dashboard_height 7\n"), "{metrics}");
    assert!(metrics.contains("hidamari_dashboard_requests_total{status=\"200\"}"), "{metrics}");
    stage.stop().await;
}

#[tokio::test]
async fn the_flows_now_balance_and_are_the_last_settled_period() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Open).await;
    let now = stage.get("/now").await;
    let settlements = stage.community.executed.iter().flat_map(|one| &one.results.settlements);
    let mut last = BTreeMap::new();
    for settled in settlements {
        last.insert((settled.period, settled.party), settled.settlement);
    }
    let period = last.keys().map(|(period, _)| *period).max().expect("a settled period");
    assert_eq!(whole(&now, "period_start_ms"), period.start().as_millis());
    assert_eq!(whole(&now, "period_end_ms"), period.end().as_millis());
    let of_period = || last.iter().filter(|((of, _), _)| *of == period).map(|(_, one)| one);
    let imported: i64 = of_period().map(|one| one.metered.imported.wh()).sum();
    let exported: i64 = of_period().map(|one| one.metered.exported.wh()).sum();
    assert_eq!((whole(&now, "imported_wh"), whole(&now, "exported_wh")), (imported, exported));
    let sum = |fits: &dyn Fn(&Value) -> bool| -> i64 {
        let flows = list(&now["flows"]).iter();
        flows.filter(|flow| fits(flow)).map(|flow| whole(flow, "energy_wh")).sum()
    };
    assert_eq!(sum(&|flow| flow["to"] == "homes"), imported);
    assert_eq!(sum(&|flow| flow["from"] != "grid"), exported);
    let neighbours = sum(&|flow| flow["to"] == "homes" && flow["from"] != "grid");
    assert_eq!(neighbours, whole(&now, "neighbours_wh"));
    assert!(neighbours > 0, "neighbours trade in this test");
    assert!(sum(&|flow| flow["from"] == "solar") > 0);
    assert_eq!(list(&now["homes"]).len(), 6);

    let saved: i64 = last
        .iter()
        .filter(|((of, _), _)| of.start().as_millis() >= START_MS)
        .map(|(_, one)| {
            let alone = one.net_income_without_market(&stage.community.genesis.rules.tariffs);
            let saved = one.net_income().and_then(|net| net.minus(alone?));
            saved.expect("in range").micros()
        })
        .sum();
    assert_eq!(micros(&now, "saved_today"), saved);
    let settled: Vec<_> = last.keys().map(|(period, _)| *period).collect();
    let traded_for: BTreeSet<_> = cleared(&stage.community).map(|one| one.result.period).collect();
    let both = settled.iter().copied().collect::<BTreeSet<_>>().intersection(&traded_for).count();
    assert_eq!(now["settled_periods_count"], both);
    let traded = cleared(&stage.community).flat_map(|one| &one.result.trades);
    let traded: Vec<_> = traded.filter(|trade| settled.contains(&trade.period)).collect();
    let energy: i64 = traded.iter().map(|trade| trade.energy.wh()).sum();
    assert_eq!(whole(&now, "energy_today_wh"), energy);
    assert_eq!(now["trades_today_count"], traded.len());
    stage.stop().await;
}

#[tokio::test]
async fn prices_are_those_of_the_clearings() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Closed).await;
    let mut expected: BTreeMap<i64, (Option<Price>, i64, i64)> = BTreeMap::new();
    for Cleared { result, .. } in cleared(&stage.community) {
        let entry = expected.entry(result.period.start().as_millis()).or_default();
        entry.0 = result.price.or(entry.0);
        entry.1 += result.volume.wh();
        entry.2 += result.welfare.micros();
    }
    let prices = stage.get("/prices").await;
    assert_eq!(list(&prices["periods"]).len(), expected.len());
    for (shown, (start_ms, (price, volume_wh, welfare))) in
        list(&prices["periods"]).iter().zip(&expected)
    {
        assert_eq!(whole(shown, "period_start_ms"), *start_ms);
        assert_eq!(shown["price"], text_of(*price));
        assert_eq!((whole(shown, "volume_wh"), micros(shown, "welfare")), (*volume_wh, *welfare));
    }
    let from = START_MS + 2 * 3_600_000;
    let some = stage.get(&format!("/prices?from_ms={from}&to_ms={}", from + 900_000)).await;
    assert_eq!(list(&some["periods"]).len(), 1, "the start is inside, the end is not");
    stage.stop().await;
}

#[tokio::test]
async fn auctions_show_the_book_that_was_cleared() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Closed).await;
    let mut last: BTreeMap<i64, &Cleared> = BTreeMap::new();
    for one in cleared(&stage.community) {
        last.insert(one.result.period.start().as_millis(), one);
    }
    let steps = |shown: &Value| -> Vec<(i64, i64)> {
        list(shown).iter().map(|step| (micros(step, "limit"), whole(step, "energy_wh"))).collect()
    };
    let plain = |levels: Vec<(Price, market::energy::Energy)>| -> Vec<(i64, i64)> {
        levels.iter().map(|(limit, energy)| (limit.micros_per_kwh(), energy.wh())).collect()
    };
    for (start_ms, Cleared { book, result }) in &last {
        let auction = stage.get(&format!("/auctions/{start_ms}")).await;
        assert_eq!(auction["price"], text_of(result.price));
        assert_eq!(whole(&auction, "volume_wh"), result.volume.wh());
        assert_eq!(steps(&auction["demand"]), plain(book.demand().expect("in range")));
        assert_eq!(steps(&auction["supply"]), plain(book.supply().expect("in range")));
        assert_eq!(auction["bids_count"], book.bids().len());
        assert_eq!(auction["offers_count"], book.offers().len());
        assert_eq!(whole(&auction, "gate"), i64::from(result.gate.0));
        let gates = &stage.community.genesis.rules.gates;
        let closed_at = gates.closes_at(result.period, result.gate).expect("a gate");
        assert_eq!(whole(&auction, "closed_at_ms"), closed_at.as_millis());
    }
    let latest = stage.get("/auctions/latest").await;
    let newest = stage.community.executed.iter().rev();
    let newest = newest.flat_map(|executed| executed.results.clearings.last()).next();
    let newest = newest.expect("a clearing").result.period.start().as_millis();
    assert_eq!(whole(&latest, "period_start_ms"), newest);
    stage.stop().await;
}
