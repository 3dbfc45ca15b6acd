//! Modbus devices written by hand, on TCP and on serial lines, so that they can do everything wrong.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A request for words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) unit: u8,
    pub(crate) function: u8,
    pub(crate) address: u16,
    pub(crate) count: u16,
    /// Which connection it came on, from 1.
    pub(crate) connection: usize,
    /// When.
    pub(crate) at: Instant,
}

/// What the device does about it.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Words(Vec<u16>),
    Exception(u8),
    Silence,
    Late(Duration, Vec<u16>),
    /// Noise on the line, then the words.
    Noise(Vec<u8>, Vec<u16>),
    /// The answer to another transaction.
    ForgetsTransaction(Vec<u16>),
}

type Answer = Arc<dyn Fn(Ask) -> Reply + Send + Sync>;

/// A running device.
pub(crate) struct Device {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) asked: Arc<Mutex<Vec<Ask>>>,
    task: JoinHandle<()>,
}

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How frames are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Framing {
    Tcp,
    Rtu,
    /// RTU behind an adapter that repeats what is sent.
    RtuWithEcho,
}

impl Device {
    pub(crate) async fn start(
        framing: Framing,
        answer: impl Fn(Ask) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, asked) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let (counted, noted) = (Arc::clone(&connections), Arc::clone(&asked));
        let answer: Answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                stream.set_nodelay(true).unwrap();
                let connection = counted.fetch_add(1, Ordering::SeqCst) + 1;
                let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                tokio::spawn(serve(stream, framing, connection, answer, noted));
            }
        });
        Self { address, connections, asked, task }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn asked(&self) -> Vec<Ask> {
        self.asked.lock().unwrap().clone()
    }
}

/// Serves one connection or line until it ends.
pub(crate) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    framing: Framing,
    connection: usize,
    answer: Answer,
    asked: Arc<Mutex<Vec<Ask>>>,
) {
    let head = if framing == Framing::Tcp { 12 } else { 8 };
    let mut request = vec![0; head];
    while stream.read_exact(&mut request).await.is_ok() {
        let at = Instant::now();
        if framing == Framing::RtuWithEcho && stream.write_all(&request).await.is_err() {
            return;
        }
        let pdu = if framing == Framing::Tcp { &request[6..] } else { &request[..] };
        let word = |at: usize| u16::from_be_bytes([pdu[at], pdu[at + 1]]);
        let (unit, function, address, count) = (pdu[0], pdu[1], word(2), word(4));
        let ask = Ask { unit, function, address, count, connection, at };
        asked.lock().unwrap().push(ask);
        let mut transaction = u16::from_be_bytes([request[0], request[1]]);
        let (mut noise, reply) = (Vec::new(), answer(ask));
        let body = match reply {
            Reply::Silence => continue,
            Reply::Exception(code) => vec![unit, function | 0x80, code],
            Reply::Words(words) => body(unit, function, &words),
            Reply::Late(by, words) => {
                tokio::time::sleep(by).await;
                body(unit, function, &words)
            }
            Reply::Noise(bytes, words) => {
                noise = bytes;
                body(unit, function, &words)
            }
            Reply::ForgetsTransaction(words) => {
                transaction = transaction.wrapping_add(7);
                body(unit, function, &words)
            }
        };
        let mut bytes = noise;
        if framing == Framing::Tcp {
            bytes.extend(transaction.to_be_bytes());
            bytes.extend([0, 0]);
            bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
            bytes.extend(body);
        } else {
            let check = crc(&body);
            bytes.extend(body);
            bytes.extend(check.to_le_bytes());
        }
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

fn body(unit: u8, function: u8, words: &[u16]) -> Vec<u8> {
    let mut bytes = vec![unit, function, u8::try_from(words.len() * 2).unwrap()];
    bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    bytes
}

/// The checksum of a serial frame, bit by bit as in the specification.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 }
        })
    })
}

/// A device's words: function and address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words(BTreeMap<(u8, u16), u16>);

impl Words {
    pub(crate) fn put(&mut self, function: u8, address: u16, words: &[u16]) {
        for (offset, word) in (0..).zip(words) {
            self.0.insert((function, address + offset), *word);
        }
    }

    pub(crate) fn put_f32(&mut self, function: u8, address: u16, value: f32) {
        let bits = value.to_bits().to_be_bytes();
        let pair = [u16::from_be_bytes([bits[0], bits[1]]), u16::from_be_bytes([bits[2], bits[3]])];
        self.put(function, address, &pair);
    }

    pub(crate) fn put_u32(&mut self, function: u8, address: u16, value: u32) {
        self.put_f32(function, address, f32::from_bits(value));
    }

    /// As a device answers that has nothing elsewhere.
    pub(crate) fn reply(&self, ask: Ask) -> Reply {
        let end = ask.address.saturating_add(ask.count);
        let words: Option<Vec<_>> =
            (ask.address..end).map(|at| self.0.get(&(ask.function, at)).copied()).collect();
        words.map_or(Reply::Exception(2), Reply::Words)
    }

    /// The words that a request brings, zero where the device has none.
    pub(crate) fn filled(&self, function: u8, address: u16, count: u16) -> Vec<u16> {
        let word = |at| self.0.get(&(function, at)).copied().unwrap_or_default();
        (address..address + count).map(word).collect()
    }

    /// An SDM630 with everything that its profile knows.
    pub(crate) fn sdm630(import_wh: i64, export_wh: i64, power_w: f32) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the device does the same")]
        let kwh = |wh: i64| (wh as f64 / 1_000.0) as f32;
        let mut words = Self::default();
        words.put(4, 0, &[0; 80]);
        for (at, value) in [
            (0, 230.1),
            (2, 229.5),
            (4, 231.0),
            (52, power_w),
            (70, 50.02),
            (72, kwh(import_wh)),
            (74, kwh(export_wh)),
        ] {
            words.put_f32(4, at, value);
        }
        words.put_u32(3, 64_512, 20_304_050);
        words
    }
}
