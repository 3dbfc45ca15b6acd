//! Signing in, and every way around it that was thought of.

use market::keys::SigningKey;
use serde_json::{Value, json};
use web::{Accounts, HouseholdPages};

use crate::community::{Community, member_key, party};
use crate::signed_in::PASSWORD;
use crate::stage::Stage;

const OWN: &str = "/api/v1/households";
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

async fn stage() -> Stage {
    Stage::after_blocks(4, HouseholdPages::Closed).await
}

#[tokio::test]
async fn a_link_lets_its_household_in_once() {
    let stage = stage().await;
    let link = stage.link_of(1);
    assert!(link.starts_with(&format!("{}/sign-in#", stage.base)), "{link}");
    let answer = stage.use_link(&link).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["party"], party(1).to_string());
    let set = answer.set_cookie.as_deref().expect("a cookie");
    assert!(set.starts_with("hidamari=") && set.contains("; HttpOnly; SameSite=Strict"), "{set}");
    assert!(set.contains("; Path=/;") && !set.contains("Domain"), "{set}");
    let cookie = answer.cookie.expect("a cookie");
    assert_eq!(stage.seen(&format!("{OWN}/{}", party(1)), &cookie).await, 200);
    let who = stage.ask("GET", "/api/v1/session", Some(&cookie), None).await.json();
    assert_eq!((&who["role"], &who["operator"]), (&"household".into(), &Value::Null));

    let again = stage.use_link(&link).await;
    assert_eq!((again.status, again.cookie), (403, None));
    assert!(again.text.contains("used already"), "{}", again.text);
    // Also for whoever only copies what stands behind the #, and after a day and a restart of
    // nothing but the clock.
    let claim = link.split('#').next_back().expect("a claim").to_owned();
    assert_eq!(stage.use_link(&claim).await.status, 403);
    // Many at once: one gets in.
    let link = stage.link_of(2);
    let all = (0..8).map(|_| stage.use_link(&link));
    let mut let_in = 0;
    for one in futures_of(all).await {
        let_in += usize::from(one == 200);
    }
    assert_eq!(let_in, 1);
    stage.stop().await;
}

