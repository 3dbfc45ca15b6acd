//! The command line. Every option is also an environment variable.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use simulators::demo::{DemoGates, DemoOptions, HOUSEHOLDS};
use simulators::simulated_meter::SimulatedMeterConfig;

use crate::clear::{Clear, FILES_AND_EXIT_CODES};
use crate::community::Community;
use crate::dashboard::DashboardTool;
use crate::failure::Failure;
use crate::household::{Join, RotateKey, SignIn, Statement};
use crate::log::LogFilter;
use crate::meters::UnitList;
use crate::node_tools::Node;
use crate::operator::{EXIT_CODES, Operate};

/// A peer-to-peer energy market for a neighbourhood
///
/// Households sell surplus solar to each other in an auction that every validator recomputes;
/// readings, trades and settlement live on a ledger that everybody concerned can check.
#[derive(Debug, Parser)]
#[command(name = "hidamari", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How a demo ends.
const DEMO_EXIT_CODES: &str = "Exit codes: 0 every law of the market held; 1 one was broken; 2 it \
    did not start or could not go on, and says what to mend.";

/// How a service ends.
const SERVICE_EXIT_CODES: &str = "Exit codes: 0 it was asked to end; 1 it ended by itself, and can \
    be started again as it is; 2 it cannot run before what it says is mended.";

/// How a check ends.
const VERIFY_EXIT_CODES: &str = "Exit codes: 0 proved; 1 a proof that does not hold, and it says \
    where; 2 nothing to check: a file is no such proof, or cannot be read.";

/// How a scan ends.
const SCAN_EXIT_CODES: &str = "Exit codes: 0 at least one device answers; 1 none does; 2 it cannot \
    look there.";

/// How a meter's check ends.
const CHECK_EXIT_CODES: &str = "Exit codes: 0 nothing is wrong; 1 the meter failed, and its \
    metering point does not trade before a check finds nothing wrong; 2 the check cannot be made.";

/// What the program can be.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A whole neighbourhood on this machine, against simulated meters, with the dashboard
    #[command(after_help = DEMO_EXIT_CODES)]
    Demo(Demo),
    /// A validator: takes part in consensus and keeps the ledger
    #[command(after_help = SERVICE_EXIT_CODES)]
    Node(Node),
    /// A household's agent: reads the meter, trades, signs; and what a household and its installer
    /// need beside
    #[command(after_help = SERVICE_EXIT_CODES)]
    Agent(Agent),
    /// The dashboard, on its own verifying follower; and who may sign in to it as an operator
    #[command(after_help = SERVICE_EXIT_CODES)]
    Dashboard(Dashboard),
    /// Simulated devices
    #[command(subcommand)]
    Simulate(Simulate),
    /// Check offline what somebody claims, trusting only the genesis
    #[command(subcommand)]
    Verify(Verify),
    /// Found a community, or make the folder of one more validator
    #[command(subcommand)]
    Community(Community),
    /// What an operator answers for: invitations, members, tariffs, grid, validators, settlements
    #[command(subcommand, after_help = EXIT_CODES)]
    Operator(Operate),
    /// One auction over CSV files: prices, fills, trades and answers, without a network
    #[command(after_help = FILES_AND_EXIT_CODES)]
    Clear(Clear),
}

