//! An operator's configuration: whose keys, which community, where it can be reached.
//!
//! ```toml
//! genesis = "genesis.toml"                  # relative paths start at this file
//! operator_key = "operator.key"
//! data_dir = "data"                         # the followed state, and invitations
//!
//! [mesh]
//! transport_key = "mesh.key"
//! bootstrap = ["/ip4/192.0.2.7/tcp/4001"]
//!
//! # Where the first validators listen for each other, while the ledger does not say it.
//! [[endpoints]]
//! key = "64 hexadecimal digits"
//! address = "/ip4/192.0.2.7/tcp/9000/p2p/12D3.."
//! ```

use std::path::{Path, PathBuf};

use ledger::acts::Endpoint;
use market::keys::{PublicKey, SigningKey};
use mesh::Multiaddr;
use mesh::key_file::Keychain;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::visit::{Door, read_genesis};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperatorFile {
    genesis: PathBuf,
    operator_key: PathBuf,
    data_dir: PathBuf,
    mesh: MeshToml,
    #[serde(default)]
    endpoints: Vec<EndpointToml>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeshToml {
    transport_key: PathBuf,
    bootstrap: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointToml {
    key: String,
    address: String,
}

/// An operator, ready to act.
pub(super) struct Operator {
    pub(super) key: SigningKey,
    pub(super) door: Door,
    /// Where the first validators listen.
    pub(super) endpoints: Vec<Endpoint>,
}

impl OperatorFile {
    /// The text of a new operator's file.
    pub(crate) fn text(bootstrap: &[String], endpoints: &[(PublicKey, String)]) -> String {
        let file = Self {
            genesis: "genesis.toml".into(),
            operator_key: "operator.key".into(),
            data_dir: "data".into(),
            mesh: MeshToml { transport_key: "mesh.key".into(), bootstrap: bootstrap.to_vec() },
            endpoints: endpoints
                .iter()
                .map(|(key, address)| EndpointToml {
                    key: key.to_string(),
                    address: address.clone(),
                })
                .collect(),
        };
        // Text and lists of text always have a form in TOML.
        toml::to_string(&file).unwrap_or_default()
    }

    /// Reads the file and what it names.
    ///
    /// # Errors
    /// [`Failure`] names the file, the line, and what was expected.
    pub(super) fn load(path: &Path, keys: &Keychain) -> Result<Operator, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::file(path, &error).of("--config"))?;
        let file: Self = toml::from_str(&text)
            .map_err(|error| Failure::file(path, &ledger::genesis::toml_problem(&text, &error)))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let address = |text: &String| {
            let expected =
                format!("mesh.bootstrap: {text:?} is no address like /ip4/192.0.2.7/tcp/4001");
            text.parse::<Multiaddr>().map_err(|_| Failure::file(path, &expected))
        };
        let endpoints = file.endpoints.into_iter().map(|one| {
            let key = one.key.parse().map_err(|error| Failure::file(path, &error))?;
            Ok::<_, Failure>(Endpoint { key, address: one.address })
        });
        let key = keys.read(&folder.join(&file.operator_key)).map_err(Failure::start)?;
        let transport =
            keys.read(&folder.join(&file.mesh.transport_key)).map_err(Failure::start)?;
        let door = Door {
            genesis: read_genesis(&folder.join(&file.genesis))?,
            transport,
            bootstrap: file.mesh.bootstrap.iter().map(address).collect::<Result<_, _>>()?,
            data_dir: folder.join(&file.data_dir),
        };
        let endpoints = endpoints.collect::<Result<_, _>>()?;
        Ok(Operator { key: SigningKey::from_seed(&key), door, endpoints })
    }
}
