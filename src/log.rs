//! Where log lines go: standard error, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::cli::Log;

/// Libraries that say more than an operator wants to read.
const QUIET: &str = "libp2p_gossipsub=error,libp2p=warn,sqlx=warn,hyper=warn";

/// Starts logging; `default` holds unless the operator names a filter.
pub(crate) fn start(log: &Log, default: &str) {
    let wanted = log.filter.as_deref().unwrap_or(default);
    let directives = format!("{QUIET},{},{wanted}", ledger_node::consensus::LOG_FILTER);
    let filter = EnvFilter::builder().parse_lossy(directives);
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if log.json {
        lines.json().init();
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).init();
    }
}
