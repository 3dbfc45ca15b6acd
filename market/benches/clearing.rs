//! How long a clearing takes, against the floor that no clearing can beat: sorting the same orders
//! and sweeping once over them, in the same process.
//!
//! `cargo bench -p market` measures 1,000, 10,000 and 100,000 one-step orders in one zone, with
//! trades and one answer per order, prints the ratios and fails if 10,000 orders take more than
//! three times as long as sorting them.
#![expect(clippy::print_stdout, reason = "a bench reports on the terminal")]

use criterion::measurement::{Measurement, WallTime};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;

use market::book::{BookedOrder, SealedBook, sealed_from_orders};
use market::clearing::{MechanismKind, clear};
use market::energy::Energy;
use market::gate::GateSchedule;
use market::hash::Digest;
use market::member::PartyId;
use market::order::{OrderId, Preferences, Step};
use market::price::{Price, Tick};
use market::rules::MarketRules;
use market::tariff::Tariffs;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::zone::ZoneId;

const COUNTS: [usize; 3] = [1_000, 10_000, 100_000];

/// Issue 2, "Numbers": clearing 10,000 orders takes at most three times as long as sorting them.
const RATIO_MAX: f64 = 3.0;

/// An order as the floor sees it: price, number, energy.
type Bare = (i64, u32, i64);

/// The same orders, for the floor and for the market.
struct Case {
    bids: Vec<Bare>,
    offers: Vec<Bare>,
    book: SealedBook,
}

fn main() {
    let cases: Vec<Case> = COUNTS.iter().map(|count| case(*count)).collect();
    let mut criterion = Criterion::default().configure_from_args();
    measure(&mut criterion, &cases);
    criterion.final_summary();
    // `cargo test --benches` and `cargo nextest` only want to know that the bench runs.
    if std::env::args().any(|argument| argument == "--bench") {
        report(&cases);
    }
}

fn measure(criterion: &mut Criterion, cases: &[Case]) {
    let rules = rules();
    let mut group = criterion.benchmark_group("clearing");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for (count, case) in COUNTS.iter().zip(cases) {
        group.throughput(Throughput::Elements(u64::try_from(*count).expect("a small count")));
        group.bench_function(BenchmarkId::new("floor", count), |bencher| {
            let unsorted = || (case.bids.clone(), case.offers.clone());
            bencher.iter_batched(
                unsorted,
                |(bids, offers)| floor(bids, offers),
                BatchSize::LargeInput,
            );
        });
        group.bench_function(BenchmarkId::new("clear", count), |bencher| {
            bencher.iter(|| clear(&case.book, &rules));
        });
    }
    group.finish();
}

/// Prints the medians of interleaved runs, so that a busy machine slows both sides alike.
fn report(cases: &[Case]) {
    let rules = rules();
    println!(
        "\n{:>8} {:>10} {:>10} {:>10} {:>7} {:>7}",
        "orders", "sort", "floor", "clear", "/sort", "/floor"
    );
    for (count, case) in COUNTS.iter().zip(cases) {
        let (mut sorts, mut floors, mut clears) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..41 {
            let (bids, offers) = (case.bids.clone(), case.offers.clone());
            sorts.push(timed(|| sorted(bids, offers)));
            let (bids, offers) = (case.bids.clone(), case.offers.clone());
            floors.push(timed(|| floor(bids, offers)));
            clears.push(timed(|| clear(&case.book, &rules)));
        }
        let (sort, floor, clear) = (median(sorts), median(floors), median(clears));
        let (per_sort, per_floor) =
            (clear.as_secs_f64() / sort.as_secs_f64(), clear.as_secs_f64() / floor.as_secs_f64());
        println!(
            "{count:>8} {sort:>10.1?} {floor:>10.1?} {clear:>10.1?} {per_sort:>7.2} {per_floor:>7.2}"
        );
        assert!(
            *count != 10_000 || per_sort <= RATIO_MAX,
            "clearing {count} orders takes {per_sort:.2} times as long as sorting them"
        );
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = WallTime.start();
    black_box(work());
    WallTime.end(start)
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

/// Alternating bids and offers, one party each, 10 to 5,000 Wh at 8.00 to 30.00 ct per kWh in
/// steps of 0.01 ct (shared reference `clearing.md`, section 1).
fn case(count: usize) -> Case {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        i64::try_from(random % limit).expect("below the limit")
    };
    let (mut bids, mut offers) = (Vec::new(), Vec::new());
    let (mut booked_bids, mut booked_offers) = (Vec::new(), Vec::new());
    for number in 0..u32::try_from(count).expect("a small count") {
        let (limit, energy) = (80_000 + 100 * below(2_201), 10 + below(4_991));
        let (bare, booked) = if number % 2 == 0 {
            (&mut bids, &mut booked_bids)
        } else {
            (&mut offers, &mut booked_offers)
        };
        bare.push((limit, number, energy));
        booked.push(booked_order(number, limit, energy));
    }
    let start = Timestamp::from_millis(1_750_000_500_000);
    let period = DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).expect("a period");
    let salt = Digest::of(&[b"salt"]);
    let book = sealed_from_orders(period, booked_bids, booked_offers, salt).expect("a book");
    Case { bids, offers, book }
}

fn booked_order(number: u32, limit: i64, energy: i64) -> BookedOrder {
    let mut party = [0; 16];
    party[..4].copy_from_slice(&number.to_be_bytes());
    BookedOrder {
        id: OrderId::from_bytes(*Digest::of(&[&number.to_be_bytes()]).as_bytes()),
        party: PartyId::from_bytes(party),
        zone: ZoneId(0),
        steps: vec![Step {
            limit: Price::from_micros_per_kwh(limit),
            energy: Energy::from_wh(energy),
        }],
        preferences: Preferences::default(),
    }
}

fn rules() -> MarketRules {
    let price = Price::from_micros_per_kwh;
    MarketRules {
        period_length: PeriodLength::Minutes15,
        gates: GateSchedule::new(vec![900_000]).expect("a schedule"),
        horizon_ms: 86_400_000,
        mechanism: MechanismKind::Auction,
        k_millionths: 500_000,
        tick: Tick::from_micros_per_kwh(100).expect("a tick"),
        price_min: price(-1_000_000),
        price_max: price(5_000_000),
        tariffs: Tariffs { retail: price(320_000), feed_in: price(80_000) },
        settlement_delay_ms: 3_600_000,
        finality_delay_ms: 86_400_000,
    }
}
