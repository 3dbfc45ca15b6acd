//! A small community whose chain is made in this process with the real rules and real signatures.

use ledger::acts::{Measure, OperatorAct, Operators};
use ledger::block::CommittedBlock;
use ledger::certificate::{CommitCertificate, VoteKind, vote_bytes};
use ledger::draft::{Draft, Executed};
use ledger::genesis::Genesis;
use ledger::salt::BlockSalt;
use ledger::state::State;
use ledger::transaction::Transaction;
use ledger::validators::{Address, Validator, ValidatorSet};
use market::clearing::MechanismKind;
use market::energy::Energy;
use market::gate::GateSchedule;
use market::keys::SigningKey;
use market::member::{Member, MeteringPointId, PartyId};
use market::order::{Order, Origin, Preferences, Side, Step};
use market::price::{Price, Tick};
use market::reading::{IntervalReading, Quality};
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::signed::Signed;
use market::tariff::{Days, Levy, LevyBase, Tariff, Window};
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::zone::{Edge, Zone, ZoneId, ZoneTree};
use std::collections::BTreeMap;

/// 2026-06-14T15:00Z, midnight in Tokyo.
pub(crate) const START_MS: i64 = 1_781_449_200_000;
/// Five minutes.
const STEP_MS: i64 = 300_000;
const MINUTE_MS: u64 = 60_000;

/// Who lives here: index, what it sells, and the most it sells.
const HOMES: [(u8, Option<Origin>, i64); 6] = [
    (1, Some(Origin::Solar), 3_000),
    (2, Some(Origin::Solar), 2_000),
    (3, Some(Origin::Battery), 1_000),
    (4, None, 0),
    (5, None, 0),
    (6, None, 500),
];

/// A community with everything that its members and validators keep secret.
pub(crate) struct Community {
    pub(crate) genesis: Genesis,
    pub(crate) blocks: Vec<CommittedBlock>,
    pub(crate) executed: Vec<Executed>,
    validators: Vec<SigningKey>,
    state: State,
    random: u64,
    acts: Vec<Transaction>,
}

pub(crate) fn party(index: u8) -> PartyId {
    PartyId::from_bytes([0xa0 + index; 16])
}

pub(crate) fn member_key(index: u8) -> SigningKey {
    SigningKey::from_seed(&[index; 32])
}

fn price(text: &str) -> Price {
    text.parse().expect("a price")
}

/// Cheaper until three in the morning in Tokyo, with levies and a tax.
fn tariff() -> Tariff {
    let window = |from_hour: u16, to_hour: u16, retail| Window {
        days: Days::ALL,
        from_minute: from_hour * 60,
        to_minute: to_hour * 60,
        retail: price(retail),
        feed_in: price("0.08"),
    };
    let levy =
        |name: &str, amount, base| Levy { name: name.to_owned(), price: price(amount), base };
    let levies = vec![
        levy("renewables levy", "0.02", LevyBase::Supplied),
        levy("safety levy", "0.005", LevyBase::Imported),
    ];
    let windows = vec![window(0, 3, "0.29"), window(3, 24, "0.32")];
    Tariff::new(540, windows, levies, 100_000).expect("a tariff")
}

fn rules() -> MarketRules {
    MarketRules {
        period_length: PeriodLength::Minutes15,
        gates: GateSchedule::new(vec![30 * MINUTE_MS, 15 * MINUTE_MS]).expect("gates"),
        horizon_ms: 120 * MINUTE_MS,
        mechanism: Schedule::always(MechanismKind::ZonalAuction),
        k_millionths: 500_000,
        tick: Tick::from_micros_per_kwh(1_000).expect("a tick"),
        price_min: price("0"),
        price_max: price("1"),
        tariffs: Schedule::always(tariff()),
        settlement_delay_ms: 30 * MINUTE_MS,
        finality_delay_ms: 180 * MINUTE_MS,
    }
}

