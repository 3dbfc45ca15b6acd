//! `hidamari node`: the service, and what is done to its ledger.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use ledger_node::admin::{self, AdminError, AdminRequest};
use ledger_node::config::{LoadedNode, NodeConfig};
use ledger_node::repair::{RepairProgress, RepairReport, RepairTask, repair};
use ledger_node::restore::restore;
use ledger_node::snapshot::write_snapshot;
use ledger_node::store::{BackupProgress, Store};
use tokio_util::sync::CancellationToken;

use crate::cli::{Log, PassphraseFrom, RoleOrTool};
use crate::failure::Failure;
use crate::{clock, log, process};

/// How a tool ends.
const TOOL_EXIT_CODES: &str = "Exit codes: 0 done; 2 not done, and nothing was changed: it says what \
    to mend.";

/// `hidamari node`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Node {
    /// What to do to the ledger
    #[command(subcommand)]
    pub(crate) tool: Option<Tool>,
    /// What every role has
    #[command(flatten)]
    pub(crate) role: RoleOrTool,
    /// Start a ledger that is not there yet from a certified snapshot: a file, or `peers` for the
    /// newest one of other nodes
    #[arg(long, env = "HIDAMARI_FROM_SNAPSHOT", value_name = "FILE|peers")]
    pub(crate) from_snapshot: Option<String>,
}

/// What is done to a node's ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// Mend a stopped node's ledger from other nodes
    #[command(after_help = TOOL_EXIT_CODES)]
    Repair(Repair),
    /// Copy the ledger into a new file, while the node runs or not
    #[command(after_help = TOOL_EXIT_CODES)]
    Backup(Copy),
    /// Start an empty data directory from a backup; a validator then watches before it votes
    #[command(after_help = TOOL_EXIT_CODES)]
    Restore(Restore),
    /// Write the newest certified snapshot into a new file, while the node runs or not
    #[command(after_help = TOOL_EXIT_CODES)]
    Snapshot(Copy),
}

/// Whose ledger.
#[derive(Debug, Args)]
pub(crate) struct Whose {
    /// The node's configuration file (TOML)
    #[arg(long, env = "HIDAMARI_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// How its key files are opened
    #[command(flatten)]
    passphrase: PassphraseFrom,
    /// Answer in JSON
    #[arg(id = "answer-json", long = "json")]
    json: bool,
    /// What to log
    #[command(flatten)]
    log: Log,
}

/// `hidamari node repair`
#[derive(Debug, Args)]
pub(crate) struct Repair {
    #[command(flatten)]
    whose: Whose,
    /// How long to look for a node that has what is missing, in seconds
    #[arg(long = "patience", env = "HIDAMARI_PATIENCE", default_value_t = 60, value_name = "S")]
    patience_s: u64,
}

/// `hidamari node backup` and `hidamari node snapshot`
#[derive(Debug, Args)]
pub(crate) struct Copy {
    #[command(flatten)]
    whose: Whose,
    /// The file to write; it must not be there yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// `hidamari node restore`
#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    whose: Whose,
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// A scaled clock instead of the system's
    #[arg(long, env = "HIDAMARI_CLOCK", value_name = "MARKET_MS@REAL_MS*SPEED")]
    clock: Option<String>,
}

/// Runs a tool.
///
/// # Errors
/// [`Failure`] says what to mend; nothing was changed then.
pub(crate) fn run(tool: Tool) -> Result<ExitCode, Failure> {
    process::block_on(process::Size::Medium, async {
        match tool {
            Tool::Repair(options) => mend(options).await,
            Tool::Backup(options) => copy(options, Content::Backup).await,
            Tool::Snapshot(options) => copy(options, Content::Snapshot).await,
            Tool::Restore(options) => put_back(options).await,
        }
    })
}

impl Whose {
    fn load(&self) -> Result<LoadedNode, Failure> {
        log::start(&self.log, "warn");
        NodeConfig::load(&self.config, &self.passphrase.opener()).map_err(Failure::start)
    }
}

async fn mend(options: Repair) -> Result<ExitCode, Failure> {
    let node = options.whose.load()?;
    let task = RepairTask {
        genesis: node.genesis,
        data_dir: node.data_dir,
        mesh: node.mesh,
        patience: Duration::from_secs(options.patience_s),
    };
    let tell = |progress| tell_line(&words_of(progress));
    let report = repair(task, tell, process::shutdown(false)).await.map_err(Failure::start)?;
    print(options.whose.json, &report, || sentences(&report));
    Ok(ExitCode::SUCCESS)
}

