//! Somebody at a browser: signs in, keeps the cookie, asks.

use market::keys::SigningKey;
use market::member::PartyId;
use market::time::Clock as _;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use web::{Accounts, OperatorName, TotpSecret, WebOrigin, sign_in_link};

use crate::community::{member_key, party};
use crate::stage::Stage;

pub(crate) const PASSWORD: &str = "a canary that sings";

/// An operator with everything that it proves itself by.
pub(crate) struct OperatorAtHand {
    pub(crate) name: &'static str,
    pub(crate) totp: TotpSecret,
}

/// A request's answer: its status, the cookie that it sets, and its text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// As a browser sends it back.
    pub(crate) cookie: Option<String>,
    pub(crate) set_cookie: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let header = |name: &str| {
            response.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
        };
        let set_cookie = header("set-cookie");
        let kind = header("content-type").unwrap_or_default();
        let cookie = set_cookie.as_deref().and_then(|line| line.split(';').next());
        let (status, cookie) = (response.status().as_u16(), cookie.map(str::to_owned));
        let retry_after = header("retry-after");
        // A stream has no end.
        let endless = kind == "text/event-stream";
        let text = if endless { String::new() } else { response.text().await.expect("text") };
        Self { status, cookie, set_cookie, retry_after, text }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }
}

impl Stage {
    pub(crate) fn origin(&self) -> WebOrigin {
        self.base.parse().expect("an origin")
    }

    /// What `hidamari agent sign-in` prints.
    pub(crate) fn link(&self, who: PartyId, key: &SigningKey, dashboard: &WebOrigin) -> String {
        let chain = self.community.genesis.chain_id();
        sign_in_link(who, key, &chain, dashboard, self.real.now()).expect("a link")
    }

    pub(crate) fn link_of(&self, index: u8) -> String {
        self.link(party(index), &member_key(index), &self.origin())
    }

    /// What `hidamari dashboard operator add` does.
    pub(crate) async fn add_operator(&self, name: &'static str) -> OperatorAtHand {
        let accounts = Accounts::open(&self.data_dir()).await.expect("the accounts open");
        let (totp, now) = (TotpSecret::generate().expect("a secret"), self.real.now());
        let parsed: OperatorName = name.parse().expect("a name");
        accounts.put_operator(&parsed, PASSWORD, &totp, 0, now).await.expect("written");
        accounts.close().await;
        OperatorAtHand { name, totp }
    }

    /// The browser's request: with the page's origin, a cookie and JSON, as far as given.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        cookie: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let method: Method = method.parse().expect("a method");
        let request = reqwest::Client::new().request(method, format!("{}{path}", self.base));
        let mut request = request.header("origin", &self.base);
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn use_link(&self, link: &str) -> Answer {
        self.ask("POST", "/api/v1/session/link", None, Some(json!({ "link": link }))).await
    }

    /// The cookie of a household that has signed in.
    pub(crate) async fn household(&self, index: u8) -> String {
        let answer = self.use_link(&self.link_of(index)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.cookie.expect("a cookie")
    }

    /// What an operator sends now. Codes count once: the next half minute begins.
    pub(crate) fn credentials(&self, operator: &OperatorAtHand) -> Value {
        self.real.pass(30_000);
        let code = operator.totp.code_at(self.real.now());
        json!({ "name": operator.name, "password": PASSWORD, "code": code })
    }

    pub(crate) async fn give(&self, credentials: &Value) -> Answer {
        let body = Some(credentials.clone());
        self.ask("POST", "/api/v1/session/operator", None, body).await
    }

    /// The cookie of an operator that has signed in.
    pub(crate) async fn operator(&self, operator: &OperatorAtHand) -> String {
        let answer = self.give(&self.credentials(operator)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.cookie.expect("a cookie")
    }

    /// The status of a GET under a cookie.
    pub(crate) async fn seen(&self, path: &str, cookie: &str) -> u16 {
        self.ask("GET", path, Some(cookie), None).await.status
    }
}