/// `hidamari demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How many households, 2 to 500; 7 of 12 have solar power, 2 of 12 a battery as well
    #[arg(long, env = "HIDAMARI_HOUSEHOLDS", default_value_t = 12)]
    pub(crate) households: u32,
    /// How many validators, 1 to 25; 4 bear one that fails, 7 bear two
    #[arg(long, env = "HIDAMARI_VALIDATORS", default_value_t = 4)]
    pub(crate) validators: usize,
    /// When the auctions are held
    #[arg(long, env = "HIDAMARI_GATES", value_enum, default_value_t = Gates::Before)]
    pub(crate) gates: Gates,
    /// Market seconds per real second, 1 to 600
    #[arg(long, env = "HIDAMARI_SPEED", default_value_t = 60.0)]
    pub(crate) speed: f64,
    /// Decides the households, their weather and their keys
    #[arg(long, env = "HIDAMARI_SEED", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Where to keep everything; without it a temporary directory, removed at the end
    #[arg(long, env = "HIDAMARI_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The dashboard's port on 127.0.0.1
    #[arg(long, env = "HIDAMARI_PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    /// End after so many periods have been cleared and settled, and judge the laws of the market
    #[arg(long, env = "HIDAMARI_PERIODS", value_name = "K")]
    pub(crate) periods: Option<u64>,
    /// Plain lines instead of the live view
    #[arg(long, env = "HIDAMARI_HEADLESS")]
    pub(crate) headless: bool,
    /// Write the figures of the run and every law as JSON
    #[arg(long, env = "HIDAMARI_REPORT", value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,
    /// What to log
    #[command(flatten)]
    pub(crate) log: Log,
}

/// When the demo's auctions are held.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Gates {
    /// Before delivery: agents trade what they forecast
    Before,
    /// After delivery: standing curves trade what was metered, and nobody can be worse off
    After,
    /// Before delivery, and after it once more what was left
    Both,
}

impl From<Gates> for DemoGates {
    fn from(gates: Gates) -> Self {
        match gates {
            Gates::Before => Self::Before,
            Gates::After => Self::After,
            Gates::Both => Self::Both,
        }
    }
}

/// Where the passphrase of encrypted key files comes from.
///
/// Without either it is asked for at the terminal; a service of systemd finds it in the credential
/// `hidamari.passphrase`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PassphraseFrom {
    /// A file whose first line is the passphrase of the key files, readable by its owner alone;
    /// without it, the credential `hidamari.passphrase` of a systemd service, or the terminal
    #[arg(
        id = "passphrase_file",
        long = "passphrase-file",
        env = "HIDAMARI_PASSPHRASE_FILE",
        value_name = "FILE"
    )]
    pub(crate) file: Option<PathBuf>,
}

/// What the long-running roles share.
#[derive(Debug, Args)]
pub(crate) struct Role {
    /// The role's configuration file (TOML)
    #[arg(long, env = "HIDAMARI_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// A scaled clock instead of the system's, as the demo hands it to its processes
    #[arg(long, env = "HIDAMARI_CLOCK", value_name = "MARKET_MS@REAL_MS*SPEED")]
    pub(crate) clock: Option<String>,
    /// End when standard input closes, that is when the starting process is gone
    #[arg(long, env = "HIDAMARI_EXIT_WITH_PARENT")]
    pub(crate) exit_with_parent: bool,
    /// How encrypted keys are opened
    #[command(flatten)]
    pub(crate) passphrase: PassphraseFrom,
    /// What to log
    #[command(flatten)]
    pub(crate) log: Log,
}

/// The options of a role that has tools beside: with a tool, none of them counts. A flattened
/// `Option<Role>` would be `None` for a plain `--config` too.
#[derive(Debug, Args)]
pub(crate) struct RoleOrTool {
    /// The role's configuration file (TOML)
    #[arg(long, env = "HIDAMARI_CONFIG", value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// A scaled clock instead of the system's, as the demo hands it to its processes
    #[arg(long, env = "HIDAMARI_CLOCK", value_name = "MARKET_MS@REAL_MS*SPEED")]
    clock: Option<String>,
    /// End when standard input closes, that is when the starting process is gone
    #[arg(long, env = "HIDAMARI_EXIT_WITH_PARENT")]
    exit_with_parent: bool,
    /// How encrypted keys are opened
    #[command(flatten)]
    passphrase: PassphraseFrom,
    /// What to log
    #[command(flatten)]
    log: Log,
}

impl RoleOrTool {
    /// The role; `None` if the options belong to a tool.
    pub(crate) fn into_role(self) -> Option<Role> {
        let Self { config, clock, exit_with_parent, passphrase, log } = self;
        Some(Role { config: config?, clock, exit_with_parent, passphrase, log })
    }
}

