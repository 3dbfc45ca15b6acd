//! Every route, for every role, on real chain data. The routes come from the table that the router
//! is built from, so that a new one without a row of expectations fails.

use serde_json::{Value, json};
use web::HouseholdPages;

use crate::community::{Community, member_key, party};
use crate::history::said_by;
use crate::signed_in::{OperatorAtHand, PASSWORD};
use crate::stage::{BLOCKS, Stage};

/// Who asks for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Public,
    /// Household 1 about itself.
    AOnA,
    /// Household 1 about [`OTHER`].
    AOnB,
    Operator,
    /// An operator about the first one; it has proved who it is a while ago.
    SecondOperator,
}

/// A household that trades with others than household 1, and so has rows of its own.
const OTHER: u8 = 3;

const WHO: [Who; 5] = [Who::Public, Who::AOnA, Who::AOnB, Who::Operator, Who::SecondOperator];

/// The statuses that the five get.
fn expected(method: &str, path: &str) -> [u16; 5] {
    let all = [200; 5];
    let members = [401, 200, 200, 200, 200];
    let operators = [401, 403, 403, 200, 200];
    let own_household = [401, 200, 404, 200, 200];
    match (method, path.strip_prefix("/api/v1").unwrap_or(path)) {
        ("GET", "/community" | "/status" | "/tariff" | "/validators" | "/session") => all,
        ("GET", "/now" | "/prices" | "/auctions/latest" | "/auctions/{period_start_ms}") => all,
        ("GET", "/blocks" | "/blocks/{height}" | "/events") => all,
        // Everybody finds what blocks list; the other household's row is not in what it is told.
        ("GET", "/transactions/{hash}" | "/search") => all,
        ("GET", "/households" | "/genesis" | "/sessions") => members,
        ("GET", "/receipts/{height}/{index}" | "/transactions/{hash}/receipt") => own_household,
        ("GET", "/households/{party}" | "/households/{party}/history") => own_household,
        ("GET", "/households/{party}/trades" | "/households/{party}/orders") => own_household,
        // About itself a link of its own key; about the other one of its own key for that party.
        ("POST", "/session/link") => [200, 200, 403, 200, 200],
        // The household knows an operator's secrets, and then only its name.
        ("POST", "/session/operator") => [200, 200, 403, 200, 403],
        ("POST", "/session/confirm") => [401, 403, 403, 200, 403],
        ("DELETE", "/session") => [401, 204, 204, 204, 204],
        ("DELETE", "/sessions") => [401, 204, 204, 204, 204],
        ("DELETE", "/sessions/{handle}") => [401, 204, 404, 204, 404],
        ("GET", "/operator/audit" | "/operator/members" | "/operator/validators") => operators,
        ("POST", "/operator/members/{party}/sign-out") => [401, 403, 403, 200, 403],
        _ => panic!("{method} {path} is new: say here who may call it"),
    }
}

struct Cast {
    stage: Stage,
    first: OperatorAtHand,
    second: OperatorAtHand,
}

impl Cast {
    async fn cookie(&self, who: Who) -> Option<String> {
        match who {
            Who::Public => None,
            Who::AOnA | Who::AOnB => Some(self.stage.household(1).await),
            Who::Operator => Some(self.stage.operator(&self.first).await),
            Who::SecondOperator => {
                let cookie = self.stage.operator(&self.second).await;
                self.stage.real.pass(11 * 60_000);
                Some(cookie)
            }
        }
    }

    /// A receipt's place: of a trade that only the named household's side can see.
    fn receipt(&self, index: u8, not: u8) -> (usize, usize) {
        let (own, other) = (party(index), party(not));
        let leaves = self.stage.community.executed.iter().zip(1..);
        leaves
            .flat_map(|(block, height)| {
                let leaves = block.results.leaves();
                leaves.into_iter().enumerate().map(move |(place, leaf)| (height, place, leaf))
            })
            .find_map(|(height, place, leaf)| match leaf {
                ledger::results::ResultLeaf::Trade(trade) => {
                    let names = |who| trade.seller == who || trade.buyer == who;
                    (names(own) && !names(other)).then_some((height, place))
                }
                _ => None,
            })
            .expect("a trade")
    }

