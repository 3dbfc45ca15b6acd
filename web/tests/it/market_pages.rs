//! Community, status, now, prices and auctions: what the ledger says, to the watt-hour.

use std::collections::{BTreeMap, BTreeSet};

use ledger::results::Cleared;
use market::price::Price;
use market::time::DeliveryPeriod;
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
    let zones = list(&community["zones"]);
    assert_eq!((&zones[0]["parent"], &zones[2]["parent"]), (&Value::Null, &0.into()));
    assert_eq!(
        (&zones[0]["charge_per_kwh"], micros(&zones[1], "charge_per_kwh")),
        (&Value::Null, 10_000)
    );
    assert_eq!(
        (&zones[1]["capacity_up_wh"], whole(&zones[2], "capacity_up_wh")),
        (&Value::Null, 300)
    );
    assert_eq!(community["gate_lag_minutes"], Value::Null);
    stage.stop().await;
}

#[tokio::test]
async fn the_status_says_live_with_height_and_next_gate() {
    let stage = Stage::after_blocks(7, HouseholdPages::Open).await;
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
        .map(|((of, _), one)| {
            let alone = one.net_income_without_market(&stage.community.genesis.rules.rates(*of));
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
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Open).await;
    let mut expected: BTreeMap<i64, (Option<Price>, i64, i64)> = BTreeMap::new();
    for Cleared { result, summary, .. } in cleared(&stage.community) {
        let entry = expected.entry(result.period.start().as_millis()).or_default();
        entry.0 = summary.price.or(entry.0);
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
        let period = market::time::Timestamp::from_millis(*start_ms);
        let rules = &stage.community.genesis.rules;
        let period = DeliveryPeriod::starting_at(period, rules.period_length).expect("a period");
        assert_eq!(micros(shown, "retail"), rules.rates(period).retail.micros_per_kwh());
        if price.is_some() {
            assert!(micros(shown, "seller_price") <= micros(shown, "price"));
        }
        assert_eq!((whole(shown, "volume_wh"), micros(shown, "welfare")), (*volume_wh, *welfare));
    }
    let from = START_MS + 2 * 3_600_000;
    let some = stage.get(&format!("/prices?from_ms={from}&to_ms={}", from + 900_000)).await;
    assert_eq!(list(&some["periods"]).len(), 1, "the start is inside, the end is not");
    stage.stop().await;
}

/// Prices, flows, charges and full lines are those of the ledger.
fn shows_zones(
    auction: &Value,
    result: &market::clearing::ClearingResult,
    room: &dyn Fn(u16) -> Option<i64>,
    seen: &mut BTreeSet<&'static str>,
) {
    let zones = list(&auction["zones"]);
    assert_eq!(zones.len(), result.zones.len());
    for (shown, zone) in zones.iter().zip(&result.zones) {
        assert_eq!(shown["price"], text_of(zone.price));
        assert_eq!(whole(shown, "bought_wh"), zone.bought.wh());
        assert_eq!(whole(shown, "sold_wh"), zone.sold.wh());
    }
    let edges = list(&auction["edges"]);
    assert_eq!(edges.len(), result.edges.len());
    for (shown, edge) in edges.iter().zip(&result.edges) {
        let flow_wh = whole(shown, "flow_wh");
        assert_eq!(flow_wh, edge.flow.wh());
        assert_eq!(shown["label"], format!("feeder {}", edge.zone.0));
        assert_eq!(shown["parent_label"], "village");
        assert_eq!(micros(shown, "charge_per_kwh"), 10_000);
        assert_eq!(micros(shown, "charge"), edge.charge.micros());
        assert_eq!(micros(shown, "rent"), edge.rent.micros());
        assert_eq!(shown["capacity_up_wh"].as_i64(), room(edge.zone.0));
        let full = shown["capacity_up_wh"].as_i64().is_some_and(|most| flow_wh >= most);
        assert_eq!(shown["full"], full, "{shown}");
        assert!(full || edge.rent.is_zero(), "rent without a full line: {shown}");
        seen.insert(if full { "full" } else { "free" });
        seen.extend((!edge.rent.is_zero()).then_some("rent"));
        seen.extend((flow_wh > 0).then_some("up"));
    }
}

#[tokio::test]
async fn the_tariff_is_that_of_the_running_period_and_of_the_day() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Open).await;
    let rules = &stage.community.genesis.rules;
    let tariff = stage.get("/tariff").await;
    let start = market::time::Timestamp::from_millis(whole(&tariff, "period_start_ms"));
    let period = DeliveryPeriod::starting_at(start, rules.period_length).expect("a period");
    let now = stage.community.time();
    assert!(period.start() <= now && now < period.end());
    let rates = rules.rates(period);
    assert_eq!(micros(&tariff, "retail"), rates.retail.micros_per_kwh());
    assert_eq!(micros(&tariff, "feed_in"), rates.feed_in.micros_per_kwh());
    assert_eq!(micros(&tariff, "all_in"), rates.all_in().micros_per_kwh());
    assert_eq!(micros(&tariff, "avoidable"), rates.avoidable().micros_per_kwh());
    assert_eq!(micros(&tariff, "tax"), 100_000);
    let levies = list(&tariff["levies"]);
    assert_eq!(
        (levies.len(), &levies[0]["on"], &levies[1]["on"]),
        (2, &"supplied".into(), &"imported".into())
    );
    let spans = list(&tariff["today"]);
    let hours = |from: i64, to: i64| (START_MS + from * 3_600_000, START_MS + to * 3_600_000);
    let ends: Vec<_> =
        spans.iter().map(|one| (whole(one, "from_ms"), whole(one, "to_ms"))).collect();
    assert_eq!(ends, [hours(0, 3), hours(3, 24)]);
    let retail: Vec<_> = spans.iter().map(|one| micros(one, "retail")).collect();
    assert_eq!(retail, [290_000, 320_000]);
    stage.stop().await;
}