fn genesis(name: &str, validators: &[SigningKey]) -> Genesis {
    // The line of feeder 2, where the sun shines, is full now and then.
    let edge = |capacity_up: Option<i64>| Edge {
        parent: ZoneId(0),
        charge: price("0.01"),
        capacity_up: capacity_up.map(Energy::from_wh),
        capacity_down: None,
    };
    let zone = |label: &str, edge| Zone { label: label.to_owned(), edge };
    let zones = BTreeMap::from([
        (ZoneId(0), zone("village", None)),
        (ZoneId(1), zone("feeder 1", Some(edge(None)))),
        (ZoneId(2), zone("feeder 2", Some(edge(Some(300))))),
    ]);
    let member = |(index, _, export_max): (u8, Option<Origin>, i64)| {
        let member = Member {
            key: member_key(index).public(),
            metering_point: MeteringPointId::from_bytes([index; 16]),
            zone: ZoneId(1 + u16::from(index % 2)),
            import_max: Energy::from_wh(5_000),
            export_max: Energy::from_wh(export_max),
            joined_at: None,
            revoked_at: None,
        };
        (party(index), member)
    };
    let validator = |key: &SigningKey| Validator { key: key.public(), power: 1 };
    Genesis {
        name: name.to_owned(),
        currency: "EUR".to_owned(),
        time_zone: "Asia/Tokyo".to_owned(),
        starts_at: Timestamp::from_millis(START_MS),
        rules: rules(),
        zones: ZoneTree::new(zones).expect("a tree"),
        heartbeat_ms: 5 * MINUTE_MS,
        block_drift_max_ms: MINUTE_MS,
        validators: ValidatorSet::new(validators.iter().map(validator).collect()).expect("a set"),
        operators: Operators::new(vec![SigningKey::from_seed(&[99; 32]).public()], 1).unwrap(),
        members: HOMES.map(member).into(),
        invitations: BTreeMap::new(),
    }
}

impl Community {
    /// Without a block.
    pub(crate) fn founded(name: &str) -> Self {
        let validators: Vec<_> = (50..54).map(|seed| SigningKey::from_seed(&[seed; 32])).collect();
        let genesis = genesis(name, &validators);
        Self {
            state: State::at_genesis(&genesis),
            genesis,
            validators,
            blocks: Vec::new(),
            executed: Vec::new(),
            random: 0x9e37_79b9_7f4a_7c15,
            acts: Vec::new(),
        }
    }

    /// After so many blocks, five minutes of market time apart.
    pub(crate) fn after_blocks(count: usize) -> Self {
        let mut community = Self::founded("Sunny Village");
        (0..count).for_each(|_| community.make_block());
        community
    }

    /// The time of the last block.
    pub(crate) fn time(&self) -> Timestamp {
        self.state.time()
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn genesis_text(&self) -> String {
        ledger::genesis::write(&self.genesis).expect("the genesis holds")
    }

    /// Makes the next block: every quarter of an hour, orders for the period that starts an hour
    /// later, and readings of the one that has ended.
    pub(crate) fn make_block(&mut self) {
        let height = i64::try_from(self.blocks.len()).expect("few blocks");
        let mark = Timestamp::from_millis(START_MS + height * STEP_MS);
        let mut draft =
            Draft::open(&self.state, mark.plus_millis(1_000), BlockSalt::from_bytes([7; 32]))
                .expect("a draft");
        for act in std::mem::take(&mut self.acts) {
            draft.admit(act).expect("the act counts");
        }
        if height % 3 == 0 {
            let later = self.period(mark.plus_millis(3_600_000));
            for (index, origin, export_max) in HOMES {
                for order in self.orders(index, origin, export_max, later) {
                    draft.admit(order).expect("the order counts");
                }
            }
            if height > 0 {
                let ended = self.period(mark.plus_millis(-1));
                for reading in self.readings(ended, height) {
                    draft.admit(reading).expect("the reading counts");
                }
            }
        }
        let executed = draft.finish().expect("the block holds");
        let certificate = self.certify(&executed);
        self.state = executed.state.clone();
        self.blocks.push(CommittedBlock { block: executed.block.clone(), certificate });
        self.executed.push(executed);
    }

    /// The next block ends a household's membership. Its orders would not count any more, so no
    /// block with orders may follow.
    pub(crate) fn revoke(&mut self, party: PartyId) {
        let chain = self.genesis.chain_id();
        let key = SigningKey::from_seed(&[99; 32]);
        let act = OperatorAct {
            community: chain,
            operator: key.public(),
            sequence: u64::try_from(self.blocks.len()).expect("few blocks") + 1,
            measure: Measure::Revoke { party },
        };
        self.acts.push(Transaction::OperatorAct(Signed::sign(act, &chain, &key).into_envelope()));
    }

    fn period(&self, at: Timestamp) -> DeliveryPeriod {
        DeliveryPeriod::containing(at, self.genesis.rules.period_length).expect("a period")
    }

    fn below(&mut self, bound: i64) -> i64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        i64::try_from(self.random >> 33).expect("31 bits") % bound
    }

