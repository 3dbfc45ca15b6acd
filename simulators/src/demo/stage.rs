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
    meters: Vec<(SharedMeter, MeterServer)>,
}

/// What a meter has counted since the households began to live, Wh rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MeterTruth {
    pub(super) imported_wh: i64,
    pub(super) exported_wh: i64,
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
            let meter = SharedMeter::new(household);
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            let server = MeterServer::start(
                listener.map_err(DemoError::NoPort)?,
                meter.clone(),
                FaultSwitch::healthy(),
                Arc::clone(clock),
                shutdown.clone(),
            )?;
            meters.push((meter, server));
        }
        Ok(Self { meters })
    }

    /// Where each meter answers, in the order of the households.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.meters.iter().map(|(_, server)| server.address()).collect()
    }

    /// What each meter has really counted, seen from its start.
    ///
    /// # Errors
    /// [`DemoError`] if a household cannot be carried forward.
    pub(super) fn truth(
        &self,
        plans: &[HouseholdPlan],
        now: Timestamp,
    ) -> Result<Vec<MeterTruth>, DemoError> {
        let since_start = |((meter, _), plan): (&(SharedMeter, _), &HouseholdPlan)| {
            let readout = meter.readout(now)?;
            let (import_wh, export_wh) = plan.counters_at_start_wh();
            let counted =
                |now_wh: u64, start_wh: u64| i64::try_from(now_wh.saturating_sub(start_wh));
            Ok(MeterTruth {
                imported_wh: counted(readout.import_wh(), import_wh).unwrap_or(i64::MAX),
                exported_wh: counted(readout.export_wh(), export_wh).unwrap_or(i64::MAX),
            })
        };
        self.meters.iter().zip(plans).map(since_start).collect()
    }
}