    async fn handle(&self, cookie: &str) -> String {
        let listed = self.stage.ask("GET", "/api/v1/sessions", Some(cookie), None).await.json();
        let sessions = listed.as_array().expect("a list");
        let current = sessions.iter().find(|one| one["current"] == true).expect("the current one");
        current["handle"].as_str().expect("a text").to_owned()
    }

    async fn fill(&self, path: &str, who: Who) -> String {
        let (about, not) = if who == Who::AOnB { (OTHER, 1) } else { (1, OTHER) };
        let start = self.stage.community.executed.iter().flat_map(|one| &one.results.clearings);
        let start =
            start.map(|one| one.result.period.start().as_millis()).next_back().expect("one");
        let handle = match (path.contains("{handle}"), who) {
            (false, _) => String::new(),
            (_, Who::AOnB) => self.handle(&self.stage.household(OTHER).await).await,
            (_, Who::Public | Who::AOnA) => self.handle(&self.stage.household(1).await).await,
            _ => self.handle(&self.stage.operator(&self.first).await).await,
        };
        let (height, index) = self.receipt(about, not);
        let height = if path.contains("/receipts/") { height } else { BLOCKS };
        if path.ends_with("/search") {
            return format!("{path}?id={}", party(about));
        }
        path.replace("{party}", &party(about).to_string())
            .replace("{hash}", &said_by(&self.stage, party(about)).to_string())
            .replace("{period_start_ms}", &start.to_string())
            .replace("{height}", &height.to_string())
            .replace("{index}", &index.to_string())
            .replace("{handle}", &handle)
    }

    fn body(&self, path: &str, who: Who) -> Option<Value> {
        let path = path.strip_prefix("/api/v1")?;
        let link = |link: String| Some(json!({ "link": link }));
        match (path, who) {
            ("/session/link", Who::AOnB) => {
                link(self.stage.link(party(OTHER), &member_key(1), &self.stage.origin()))
            }
            ("/session/link", _) => link(self.stage.link_of(1)),
            ("/session/operator", Who::AOnB | Who::SecondOperator) => {
                let mut sent = self.stage.credentials(&self.second);
                sent["name"] = self.first.name.into();
                Some(sent)
            }
            ("/session/operator", _) => Some(self.stage.credentials(&self.first)),
            ("/session/confirm", _) => {
                let code = self.stage.credentials(&self.first)["code"].clone();
                Some(json!({ "password": PASSWORD, "code": code }))
            }
            _ => None,
        }
    }
}

#[tokio::test]
async fn every_route_answers_every_role_as_the_table_says() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Closed).await;
    let (first, second) = (stage.add_operator("aiko").await, stage.add_operator("ben").await);
    let cast = Cast { stage, first, second };
    let table = web::access_table();
    assert!(table.len() >= 33, "{table:?}");
    for (column, who) in WHO.into_iter().enumerate() {
        let mut kept = cast.cookie(who).await;
        for (method, path, access) in &table {
            if method != "GET" {
                // What changes something may end the session, or begin another.
                kept = cast.cookie(who).await;
            }
            let filled = cast.fill(path, who).await;
            let answer =
                cast.stage.ask(method, &filled, kept.as_deref(), cast.body(path, who)).await;
            let expected = expected(method, path)[column];
            assert_eq!(answer.status, expected, "{method} {filled} ({access:?}): {answer:?}");
            check_words(&answer.text, who, &filled);
            if method != "GET" {
                kept = cast.cookie(who).await;
            }
        }
    }
    let audit = cast.stage.operator(&cast.first).await;
    let audit = cast.stage.ask("GET", "/api/v1/operator/audit", Some(&audit), None).await.json();
    for (role, actor, action, subject) in [
        ("household", party(1).to_string(), "denied_household", party(OTHER).to_string()),
        ("operator", "aiko".to_owned(), "saw_household", party(1).to_string()),
        ("public", String::new(), "sign_in_failed", "aiko".to_owned()),
        ("operator", "aiko".to_owned(), "ended_sessions", party(1).to_string()),
    ] {
        let found = audit.as_array().expect("a list").iter().any(|entry| {
            (&entry["role"], &entry["actor"], &entry["action"], &entry["subject"])
                == (&role.into(), &actor.clone().into(), &action.into(), &subject.clone().into())
        });
        assert!(found, "{role} {actor} {action} {subject} stands in {audit}");
    }
    cast.stage.stop().await;
}

