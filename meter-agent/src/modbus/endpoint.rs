//! The owner of one endpoint: there is never a second connection to the same host and port, or to
//! the same serial line.

use market::time::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::modbus::address::Address;
use crate::modbus::poll::{Connection, PollError, Session, in_words};
use crate::modbus::reconnect::Backoff;
use crate::profile::{NoReading, Profile, RegisterReading};

/// How many silences in a row open a unit's circuit breaker.
const BREAKER_SILENCES: u32 = 3;
/// How often a unit with an open breaker is tried.
const BREAKER_PAUSE: Duration = Duration::from_secs(60);
/// How often a unit that is not what its profile says is looked at.
const STRANGER_PAUSE: Duration = Duration::from_secs(10);
/// A line on which an answer was missed has to be quiet for so long.
const QUIET: Duration = Duration::from_secs(1);
/// After so many answers to other requests in a row it is the gateway that forgets.
const FORGETFUL: u32 = 2;

/// What a device has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeterEvent {
    /// It showed the serial number on its name plate; once after every connection.
    Identified(String),
    /// It was read.
    Reading(RegisterReading),
    /// It was asked and gave nothing that can be counted; the words say why.
    NoReading(String),
    /// It sleeps, or is silent and of a kind that sleeps, as inverters at night.
    Asleep(String),
    /// It cannot be reached; the words say why.
    Offline(String),
}

/// One unit behind an endpoint.
#[derive(Debug)]
pub struct Device {
    /// The Modbus unit id.
    pub unit: u8,
    /// What it is.
    pub profile: Profile,
    /// How often it is read (real time).
    pub poll_interval: Duration,
    /// Where its events go. While the receiver is behind, the endpoint waits.
    pub events: mpsc::Sender<MeterEvent>,
}

/// A host and port, or a serial line, with everything behind it.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// The units to poll; at least one.
    pub devices: Vec<Device>,
    /// An exchange that takes longer than this, in milliseconds of market time, makes its reading
    /// estimated.
    pub gap_max_ms: i64,
}

struct Schedule {
    device: Device,
    due: Instant,
    silences: u32,
    session: Option<Session>,
    serial: Option<String>,
}

/// Nobody listens any more.
struct Deserted;

impl Endpoint {
    /// Polls until `shutdown`, or until nobody listens any more. Runs without any device being
    /// there: a meter that is absent at start or asleep at night is normal.
    pub async fn run(self, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        shutdown.run_until_cancelled_owned(self.serve(clock)).await;
    }

    async fn serve(self, clock: Arc<dyn Clock>) {
        let now = Instant::now();
        let schedule =
            |device| Schedule { device, due: now, silences: 0, session: None, serial: None };
        let mut schedules: Vec<_> = self.devices.into_iter().map(schedule).collect();
        let mut backoff = Backoff::new();
        let mut foreign = 0_u32;
        let mut connection: Option<Connection> = None;
        while let Some(next) = schedules.iter_mut().min_by_key(|schedule| schedule.due) {
            sleep_until(next.due).await;
            let mut open = match connection.take() {
                Some(open) => open,
                None => match Connection::open(&self.address, &next.device.profile).await {
                    Ok(open) => open,
                    Err(error) => {
                        let told = next.tell_silence(error.to_string()).await;
                        sleep(backoff.pause()).await;
                        if told.is_err() {
                            return;
                        }
                        continue;
                    }
                },
            };
            let read = next.read(&mut open, &*clock, self.gap_max_ms).await;
            foreign = match &read {
                Ok(_) => 0,
                Err(PollError::ForeignAnswer) => foreign.saturating_add(1),
                Err(_) => foreign,
            };
            if read.is_ok() {
                backoff.reset();
            }
            let poison = read.as_ref().err().filter(|error| error.poisons_connection());
            let (poisoned, missed) =
                (poison.is_some(), matches!(poison, Some(PollError::TimedOut(_))));
            let forgets = foreign >= FORGETFUL && !self.address.is_rtu();
            if next.tell_read(read, forgets).await.is_err() {
                return;
            }
            if poisoned {
                drop(open);
                for schedule in &mut schedules {
                    schedule.session = None;
                }
                let quiet = if missed && self.address.is_rtu() { QUIET } else { Duration::ZERO };
                sleep(backoff.pause().max(quiet)).await;
            } else {
                connection = Some(open);
            }
        }
    }
}

