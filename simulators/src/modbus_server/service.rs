//! Answers requests for the meter's words, honestly or as the fault switch says.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use market::time::Clock;
use tokio_modbus::server::Service;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

use super::{Seat, SharedMeter, UNIT_ID};
use crate::faults::{Fault, FaultSwitch};
use crate::meter::{MeterReadout, WordsError, holding_words, input_words};

/// An exception code that no specification assigns.
const UNASSIGNED_EXCEPTION: u8 = 0x63;
/// The two words of the float "not a number".
const NAN_WORDS: [u16; 2] = [0x7FC0, 0x0000];

/// The meter's answers on one connection.
#[derive(Clone)]
pub(super) struct SdmService {
    meter: SharedMeter,
    faults: FaultSwitch,
    clock: Arc<dyn Clock>,
    /// What was read last, by whomever: what a stuck meter goes on showing.
    last_shown: Arc<Mutex<Option<MeterReadout>>>,
    /// Frees the connection's place when the connection ends.
    _seat: Option<Arc<Seat>>,
}

impl SdmService {
    pub(super) fn new(meter: SharedMeter, faults: FaultSwitch, clock: Arc<dyn Clock>) -> Self {
        Self { meter, faults, clock, last_shown: Arc::default(), _seat: None }
    }

    /// The same meter for one connection, which takes `seat`.
    pub(super) fn of_connection(&self, seat: Seat) -> Self {
        Self { _seat: Some(Arc::new(seat)), ..self.clone() }
    }

    fn answer(
        &self,
        request: &SlaveRequest<'_>,
        fault: Option<Fault>,
    ) -> Result<Response, ExceptionCode> {
        if request.slave != UNIT_ID {
            return Err(ExceptionCode::GatewayTargetDevice);
        }
        match fault {
            Some(Fault::Busy) => return Err(ExceptionCode::ServerDeviceBusy),
            Some(Fault::UnknownException) => {
                return Err(ExceptionCode::Custom(UNASSIGNED_EXCEPTION));
            }
            _ => {}
        }
        match request.request {
            Request::ReadInputRegisters(address, count) => {
                let mut words =
                    input_words(&self.shown(fault)?, address, count).map_err(exception)?;
                if fault == Some(Fault::NanWords) {
                    fill_with_nan(&mut words, address);
                }
                Ok(Response::ReadInputRegisters(resized(words, fault)))
            }
            Request::ReadHoldingRegisters(address, count) => {
                let words =
                    holding_words(&self.shown(fault)?, address, count).map_err(exception)?;
                Ok(Response::ReadHoldingRegisters(resized(words, fault)))
            }
            _ => Err(ExceptionCode::IllegalFunction),
        }
    }

    /// What the display shows now.
    fn shown(&self, fault: Option<Fault>) -> Result<MeterReadout, ExceptionCode> {
        let mut last_shown = self.last_shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(Fault::StuckValues), Some(stuck)) = (fault, *last_shown) {
            return Ok(stuck);
        }
        let readout = self.meter.readout(self.clock.now()).map_err(|error| {
            tracing::warn!(%error, "the simulated meter cannot be read");
            ExceptionCode::ServerDeviceFailure
        })?;
        *last_shown = Some(readout);
        if fault == Some(Fault::CounterZero) {
            return Ok(MeterReadout { import_uj: 0, export_uj: 0, ..readout });
        }
        Ok(readout)
    }
}

fn exception(error: WordsError) -> ExceptionCode {
    match error {
        WordsError::CountOutOfRange { .. } => ExceptionCode::IllegalDataValue,
        WordsError::UnmappedAddress { .. } => ExceptionCode::IllegalDataAddress,
    }
}

/// Writes "not a number" into all words of an answer that starts at `address`.
fn fill_with_nan(words: &mut [u16], address: u16) {
    let [high, low] = NAN_WORDS;
    for (offset, word) in (0_u16..).zip(words) {
        *word = if address.wrapping_add(offset) % 2 == 0 { high } else { low };
    }
}

fn resized(mut words: Vec<u16>, fault: Option<Fault>) -> Vec<u16> {
    match fault {
        Some(Fault::ShortAnswer) => {
            words.pop();
        }
        Some(Fault::LongAnswer) => words.push(0),
        _ => {}
    }
    words
}

impl Service for SdmService {
    type Request = SlaveRequest<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Exception>> + Send>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let fault = service.faults.active();
            match fault {
                Some(Fault::Silence) => return Ok(None),
                Some(Fault::LateAnswer { delay_ms }) => {
                    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                }
                _ => {}
            }
            service.answer(&request, fault).map(Some)
        })
    }
}
