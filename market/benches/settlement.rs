//! How long a day takes to settle: 10,000 parties over 111 zones in 96 quarter hours, with trades,
//! pooling up the tree, time-of-use tariffs, levies and tax; against a bare loop that multiplies
//! and adds the same amounts and does nothing else, in the same process.
//!
//! `cargo bench -p market --bench settlement` prints medians of interleaved runs and fails if the
//! ratio leaves its bound.
#![expect(clippy::print_stdout, reason = "a bench reports on the terminal")]

use criterion::measurement::{Measurement, WallTime};
use criterion::{Criterion, Throughput};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use market::clearing::MechanismKind;
use market::energy::Energy;
use market::gate::GateIndex;
use market::hash::Digest;
use market::member::PartyId;
use market::money::Money;
use market::order::{OrderId, Origin};
use market::price::Price;
use market::reading::Quality;
use market::settlement::{
    Delivery, Expected, Facts, Metered, Settlement, ZonePrices, difference, of_trade, settle,
};
use market::tariff::{Days, Levy, LevyBase, Rates, Tariff, Window};
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::trade::{Path, Trade};
use market::zone::{Edge, Zone, ZoneId, ZoneTree};

const PARTIES: usize = 10_000;
const TRADES: usize = 5_000;
const PERIODS: usize = 96;
const ROUNDS: usize = 11;

/// A settlement has to find parties, compare, pool and round: at most so many times the bare loop.
const RATIO_MAX: f64 = 40.0;

fn main() {
    let day = Day::new();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("settlement");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(PARTIES as u64));
    group.bench_function("one period", |bencher| bencher.iter(|| day.settled(&day.periods[48])));
    group.finish();
    criterion.final_summary();
    // `cargo test --benches` and `cargo nextest` only want to know that the bench runs.
    if std::env::args().any(|argument| argument == "--bench") {
        report(&day);
    }
}

