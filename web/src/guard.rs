//! What holds for every request and every answer: whom it is for, limits, time-outs, headers,
//! counting.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::api::problem::Problem;
use crate::site::Site;

/// How long a request may take until its answer begins. Streams go on beyond it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest request body, in bytes. No route reads one.
const BODY_BYTES_MAX: u64 = 4096;

/// Scripts, styles and connections come from here alone; nobody frames the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
                                       img-src 'self' data:; frame-ancestors 'none'; \
                                       base-uri 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Guards one request.
pub(crate) async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = match check(&site, &request) {
        Err(problem) => problem.into_response(),
        Ok(()) => match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::too_slow().into_response(),
        },
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    site.metrics.count_request(response.status());
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        // What is left of the body is not read.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn check(site: &Site, request: &Request) -> Result<(), Problem> {
    site.hosts.check(request)?;
    let Some(length) = request.headers().get(header::CONTENT_LENGTH) else { return Ok(()) };
    let text = length.to_str().unwrap_or_default();
    match text.parse::<u64>() {
        Ok(length) if length <= BODY_BYTES_MAX => Ok(()),
        _ => Err(Problem::body_too_long(text, BODY_BYTES_MAX)),
    }
}
