//! Requests that nobody should send: refused in words, under the same headers as everything else.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use web::HouseholdPages;

use crate::community::party;
use crate::stage::Stage;

#[tokio::test]
async fn every_error_is_a_problem_document_that_says_what_to_do() {
    let stage = Stage::after_blocks(4, HouseholdPages::Open).await;
    let (known, unknown) = (party(1), "00".repeat(16));
    let cases = [
        ("/api", 404),
        ("/api/v2/now", 404),
        ("/api/v1/../../etc/passwd", 404),
        ("/assets/missing.js", 404),
        ("/api/v1/blocks/5", 404),
        ("/api/v1/blocks/99999999999999999999", 400),
        ("/api/v1/blocks/18446744073709551615", 404),
        ("/api/v1/blocks/x", 400),
        ("/api/v1/blocks?count=0", 400),
        ("/api/v1/blocks?count=101", 400),
        ("/api/v1/blocks?size=1", 400),
        ("/api/v1/receipts/1/99", 404),
        ("/api/v1/receipts/1/18446744073709551615", 404),
        ("/api/v1/auctions/1", 404),
        ("/api/v1/auctions/now", 400),
        ("/api/v1/prices?from_ms=0&to_ms=9000000000000", 400),
        ("/api/v1/prices?from_ms=2&to_ms=1", 400),
        (&format!("/api/v1/households/{unknown}"), 404),
        ("/api/v1/households/%27%3B%20DROP%20TABLE%20blocks", 404),
        (&format!("/api/v1/households/{known}?date=yesterday"), 400),
        (&format!("/api/v1/households/{known}?date=2026-02-30"), 400),
        (&format!("/api/v1/households/{known}?date=-999999-01-01"), 400),
    ];
    for (path, status) in cases {
        // A raw request: clients tidy up paths before they send them.
        let address = stage.base.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{path}: {answer}");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{body}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let stage = Stage::after_blocks(4, HouseholdPages::Closed).await;
    for path in ["/", "/community/somewhere", "/api/v1/now", "/api/v1/households", "/healthz"] {
        let response = stage.response(path).await;
        let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        if path.starts_with("/api") {
            assert_eq!(header("cache-control"), "no-store");
        }
    }
    stage.stop().await;
}

#[tokio::test]
async fn the_page_is_found_under_every_path_and_not_sent_twice() {
    let stage = Stage::after_blocks(1, HouseholdPages::Closed).await;
    let home = stage.response("/").await;
    assert_eq!(home.status(), 200);
    assert_eq!(home.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(home.headers()["cache-control"], "no-cache");
    let tag = home.headers()["etag"].clone();
    let body = home.text().await.expect("text");
    assert_eq!(stage.text("/market/anything").await, body);
    let again = reqwest::Client::new().get(&stage.base).header("if-none-match", tag);
    let again = again.send().await.expect("an answer");
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()["vary"], "accept-encoding");
    assert!(again.text().await.expect("text").is_empty());
    stage.stop().await;
}

#[tokio::test]
async fn nothing_can_be_changed_and_long_bodies_are_not_read() {
    let stage = Stage::after_blocks(1, HouseholdPages::Open).await;
    let client = reqwest::Client::new();
    for path in ["/api/v1/now", "/api/v1/events", "/healthz", "/"] {
        let response = client.post(format!("{}{path}", stage.base)).send().await.expect("sent");
        assert_eq!(response.status(), 405, "{path}");
        assert_eq!(response.headers()["allow"], "GET, HEAD");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    let long = client.post(format!("{}/api/v1/now", stage.base)).body("x".repeat(5_000));
    let response = long.send().await.expect("an answer");
    assert_eq!(response.status(), 413);
    stage.stop().await;
}

#[tokio::test]
async fn an_endless_request_head_is_cut_off_and_others_are_served() {
    let stage = Stage::after_blocks(1, HouseholdPages::Closed).await;
    let address = stage.base.trim_start_matches("http://").to_owned();
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&address).await.expect("a connection");
        stream.write_all(b"GET /api/v1/now HTTP/1.1\r\nX-Slow: ").await.expect("sent");
        held.push(stream);
    }
    let asked = tokio::time::Instant::now();
    assert_eq!(stage.response("/api/v1/status").await.status(), 200);
    assert!(asked.elapsed() < Duration::from_secs(1));
    let mut stream = TcpStream::connect(&address).await.expect("a connection");
    let mut endless = b"GET / HTTP/1.1\r\n".to_vec();
    endless.extend(std::iter::repeat_n(b"X-Long: yes\r\n", 2_000).flatten());
    // The server may hang up in the middle of it.
    let _ = stream.write_all(&endless).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    stage.stop().await;
}
