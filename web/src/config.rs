//! The dashboard's configuration: a TOML file in which unknown keys are refused.
//!
//! ```toml
//! data_dir = "dashboard"            # relative paths are relative to this file
//! genesis = "genesis.toml"
//! household_pages = "closed"        # or "open"; see HouseholdPages
//! clock_speed = 1.0                 # market seconds per real second, shown on the page
//! allowed_hosts = ["energy.example.org"]   # names of this dashboard beside this machine's own
//!
//! proxies = ["127.0.0.1"]           # whose X-Forwarded-For counts; by default nobody's
//!
//! [tls]                             # optional; without it the page is served in the open
//! certificate = "fullchain.pem"     # with key; or self_made = true
//! key = "privkey.pem"
//!
//! [limits]                          # optional, as everything in it; see RateLimits
//! address_per_second = 250
//! address_burst = 1000
//! session_per_second = 25
//! session_burst = 250
//!
//! [mesh]
//! transport_key = "transport.key"   # a key file, mode 0600
//! listen = ["/ip4/0.0.0.0/tcp/4101"]
//! bootstrap = ["/ip4/192.0.2.7/tcp/4001"]
//! mdns = false
//! ```

use std::fs;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use mesh::key_file::Keychain;
use mesh::{Multiaddr, TransportKey};
use serde::Deserialize;
use toml::Spanned;

use crate::error::WebError;
use crate::hosts::HostName;
use crate::limits::{Rate, RateLimits};
use crate::tls::TlsSection;

/// How the dashboard runs.
#[derive(Debug, Clone, PartialEq)]
pub struct DashboardConfig {
    /// Where the read model lives; made if it is missing.
    pub data_dir: PathBuf,
    /// The genesis file of the community.
    pub genesis: PathBuf,
    /// Whether anybody who reaches the dashboard may see households.
    pub household_pages: HouseholdPages,
    /// Market seconds per real second, as shown on the page; above 0, 1 outside of demos. The
    /// clock itself is handed to [`crate::run`].
    pub clock_speed: f64,
    /// Under which names browsers reach the dashboard, beside `localhost` and the address at which
    /// a request comes in. A request under any other name is refused.
    pub allowed_hosts: Vec<HostName>,
    /// Proxies in front of the dashboard: only of these does `X-Forwarded-For` say where a request
    /// comes from.
    pub proxies: Vec<IpAddr>,
    /// How TLS is spoken; `None` if the page is served in the open.
    pub tls: Option<TlsSection>,
    /// How often somebody may ask.
    pub limits: RateLimits,
    /// How the dashboard joins the mesh.
    pub mesh: MeshSection,
}

/// Who may see pages, rows and receipts that name a household.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HouseholdPages {
    /// Everybody who reaches the dashboard. For demos with simulated households.
    Open,
    /// Each household its own, and operators all. The public has aggregates of at least five
    /// households.
    Closed,
}

