//! How long a clearing takes, against the floor that no clearing can beat: sorting the same orders
//! and sweeping once over them, in the same process, on one thread.
//!
//! `cargo bench -p market --bench clearing` prints, for one zone with trades and one answer per
//! order, the medians and their ratios for usual books, for books in which all prices are equal,
//! and for books in which all differ; how both grow from 10,000 to 1,000,000 orders; what 1,000
//! zones with charges and full edges cost more; and how much memory a clearing needs besides the
//! book and the result. It fails if a ratio leaves its bound.
#![expect(clippy::print_stdout, reason = "a bench reports on the terminal")]

#[path = "clearing/books.rs"]
mod books;

use criterion::measurement::{Measurement, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput};
use peak_alloc::PeakAlloc;
use std::hint::black_box;
use std::time::Duration;

use books::{Bare, Case, Prices};
use market::clearing::{Outcome, Terms, decide};
use market::price::Tick;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bounds of issue 3 on the ratio to sort and sweep: (orders, at most).
const RATIO_MAX: [(usize, f64); 3] = [(1_000, 4.0), (100_000, 2.5), (1_000_000, 3.0)];

/// From 10,000 to 1,000,000 orders a clearing grows by at most this exponent more than the floor.
const GROWTH_MAX: f64 = 0.05;

/// 1,000,000 orders over 1,000 zones take at most this times as long as in one zone.
const ZONES_MAX: f64 = 2.0;

/// Bytes per order besides the book and the result.
const BYTES_MAX: f64 = 64.0;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    measure(&mut criterion);
    criterion.final_summary();
    // `cargo test --benches` and `cargo nextest` only want to know that the bench runs.
    if std::env::args().any(|argument| argument == "--bench") {
        report();
    }
}

fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("clearing");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for count in [1_000, 10_000] {
        let case = books::one_zone(count, Prices::InSteps);
        group.throughput(Throughput::Elements(u64::try_from(count).expect("a small count")));
        group.bench_function(BenchmarkId::new("clear", count), |bencher| {
            bencher.iter(|| cleared(&case));
        });
    }
    group.finish();
}

fn report() {
    let mut broken = Vec::new();
    println!(
        "\n{:<22} {:>9} {:>10} {:>10} {:>10} {:>7} {:>8} {:>7}",
        "one zone", "orders", "sort", "floor", "clear", "/floor", "B/order", "growth"
    );
    for prices in [Prices::InSteps, Prices::Equal, Prices::Distinct] {
        let mut small = None;
        for count in [1_000, 10_000, 100_000, 1_000_000] {
            let case = books::one_zone(count, prices);
            let times = Times::of(&case, rounds(count));
            let bytes = bytes_per_order(&case);
            let ratio = times.ratio();
            print!(
                "{:<22} {count:>9} {:>10.1?} {:>10.1?} {:>10.1?} {ratio:>7.2} {bytes:>8.1}",
                prices.name(),
                times.sort,
                times.floor,
                times.clear
            );
            if count == 10_000 {
                small = Some(times);
            }
            let above = growth(small.filter(|_| count == 1_000_000), times);
            println!("{}", above.map_or(String::new(), |above| format!(" {above:>+7.3}")));
            let bound = RATIO_MAX.iter().find(|(of, _)| *of == count).map(|(_, bound)| *bound);
            if prices == Prices::InSteps {
                check(&mut broken, "ratio to the floor", count, ratio, bound);
                check(
                    &mut broken,
                    "bytes per order",
                    count,
                    bytes,
                    (count >= 100_000).then_some(BYTES_MAX),
                );
            }
            check(
                &mut broken,
                "growth above the floor",
                count,
                above.unwrap_or(-1.0),
                Some(GROWTH_MAX),
            );
        }
    }
    let ratio = report_zones();
    check(&mut broken, "zones to one zone", 1_000_000, ratio, Some(ZONES_MAX));
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// 1,000,000 orders over many zones against as many in one, in turns; returns the ratio.
fn report_zones() -> f64 {
    let one = books::one_zone(1_000_000, Prices::InSteps);
    let many = books::many_zones(1_000_000);
    let (mut alone, mut spread) = (Vec::new(), Vec::new());
    for _ in 0..2 * rounds(1_000_000) {
        alone.push(timed(|| cleared(&one)));
        spread.push(timed(|| cleared(&many)));
    }
    let (alone, spread) = (median(alone), median(spread));
    let ratio = spread.as_secs_f64() / alone.as_secs_f64();
    println!(
        "\n1,000,000 orders, {} zones, depth 4, {} edges full: {spread:.1?}, {ratio:.2} x one zone \
         ({alone:.1?}), {:.1} B/order",
        many.zones.iter().count(),
        full_edges(&cleared(&many), &many),
        bytes_per_order(&many)
    );
    ratio
}

fn check(broken: &mut Vec<String>, what: &str, count: usize, found: f64, bound: Option<f64>) {
    if let Some(bound) = bound.filter(|bound| found > *bound) {
        broken.push(format!("{what} at {count} orders: {found:.2}, at most {bound}"));
    }
}

fn rounds(count: usize) -> usize {
    if count >= 1_000_000 { 11 } else { 41 }
}

/// Medians of interleaved runs, so that a busy machine slows all alike.
#[derive(Clone, Copy)]
struct Times {
    sort: Duration,
    floor: Duration,
    clear: Duration,
}

impl Times {
    fn of(case: &Case, rounds: usize) -> Self {
        let (mut sorts, mut floors, mut clears) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (bids, offers) = (case.bids.clone(), case.offers.clone());
            sorts.push(timed(|| sorted(bids, offers)));
            let (bids, offers) = (case.bids.clone(), case.offers.clone());
            floors.push(timed(|| floor(bids, offers)));
            clears.push(timed(|| cleared(case)));
        }
        Self { sort: median(sorts), floor: median(floors), clear: median(clears) }
    }

    fn ratio(&self) -> f64 {
        self.clear.as_secs_f64() / self.floor.as_secs_f64()
    }
}

