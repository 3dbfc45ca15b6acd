//! The agent's configuration file.

mod file;
mod meter;
mod strategy;

use market::member::{MeteringPointId, PartyId};
use market::order::Origin;
use mesh::Multiaddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::forecast::Place;
use crate::modbus::Address;
use crate::profile::Profile;
use crate::strategy::{OwnerLimits, StrategyKind};
use crate::toml_text::TomlError;

/// A household's agent.
///
/// ```toml
/// data_dir = "agent"                # relative paths start at this file
/// genesis = "genesis.toml"
/// party = "00112233445566778899aabbccddeeff"
/// party_key = "party.key"           # a key file, mode 0600
/// metering_point = "ffeeddccbbaa99887766554433221100"   # optional, checked against the genesis
/// rated_power_w = 10000             # the most that flows either way
/// weather_file = "weather.csv"      # optional: see `forecast::weather`
///
/// [place]                           # optional: where the sun shines
/// latitude_deg = 35.68              # north positive
/// longitude_deg = 139.77            # east positive
///
/// [mesh]
/// transport_key = "transport.key"
/// listen = ["/ip4/127.0.0.1/tcp/0"] # optional
/// bootstrap = ["/ip4/127.0.0.1/tcp/4001"]
/// mdns = false                      # optional
///
/// [meter]
/// profile = "eastron-sdm630"        # or a path of a profile file ending in .toml
/// host = "127.0.0.1"
/// port = 502                        # optional: the profile's
/// transport = "tcp"                 # optional; "rtu_over_tcp" for a transparent gateway
/// # serial_port = "/dev/ttyUSB0"    # instead of the host, with (all optional: the profile's)
/// # baud = 9600
/// # parity = "none"                 # or "even", "odd"
/// # stop_bits = 1
/// strip_echo = false                # optional; for two-wire adapters that repeat what is sent
/// unit = 1                          # optional
/// reversed = false                  # optional; a meter mounted backwards
/// word_order = "high_first"         # optional: the profile's; or "low_first"
/// poll_interval_ms = 1000           # optional, real time
///
/// [strategy]                        # optional, as everything in it
/// kind = "truthful"                 # or "concession", "adaptive"
/// sell_floor = "0.10"               # never sell below this
/// buy_cap = "0.30"                  # never buy above this
/// # sell_first = "0.30"             # with "concession": asked for at the first gate
/// # sell_last = "0.10"              # and at the last; the tariffs where nothing is said
/// # buy_first = "0.10"
/// # buy_last = "0.30"
/// partners = []
/// offer_origin = "solar"            # or "battery"
/// bid_origin = "solar"
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct AgentConfig {
    /// Where the outbox and the status file lie; one agent alone uses it.
    pub data_dir: PathBuf,
    /// The community's genesis file.
    pub genesis: PathBuf,
    /// Whose agent this is.
    pub party: PartyId,
    /// The file of the party's secret key.
    pub party_key: PathBuf,
    /// What the ledger says about the household, if it has joined after genesis: `membership.toml`
    /// beside this file, whether it exists or not.
    pub membership: PathBuf,
    /// The metering point, if the owner wants it checked against the genesis.
    pub metering_point: Option<MeteringPointId>,
    /// The most power that flows through the metering point in either direction, in W; above 0.
    pub rated_power_w: u32,
    /// How the agent takes part in the mesh.
    pub mesh: MeshSettings,
    /// The meter.
    pub meter: MeterSettings,
    /// Where the household is, if it says so.
    pub place: Option<Place>,
    /// A weather forecast, read again whenever it is written.
    pub weather_file: Option<PathBuf>,
    /// How it trades.
    pub strategy: StrategySettings,
}

/// How the agent takes part in the mesh.
#[derive(Debug, Clone, PartialEq)]
pub struct MeshSettings {
    /// The file of the transport key's secret.
    pub transport_key: PathBuf,
    /// Where to listen.
    pub listen: Vec<Multiaddr>,
    /// Where to join.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether to look for peers on the local network.
    pub mdns: bool,
}

/// Which meter, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct MeterSettings {
    /// What it is.
    pub profile: Profile,
    /// Where it is.
    pub address: Address,
    /// Its Modbus unit id, 1 to 255.
    pub unit: u8,
    /// How often it is read (real time).
    pub poll_interval: Duration,
}

/// How the owner wants to trade.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StrategySettings {
    /// The strategy.
    pub kind: StrategyKind,
    /// The owner's limits.
    pub limits: OwnerLimits,
    /// With whom to trade first; at most 8.
    pub partners: Vec<PartyId>,
    /// What offered energy is made of.
    pub offer_origin: Option<Origin>,
    /// What bought energy should rather be made of.
    pub bid_origin: Option<Origin>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Something in a file; names file, line and key, and what was expected.
    #[error(transparent)]
    Toml(#[from] TomlError),
}

impl AgentConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`] if the file, or a profile it names, cannot be read or does not hold.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        Self::from_toml(&std::fs::read_to_string(path).map_err(unreadable)?, path)
    }

    /// Reads a configuration from its text. Relative paths start at the folder of `path`, which
    /// also names the file in errors.
    ///
    /// # Errors
    /// [`ConfigError`] names file, line and key, and what was expected.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        file::read(text, path)
    }
}

#[cfg(test)]
mod tests;
