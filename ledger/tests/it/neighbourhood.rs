//! A neighbourhood of four validators and four households, and the chain they make.

use ledger::acts::{NotApplied, Operators};
use ledger::apply::{apply, apply_received};
use ledger::block::{Block, BlockHash, CommittedBlock, Header};
use ledger::certificate::{CommitCertificate, VoteKind, vote_bytes};
use ledger::draft::{Draft, Executed};
use ledger::genesis::Genesis;
use ledger::posting::Account;
use ledger::received::Received;
use ledger::results::{ResultLeaf, ServedBlock};
use ledger::salt::BlockSalt;
use ledger::state::State;
use ledger::transaction::Transaction;
use ledger::validators::{Validator, ValidatorSet};
use market::clearing::MechanismKind;
use market::energy::Energy;
use market::gate::GateSchedule;
use market::hash::Digest;
use market::keys::{ChainId, SigningKey};
use market::member::{Member, MeteringPointId, PartyId};
use market::order::{Order, Preferences, Side, Step};
use market::price::{Price, Tick};
use market::reading::{IntervalReading, Quality};
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::signed::Signed;
use market::tariff::Tariff;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::zone::{Edge, Zone, ZoneId, ZoneTree};
use std::collections::BTreeMap;

pub(crate) const VALIDATORS: usize = 4;
pub(crate) const PARTIES: usize = 4;
pub(crate) const MINUTE_MS: i64 = 60_000;

/// Market time zero of every chain: a quarter of an hour in June 2025.
const STARTS_AT_MS: i64 = 1_750_000_500_000;

pub(crate) fn validator_key(n: usize) -> SigningKey {
    SigningKey::from_seed(&[u8::try_from(n).expect("few") + 101; 32])
}

pub(crate) fn operator_key(n: usize) -> SigningKey {
    SigningKey::from_seed(&[u8::try_from(n).expect("few") + 0x99; 32])
}

pub(crate) fn party_key(n: usize) -> SigningKey {
    SigningKey::from_seed(&[u8::try_from(n).expect("few") + 1; 32])
}

pub(crate) fn party(n: usize) -> PartyId {
    PartyId::from_bytes([u8::try_from(n).expect("few") + 0xa0; 16])
}

pub(crate) fn metering_point(n: usize) -> MeteringPointId {
    MeteringPointId::from_bytes([u8::try_from(n).expect("few") + 0x50; 16])
}

/// Minutes after the start of the chain.
pub(crate) fn minute(minutes: i64) -> Timestamp {
    Timestamp::from_millis(STARTS_AT_MS + minutes * MINUTE_MS)
}

/// The n-th quarter of an hour after the start of the chain.
pub(crate) fn quarter(n: i64) -> DeliveryPeriod {
    DeliveryPeriod::starting_at(minute(15 * n), PeriodLength::Minutes15).expect("a quarter")
}

pub(crate) fn validators(powers: &[u64]) -> ValidatorSet {
    let validator =
        |(n, power): (usize, &u64)| Validator { key: validator_key(n).public(), power: *power };
    ValidatorSet::new(powers.iter().enumerate().map(validator).collect()).expect("validators")
}

