//! The cookie that carries a session's id: never to scripts, never from other sites, and under TLS
//! never in the open nor from another host of the same domain.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::accounts::{Session, SessionId};

/// Under TLS. Browsers take the prefix only from this very host, with `Secure` and `Path=/`.
const SECURE_NAME: &str = "__Host-hidamari";

/// In the open: on this machine, or on a trusted network.
const OPEN_NAME: &str = "hidamari";

/// The session id that a request carries, and whether under the name that only TLS sets. A name
/// that stands there twice counts as none: somebody else has planted one of them.
pub(super) fn session_id(headers: &HeaderMap, under_tls: bool) -> Option<(SessionId, bool)> {
    let secure = only(headers, SECURE_NAME).map(|value| (value, true));
    let open = || only(headers, OPEN_NAME).map(|value| (value, false)).filter(|_| !under_tls);
    let (value, secure) = secure.or_else(open)?;
    Some((SessionId::from_text(value)?, secure))
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(found, _)| found.trim() == name).map(|(_, value)| value.trim());
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Hands a new session's id to the browser.
pub(crate) fn session_cookie(id: &SessionId, session: &Session) -> Option<HeaderValue> {
    let age_s = session.ends_at().millis_since(session.created_at).div_euclid(1_000);
    let (name, secure) = shape(session.secure);
    let text = format!(
        "{name}={}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}",
        id.to_text()
    );
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes the id away from the browser.
pub(crate) fn ended_cookie(secure: bool) -> HeaderValue {
    HeaderValue::from_static(if secure {
        "__Host-hidamari=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure"
    } else {
        "hidamari=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
    })
}

fn shape(secure: bool) -> (&'static str, &'static str) {
    if secure { (SECURE_NAME, "; Secure") } else { (OPEN_NAME, "") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &[&str], under_tls: bool) -> Option<bool> {
        let lines = lines.iter().map(|line| HeaderValue::from_str(line).unwrap());
        let headers = lines.map(|line| (header::COOKIE, line)).collect();
        session_id(&headers, under_tls).map(|(_, secure)| secure)
    }

    #[test]
    fn one_cookie_counts_and_under_tls_only_the_one_that_tls_sets() {
        let id = "A".repeat(43);
        let (open, secure) = (format!("hidamari={id}"), format!("__Host-hidamari={id}"));
        assert_eq!(found(&[&open], false), Some(false));
        assert_eq!(found(&[&format!("a=b; {open}; c")], false), Some(false));
        assert_eq!(found(&[&open], true), None, "it may come from a page in the open");
        assert_eq!(found(&[&secure], true), Some(true));
        assert_eq!(found(&[&open, &secure], false), Some(true));
        assert_eq!(found(&[&open, &open], false), None);
        assert_eq!(found(&[&format!("{open}; {open}")], false), None);
        let huge = format!("hidamari={}", "A".repeat(8_000));
        for junk in ["", "hidamari", "hidamari=", "hidamari=A", &huge, "hidamari=日本"] {
            assert_eq!(found(&[junk], false), None, "{junk}");
        }
    }
}
