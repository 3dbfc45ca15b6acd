//! Under which names the dashboard answers.
//!
//! A page from anywhere can make its visitor's browser connect to this dashboard under the page's
//! own name, by pointing that name at this machine (DNS rebinding), and would then read what only
//! the visitor may reach. The browser tells the name in `Host`, so it must be one of ours.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use axum::extract::Request;
use axum::http::header;
use axum::http::uri::Authority;

use crate::api::problem::Problem;

/// A name or an address under which browsers may reach the dashboard, without scheme and port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostName(String);

/// A text that is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a name or an address without scheme and port, such as energy.example.org or \
     192.0.2.7, but found {found:?}"
)]
pub struct NotAHost {
    /// What was found instead.
    pub found: String,
}

impl FromStr for HostName {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let misfit = || NotAHost { found: text.to_owned() };
        if let Some(address) = address(text) {
            return Ok(Self(address.to_string()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let sound = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len()) && label.bytes().all(inner)
        };
        if name.len() > 253 || !name.split('.').all(sound) {
            return Err(misfit());
        }
        Ok(Self(name))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address of this machine at which a request came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalAddress(pub(crate) IpAddr);

/// The names that the configuration adds to this machine's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    allowed: BTreeSet<HostName>,
}

impl Hosts {
    pub(crate) fn new(allowed: &[HostName]) -> Self {
        Self { allowed: allowed.iter().cloned().collect() }
    }

    /// Whether a request names this dashboard: in `Host`, and where it stands also in its target.
    ///
    /// # Errors
    /// [`Problem`] 421 says which name was given and how others are allowed.
    pub(crate) fn check(&self, request: &Request) -> Result<(), Problem> {
        let local = request.extensions().get::<LocalAddress>().map(|local| local.0);
        let mut named = request.headers().get_all(header::HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else {
            return Err(Problem::host_missing());
        };
        let host = host.to_str().map_err(|_| Problem::host_missing())?;
        if host.is_empty() {
            return Err(Problem::host_missing());
        }
        let target = request.uri().authority().map(Authority::as_str);
        for text in std::iter::once(host).chain(target) {
            if !self.is_ours(text, local) {
                return Err(Problem::host_unknown(text));
            }
        }
        Ok(())
    }

    fn is_ours(&self, text: &str, local: Option<IpAddr>) -> bool {
        let Ok(authority) = text.parse::<Authority>() else { return false };
        if text.contains('@') {
            return false;
        }
        let Ok(host) = authority.host().parse::<HostName>() else { return false };
        let is_this_machine = match address(&host.0) {
            Some(address) => address.is_loopback() || local.map(canonical) == Some(address),
            None => host.0 == "localhost",
        };
        is_this_machine || self.allowed.contains(&host)
    }
}

/// An address as it stands in a `Host`, where IPv6 has brackets, or in a configuration.
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6).map(canonical),
        None => text.parse().ok().map(canonical),
    }
}

/// IPv4 stays IPv4 where a listener takes both.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn hosts() -> Hosts {
        Hosts::new(&["Energy.Example.ORG.", "2001:db8::7"].map(|name| name.parse().unwrap()))
    }

    fn status(host: &[&str], local: Option<&str>) -> Option<u16> {
        let mut request = Request::builder().uri("/api/v1/now");
        for host in host {
            request = request.header(header::HOST, *host);
        }
        let mut request = request.body(Body::empty()).unwrap();
        if let Some(local) = local {
            request.extensions_mut().insert(LocalAddress(local.parse().unwrap()));
        }
        hosts().check(&request).err().map(|problem| problem.status())
    }

    #[test]
    fn this_machine_and_configured_names_are_answered() {
        let hosts = [
            "localhost",
            "localhost:8080",
            "LOCALHOST.:8080",
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.8.9.1",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "energy.example.org",
            "ENERGY.example.org:443",
            "[2001:db8::7]:80",
            "192.0.2.7:8080",
        ];
        for host in hosts {
            assert_eq!(status(&[host], Some("192.0.2.7")), None, "{host}");
            assert_eq!(status(&[host], Some("::ffff:192.0.2.7")), None, "{host}");
        }
    }

    #[test]
    fn nobody_else_is() {
        let hosts = [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.localhost",
            "192.0.2.8",
            "0.0.0.0",
            "[::]",
            "example.org",
            "localhost:8080@evil.example",
            "localhost@evil.example:8080",
            "local host",
            "http://localhost",
            "127.1",
            "2130706433",
            "[127.0.0.1]",
            ":8080",
            ".",
        ];
        for host in hosts {
            assert_eq!(status(&[host], Some("192.0.2.7")), Some(421), "{host}");
        }
        assert_eq!(status(&["192.0.2.7"], None), Some(421), "an address of somewhere else");
        assert_eq!(status(&[], None), Some(421));
        assert_eq!(status(&[""], None), Some(421));
        assert_eq!(status(&["localhost", "localhost"], None), Some(421));
    }

    #[test]
    fn a_target_with_a_foreign_name_counts_as_well() {
        let request = |uri: &str| {
            Request::builder().uri(uri).header(header::HOST, "localhost").body(Body::empty())
        };
        assert!(hosts().check(&request("http://localhost/x").unwrap()).is_ok());
        assert!(hosts().check(&request("http://evil.example/x").unwrap()).is_err());
    }

    #[test]
    fn what_is_no_host_is_refused_in_words() {
        let long = "a".repeat(64);
        let texts =
            ["", "http://x.example", "x.example:80", "*.example", "x..y", "x y", "[::1", &long];
        for text in texts {
            let error = text.parse::<HostName>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        let address: HostName = "[2001:db8::7]".parse().unwrap();
        assert_eq!(address, "2001:0db8::7".parse().unwrap());
    }
}
