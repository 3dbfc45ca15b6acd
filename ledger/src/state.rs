//! The state that every node holds alike after the same blocks.

use borsh::{BorshDeserialize, BorshSerialize};
use market::admission::{
    AdmissionContext, Rejection, admit_order, admit_reading, check_order, check_reading,
};
use market::book::PeriodBook;
use market::hash::Digest;
use market::keys::ChainId;
use market::member::{Membership, PartyId};
use market::reading::Quality;
use market::rules::MarketRules;
use market::settlement::{Metered, PartySettlement, Settlement};
use market::time::{DeliveryPeriod, Timestamp};
use market::trade::Trade;
use market::zone::ZoneTree;
use std::collections::BTreeMap;

use crate::block::BlockHash;
use crate::genesis::Genesis;
use crate::merkle;
use crate::posting::Accounts;
use crate::transaction::Transaction;
use crate::validators::ValidatorSet;

/// The reading that counts for a party and period, with its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecordedReading {
    /// The figures.
    pub metered: Metered,
    /// The sequence of the message they came in.
    pub sequence: u64,
}

/// Everything that later blocks depend on.
///
/// It is changed by [`crate::draft::Draft`] alone; everyone else reads.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct State {
    pub(crate) chain: ChainId,
    pub(crate) starts_at: Timestamp,
    pub(crate) height: u64,
    pub(crate) time: Timestamp,
    pub(crate) tip: BlockHash,
    pub(crate) rules: MarketRules,
    pub(crate) zones: ZoneTree,
    pub(crate) validators: ValidatorSet,
    pub(crate) members: Membership,
    pub(crate) books: BTreeMap<DeliveryPeriod, PeriodBook>,
    pub(crate) trades: BTreeMap<DeliveryPeriod, Vec<Trade>>,
    pub(crate) readings: BTreeMap<DeliveryPeriod, BTreeMap<PartyId, RecordedReading>>,
    pub(crate) settled: BTreeMap<DeliveryPeriod, Settlement>,
    pub(crate) accounts: Accounts,
}

impl State {
    /// The state before the first block.
    pub fn at_genesis(genesis: &Genesis) -> Self {
        Self {
            chain: genesis.chain_id(),
            starts_at: genesis.starts_at,
            height: 0,
            time: genesis.starts_at,
            tip: BlockHash::default(),
            rules: genesis.rules.clone(),
            zones: genesis.zones.clone(),
            validators: genesis.validators.clone(),
            members: genesis.members.clone(),
            books: BTreeMap::new(),
            trades: BTreeMap::new(),
            readings: BTreeMap::new(),
            settled: BTreeMap::new(),
            accounts: Accounts::default(),
        }
    }

    /// The community.
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// The height of the last block; 0 before the first.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The time of the last block; of genesis before the first.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The hash of the last block; all zero before the first.
    pub fn tip(&self) -> BlockHash {
        self.tip
    }

    /// The rules of the market.
    pub fn rules(&self) -> &MarketRules {
        &self.rules
    }

    /// The grid.
    pub fn zones(&self) -> &ZoneTree {
        &self.zones
    }

    /// Who decides the next height.
    pub fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    /// Who may trade.
    pub fn members(&self) -> &Membership {
        &self.members
    }

    /// The open book of a period, if anybody has ordered.
    pub fn book(&self, period: DeliveryPeriod) -> Option<&PeriodBook> {
        self.books.get(&period)
    }

    /// The trades of a period that is not final yet.
    pub fn trades(&self, period: DeliveryPeriod) -> &[Trade] {
        self.trades.get(&period).map_or(&[], Vec::as_slice)
    }

    /// The settlement of a period that is not final yet.
    pub fn settlement(&self, period: DeliveryPeriod) -> Option<&Settlement> {
        self.settled.get(&period)
    }

    /// All accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The reading that counts so far.
    pub fn reading(&self, period: DeliveryPeriod, party: &PartyId) -> Option<&RecordedReading> {
        self.readings.get(&period)?.get(party)
    }

    /// The earliest instant at which the clock alone makes a block necessary: a gate closes, or a
    /// period's missing readings are estimated. `None` while nothing is open.
    pub fn next_due_at(&self) -> Option<Timestamp> {
        let gate = |(period, book): (&DeliveryPeriod, &PeriodBook)| {
            self.rules.gates.closes_at(*period, book.next_gate())
        };
        let gates = self.books.iter().filter_map(gate);
        let unsettled = self.trades.keys().chain(self.readings.keys());
        let unsettled = unsettled.filter(|period| !self.settled.contains_key(period));
        // What one block was too small for is due at once.
        let settlement = |period: &DeliveryPeriod| match self.all_metered(*period) {
            true => self.time,
            false => self.rules.estimated_from(*period),
        };
        gates.chain(unsettled.map(settlement)).min()
    }

