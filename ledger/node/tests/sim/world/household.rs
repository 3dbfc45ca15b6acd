//! A household: orders ahead of gates, a reading after each period, and patience.

use ledger::genesis::Genesis;
use ledger::transaction::Transaction;
use market::energy::Energy;
use market::hash::Digest;
use market::keys::ChainId;
use market::order::{Order, Preferences, Side, Step};
use market::price::Price;
use market::reading::{IntervalReading, Quality};
use market::signed::Signed;
use market::standing::StandingCurve;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};

use super::genesis::{market_time, metering_point, party, party_key};
use super::random::Random;

const MINUTE_MS: i64 = 60_000;
const LENGTH: PeriodLength = PeriodLength::Minutes15;

pub(super) struct Household {
    n: usize,
    sequence: u64,
    /// Said and not yet seen in a block, with the market time after which it is pointless.
    waiting: Vec<(Transaction, Timestamp)>,
    /// The first period without a reading.
    unmetered: DeliveryPeriod,
}

impl Household {
    pub(super) fn new(n: usize) -> Self {
        let unmetered = DeliveryPeriod::containing(market_time(0), LENGTH).unwrap();
        Self { n, sequence: 0, waiting: Vec::new(), unmetered }
    }

    /// What it says now, new and repeated; `acknowledged` tells whether it stands in a block.
    pub(super) fn act(
        &mut self,
        genesis: &Genesis,
        now_ms: u64,
        random: &mut Random,
        acknowledged: &mut impl FnMut(&Digest) -> bool,
    ) -> Vec<Transaction> {
        let (now, chain) = (market_time(now_ms), genesis.chain_id());
        self.waiting.retain(|(said, until)| *until > now && !acknowledged(&said.hash()));
        while self.unmetered.end() <= now {
            let reading = self.reading(&chain, self.unmetered, random);
            self.waiting.push((reading, now.plus_millis(50 * MINUTE_MS)));
            self.unmetered = self.unmetered.next().unwrap();
        }
        if random.happens(700) {
            let lead_ms = i64::try_from(random.below(45)).unwrap() * MINUTE_MS;
            let at = now.plus_millis(21 * MINUTE_MS + lead_ms);
            let period = DeliveryPeriod::containing(at, LENGTH).unwrap();
            let until = period.start().plus_millis(-5 * MINUTE_MS);
            let order = self.order(&chain, period, random);
            self.waiting.push((order, until));
        }
        if genesis.rules.gates.ex_post_gate().is_some() && random.happens(100) {
            let curve = self.curve(&chain, random);
            self.waiting.push((curve, now.plus_millis(10 * MINUTE_MS)));
        }
        self.waiting.iter().map(|(said, _)| said.clone()).collect()
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn side(&self, random: &mut Random) -> Side {
        let buys = self.n.is_multiple_of(2) ^ random.happens(150);
        if buys { Side::Buy } else { Side::Sell }
    }

    fn steps(side: Side, random: &mut Random) -> Vec<Step> {
        let mut limits: Vec<i64> = (0..1 + random.below(3))
            .map(|_| 100_000 + 100 * i64::try_from(random.below(2_000)).unwrap())
            .collect();
        limits.sort_unstable();
        limits.dedup();
        if side == Side::Buy {
            limits.reverse();
        }
        let step = |limit: i64| Step {
            limit: Price::from_micros_per_kwh(limit),
            energy: Energy::from_wh(1 + i64::try_from(random.below(1_500)).unwrap()),
        };
        limits.into_iter().map(step).collect()
    }

    fn order(
        &mut self,
        chain: &ChainId,
        period: DeliveryPeriod,
        random: &mut Random,
    ) -> Transaction {
        let side = self.side(random);
        let order = Order {
            community: *chain,
            party: party(self.n),
            metering_point: metering_point(self.n),
            period,
            side,
            steps: Self::steps(side, random),
            sequence: self.next_sequence(),
            preferences: Preferences::default(),
        };
        Transaction::Order(Signed::sign(order, chain, &party_key(self.n)).into_envelope())
    }

    fn curve(&mut self, chain: &ChainId, random: &mut Random) -> Transaction {
        let side = self.side(random);
        let curve = StandingCurve {
            community: *chain,
            party: party(self.n),
            metering_point: metering_point(self.n),
            side,
            steps: Self::steps(side, random),
            sequence: self.next_sequence(),
            preferences: Preferences::default(),
        };
        Transaction::Curve(Signed::sign(curve, chain, &party_key(self.n)).into_envelope())
    }

    fn reading(
        &mut self,
        chain: &ChainId,
        period: DeliveryPeriod,
        random: &mut Random,
    ) -> Transaction {
        let mut energy = || Energy::from_wh(i64::try_from(random.below(2_000)).unwrap());
        let reading = IntervalReading {
            community: *chain,
            party: party(self.n),
            metering_point: metering_point(self.n),
            period,
            imported: energy(),
            exported: energy(),
            quality: Quality::Ok,
            sequence: self.next_sequence(),
        };
        Transaction::Reading(Signed::sign(reading, chain, &party_key(self.n)).into_envelope())
    }
}
