//! One connection, and one poll of one device: requests, checks of the answers, decoding.

use market::reading::Quality;
use market::time::{Clock, Timestamp};
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_modbus::client::{Client as _, Context};
use tokio_modbus::slave::{Slave, SlaveContext as _};
use tokio_modbus::{ExceptionCode, Request, Response};

use crate::modbus::address::{Address, open};
use crate::modbus::walk::walk;
use crate::profile::{
    Function, Map, NoReading, Profile, RegisterReading, Source, Vitals, WordRequest,
};

/// How often a busy device is asked again within one poll.
const BUSY_RETRIES: u32 = 3;
/// How long to wait before a busy device is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// Why a poll brought no reading.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// No connection, or none in time.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connection ended, or carried bytes that are no Modbus.
    #[error("the connection failed: {0}")]
    Transport(std::io::Error),
    /// An answer to another request, unit or function.
    #[error("the answer belongs to another request")]
    ForeignAnswer,
    /// An answer with more or fewer words than were asked for.
    #[error("{asked} words were asked for, but {found} came")]
    WrongLength {
        /// How many were asked for.
        asked: u16,
        /// How many came.
        found: usize,
    },
    /// The device refuses.
    #[error("the device refuses with exception {}", u8::from(*.0))]
    Refused(ExceptionCode),
    /// The words say nothing that could be counted.
    #[error(transparent)]
    NoReading(#[from] NoReading),
}

impl PollError {
    /// Whether later answers on the same connection could be taken for the wrong request.
    pub(crate) fn poisons_connection(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::NoReading(_))
    }

    /// Whether the unit itself stays silent, though its gateway may be well.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::TimedOut(_))
            || matches!(
                self,
                Self::Refused(
                    ExceptionCode::GatewayTargetDevice | ExceptionCode::GatewayPathUnavailable
                )
            )
    }
}

/// An open connection to an endpoint. It is dropped after any error that poisons it.
pub(crate) struct Connection {
    context: Context,
    /// Which unit was asked last, and when that was over.
    last: Option<(u8, Instant)>,
}

impl Connection {
    /// Opens one, as slowly as the device wants it.
    pub(crate) async fn open(address: &Address, profile: &Profile) -> Result<Self, PollError> {
        Ok(Self { context: open(address, profile).await?, last: None })
    }

    /// Asks a unit for words, and again while it says that it is busy (exceptions 5 and 6).
    pub(crate) async fn ask(
        &mut self,
        unit: u8,
        request: WordRequest,
        profile: &Profile,
    ) -> Result<Vec<u16>, PollError> {
        let mut retries = 0;
        loop {
            if let Some((before, at)) = self.last {
                let gap = if before == unit { profile.min_gap } else { profile.unit_gap };
                sleep_until(at + gap).await;
            }
            self.context.set_slave(Slave(unit));
            let answer = ask(&mut self.context, request, profile.timeout).await;
            self.last = Some((unit, Instant::now()));
            let busy = matches!(
                answer,
                Err(PollError::Refused(
                    ExceptionCode::Acknowledge | ExceptionCode::ServerDeviceBusy
                ))
            );
            if !busy || retries >= BUSY_RETRIES {
                return answer;
            }
            retries = retries.saturating_add(1);
            sleep(BUSY_PAUSE).await;
        }
    }
}

/// What is known of a unit as long as the connection lasts.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) map: Map,
    start_answers: Vec<Vec<u16>>,
    /// Requests for words that this unit does not have.
    absent: Vec<bool>,
    /// The answers of the last poll.
    answers: Vec<Vec<u16>>,
}

impl Session {
    /// Finds out where the unit keeps its words, and whether it is the device that the profile
    /// takes it for.
    pub(crate) async fn start(
        connection: &mut Connection,
        unit: u8,
        profile: &Profile,
    ) -> Result<Self, PollError> {
        let session = Self::open(connection, unit, profile).await?;
        session.check()?;
        Ok(session)
    }

    /// The same without judging what the unit shows.
    pub(crate) async fn open(
        connection: &mut Connection,
        unit: u8,
        profile: &Profile,
    ) -> Result<Self, PollError> {
        let map = match &profile.source {
            Source::Map(map) => map.clone(),
            Source::SunSpec(rules) => walk(connection, unit, profile, rules).await?,
        };
        let mut start_answers = Vec::with_capacity(map.start_requests.len());
        for request in &map.start_requests {
            let answer = connection.ask(unit, *request, profile).await;
            start_answers.push(if_there(answer)?.unwrap_or_default());
        }
        let absent = vec![false; map.requests.len()];
        let answers = vec![Vec::new(); map.requests.len()];
        Ok(Self { map, start_answers, absent, answers })
    }

