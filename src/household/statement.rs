//! `hidamari agent statement`: a month of the household, proved from the genesis alone.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ledger_node::statement::{NoStatement, StatementFile, fetch_statement};
use mesh::{MeshConfig, TransportKey};
use meter_agent::AgentConfig;
use serde_json::json;

use crate::failure::Failure;
use crate::household::options::Statement;
use crate::visit::read_genesis;

/// How long nobody may answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many heights lie between two lines of progress.
const TELL_EVERY: u64 = 1_000;

/// Fetches the chain, computes it again, and writes the household's statement. The agent may run
/// meanwhile.
///
/// # Errors
/// [`Failure`] says what to mend, or what may go better the next time.
pub(crate) async fn statement(options: Statement) -> Result<ExitCode, Failure> {
    let config = AgentConfig::load(&options.config).map_err(Failure::start)?;
    let genesis = read_genesis(&config.genesis)?;
    let span = options.month.span(&genesis)?;
    let mesh = MeshConfig {
        // The agent's own may be on the mesh already.
        transport_key: TransportKey::generate(),
        chain_id: *genesis.chain_id().as_bytes(),
        listen: Vec::new(),
        bootstrap: config.mesh.bootstrap.clone(),
        mdns: false,
        serve_blocks: false,
    };
    let file = StatementFile::create(&options.out).map_err(Failure::start)?;
    let mut told = 0;
    let tell = |height: u64| {
        if height / TELL_EVERY > told {
            told = height / TELL_EVERY;
            tell_line(&format!("computed {height} blocks"));
        }
    };
    let made = fetch_statement(&genesis, mesh, config.party, span, PATIENCE, tell).await;
    let height = file.fill(made).map_err(|error| match error {
        NoStatement::Nobody { .. } => Failure::again(error),
        error => Failure::start(error),
    })?;
    // The agent's file names it from its own directory; whoever checks stands in another.
    let genesis = config.genesis.canonicalize().unwrap_or(config.genesis);
    say(&options, &genesis, height);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn say(options: &Statement, genesis: &Path, height: u64) {
    let (file, genesis) = (options.out.display(), genesis.display());
    if options.json {
        println!("{}", json!({ "file": options.out, "height": height }));
    } else {
        println!("{file}: up to block {height}.");
        println!("Check it anywhere with `hidamari verify statement {file} --genesis {genesis}`.");
    }
}

#[expect(clippy::print_stderr, reason = "progress is told beside the output")]
fn tell_line(line: &str) {
    eprintln!("{line}");
}