/// Runs requests side by side and gives their statuses.
async fn futures_of(
    requests: impl Iterator<Item = impl Future<Output = crate::signed_in::Answer>>,
) -> Vec<u16> {
    let mut requests: Vec<_> = requests.map(Box::pin).collect();
    let mut statuses = vec![0; requests.len()];
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (request, status) in requests.iter_mut().zip(&mut statuses) {
            if *status == 0 {
                match request.as_mut().poll(context) {
                    std::task::Poll::Ready(answer) => *status = answer.status,
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    statuses
}

#[tokio::test]
async fn a_link_that_does_not_hold_lets_nobody_in() {
    let stage = stage().await;
    let other = "https://other.example".parse().expect("an origin");
    let late = stage.link_of(1);
    stage.real.pass(5 * MINUTE_MS);
    let early = stage.link_of(1);
    stage.real.pass(-6 * MINUTE_MS);
    let stranger = SigningKey::from_seed(&[77; 32]);
    let huge = "A".repeat(3_000);
    let cases = [
        (stage.link(party(1), &member_key(1), &other), "another dashboard"),
        (early, "longer than it may"),
        (stage.link(party(1), &member_key(2), &stage.origin()), "not signed by a member"),
        (stage.link(party(1), &stranger, &stage.origin()), "not signed by a member"),
        (stage.link(party(9), &stranger, &stage.origin()), "not signed by a member"),
        (String::new(), "no sign-in link"),
        ("日本語\u{0}\u{202e}".to_owned(), "no sign-in link"),
        (huge, "no sign-in link"),
    ];
    for (link, words) in cases {
        let answer = stage.use_link(&link).await;
        assert_eq!((answer.status, &answer.cookie), (403, &None), "{answer:?}");
        assert!(answer.text.contains(words), "{answer:?}");
    }
    stage.real.pass(6 * MINUTE_MS);
    let answer = stage.use_link(&late).await;
    assert!(answer.status == 403 && answer.text.contains("has expired"), "{answer:?}");
    // Bodies of any other shape.
    for body in [json!({}), json!({ "link": 1 }), json!([]), json!({ "link": "x", "more": 1 })] {
        let answer = stage.ask("POST", "/api/v1/session/link", None, Some(body)).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_household_that_left_is_out_at_once() {
    let mut community = Community::after_blocks(4);
    let mut stage = Stage::of(Community::after_blocks(4), HouseholdPages::Closed).await;
    let (gone, stays) = (stage.household(1).await, stage.household(2).await);
    let unused = stage.link_of(1);
    community.revoke(party(1));
    community.make_block();
    let block = community.blocks.last().expect("a block").clone();
    stage.dashboard.follow(block).await.expect("followed");
    assert_eq!(stage.seen(OWN, &gone).await, 401);
    assert_eq!(stage.use_link(&unused).await.status, 403);
    assert_eq!(stage.use_link(&stage.link_of(1)).await.status, 403);
    assert_eq!(stage.seen(OWN, &stays).await, 200);
    stage.stop().await;
}

#[tokio::test]
async fn a_stolen_cookie_is_worth_nothing_after_the_session_has_ended() {
    let stage = stage().await;
    let (here, there, other) =
        (stage.household(1).await, stage.household(1).await, stage.household(2).await);
    // One's own others, one by one, all, and this one.
    let listed = stage.ask("GET", "/api/v1/sessions", Some(&here), None).await;
    assert!(!listed.text.contains(here.trim_start_matches("hidamari=")), "{listed:?}");
    let sessions = listed.json();
    assert_eq!(sessions.as_array().map(Vec::len), Some(2));
    let elsewhere = sessions.as_array().expect("a list").iter().find(|one| one["current"] == false);
    let handle = elsewhere.expect("another")["handle"].as_str().expect("text").to_owned();
    let path = format!("/api/v1/sessions/{handle}");
    assert_eq!(stage.ask("DELETE", &path, Some(&other), None).await.status, 404);
    assert_eq!(stage.seen(OWN, &there).await, 200, "nobody else could end it");
    assert_eq!(stage.ask("DELETE", &path, Some(&here), None).await.status, 204);
    assert_eq!(stage.seen(OWN, &there).await, 401);
    let third = stage.household(1).await;
    assert_eq!(stage.ask("DELETE", "/api/v1/sessions", Some(&here), None).await.status, 204);
    assert_eq!((stage.seen(OWN, &third).await, stage.seen(OWN, &here).await), (401, 200));
    let out = stage.ask("DELETE", "/api/v1/session", Some(&here), None).await;
    assert!(out.status == 204 && out.set_cookie.expect("a cookie").contains("Max-Age=0"));
    assert_eq!(stage.seen(OWN, &here).await, 401);
    // Guessed and twisted ones.
    for cookie in ["hidamari=", "hidamari=AAAA", &format!("{other}x"), &format!("{other}; {other}")]
    {
        assert_eq!(stage.seen(OWN, cookie).await, 401, "{cookie}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_planted_session_is_not_taken_over() {
    let stage = stage().await;
    let operator = stage.add_operator("aiko").await;
    // An id that the attacker chose, and one that it owns.
    let chosen = format!("hidamari={}", "A".repeat(43));
    let owned = stage.household(2).await;
    for planted in [chosen, owned] {
        let body = Some(json!({ "link": stage.link_of(1) }));
        let answer = stage.ask("POST", "/api/v1/session/link", Some(&planted), body).await;
        let cookie = answer.cookie.expect("a new id");
        assert_ne!(cookie, planted);
        assert_eq!(stage.seen(OWN, &planted).await, 401, "the old one is over");
        assert_eq!(stage.seen(OWN, &cookie).await, 200);
    }
    // A confirmation is a new proof, and gives a new id as well.
    let before = stage.operator(&operator).await;
    let credentials = stage.credentials(&operator);
    let body = json!({ "password": PASSWORD, "code": credentials["code"] });
    let answer = stage.ask("POST", "/api/v1/session/confirm", Some(&before), Some(body)).await;
    let after = answer.cookie.expect("a new id");
    assert_eq!((stage.seen(OWN, &before).await, stage.seen(OWN, &after).await), (401, 200));
    stage.stop().await;
}

#[tokio::test]
async fn pages_of_others_change_nothing() {
    let stage = stage().await;
    let cookie = stage.household(1).await;
    let client = reqwest::Client::new();
    let own = stage.base.clone();
    let cases: [(&[(&str, &str)], u16); 7] = [
        (&[("origin", "http://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[], 403),
        (&[("referer", &own)], 403),
        (&[("origin", &own), ("sec-fetch-site", "cross-site")], 403),
        (&[("origin", &own), ("sec-fetch-site", "same-site")], 403),
        (&[("origin", &own), ("sec-fetch-site", "same-origin")], 204),
    ];
    for (headers, status) in cases {
        let mut request = client.delete(format!("{own}/api/v1/session"));
        request = request.header("cookie", &cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send().await.expect("sent").status(), status, "{headers:?}");
    }
    // What a form can send is not JSON.
    let body = json!({ "link": stage.link_of(1) }).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let request = client.post(format!("{own}/api/v1/session/link")).header("origin", &own);
        let response = request.header("content-type", kind).body(body.clone()).send().await;
        assert_eq!(response.expect("sent").status(), 415, "{kind}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn sessions_end_when_nobody_asks_and_in_any_case() {
    let stage = stage().await;
    let operator = stage.add_operator("aiko").await;
    let cookie = stage.operator(&operator).await;
    stage.real.pass(29 * MINUTE_MS);
    assert_eq!(stage.seen(OWN, &cookie).await, 200);
    stage.real.pass(29 * MINUTE_MS);
    assert_eq!(stage.seen(OWN, &cookie).await, 200, "it was in use");
    stage.real.pass(31 * MINUTE_MS);
    assert_eq!(stage.seen(OWN, &cookie).await, 401, "it was not");
    let cookie = stage.operator(&operator).await;
    for _ in 0..48 {
        assert_eq!(stage.seen(OWN, &cookie).await, 200);
        stage.real.pass(15 * MINUTE_MS);
    }
    assert_eq!(stage.seen(OWN, &cookie).await, 401, "twelve hours are over");
    let cookie = stage.household(1).await;
    stage.real.pass(7 * 24 * HOUR_MS - 1);
    assert_eq!(stage.seen(OWN, &cookie).await, 200);
    stage.real.pass(7 * 24 * HOUR_MS);
    assert_eq!(stage.seen(OWN, &cookie).await, 401);
    let cookie = stage.household(1).await;
    for _ in 0..5 {
        assert_eq!(stage.seen(OWN, &cookie).await, 200);
        stage.real.pass(6 * 24 * HOUR_MS);
    }
    assert_eq!(stage.seen(OWN, &cookie).await, 401, "thirty days are over");
    // Nobody collects sessions without end.
    let first = stage.household(1).await;
    for _ in 0..10 {
        stage.household(1).await;
    }
    assert_eq!(stage.seen(OWN, &first).await, 401);
    stage.stop().await;
}

#[tokio::test]
async fn an_operator_needs_name_password_and_a_fresh_code() {
    let stage = stage().await;
    let operator = stage.add_operator("aiko").await;
    let good = stage.credentials(&operator);
    let with = |key: &str, value: Value| {
        let mut sent = good.clone();
        sent[key] = value;
        sent
    };
    let huge = "愛".repeat(1_000);
    let wrong = [
        with("password", "a canary that sing".into()),
        with("code", "000000".into()),
        with("code", "".into()),
        with("name", "nobody".into()),
    ];
    let mut told = Vec::new();
    for sent in wrong {
        let answer = stage.give(&sent).await;
        assert_eq!((answer.status, &answer.cookie), (403, &None), "{answer:?}");
        told.push(answer.text);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "which of them was wrong is not told: {told:?}");
    let answer = stage.give(&good).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["operator"], "aiko");
    let again = stage.give(&good).await;
    assert_eq!(again.status, 403, "a code counts once");
    for name in [huge.as_str(), "Aiko", "ai\u{200b}ko", "' OR 1=1 --", "\u{0}", "../aiko"] {
        assert_eq!(stage.give(&with("name", name.into())).await.status, 403, "{name}");
    }
    let long = stage.give(&with("name", "x".repeat(100_000).into())).await;
    assert_eq!(long.status, 413);

    // A new password ends what the old one began; so does taking the operator away.
    let cookie = stage.operator(&operator).await;
    let operator = stage.add_operator("aiko").await;
    assert_eq!(stage.seen(OWN, &cookie).await, 401);
    let cookie = stage.operator(&operator).await;
    let accounts = Accounts::open(&stage.data_dir()).await.expect("opened");
    let name = "aiko".parse().expect("a name");
    assert!(accounts.remove_operator(&name).await.expect("removed"));
    assert!(!accounts.remove_operator(&name).await.expect("nobody"));
    accounts.close().await;
    assert_eq!(stage.seen(OWN, &cookie).await, 401);
    assert_eq!(stage.give(&stage.credentials(&operator)).await.status, 403);
    stage.stop().await;
}

#[tokio::test]
async fn whoever_guesses_waits_whether_the_name_exists_or_not() {
    let stage = stage().await;
    let operator = stage.add_operator("aiko").await;
    for name in ["aiko", "nobody"] {
        let mut failures = 0;
        let wait = loop {
            let sent = json!({ "name": name, "password": "wrong", "code": "123456" });
            let answer = stage.give(&sent).await;
            if answer.status == 429 {
                break answer.retry_after.expect("a wait");
            }
            assert_eq!((answer.status, &answer.retry_after), (403, &None));
            failures += 1;
            assert!(failures < 20, "{name}");
        };
        assert!(failures >= 6, "five are free, and the sixth is heard: {failures}");
        // The right secrets wait as well: they may be the guess that hits.
        let (asked, wait_s) = (tokio::time::Instant::now(), wait.parse::<u64>().expect("seconds"));
        let answer = stage.give(&stage.credentials(&operator)).await;
        let waited = asked.elapsed().as_secs() >= wait_s - 1;
        assert!(name == "nobody" || answer.status == 429 || waited, "{answer:?}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn no_secret_stands_in_the_database() {
    let stage = stage().await;
    let operator = stage.add_operator("aiko").await;
    let link = stage.link_of(1);
    let household = stage.use_link(&link).await.cookie.expect("a cookie");
    let operator = stage.operator(&operator).await;
    let secrets = [
        household.trim_start_matches("hidamari=").to_owned(),
        operator.trim_start_matches("hidamari=").to_owned(),
        link.split('#').next_back().expect("a claim").to_owned(),
        PASSWORD.to_owned(),
    ];
    let mut searched = 0;
    for entry in std::fs::read_dir(stage.data_dir()).expect("a directory") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("read");
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {secret}", path.display());
        }
        searched += bytes.len();
        if path.to_string_lossy().contains("sign_in") {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).expect("metadata").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
        }
    }
    assert!(searched > 10_000);
    stage.stop().await;
}