/// `hidamari agent`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Agent {
    /// What every role has
    #[command(flatten)]
    role: RoleOrTool,
    /// Something else than running
    #[command(subcommand)]
    tool: Option<AgentTool>,
}

/// What the command line asks of an agent.
#[derive(Debug)]
pub(crate) enum AgentTask {
    /// To run.
    Run(Role),
    /// Something else.
    Tool(AgentTool),
}

/// What a household and its installer do beside trading.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentTool {
    /// Join a community by an invitation: makes the keys, asks, and tells the fingerprint to read
    /// to the operator
    Join(Join),
    /// Print a link with which the household signs in to the dashboard, once
    SignIn(SignIn),
    /// Let a new key sign for the household from now on; the agent must be stopped
    RotateKey(RotateKey),
    /// Write a month of the household with everything that proves it, for `hidamari verify
    /// statement`
    Statement(Statement),
    /// Look for meters on the network and on serial lines, and propose a profile for each
    #[command(after_help = SCAN_EXIT_CODES)]
    Scan(Scan),
    /// Watch the meter for a while, and say what is wrong with it and what to change
    #[command(after_help = CHECK_EXIT_CODES)]
    Check(Check),
}

/// `hidamari agent scan`
#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// A device on Modbus TCP, or a gateway that speaks it; without a port 502 and 1502 are tried
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) tcp: Vec<String>,
    /// A transparent gateway, behind which RTU frames are spoken
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) rtu_over_tcp: Vec<String>,
    /// A serial line; the usual settings are tried. Without any place to look, all USB adapters
    #[arg(long, value_name = "DEVICE")]
    pub(crate) serial: Vec<PathBuf>,
    /// The unit ids to try
    #[arg(long, value_name = "LIST", default_value = "1-3,71,126,200,240")]
    pub(crate) units: UnitList,
    /// How long to wait for an answer, in milliseconds
    #[arg(long, default_value_t = 1_000)]
    pub(crate) timeout_ms: u64,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hidamari agent check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The agent's configuration file (TOML); the agent must not be running
    #[arg(long, env = "HIDAMARI_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// For how long to watch
    #[arg(long, default_value_t = 120)]
    pub(crate) seconds: u64,
    /// What flows at present, as far as you know: with a kettle on and no sun, importing
    #[arg(long, value_name = "FLOW")]
    pub(crate) now: Option<FlowNow>,
    /// A scaled clock instead of the system's
    #[arg(long, env = "HIDAMARI_CLOCK", value_name = "MARKET_MS@REAL_MS*SPEED")]
    pub(crate) clock: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What flows, as the owner sees it.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum FlowNow {
    /// The household draws from the grid
    Importing,
    /// The household feeds into the grid
    Exporting,
}

/// `hidamari dashboard`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Dashboard {
    /// What every role has
    #[command(flatten)]
    pub(crate) role: RoleOrTool,
    /// Something else than running
    #[command(subcommand)]
    pub(crate) tool: Option<DashboardTool>,
    /// Where to serve the page
    #[arg(
        long,
        env = "HIDAMARI_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub(crate) listen: String,
    /// A name or address under which browsers reach the page, beside localhost and the address
    /// they connect to, and beside the configuration's; may be given more than once
    #[arg(
        long = "allowed-host",
        env = "HIDAMARI_ALLOWED_HOSTS",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub(crate) allowed_hosts: Vec<web::HostName>,
}

/// `hidamari simulate`
#[derive(Debug, Subcommand)]
pub(crate) enum Simulate {
    /// One electricity meter (Eastron SDM630) of a simulated household, on Modbus TCP
    Meter(SimulatedMeter),
}