/// By how much the exponent of growth over two decades lies above the floor's.
fn growth(small: Option<Times>, large: Times) -> Option<f64> {
    small.map(|small| (large.ratio() / small.ratio()).log10() / 2.0)
}

fn cleared(case: &Case) -> Outcome {
    let terms = Terms {
        zones: &case.zones,
        k_millionths: 500_000,
        tick: Tick::from_micros_per_kwh(1).expect("a tick"),
    };
    decide(&case.book, &terms).expect("a result")
}

/// The peak during a clearing, above what is there before and what the result keeps.
fn bytes_per_order(case: &Case) -> f64 {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = cleared(case);
    let (peak, after) = (MEMORY.peak_usage(), MEMORY.current_usage());
    drop(result);
    let scratch = peak.saturating_sub(before.max(after));
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes = scratch as f64 / (case.bids.len() + case.offers.len()) as f64;
    bytes
}

fn full_edges(result: &Outcome, case: &Case) -> usize {
    let full = |edge: &&market::clearing::EdgeResult| {
        let limits = case.zones.zone(edge.zone).and_then(|zone| zone.edge);
        limits.is_some_and(|limits| {
            limits.capacity_up == Some(edge.flow)
                || limits.capacity_down.map(|down| -down.wh()) == Some(edge.flow.wh())
        })
    };
    result.edges.iter().filter(full).count()
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = WallTime.start();
    let result = black_box(work());
    let time = WallTime.end(start);
    drop(result);
    time
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn sorted(mut bids: Vec<Bare>, mut offers: Vec<Bare>) -> (Vec<Bare>, Vec<Bare>) {
    bids.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    offers.sort_unstable();
    (bids, offers)
}

/// Sorts both sides and walks once over them, writing down who meets whom.
fn floor(bids: Vec<Bare>, offers: Vec<Bare>) -> Vec<(u32, u32, i64)> {
    let (mut bids, mut offers) = sorted(bids, offers);
    let mut trades = Vec::with_capacity(bids.len());
    let (mut bid, mut offer) = (0, 0);
    while bid < bids.len() && offer < offers.len() && bids[bid].0 >= offers[offer].0 {
        let energy = bids[bid].2.min(offers[offer].2);
        trades.push((bids[bid].1, offers[offer].1, energy));
        bids[bid].2 -= energy;
        offers[offer].2 -= energy;
        bid += usize::from(bids[bid].2 == 0);
        offer += usize::from(offers[offer].2 == 0);
    }
    trades
}