    fn orders(
        &mut self,
        index: u8,
        origin: Option<Origin>,
        export_max: i64,
        period: DeliveryPeriod,
    ) -> Vec<Transaction> {
        let mut orders = Vec::new();
        if export_max > 0 {
            let low = 90_000 + self.below(60) * 1_000;
            let next = low + 40_000 + self.below(90) * 1_000;
            let steps = vec![self.step(low, export_max / 2), self.step(next, export_max / 2)];
            orders.push(self.order(index, period, Side::Sell, steps, origin));
        }
        if index != 1 {
            let high = 190_000 + self.below(120) * 1_000;
            let next = high - 60_000 - self.below(80) * 1_000;
            let steps = vec![self.step(high, 600 + i64::from(index) * 50), self.step(next, 700)];
            orders.push(self.order(index, period, Side::Buy, steps, None));
        }
        orders
    }

    fn step(&mut self, micros: i64, wh_max: i64) -> Step {
        let energy = Energy::from_wh(1 + self.below(wh_max));
        Step { limit: Price::from_micros_per_kwh(micros), energy }
    }

    fn order(
        &self,
        index: u8,
        period: DeliveryPeriod,
        side: Side,
        steps: Vec<Step>,
        origin: Option<Origin>,
    ) -> Transaction {
        let chain = self.genesis.chain_id();
        let order = Order {
            community: chain,
            party: party(index),
            metering_point: MeteringPointId::from_bytes([index; 16]),
            period,
            side,
            steps,
            sequence: 1,
            preferences: Preferences { partners: Vec::new(), origin },
        };
        Transaction::Order(Signed::sign(order, &chain, &member_key(index)).into_envelope())
    }

    /// Readings of an ended period, not far from what was traded. Home 5 is silent in every second
    /// quarter of an hour and corrects that two blocks of readings later.
    fn readings(&mut self, period: DeliveryPeriod, height: i64) -> Vec<Transaction> {
        let mut readings = Vec::new();
        for (index, _, export_max) in HOMES {
            if index == 5 && height % 2 == 0 {
                continue;
            }
            readings.push(self.reading(index, export_max, period, 1));
        }
        if height % 2 == 1 && height > 9 {
            let missed = self.period(period.start().plus_millis(-3 * 3 * STEP_MS));
            readings.push(self.reading(5, 0, missed, 2));
        }
        readings
    }

    fn reading(
        &mut self,
        index: u8,
        export_max: i64,
        period: DeliveryPeriod,
        sequence: u64,
    ) -> Transaction {
        let who = party(index);
        let trades = self.state.trades(period).to_vec();
        let sum = |side: fn(&market::trade::Trade) -> PartyId| -> i64 {
            trades.iter().filter(|trade| side(trade) == who).map(|trade| trade.energy.wh()).sum()
        };
        let (sold, bought) = (sum(|trade| trade.seller), sum(|trade| trade.buyer));
        let exported = (sold + self.below(300) - 100).clamp(0, export_max);
        let imported = (bought + self.below(500) - 150).clamp(0, 5_000);
        let chain = self.genesis.chain_id();
        let reading = IntervalReading {
            community: chain,
            party: who,
            metering_point: MeteringPointId::from_bytes([index; 16]),
            period,
            imported: Energy::from_wh(imported),
            exported: Energy::from_wh(exported),
            quality: Quality::Ok,
            sequence,
        };
        Transaction::Reading(Signed::sign(reading, &chain, &member_key(index)).into_envelope())
    }

    /// Signed by three of the four validators, in turn.
    fn certify(&self, executed: &Executed) -> CommitCertificate {
        let header = &executed.block.header;
        let (block, round) = (header.hash(), 0);
        let absent = self.blocks.len() % self.validators.len();
        let signers = self.validators.iter().enumerate().filter(|(index, _)| *index != absent);
        let signatures = signers
            .map(|(_, key)| {
                let address = Address::of(&key.public());
                let bytes = vote_bytes(
                    &header.chain,
                    VoteKind::Precommit,
                    header.height,
                    round,
                    Some(&block),
                    &address,
                );
                (address, key.sign(&bytes))
            })
            .collect();
        CommitCertificate { height: header.height, round, block, signatures }
    }
}
