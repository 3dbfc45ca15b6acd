//! Modbus: one owner task per endpoint, which polls the devices behind it one after the other.
//!
//! tokio-modbus 0.17 has defects that each get a guard here (reference `meters.md`, section 4):
//! after a time-out every later answer of a TCP connection is refused, and on a serial line a late
//! answer is taken for the next one's; an end of file comes as a nonsense error; and a wrong number
//! of words is passed on. So after any time-out, transport error, header mismatch or wrong length
//! the connection is dropped and a new one opened, with a growing pause between attempts; a serial
//! line is quiet for a second after a missed answer and drained before every request; requests
//! of one profile differ in their lengths; and the number of words is checked before anything is
//! decoded.
//!
//! All time-outs and pauses are real time; readings are stamped with market time.

mod address;
mod endpoint;
mod line;
mod poll;
mod reconnect;
mod walk;

pub(crate) use poll::{Connection, Session, in_words};
pub(crate) use reconnect::jitter;

pub use address::Address;
pub use endpoint::{Device, Endpoint, MeterEvent};
pub use poll::PollError;
pub use reconnect::Backoff;
