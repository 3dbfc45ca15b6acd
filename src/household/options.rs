//! What joining, signing in, changing keys and statements can be told.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Log, PassphraseFrom};
use crate::keys::NewKeys;
use crate::month::Month;

/// `hidamari agent join`
#[derive(Debug, Args)]
pub(crate) struct Join {
    /// The invitation: its file, or the line that begins with hidamari1
    #[arg(env = "HIDAMARI_INVITATION", hide_env_values = true)]
    pub(crate) invitation: String,
    /// Where the agent's files go; given again, joining goes on where it stood
    #[arg(long, env = "HIDAMARI_DIR", default_value = "agent")]
    pub(crate) dir: PathBuf,
    /// The community's genesis; without it, it is fetched from the community. Either way it must be
    /// the one that the invitation names
    #[arg(long, env = "HIDAMARI_GENESIS", value_name = "FILE")]
    pub(crate) genesis: Option<PathBuf>,
    /// The meter's profile, or a file of one; see `meter` in the agent's configuration
    #[arg(long, value_name = "PROFILE", requires = "meter_host")]
    pub(crate) meter: Option<String>,
    /// The meter's name or address
    #[arg(long, value_name = "HOST", requires = "meter")]
    pub(crate) meter_host: Option<String>,
    /// The meter's TCP port; by default its profile's
    #[arg(long, value_name = "PORT", requires = "meter")]
    pub(crate) meter_port: Option<u16>,
    /// Ask to join, and do not wait until the operator has taken the household in
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Say how it went in JSON, one line a step
    #[arg(id = "answer_json", long = "json")]
    pub(crate) json: bool,
    /// How the key files are written
    #[command(flatten)]
    pub(crate) keys: NewKeys,
    /// A scaled clock instead of the system's, as the demo hands it to its processes
    #[arg(long, env = "HIDAMARI_CLOCK", value_name = "MARKET_MS@REAL_MS*SPEED", hide = true)]
    pub(crate) clock: Option<String>,
    /// What to log
    #[command(flatten)]
    pub(crate) log: Log,
}

/// `hidamari agent rotate-key`
#[derive(Debug, Args)]
pub(crate) struct RotateKey {
    /// The agent's configuration file
    #[arg(long, env = "HIDAMARI_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Write the new key file unencrypted; see `hidamari agent join --help`
    #[arg(long, env = "HIDAMARI_PLAIN_KEYS")]
    pub(crate) plain_keys: bool,
    /// How long to wait for the block, in seconds
    #[arg(long, env = "HIDAMARI_WAIT", default_value_t = 120, value_name = "SECONDS")]
    pub(crate) wait: u64,
    /// Where the passphrase comes from
    #[command(flatten)]
    pub(crate) passphrase: PassphraseFrom,
    /// A scaled clock instead of the system's, as the demo hands it to its processes
    #[arg(long, env = "HIDAMARI_CLOCK", value_name = "MARKET_MS@REAL_MS*SPEED", hide = true)]
    pub(crate) clock: Option<String>,
    /// What to log
    #[command(flatten)]
    pub(crate) log: Log,
}

/// `hidamari agent sign-in`
#[derive(Debug, Args)]
pub(crate) struct SignIn {
    /// The agent's configuration file; the agent may be running
    #[arg(long, env = "HIDAMARI_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The dashboard's address, as the browser shows it; the link is good for no other
    #[arg(
        long,
        env = "HIDAMARI_DASHBOARD",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) dashboard: web::WebOrigin,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the passphrase comes from
    #[command(flatten)]
    pub(crate) passphrase: PassphraseFrom,
}

/// `hidamari agent statement`
#[derive(Debug, Args)]
pub(crate) struct Statement {
    /// The agent's configuration file; the agent may run meanwhile
    #[arg(long, env = "HIDAMARI_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Which month, by the community's clocks; what was posted in its blocks
    #[arg(long, value_name = "YYYY-MM")]
    pub(crate) month: Month,
    /// The file to write; it must not be there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Answer in JSON
    #[arg(id = "answer_json", long = "json")]
    pub(crate) json: bool,
    /// What to log
    #[command(flatten)]
    pub(crate) log: Log,
}
