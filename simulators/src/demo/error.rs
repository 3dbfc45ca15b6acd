//! Why the demo did not start, or could not go on.

use std::io;
use std::path::{Path, PathBuf};

use ledger_node::audit::AuditError;
use mesh::key_file::KeyFileError;

use crate::error::SimulatorError;

/// Why the demo did not start, or could not go on. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A figure out of range.
    #[error("{option} must be {expected}, but it is {found}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What was expected.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The dashboard's port is taken.
    #[error(
        "--port: port {port} on 127.0.0.1 is in use; stop the program that listens there, or name \
         another"
    )]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The dashboard's port cannot be listened on.
    #[error("--port: cannot listen on port {port} of 127.0.0.1 ({source}); name another")]
    Port {
        /// The port.
        port: u16,
        /// The system's words.
        source: io::Error,
    },
    /// The report cannot be written.
    #[error("--report: {path} {problem}")]
    Report {
        /// As given.
        path: PathBuf,
        /// Why, and what to do.
        problem: String,
    },
    /// No port is free.
    #[error("no free port on 127.0.0.1: {0}")]
    NoPort(#[source] io::Error),
    /// Another demo plays there.
    #[error("--data-dir: another demo is using {dir}; stop it, or name another directory")]
    DataDirInUse {
        /// The directory.
        dir: PathBuf,
    },
    /// A process of a demo that was killed has not ended yet.
    #[error(
        "--data-dir: {name} of an earlier demo still runs in {dir}; end it (processes.json there \
         names its process id), or name another directory"
    )]
    StillRunning {
        /// The directory.
        dir: PathBuf,
        /// Which process.
        name: String,
    },
    /// The directory holds another demo.
    #[error(
        "--data-dir: {dir} holds a demo with other households, validators, seed or speed; use the \
         same figures as then, or name another directory"
    )]
    OtherDemo {
        /// The directory.
        dir: PathBuf,
    },
    /// A file of the demo does not hold what the demo wrote.
    #[error("{path} is damaged: {problem}; {remedy}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A file cannot be read or written.
    #[error("cannot read or write {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The figures found no community.
    #[error("the community cannot be founded: {0}")]
    Founding(String),
    /// A process cannot be started.
    #[error("cannot start {name}: {source}")]
    Spawn {
        /// Which process.
        name: String,
        /// The system's words.
        source: io::Error,
    },
    /// What was asked for can no longer come about.
    #[error("{name} cannot run, so the wanted --periods would never be reached: {why}")]
    GivenUp {
        /// Which process.
        name: String,
        /// Its last words.
        why: String,
    },
    /// A household or a meter.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The stored chains cannot be audited.
    #[error("the stored chains cannot be audited: {0}; {START_AFRESH}")]
    Audit(#[from] AuditError),
    /// The terminal failed.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[source] io::Error),
}

/// What to do about a file that only the demo itself could have written again.
pub(super) const START_AFRESH: &str =
    "put it back from a copy, or start afresh with another --data-dir";

impl DemoError {
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    pub(super) fn founding(problem: impl ToString) -> Self {
        Self::Founding(problem.to_string())
    }

    /// A file that only a copy or a fresh start replaces.
    pub(super) fn damaged(path: &Path, problem: impl ToString) -> Self {
        let (path, problem) = (path.to_owned(), problem.to_string());
        Self::Damaged { path, problem, remedy: START_AFRESH }
    }
}
