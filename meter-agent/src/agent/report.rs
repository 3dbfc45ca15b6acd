//! The status file.

use ledger::genesis::Genesis;

use super::Agent;
use crate::config::AgentConfig;
use crate::delivery::Latency;
use crate::outbox::Totals;
use crate::status::{MeterState, MeterStatus, Status};

/// Market time and block time may differ by this much, in milliseconds, before the owner is told;
/// the community's heartbeat comes on top.
const CLOCK_LAG_MAX_MS: i64 = 300_000;

pub(super) fn empty_status(config: &AgentConfig, genesis: &Genesis) -> Status {
    Status {
        party: config.party.to_string(),
        community: genesis.name.clone(),
        currency: genesis.currency.clone(),
        market_time: String::new(),
        market_time_ms: 0,
        meter: MeterStatus::default(),
        last_interval: None,
        forecast: None,
        last_order: None,
        last_answer: None,
        pending: 0,
        committed: 0,
        given_up: 0,
        latency: Latency::default(),
        height: 0,
        block_time_ms: None,
        peers: 0,
        totals: Totals::default(),
        warnings: Vec::new(),
    }
}

impl Agent {
    pub(super) async fn write_status(&mut self) {
        let now = self.clock.now();
        self.status.market_time = now.to_string();
        self.status.market_time_ms = now.as_millis();
        self.status.pending = count(self.delivery.pending_count());
        self.status.committed = self.delivery.committed_count();
        self.status.given_up = self.delivery.expired_count();
        self.status.latency = self.delivery.latency();
        self.status.peers = count(self.mesh.peers().len());
        self.status.warnings = self.warnings();
        if let Err(error) = self.status.write(&self.config.data_dir).await {
            tracing::debug!(%error, "the status file cannot be written");
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(why) = self.objection() {
            warnings.push(format!("The metering point does not trade: {why}"));
        } else if self.status.meter.state != MeterState::Online {
            let why = self.status.meter.detail.as_deref().unwrap_or("it was not reached yet");
            warnings.push(format!("The meter is not read: {why}."));
        }
        if self.status.peers == 0 {
            warnings.push("No neighbour is connected; messages wait.".to_owned());
        }
        if let Some(why) = &self.weather_problem {
            warnings.push(format!("The weather forecast does not help: {why}."));
        }
        if let Some(why) = &self.outbox_fails {
            warnings.push(format!("Nothing is sent: {why}."));
        }
        let heartbeat_ms = i64::try_from(self.genesis.heartbeat_ms).unwrap_or(i64::MAX);
        let most_ms = heartbeat_ms.saturating_add(CLOCK_LAG_MAX_MS);
        if let Some(block_time_ms) = self.status.block_time_ms {
            let lag_ms = self.status.market_time_ms.saturating_sub(block_time_ms);
            if lag_ms.abs() > most_ms {
                warnings.push(format!(
                    "The last block is {} s away from this machine's clock: trading has halted, or \
                     the clock is wrong.",
                    lag_ms / 1_000
                ));
            }
        }
        warnings
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
