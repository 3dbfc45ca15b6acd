//! A household's meter on Modbus TCP: an Eastron SDM630 as a network adapter presents it.

mod service;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use market::time::{Clock, Timestamp};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_modbus::server::tcp::Server;
use tokio_util::sync::CancellationToken;

use self::service::SdmService;
use crate::error::SimulatorError;
use crate::faults::{Fault, FaultSwitch, FaultyStream};
use crate::household::{EnergyTotals, Flows, Household};
use crate::meter::MeterReadout;

/// The unit id that the meter answers to; requests for others get exception 11, as from a gateway.
pub const UNIT_ID: u8 = 1;

/// Connections that a network adapter of this kind keeps open at once.
pub const MAX_CONNECTIONS: usize = 8;

/// How often the household is carried forward when nobody reads its meter (real time).
const TICK: Duration = Duration::from_millis(500);
/// Pause after the listening socket failed, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A household whose meter several tasks look at; clones show the same household.
#[derive(Clone, Debug)]
pub struct SharedMeter(Arc<Mutex<Household>>);

/// What goes on inside a household, for the stage; no meter shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HouseholdTruth {
    /// Power now.
    pub flows: Flows,
    /// Energy since the start.
    pub totals: EnergyTotals,
    /// The battery's charge as a share of its capacity, 0..=1, if there is one.
    pub state_of_charge: Option<f64>,
}

impl SharedMeter {
    /// Puts a household into operation.
    #[must_use]
    pub fn new(household: Household) -> Self {
        Self(Arc::new(Mutex::new(household)))
    }

    /// What the meter shows at `now`.
    ///
    /// # Errors
    ///
    /// As [`Household::advance`].
    pub fn readout(&self, now: Timestamp) -> Result<MeterReadout, SimulatorError> {
        let mut household = self.lock();
        household.advance(now)?;
        Ok(household.readout())
    }

    /// What goes on in the household at `now`.
    ///
    /// # Errors
    ///
    /// As [`Household::advance`].
    pub fn truth(&self, now: Timestamp) -> Result<HouseholdTruth, SimulatorError> {
        let mut household = self.lock();
        household.advance(now)?;
        Ok(HouseholdTruth {
            flows: household.flows(),
            totals: household.totals(),
            state_of_charge: household.state_of_charge(),
        })
    }

    /// How far the household has been carried forward.
    #[must_use]
    pub fn stands_at(&self) -> Timestamp {
        self.lock().now()
    }

    fn lock(&self) -> MutexGuard<'_, Household> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running Modbus TCP server of one meter.
#[derive(Debug)]
pub struct MeterServer {
    address: SocketAddr,
    tasks: JoinSet<()>,
}

impl MeterServer {
    /// Serves the meter until `shutdown`. Dropping the server ends it too.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Listener`] if the socket has no address. Must be called within a tokio
    /// runtime.
    pub fn start(
        listener: TcpListener,
        meter: SharedMeter,
        faults: FaultSwitch,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
    ) -> Result<Self, SimulatorError> {
        let address = listener.local_addr().map_err(SimulatorError::Listener)?;
        let service = SdmService::new(meter.clone(), faults.clone(), Arc::clone(&clock));
        let mut tasks = JoinSet::new();
        tasks.spawn(until(shutdown.clone(), serve(listener, service, faults)));
        tasks.spawn(until(shutdown, keep_up(meter, clock)));
        Ok(Self { address, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the server has ended, after `shutdown`.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Task`] if one of its tasks ended abnormally.
    pub async fn ended(mut self) -> Result<(), SimulatorError> {
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(SimulatorError::Task)?;
        }
        Ok(())
    }
}

async fn until(shutdown: CancellationToken, work: impl Future<Output = ()>) {
    shutdown.run_until_cancelled_owned(work).await;
}

async fn serve(listener: TcpListener, service: SdmService, faults: FaultSwitch) {
    let server = Server::new(listener);
    let open = Arc::new(AtomicUsize::new(0));
    let on_connected = |stream: TcpStream, client: SocketAddr| {
        let connection = admit(&stream, client, &faults, &open).map(|seat| {
            let service = service.of_connection(seat);
            (service, FaultyStream::new(stream, faults.clone()))
        });
        std::future::ready(Ok(connection))
    };
    loop {
        let ended = server
            .serve(&on_connected, |error| tracing::debug!(%error, "meter connection failed"))
            .await;
        if let Err(error) = ended {
            tracing::warn!(%error, "the simulated meter's listening socket failed; trying again");
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Lets a client in, if there is a seat for it.
fn admit(
    stream: &TcpStream,
    client: SocketAddr,
    faults: &FaultSwitch,
    open: &Arc<AtomicUsize>,
) -> Option<Seat> {
    let (seats, reset) = match faults.active() {
        Some(Fault::ResetConnections) => (0, true),
        Some(Fault::OneClientOnly) => (1, false),
        _ => (MAX_CONNECTIONS, false),
    };
    let seat = Seat::take(open, seats);
    if seat.is_none() {
        tracing::debug!(%client, seats, "the simulated meter turns a client away");
        if reset && let Err(error) = stream.set_zero_linger() {
            tracing::debug!(%client, %error, "the connection closes without a reset");
        }
    } else if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%client, %error, "answers on this connection may be delayed");
    }
    seat
}

/// One of the connections that the device keeps open; free again when dropped.
#[derive(Debug)]
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(open: &Arc<AtomicUsize>, seats: usize) -> Option<Self> {
        let taken = open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
            (taken < seats).then_some(taken + 1)
        });
        taken.ok().map(|_| Self(Arc::clone(open)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn keep_up(meter: SharedMeter, clock: Arc<dyn Clock>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = meter.readout(clock.now()) {
            tracing::warn!(%error, "the simulated household stands still");
        }
    }
}
