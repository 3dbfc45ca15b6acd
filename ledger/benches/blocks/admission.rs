//! Admission: decoding, the rules of the state, the strict signature check; against that check.

use std::hint::black_box;
use std::thread;

use ed25519_dalek::{Signature, VerifyingKey};
use ledger::received::Received;
use ledger::transaction::Transaction;
use market::order::Side;
use market::signed::signed_bytes;
use market::time::Timestamp;

use crate::check;
use crate::cpu_time::{each_us, median, ratio, spent};
use crate::street::{Street, party_key};

/// The part of its time that admission may spend on signatures at least.
const SHARE_MIN: f64 = 0.9;

const HOUSEHOLDS: usize = 500;
const ORDERS: usize = 1_000;
const ROUNDS: usize = 15;

/// The same orders as they come in, and as a bare signature check takes them.
struct Case {
    street: Street,
    at: Timestamp,
    payloads: Vec<Vec<u8>>,
    bare: Vec<(VerifyingKey, Vec<u8>, Signature)>,
}

pub(crate) fn report(broken: &mut Vec<String>) {
    let case = Case::new();
    println!(
        "\n{:<28} {:>12} {:>12} {:>10}",
        "admission of an order", "strict check", "all", "share"
    );
    for threads in [1, 2] {
        let (mut bare, mut all) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(on_threads(threads, || case.verify_bare()));
            all.push(on_threads(threads, || case.admit()));
        }
        let (bare, all) = (median(bare), median(all));
        let share = ratio(bare, all);
        let count = ORDERS * threads;
        println!(
            "{:<28} {:>9.1} us {:>9.1} us {share:>10.3}",
            format!("threads: {threads}"),
            each_us(bare, count),
            each_us(all, count)
        );
        let what = format!("strict checks' share of admission, {threads} threads");
        check(broken, &what, share, share >= SHARE_MIN, "at least 0.9");
    }
}

/// The processor time of all threads together, each of which does the work once, at the same time.
fn on_threads(count: usize, work: impl Fn() + Sync) -> u64 {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(|| spent(&work))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    })
}

impl Case {
    fn new() -> Self {
        let street = Street::of(HOUSEHOLDS);
        let period = street.quarter(12);
        let chain = street.genesis.chain_id();
        let (mut payloads, mut bare) = (Vec::new(), Vec::new());
        for n in 0..ORDERS {
            let (house, side) = (n / 2, if n % 2 == 0 { Side::Buy } else { Side::Sell });
            let signed = street.order(house, period, side);
            let key = party_key(house);
            let bytes = signed_bytes(&chain, signed.payload());
            let signature = Signature::from_bytes(key.sign(&bytes).as_bytes());
            let key = VerifyingKey::from_bytes(key.public().as_bytes()).expect("a key");
            bare.push((key, bytes, signature));
            payloads.push(Transaction::Order(signed.into_envelope()).to_bytes());
        }
        let at = street.state.time().plus_millis(1);
        Self { street, at, payloads, bare }
    }

    fn verify_bare(&self) {
        for (key, bytes, signature) in &self.bare {
            key.verify_strict(bytes, signature).expect("it holds");
        }
    }

    /// As a node's mempool does it: what is cheap first.
    fn admit(&self) {
        for payload in &self.payloads {
            let received = Received::from(Transaction::from_bytes(payload).expect("an order"));
            self.street.state.check(&received, self.at).expect("it counts");
            black_box(self.street.state.receive(received, self.at).expect("it is signed"));
        }
    }
}
