//! What goes wrong with real meters, to be switched on and off while a simulated one runs.

mod wire;

pub(crate) use wire::FaultyStream;

use std::sync::{Arc, Mutex, PoisonError};

/// One way in which a meter, or the wire to it, misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Every answer comes so much later (real time).
    LateAnswer {
        /// Delay in milliseconds.
        delay_ms: u64,
    },
    /// Connections stand, but nothing is ever answered.
    Silence,
    /// Exception 6: the device is busy.
    Busy,
    /// An exception code that no specification knows.
    UnknownException,
    /// One word fewer than asked for.
    ShortAnswer,
    /// One word more than asked for.
    LongAnswer,
    /// Every measured value is the float "not a number".
    NanWords,
    /// Energy counters read 0, as while booting; power and voltage are right.
    CounterZero,
    /// The values stand still at what was last read.
    StuckValues,
    /// The answer's transaction id is another request's.
    WrongTransaction,
    /// The answer's unit id is another device's.
    WrongUnit,
    /// The answer's function code is another function's.
    WrongFunction,
    /// The answer's last data byte is missing, so that half a word is left.
    OddByteCount,
    /// The answer announces more data bytes than it holds.
    ByteCountTooLarge,
    /// Random bytes instead of an answer.
    Junk,
    /// The connection is closed in the middle of an answer.
    CutOff,
    /// Connections are reset, new ones and standing ones. (The operating system completes the
    /// handshake first; for a refused one, end the meter.)
    ResetConnections,
    /// While one client is connected, others are turned away.
    OneClientOnly,
}

/// A switch for one meter's fault; clones switch the same meter.
#[derive(Clone, Debug, Default)]
pub struct FaultSwitch(Arc<Mutex<Option<Fault>>>);

impl FaultSwitch {
    /// A meter without fault.
    #[must_use]
    pub fn healthy() -> Self {
        Self::default()
    }

    /// Switches to a fault, or back to health. It acts on the next request.
    pub fn set(&self, fault: Option<Fault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// The fault that acts now.
    #[must_use]
    pub fn active(&self) -> Option<Fault> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
