//! One household's pages: every sum adds up, and every figure is the ledger's.

use std::collections::{BTreeMap, BTreeSet};

use ledger::posting::Account;
use ledger::receipt::Receipt;
use ledger::results::ResultLeaf;
use market::answer::Language;
use market::member::PartyId;
use market::order::{Origin, Side};
use market::reading::Quality;
use serde_json::Value;
use web::HouseholdPages;

use crate::community::party;
use crate::stage::{BLOCKS, Stage, list, micros, whole};

/// The local dates that the test's seven hours from midnight in Tokyo touch.
const DATE: &str = "2026-06-15";

fn members() -> impl Iterator<Item = PartyId> {
    (1..=6).map(party)
}

fn line_wh(lines: &Value, kind: &str) -> i64 {
    let line = list(lines).iter().find(|line| line["kind"] == kind);
    line.and_then(|line| line["energy_wh"].as_i64()).unwrap_or_default()
}

fn line_micros(lines: &Value, kind: &str) -> i64 {
    let line = list(lines).iter().find(|line| line["kind"] == kind);
    line.map(|line| micros(line, "amount")).unwrap_or_default()
}

#[tokio::test]
async fn a_day_adds_up_to_what_the_ledger_settled() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Open).await;
    let mut settled = BTreeMap::new();
    for executed in &stage.community.executed {
        for one in &executed.results.settlements {
            settled.insert((one.party, one.period), one.settlement);
        }
    }
    let rules = &stage.community.genesis.rules;
    let mut kinds = BTreeSet::new();
    let mut estimated_count = 0;
    for who in members() {
        let day = stage.get(&format!("/households/{who}?date={DATE}")).await;
        let own: Vec<_> = settled.iter().filter(|((party, _), _)| *party == who).collect();
        let (periods, totals) = (list(&day["periods"]), &day["totals"]);
        assert_eq!(periods.len(), own.len());
        for (shown, ((_, period), one)) in periods.iter().zip(&own) {
            assert_eq!(whole(shown, "period_start_ms"), period.start().as_millis());
            assert_eq!(whole(shown, "imported_wh"), one.metered.imported.wh());
            assert_eq!(whole(shown, "sold_wh"), one.sold.wh());
            assert_eq!(micros(shown, "net"), one.net_income().expect("in range").micros());
            let sum: i64 = list(&shown["lines"]).iter().map(|line| micros(line, "amount")).sum();
            assert_eq!(micros(shown, "net"), sum, "the lines of {period:?} come to its net");
            assert_eq!(line_wh(&shown["lines"], "sold"), one.sold.wh());
            assert_eq!(line_wh(&shown["lines"], "bought"), one.bought.wh());
            assert_eq!(line_wh(&shown["lines"], "pooled_long"), one.pooled_long.wh());
            assert_eq!(line_wh(&shown["lines"], "pooled_short"), one.pooled_short.wh());
            assert_eq!(line_wh(&shown["lines"], "fed_in"), one.fed_in.wh());
            assert_eq!(line_wh(&shown["lines"], "supplied"), one.supplied.wh());
            let wheeling = one.wheeling().expect("in range").micros();
            assert_eq!(line_micros(&shown["lines"], "wheeling"), -wheeling);
            assert_eq!(
                line_micros(&shown["lines"], "congestion_rent"),
                -one.congestion_rent.micros()
            );
            assert_eq!(line_micros(&shown["lines"], "levies"), -one.levies.micros());
            assert_eq!(line_micros(&shown["lines"], "tax"), -one.tax.micros());
            assert_eq!(shown["estimated"], one.metered.quality != Quality::Ok);
        }
        for key in ["imported_wh", "exported_wh", "bought_wh", "sold_wh"] {
            let sum: i64 = periods.iter().map(|period| whole(period, key)).sum();
            assert_eq!(sum, whole(totals, key), "{key}");
        }
        let net: i64 = periods.iter().map(|period| micros(period, "net")).sum();
        assert_eq!(net, micros(totals, "net"));
        for line in list(&totals["lines"]) {
            let kind = line["kind"].as_str().expect("a kind");
            let parts = periods.iter().map(|period| line_micros(&period["lines"], kind));
            assert_eq!(micros(line, "amount"), parts.sum::<i64>(), "{kind}");
            let parts = periods.iter().map(|period| line_wh(&period["lines"], kind));
            assert_eq!(line["energy_wh"].as_i64().unwrap_or_default(), parts.sum::<i64>());
            kinds.insert(kind.to_owned());
        }
        let parts: i64 = list(&totals["lines"]).iter().map(|line| micros(line, "amount")).sum();
        assert_eq!(net, parts);
        let alone = own
            .iter()
            .map(|((_, period), one)| one.net_income_without_market(&rules.rates(*period)));
        let alone: i64 = alone.map(|money| money.expect("in range").micros()).sum();
        assert_eq!(micros(totals, "net_grid_only"), alone);
        assert_eq!(micros(totals, "saved"), net - alone);
        let account = stage.community.state().accounts().balance(&Account::Party(who));
        assert_eq!(micros(&day, "balance"), account.net().expect("in range").micros());
        estimated_count += whole(&day, "estimated_count");
    }
    assert_eq!(kinds.len(), 10, "all kinds of lines occur: {kinds:?}");
    assert!(estimated_count > 0, "home 5 is silent now and then");
    stage.stop().await;
}

