//! What the agent tells its owner, and the demo: `status.json` in the data directory.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

pub use crate::delivery::Latency;
pub use crate::outbox::Totals;

/// The file's name in the data directory.
pub const FILE_NAME: &str = "status.json";

/// The agent at a glance. The file is replaced as a whole every few seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Whose agent it is.
    pub party: String,
    /// What people call the community.
    pub community: String,
    /// ISO 4217 code of the currency of all money and prices.
    pub currency: String,
    /// Market time when this was written, RFC 3339.
    pub market_time: String,
    /// The same in milliseconds since 1970.
    pub market_time_ms: i64,
    /// The meter.
    pub meter: MeterStatus,
    /// The delivery period that was metered last.
    pub last_interval: Option<IntervalStatus>,
    /// What is expected of the period that was forecast last.
    pub forecast: Option<ForecastStatus>,
    /// The order that was signed last.
    pub last_order: Option<OrderStatus>,
    /// What became of the order that was answered last, in words.
    pub last_answer: Option<String>,
    /// Messages that are stored and not yet seen in a block.
    pub pending: u64,
    /// Messages that this process has seen in blocks.
    pub committed: u64,
    /// Messages that could no longer count before they were seen in a block.
    pub given_up: u64,
    /// Real time from signing an order to seeing it in a block.
    pub latency: Latency,
    /// The last followed height.
    pub height: u64,
    /// Market time of that block, in milliseconds since 1970; `None` before the first.
    pub block_time_ms: Option<i64>,
    /// Connected neighbours.
    pub peers: u64,
    /// All settlements so far.
    pub totals: Totals,
    /// What the owner should look at, in words; empty if all is well.
    pub warnings: Vec<String>,
}

/// The meter at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MeterStatus {
    /// How it is.
    pub state: MeterState,
    /// Why it is so, in words.
    pub detail: Option<String>,
    /// Market time of the last reading, in milliseconds since 1970.
    pub read_at_ms: Option<i64>,
    /// `ActiveImport` as shown, in Wh.
    pub import_wh: Option<i64>,
    /// `ActiveExport` as shown, in Wh.
    pub export_wh: Option<i64>,
    /// Power in W, positive while drawing from the grid.
    pub power_w: Option<i64>,
    /// Readings so far.
    pub reading_count: u64,
    /// Polls so far that brought no reading.
    pub failure_count: u64,
}

/// How a meter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeterState {
    /// Not yet reached.
    #[default]
    Waiting,
    /// Read, and its counters count.
    Online,
    /// Read, but what it shows does not count.
    Suspect,
    /// It answers without a value.
    NoValue,
    /// It sleeps, as inverters do at night.
    Asleep,
    /// It does not answer.
    Offline,
}

/// A metered period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalStatus {
    /// When it began, in milliseconds since 1970.
    pub period_start_ms: i64,
    /// Drawn, in Wh.
    pub imported_wh: i64,
    /// Fed in, in Wh.
    pub exported_wh: i64,
    /// Whether an edge was estimated.
    pub estimated: bool,
}

/// A forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastStatus {
    /// When the period begins, in milliseconds since 1970.
    pub period_start_ms: i64,
    /// Expected export minus import, in Wh.
    pub expected_wh: f64,
    /// Its standard deviation, in Wh.
    pub deviation_wh: f64,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStatus {
    /// When the period begins, in milliseconds since 1970.
    pub period_start_ms: i64,
    /// `"bid"` or `"offer"`.
    pub side: String,
    /// Limit per kWh and energy in Wh of each step; empty for a withdrawal.
    pub steps: Vec<(String, i64)>,
    /// Its sequence.
    pub sequence: u64,
}

impl Status {
    /// Reads the status that an agent left in its data directory.
    ///
    /// # Errors
    /// An I/O error if there is none or it does not read back.
    pub fn read(data_dir: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(data_dir.join(FILE_NAME))?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    }

    /// Replaces the file as a whole: whoever reads it sees the old or the new one.
    pub(crate) async fn write(&self, data_dir: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let fresh = data_dir.join("status.json.new");
        tokio::fs::write(&fresh, bytes).await?;
        tokio::fs::rename(&fresh, data_dir.join(FILE_NAME)).await
    }
}
