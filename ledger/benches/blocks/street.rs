//! A street whose households sign, and whose validators certify, without a network.

use ledger::block::CommittedBlock;
use ledger::certificate::{CommitCertificate, VoteKind, vote_bytes};
use ledger::draft::{Draft, Executed};
use ledger::genesis::Genesis;
use ledger::salt::BlockSalt;
use ledger::state::State;
use ledger::transaction::Transaction;
use ledger::validators::{Validator, ValidatorSet};
use market::energy::Energy;
use market::keys::SigningKey;
use market::member::{Member, MeteringPointId, PartyId};
use market::order::{Order, Preferences, Side, Step};
use market::price::Price;
use market::reading::{IntervalReading, Quality};
use market::signed::Signed;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::zone::ZoneId;

pub(crate) const MINUTE_MS: i64 = 60_000;
const VALIDATORS: u8 = 4;

pub(crate) struct Street {
    pub(crate) genesis: Genesis,
    pub(crate) state: State,
}

pub(crate) fn party_key(n: usize) -> SigningKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&n.to_be_bytes());
    SigningKey::from_seed(&seed)
}

fn identifier(kind: u8, n: usize) -> [u8; 16] {
    let mut id = [kind; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    id
}

fn validator_key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n + 101; 32])
}

impl Street {
    /// So many households and four validators.
    pub(crate) fn of(households: usize) -> Self {
        let text = include_str!("../../../tests/golden/genesis.toml");
        let mut genesis = ledger::genesis::read(text).expect("the golden genesis");
        let validator = |n| Validator { key: validator_key(n).public(), power: 1 };
        genesis.validators =
            ValidatorSet::new((0..VALIDATORS).map(validator).collect()).expect("a set");
        let member = |n: usize| {
            let member = Member {
                key: party_key(n).public(),
                metering_point: MeteringPointId::from_bytes(identifier(0x50, n)),
                zone: ZoneId(u16::from(n % 2 == 1)),
                import_max: Energy::from_wh(5_000),
                export_max: Energy::from_wh(5_000),
                joined_at: None,
                revoked_at: None,
            };
            (PartyId::from_bytes(identifier(0xa0, n)), member)
        };
        genesis.members = (0..households).map(member).collect();
        Self { state: State::at_genesis(&genesis), genesis }
    }

    /// A delivery period that begins so many quarters after the last block.
    pub(crate) fn quarter(&self, ahead: i64) -> DeliveryPeriod {
        let at = self.state.time().plus_millis(ahead * 15 * MINUTE_MS);
        DeliveryPeriod::containing(at, PeriodLength::Minutes15).expect("a period")
    }

    /// The order of a household.
    pub(crate) fn order(&self, n: usize, period: DeliveryPeriod, side: Side) -> Signed<Order> {
        let chain = self.genesis.chain_id();
        let micros = i64::try_from(n % 100).expect("small") * 1_000;
        let limit = if side == Side::Buy { 250_000 - micros } else { 100_000 + micros };
        let step = |micros: i64| Step {
            limit: Price::from_micros_per_kwh(micros),
            energy: Energy::from_wh(200),
        };
        let order = Order {
            community: chain,
            party: PartyId::from_bytes(identifier(0xa0, n)),
            metering_point: MeteringPointId::from_bytes(identifier(0x50, n)),
            period,
            side,
            steps: vec![step(limit)],
            sequence: 1,
            preferences: Preferences::default(),
        };
        Signed::sign(order, &chain, &party_key(n))
    }

    /// What a household's meter counted.
    pub(crate) fn reading(&self, n: usize, period: DeliveryPeriod) -> Transaction {
        let chain = self.genesis.chain_id();
        let reading = IntervalReading {
            community: chain,
            party: PartyId::from_bytes(identifier(0xa0, n)),
            metering_point: MeteringPointId::from_bytes(identifier(0x50, n)),
            period,
            imported: Energy::from_wh(210),
            exported: Energy::ZERO,
            quality: Quality::Ok,
            sequence: 1,
        };
        Transaction::Reading(Signed::sign(reading, &chain, &party_key(n)).into_envelope())
    }

    /// The next block, certified by three of the four validators.
    pub(crate) fn commit(&mut self, time: Timestamp, said: Vec<Transaction>) -> CommittedBlock {
        let salt = BlockSalt::from_bytes([7; 32]);
        let mut draft = Draft::open(&self.state, time, salt).expect("the time rises");
        for transaction in said {
            draft.admit(transaction).expect("it counts");
        }
        let Executed { block, state, .. } = draft.finish().expect("a block");
        self.state = state;
        let (header, hash) = (&block.header, block.hash());
        let sign = |n: u8| {
            let key = validator_key(n);
            let address = Validator { key: key.public(), power: 1 }.address();
            let kind = VoteKind::Precommit;
            let bytes = vote_bytes(&header.chain, kind, header.height, 0, Some(&hash), &address);
            (address, key.sign(&bytes))
        };
        let signatures = (0..3).map(sign).collect();
        let certificate =
            CommitCertificate { height: header.height, round: 0, block: hash, signatures };
        CommittedBlock { block, certificate }
    }
}
