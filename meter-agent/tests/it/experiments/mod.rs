//! Published experiments with traders that know little, and what they must come to here.
//!
//! - Gode and Sunder 1993, "Allocative efficiency of markets with zero-intelligence traders", Journal
//!   of Political Economy 101(1): traders that shout at random but never at a loss (ZI-C) bring the
//!   allocative efficiency of a double auction "close to 100 percent".
//! - Cliff 1997, HPL-97-91 (and Cliff and Bruten 1997, HPL-97-141): with flat supply the prices of
//!   ZI-C traders stay away from the equilibrium, and those of ZIP traders come near it within days.
//! - Smith 1962, "An experimental study of competitive market behavior", Journal of Political Economy
//!   70(2): the supply and demand of its first test, and alpha, the root mean square deviation of
//!   prices from the equilibrium as a share of it.

#![expect(clippy::print_stdout, reason = "the figures of docs/agent.md")]

mod auction;

use market::order::Side;
use meter_agent::strategy::zip::{Shout, ZipTrader};
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;

use auction::{Seat, Trader, day};

/// Sessions of each experiment; session n is seeded with n.
const SESSIONS: u64 = 100;
/// Days of each session.
const DAYS: usize = 10;
/// No shout lies above this.
const PRICE_MAX: f64 = 4.0;

/// Zero intelligence, constrained: any price that is no loss.
struct ZeroIntelligence(Side);

impl Trader for ZeroIntelligence {
    fn shout(&mut self, limit: f64, rng: &mut dyn Rng) -> f64 {
        match self.0 {
            Side::Buy => rng.random_range(0.0..=limit),
            Side::Sell => rng.random_range(limit..=PRICE_MAX),
        }
    }

    fn hear(&mut self, _: (Side, f64, bool), _: f64, _: bool, _: &mut dyn Rng) {}
}

impl Trader for ZipTrader {
    fn shout(&mut self, limit: f64, _: &mut dyn Rng) -> f64 {
        self.price(limit)
    }

    fn hear(
        &mut self,
        (from, price, accepted): (Side, f64, bool),
        limit: f64,
        active: bool,
        mut rng: &mut dyn Rng,
    ) {
        ZipTrader::hear(self, Shout { from, price, accepted }, limit, active, &mut rng);
    }
}

/// Supply and demand: what buyers and sellers of one unit each are limited to, and the equilibrium.
struct Schedule {
    name: &'static str,
    bids: Vec<f64>,
    offers: Vec<f64>,
    equilibrium: f64,
}

fn schedules() -> [Schedule; 4] {
    let stairs = |from: f64, by: f64, count: u32| -> Vec<f64> {
        (0..count).map(|step| from + by * f64::from(step)).collect()
    };
    [
        // Smith 1962, test 1: 11 buyers from 3.25 down, 11 sellers from 0.75 up, in quarters.
        Schedule {
            name: "Smith's first test",
            bids: stairs(3.25, -0.25, 11),
            offers: stairs(0.75, 0.25, 11),
            equilibrium: 2.0,
        },
        // Cliff's market B: falling demand, flat supply.
        Schedule {
            name: "flat supply",
            bids: stairs(3.25, -0.25, 11),
            offers: stairs(2.0, 0.0, 11),
            equilibrium: 2.0,
        },
        // Cliff's market C: flat supply and demand, more sellers than buyers.
        Schedule {
            name: "excess supply",
            bids: stairs(3.25, 0.0, 6),
            offers: stairs(2.0, 0.0, 11),
            equilibrium: 2.0,
        },
        // Cliff's market D: flat supply and demand, more buyers than sellers.
        Schedule {
            name: "excess demand",
            bids: stairs(3.25, 0.0, 11),
            offers: stairs(2.0, 0.0, 6),
            equilibrium: 3.25,
        },
    ]
}

/// What sessions came to on average.
#[derive(Debug)]
struct Outcome {
    /// Over all days.
    efficiency: f64,
    /// Smith's alpha on the last day.
    alpha: f64,
}

fn run<T: Trader>(schedule: &Schedule, trader: impl Fn(Side, &mut ChaCha12Rng) -> T) -> Outcome {
    let (mut efficiency, mut squares, mut trades) = (0.0, 0.0, 0.0);
    for seed in 0..SESSIONS {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let sides = [(Side::Buy, &schedule.bids), (Side::Sell, &schedule.offers)];
        let mut seats = Vec::new();
        for (side, limits) in sides {
            for limit in limits {
                seats.push(Seat { side, limit: *limit, trader: trader(side, &mut rng) });
            }
        }
        for number in 1..=DAYS {
            let day = day(&mut seats, &mut rng);
            efficiency += day.efficiency;
            if number == DAYS {
                let square = |price: &f64| (price - schedule.equilibrium).powi(2);
                squares += day.prices.iter().map(square).sum::<f64>();
                trades += day.prices.len() as f64;
            }
        }
    }
    Outcome {
        efficiency: efficiency / (SESSIONS as f64 * DAYS as f64),
        alpha: (squares / trades).sqrt() / schedule.equilibrium,
    }
}

/// Gode and Sunder 1993: close to 100 percent. Tolerance: at least 96 of 100 in every market.
#[test]
fn gode_and_sunder_1993_zero_intelligence_is_almost_efficient() {
    for schedule in schedules() {
        let outcome = run(&schedule, |side, _| ZeroIntelligence(side));
        println!("ZI-C, {}: {outcome:?}", schedule.name);
        assert!((0.96..=1.0 + 1e-9).contains(&outcome.efficiency), "{} {outcome:?}", schedule.name);
    }
}

/// Cliff 1997: as efficient, and prices near the equilibrium whatever the shape of the market.
/// Tolerances: at least 97 of 100, and alpha of at most 12 percent on the tenth day.
#[test]
fn cliff_1997_zip_traders_are_efficient_and_find_the_equilibrium() {
    for schedule in schedules() {
        let outcome = run(&schedule, ZipTrader::draw);
        println!("ZIP, {}: {outcome:?}", schedule.name);
        assert!((0.97..=1.0 + 1e-9).contains(&outcome.efficiency), "{} {outcome:?}", schedule.name);
        assert!(outcome.alpha < 0.12, "{} {outcome:?}", schedule.name);
    }
}

/// Cliff 1997, against Gode and Sunder: in markets that are not symmetric the prices of traders
/// without intelligence do not come to the equilibrium; those of ZIP traders lie at most half as far
/// away.
#[test]
fn cliff_1997_zero_is_not_enough_where_supply_and_demand_are_not_symmetric() {
    for schedule in &schedules()[1..] {
        let without = run(schedule, |side, _| ZeroIntelligence(side));
        let with = run(schedule, ZipTrader::draw);
        assert!(with.alpha < without.alpha / 2.0, "{}: {with:?} {without:?}", schedule.name);
    }
}