/// What is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Backup,
    Snapshot,
}

async fn copy(options: Copy, content: Content) -> Result<ExitCode, Failure> {
    let node = options.whose.load()?;
    // The node may work in another directory.
    let to = std::path::absolute(&options.to).map_err(Failure::start)?;
    let request = match content {
        Content::Backup => AdminRequest::Backup { to: to.clone() },
        Content::Snapshot => AdminRequest::Snapshot { to: to.clone() },
    };
    let tell = |BackupProgress { height, tip }: BackupProgress| {
        tell_line(&format!("copied {height} of {tip} blocks"));
    };
    let height = match admin::ask(&node.data_dir, &request, tell).await {
        Ok(height) => height,
        Err(AdminError::NotRunning { .. }) if Store::exists(&node.data_dir) => {
            let (store, _) =
                Store::open(&node.data_dir, &node.genesis).await.map_err(Failure::start)?;
            let copied = match content {
                Content::Backup => {
                    store.backup(&node.genesis, &to, tell).await.map_err(Failure::start)
                }
                Content::Snapshot => write_snapshot(&store, &to).await.map_err(Failure::start),
            };
            store.close().await;
            copied?
        }
        Err(error) => return Err(Failure::start(error)),
    };
    let json = serde_json::json!({ "file": to, "height": height });
    print(options.whose.json, &json, || vec![format!("{}: height {height}", to.display())]);
    Ok(ExitCode::SUCCESS)
}

async fn put_back(options: Restore) -> Result<ExitCode, Failure> {
    let node = options.whose.load()?;
    let clock = clock::choose(options.clock.as_deref())?;
    let drift_ms = i64::try_from(node.genesis.block_drift_max_ms).unwrap_or(i64::MAX);
    let votes_after = clock.now().plus_millis(drift_ms);
    let restored = restore(&node.data_dir, &node.genesis, &options.from, votes_after);
    let height = restored.await.map_err(Failure::start)?;
    let json = serde_json::json!({ "height": height, "votes_after_ms": votes_after.as_millis() });
    print(options.whose.json, &json, || {
        vec![
            format!("Restored up to height {height}."),
            format!(
                "The validator fetches the rest, and votes once the others have committed a block \
                 of a later time than {votes_after}."
            ),
        ]
    });
    Ok(ExitCode::SUCCESS)
}

fn words_of(progress: RepairProgress) -> String {
    match progress {
        RepairProgress::Copying { height, tip } => format!("copying: {height} of {tip}"),
        RepairProgress::Fetching { from, through } => format!("fetching {from} to {through}"),
        RepairProgress::Replaying { height, tip } => format!("replaying: {height} of {tip}"),
    }
}

fn sentences(report: &RepairReport) -> Vec<String> {
    let mut lines: Vec<_> =
        report.damaged.iter().map(|finding| format!("damaged: {finding}")).collect();
    lines.extend(report.refused_peers.iter().map(|peer| format!("refused: {peer} sent junk")));
    if let Some(signed) = report.signed_height {
        lines.push(format!(
            "The ledger ends at height {}, but this validator has signed at height {signed}: it is \
             an older copy, or blocks at its end are lost. The node fetches them before it votes.",
            report.height
        ));
    }
    lines.push(match &report.kept_aside {
        None => format!("Nothing is damaged up to height {}.", report.height),
        Some(aside) => format!(
            "Mended up to height {}: {} blocks fetched; the damaged ledger is kept as {}.",
            report.height,
            report.fetched.len(),
            aside.display()
        ),
    });
    lines
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn print<T: serde::Serialize>(json: bool, value: &T, lines: impl FnOnce() -> Vec<String>) {
    if json {
        // A report is plain data, which always has a spelling in JSON.
        println!("{}", serde_json::to_string(value).unwrap_or_default());
        return;
    }
    for line in lines() {
        println!("{line}");
    }
}

#[expect(clippy::print_stderr, reason = "progress is told beside the output")]
fn tell_line(line: &str) {
    eprintln!("{line}");
}

/// Runs the service until it is asked to end.
///
/// # Errors
/// [`Failure`] if it does not start, or ends by itself.
pub(crate) async fn serve(
    mut config: LoadedNode,
    from_snapshot: Option<&str>,
    listener: tokio::net::TcpListener,
    clock: std::sync::Arc<dyn market::time::Clock>,
    shutdown: CancellationToken,
) -> Result<ExitCode, Failure> {
    if let Some(source) = from_snapshot {
        config.from_snapshot = Some(source.into());
    }
    ledger_node::node::run(config, listener, clock, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}
