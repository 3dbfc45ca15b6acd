//! `hidamari node`: the service, and what is done to its ledger.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use ledger_node::admin::{self, Admin, AdminDone, AdminError, AdminRequest};
use ledger_node::config::{LoadedNode, NodeConfig};
use ledger_node::repair::{RepairProgress, RepairReport, RepairTask, repair};
use ledger_node::restore::restore;
use ledger_node::store::{BackupProgress, ErasureEntry, Store};
use market::member::PartyId;
use tokio_util::sync::CancellationToken;

use crate::cli::{Log, PassphraseFrom, RoleOrTool};
use crate::failure::Failure;
use crate::month::Month;
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
    /// Write a party's month with everything that proves it, for `hidamari verify statement`
    #[command(after_help = TOOL_EXIT_CODES)]
    Statement(Statement),
    /// Show how this node has erased a party, and its signed receipt; what is due is erased at once.
    /// An operator asks all nodes for it by `hidamari operator erase`
    #[command(after_help = TOOL_EXIT_CODES)]
    Erase(Erase),
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

/// `hidamari node statement`
#[derive(Debug, Args)]
pub(crate) struct Statement {
    #[command(flatten)]
    whose: Whose,
    /// Whose month
    party: PartyId,
    /// Which month, by the community's clocks; what was posted in its blocks
    #[arg(long, value_name = "YYYY-MM")]
    month: Month,
    /// The file to write; it must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// `hidamari node erase`
#[derive(Debug, Args)]
pub(crate) struct Erase {
    #[command(flatten)]
    whose: Whose,
    /// Whom
    party: PartyId,
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
            Tool::Backup(Copy { whose, to }) => {
                let to = absolute(&to)?;
                write(&whose, &whose.load()?, &to, AdminRequest::Backup { to: to.clone() }).await
            }
            Tool::Snapshot(Copy { whose, to }) => {
                let to = absolute(&to)?;
                write(&whose, &whose.load()?, &to, AdminRequest::Snapshot { to: to.clone() }).await
            }
            Tool::Statement(options) => state(options).await,
            Tool::Erase(options) => erase(options).await,
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

/// The node may work in another directory.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(Failure::start)
}

async fn state(options: Statement) -> Result<ExitCode, Failure> {
    let Statement { whose, party, month, out } = options;
    let node = whose.load()?;
    let (span, to) = (month.span(&node.genesis)?, absolute(&out)?);
    let request = AdminRequest::Statement {
        party: party.to_string(),
        from_ms: span.from.as_millis(),
        until_ms: span.until.as_millis(),
        to: to.clone(),
    };
    write(&whose, &node, &to, request).await
}

async fn write(
    whose: &Whose,
    node: &LoadedNode,
    to: &Path,
    request: AdminRequest,
) -> Result<ExitCode, Failure> {
    let AdminDone::Written { height } = ask(node, &request).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let json = serde_json::json!({ "file": to, "height": height });
    print(whose.json, &json, || vec![format!("{}: height {height}", to.display())]);
    Ok(ExitCode::SUCCESS)
}

async fn erase(options: Erase) -> Result<ExitCode, Failure> {
    let node = options.whose.load()?;
    let request = AdminRequest::Erase { party: options.party.to_string() };
    if let AdminDone::Erased(entry) = ask(&node, &request).await? {
        print(options.whose.json, &entry, || {
            let ErasureEntry { party, requested_at_height, heights, leaves_count, .. } = &entry;
            let blocks = heights.len();
            vec![
                format!(
                    "{party} is erased here: {leaves_count} leaves of {blocks} blocks, as block \
                     {requested_at_height} asks."
                ),
                format!("Validator {} has signed: {}", entry.validator, entry.signature),
            ]
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the running node, or opens the ledger of one that does not run.
async fn ask(node: &LoadedNode, request: &AdminRequest) -> Result<AdminDone, Failure> {
    let tell = |BackupProgress { height, tip }: BackupProgress| {
        tell_line(&format!("{height} of {tip} blocks"));
    };
    match admin::ask(&node.data_dir, request, tell).await {
        Err(AdminError::NotRunning { .. }) if Store::exists(&node.data_dir) => {
            let opened = Store::open(&node.data_dir, &node.genesis).await;
            let (store, _) = opened.map_err(Failure::start)?;
            let (genesis, key) = (node.genesis.clone(), node.consensus.signing_key.clone());
            let admin =
                Admin { data_dir: node.data_dir.clone(), store: store.clone(), genesis, key };
            let done = admin.carry_out(request, tell).await;
            store.close().await;
            done.map_err(Failure::start)
        }
        answered => answered.map_err(Failure::start),
    }
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