/// Gates two hours and a quarter of an hour before delivery; settlement waits an hour for
/// readings and is final after a day.
pub(crate) fn genesis() -> Genesis {
    let price = Price::from_micros_per_kwh;
    let edge =
        Edge { parent: ZoneId(0), charge: Price::ZERO, capacity_up: None, capacity_down: None };
    let zones = BTreeMap::from([
        (ZoneId(0), Zone { label: "Street".to_owned(), edge: None }),
        (ZoneId(1), Zone { label: "Feeder 1".to_owned(), edge: Some(edge) }),
    ]);
    let member = |n: usize| {
        let member = Member {
            key: party_key(n).public(),
            metering_point: metering_point(n),
            zone: ZoneId(u16::from(n % 2 == 1)),
            import_max: Energy::from_wh(5_000),
            export_max: Energy::from_wh(5_000),
            joined_at: None,
            revoked_at: None,
        };
        (party(n), member)
    };
    Genesis {
        name: "Sunny Street".to_owned(),
        currency: "EUR".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        starts_at: minute(0),
        rules: MarketRules {
            period_length: PeriodLength::Minutes15,
            gates: GateSchedule::new(vec![7_200_000, 900_000]).expect("two gates"),
            horizon_ms: 86_400_000,
            mechanism: Schedule::always(MechanismKind::ZonalAuction),
            k_millionths: 500_000,
            tick: Tick::from_micros_per_kwh(100).expect("a tick"),
            price_min: price(-1_000_000),
            price_max: price(5_000_000),
            tariffs: Schedule::always(
                Tariff::flat(price(320_000), price(80_000)).expect("a tariff"),
            ),
            settlement_delay_ms: 3_600_000,
            finality_delay_ms: 86_400_000,
        },
        zones: ZoneTree::new(zones).expect("a tree"),
        heartbeat_ms: 60_000,
        block_drift_max_ms: 30_000,
        validators: validators(&[1; VALIDATORS]),
        operators: Operators::new(vec![operator_key(0).public()], 1).expect("an operator"),
        members: (0..PARTIES).map(member).collect(),
        invitations: BTreeMap::new(),
    }
}

/// An order of the n-th household: limits in micro-units with energies in Wh, best limit first.
pub(crate) fn order(
    n: usize,
    period: DeliveryPeriod,
    side: Side,
    steps: &[(i64, i64)],
    sequence: u64,
) -> Transaction {
    order_in(&genesis(), n, period, side, steps, sequence)
}

/// The same in another community of the same households.
pub(crate) fn order_in(
    genesis: &Genesis,
    n: usize,
    period: DeliveryPeriod,
    side: Side,
    steps: &[(i64, i64)],
    sequence: u64,
) -> Transaction {
    let chain = genesis.chain_id();
    let step = |(limit, wh): &(i64, i64)| Step {
        limit: Price::from_micros_per_kwh(*limit),
        energy: Energy::from_wh(*wh),
    };
    let order = Order {
        community: chain,
        party: party(n),
        metering_point: metering_point(n),
        period,
        side,
        steps: steps.iter().map(step).collect(),
        sequence,
        preferences: Preferences::default(),
    };
    Transaction::Order(Signed::sign(order, &chain, &party_key(n)).into_envelope())
}

/// A reading of the n-th household in Wh.
pub(crate) fn reading(
    n: usize,
    period: DeliveryPeriod,
    figures: (i64, i64),
    sequence: u64,
) -> Transaction {
    reading_in(&genesis(), n, period, figures, sequence)
}

/// The same in another community of the same households.
pub(crate) fn reading_in(
    genesis: &Genesis,
    n: usize,
    period: DeliveryPeriod,
    (imported, exported): (i64, i64),
    sequence: u64,
) -> Transaction {
    let chain = genesis.chain_id();
    let reading = IntervalReading {
        community: chain,
        party: party(n),
        metering_point: metering_point(n),
        period,
        imported: Energy::from_wh(imported),
        exported: Energy::from_wh(exported),
        quality: Quality::Ok,
        sequence,
    };
    Transaction::Reading(Signed::sign(reading, &chain, &party_key(n)).into_envelope())
}

/// What a proposer would draw at random for a height.
pub(crate) fn salt(height: u64) -> BlockSalt {
    BlockSalt::from_bytes(*Digest::of(&[b"a salt", &height.to_be_bytes()]).as_bytes())
}

/// The certificate of a header, signed by these validators.
pub(crate) fn certify(header: &Header, signers: &[usize]) -> CommitCertificate {
    certificate(&header.chain, header.height, header.hash(), signers)
}

pub(crate) fn certificate(
    chain: &ChainId,
    height: u64,
    block: BlockHash,
    signers: &[usize],
) -> CommitCertificate {
    let sign = |n: &usize| {
        let key = validator_key(*n);
        let address = Validator { key: key.public(), power: 1 }.address();
        let bytes = vote_bytes(chain, VoteKind::Precommit, height, 2, Some(&block), &address);
        (address, key.sign(&bytes))
    };
    CommitCertificate { height, round: 2, block, signatures: signers.iter().map(sign).collect() }
}

