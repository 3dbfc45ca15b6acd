//! The processor time of the running thread.

use std::hint::black_box;

/// How long the work kept this thread on a processor, in nanoseconds; what it made is dropped
/// outside.
pub(crate) fn spent<T>(work: impl FnOnce() -> T) -> u64 {
    let before = on_processor_ns();
    let made = black_box(work());
    let spent = on_processor_ns().saturating_sub(before);
    drop(made);
    spent
}

/// Linux counts it for each thread, in the first field of this file.
fn on_processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let first = text.split_whitespace().next().expect("a first field");
    first.parse().expect("a number")
}

pub(crate) fn median(mut all: Vec<u64>) -> u64 {
    all.sort_unstable();
    all[all.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn ratio(of: u64, to: u64) -> f64 {
    of as f64 / to as f64
}

/// Microseconds for each of so many.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn each_us(ns: u64, count: usize) -> f64 {
    ns as f64 / 1_000.0 / count as f64
}