/// What no answer to a household may hold: a household that it has not traded with there. The
/// genesis, which every member has, names all.
fn check_words(text: &str, who: Who, path: &str) {
    let finds = ["/api/v1/search", "/api/v1/transactions/"];
    let others = match who {
        // The link has just made it household 1.
        Who::Public if path == "/api/v1/session/link" => 2..=6,
        Who::Public => 1..=6,
        Who::AOnA | Who::AOnB if path == "/api/v1/households" => 2..=6,
        Who::AOnA | Who::AOnB if finds.iter().any(|one| path.starts_with(one)) => 2..=6,
        _ => return,
    };
    for other in others {
        assert!(!text.contains(&party(other).to_string()), "{path} names {other}: {text}");
    }
}

/// Browsers may keep what everybody is told for times without a connection, and nothing else.
#[tokio::test]
async fn what_depends_on_a_session_is_kept_nowhere() {
    let stage = Stage::after_blocks(4, HouseholdPages::Closed).await;
    let (client, cookie) = (reqwest::Client::new(), stage.household(1).await);
    let kept = |path: &str, cookie: Option<&str>| {
        let mut request = client.get(format!("{}/api/v1{path}", stage.base));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        async move {
            let response = request.send().await.expect("an answer");
            response.headers()["cache-control"].to_str().expect("text").to_owned()
        }
    };
    for path in ["/now", "/blocks", "/status", "/validators"] {
        assert_eq!(kept(path, None).await, "no-cache", "{path}");
        assert_eq!(kept(path, Some(&cookie)).await, "no-store", "{path}");
    }
    for path in ["/households", "/blocks/99", "/search?id=x"] {
        assert_eq!(kept(path, None).await, "no-store", "{path} has no such answer");
    }
    stage.stop().await;
}

/// Fewer than five households: every sum is told to members alone.
#[tokio::test]
async fn a_small_community_tells_the_public_no_sums() {
    let mut community = Community::after_blocks(40);
    community.revoke(party(5));
    community.make_block();
    community.revoke(party(6));
    community.make_block();
    let last = community.blocks.pop().expect("a block");
    let mut stage = Stage::of(community, HouseholdPages::Closed).await;
    assert_eq!(stage.response("/api/v1/now").await.status(), 200, "five are enough");
    stage.dashboard.follow(last).await.expect("followed");
    for path in
        ["/now", "/prices", "/auctions/latest", "/blocks", "/blocks/3", "/events", "/search?id=3"]
    {
        assert_eq!(stage.response(&format!("/api/v1{path}")).await.status(), 401, "{path}");
    }
    for path in ["/community", "/status", "/tariff", "/validators", "/session"] {
        assert_eq!(stage.response(&format!("/api/v1{path}")).await.status(), 200, "{path}");
    }
    let cookie = stage.household(1).await;
    assert_eq!(stage.seen("/api/v1/now", &cookie).await, 200);
    stage.stop().await;
}

#[tokio::test]
async fn the_public_gets_no_single_order_and_no_small_zone() {
    let stage = Stage::after_blocks(BLOCKS, HouseholdPages::Closed).await;
    let told = |cookie: Option<String>| {
        let stage = &stage;
        async move { stage.ask("GET", "/api/v1/auctions/latest", cookie.as_deref(), None).await.json() }
    };
    let (public, member) = (told(None).await, told(Some(stage.household(1).await)).await);
    for (name, public_count, member_count) in
        [("demand", 0, 1), ("supply", 0, 1), ("zones", 0, 3), ("edges", 0, 2)]
    {
        assert_eq!(public[name].as_array().expect("a list").len(), public_count, "{name}");
        assert!(member[name].as_array().expect("a list").len() >= member_count, "{name}");
    }
    assert_eq!(public["price"], member["price"]);
    let now = stage.get("/now").await;
    let flows = now["flows"].as_array().expect("flows");
    let origin = |flow: &Value| flow["from"] == "solar" || flow["from"] == "battery";
    assert!(!flows.is_empty() && !flows.iter().any(origin), "{now}");
    stage.stop().await;
}
