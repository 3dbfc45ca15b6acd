//! Where a request comes from: the peer, or whom a named proxy says it speaks for.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::api::problem::Problem;

/// The address at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

/// Where a request comes from, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// Of a request. `X-Forwarded-For` counts only from a proxy that the configuration names, and
    /// of it only what the last such proxy added: everything before was written by the client.
    pub(crate) fn of(request: &Request, proxies: &[IpAddr]) -> Option<Self> {
        let peer = request.extensions().get::<PeerAddress>()?.0.to_canonical();
        if !proxies.contains(&peer) {
            return Some(Self(peer));
        }
        let forwarded = forwarded(request.headers());
        let client = forwarded.into_iter().rev().find(|address| !proxies.contains(address));
        Some(Self(client.unwrap_or(peer)))
    }
}

/// The addresses of all `X-Forwarded-For`, as far as they are addresses from the end on.
fn forwarded(headers: &HeaderMap) -> Vec<IpAddr> {
    let lines = headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or(""));
    let all: Vec<Option<IpAddr>> = lines
        .flat_map(|line| line.split(','))
        .map(|one| one.trim().parse().ok().map(|address: IpAddr| address.to_canonical()))
        .collect();
    let sound = all.iter().rposition(Option::is_none).map_or(0, |at| at.saturating_add(1));
    all.into_iter().skip(sound).flatten().collect()
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let address = parts.extensions.get().copied();
        address.ok_or_else(|| Problem::unavailable("The connection has no address; try again."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut request = Request::builder();
        for line in forwarded {
            request = request.header("x-forwarded-for", *line);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(PeerAddress(peer.parse().unwrap()));
        let proxies = ["127.0.0.1", "10.0.0.1"].map(|proxy| proxy.parse().unwrap());
        ClientAddress::of(&request, &proxies).unwrap().0.to_string()
    }

    #[test]
    fn only_a_named_proxy_says_for_whom_it_speaks() {
        assert_eq!(client("192.0.2.7", &["198.51.100.1"]), "192.0.2.7");
        assert_eq!(client("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["1.1.1.1, 198.51.100.1"]), "198.51.100.1", "forged");
        assert_eq!(client("127.0.0.1", &["1.1.1.1", "198.51.100.1, 10.0.0.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["1.1.1.1, junk"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }
}
