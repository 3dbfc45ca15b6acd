//! What can keep the dashboard from running, named as what went wrong.

use std::io;
use std::path::PathBuf;

use ledger::genesis::GenesisFileError;
use mesh::MeshError;

use crate::accounts::AccountsError;
use crate::config::ConfigError;
use crate::data_dir::DataDirError;
use crate::read_model::StoreError;
use crate::tls::TlsError;

/// Why the dashboard does not run.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The configuration does not hold.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The genesis file cannot be read.
    #[error("the genesis file {path} cannot be read: {source}")]
    GenesisUnreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The genesis file founds no community.
    #[error("the genesis file {path} does not hold: {error}")]
    Genesis {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: GenesisFileError,
    },
    /// The genesis names a time zone that does not exist.
    #[error("the genesis names time zone {name:?}, expected an IANA name such as Europe/Berlin")]
    UnknownTimeZone {
        /// The name in the genesis.
        name: String,
    },
    /// The transport key cannot be used.
    #[error(transparent)]
    TransportKey(#[from] mesh::key_file::KeyFileError),
    /// The data directory cannot be had.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The sign-in database cannot be used.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The read model cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mesh does not start, or has crashed.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// The listener has no local address.
    #[error("the dashboard's listener cannot be used: {0}")]
    Listener(io::Error),
}
