//! The state that every node holds alike after the same blocks.

use borsh::{BorshDeserialize, BorshSerialize};
use market::admission::{
    AdmissionContext, Rejection, admit_curve, admit_order, admit_reading, check_curve, check_order,
    check_reading,
};
use market::book::{BookKey, PeriodBook};
use market::gate::GateIndex;
use market::hash::Digest;
use market::keys::ChainId;
use market::member::{Member, Membership, PartyId};
use market::reading::Quality;
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::settlement::{Delivery, Expected, Metered, PartySettlement, Settlement, ZonePrices};
use market::standing::StandingCurves;
use market::time::{DeliveryPeriod, Timestamp};
use market::trade::Trade;
use market::zone::{Flows, ZoneTree};
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::block::BlockHash;
use crate::charter::Charter;
use crate::genesis::Genesis;
use crate::history::History;
use crate::leaves::{Leaves, leaf};
use crate::merkle::{self, KeptTree};
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
    /// What the gate after delivery sees, however late it is carried out: the figures of the newest
    /// message in a block whose time is before its closing. `None` if there was no such message, or
    /// there is no such gate.
    pub at_gate: Option<Metered>,
}

/// The key of the one entry that holds all standing curves.
pub(crate) const CURVES: u8 = 0;

/// Everything that later blocks depend on.
///
/// It is changed by [`crate::draft::Draft`] alone; everyone else reads. A copy is cheap: it shares
/// its entries with the original until one of the two changes them.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct State {
    pub(crate) chain: ChainId,
    pub(crate) starts_at: Timestamp,
    pub(crate) height: u64,
    pub(crate) time: Timestamp,
    pub(crate) tip: BlockHash,
    pub(crate) charter: Charter,
    pub(crate) books: Leaves<5, DeliveryPeriod, PeriodBook>,
    pub(crate) trades: Leaves<6, DeliveryPeriod, Vec<Trade>>,
    pub(crate) readings: Leaves<7, DeliveryPeriod, BTreeMap<PartyId, RecordedReading>>,
    pub(crate) settled: Leaves<8, DeliveryPeriod, Settlement>,
    pub(crate) prices: Leaves<9, DeliveryPeriod, ZonePrices>,
    /// All under one key.
    pub(crate) curves: Leaves<10, u8, StandingCurves>,
    /// The periods whose gate after delivery has closed.
    pub(crate) closed_ex_post: Leaves<11, DeliveryPeriod, GateIndex>,
    /// What the gates that have closed send over the lines of a period.
    pub(crate) flows: Leaves<12, DeliveryPeriod, Flows>,
    /// The settled periods that are to be settled anew, each with the height since which it waits.
    pub(crate) reopened: Leaves<20, DeliveryPeriod, u64>,
    pub(crate) accounts: Accounts,
    /// The tree of the last block's root, from which the next one is made.
    #[borsh(skip)]
    tree: Arc<KeptTree>,
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
            charter: Charter::at_genesis(genesis),
            books: Leaves::default(),
            trades: Leaves::default(),
            readings: Leaves::default(),
            settled: Leaves::default(),
            prices: Leaves::default(),
            curves: Leaves::default(),
            closed_ex_post: Leaves::default(),
            flows: Leaves::default(),
            reopened: Leaves::default(),
            accounts: Accounts::default(),
            tree: Arc::default(),
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
        self.charter.rules()
    }

    /// The grid, with the charges and capacities of each time.
    pub fn zones(&self) -> &Schedule<ZoneTree> {
        self.charter.zones()
    }

    /// Who decides the next height.
    pub fn validators(&self) -> &ValidatorSet {
        self.charter.validators()
    }

    /// Who may trade.
    pub fn members(&self) -> &Membership {
        self.charter.members()
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
    /// period's missing readings are estimated; at once if a block was too small for all that is
    /// due. `None` while nothing is open.
    pub fn next_due_at(&self) -> Option<Timestamp> {
        let gate = |(period, book): (&DeliveryPeriod, &PeriodBook)| {
            self.rules().gates.closes_at(*period, book.next_gate())
        };
        let gates = self.books.iter().filter_map(gate);
        let unsettled = self.delivered().filter(|period| !self.settled.contains_key(period));
        // What one block was too small for is due at once.
        let settlement = |period: DeliveryPeriod| {
            if let Some(gate) = self.open_ex_post(period) {
                return gate.max(self.time);
            }
            match self.all_metered(period) {
                true => self.time,
                false => self.rules().estimated_from(period),
            }
        };
        let reopened = self.reopened.keys().map(|_| self.time);
        gates.chain(unsettled.map(settlement)).chain(reopened).min()
    }

    /// The periods of which something is known that is to be settled.
    pub(crate) fn delivered(&self) -> impl Iterator<Item = DeliveryPeriod> {
        let known: BTreeSet<_> = self.trades.keys().chain(self.readings.keys()).copied().collect();
        known.into_iter()
    }

    /// When the gate after delivery closes that has not closed for a period yet.
    pub(crate) fn open_ex_post(&self, period: DeliveryPeriod) -> Option<Timestamp> {
        let closes_at = self.rules().gates.ex_post_closes_at(period);
        closes_at.filter(|_| !self.closed_ex_post.contains_key(&period))
    }

    /// What is in force of a party's standing curve for one side, or will be: its sequence.
    pub fn curve_sequence(&self, key: BookKey) -> Option<u64> {
        self.curves.get(&CURVES)?.sequence(key)
    }

    /// What admission needs, for a block at `block_time`.
    pub fn admission(&self, block_time: Timestamp) -> AdmissionContext<'_> {
        AdmissionContext {
            chain: &self.chain,
            rules: self.rules(),
            membership: self.members(),
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
            Transaction::Curve(envelope) => {
                let curve = envelope.unverified();
                let known = self.curve_sequence((curve.side, curve.party));
                check_curve(curve, &context, known).map(drop)
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
            Transaction::Curve(envelope) => {
                let curve = envelope.unverified();
                let known = self.curve_sequence((curve.side, curve.party));
                admit_curve(envelope.clone(), &context, known).map(drop)
            }
        }
    }

    /// The Merkle root over the state's entries, each leaf a kind, a key and a value, by kind and
    /// key: one leaf for height and time, one for the rules, one for the grid, one per member, one
    /// per account, and one per period and kind of what is open in it. The tip is not part of it:
    /// it names the header that carries this root.
    pub fn root(&self) -> Digest {
        merkle::root(self.hashes())
    }

    /// The same root, for the next block's to be made from: what a block leaves as it was is not
    /// hashed again.
    pub(crate) fn next_root(&mut self) -> Digest {
        self.tree = Arc::new(self.tree.with(self.hashes().collect()));
        self.tree.root()
    }

    fn hashes(&self) -> impl Iterator<Item = Digest> {
        let now = leaf(1, &(), &(self.height, self.time, self.accounts.posting_count()));
        std::iter::once(now)
            .chain(self.charter.hashes().iter().copied())
            .chain(self.accounts.hashes())
            .chain(self.books.hashes())
            .chain(self.trades.hashes())
            .chain(self.readings.hashes())
            .chain(self.settled.hashes())
            .chain(self.prices.hashes())
            .chain(self.curves.hashes())
            .chain(self.closed_ex_post.hashes())
            .chain(self.flows.hashes())
            .chain(self.reopened.hashes())
    }

    /// How each party of a period came out so far.
    pub fn party_settlement(
        &self,
        period: DeliveryPeriod,
        party: &PartyId,
    ) -> Option<&PartySettlement> {
        self.settled.get(&period)?.parties.get(party)
    }

    /// Where each member is connected, and its reading of a period; what is expected of it, if that
    /// did not come.
    pub(crate) fn deliveries(&self, period: DeliveryPeriod) -> BTreeMap<PartyId, Delivery> {
        let history = LazyCell::new(|| History::of(self, period));
        let delivery = |(party, member): (&PartyId, &Member)| {
            let metered = self.reading(period, party).map(|reading| reading.metered);
            let expected =
                if metered.is_none() { history.expected(party) } else { Expected::default() };
            (*party, Delivery { zone: member.zone, metered, expected })
        };
        self.members().iter().map(delivery).collect()
    }

    /// Whether every member's meter has spoken for a period.
    pub(crate) fn all_metered(&self, period: DeliveryPeriod) -> bool {
        let readings = self.readings.get(&period);
        self.members().keys().all(|party| {
            readings
                .and_then(|readings| readings.get(party))
                .is_some_and(|reading| reading.metered.quality != Quality::Missing)
        })
    }
}
