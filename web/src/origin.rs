//! The origin of a page: scheme, host and port (RFC 6454).

use std::fmt;
use std::str::FromStr;

use axum::http::uri::Authority;

use crate::hosts::HostName;

/// How a page is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scheme {
    /// In the open.
    Http,
    /// Under TLS.
    Https,
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Where a page comes from, in its one normal form: `https://energy.example.org`,
/// `http://192.0.2.7:8080`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WebOrigin {
    scheme: Scheme,
    host: HostName,
    port: u16,
}

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected the address of a dashboard without a path, such as https://energy.example.org or \
     http://192.0.2.7:8080, but found {found:?}"
)]
pub struct NotAnOrigin {
    /// What was found instead, shortened.
    pub found: String,
}

impl WebOrigin {
    /// The origin of pages that are fetched from a host, given as `Host` gives it.
    pub(crate) fn of_host(scheme: Scheme, host: &str) -> Option<Self> {
        let authority: Authority = host.parse().ok().filter(|_| !host.contains('@'))?;
        let port = authority.as_str().strip_prefix(authority.host())?;
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok().filter(|port| *port != 0)?,
            None => scheme.port(),
        };
        Some(Self { scheme, host: authority.host().parse().ok()?, port })
    }

    /// How it is fetched.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }
}

impl FromStr for WebOrigin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let misfit = || NotAnOrigin { found: text.chars().take(80).collect() };
        let (scheme, rest) = text.split_once("://").ok_or_else(misfit)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(misfit()),
        };
        Self::of_host(scheme, rest.strip_suffix('/').unwrap_or(rest)).ok_or_else(misfit)
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.to_string();
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        write!(f, "{}://{host}", self.scheme.word())?;
        if self.port == self.scheme.port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_origin_has_one_form() {
        let cases = [
            ("https://Energy.example.org/", "https://energy.example.org"),
            ("HTTPS://energy.example.org:443", "https://energy.example.org"),
            ("http://energy.example.org:443", "http://energy.example.org:443"),
            ("http://[2001:0db8::7]:8080", "http://[2001:db8::7]:8080"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<WebOrigin>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        let long = format!("https://{}", "a".repeat(100_000));
        let texts = [
            "",
            "null",
            "energy.example.org",
            "ftp://x.example",
            "https://",
            "https://x.example/a",
            "https://u@x.example",
            "https://x.example:0",
            "https://x.example:70000",
            "https://x.example:",
            "https://日本.example",
            "https://x.example#a",
            &long,
        ];
        for text in texts {
            let error = text.parse::<WebOrigin>().unwrap_err();
            assert!(error.found.chars().count() <= 80);
        }
    }
}
