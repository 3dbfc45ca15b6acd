//! The options of `hidamari dashboard operator`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use web::OperatorName;

/// What is done to a dashboard beside running it.
#[derive(Debug, Subcommand)]
pub(crate) enum DashboardTool {
    /// Who may sign in as an operator
    #[command(subcommand)]
    Operator(OperatorTool),
}

/// `hidamari dashboard operator`
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorTool {
    /// Set an operator up: asks for a password, and shows the key of an authenticator
    Add(Add),
    /// Take an operator away, and end its sessions
    Remove(Remove),
    /// List operators
    List(ListOperators),
}

/// `hidamari dashboard operator add`
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The operator's name: small letters, digits, `-`, `.` and `_`
    pub(crate) name: OperatorName,
    /// The dashboard's configuration file (TOML)
    #[arg(long, env = "HIDAMARI_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Give an operator a new password and authenticator, and end its sessions
    #[arg(long)]
    pub(crate) replace: bool,
    /// A file whose first line is the password, readable by its owner alone; without it, it is asked
    /// for at the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hidamari dashboard operator remove`
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The operator's name
    pub(crate) name: OperatorName,
    /// The dashboard's configuration file (TOML)
    #[arg(long, env = "HIDAMARI_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hidamari dashboard operator list`
#[derive(Debug, Args)]
pub(crate) struct ListOperators {
    /// The dashboard's configuration file (TOML)
    #[arg(long, env = "HIDAMARI_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}