/// A chain, block by block; of [`genesis`] unless another one is given.
pub(crate) struct Chain {
    pub(crate) state: State,
    pub(crate) blocks: Vec<Executed>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self::of(&genesis())
    }

    pub(crate) fn of(genesis: &Genesis) -> Self {
        Self { state: State::at_genesis(genesis), blocks: Vec::new() }
    }

    /// Makes the next block. Every transaction must count. What the maker computed, everybody
    /// else computes as well: `apply` is compared for every block of every test.
    pub(crate) fn block(&mut self, time: Timestamp, said: Vec<Transaction>) -> &Executed {
        let (executed, refused) = self.try_block(time, said);
        assert_eq!(refused, [], "every transaction counts");
        executed
    }

    /// Makes the next block of what counts, and says why the rest does not.
    pub(crate) fn try_block(
        &mut self,
        time: Timestamp,
        said: Vec<Transaction>,
    ) -> (&Executed, Vec<NotApplied>) {
        let mut draft =
            Draft::open(&self.state, time, salt(self.state.height() + 1)).expect("the time rises");
        let refused = said.into_iter().filter_map(|one| draft.admit(one).err()).collect();
        let executed = draft.finish().expect("a block");
        let bytes = executed.block.to_bytes();
        let sent = Block::from_bytes(&bytes).expect("its own bytes");
        assert_eq!(apply(&self.state, &sent).as_ref(), Ok(&executed), "apply == draft");
        // So does a node that has checked before what it could.
        let Block { header, salt, mut transactions } = sent;
        let ahead = transactions.drain(..).map(|one| {
            let mut received = Received::from(one);
            received.verify(&self.state);
            received
        });
        let again = apply_received(&self.state, &header, salt, ahead);
        assert_eq!(again.as_ref(), Ok(&executed), "apply == apply what is received");
        self.state = executed.state.clone();
        self.blocks.push(executed);
        (self.blocks.last().expect("just pushed"), refused)
    }

    /// What the n-th household has received less what it has paid, in micro-units.
    pub(crate) fn net(&self, n: usize) -> i64 {
        self.net_of(Account::Party(party(n)))
    }

    pub(crate) fn net_of(&self, account: Account) -> i64 {
        self.state.accounts().balance(&account).net().expect("in range").micros()
    }

    /// What all accounts have together.
    pub(crate) fn net_of_all(&self) -> i64 {
        let accounts = self.state.accounts().iter();
        accounts.map(|(_, balance)| balance.net().expect("in range").micros()).sum()
    }

    /// A block with its certificate and results, as nodes serve it.
    pub(crate) fn served(&self, height: usize) -> ServedBlock {
        serve(&self.blocks[height - 1])
    }

    pub(crate) fn leaves(&self, height: usize) -> Vec<ResultLeaf> {
        self.blocks[height - 1].results.leaves()
    }

    /// Household 0 buys 1 kWh, 1 sells 0.6 at the first gate and 2 sells 0.3 at the second, for
    /// quarter 20; all four are metered. Heights 1 to 6: orders, first gate, order, second gate,
    /// two readings, the others with the settlement.
    pub(crate) fn of_one_traded_quarter() -> Self {
        let (mut chain, period) = (Self::new(), quarter(20));
        let mut say = |minutes, said| {
            chain.block(minute(minutes), said);
        };
        say(
            1,
            vec![
                order(0, period, Side::Buy, &[(300_000, 1_000)], 1),
                order(1, period, Side::Sell, &[(100_000, 600)], 1),
            ],
        );
        say(180, vec![]);
        say(200, vec![order(2, period, Side::Sell, &[(200_000, 300)], 1)]);
        say(285, vec![]);
        say(316, vec![reading(0, period, (950, 0), 1), reading(1, period, (10, 580), 1)]);
        say(317, vec![reading(2, period, (0, 350), 1), reading(3, period, (200, 0), 1)]);
        chain
    }
}

/// A block as nodes serve it, certified by three of the four validators.
pub(crate) fn serve(executed: &Executed) -> ServedBlock {
    let block = executed.block.clone();
    let certificate = certify(&block.header, &[0, 1, 2]);
    ServedBlock {
        committed: CommittedBlock { block, certificate },
        results: Some(executed.results.leaves()),
    }
}
