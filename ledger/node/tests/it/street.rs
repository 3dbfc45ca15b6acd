//! A street of households whose chain is made without a network: certified blocks, as many as a
//! test wants.

use ledger::acts::{Measure, OperatorAct, Operators};
use ledger::certificate::{CommitCertificate, VoteKind, vote_bytes};
use ledger::draft::{Draft, Executed};
use ledger::genesis::Genesis;
use ledger::salt::BlockSalt;
use ledger::state::State;
use ledger::transaction::Transaction;
use ledger::validators::{Validator, ValidatorSet};
use ledger_node::store::Store;
use market::energy::Energy;
use market::keys::SigningKey;
use market::member::{Member, MeteringPointId, PartyId};
use market::order::{Order, Preferences, Side, Step};
use market::price::Price;
use market::reading::{IntervalReading, Quality};
use market::signed::Signed;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::zone::ZoneId;

const MINUTE_MS: i64 = 60_000;
const VALIDATORS: u8 = 4;

pub(crate) fn validator_key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n + 101; 32])
}

pub(crate) fn party_key(n: u16) -> SigningKey {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&n.to_be_bytes());
    SigningKey::from_seed(&seed)
}

pub(crate) fn operator_key() -> SigningKey {
    SigningKey::from_seed(&[44; 32])
}

pub(crate) fn party(n: u16) -> PartyId {
    let mut id = [0xa0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    PartyId::from_bytes(id)
}

pub(crate) fn metering_point(n: u16) -> MeteringPointId {
    let mut id = [0x50; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    MeteringPointId::from_bytes(id)
}

/// A community of so many households.
pub(crate) fn genesis(households: u16) -> Genesis {
    let text = include_str!("../../../../tests/golden/genesis.toml");
    let mut genesis = ledger::genesis::read(text).unwrap();
    let validator = |n| Validator { key: validator_key(n).public(), power: 1 };
    genesis.validators = ValidatorSet::new((0..VALIDATORS).map(validator).collect()).unwrap();
    genesis.operators = Operators::new([operator_key().public()].into(), 1).unwrap();
    let member = |n: u16| {
        let member = Member {
            key: party_key(n).public(),
            metering_point: metering_point(n),
            zone: ZoneId(n % 2),
            import_max: Energy::from_wh(5_000),
            export_max: Energy::from_wh(5_000),
            joined_at: None,
            revoked_at: None,
        };
        (party(n), member)
    };
    genesis.members = (0..households).map(member).collect();
    genesis
}

/// Signed by three of the four validators.
pub(crate) fn certify(executed: &Executed) -> CommitCertificate {
    let header = &executed.block.header;
    let (height, block) = (header.height, header.hash());
    let sign = |n: u8| {
        let key = validator_key(n);
        let address = Validator { key: key.public(), power: 1 }.address();
        let kind = VoteKind::Precommit;
        let bytes = vote_bytes(&header.chain, kind, height, 0, Some(&block), &address);
        (address, key.sign(&bytes))
    };
    CommitCertificate { height, round: 0, block, signatures: (0..3).map(sign).collect() }
}

/// The chain of a street in the making.
pub(crate) struct Street {
    pub(crate) genesis: Genesis,
    pub(crate) state: State,
    households: u16,
}

impl Street {
    pub(crate) fn new(households: u16) -> Self {
        let genesis = genesis(households);
        Self { state: State::at_genesis(&genesis), genesis, households }
    }

    /// The next block at a time, with all of this that counts.
    pub(crate) fn block(&self, time: Timestamp, said: Vec<Transaction>) -> Executed {
        let mut draft = Draft::open(&self.state, time, BlockSalt::from_bytes([7; 32])).unwrap();
        for transaction in said {
            draft.admit(transaction).unwrap();
        }
        draft.finish().unwrap()
    }

    /// Makes the next block ten minutes later: every household orders for the quarter five hours
    /// ahead, and tells what it metered in the one that has just ended.
    pub(crate) async fn commit_next(&mut self, store: &Store) -> Executed {
        let now = self.state.time().plus_millis(10 * MINUTE_MS);
        let quarter = |at| DeliveryPeriod::containing(at, PeriodLength::Minutes15).unwrap();
        let ahead = quarter(now.plus_millis(300 * MINUTE_MS));
        let past = quarter(now.plus_millis(-16 * MINUTE_MS));
        let told = past.start() >= self.genesis.starts_at;
        let sequence = self.state.height() + 1;
        let mut said = Vec::new();
        for n in 0..self.households {
            said.push(self.order(n, ahead, sequence));
            if told {
                said.push(self.reading(n, past, sequence));
            }
        }
        self.commit(store, now, said).await
    }

    /// Makes and stores a block.
    pub(crate) async fn commit(
        &mut self,
        store: &Store,
        time: Timestamp,
        said: Vec<Transaction>,
    ) -> Executed {
        let executed = self.block(time, said);
        let certificate = certify(&executed);
        let (results, state) = (&executed.results, &executed.state);
        store.commit(&executed.block, &certificate, results, state).await.unwrap();
        self.state = executed.state.clone();
        executed
    }

    /// An operator's act.
    pub(crate) fn act(&self, sequence: u64, measure: Measure) -> Transaction {
        let (community, key) = (self.genesis.chain_id(), operator_key());
        let act = OperatorAct { community, operator: key.public(), sequence, measure };
        Transaction::OperatorAct(Signed::sign(act, &community, &key).into_envelope())
    }

    pub(crate) fn order(&self, n: u16, period: DeliveryPeriod, sequence: u64) -> Transaction {
        let chain = self.genesis.chain_id();
        let sells = n.is_multiple_of(3);
        let limit = if sells { 100_000 } else { 250_000 } + i64::from(n % 10) * 1_000;
        let step = |limit| Step {
            limit: Price::from_micros_per_kwh(limit),
            energy: Energy::from_wh(200 + i64::from(n)),
        };
        let order = Order {
            community: chain,
            party: party(n),
            metering_point: metering_point(n),
            period,
            side: if sells { Side::Sell } else { Side::Buy },
            steps: vec![step(limit)],
            sequence,
            preferences: Preferences::default(),
        };
        Transaction::Order(Signed::sign(order, &chain, &party_key(n)).into_envelope())
    }

    pub(crate) fn reading(&self, n: u16, period: DeliveryPeriod, sequence: u64) -> Transaction {
        let chain = self.genesis.chain_id();
        let (energy, sells) = (Energy::from_wh(190 + i64::from(n)), n.is_multiple_of(3));
        let reading = IntervalReading {
            community: chain,
            party: party(n),
            metering_point: metering_point(n),
            period,
            imported: if sells { Energy::ZERO } else { energy },
            exported: if sells { energy } else { Energy::ZERO },
            quality: Quality::Ok,
            sequence,
        };
        Transaction::Reading(Signed::sign(reading, &chain, &party_key(n)).into_envelope())
    }
}