/// How the dashboard joins the mesh.
#[derive(Debug, Clone, PartialEq)]
pub struct MeshSection {
    /// The key file, readable by its owner alone.
    pub transport_key: PathBuf,
    /// Where to listen; may be empty.
    pub listen: Vec<Multiaddr>,
    /// Where to join.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether to find peers on the local network by multicast DNS.
    pub mdns: bool,
}

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Not TOML, or a key is missing, unknown or of the wrong type.
    #[error("{path}: {problem}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What TOML said; names line and column.
        problem: String,
    },
    /// A value that does not fit its key.
    #[error("{path}, line {line}: {key} must be {expected}, but it is {found}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key with its table.
        key: &'static str,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DashboardToml {
    data_dir: PathBuf,
    genesis: PathBuf,
    household_pages: Option<Spanned<String>>,
    clock_speed: Option<Spanned<f64>>,
    #[serde(default)]
    allowed_hosts: Vec<Spanned<String>>,
    #[serde(default)]
    proxies: Vec<Spanned<String>>,
    tls: Option<Spanned<TlsToml>>,
    #[serde(default)]
    limits: LimitsToml,
    mesh: MeshToml,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct TlsToml {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    #[serde(default)]
    self_made: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LimitsToml {
    address_per_second: Option<NonZeroU32>,
    address_burst: Option<NonZeroU32>,
    session_per_second: Option<NonZeroU32>,
    session_burst: Option<NonZeroU32>,
}

impl LimitsToml {
    fn rates(&self) -> RateLimits {
        let RateLimits { address, session, sign_in } = RateLimits::default();
        let rate =
            |default: Rate, per_second: Option<NonZeroU32>, burst: Option<NonZeroU32>| Rate {
                per_second: per_second.map_or(default.per_second, NonZeroU32::get),
                burst: burst.map_or(default.burst, NonZeroU32::get),
            };
        RateLimits {
            address: rate(address, self.address_per_second, self.address_burst),
            session: rate(session, self.session_per_second, self.session_burst),
            sign_in,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeshToml {
    transport_key: PathBuf,
    #[serde(default)]
    listen: Vec<Spanned<String>>,
    #[serde(default)]
    bootstrap: Vec<Spanned<String>>,
    #[serde(default)]
    mdns: bool,
}

impl DashboardConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`] names file, line, key and what was expected.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        Self::parse(&fs::read_to_string(path).map_err(unreadable)?, path)
    }

    /// Reads the text of the configuration file at `path`, against whose directory relative paths
    /// are resolved.
    ///
    /// # Errors
    /// [`ConfigError`] names file, line, key and what was expected.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file: DashboardToml = toml::from_str(text).map_err(|error| ConfigError::Toml {
            path: path.to_owned(),
            problem: ledger::genesis::toml_problem(text, &error),
        })?;
        let source = Source { text, path };
        let base = path.parent().unwrap_or(Path::new(""));
        let household_pages = match file.household_pages {
            None => HouseholdPages::Closed,
            Some(value) => match value.get_ref().as_str() {
                "open" => HouseholdPages::Open,
                "closed" => HouseholdPages::Closed,
                _ => {
                    let expected = "\"closed\", or \"open\" to show every household to everybody";
                    return Err(source.misfit("household_pages", expected, &value));
                }
            },
        };
        let clock_speed = match file.clock_speed {
            None => 1.0,
            Some(value) if value.get_ref().is_finite() && *value.get_ref() > 0.0 => {
                value.into_inner()
            }
            Some(value) => return Err(source.misfit("clock_speed", "a number above 0", &value)),
        };
        Ok(Self {
            data_dir: base.join(file.data_dir),
            genesis: base.join(file.genesis),
            household_pages,
            clock_speed,
            allowed_hosts: source.hosts("allowed_hosts", &file.allowed_hosts)?,
            proxies: source.proxies(&file.proxies)?,
            tls: file.tls.map(|tls| source.tls(&tls, base)).transpose()?,
            limits: file.limits.rates(),
            mesh: MeshSection {
                transport_key: base.join(file.mesh.transport_key),
                listen: source.addresses("mesh.listen", &file.mesh.listen)?,
                bootstrap: source.addresses("mesh.bootstrap", &file.mesh.bootstrap)?,
                mdns: file.mesh.mdns,
            },
        })
    }
}

/// The file that errors point into.
struct Source<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Source<'_> {
    fn addresses(
        &self,
        key: &'static str,
        values: &[Spanned<String>],
    ) -> Result<Vec<Multiaddr>, ConfigError> {
        let expected = "a list of addresses such as \"/ip4/192.0.2.7/tcp/4001\"";
        let read = |value: &Spanned<String>| {
            value.get_ref().parse().map_err(|_| self.misfit(key, expected, value))
        };
        values.iter().map(read).collect()
    }

    fn hosts(
        &self,
        key: &'static str,
        values: &[Spanned<String>],
    ) -> Result<Vec<HostName>, ConfigError> {
        let expected = "a list of names or addresses without scheme and port, such as \
                        \"energy.example.org\"";
        let read = |value: &Spanned<String>| {
            value.get_ref().parse().map_err(|_| self.misfit(key, expected, value))
        };
        values.iter().map(read).collect()
    }

    fn proxies(&self, values: &[Spanned<String>]) -> Result<Vec<IpAddr>, ConfigError> {
        let expected = "a list of addresses such as \"127.0.0.1\"";
        let read = |value: &Spanned<String>| {
            let address = value.get_ref().parse::<IpAddr>();
            address
                .map(|address| address.to_canonical())
                .map_err(|_| self.misfit("proxies", expected, value))
        };
        values.iter().map(read).collect()
    }

    fn tls(&self, tls: &Spanned<TlsToml>, base: &Path) -> Result<TlsSection, ConfigError> {
        match tls.get_ref() {
            TlsToml { certificate: Some(certificate), key: Some(key), self_made: false } => {
                Ok(TlsSection::Files { certificate: base.join(certificate), key: base.join(key) })
            }
            TlsToml { certificate: None, key: None, self_made: true } => Ok(TlsSection::SelfMade),
            _ => Err(self.misfit("tls", "certificate and key, or self_made = true", tls)),
        }
    }

    fn misfit<T: std::fmt::Debug>(
        &self,
        key: &'static str,
        expected: &'static str,
        value: &Spanned<T>,
    ) -> ConfigError {
        let before = self.text.get(..value.span().start).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        let found = format!("{:?}", value.get_ref());
        ConfigError::Value { path: self.path.to_owned(), line, key, expected, found }
    }
}

impl MeshSection {
    /// Reads the transport key.
    ///
    /// # Errors
    /// [`WebError::TransportKey`] if the file is missing, readable by others, or no key.
    pub(crate) fn read_key(&self, keys: &Keychain) -> Result<TransportKey, WebError> {
        Ok(TransportKey::from_seed(keys.read(&self.transport_key)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "data_dir = \"data\"\ngenesis = \"/etc/genesis.toml\"\n\n[mesh]\n\
                        transport_key = \"key\"\nbootstrap = [\"/ip4/127.0.0.1/tcp/1\"]\n";

    fn parse(text: &str) -> Result<DashboardConfig, String> {
        DashboardConfig::parse(text, Path::new("/home/dashboard.toml"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_closed_and_in_real_time() {
        let config = parse(GOOD).unwrap();
        assert_eq!(config.household_pages, HouseholdPages::Closed);
        assert!((config.clock_speed - 1.0).abs() < f64::EPSILON);
        assert_eq!(config.data_dir, Path::new("/home/data"));
        assert_eq!(config.genesis, Path::new("/etc/genesis.toml"));
        assert_eq!(config.mesh.bootstrap.len(), 1);
        assert!(config.allowed_hosts.is_empty());
        let config = parse(&format!("allowed_hosts = [\"Energy.example.org\"]\n{GOOD}")).unwrap();
        assert_eq!(config.allowed_hosts, ["energy.example.org".parse().unwrap()]);
    }

    #[test]
    fn errors_name_file_line_key_and_expectation() {
        let cases = [
            ("household_pages = \"some\"\n", "line 1: household_pages must be \"closed\""),
            ("clock_speed = 0.0\n", "line 1: clock_speed must be a number above 0"),
            ("household = 1\n", "unknown field `household`"),
            ("allowed_hosts = [\"http://x\"]\n", "line 1: allowed_hosts must be a list of names"),
            ("proxies = [\"localhost\"]\n", "line 1: proxies must be a list of addresses"),
            ("tls = { key = \"k\" }\n", "line 1: tls must be certificate and key, or self_made"),
            ("limits = { address_burst = 0 }\n", "line 1"),
        ];
        for (line, expected) in cases {
            let error = parse(&format!("{line}{GOOD}")).unwrap_err();
            assert!(error.starts_with("/home/dashboard.toml"), "{error}");
            assert!(error.contains(expected) && error.contains("line 1"), "{error}");
        }
        let error = parse(&GOOD.replace("/ip4/127.0.0.1/tcp/1", "somewhere")).unwrap_err();
        assert!(error.contains("line 6: mesh.bootstrap must be a list of addresses"), "{error}");
    }
}