impl Schedule {
    /// Reads the unit, after finding out what it is if it is new on this connection.
    async fn read(
        &mut self,
        connection: &mut Connection,
        clock: &dyn Clock,
        gap_max_ms: i64,
    ) -> Result<RegisterReading, PollError> {
        let (unit, profile) = (self.device.unit, &self.device.profile);
        let mut session = match self.session.take() {
            Some(session) => session,
            None => match start(connection, unit, profile, self.serial.as_deref()).await {
                Ok(session) => session,
                Err(error) => {
                    self.plan(Some(&error), STRANGER_PAUSE);
                    return Err(error);
                }
            },
        };
        if let Some(serial) = session.vitals().serial
            && self.serial.as_ref() != Some(&serial)
        {
            self.serial = Some(serial.clone());
            // Whoever does not listen any more is noticed at the reading.
            let _ = self.tell(MeterEvent::Identified(serial)).await;
        }
        let (unit, profile) = (self.device.unit, &self.device.profile);
        let read = session.poll(connection, unit, profile, clock, gap_max_ms).await;
        self.plan(read.as_ref().err(), Duration::ZERO);
        if !matches!(read, Err(PollError::NoReading(NoReading::Rearranged))) {
            self.session = Some(session);
        }
        read
    }

    /// When the device is due again. A silent unit costs its neighbours a reconnection, so it is
    /// tried but once a minute; an endpoint with one unit has the growing pauses alone.
    fn plan(&mut self, error: Option<&PollError>, pause: Duration) {
        let silent = error.is_some_and(PollError::is_silence);
        self.silences = if silent { self.silences.saturating_add(1) } else { 0 };
        let stranger = matches!(error, Some(PollError::NoReading(_)));
        let pause = match (self.silences >= BREAKER_SILENCES, stranger) {
            (true, _) => BREAKER_PAUSE.max(self.device.poll_interval),
            (false, true) => pause.max(self.device.poll_interval),
            (false, false) => self.device.poll_interval,
        };
        let now = Instant::now();
        // Polls that are late are not made up for: the counter loses nothing.
        self.due = (self.due + pause).max(now);
    }

    async fn tell_read(
        &self,
        read: Result<RegisterReading, PollError>,
        gateway_forgets: bool,
    ) -> Result<(), Deserted> {
        match read {
            Ok(reading) => self.tell(MeterEvent::Reading(reading)).await,
            Err(error @ PollError::NoReading(NoReading::Asleep)) => {
                self.tell(MeterEvent::Asleep(error.to_string())).await
            }
            Err(error @ PollError::ForeignAnswer) if gateway_forgets => {
                let advice = "if this is a gateway, set it to transparent mode and \
                              `transport = \"rtu_over_tcp\"` in [meter]";
                self.tell(MeterEvent::Offline(format!("{error}; {advice}"))).await
            }
            Err(error) if error.is_silence() => {
                self.tell_silence(in_words(&error).into_owned()).await
            }
            Err(error) if error.poisons_connection() => {
                self.tell(MeterEvent::Offline(in_words(&error).into_owned())).await
            }
            Err(error) => self.tell(MeterEvent::NoReading(error.to_string())).await,
        }
    }

    async fn tell_silence(&self, why: String) -> Result<(), Deserted> {
        if self.device.profile.sleeps {
            self.tell(MeterEvent::Asleep(why)).await
        } else {
            self.tell(MeterEvent::Offline(why)).await
        }
    }

    async fn tell(&self, event: MeterEvent) -> Result<(), Deserted> {
        self.device.events.send(event).await.map_err(|_| Deserted)
    }
}

/// Starts a session; a serial number other than before has to be shown twice.
async fn start(
    connection: &mut Connection,
    unit: u8,
    profile: &Profile,
    known: Option<&str>,
) -> Result<Session, PollError> {
    let session = Session::start(connection, unit, profile).await?;
    let shown = session.vitals().serial;
    if known.is_none() || shown.is_none() || shown.as_deref() == known {
        return Ok(session);
    }
    let again = Session::start(connection, unit, profile).await?;
    if again.vitals().serial == shown { Ok(again) } else { Err(NoReading::UnstableSerial.into()) }
}
