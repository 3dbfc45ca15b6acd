//! The owner of one endpoint: there is never a second connection to the same host and port.

use market::time::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_modbus::client::{Context, tcp};
use tokio_modbus::slave::Slave;
use tokio_util::sync::CancellationToken;

use crate::modbus::poll::{PollError, in_words, poll};
use crate::modbus::reconnect::Backoff;
use crate::profile::{Profile, RegisterReading};

/// How many silences in a row open a unit's circuit breaker.
const BREAKER_SILENCES: u32 = 3;
/// How often a unit with an open breaker is tried.
const BREAKER_PAUSE: Duration = Duration::from_secs(60);

/// What a device has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeterEvent {
    /// It was read.
    Reading(RegisterReading),
    /// It was asked and gave nothing that can be counted; the words say why.
    NoReading(String),
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

/// A host and port, with everything behind it.
#[derive(Debug)]
pub struct Endpoint {
    /// Name or address of the host.
    pub host: String,
    /// The TCP port.
    pub port: u16,
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
}

/// What the next thing to do brought.
enum Outcome {
    Connected(Context),
    Failed(PollError),
}

impl Endpoint {
    /// Polls until `shutdown`, or until nobody listens any more. Runs without any device being
    /// there: a meter that is absent at start or asleep at night is normal.
    pub async fn run(self, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        shutdown.run_until_cancelled_owned(self.serve(clock)).await;
    }

    async fn serve(self, clock: Arc<dyn Clock>) {
        let now = Instant::now();
        let mut schedules: Vec<_> = self
            .devices
            .into_iter()
            .map(|device| Schedule { device, due: now, silences: 0 })
            .collect();
        let mut backoff = Backoff::new();
        let mut connection: Option<Context> = None;
        while let Some(next) = schedules.iter_mut().min_by_key(|schedule| schedule.due) {
            sleep_until(next.due).await;
            let profile = &next.device.profile;
            let mut context = match connection.take() {
                Some(context) => context,
                None => match connect(&self.host, self.port, profile).await {
                    Outcome::Connected(context) => context,
                    Outcome::Failed(error) => {
                        let told = next.tell(MeterEvent::Offline(error.to_string())).await;
                        sleep(backoff.pause()).await;
                        if told.is_err() {
                            return;
                        }
                        continue;
                    }
                },
            };
            let unit = next.device.unit;
            let polled = poll(&mut context, unit, profile, &*clock, self.gap_max_ms).await;
            let gap = profile.min_gap;
            next.plan(&polled);
            let poisoned = polled.as_ref().is_err_and(PollError::poisons_connection);
            let event = match polled {
                Ok(reading) => {
                    backoff.reset();
                    MeterEvent::Reading(reading)
                }
                Err(error) if error.poisons_connection() => {
                    MeterEvent::Offline(in_words(&error).into_owned())
                }
                Err(error) => MeterEvent::NoReading(error.to_string()),
            };
            if next.tell(event).await.is_err() {
                return;
            }
            if poisoned {
                drop(context);
                sleep(backoff.pause()).await;
            } else {
                connection = Some(context);
                sleep(gap).await;
            }
        }
    }
}

impl Schedule {
    /// When the device is due again. A silent unit costs its neighbours a reconnection, so it is
    /// tried but once a minute; an endpoint with one unit has the growing pauses alone.
    fn plan(&mut self, polled: &Result<RegisterReading, PollError>) {
        let silent = polled.as_ref().is_err_and(PollError::is_silence);
        self.silences = if silent { self.silences.saturating_add(1) } else { 0 };
        let pause = if self.silences >= BREAKER_SILENCES {
            BREAKER_PAUSE.max(self.device.poll_interval)
        } else {
            self.device.poll_interval
        };
        let now = Instant::now();
        // Polls that are late are not made up for: the counter loses nothing.
        self.due = (self.due + pause).max(now);
    }

    async fn tell(&self, event: MeterEvent) -> Result<(), mpsc::error::SendError<MeterEvent>> {
        self.device.events.send(event).await
    }
}

async fn connect(host: &str, port: u16, profile: &Profile) -> Outcome {
    let connected = timeout(profile.timeout, TcpStream::connect((host, port))).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Outcome::Failed(PollError::Connect(error.to_string())),
        Err(_) => {
            let words = format!("no answer within {:?}", profile.timeout);
            return Outcome::Failed(PollError::Connect(words));
        }
    };
    // Requests are single small segments; without this they would wait for acknowledgements.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "requests to the meter may be delayed");
    }
    sleep(profile.connect_delay).await;
    Outcome::Connected(tcp::attach_slave(stream, Slave(0)))
}
