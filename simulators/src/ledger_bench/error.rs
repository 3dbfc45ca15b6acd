//! Why a bench could not be run to its end.

use ledger_node::consensus::ConsensusError;
use mesh::MeshError;

use crate::demo::DemoError;

/// Why a bench could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A figure out of range.
    #[error("{option} must be {expected}, but it is {found}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What was expected.
        expected: &'static str,
        /// What was given.
        found: u64,
    },
    /// The stage could not be set.
    #[error(transparent)]
    Stage(#[from] DemoError),
    /// This process could not join the mesh.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// The bare engine did not run.
    #[error(transparent)]
    Engine(#[from] ConsensusError),
    /// A process ended by itself.
    #[error("{name} ended by itself: {why}")]
    Ended {
        /// Which.
        name: String,
        /// Its last words.
        why: String,
    },
    /// Something that was waited for did not come.
    #[error("{what} within {seconds} s; is the machine busy with something else?")]
    Late {
        /// What did not happen.
        what: &'static str,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The system does not tell what a process costs.
    #[error("this system does not tell in /proc how long a process ran; the bench needs Linux")]
    NoProcessorTime,
    /// It was asked to end.
    #[error("interrupted; nothing was measured")]
    Interrupted,
}