    /// Whether the unit is the model that the profile is for, and shows what a grid has.
    pub(crate) fn check(&self) -> Result<(), NoReading> {
        self.map.check_model(&self.all_answers())?;
        self.vitals().check()
    }

    /// What was read beside the counters, at the start and in the last poll.
    pub(crate) fn vitals(&self) -> Vitals {
        self.map.vitals(&self.all_answers())
    }

    /// The answers of the last poll, and those at the start.
    pub(crate) fn all_answers(&self) -> Vec<Vec<u16>> {
        self.answers.iter().chain(&self.start_answers).cloned().collect()
    }

    /// Reads the unit once. The reading is stamped with the middle of the exchange; if that took
    /// more than `gap_max_ms` of market time, the reading is estimated.
    pub(crate) async fn poll(
        &mut self,
        connection: &mut Connection,
        unit: u8,
        profile: &Profile,
        clock: &dyn Clock,
        gap_max_ms: i64,
    ) -> Result<RegisterReading, PollError> {
        let begun = clock.now();
        for index in 0..self.map.requests.len() {
            let Some(request) = self.map.requests.get(index).copied() else { break };
            let known_absent = self.absent.get(index).copied().unwrap_or_default();
            let words = if known_absent {
                None
            } else {
                if_there(connection.ask(unit, request, profile).await)?
            };
            // Words without which there is no reading are asked for again and again.
            if let Some(absent) = self.absent.get_mut(index) {
                *absent = words.is_none() && !self.map.needs(index);
            }
            if let Some(kept) = self.answers.get_mut(index) {
                *kept = words.unwrap_or_default();
            }
        }
        let (at, quality) = stamp(begun, clock.now(), gap_max_ms);
        Ok(self.map.decode(&self.answers, at, quality)?)
    }
}

/// Words that a variant of the device does not have are no error of the communication.
fn if_there(answer: Result<Vec<u16>, PollError>) -> Result<Option<Vec<u16>>, PollError> {
    match answer {
        Ok(words) => Ok(Some(words)),
        Err(PollError::Refused(
            ExceptionCode::IllegalFunction
            | ExceptionCode::IllegalDataAddress
            | ExceptionCode::IllegalDataValue,
        )) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn ask(
    context: &mut Context,
    request: WordRequest,
    wait: Duration,
) -> Result<Vec<u16>, PollError> {
    let WordRequest { function, address, count } = request;
    let asked: Request<'_> = match function {
        Function::Input => Request::ReadInputRegisters(address, count),
        Function::Holding => Request::ReadHoldingRegisters(address, count),
    };
    let answer = timeout(wait, context.call(asked)).await;
    let response = match answer.map_err(|_| PollError::TimedOut(wait))? {
        Ok(Ok(response)) => response,
        Ok(Err(exception)) => return Err(PollError::Refused(exception)),
        Err(tokio_modbus::Error::Transport(error)) => return Err(PollError::Transport(error)),
        Err(tokio_modbus::Error::Protocol(_)) => return Err(PollError::ForeignAnswer),
    };
    let words = match (function, response) {
        (Function::Input, Response::ReadInputRegisters(words))
        | (Function::Holding, Response::ReadHoldingRegisters(words)) => words,
        _ => return Err(PollError::ForeignAnswer),
    };
    if words.len() == usize::from(count) {
        Ok(words)
    } else {
        Err(PollError::WrongLength { asked: count, found: words.len() })
    }
}

fn stamp(begun: Timestamp, ended: Timestamp, gap_max_ms: i64) -> (Timestamp, Quality) {
    let took_ms = ended.millis_since(begun).max(0);
    let quality = if took_ms > gap_max_ms { Quality::Estimated } else { Quality::Ok };
    (begun.plus_millis(took_ms / 2), quality)
}

/// What went wrong, in words that a person can act on.
pub(crate) fn in_words(error: &PollError) -> Cow<'static, str> {
    match error {
        // An end of file comes as a nonsense operating-system error.
        PollError::Transport(_) => Cow::Borrowed("the device closed the connection or sent junk"),
        other => Cow::Owned(other.to_string()),
    }
}
