//! The page, embedded in the program: compressed ahead of time, cached by content.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::RustEmbed;

use crate::api::problem::Problem;

#[derive(RustEmbed)]
#[folder = "$WEB_DIST"]
struct Page;

/// What a browser may have instead of the plain file, best first: encoding and ending.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Answers every path that no route has: a file of the page, or the page itself, which finds its
/// way by the path.
pub(crate) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        return Problem::no_such_route(uri.path()).into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        let allow = [(header::ALLOW, HeaderValue::from_static("GET,HEAD"))];
        return (allow, Problem::method_not_allowed(&method, uri.path())).into_response();
    }
    let named = if path.is_empty() { "index.html" } else { path };
    if let Some(response) = file(named, &headers) {
        return response;
    }
    // A missing asset is missing; any other path is a place inside the page.
    if named.starts_with("assets/") {
        return Problem::no_such_route(uri.path()).into_response();
    }
    file("index.html", &headers)
        .unwrap_or_else(|| Problem::no_such_route(uri.path()).into_response())
}

fn file(path: &str, request: &HeaderMap) -> Option<Response> {
    let plain = Page::get(path)?;
    let encoded = ENCODINGS.iter().find_map(|(encoding, ending)| {
        let file = accepts(request, encoding).then(|| Page::get(&format!("{path}{ending}")))??;
        Some((file, Some(*encoding)))
    });
    let (file, encoding) = encoded.unwrap_or((plain, None));
    let tag = format!("\"{}\"", hex::encode(file.metadata.sha256_hash()));
    let cached = if path.starts_with("assets/") {
        // Their names carry a hash of their content.
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let known = is_known(request, &tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        file.data.into_owned().into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_str(&tag).ok()?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if known {
        headers.remove(header::CONTENT_TYPE);
        return Some(response);
    }
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let kind = if kind.type_() == "text" || kind.subtype() == "javascript" {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_string()
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&kind).ok()?);
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

/// Whether the browser holds exactly this file already.
fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let held = request.get(header::IF_NONE_MATCH).and_then(|held| held.to_str().ok());
    held.is_some_and(|held| {
        held.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
    })
}

/// Whether `Accept-Encoding` names an encoding and does not refuse it with `q=0`.
fn accepts(request: &HeaderMap, encoding: &str) -> bool {
    let offered = request.get(header::ACCEPT_ENCODING).and_then(|offered| offered.to_str().ok());
    offered.is_some_and(|offered| {
        offered.split(',').any(|one| {
            let mut parts = one.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
            let refused = parts.filter_map(|part| part.strip_prefix("q=")).any(|weight| {
                weight.trim_start_matches('0').trim_matches('.').trim_matches('0').is_empty()
            });
            named && !refused
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn an_encoding_is_taken_only_if_it_is_wanted() {
        let cases = [
            ("gzip, deflate, br, zstd", true),
            ("BR", true),
            ("gzip;q=1.0, br;q=0.5", true),
            ("gzip, br;q=0", false),
            ("br;q=0.000", false),
            ("gzip", false),
            ("brotli", false),
            ("", false),
        ];
        for (value, expected) in cases {
            let request = headers(header::ACCEPT_ENCODING, value);
            assert_eq!(accepts(&request, "br"), expected, "{value}");
        }
        assert!(!accepts(&HeaderMap::new(), "br"));
    }

    #[test]
    fn a_held_file_is_not_sent_again() {
        let first = file("index.html", &HeaderMap::new()).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        for held in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = file("index.html", &headers(header::IF_NONE_MATCH, &held)).unwrap();
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{held}");
            assert_eq!(again.headers()[header::ETAG].to_str().unwrap(), tag);
        }
        let other = file("index.html", &headers(header::IF_NONE_MATCH, "\"x\"")).unwrap();
        assert_eq!(other.status(), StatusCode::OK);
    }

    /// Holds for whatever page was embedded; the placeholder has no assets.
    #[test]
    fn assets_are_compressed_ahead_and_kept_for_ever() {
        let plain = |name: &String| {
            name.starts_with("assets/") && Page::get(&format!("{name}.br")).is_some()
        };
        let names: Vec<_> = Page::iter().map(|name| name.to_string()).filter(plain).collect();
        for name in &names {
            let response =
                |offered| file(name, &headers(header::ACCEPT_ENCODING, offered)).unwrap();
            let tags: Vec<_> = [("br, gzip", Some("br")), ("gzip", Some("gzip")), ("", None)]
                .into_iter()
                .map(|(offered, expected)| {
                    let response = response(offered);
                    let encoding = response.headers().get(header::CONTENT_ENCODING);
                    assert_eq!(encoding.map(|value| value.to_str().unwrap()), expected, "{name}");
                    let cached = response.headers()[header::CACHE_CONTROL].to_str().unwrap();
                    assert!(cached.ends_with("immutable"), "{name}");
                    response.headers()[header::ETAG].clone()
                })
                .collect();
            assert!(tags[0] != tags[1] && tags[1] != tags[2], "the encoding is in the tag");
        }
    }
}
