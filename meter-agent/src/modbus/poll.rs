//! One poll of one device: its requests, the checks of the answers, and the decoding.

use market::reading::Quality;
use market::time::{Clock, Timestamp};
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_modbus::client::{Client as _, Context};
use tokio_modbus::slave::{Slave, SlaveContext as _};
use tokio_modbus::{ExceptionCode, Request, Response};

use crate::profile::{Function, NoReading, Profile, RegisterReading, WordRequest};

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
    pub(super) fn poisons_connection(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::NoReading(_))
    }

    /// Whether the unit itself stays silent, though its gateway may be well.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::TimedOut(_))
            || matches!(
                self,
                Self::Refused(
                    ExceptionCode::GatewayTargetDevice | ExceptionCode::GatewayPathUnavailable
                )
            )
    }
}

/// Reads one device once. The reading is stamped with the middle of the exchange; if that took
/// more than `gap_max_ms` of market time, the reading is estimated.
pub(super) async fn poll(
    context: &mut Context,
    unit: u8,
    profile: &Profile,
    clock: &dyn Clock,
    gap_max_ms: i64,
) -> Result<RegisterReading, PollError> {
    context.set_slave(Slave(unit));
    let begun = clock.now();
    let mut answers = Vec::with_capacity(profile.requests.len());
    for (index, request) in profile.requests.iter().enumerate() {
        if index > 0 {
            sleep(profile.min_gap).await;
        }
        answers.push(ask_until_free(context, *request, profile).await?);
    }
    let (at, quality) = stamp(begun, clock.now(), gap_max_ms);
    Ok(profile.decode(&answers, at, quality)?)
}

/// Asks again while the device says that it is busy (exceptions 5 and 6).
async fn ask_until_free(
    context: &mut Context,
    request: WordRequest,
    profile: &Profile,
) -> Result<Vec<u16>, PollError> {
    let mut retries = 0;
    loop {
        let answer = ask(context, request, profile.timeout).await;
        let busy = matches!(
            answer,
            Err(PollError::Refused(ExceptionCode::Acknowledge | ExceptionCode::ServerDeviceBusy))
        );
        if !busy || retries >= BUSY_RETRIES {
            return answer;
        }
        retries = retries.saturating_add(1);
        sleep(BUSY_PAUSE.max(profile.min_gap)).await;
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
pub(super) fn in_words(error: &PollError) -> Cow<'static, str> {
    match error {
        // An end of file comes as a nonsense operating-system error.
        PollError::Transport(_) => Cow::Borrowed("the device closed the connection or sent junk"),
        other => Cow::Owned(other.to_string()),
    }
}
