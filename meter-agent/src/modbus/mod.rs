//! Modbus TCP: one owner task per endpoint, which polls the devices behind it one after the other.
//!
//! tokio-modbus 0.17 has defects that each get a guard here (reference `meters.md`, section 4):
//! after a time-out every later answer of the connection is refused, an end of file comes as a
//! nonsense error, and a wrong number of words is passed on. So after any time-out, transport
//! error, header mismatch or wrong length the connection is dropped and a new one opened, with a
//! growing pause between attempts; and the number of words is checked before anything is decoded.
//!
//! All time-outs and pauses are real time; readings are stamped with market time.

mod endpoint;
mod poll;
mod reconnect;

pub(crate) use reconnect::jitter;

pub use endpoint::{Device, Endpoint, MeterEvent};
pub use poll::PollError;
pub use reconnect::Backoff;
