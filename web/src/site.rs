//! What every task and every request of this process shares.

use std::net::IpAddr;
use std::sync::Arc;

use ledger::genesis::Genesis;
use market::time::{Clock, Timestamp};

use crate::accounts::Accounts;
use crate::config::HouseholdPages;
use crate::data_dir::DataDir;
use crate::events::Events;
use crate::hosts::Hosts;
use crate::limits::Limits;
use crate::local_time::LocalZone;
use crate::metrics::Metrics;
use crate::read_model::ReadModel;
use crate::sign_in::check::SignIn;
use crate::status::{Live, Status};

/// One community's dashboard.
pub(crate) struct Site {
    /// What the community agreed on.
    pub(crate) genesis: Genesis,
    /// The genesis file as it was read.
    pub(crate) genesis_text: String,
    /// The community's time zone.
    pub(crate) zone: LocalZone,
    /// Whether households are shown.
    pub(crate) household_pages: HouseholdPages,
    /// Market seconds per real second.
    pub(crate) clock_speed: f64,
    /// Under which names requests are answered.
    pub(crate) hosts: Hosts,
    /// Held as long as the dashboard runs.
    pub(crate) data_dir: DataDir,
    /// Market time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Real time.
    pub(crate) real_clock: Arc<dyn Clock>,
    /// Whether the listener speaks TLS.
    pub(crate) under_tls: bool,
    /// Proxies whose word about where a request comes from counts.
    pub(crate) proxies: Vec<IpAddr>,
    /// Operators, sessions, audit log.
    pub(crate) accounts: Accounts,
    /// What keeps guessing expensive.
    pub(crate) sign_in: SignIn,
    /// How often somebody may ask.
    pub(crate) limits: Limits,
    /// The read model.
    pub(crate) model: ReadModel,
    /// The last followed block and what is known beyond it.
    pub(crate) live: Live,
    /// The event stream.
    pub(crate) events: Events,
    /// Counters and gauges.
    pub(crate) metrics: Metrics,
}

impl Site {
    /// Closes the files and lets go of the data directory.
    pub(crate) async fn close(&self) {
        self.model.close().await;
        self.accounts.close().await;
        self.data_dir.release();
    }

    /// Market time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What is going on now.
    pub(crate) fn status(&self) -> Status {
        self.live.status(self.genesis.heartbeat_ms, self.clock.as_ref())
    }

    /// Real time now: sessions and links of people go by it, whatever the market's clock does.
    pub(crate) fn real_now(&self) -> Timestamp {
        self.real_clock.now()
    }
}