/// `hidamari simulate meter`
#[derive(Debug, Args)]
pub(crate) struct SimulatedMeter {
    /// Where the meter answers
    #[arg(
        long,
        env = "HIDAMARI_TCP",
        default_value = "127.0.0.1:5020",
        value_name = "ADDRESS:PORT"
    )]
    pub(crate) tcp: String,
    /// Which household of the neighbourhood, counted from 1
    #[arg(long, env = "HIDAMARI_HOUSEHOLD", default_value_t = 1)]
    pub(crate) household: u32,
    /// How many households the neighbourhood has, 2 to 500
    #[arg(long, env = "HIDAMARI_HOUSEHOLDS", default_value_t = 12)]
    pub(crate) households: u32,
    /// Decides the households and their weather
    #[arg(long, env = "HIDAMARI_SEED", default_value_t = 1)]
    pub(crate) seed: u64,
    /// A scaled clock instead of the system's
    #[arg(long, env = "HIDAMARI_CLOCK", value_name = "MARKET_MS@REAL_MS*SPEED")]
    pub(crate) clock: Option<String>,
    /// What to log
    #[command(flatten)]
    pub(crate) log: Log,
}

/// `hidamari verify`
#[derive(Debug, Subcommand)]
pub(crate) enum Verify {
    /// Receipts (JSON): a result, a transaction or a balance, its path, header and certificate
    #[command(after_help = VERIFY_EXIT_CODES)]
    Receipt(Proofs),
    /// Statements (JSON): everything one party paid and received, every line computed again
    #[command(after_help = VERIFY_EXIT_CODES)]
    Statement(Proofs),
    /// Whole chains: every certificate checked, every block computed again
    #[command(after_help = VERIFY_EXIT_CODES)]
    Chain(Proofs),
}

/// What `hidamari verify` checks, and against what
#[derive(Debug, Args)]
pub(crate) struct Proofs {
    /// The files to check
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The community's genesis, from a source you trust
    #[arg(long, env = "HIDAMARI_GENESIS", value_name = "FILE")]
    pub(crate) genesis: PathBuf,
    /// Answer in JSON, one line per file
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to log.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// What to log, for example `info,ledger_node=debug`
    #[arg(long = "log", env = "HIDAMARI_LOG", value_name = "FILTER")]
    pub(crate) filter: Option<LogFilter>,
    /// One JSON object a line instead of text
    #[arg(long = "log-json", env = "HIDAMARI_LOG_JSON")]
    pub(crate) json: bool,
}

impl Agent {
    /// What is asked; `None` if it has no configuration, which the parser has refused already.
    pub(crate) fn into_task(self) -> Option<AgentTask> {
        match self.tool {
            Some(tool) => Some(AgentTask::Tool(tool)),
            None => self.role.into_role().map(AgentTask::Run),
        }
    }
}

impl Demo {
    /// As the simulators take it; `program` is what the demo's processes run.
    pub(crate) fn into_options(self, program: PathBuf) -> DemoOptions {
        DemoOptions {
            program,
            households: self.households,
            validators: self.validators,
            gates: self.gates.into(),
            speed: self.speed,
            seed: self.seed,
            data_dir: self.data_dir,
            port: self.port,
            periods: self.periods,
            headless: self.headless,
            report: self.report,
        }
    }
}

impl SimulatedMeter {
    /// As the simulators take it.
    ///
    /// # Errors
    /// [`Failure`] names the option that is out of range.
    pub(crate) fn config(&self) -> Result<SimulatedMeterConfig, Failure> {
        if !HOUSEHOLDS.contains(&self.households) {
            return Err(Failure::out_of_range("--households", &HOUSEHOLDS, self.households));
        }
        let numbers = 1..=self.households;
        if !numbers.contains(&self.household) {
            return Err(Failure::out_of_range("--household", &numbers, self.household));
        }
        Ok(SimulatedMeterConfig {
            seed: self.seed,
            households: self.households,
            household: self.household.saturating_sub(1),
            ..SimulatedMeterConfig::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_is_sound() {
        Cli::command().debug_assert();
    }
}
