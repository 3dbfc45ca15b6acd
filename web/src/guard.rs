//! What holds for every request and every answer: whom it is for, from whose page it comes, limits,
//! time-outs, headers, counting.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;

use crate::api::problem::Problem;
use crate::client_address::ClientAddress;
use crate::origin::{Scheme, WebOrigin};
use crate::sign_in::check::network;
use crate::site::Site;

/// How long a request may take until its answer begins. Streams go on beyond it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest request body, in bytes.
pub(crate) const BODY_BYTES_MAX: u64 = 4096;

/// Scripts, styles and connections come from files of this dashboard alone; nobody frames the page,
/// and no form is sent by the browser itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; \
                                       frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Browsers that have seen the dashboard under TLS never ask for it in the open again, for a year; nor for hosts below
/// its name.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000; includeSubDomains";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    ),
];

/// Guards one request.
pub(crate) async fn guard(
    State(site): State<Arc<Site>>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = match check(&site, &mut request) {
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
    if site.under_tls {
        let strict = HeaderValue::from_static(STRICT_TRANSPORT_SECURITY);
        headers.insert(header::STRICT_TRANSPORT_SECURITY, strict);
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

fn check(site: &Site, request: &mut Request) -> Result<(), Problem> {
    if let Some(client) = ClientAddress::of(request, &site.proxies) {
        let taken = site.limits.addresses.take(network(client.0), Instant::now());
        taken.map_err(Problem::too_many_requests)?;
        request.extensions_mut().insert(client);
    }
    site.hosts.check(request)?;
    if !request.method().is_safe() {
        let origin = page_origin(request.headers(), site.under_tls)?;
        request.extensions_mut().insert(PageOrigin(origin));
    }
    let Some(length) = request.headers().get(header::CONTENT_LENGTH) else { return Ok(()) };
    let text = length.to_str().unwrap_or_default();
    match text.parse::<u64>() {
        Ok(length) if length <= BODY_BYTES_MAX => Ok(()),
        _ => Err(Problem::body_too_long(text, BODY_BYTES_MAX)),
    }
}

/// The origin of the page from which a request that changes something comes: this dashboard's own,
/// under the name by which the browser reaches it. Only [`guard`] makes it.
#[derive(Debug, Clone)]
pub(crate) struct PageOrigin(pub(crate) WebOrigin);

impl<S: Send + Sync> FromRequestParts<S> for PageOrigin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(|| Problem::not_own_page("missing"))
    }
}

/// Every browser tells the origin of whatever changes something, and no page can change what it
/// tells. `Host` has been checked to be ours already. In the open the page may come by https, from
/// a proxy that ends TLS.
fn page_origin(headers: &HeaderMap, under_tls: bool) -> Result<WebOrigin, Problem> {
    let mut told = headers.get_all(header::ORIGIN).iter();
    let text = match (told.next(), told.next()) {
        (Some(one), None) => one.to_str().unwrap_or("no text"),
        (None, _) => "missing",
        _ => "given twice",
    };
    let refused = || Problem::not_own_page(text);
    let origin: WebOrigin = text.parse().map_err(|_| refused())?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_own = WebOrigin::of_host(origin.scheme(), host).as_ref() == Some(&origin)
        && (origin.scheme() == Scheme::Https || !under_tls)
        && site.is_none_or(|site| site == b"same-origin");
    is_own.then_some(origin).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(lines: &[(&'static str, &str)], under_tls: bool) -> Option<String> {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let headers = lines.iter().map(line).collect();
        page_origin(&headers, under_tls).ok().map(|origin| origin.to_string())
    }

    #[test]
    fn only_the_own_page_changes_anything() {
        let own = ("origin", "http://localhost:8080");
        let host = ("host", "localhost:8080");
        assert_eq!(origin(&[own, host], false).unwrap(), "http://localhost:8080");
        let fetched = |site| origin(&[own, host, ("sec-fetch-site", site)], false);
        assert!(fetched("same-origin").is_some());
        for site in ["cross-site", "same-site", "none", "Same-Origin", ""] {
            assert!(fetched(site).is_none(), "{site}");
        }
        let foreign = [
            "null",
            "",
            "http://localhost",
            "http://localhost:8081",
            "http://evil.example:8080",
            "http://localhost:8080.evil.example",
            "http://localhost:8080@evil.example",
            "*",
            "https://localhost:80800",
            "http://localhost:8080/path",
        ];
        for text in foreign {
            assert!(origin(&[("origin", text), host], false).is_none(), "{text}");
        }
        assert!(origin(&[host], false).is_none(), "a form of an old browser tells none");
        assert!(origin(&[own, own, host], false).is_none());
        // Behind a proxy that ends TLS; but never in the open where TLS is spoken here.
        let proxied = [("origin", "https://energy.example.org"), ("host", "energy.example.org")];
        assert_eq!(origin(&proxied, false).unwrap(), "https://energy.example.org");
        assert!(origin(&proxied, true).is_some());
        assert!(origin(&[own, host], true).is_none());
    }
}
