//! A TCP stream that damages what the meter says, frame by frame, while a fault is switched on.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rand::RngExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::{Fault, FaultSwitch};
use crate::random::{COMMUNITY, Purpose, stream};

/// Modbus TCP header: transaction id, protocol id, length (two bytes each), unit id.
const HEADER_BYTES: usize = 7;
const LENGTH_AT: usize = 4;
const UNIT_AT: usize = 6;
const FUNCTION_AT: usize = 7;
const BYTE_COUNT_AT: usize = 8;
/// Length of the nonsense sent for [`Fault::Junk`].
const JUNK_BYTES: usize = 48;

/// The server's side of a connection. Whole frames are handed to it one at a time, because the
/// server writes one answer and flushes it before it reads on.
#[derive(Debug)]
pub(crate) struct FaultyStream {
    inner: TcpStream,
    faults: FaultSwitch,
    /// Damaged bytes on their way out.
    outgoing: VecDeque<u8>,
    /// The connection ends once `outgoing` is empty.
    ending: bool,
}

impl FaultyStream {
    pub(crate) fn new(inner: TcpStream, faults: FaultSwitch) -> Self {
        Self { inner, faults, outgoing: VecDeque::new(), ending: false }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let (front, _) = self.outgoing.as_slices();
            let sent = ready!(Pin::new(&mut self.inner).poll_write(cx, front))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.drain(..sent);
        }
        if self.ending { Pin::new(&mut self.inner).poll_shutdown(cx) } else { Poll::Ready(Ok(())) }
    }

    fn resets(&self) -> bool {
        self.faults.active() == Some(Fault::ResetConnections)
    }
}

impl AsyncRead for FaultyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ending {
            // End of stream: the server gives up the connection.
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if self.resets() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        frame: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        let fault = self.faults.active();
        self.ending = fault == Some(Fault::CutOff);
        self.outgoing.extend(on_the_wire(frame, fault));
        Poll::Ready(Ok(frame.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The bytes that leave the device instead of `frame`.
fn on_the_wire(frame: &[u8], fault: Option<Fault>) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    let change = |bytes: &mut Vec<u8>, at: usize, by: fn(u8) -> u8| {
        if let Some(byte) = bytes.get_mut(at) {
            *byte = by(*byte);
        }
    };
    match fault {
        Some(Fault::WrongTransaction) => change(&mut bytes, 1, |id| id.wrapping_sub(1)),
        Some(Fault::WrongUnit) => change(&mut bytes, UNIT_AT, |unit| unit.wrapping_add(1)),
        Some(Fault::WrongFunction) => change(&mut bytes, FUNCTION_AT, |function| function ^ 1),
        Some(Fault::ByteCountTooLarge) => {
            change(&mut bytes, BYTE_COUNT_AT, |count| count.wrapping_add(2));
        }
        Some(Fault::OddByteCount) if bytes.len() > BYTE_COUNT_AT + 1 => {
            bytes.pop();
            change(&mut bytes, BYTE_COUNT_AT, |count| count.wrapping_sub(1));
            change(&mut bytes, LENGTH_AT + 1, |length| length.wrapping_sub(1));
        }
        Some(Fault::CutOff) => bytes.truncate(frame.len().div_ceil(2).max(HEADER_BYTES)),
        Some(Fault::Junk) => bytes = junk(frame),
        _ => {}
    }
    bytes
}

/// Nonsense, the same for the same frame.
fn junk(frame: &[u8]) -> Vec<u8> {
    let seed = frame.iter().fold(0_u64, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte));
    let mut rng = stream(seed, COMMUNITY, Purpose::Meter, 0);
    (0..JUNK_BYTES).map(|_| rng.random()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two words, 0x1234 and 0x5678, to function 4 of unit 1 in transaction 0x0102.
    const FRAME: [u8; 13] = [1, 2, 0, 0, 0, 7, 1, 4, 4, 0x12, 0x34, 0x56, 0x78];

    #[test]
    fn each_fault_damages_its_own_part_of_the_frame() {
        let expected: [(Option<Fault>, &[u8]); 7] = [
            (None, &FRAME),
            (Some(Fault::WrongTransaction), &[1, 1, 0, 0, 0, 7, 1, 4, 4, 18, 52, 86, 120]),
            (Some(Fault::WrongUnit), &[1, 2, 0, 0, 0, 7, 2, 4, 4, 18, 52, 86, 120]),
            (Some(Fault::WrongFunction), &[1, 2, 0, 0, 0, 7, 1, 5, 4, 18, 52, 86, 120]),
            (Some(Fault::ByteCountTooLarge), &[1, 2, 0, 0, 0, 7, 1, 4, 6, 18, 52, 86, 120]),
            (Some(Fault::OddByteCount), &[1, 2, 0, 0, 0, 6, 1, 4, 3, 18, 52, 86]),
            (Some(Fault::CutOff), &[1, 2, 0, 0, 0, 7, 1]),
        ];
        for (fault, bytes) in expected {
            assert_eq!(on_the_wire(&FRAME, fault), bytes, "{fault:?}");
        }
        let junk = on_the_wire(&FRAME, Some(Fault::Junk));
        assert_eq!(junk.len(), JUNK_BYTES);
        assert_ne!(junk.get(..FRAME.len()), Some(FRAME.as_slice()));
    }

    #[test]
    fn no_fault_panics_on_any_bytes() {
        for length in 0..FRAME.len() {
            for fault in [Fault::WrongFunction, Fault::OddByteCount, Fault::CutOff, Fault::Junk] {
                on_the_wire(&FRAME[..length], Some(fault));
            }
        }
    }
}