#[tokio::test]
async fn another_day_is_empty_and_today_is_the_day_of_the_market_clock() {
    let stage = Stage::after_blocks(30, HouseholdPages::Open).await;
    let who = party(4);
    let today = stage.get(&format!("/households/{who}")).await;
    assert_eq!(today["date"], DATE);
    assert!(!list(&today["periods"]).is_empty());
    let before = stage.get(&format!("/households/{who}?date=2026-06-14")).await;
    assert!(list(&before["periods"]).is_empty());
    assert_eq!(micros(&before["totals"], "saved"), 0);
    assert_eq!(before["balance"], today["balance"], "a balance is over all time");
    stage.stop().await;
}

#[tokio::test]
async fn each_trade_stands_on_both_sides_and_its_receipt_proves_it() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Open).await;
    let genesis_text = stage.text("/api/v1/genesis").await;
    let genesis = ledger::genesis::read(&genesis_text).expect("the genesis that was served");
    let mut shown: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for who in members() {
        let trades = stage.get(&format!("/households/{who}/trades?date={DATE}")).await;
        for trade in list(&trades) {
            shown.entry(trade["receipt"].to_string()).or_default().push(trade.clone());
        }
    }
    let cleared = stage.community.executed.iter().flat_map(|one| &one.results.clearings);
    let count: usize = cleared.map(|one| one.result.trades.len()).sum();
    assert_eq!(shown.len(), count, "every trade is shown");
    assert!(count > 20);
    let (mut states, mut lengths) = (BTreeMap::new(), BTreeSet::new());
    let (mut charges, mut rents) = (0, 0);
    for sides in shown.values() {
        let [one, other] = sides.as_slice() else { panic!("a trade has two sides: {sides:?}") };
        assert_ne!(one["side"], other["side"]);
        for key in ["energy_wh", "seller_price", "buyer_price", "charge", "rent", "path"] {
            assert_eq!(one[key], other[key], "{key}");
        }
        *states.entry(one["state"].to_string()).or_insert(0) += 1;
        let path = one["receipt"].as_str().expect("a path");
        let response = stage.response(path).await;
        let disposition = response.headers()["content-disposition"].to_str().expect("text");
        assert!(disposition.starts_with("attachment; filename=\"receipt-"), "{disposition}");
        let file = response.text().await.expect("text");
        let proven = Receipt::from_json(&file).expect("a receipt").verify(&genesis);
        let proven = proven.expect("the receipt holds");
        let Some(ResultLeaf::Trade(trade)) = proven.result() else { panic!("not a trade") };
        let seller = if one["side"] == "sell" { one } else { other };
        let buyer = if one["side"] == "buy" { one } else { other };
        assert_eq!(seller["counterparty"], trade.buyer.to_string());
        assert_eq!(buyer["counterparty"], trade.seller.to_string());
        assert_eq!(whole(seller, "energy_wh"), trade.energy.wh());
        assert_eq!(micros(seller, "amount"), trade.seller_amount.micros());
        assert_eq!(micros(buyer, "amount"), trade.buyer_amount.micros());
        assert_eq!(micros(buyer, "buyer_price"), trade.buyer_price.micros_per_kwh());
        assert_eq!(micros(buyer, "seller_price"), trade.seller_price.micros_per_kwh());
        let stays = micros(one, "charge") + micros(one, "rent");
        assert_eq!(micros(buyer, "amount") - micros(seller, "amount"), stays);
        let labels = ["village", "feeder 1", "feeder 2"];
        let mut way = vec![trade.path.from, trade.path.over, trade.path.to];
        way.dedup();
        let way: Vec<_> = way.iter().map(|zone| labels[usize::from(zone.0)]).collect();
        assert_eq!(one["path"], serde_json::json!(way));
        lengths.insert(way.len());
        charges += micros(one, "charge");
        rents += micros(one, "rent");
        assert_eq!(whole(buyer, "height"), i64::try_from(proven.header().height).expect("small"));
    }
    assert_eq!(lengths, BTreeSet::from([1, 3]), "inside a feeder, and over the village");
    assert!(charges > 0 && rents > 0, "{charges} and {rents}");
    for state in ["\"cleared\"", "\"settled\"", "\"final\""] {
        assert!(states.contains_key(state), "{state} in {states:?}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn every_order_is_answered_in_words() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Open).await;
    let mut reasons = BTreeMap::new();
    for who in members() {
        let orders = stage.get(&format!("/households/{who}/orders?date={DATE}")).await;
        let answers = stage.community.executed.iter().flat_map(|one| &one.results.clearings);
        let answers = answers.flat_map(|one| &one.result.answers);
        let mut own: Vec<_> = answers.filter(|answer| answer.party == who).collect();
        own.sort_by_key(|answer| (answer.period, answer.gate, answer.side));
        assert_eq!(list(&orders).len(), own.len());
        for (shown, answer) in list(&orders).iter().zip(own) {
            assert_eq!(whole(shown, "ordered_wh"), answer.ordered.wh());
            assert_eq!(whole(shown, "filled_wh"), answer.filled.wh());
            assert_eq!(shown["reason"], answer.reason.code());
            for (key, language) in [("en", Language::English), ("ja", Language::Japanese)] {
                let told = answer.sentence_naming(language, |zone| format!("feeder {}", zone.0));
                assert_eq!(shown["answer"][key], told);
            }
            *reasons.entry(answer.reason.code()).or_insert(0) += 1;
        }
    }
    assert!(reasons.len() >= 3, "the chain has many kinds of answers: {reasons:?}");
    stage.stop().await;
}

#[tokio::test]
async fn certificates_received_and_delivered_are_those_of_the_ledger() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Open).await;
    let issued = stage.community.executed.iter().flat_map(|one| &one.results.certificates);
    let issued: Vec<_> = issued.collect();
    let origins = [("solar", Origin::Solar), ("battery", Origin::Battery)];
    let mut total = 0;
    for who in members() {
        let day = stage.get(&format!("/households/{who}?date={DATE}")).await;
        for (key, side) in [("received", Side::Buy), ("delivered", Side::Sell)] {
            for (name, origin) in origins {
                let own = issued.iter().filter(|one| match side {
                    Side::Buy => one.consumer == who && one.origin == origin,
                    Side::Sell => one.producer == who && one.origin == origin,
                });
                let expected: i64 = own.map(|one| one.energy.wh()).sum();
                let shown = list(&day["certified"][key]);
                let shown = shown.iter().find(|one| one["origin"] == name);
                assert_eq!(shown.map_or(0, |one| whole(one, "energy_wh")), expected);
                total += expected;
            }
        }
        let received = list(&day["certified"]["received"]);
        let received: i64 = received.iter().map(|one| whole(one, "energy_wh")).sum();
        assert!(received <= whole(&day["totals"], "imported_wh"), "no more than was drawn");
    }
    assert!(total > 0, "something is certified");
    stage.stop().await;
}

#[tokio::test]
async fn the_list_names_all_members_and_who_has_a_battery() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Open).await;
    let households = stage.get("/households").await;
    assert_eq!(list(&households).len(), 6);
    for (index, household) in (1..).zip(list(&households)) {
        assert_eq!(household["party"], party(index).to_string());
        assert_eq!(household["has_battery_origin"], index == 3);
        assert_eq!(household["sells"], [1, 2, 3, 6].contains(&index));
        assert_eq!(household["zone_label"], format!("feeder {}", 1 + index % 2));
    }
    stage.stop().await;
}