fn report(day: &Day) {
    let settlements: Vec<_> = day.periods.iter().map(|period| day.settled(period)).collect();
    let bare: Vec<_> = day
        .periods
        .iter()
        .zip(&settlements)
        .map(|(period, settlement)| Bare::of(period, settlement, day))
        .collect();
    let mut times: [Vec<Duration>; 4] = Default::default();
    let mut postings = 0;
    for _ in 0..ROUNDS {
        times[0].push(timed(|| bare.iter().map(Bare::run).fold(0_i64, i64::wrapping_add)));
        times[1]
            .push(timed(|| day.periods.iter().map(|period| day.settled(period)).for_each(drop)));
        times[2].push(timed(|| {
            day.periods.par_iter().map(|period| day.settled(period)).for_each(drop);
        }));
        times[3].push(timed(|| postings = settlements.iter().zip(&day.periods).map(posted).sum()));
    }
    let [floor, one, all, posting] = times.map(|times| median(times).as_secs_f64());
    let rate = |count: usize, seconds: f64| count as f64 / seconds / 1e6;
    let settled = PARTIES * PERIODS;
    println!("\n{PARTIES} parties, {PERIODS} periods, {} trades", TRADES * PERIODS);
    println!("{:<34} {:>9} {:>22} {:>8}", "", "seconds", "millions per second", "/bare");
    let line = |what: &str, seconds: f64, count: usize, unit: &str| {
        let (rate, ratio) = (rate(count, seconds), seconds / floor);
        println!("{what:<34} {seconds:>9.3} {rate:>8.2} {unit:<13} {ratio:>8.1}");
    };
    line("bare multiply and add", floor, settled, "party-periods");
    line("settle, one thread", one, settled, "party-periods");
    line("settle, periods on all cores", all, settled, "party-periods");
    line("who pays whom, from settlements", posting, postings, "postings");
    line("settle and say who pays whom", one + posting, postings, "postings");
    let ratio = one / floor;
    assert!(
        ratio <= RATIO_MAX,
        "settling takes {ratio:.1} times the bare loop, at most {RATIO_MAX}"
    );
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

/// How many postings a first settlement makes.
fn posted((settlement, period): (&Settlement, &Period)) -> usize {
    let trades = period.trades.iter().flat_map(of_trade).count();
    trades + difference(settlement, None).expect("small numbers").len()
}

struct Day {
    zones: ZoneTree,
    tariff: Tariff,
    periods: Vec<Period>,
}

struct Period {
    period: DeliveryPeriod,
    parties: BTreeMap<PartyId, Delivery>,
    trades: Vec<Trade>,
    /// Seller and buyer of each trade by number, for the bare loop.
    ends: Vec<(usize, usize)>,
    prices: ZonePrices,
}

impl Day {
    fn new() -> Self {
        let (zones, tariff) = (zones(), tariff());
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let periods = (0..PERIODS).map(|quarter| period(quarter, &mut random)).collect();
        Self { zones, tariff, periods }
    }

    fn settled(&self, of: &Period) -> Settlement {
        let facts = Facts {
            period: of.period,
            parties: &of.parties,
            trades: &of.trades,
            mechanism: &MechanismKind::ZonalAuction,
            rates: self.tariff.rates(of.period),
            zones: &self.zones,
            prices: &of.prices,
        };
        settle(&facts).expect("small numbers")
    }
}

fn price(micros: i64) -> Price {
    Price::from_micros_per_kwh(micros)
}

/// A community, 10 transformers, 100 feeders.
fn zones() -> ZoneTree {
    let zone = |id: u16| {
        let (parent, charge) = if id <= 10 { (0, 10_000) } else { ((id - 11) / 10 + 1, 5_000) };
        let edge = Edge {
            parent: ZoneId(parent),
            charge: price(charge),
            capacity_up: None,
            capacity_down: None,
        };
        (ZoneId(id), Zone { label: format!("zone {id}"), edge: (id > 0).then_some(edge) })
    };
    ZoneTree::new((0..=110).map(zone).collect()).expect("a tree")
}

fn tariff() -> Tariff {
    let window = |from_hour: u16, to_hour: u16, retail| Window {
        days: Days::ALL,
        from_minute: from_hour * 60,
        to_minute: to_hour * 60,
        retail: price(retail),
        feed_in: price(80_000),
    };
    let levy =
        |name: &str, micros, base| Levy { name: name.to_owned(), price: price(micros), base };
    let windows = vec![window(0, 6, 261_300), window(6, 22, 342_700), window(22, 24, 261_300)];
    let levies =
        vec![levy("duty", 20_500, LevyBase::Supplied), levy("network", 5_130, LevyBase::Imported)];
    Tariff::new(60, windows, levies, 190_000).expect("a tariff")
}

/// Numbers that look random and are the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 % limit).expect("below the limit")
    }
}

fn party(n: usize) -> PartyId {
    let digest = Digest::of(&[b"party", &n.to_be_bytes()]);
    PartyId::from_bytes(digest.as_bytes()[..16].try_into().expect("16 bytes"))
}

fn home(n: usize) -> u16 {
    u16::try_from(11 + n % 100).expect("a feeder")
}

/// Every third household sells; meters are a little off what was traded, some are silent.
fn period(quarter: usize, random: &mut Random) -> Period {
    let millis = 1_750_000_500_000 + i64::try_from(quarter).expect("small") * 900_000;
    let start = Timestamp::from_millis(millis);
    let period = DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).expect("a period");
    let number = |at: i64| usize::try_from(at).expect("not negative");
    let mut ids: Vec<PartyId> = (0..PARTIES).map(party).collect();
    ids.sort_unstable();
    let (mut sold, mut bought) = (vec![0; PARTIES], vec![0; PARTIES]);
    let (mut trades, mut ends) = (Vec::new(), Vec::new());
    for deal in 0..TRADES {
        let seller = number(random.below(PARTIES as u64 / 3)) * 3;
        let buyer = number(random.below(PARTIES as u64 / 3)) * 3 + 1;
        let wh = 100 + random.below(900);
        (sold[seller], bought[buyer]) = (sold[seller] + wh, bought[buyer] + wh);
        ends.push((seller, buyer));
        trades.push(trade(
            period,
            deal,
            (ids[seller], home(seller)),
            (ids[buyer], home(buyer)),
            wh,
        ));
    }
    let mut parties = BTreeMap::new();
    for (n, id) in ids.iter().enumerate() {
        let off = |traded: i64, random: &mut Random| (traded + random.below(201) - 100).max(0);
        let imported = off(bought[n], random) + if n % 3 == 0 { 0 } else { random.below(100) };
        let exported = if n % 3 == 0 { off(sold[n], random) } else { 0 };
        let metered = Metered {
            imported: Energy::from_wh(imported),
            exported: Energy::from_wh(exported),
            quality: Quality::Ok,
        };
        let metered = (random.below(100) > 0).then_some(metered);
        parties.insert(
            *id,
            Delivery { zone: ZoneId(home(n)), metered, expected: Expected::default() },
        );
    }
    let prices = (0..=110).map(|id| (ZoneId(id), price(150_000 + 100 * random.below(500))));
    Period { period, parties, trades, ends, prices: prices.collect() }
}

