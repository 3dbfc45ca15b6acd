//! The options of `hidamari bench`.

use clap::{Args, Subcommand};
use ledger::block::BLOCK_BYTES_MAX;

use crate::cli::{Log, Role};

/// How a bench ends.
const BENCH_EXIT_CODES: &str = "Exit codes: 0 every bound holds; 1 one is left, and the \
    figures say which; 2 it could not be measured, and it says why.";

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Four validators on this machine under as many orders as they bear, against the floor
    ///
    /// Starts four validators and sends them signed orders over the mesh, then lets the bare
    /// consensus engine decide blocks of the same size, by turns. The floor is the engine's
    /// processor time for each order and one strict signature check for each validator; the ledger
    /// is to reach 70 % of it, and to decide every block in its first round.
    #[command(after_help = BENCH_EXIT_CODES)]
    Ledger(LedgerBench),
    /// One process of the bare consensus engine, as `bench ledger` starts it
    #[command(hide = true)]
    BareValidator(BareValidator),
}

/// `hidamari bench ledger`
#[derive(Debug, Args)]
pub(crate) struct LedgerBench {
    /// How often ledger and floor are measured, by turns, 1 to 20; the medians count
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u32,
    /// How long each time, in seconds, 2 to 600
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// All figures as JSON
    #[arg(id = "figures_as_json", long = "json")]
    pub(crate) json: bool,
    /// What to log
    #[command(flatten)]
    pub(crate) log: Log,
}

/// `hidamari bench bare-validator`
#[derive(Debug, Args)]
pub(crate) struct BareValidator {
    /// What every role has
    #[command(flatten)]
    pub(crate) role: Role,
    /// How large each block is
    #[arg(long, value_parser = block_bytes)]
    pub(crate) block_bytes: usize,
}

fn block_bytes(text: &str) -> Result<usize, String> {
    let bytes: usize = text.parse().map_err(|_| "a number of bytes is wanted".to_owned())?;
    if (1..=BLOCK_BYTES_MAX).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("a block has 1 to {BLOCK_BYTES_MAX} bytes"))
    }
}
