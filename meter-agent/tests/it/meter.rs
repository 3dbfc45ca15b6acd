//! A Modbus TCP server written by hand, so that it can answer in every wrong way.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How the meter answers one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    Sound,
    Late(Duration),
    Short,
    Long,
    OddByteCount,
    ByteCountBeyondData,
    WrongTransaction,
    WrongUnit,
    WrongFunction,
    Junk,
    EndOfFile,
    Silent,
    NotANumber,
    ZeroCounters,
    Leap,
    Busy,
    UnknownException,
    SwappedWords,
}

/// What the meter shows, and how.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) import_wh: i64,
    pub(crate) export_wh: i64,
    pub(crate) power_w: f32,
}

type Answer = Arc<dyn Fn(u8) -> (Shown, Manner) + Send + Sync>;

/// A running meter.
pub(crate) struct Meter {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Meter {
    /// Serves an SDM630; `answer` is asked for every request, with its unit id.
    pub(crate) async fn start(
        answer: impl Fn(u8) -> (Shown, Manner) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, connections): (Answer, _) = (Arc::new(answer), Arc::new(Mutex::new(0)));
        let counted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                *counted.lock().unwrap() += 1;
                tokio::spawn(serve(stream, Arc::clone(&answer)));
            }
        });
        Self { address, connections, task }
    }
}

async fn serve(mut stream: TcpStream, answer: Answer) {
    let mut request = [0; 12];
    while stream.read_exact(&mut request).await.is_ok() {
        let (shown, manner) = answer(request[6]);
        if manner == Manner::EndOfFile {
            return;
        }
        let Some(bytes) = respond(&request, &shown, manner).await else { continue };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn respond(request: &[u8; 12], shown: &Shown, manner: Manner) -> Option<Vec<u8>> {
    let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
    let (mut transaction, mut unit, mut function) = (word(0), request[6], request[7]);
    let (address, count) = (usize::from(word(8)), usize::from(word(10)));
    let map = words_of(shown, manner);
    let asked = map.get(address..address + count).filter(|_| function == 4);
    let Some(mut words) = asked.map(<[u16]>::to_vec) else {
        return Some(frame(transaction, unit, &[function | 0x80, 2]));
    };
    match manner {
        Manner::Silent => return None,
        Manner::Junk => return Some(vec![0xA5; 40]),
        Manner::Late(by) => tokio::time::sleep(by).await,
        Manner::Short => words.truncate(count - 2),
        Manner::Long => words.extend([0x4500, 0]),
        Manner::WrongTransaction => transaction = transaction.wrapping_sub(1),
        Manner::WrongUnit => unit = unit.wrapping_add(1),
        Manner::WrongFunction => function = 3,
        Manner::Busy => return Some(frame(transaction, unit, &[function | 0x80, 6])),
        Manner::UnknownException => {
            return Some(frame(transaction, unit, &[function | 0x80, 0x63]));
        }
        _ => {}
    }
    let mut data: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let mut byte_count = u8::try_from(data.len()).unwrap();
    match manner {
        Manner::OddByteCount => {
            data.pop();
            byte_count -= 1;
        }
        Manner::ByteCountBeyondData => byte_count += 8,
        _ => {}
    }
    let mut pdu = vec![function, byte_count];
    pdu.extend(data);
    Some(frame(transaction, unit, &pdu))
}

fn frame(transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(pdu.len() + 1).unwrap();
    let mut bytes = transaction.to_be_bytes().to_vec();
    bytes.extend([0, 0]);
    bytes.extend(length.to_be_bytes());
    bytes.push(unit);
    bytes.extend(pdu);
    bytes
}

fn words_of(shown: &Shown, manner: Manner) -> Vec<u16> {
    #[expect(clippy::cast_possible_truncation, reason = "the device does the same")]
    let kwh = |wh: i64| (wh as f64 / 1_000.0) as f32;
    let (mut import, mut export) = (kwh(shown.import_wh), kwh(shown.export_wh));
    match manner {
        Manner::NotANumber => export = f32::NAN,
        Manner::ZeroCounters => (import, export) = (0.0, 0.0),
        Manner::Leap => import += 5_000.0,
        _ => {}
    }
    let mut words = vec![0; 80];
    for (at, value) in [(52, shown.power_w), (70, 50.0), (72, import), (74, export)] {
        let bits = value.to_bits();
        let [a, b, c, d] = bits.to_be_bytes();
        let (mut high, mut low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        if manner == Manner::SwappedWords {
            (high, low) = (low, high);
        }
        words[at] = high;
        words[at + 1] = low;
    }
    words
}
