//! Errors as problem documents (RFC 9457): what is wrong, and in one sentence what to do.

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts::AccountsError;
use crate::read_model::StoreError;
use crate::sign_in::check::Refused;
use crate::sign_in::link::LinkRefused;

/// How many characters of what was sent an answer repeats.
const QUOTED_MAX: usize = 80;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status code.
    status: u16,
    /// What is wrong and what to do, in one sentence.
    detail: String,
    /// In how many seconds it may go better.
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self {
            r#type: "about:blank",
            title,
            status: status.as_u16(),
            detail: detail.into(),
            retry_after_s: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(5),
        }
    }

    /// A parameter has a value that cannot be used.
    pub(crate) fn misfit(name: &str, expected: &str, found: &str) -> Self {
        Self::bad_request(format!("{name} must be {expected}, but it is {}.", quoted(found)))
    }

    /// The HTTP status code.
    #[cfg(test)]
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Something in the request cannot be used.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// There is no such route.
    pub(crate) fn no_such_route(path: &str) -> Self {
        let path = quoted(path);
        Self::not_found(format!("Nothing is served at {path}; /api/openapi.json lists what is."))
    }

    /// The request names no host, or more than one.
    pub(crate) fn host_missing() -> Self {
        let detail = "The request must have one Host header with the name or address of this \
                      dashboard, but it has none, more than one, or one that is no text.";
        Self::new(StatusCode::MISDIRECTED_REQUEST, detail)
    }

    /// The request names another host.
    pub(crate) fn host_unknown(found: &str) -> Self {
        let detail = format!(
            "Host must be localhost, the address that this dashboard is reached at, or a name \
             that its configuration lists under allowed_hosts, but it is {}.",
            quoted(found)
        );
        Self::new(StatusCode::MISDIRECTED_REQUEST, detail)
    }

    /// Only whoever has signed in may have this.
    pub(crate) fn sign_in_first() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "Sign in first: households by the link that `hidamari agent sign-in` prints, operators \
             by name, password and code.",
        )
    }

    /// A household asks for what is the operators'.
    pub(crate) fn operators_only() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Only an operator of this dashboard may have this.")
    }

    /// An operator has to prove once more who it is.
    pub(crate) fn confirm_first() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Give your password and a code once more (/api/v1/session/confirm); that holds for ten \
             minutes.",
        )
    }

    /// The request comes from a page of somebody else, or from no page.
    pub(crate) fn not_own_page(found: &str) -> Self {
        let detail = format!(
            "What changes something must come from this dashboard's own page, with its address as \
             Origin, but Origin is {}.",
            quoted(found)
        );
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// Too many requests.
    pub(crate) fn too_many_requests(wait: std::time::Duration) -> Self {
        let wait_s = wait.as_secs().saturating_add(1);
        let detail = format!("Too many requests came from here; try again in {wait_s} s.");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, detail);
        Self { retry_after_s: Some(wait_s), ..problem }
    }

    /// A body of another kind.
    pub(crate) fn not_json(found: &str) -> Self {
        let detail = format!("Content-Type must be application/json, but it is {}.", quoted(found));
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// A method that the path does not take.
    pub(crate) fn method_not_allowed(method: &Method, path: &str) -> Self {
        let detail = format!(
            "{} does not take the method {}; Allow lists those that it takes.",
            quoted(path),
            quoted(method.as_str())
        );
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
    }

    /// A body that nobody reads.
    pub(crate) fn body_too_long(content_length: &str, bytes_max: u64) -> Self {
        let detail = format!(
            "Content-Length must be at most {bytes_max} bytes, but it is {}.",
            quoted(content_length)
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// The answer took too long.
    pub(crate) fn too_slow() -> Self {
        Self::unavailable("The answer took too long; try again in a moment.")
    }

    /// Too many do the same.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// Something failed here, and the log says what.
    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "a request failed");
        let detail = "The dashboard could not answer; its log says why. Try again, or tell the \
                      operator.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }
}

/// What somebody sent, in quotes, without line breaks and of a bounded length.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?} and so on", text.get(..end).unwrap_or_default()),
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<market::Overflow> for Problem {
    fn from(error: market::Overflow) -> Self {
        Self::internal(&error)
    }
}

impl From<AccountsError> for Problem {
    fn from(error: AccountsError) -> Self {
        Self::internal(&error)
    }
}

impl From<LinkRefused> for Problem {
    fn from(refused: LinkRefused) -> Self {
        let detail =
            format!("You are not in: {refused}. `hidamari agent sign-in` prints another one.");
        Self::new(StatusCode::FORBIDDEN, detail)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Wait(wait) => {
                let wait_s = wait.as_secs().saturating_add(1);
                let detail = format!("Too many attempts have failed; try again in {wait_s} s.");
                let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, detail);
                Self { retry_after_s: Some(wait_s), ..problem }
            }
            Refused::Busy => Self::unavailable("Too many people sign in at once; try again."),
            Refused::Wrong => {
                let detail = "You are not in: name, password or code is wrong, or the code has \
                              been used; wait for the next one.";
                Self::new(StatusCode::FORBIDDEN, detail)
            }
            Refused::Link(refused) => refused.into(),
            Refused::Accounts(error) => error.into(),
            Refused::Hashing => Self::internal(&refused),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Session realm=\"hidamari\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(wait_s) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
        }
        response
    }
}
