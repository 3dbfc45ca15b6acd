//! What it costs to judge an order, to apply a block, and to follow a chain, each against the floor
//! that nothing can beat: the signatures and hashes themselves.
//!
//! `cargo bench -p ledger --bench blocks` prints the processor time of each with its ratio to the
//! floor, and fails if a ratio leaves its bound. Floor and measurement take turns, and only the time
//! that the thread itself was running counts, so that other load on the machine disturbs little.
//! `HIDAMARI_BENCH_BLOCKS` sets how many blocks the follower follows.
#![expect(clippy::print_stdout, reason = "a bench reports on the terminal")]

#[path = "blocks/admission.rs"]
mod admission;
#[path = "blocks/applying.rs"]
mod applying;
#[path = "blocks/catching_up.rs"]
mod catching_up;
#[path = "blocks/cpu_time.rs"]
mod cpu_time;
#[path = "blocks/street.rs"]
mod street;

use criterion::{Criterion, Throughput};

use street::Street;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    measure(&mut criterion);
    criterion.final_summary();
    // `cargo test --benches` and `cargo nextest` only want to know that the bench runs.
    if std::env::args().any(|argument| argument == "--bench") {
        let mut broken = Vec::new();
        admission::report(&mut broken);
        applying::report(&mut broken);
        catching_up::report(&mut broken);
        assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    }
}

fn measure(criterion: &mut Criterion) {
    let street = Street::of(100);
    let received = applying::received(&street, 1_000);
    let mut group = criterion.benchmark_group("blocks");
    group.sample_size(10).throughput(Throughput::Elements(1_000));
    group.bench_function("apply", |bencher| {
        let block = applying::block(&street, &received);
        bencher.iter(|| applying::applied(&street, &block, received.clone()));
    });
    group.finish();
}

/// Notes a ratio that has left its bound.
fn check(broken: &mut Vec<String>, what: &str, ratio: f64, holds: bool, bound: &str) {
    if !holds {
        broken.push(format!("{what}: {ratio:.2}, wanted {bound}"));
    }
}