    /// What admission needs, for a block at `block_time`.
    pub fn admission(&self, block_time: Timestamp) -> AdmissionContext<'_> {
        AdmissionContext {
            chain: &self.chain,
            rules: &self.rules,
            membership: &self.members,
            starts_at: self.starts_at,
            block_time,
        }
    }

    /// Whether a transaction could stand in a block at `block_time`, its signature aside.
    ///
    /// # Errors
    /// [`Rejection`] names the rule that is broken.
    pub fn check(&self, transaction: &Transaction, block_time: Timestamp) -> Result<(), Rejection> {
        let context = self.admission(block_time);
        match transaction {
            Transaction::Order(envelope) => {
                let order = envelope.unverified();
                check_order(order, &context, self.book(order.period)).map(drop)
            }
            Transaction::Reading(envelope) => {
                let reading = envelope.unverified();
                let known = self.reading(reading.period, &reading.party);
                check_reading(reading, &context, known.map(|known| known.sequence)).map(drop)
            }
        }
    }

    /// Judges a transaction in full, as a block at `block_time` would.
    ///
    /// # Errors
    /// [`Rejection`] names the rule that is broken.
    pub fn admit(&self, transaction: &Transaction, block_time: Timestamp) -> Result<(), Rejection> {
        let context = self.admission(block_time);
        match transaction {
            Transaction::Order(envelope) => {
                let book = self.book(envelope.unverified().period);
                admit_order(envelope.clone(), &context, book).map(drop)
            }
            Transaction::Reading(envelope) => {
                let reading = envelope.unverified();
                let known = self.reading(reading.period, &reading.party);
                let known = known.map(|known| known.sequence);
                admit_reading(envelope.clone(), &context, known).map(drop)
            }
        }
    }

    /// The Merkle root over the state's entries, each leaf a kind, a key and a value, by kind and
    /// key: one leaf for height and time, one for the rules, one for the grid, one per member, one
    /// per account, and one per period and kind of what is open in it. The tip is not part of it:
    /// it names the header that carries this root.
    pub fn root(&self) -> Digest {
        let mut leaves = Vec::new();
        leaves.push(entry(1, &(), &(self.height, self.time, self.accounts.posting_count())));
        leaves.push(entry(2, &(), &(&self.rules, &self.zones, &self.validators)));
        leaves.extend(self.members.iter().map(|(key, value)| entry(3, key, value)));
        leaves.extend(self.accounts.iter().map(|(key, value)| entry(4, key, value)));
        leaves.extend(self.books.iter().map(|(key, value)| entry(5, key, value)));
        leaves.extend(self.trades.iter().map(|(key, value)| entry(6, key, value)));
        leaves.extend(self.readings.iter().map(|(key, value)| entry(7, key, value)));
        leaves.extend(self.settled.iter().map(|(key, value)| entry(8, key, value)));
        merkle::root(leaves)
    }

    /// How each party of a period came out so far.
    pub fn party_settlement(
        &self,
        period: DeliveryPeriod,
        party: &PartyId,
    ) -> Option<&PartySettlement> {
        self.settled.get(&period)?.parties.get(party)
    }

    /// Each member's reading of a period, if it came.
    pub(crate) fn metered(&self, period: DeliveryPeriod) -> BTreeMap<PartyId, Option<Metered>> {
        let metered = |party| self.reading(period, party).map(|reading| reading.metered);
        self.members.keys().map(|party| (*party, metered(party))).collect()
    }

    /// Whether every member's meter has spoken for a period.
    pub(crate) fn all_metered(&self, period: DeliveryPeriod) -> bool {
        let readings = self.readings.get(&period);
        self.members.keys().all(|party| {
            readings
                .and_then(|readings| readings.get(party))
                .is_some_and(|reading| reading.metered.quality != Quality::Missing)
        })
    }
}

fn entry<K: BorshSerialize, V: BorshSerialize>(kind: u8, key: &K, value: &V) -> Digest {
    merkle::leaf(&borsh::to_vec(&(kind, key, value)).unwrap_or_default())
}
