//! With household pages closed no route names a party to the public. The routes come from the router's own
//! description, so a new route without a row here fails.

use std::collections::BTreeSet;

use serde_json::Value;
use web::HouseholdPages;

use crate::community::{Community, party};
use crate::stage::{BLOCKS, Stage};

/// What fills the path parameters of a route: every place where a party could stand.
fn requests(route: &str, community: &Community) -> Vec<String> {
    let heights = || 1..=community.blocks.len();
    let parties = || (1..=6).map(|index| party(index).to_string());
    match route {
        "/api/v1/session"
        | "/api/v1/sessions"
        | "/api/v1/operator/audit"
        | "/api/v1/operator/members"
        | "/api/v1/operator/validators"
        | "/api/v1/community"
        | "/api/v1/status"
        | "/api/v1/now"
        | "/api/v1/prices"
        | "/api/v1/tariff"
        | "/api/v1/auctions/latest"
        | "/api/v1/households"
        | "/api/v1/genesis"
        | "/api/v1/validators"
        | "/api/v1/events" => vec![route.to_owned()],
        "/api/v1/blocks" => vec![format!("{route}?count=100"), format!("{route}?before=50")],
        "/api/v1/auctions/{period_start_ms}" => {
            let cleared = community.executed.iter().flat_map(|one| &one.results.clearings);
            let starts = cleared.map(|one| one.result.period.start().as_millis());
            starts.map(|start| format!("/api/v1/auctions/{start}")).collect()
        }
        "/api/v1/blocks/{height}" => heights().map(|n| format!("/api/v1/blocks/{n}")).collect(),
        "/api/v1/receipts/{height}/{index}" => {
            let leaves = community.executed.iter().map(|one| one.results.leaves().len());
            heights()
                .zip(leaves)
                .flat_map(|(height, count)| (0..count).map(move |index| (height, index)))
                .map(|(height, index)| format!("/api/v1/receipts/{height}/{index}"))
                .collect()
        }
        "/api/v1/households/{party}"
        | "/api/v1/households/{party}/history"
        | "/api/v1/households/{party}/trades"
        | "/api/v1/households/{party}/orders" => {
            parties().map(|party| route.replace("{party}", &party)).collect()
        }
        "/api/v1/transactions/{hash}" | "/api/v1/transactions/{hash}/receipt" => {
            let carried = community.blocks.iter().flat_map(|made| &made.block.transactions);
            carried.map(|one| route.replace("{hash}", &one.hash().to_string())).collect()
        }
        "/api/v1/search" => {
            let starts = parties().map(|party| format!("{route}?id={}", &party[..6]));
            starts.chain(heights().map(|height| format!("{route}?id={height}"))).collect()
        }
        other => panic!("route {other} is new: say here how to ask it for what it may not tell"),
    }
}

/// The party's identifier as text and inside of borsh, which receipts carry as hexadecimal digits.
fn forbidden() -> BTreeSet<String> {
    (1..=6).map(|index| party(index).to_string()).collect()
}

async fn answers(stage: &Stage, request: &str) -> (u16, String) {
    let mut response = stage.response(request).await;
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
    if kind == "text/event-stream" {
        // A stream has no end: its first piece, and what a block adds to it, are enough.
        let first = response.chunk().await.expect("a piece").unwrap_or_default();
        return (status, String::from_utf8(first.to_vec()).expect("UTF-8"));
    }
    if status != 200 {
        assert_eq!(kind, "application/problem+json", "{request}");
    }
    (status, response.text().await.expect("text"))
}

async fn every_answer(stage: &Stage) -> Vec<(String, u16, String)> {
    let document: Value = serde_json::from_str(&web::openapi_json()).expect("JSON");
    let routes = document["paths"].as_object().expect("paths");
    assert!(routes.len() >= 15);
    let mut all = Vec::new();
    for (route, methods) in routes {
        if methods.get("get").is_none() {
            continue;
        }
        let requests = requests(route, &stage.community);
        assert!(!requests.is_empty(), "{route} is asked at least once");
        for request in requests {
            let (status, body) = answers(stage, &request).await;
            all.push((request, status, body));
        }
    }
    all
}

#[tokio::test]
async fn closed_household_pages_name_no_party_on_any_route() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Closed).await;
    let forbidden = forbidden();
    let mut refused = BTreeSet::new();
    for (request, status, body) in every_answer(&stage).await {
        // The error for a household may not repeat what was asked either.
        for party in &forbidden {
            assert!(!body.contains(party), "{request} names {party}");
            assert!(!body.contains(&party[..8]), "{request} names the start of {party}");
        }
        if status == 401 {
            refused.insert(request.split('/').take(4).collect::<Vec<_>>().join("/"));
        } else {
            assert_eq!(status, 200, "{request}");
        }
    }
    let expected = [
        "/api/v1/genesis",
        "/api/v1/households",
        "/api/v1/operator",
        "/api/v1/receipts",
        "/api/v1/sessions",
        "/api/v1/transactions",
    ];
    assert_eq!(refused, BTreeSet::from(expected.map(str::to_owned)));
    stage.stop().await;
}

/// The counterpart: the search above would find something if it were there.
#[tokio::test]
async fn open_household_pages_name_every_party_and_answer_every_request() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Open).await;
    let mut named = BTreeSet::new();
    for (request, status, body) in every_answer(&stage).await {
        let signed_in = ["/api/v1/sessions", "/api/v1/operator"];
        let expected = if signed_in.iter().any(|one| request.starts_with(one)) { 401 } else { 200 };
        assert_eq!(status, expected, "{request}");
        named.extend(forbidden().into_iter().filter(|party| body.contains(party)));
    }
    assert_eq!(named, forbidden());
    stage.stop().await;
}
