//! The node's TOML file.

use ledger::genesis::{self, Genesis, GenesisFileError};
use market::keys::SigningKey;
use mesh::key_file::{KeyFileError, Keychain};
use mesh::{MeshConfig, Multiaddr, TransportKey};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use crate::consensus::{ConsensusConfig, Timeouts};

/// A validator's configuration. Relative paths count from the file's own folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// A name for logs and metrics.
    pub moniker: String,
    /// Where the chain is kept; this node's alone.
    pub data_dir: PathBuf,
    /// The community's genesis file.
    pub genesis: PathBuf,
    /// The key file of the validator key.
    pub validator_key: PathBuf,
    /// Where `/healthz`, `/metrics` and `/status` are served: `ADDRESS:PORT`.
    pub http_listen: String,
    /// Where a ledger that is not there yet starts from: the file of a certified snapshot, or
    /// `peers` for the newest one of other nodes. Without it, from the first block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_snapshot: Option<String>,
    /// After how many days (market time) the bodies of blocks are forgotten whose delivery periods
    /// are all final. Without it they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune_after_days: Option<u32>,
    /// The validators' own network.
    pub consensus: ConsensusSection,
    /// The members' network.
    pub mesh: MeshSection,
}

/// The validators' own network.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsensusSection {
    /// The key file of the transport key; not the validator key.
    pub transport_key: PathBuf,
    /// Where to listen: `/ip4/ADDRESS/tcp/PORT`.
    pub listen: String,
    /// The other validators: `/ip4/ADDRESS/tcp/PORT/p2p/PEER-ID`.
    pub peers: Vec<String>,
    /// How long a proposal may take to arrive, in milliseconds of real time.
    #[serde(default = "default_propose_ms")]
    pub propose_timeout_ms: u64,
    /// How long votes are waited for after a mixed quorum, in milliseconds of real time.
    #[serde(default = "default_vote_ms")]
    pub vote_timeout_ms: u64,
}

impl Default for ConsensusSection {
    /// No addresses, and the time-outs that suit one local network.
    fn default() -> Self {
        Self {
            transport_key: PathBuf::new(),
            listen: String::new(),
            peers: Vec::new(),
            propose_timeout_ms: default_propose_ms(),
            vote_timeout_ms: default_vote_ms(),
        }
    }
}

/// The members' network.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeshSection {
    /// The key file of the transport key.
    pub transport_key: PathBuf,
    /// Where to listen: `/ip4/ADDRESS/tcp/PORT`.
    pub listen: Vec<String>,
    /// Where to join: `/ip4/ADDRESS/tcp/PORT`, with or without `/p2p/PEER-ID`.
    pub bootstrap: Vec<String>,
    /// Whether to find peers on the local network by multicast DNS.
    #[serde(default)]
    pub mdns: bool,
}

fn default_propose_ms() -> u64 {
    Timeouts::default().propose_ms
}

fn default_vote_ms() -> u64 {
    Timeouts::default().prevote_ms
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The file is not what it should be; names line, column and key.
    #[error("{path}: {problem}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Line, key, and what was expected.
        problem: String,
    },
    /// The genesis does not hold.
    #[error("{path}: {source}")]
    Genesis {
        /// The file.
        path: PathBuf,
        /// Line or key, and what was expected.
        source: GenesisFileError,
    },
    /// A key that cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A value that does not fit its key.
    #[error("{path}: {key}: expected {expected}, but found {found:?}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
}

/// A configuration with everything it names, read and checked.
#[derive(Debug)]
pub struct LoadedNode {
    /// The community.
    pub genesis: Genesis,
    /// Where the chain is kept.
    pub data_dir: PathBuf,
    /// Where a ledger that is not there yet starts from; `None` is the first block.
    pub from_snapshot: Option<SnapshotSource>,
    /// After how many days of market time bodies of final blocks are forgotten; `None` is never.
    pub prune_after_days: Option<u32>,
    /// Where the status pages are served.
    pub http_listen: String,
    /// The validators' network.
    pub consensus: ConsensusConfig,
    /// The members' network.
    pub mesh: MeshConfig,
}

/// Where a certified snapshot comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotSource {
    /// The newest one of other nodes.
    Peers,
    /// A file.
    File(PathBuf),
}

impl From<&str> for SnapshotSource {
    fn from(text: &str) -> Self {
        if text == "peers" { Self::Peers } else { Self::File(PathBuf::from(text)) }
    }
}

