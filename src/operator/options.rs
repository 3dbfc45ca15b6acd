//! What `hidamari operator` can be told.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use market::fingerprint::Fingerprint;
use market::hash::Digest;
use market::keys::PublicKey;
use market::member::PartyId;
use market::money::Money;
use market::price::Price;
use market::time::Timestamp;

use crate::cli::{Log, PassphraseFrom};

/// How an operator's command ends.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 it stands in a block (or was only shown); 1 it was \
    not seen in a block, or was not confirmed; 2 the ledger would refuse it, or something is to be \
    mended; nothing was sent.";

/// `hidamari operator`
#[derive(Debug, Subcommand)]
pub(crate) enum Operate {
    /// Show members, invitations and who joined by them, disputes, validators and operators
    Status(Common),
    /// Invite a household, or give a member that lost its key a way to a new one
    Invite(Invite),
    /// Take back an open invitation
    Cancel(Cancel),
    /// Take in the household whose agent has joined, by the fingerprint that it reads out
    Enrol(Enrol),
    /// End a membership; what has been traded stands
    Revoke(OneParty),
    /// Forget a revoked party, once nothing about it can change any more
    Erase(OneParty),
    /// Change what the supplier charges and pays, from a period on
    Tariff(Tariff),
    /// Change a zone of the grid, its charge and its capacities, from a period on
    Grid(Grid),
    /// Change how prices and quantities are found, from a period on
    Mechanism(Mechanism),
    /// Take a validator in, or let one go
    #[command(subcommand)]
    Validators(Validators),
    /// Change who operates the community, and how many have to approve
    Operators(Operators),
    /// Approve settlements, which makes them final before their time
    Approve(Approve),
    /// Decide a dispute
    Decide(Decide),
    /// Record money that was really paid
    Payout(Payout),
}

/// What all of them share.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The operator's file, as `hidamari community init` writes it
    #[arg(long, env = "HIDAMARI_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Do not ask for confirmation
    #[arg(long, env = "HIDAMARI_YES")]
    pub(crate) yes: bool,
    /// Show what would be done, by the rules of this moment, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long to wait for the block, in seconds
    #[arg(long, env = "HIDAMARI_WAIT", default_value_t = 120, value_name = "SECONDS")]
    pub(crate) wait: u64,
    /// Answer in JSON
    #[arg(id = "answer_json", long = "json")]
    pub(crate) json: bool,
    /// How encrypted keys are opened
    #[command(flatten)]
    pub(crate) passphrase: PassphraseFrom,
    /// A scaled clock instead of the system's, as the demo hands it to its processes
    #[arg(long, env = "HIDAMARI_CLOCK", value_name = "MARKET_MS@REAL_MS*SPEED", hide = true)]
    pub(crate) clock: Option<String>,
    /// What to log
    #[command(flatten)]
    pub(crate) log: Log,
}

/// `hidamari operator invite`
#[derive(Debug, Args)]
pub(crate) struct Invite {
    #[command(flatten)]
    pub(crate) common: Common,
    /// For whom, in the operator's own words; the ledger does not hear it
    #[arg(long)]
    pub(crate) name: String,
    /// A member that lost its key, instead of a new household
    #[arg(long, value_name = "PARTY", conflicts_with_all = ["zone", "import_max_wh", "export_max_wh"])]
    pub(crate) new_key: Option<PartyId>,
    /// The zone of the metering point, by its number
    #[arg(long, default_value_t = 0)]
    pub(crate) zone: u16,
    /// The most it can draw in one period
    #[arg(long, value_name = "WH", default_value_t = 6_000)]
    pub(crate) import_max_wh: i64,
    /// The most it can feed in in one period; 0 for a pure consumer
    #[arg(long, value_name = "WH", default_value_t = 6_000)]
    pub(crate) export_max_wh: i64,
    /// How long it holds, in days
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=365))]
    pub(crate) days: u16,
    /// Where to write the invitation; by default NAME.toml beside the operator's file
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `hidamari operator cancel`
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Its key, as `status` shows it
    pub(crate) invitation: PublicKey,
}

/// `hidamari operator enrol`
#[derive(Debug, Args)]
pub(crate) struct Enrol {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The fingerprint that the household reads out; asked for at the terminal
    #[arg(long, value_name = "DIGITS")]
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// `hidamari operator revoke` and `erase`
#[derive(Debug, Args)]
pub(crate) struct OneParty {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Whom
    pub(crate) party: PartyId,
}

/// From when on something holds.
#[derive(Debug, Clone, Args)]
pub(crate) struct Since {
    /// The beginning of the first period for which it holds, for example 2026-12-01T00:00:00+01:00
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) from: Timestamp,
}

/// `hidamari operator tariff`
#[derive(Debug, Args)]
pub(crate) struct Tariff {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) from: Since,
    /// What a household pays the supplier per kWh, at all times
    #[arg(long, value_name = "PRICE", requires = "feed_in")]
    pub(crate) retail: Option<Price>,
    /// What the supplier pays a household per kWh
    #[arg(long, value_name = "PRICE")]
    pub(crate) feed_in: Option<Price>,
    /// Windows, levies and tax, as one entry of `tariffs` in the genesis (TOML)
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "retail",
        required_unless_present = "retail"
    )]
    pub(crate) file: Option<PathBuf>,
}