fn trade(
    period: DeliveryPeriod,
    deal: usize,
    (seller, from): (PartyId, u16),
    (buyer, to): (PartyId, u16),
    wh: i64,
) -> Trade {
    let energy = Energy::from_wh(wh);
    let (seller_price, charges) = (157_300, if from == to { 0 } else { 10_000 });
    let seller_amount = price(seller_price).amount_for(energy).expect("small");
    let charge = price(charges).amount_for(energy).expect("small");
    let id =
        |side: &[u8]| OrderId::from_bytes(*Digest::of(&[side, &deal.to_be_bytes()]).as_bytes());
    Trade {
        period,
        gate: GateIndex(0),
        seller,
        buyer,
        offer: id(b"offer"),
        bid: id(b"bid"),
        energy,
        seller_price: price(seller_price),
        buyer_price: price(seller_price + charges),
        seller_amount,
        buyer_amount: seller_amount.plus(charge).expect("small"),
        charge,
        rent: Money::ZERO,
        path: Path { from: ZoneId(from), over: ZoneId(0), to: ZoneId(to) },
        origin: Some(Origin::Solar),
    }
}

/// The figures of one period side by side in memory: what is left of a settlement when everything
/// but multiplying and adding is done already.
struct Bare {
    rates: Rates,
    pool_price: i64,
    /// By party: pooled long and short, fed in, supplied, imported.
    energies: Vec<[i64; 5]>,
    /// Seller, buyer, and what they get and pay.
    trades: Vec<(usize, usize, i64, i64)>,
}

impl Bare {
    fn of(period: &Period, settlement: &Settlement, day: &Day) -> Self {
        let energies = settlement.parties.values().map(|s| {
            [s.pooled_long, s.pooled_short, s.fed_in, s.supplied, s.metered.imported]
                .map(Energy::wh)
        });
        let amounts = period.trades.iter().zip(&period.ends).map(|(trade, (seller, buyer))| {
            (*seller, *buyer, trade.seller_amount.micros(), trade.buyer_amount.micros())
        });
        Self {
            rates: day.tariff.rates(period.period),
            pool_price: 160_000,
            energies: energies.collect(),
            trades: amounts.collect(),
        }
    }

    /// What all parties get, each amount multiplied and rounded once.
    fn run(&self) -> i64 {
        let mut nets = vec![0_i64; self.energies.len()];
        for (seller, buyer, income, cost) in &self.trades {
            nets[*seller] += income;
            nets[*buyer] -= cost;
        }
        let Rates { retail, feed_in, supplied_levies, import_levies, tax_millionths } = self.rates;
        let amount = |micros: i64, wh: i64| (micros * wh + 500) / 1_000;
        let mut sum = 0_i64;
        for (net, [long, short, fed_in, supplied, imported]) in nets.iter().zip(&self.energies) {
            let cost = amount(retail.micros_per_kwh(), *supplied);
            let levies = amount(supplied_levies.micros_per_kwh(), *supplied)
                + amount(import_levies.micros_per_kwh(), *imported);
            let tax = (cost + levies) * i64::from(tax_millionths) / 1_000_000;
            let pool = amount(self.pool_price, *long) - amount(self.pool_price, *short);
            let wheeling = amount(5_000, *long) + amount(5_000, *short);
            let income = amount(feed_in.micros_per_kwh(), *fed_in);
            sum += net + pool + income - wheeling - cost - levies - tax;
        }
        sum
    }
}