impl NodeConfig {
    /// Reads the file and everything it names; `keys` opens the key files.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the line or the key, and what was expected.
    pub fn load(path: &Path, keys: &Keychain) -> Result<LoadedNode, ConfigError> {
        let text = read(path)?;
        let config: Self = toml::from_str(&text).map_err(|error| ConfigError::Toml {
            path: path.to_owned(),
            problem: genesis::toml_problem(&text, &error),
        })?;
        config.resolve(path, keys)
    }

    fn resolve(self, path: &Path, keys: &Keychain) -> Result<LoadedNode, ConfigError> {
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        let beside = |file: &Path| folder.join(file);
        let genesis_path = beside(&self.genesis);
        let genesis = genesis::read(&read(&genesis_path)?)
            .map_err(|source| ConfigError::Genesis { path: genesis_path, source })?;
        let data_dir = beside(&self.data_dir);
        let key_path = beside(&self.validator_key);
        let signing_key = SigningKey::from_seed(&*keys.read(&key_path)?);
        self.check_values(path)?;
        let consensus = ConsensusConfig {
            chain: genesis.chain_id(),
            moniker: self.moniker,
            data_dir: data_dir.clone(),
            signing_key,
            transport_key_seed: keys.read(&beside(&self.consensus.transport_key))?,
            listen: self.consensus.listen,
            peers: self.consensus.peers,
            timeouts: Timeouts {
                propose_ms: self.consensus.propose_timeout_ms,
                prevote_ms: self.consensus.vote_timeout_ms,
                precommit_ms: self.consensus.vote_timeout_ms,
                ..Timeouts::default()
            },
            quorum_wait_ms: QUORUM_WAIT_MS,
        };
        let mesh = MeshConfig {
            transport_key: TransportKey::from_seed(keys.read(&beside(&self.mesh.transport_key))?),
            chain_id: *genesis.chain_id().as_bytes(),
            listen: addresses(path, "mesh.listen", &self.mesh.listen)?,
            bootstrap: addresses(path, "mesh.bootstrap", &self.mesh.bootstrap)?,
            mdns: self.mesh.mdns,
            serve_blocks: true,
        };
        let from_snapshot = match self.from_snapshot.as_deref().map(SnapshotSource::from) {
            Some(SnapshotSource::File(file)) => Some(SnapshotSource::File(beside(&file))),
            other => other,
        };
        Ok(LoadedNode {
            genesis,
            data_dir,
            from_snapshot,
            prune_after_days: self.prune_after_days,
            http_listen: self.http_listen,
            consensus,
            mesh,
        })
    }
}

impl NodeConfig {
    /// Checks the values that no file stands behind.
    fn check_values(&self, path: &Path) -> Result<(), ConfigError> {
        let misfit = |key, expected, found: &str| ConfigError::Value {
            path: path.to_owned(),
            key,
            expected,
            found: found.to_owned(),
        };
        if self.http_listen.parse::<std::net::SocketAddr>().is_err() {
            let expected = "an address like 127.0.0.1:9100";
            return Err(misfit("http_listen", expected, &self.http_listen));
        }
        addresses(path, "consensus.listen", std::slice::from_ref(&self.consensus.listen))?;
        addresses(path, "consensus.peers", &self.consensus.peers)?;
        if let Some(peer) = self.consensus.peers.iter().find(|peer| !peer.contains("/p2p/")) {
            let expected =
                "an address with the peer's identity, like /ip4/192.0.2.7/tcp/9000/p2p/12D3..";
            return Err(misfit("consensus.peers", expected, peer));
        }
        for (key, timeout_ms) in [
            ("consensus.propose_timeout_ms", self.consensus.propose_timeout_ms),
            ("consensus.vote_timeout_ms", self.consensus.vote_timeout_ms),
        ] {
            if !(50..=60_000).contains(&timeout_ms) {
                return Err(misfit(key, "50 to 60000 milliseconds", &timeout_ms.to_string()));
            }
        }
        Ok(())
    }
}

/// How long the first height after a start waits for a quorum of validators.
const QUORUM_WAIT_MS: u64 = 20_000;

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

fn addresses(
    path: &Path,
    key: &'static str,
    texts: &[String],
) -> Result<Vec<Multiaddr>, ConfigError> {
    let parse = |text: &String| {
        text.parse().map_err(|_| ConfigError::Value {
            path: path.to_owned(),
            key,
            expected: "an address like /ip4/192.0.2.7/tcp/9000",
            found: text.clone(),
        })
    };
    texts.iter().map(parse).collect()
}
