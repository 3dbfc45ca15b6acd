//! `hidamari bench`: how fast this machine runs what the program is made of.

mod options;
mod report;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use ledger_node::config::NodeConfig;
use simulators::ledger_bench::{self, BenchError, BenchOptions};

use crate::failure::Failure;
use crate::{log, process};

pub(crate) use options::Bench;
use options::{BareValidator, LedgerBench};

/// The exit code of figures that leave a bound.
const BOUND_LEFT: u8 = 1;

/// Runs a bench.
///
/// # Errors
/// [`Failure`] if it could not be run to its end.
pub(crate) async fn run(bench: Bench) -> Result<ExitCode, Failure> {
    match bench {
        Bench::Ledger(options) => ledger(options).await,
        Bench::BareValidator(options) => bare_validator(options).await,
    }
}

async fn ledger(options: LedgerBench) -> Result<ExitCode, Failure> {
    log::start(&options.log, "error");
    let shutdown = process::shutdown(false);
    let program = std::env::current_exe().map_err(Failure::start)?;
    let LedgerBench { rounds, seconds, json, .. } = options;
    let progress = Progress::start(json);
    let measured = ledger_bench::run(
        BenchOptions { program, rounds, seconds },
        |what| progress.say(what),
        shutdown,
    )
    .await;
    progress.end();
    let figures = measured.map_err(Failure::from)?;
    let text = if json { report::json(&figures) } else { report::words(&figures) };
    // A reader that has left wants no more.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(if figures.holds { ExitCode::SUCCESS } else { ExitCode::from(BOUND_LEFT) })
}

async fn bare_validator(options: BareValidator) -> Result<ExitCode, Failure> {
    log::start(&options.role.log, "warn");
    let keys = options.role.passphrase.opener();
    let config = NodeConfig::load(&options.role.config, &keys).map_err(Failure::start)?;
    let shutdown = process::shutdown(options.role.exit_with_parent);
    let run = ledger_bench::run_bare(config, options.block_bytes, shutdown).await;
    run.map_err(|error| Failure::from(BenchError::from(error)))?;
    Ok(ExitCode::SUCCESS)
}

/// What is done now: one line on standard error, written over at a terminal.
struct Progress {
    terminal: bool,
    silent: bool,
}

impl Progress {
    fn start(json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { terminal, silent: json && !terminal }
    }

    fn say(&self, what: &str) {
        let (before, after) = if self.terminal { ("\r\x1b[K", " ...") } else { ("", " ...\n") };
        if !self.silent {
            // Nothing depends on it, and there is nobody else to tell.
            let _ = write!(std::io::stderr(), "{before}{what}{after}");
        }
    }

    fn end(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
