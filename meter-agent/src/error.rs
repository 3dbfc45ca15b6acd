//! Why an agent cannot run. Each sentence says what to do.

use market::keys::ChainId;
use market::member::{MeteringPointId, PartyId};
use mesh::MeshError;
use mesh::key_file::KeyFileError;
use std::path::PathBuf;

pub use crate::config::ConfigError;
pub use crate::outbox::OutboxError;
pub use crate::toml_text::TomlError;

/// Why an agent does not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration does not hold.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The genesis file cannot be read or does not hold.
    #[error("the genesis file {} cannot be used: {problem}", path.display())]
    Genesis {
        /// The file.
        path: PathBuf,
        /// Why; names line or key.
        problem: String,
    },
    /// The membership file cannot be read or does not hold.
    #[error(
        "{} cannot be used: {problem}; `hidamari agent join` writes it anew", path.display()
    )]
    Membership {
        /// The file.
        path: PathBuf,
        /// Why; names line or key.
        problem: String,
    },
    /// A key file that cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The party is not a member.
    #[error(
        "party {party} is not a member of {community:?}; ask its operator for an invitation, or \
         correct `party`"
    )]
    NotAMember {
        /// The party.
        party: PartyId,
        /// What people call the community.
        community: String,
    },
    /// The key is not the member's.
    #[error(
        "{} is not the key of party {party}; give the path of that party's key file as `party_key`",
        path.display()
    )]
    ForeignKey {
        /// The key file.
        path: PathBuf,
        /// The party.
        party: PartyId,
    },
    /// The metering point is not the member's.
    #[error(
        "metering point {configured} does not belong to the party, whose metering point is \
         {registered}; correct `metering_point`"
    )]
    ForeignMeteringPoint {
        /// In the configuration.
        configured: MeteringPointId,
        /// In the genesis.
        registered: MeteringPointId,
    },
    /// The data directory was written for another community or party.
    #[error(
        "{} belongs to party {found_party} of community {found_chain}; give this agent a data_dir \
         of its own",
        path.display()
    )]
    ForeignDataDir {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found_party: PartyId,
        /// Of which community.
        found_chain: ChainId,
    },
    /// Another agent works there.
    #[error(
        "another agent is using {}; stop it, or give this one a data_dir of its own", path.display()
    )]
    DataDirInUse {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory cannot be made or written.
    #[error("cannot use {} as data_dir: {source}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The outbox cannot be opened.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The mesh cannot start, or has crashed.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// A part of the agent ended by a defect of the program.
    #[error("the agent's {0} ended unexpectedly; please report this")]
    PartEnded(&'static str),
}