/// `hidamari operator grid`
#[derive(Debug, Args)]
pub(crate) struct Grid {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) from: Since,
    /// The zone, by its number
    #[arg(long)]
    pub(crate) zone: u16,
    /// Take it away: nobody may sit in it
    #[arg(long, conflicts_with_all = ["label", "parent", "charge", "capacity_up_wh", "capacity_down_wh"])]
    pub(crate) remove: bool,
    /// What people call it; as it is, by default
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// The zone above; as it is, by default
    #[arg(long)]
    pub(crate) parent: Option<u16>,
    /// The charge per kWh over its line; as it is, by default
    #[arg(long, value_name = "PRICE")]
    pub(crate) charge: Option<Price>,
    /// What its line carries upwards in one period, or `unlimited`; as it is, by default
    #[arg(long, value_name = "WH", value_parser = capacity)]
    pub(crate) capacity_up_wh: Option<Capacity>,
    /// What its line carries downwards
    #[arg(long, value_name = "WH", value_parser = capacity)]
    pub(crate) capacity_down_wh: Option<Capacity>,
}

/// `hidamari operator mechanism`
#[derive(Debug, Args)]
pub(crate) struct Mechanism {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) from: Since,
    /// How
    #[arg(value_enum)]
    pub(crate) mechanism: crate::clear::Mechanism,
}

/// A line's capacity as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capacity {
    Unlimited,
    Wh(i64),
}

/// `hidamari operator validators`
#[derive(Debug, Subcommand)]
pub(crate) enum Validators {
    /// Take one in; it follows the chain already, as `hidamari community validator` sets it up
    Add(AddValidator),
    /// Let one go; it stops voting with the block that says so
    Remove(RemoveValidator),
}

/// `hidamari operator validators add`
#[derive(Debug, Args)]
pub(crate) struct AddValidator {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Its validator key
    pub(crate) key: PublicKey,
    /// Where the other validators reach it: /ip4/ADDRESS/tcp/PORT/p2p/PEER-ID
    pub(crate) endpoint: String,
    /// Its voting power
    #[arg(long, default_value_t = 1)]
    pub(crate) power: u64,
}

/// `hidamari operator validators remove`
#[derive(Debug, Args)]
pub(crate) struct RemoveValidator {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Its validator key
    pub(crate) key: PublicKey,
}

/// `hidamari operator operators`
#[derive(Debug, Args)]
pub(crate) struct Operators {
    #[command(flatten)]
    pub(crate) common: Common,
    /// One more; may be given more than once
    #[arg(long = "add", value_name = "KEY")]
    pub(crate) add: Vec<PublicKey>,
    /// One less; may be given more than once
    #[arg(long = "remove", value_name = "KEY")]
    pub(crate) remove: Vec<PublicKey>,
    /// How many have to approve a settlement; as it is, by default
    #[arg(long, value_name = "N")]
    pub(crate) approvals_required: Option<u8>,
}

/// `hidamari operator approve`
#[derive(Debug, Args)]
pub(crate) struct Approve {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) from: Since,
    /// The beginning of the last period
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) through: Timestamp,
    /// Only these settlements, by the digest that a look with --dry-run has shown
    #[arg(long, value_name = "HEX")]
    pub(crate) settlements: Option<Digest>,
}

/// `hidamari operator decide`
#[derive(Debug, Args)]
pub(crate) struct Decide {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The dispute's number, as `status` shows it
    pub(crate) dispute: u64,
    /// The settlement stands
    #[arg(long, conflicts_with = "correct", required_unless_present = "correct")]
    pub(crate) dismiss: bool,
    /// What a meter is taken to have counted in the period; may be given for several parties
    #[arg(long, value_name = "PARTY=IMPORTED_WH,EXPORTED_WH")]
    pub(crate) correct: Vec<String>,
    /// Why
    #[arg(long, default_value = "")]
    pub(crate) note: String,
}

/// `hidamari operator payout`
#[derive(Debug, Args)]
pub(crate) struct Payout {
    #[command(flatten)]
    pub(crate) common: Common,
    /// To whom, or from whom
    pub(crate) party: PartyId,
    /// Paid to the party; with a minus, received from it
    #[arg(value_parser = money, allow_negative_numbers = true)]
    pub(crate) amount: Money,
    /// The bank's words
    #[arg(long)]
    pub(crate) reference: String,
}

impl Operate {
    /// What all of them share.
    pub(crate) fn common(&self) -> &Common {
        match self {
            Self::Status(common) => common,
            Self::Invite(Invite { common, .. })
            | Self::Cancel(Cancel { common, .. })
            | Self::Enrol(Enrol { common, .. })
            | Self::Revoke(OneParty { common, .. })
            | Self::Erase(OneParty { common, .. })
            | Self::Tariff(Tariff { common, .. })
            | Self::Grid(Grid { common, .. })
            | Self::Mechanism(Mechanism { common, .. })
            | Self::Validators(Validators::Add(AddValidator { common, .. }))
            | Self::Validators(Validators::Remove(RemoveValidator { common, .. }))
            | Self::Operators(Operators { common, .. })
            | Self::Approve(Approve { common, .. })
            | Self::Decide(Decide { common, .. })
            | Self::Payout(Payout { common, .. }) => common,
        }
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    let time = parsed.map_err(|_| {
        format!("expected a time such as 2026-12-01T00:00:00+01:00, found {text:?}")
    })?;
    Ok(Timestamp::from_millis(time.as_millisecond()))
}

fn capacity(text: &str) -> Result<Capacity, String> {
    match text {
        "unlimited" => Ok(Capacity::Unlimited),
        wh => wh
            .parse()
            .map(Capacity::Wh)
            .map_err(|_| format!("expected Wh in one period, or unlimited, found {text:?}")),
    }
}

fn money(text: &str) -> Result<Money, String> {
    let micros = market::decimal::parse_millionths(text).map_err(|error| error.to_string())?;
    Ok(Money::from_micros(micros))
}