#[tokio::test]
async fn auctions_show_the_book_that_was_cleared() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Open).await;
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
    let mut seen = BTreeSet::new();
    for (start_ms, Cleared { book, result, summary }) in &last {
        let auction = stage.get(&format!("/auctions/{start_ms}")).await;
        assert_eq!(auction["price"], text_of(summary.price));
        assert_eq!(whole(&auction, "volume_wh"), result.volume.wh());
        assert_eq!(steps(&auction["demand"]), plain(book.demand().expect("in range")));
        assert_eq!(steps(&auction["supply"]), plain(book.supply().expect("in range")));
        assert_eq!(auction["bids_count"], book.bids().len());
        assert_eq!(auction["offers_count"], book.offers().len());
        let rates = stage.community.genesis.rules.rates(result.period);
        assert_eq!(micros(&auction, "retail"), rates.retail.micros_per_kwh());
        assert_eq!(micros(&auction, "avoidable"), rates.avoidable().micros_per_kwh());
        // The gates of a period share the capacity of the line above feeder 2.
        let earlier = |zone: u16| -> i64 {
            let gates = cleared(&stage.community).map(|one| &one.result);
            let gates = gates.filter(|one| one.period == result.period && one.gate < result.gate);
            let edges = gates.flat_map(|one| &one.edges).filter(|edge| edge.zone.0 == zone);
            edges.map(|edge| edge.flow.wh()).sum()
        };
        let room = |zone: u16| (zone == 2).then(|| (300 - earlier(zone)).max(0));
        shows_zones(&auction, result, &room, &mut seen);
        assert_eq!(whole(&auction, "gate"), i64::from(result.gate.0));
        let gates = &stage.community.genesis.rules.gates;
        let closed_at = gates.closes_at(result.period, result.gate).expect("a gate");
        assert_eq!(whole(&auction, "closed_at_ms"), closed_at.as_millis());
    }
    assert_eq!(seen, BTreeSet::from(["free", "full", "rent", "up"]), "all of it occurs");
    let latest = stage.get("/auctions/latest").await;
    let newest = stage.community.executed.iter().rev();
    let newest = newest.flat_map(|executed| executed.results.clearings.last()).next();
    let newest = newest.expect("a clearing").result.period.start().as_millis();
    assert_eq!(whole(&latest, "period_start_ms"), newest);
    stage.stop().await;
}
