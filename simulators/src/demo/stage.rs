//! The demo's stage: every household with its meter on Modbus TCP. Nothing else of a household is
//! visible to its agent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use market::time::{Clock, Timestamp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::demo::DemoError;
use crate::faults::FaultSwitch;
use crate::household::{Household, HouseholdPlan};
use crate::modbus_server::{MeterServer, SharedMeter};

/// All households, playing.
pub(super) struct Stage {
    meters: Vec<MeterServer>,
}

impl Stage {
    /// Brings the households up to the clock's now and opens their meters.
    ///
    /// # Errors
    /// [`DemoError`] if the households cannot live that long at once, or no port is free.
    pub(super) async fn open(
        plans: &[HouseholdPlan],
        since: Timestamp,
        clock: &Arc<dyn Clock>,
        shutdown: &CancellationToken,
    ) -> Result<Self, DemoError> {
        let mut meters = Vec::with_capacity(plans.len());
        for plan in plans {
            let mut household = Household::new(plan, since)?;
            household.advance(clock.now())?;
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            let server = MeterServer::start(
                listener.map_err(DemoError::NoPort)?,
                SharedMeter::new(household),
                FaultSwitch::healthy(),
                Arc::clone(clock),
                shutdown.clone(),
            )?;
            meters.push(server);
        }
        Ok(Self { meters })
    }

    /// Where each meter answers, in the order of the households.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.meters.iter().map(MeterServer::address).collect()
    }
}
