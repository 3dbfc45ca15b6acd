//! Requests that nobody should send: refused in words, under the same headers as everything else.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use web::HouseholdPages;

use crate::community::party;
use crate::stage::Stage;

/// A request as it is written here: clients tidy up paths and headers before they send them.
async fn raw(stage: &Stage, path: &str, headers: &str) -> (u16, String, Value) {
    let address = stage.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    let problem = serde_json::from_str(body).unwrap_or_default();
    (status.expect("a status"), head.to_owned(), problem)
}

/// A problem document with a sentence of its own.
fn detail(path: &str, status: u16, (found, head, problem): &(u16, String, Value)) -> String {
    assert_eq!(*found, status, "{path}: {problem}");
    assert!(head.contains("content-type: application/problem+json"), "{path}: {head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{path}: {head}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], "about:blank");
    let detail = problem["detail"].as_str().expect("a sentence").to_owned();
    assert!(detail.ends_with('.') && detail.len() > 10, "{path}: {detail}");
    for foreign in ["deserialize", "invalid digit", "Cannot parse", "unknown field", "u64", "i64"] {
        assert!(!detail.contains(foreign), "{path}: a library's words: {detail}");
    }
    detail
}

/// Route by route: which value cannot be used, which parameter the answer names, and what it
/// expects instead.
#[tokio::test]
async fn every_bad_value_is_told_with_its_name_and_what_is_expected() {
    let stage = Stage::after_blocks(4, HouseholdPages::Open).await;
    let known = party(1);
    let whole = "a whole number from 0 to 18446744073709551615";
    let instant = "an instant in whole milliseconds since 1970 (UTC)";
    let mut cases: Vec<(String, &str, &str, &str)> = Vec::new();
    let mut bad = |path: &str, values: &[&'static str], name: &'static str, expected| {
        for value in values {
            cases.push((format!("{path}{value}"), name, value, expected));
        }
    };
    let numbers = ["x", "-1", "1.5", "99999999999999999999", "0x10"];
    bad("/blocks?before=", &numbers, "before", whole);
    bad("/blocks?before=", &[""], "before", whole);
    let counts = ["x", "0", "101", "-1", ""];
    bad("/blocks?count=", &counts, "count", "a whole number from 1 to 100");
    bad("/blocks/", &numbers, "height", whole);
    bad("/receipts/1/", &numbers, "index", whole);
    let instants = ["x", "1.5", "9223372036854775808", "2026-06-15"];
    bad("/auctions/", &instants, "period_start_ms", instant);
    bad("/prices?from_ms=", &instants, "from_ms", instant);
    bad("/prices?to_ms=", &instants, "to_ms", instant);
    bad("/prices?from_ms=1&to_ms=", &instants, "to_ms", instant);
    let parties = ["x", "00", "zz112233445566778899aabbccddeeff", "%27%3B%20DROP%20TABLE%20blocks"];
    bad("/households/", &parties, "party", "an identifier of 32 hexadecimal digits");
    let dates = ["yesterday", "2026-02-30", "-999999-01-01", "2026-6-1", "2026-06-15T00:00", ""];
    for page in ["", "/history", "/trades", "/orders"] {
        let path = format!("/households/{known}{page}?date=");
        bad(&path, &dates, "date", "a day of the calendar written like 2026-06-15");
    }
    for value in numbers {
        let path = format!("/receipts/{value}/0");
        cases.push((path, "height", value, whole));
    }
    for (path, name, value, expected) in cases {
        let answer = raw(&stage, &format!("/api/v1{path}"), "Host: localhost\r\n").await;
        let detail = detail(&path, 400, &answer);
        assert!(detail.starts_with(&format!("{name} must be {expected}")), "{path}: {detail}");
        let sent = value.replace("%27", "'").replace("%3B", ";").replace("%20", " ");
        assert!(detail.contains(&format!("but it is {sent:?}")), "{path}: {detail}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn every_other_error_names_what_was_asked_for() {
    let stage = Stage::after_blocks(4, HouseholdPages::Open).await;
    let (known, unknown) = (party(1), "00".repeat(16));
    let long = "x".repeat(3_000);
    let cases = [
        ("/api", 404, "Nothing is served at \"/api\""),
        ("/api/v2/now", 404, "\"/api/v2/now\"; /api/openapi.json lists what is"),
        ("/api/v1/../../etc/passwd", 404, "/etc/passwd"),
        (&format!("/api/v1/{long}"), 404, "and so on"),
        ("/assets/missing.js", 404, "\"/assets/missing.js\""),
        ("/api/v1/blocks/5", 404, "height must be from 1 to 4"),
        ("/api/v1/blocks/0", 404, "but it is 0"),
        ("/api/v1/blocks/18446744073709551615", 404, "but it is 18446744073709551615"),
        ("/api/v1/blocks/%ff", 400, "percent-encoded UTF-8"),
        ("/api/v1/blocks?size=1", 400, "must be before or count, but it is \"size\""),
        ("/api/v1/blocks?count=1&count=2", 400, "count must be given once"),
        (&format!("/api/v1/blocks?before={long}"), 400, "and so on"),
        ("/api/v1/prices?date=2026-06-15", 400, "must be from_ms or to_ms, but it is \"date\""),
        ("/api/v1/receipts/1/99", 404, "the number of results of block 1, but it is 99"),
        ("/api/v1/receipts/1/18446744073709551615", 404, "index must be below"),
        ("/api/v1/receipts/9/0", 404, "height must be from 1 to 4"),
        ("/api/v1/auctions/1", 404, "period_start_ms must be the start of a delivery period"),
        ("/api/v1/prices?from_ms=0&to_ms=9000000000000", 400, "from_ms is 0 and to_ms is 9000000"),
        ("/api/v1/prices?from_ms=2&to_ms=1", 400, "from_ms is 2 and to_ms is 1"),
        (&format!("/api/v1/households/{unknown}"), 404, "/api/v1/households lists"),
        (&format!("/api/v1/households/{known}?day=1"), 400, "must be date, but it is \"day\""),
    ];
    for (path, status, expected) in cases {
        let answer = raw(&stage, path, "Host: localhost\r\n").await;
        let detail = detail(path, status, &answer);
        assert!(detail.contains(expected), "{path}: {detail}");
        assert!(detail.len() < 400, "{path}: {detail}");
    }
    stage.stop().await;
}

/// DNS rebinding: a page of another name makes the visitor's browser ask this machine.
#[tokio::test]
async fn a_request_under_another_name_is_misdirected() {
    let names = ["energy.example.org", "192.0.2.7"].map(|name| name.parse().expect("a name"));
    let stage = Stage::with_hosts(2, HouseholdPages::Open, names.to_vec()).await;
    let paths = [
        "/",
        "/community/somewhere",
        "/assets/missing.js",
        "/api/v1/status",
        "/api/v1/households",
        "/api/v1/events",
        "/api/openapi.json",
        "/healthz",
        "/metrics",
    ];
    let foreign = [
        ("Host: evil.example\r\n", "but it is \"evil.example\""),
        ("Host: evil.example:8080\r\n", "allowed_hosts"),
        ("Host: 192.0.2.8\r\n", "but it is \"192.0.2.8\""),
        ("Host: localhost@evil.example\r\n", "allowed_hosts"),
        ("Host: \r\n", "one Host header"),
        ("Host: localhost\r\nHost: evil.example\r\n", "one Host header"),
        ("", "one Host header"),
    ];
    for path in paths {
        for (headers, expected) in foreign {
            let detail = detail(path, 421, &raw(&stage, path, headers).await);
            assert!(detail.contains(expected), "{path}, {headers:?}: {detail}");
        }
    }
    let target = raw(&stage, "http://evil.example/api/v1/status", "Host: localhost\r\n").await;
    assert_eq!(target.0, 421, "the target counts as well");
    let address = stage.base.trim_start_matches("http://").to_owned();
    let own = ["localhost", "LOCALHOST:1", "[::1]:8080", "Energy.Example.org:443", "192.0.2.7"];
    for host in own.into_iter().chain([address.as_str()]) {
        let (status, ..) = raw(&stage, "/api/v1/status", &format!("Host: {host}\r\n")).await;
        assert_eq!(status, 200, "{host}");
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
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        match path {
            "/api/v1/now" => assert_eq!(header("cache-control"), "no-cache"),
            "/api/v1/households" => assert_eq!(header("cache-control"), "no-store"),
            _ => {}
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
async fn what_a_path_does_not_take_is_told_and_long_bodies_are_not_read() {
    let stage = Stage::after_blocks(1, HouseholdPages::Open).await;
    let client = reqwest::Client::new();
    for path in ["/api/v1/now", "/api/v1/events", "/healthz", "/"] {
        let response = client
            .post(format!("{}{path}", stage.base))
            .header("origin", &stage.base)
            .send()
            .await
            .expect("sent");
        assert_eq!(response.status(), 405, "{path}");
        let allow = response.headers()["allow"].to_str().expect("text").replace(' ', "");
        assert_eq!(allow, "GET,HEAD", "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = response.json().await.expect("JSON");
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.contains("\"POST\"") && detail.contains("Allow lists"), "{detail}");
    }
    let long = client.post(format!("{}/api/v1/session/link", stage.base)).body("x".repeat(5_000));
    let response = long.header("origin", &stage.base).send().await.expect("an answer");
    assert_eq!(response.status(), 413);
    let problem: Value = response.json().await.expect("JSON");
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(detail.contains("at most 4096") && detail.contains("\"5000\""), "{detail}");
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
