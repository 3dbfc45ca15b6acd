//! Where log lines go: standard error, as text or JSON.

use std::io::IsTerminal as _;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};
use tracing_subscriber::fmt;

use crate::cli::Log;

/// Libraries that say more than an operator wants to read.
const QUIET: &str = "libp2p_gossipsub=error,libp2p=warn,sqlx=warn,hyper=warn";

/// What an operator wants to read: levels and targets, each part of it checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl FromStr for LogFilter {
    type Err = String;

    /// Only parts that say a level count: a misspelt level would otherwise be taken for the name of
    /// a target, and silence everything else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
        for part in &parts {
            let is_level = |text: &str| !text.is_empty() && text.parse::<LevelFilter>().is_ok();
            let understood = match part.rsplit_once('=') {
                None => is_level(part),
                Some((target, level)) => {
                    !target.is_empty() && is_level(level) && part.parse::<Directive>().is_ok()
                }
            };
            if !understood {
                return Err(format!(
                    "{part:?} is neither a level (off, error, warn, info, debug, trace) nor \
                     TARGET=LEVEL"
                ));
            }
        }
        Ok(Self(parts.join(",")))
    }
}

/// Starts logging; `default` holds unless the operator names a filter.
pub(crate) fn start(log: &Log, default: &str) {
    let wanted = log.filter.as_ref().map_or(default, |LogFilter(text)| text);
    let wanted = if wanted.is_empty() { default } else { wanted };
    let directives = format!("{QUIET},{},{wanted}", ledger_node::consensus::LOG_FILTER);
    let filter = EnvFilter::builder().parse_lossy(directives);
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if log.json {
        lines.json().init();
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).init();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_filter_is_understood_or_named() {
        for good in ["", "info", "DEBUG", "info, mesh=debug", "off,ledger_node::store=trace", ","] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for (wrong, part) in [
            ("inof", "inof"),
            ("info,mesh=loud", "mesh=loud"),
            ("=info", "=info"),
            ("info;mesh", "info;mesh"),
            ("mesh=", "mesh="),
            ("a=b=c,info", "a=b=c"),
        ] {
            let told = wrong.parse::<LogFilter>().expect_err(wrong);
            assert!(told.starts_with(&format!("{part:?} ")), "{told}");
        }
    }
}
