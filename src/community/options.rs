//! What `hidamari community` can be told.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use market::price::Price;

use crate::community::presets::Country;
use crate::keys::NewKeys;

/// The plan's file, for `--help`.
pub(crate) const PLAN_FILE: &str = "\
A plan (--from) is TOML with the same words, all of them optional:

  name = \"Sunny Lane\"
  country = \"de\"                  # at, ch, de, fr, gb, jp
  currency = \"EUR\"
  time_zone = \"Europe/Berlin\"
  retail = \"0.35\"                 # what the supplier charges and pays, per kWh
  feed_in = \"0.079\"
  approvals_required = 1
  [[validators]]                  # consensus_port, mesh_port and http_port are optional
  name = \"north\"
  address = \"192.0.2.7\"
  [[operators]]
  name = \"anna\"
  [[zones]]                       # below the community itself; parent, charge, capacity_up_wh
  label = \"Feeder 1\"              # and capacity_down_wh are optional
  [[invitations]]                 # zone, import_max_wh and export_max_wh are optional
  name = \"house-1\"
  zone = \"Feeder 1\"

Exit codes: 0 founded; 2 something is to be mended; nothing was written.";

/// `hidamari community`
#[derive(Debug, Subcommand)]
pub(crate) enum Community {
    /// Found a community: keys, genesis, configurations and invitations, in a new directory
    ///
    /// Asks at the terminal for what neither an option nor the plan says.
    #[command(after_long_help = PLAN_FILE)]
    Init(Init),
    /// Make the folder of one more validator: its keys and configuration
    ///
    /// It starts as a follower; an operator takes it into the validators with `hidamari operator
    /// validators add`, for which the command to give is printed.
    Validator(OneValidator),
}

/// `hidamari community init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where to write everything; made anew, nothing is ever overwritten
    pub(crate) dir: PathBuf,
    /// A plan of the community (TOML); options on the command line come before it
    #[arg(long, env = "HIDAMARI_FROM", value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// What people call the community
    #[arg(long, env = "HIDAMARI_NAME")]
    pub(crate) name: Option<String>,
    /// Gives currency, time zone, length of the periods and prices to start from
    #[arg(long, env = "HIDAMARI_COUNTRY", value_enum)]
    pub(crate) country: Option<Country>,
    /// Three capital letters (ISO 4217)
    #[arg(long, env = "HIDAMARI_CURRENCY")]
    pub(crate) currency: Option<String>,
    /// Where the community's days begin, for example Europe/Berlin
    #[arg(long, env = "HIDAMARI_TIME_ZONE", value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// What a household pays the supplier per kWh
    #[arg(long, env = "HIDAMARI_RETAIL", value_name = "PRICE")]
    pub(crate) retail: Option<Price>,
    /// What the supplier pays a household per kWh
    #[arg(long, env = "HIDAMARI_FEED_IN", value_name = "PRICE")]
    pub(crate) feed_in: Option<Price>,
    /// How many operators have to approve a settlement
    #[arg(long, env = "HIDAMARI_APPROVALS", value_name = "N")]
    pub(crate) approvals_required: Option<u8>,
    /// A validator and the address at which the others reach it; may be given more than once
    #[arg(long = "validator", value_name = "NAME=IP[,consensus=PORT][,mesh=PORT][,http=PORT]")]
    pub(crate) validators: Vec<ValidatorPlan>,
    /// An operator; may be given more than once
    #[arg(long = "operator", value_name = "NAME")]
    pub(crate) operators: Vec<String>,
    /// A part of the grid below the community; may be given more than once
    #[arg(long = "zone", value_name = "LABEL")]
    pub(crate) zones: Vec<String>,
    /// A household to invite, in the named zone; may be given more than once
    #[arg(long = "invite", value_name = "NAME[@ZONE]")]
    pub(crate) invitations: Vec<String>,
    /// How long the invitations hold, in days
    #[arg(long, env = "HIDAMARI_INVITATION_DAYS", value_name = "N", default_value_t = 30,
          value_parser = clap::value_parser!(u16).range(1..=365))]
    pub(crate) invitation_days: u16,
    /// Do not ask, also at a terminal
    #[arg(long, env = "HIDAMARI_NO_QUESTIONS")]
    pub(crate) no_questions: bool,
    /// How the key files are written
    #[command(flatten)]
    pub(crate) keys: NewKeys,
    /// Say what was made in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hidamari community validator`
#[derive(Debug, Args)]
pub(crate) struct OneValidator {
    /// The folder to make
    pub(crate) dir: PathBuf,
    /// The community's genesis
    #[arg(long, env = "HIDAMARI_GENESIS", value_name = "FILE")]
    pub(crate) genesis: PathBuf,
    /// Its name and the address at which the others reach it
    #[arg(long, value_name = "NAME=IP[,consensus=PORT][,mesh=PORT][,http=PORT]")]
    pub(crate) validator: ValidatorPlan,
    /// Where to join the mesh: the validators' mesh addresses; may be given more than once
    #[arg(long = "bootstrap", required = true, value_name = "/ip4/ADDRESS/tcp/PORT")]
    pub(crate) bootstrap: Vec<mesh::Multiaddr>,
    /// How the key files are written
    #[command(flatten)]
    pub(crate) keys: NewKeys,
    /// Say what was made in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A validator and where it listens.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValidatorPlan {
    /// The name of its folder.
    pub(crate) name: String,
    /// Where the others reach it.
    pub(crate) address: IpAddr,
    /// For the validators' own network.
    #[serde(default = "consensus_port")]
    pub(crate) consensus_port: u16,
    /// For the members' network.
    #[serde(default = "mesh_port")]
    pub(crate) mesh_port: u16,
    /// For its status pages, on its own machine alone.
    #[serde(default = "http_port")]
    pub(crate) http_port: u16,
}

fn consensus_port() -> u16 {
    9000
}

fn mesh_port() -> u16 {
    4001
}

fn http_port() -> u16 {
    9100
}

impl FromStr for ValidatorPlan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected NAME=IP, as in north=192.0.2.7,consensus=9001, found {text:?}");
        let mut parts = text.split(',');
        let (name, address) =
            parts.next().and_then(|part| part.split_once('=')).ok_or_else(expected)?;
        let mut plan = Self {
            name: name.trim().to_owned(),
            address: address.trim().parse().map_err(|_| expected())?,
            consensus_port: consensus_port(),
            mesh_port: mesh_port(),
            http_port: http_port(),
        };
        for part in parts {
            let (key, port) = part.split_once('=').ok_or_else(expected)?;
            let port = port.parse().map_err(|_| expected())?;
            match key.trim() {
                "consensus" => plan.consensus_port = port,
                "mesh" => plan.mesh_port = port,
                "http" => plan.http_port = port,
                _ => return Err(expected()),
            }
        }
        Ok(plan)
    }
}
