//! The state that every node holds alike after the same blocks.

use borsh::{BorshDeserialize, BorshSerialize};
use market::admission::{
    AdmissionContext, Rejection, admit_curve, admit_order, admit_reading, check_curve, check_order,
    check_reading,
};
use market::book::{BookKey, PeriodBook};
use market::gate::GateIndex;
use market::hash::Digest;
use market::keys::{ChainId, PublicKey};
use market::member::{Member, Membership, PartyId};
use market::reading::Quality;
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::settlement::{
    Change, Delivery, Expected, Finality, Metered, PartySettlement, Settlement, ZonePrices,
};
use market::standing::StandingCurves;
use market::time::{DeliveryPeriod, Timestamp};
use market::trade::Trade;
use market::zone::{Flows, ZoneTree};
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::acts::{
    self, Agreement, Approval, Dispute, Endpoint, Invitation, NotApplied, Operators, Signer,
};
use crate::block::BlockHash;
use crate::charter::Charter;
use crate::genesis::Genesis;
use crate::history::History;
use crate::leaves::{Leaves, leaf};
use crate::merkle::{self, KeptTree};
use crate::posting::{Account, Accounts};
use crate::state_proof::{FORMER_KEYS, FormerKey};
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

impl RecordedReading {
    /// The sequence of figures that a decision put in place: no message reaches it.
    pub const DECIDED: u64 = u64::MAX;
}

/// The key of the one entry that holds all standing curves.
pub(crate) const CURVES: u8 = 0;

/// The key under which the agreements stand.
const AGREEMENTS: u8 = 0;

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
    /// The last act of everybody who has ever been one of the parties or operators.
    pub(crate) sequences: Leaves<13, Signer, u64>,
    pub(crate) invitations: Leaves<14, PublicKey, Invitation>,
    pub(crate) approvals: Leaves<15, DeliveryPeriod, Approval>,
    /// By number, from 1 on.
    pub(crate) disputes: Leaves<16, u64, Dispute>,
    pub(crate) dispute_count: u64,
    /// The keys that members have replaced, oldest first.
    pub(crate) former_keys: Leaves<FORMER_KEYS, PartyId, Vec<FormerKey>>,
    /// All under one key.
    pub(crate) agreements: Leaves<22, u8, Vec<Agreement>>,
    /// The tree of the last block's root, from which the next one is made.
    #[borsh(skip)]
    tree: Arc<KeptTree>,
}

impl State {
    /// The state before the first block.
    pub fn at_genesis(genesis: &Genesis) -> Self {
        let mut invitations = Leaves::default();
        for (key, invitation) in &genesis.invitations {
            invitations.insert(*key, invitation.clone());
        }
        let mut accounts = Accounts::default();
        genesis.members.keys().for_each(|party| accounts.open(Account::Party(*party)));
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
            accounts,
            sequences: Leaves::default(),
            invitations,
            approvals: Leaves::default(),
            disputes: Leaves::default(),
            former_keys: Leaves::default(),
            agreements: Leaves::default(),
            dispute_count: 0,
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

    /// Where validators listen for each other, as the last change of the set says; empty before.
    pub fn endpoints(&self) -> &[Endpoint] {
        self.charter.endpoints()
    }

    /// Who operates the community.
    pub fn operators(&self) -> &Operators {
        self.charter.operators()
    }

    /// Everybody who trades or has traded: a revoked member stays listed until it is erased.
    pub fn members(&self) -> &Membership {
        self.charter.members()
    }

    /// The sequence of the last act of a party or an operator; 0 before the first.
    pub fn act_sequence(&self, signer: &Signer) -> u64 {
        self.sequences.get(signer).copied().unwrap_or_default()
    }

    /// The measures that wait for more operators, oldest first; some may have expired.
    pub fn agreements(&self) -> &[Agreement] {
        self.agreements.get(&AGREEMENTS).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn set_agreements(&mut self, waiting: Vec<Agreement>) {
        match waiting.is_empty() {
            true => self.agreements.remove(&AGREEMENTS),
            false => self.agreements.insert(AGREEMENTS, waiting),
        }
    }

    /// All invitations by key, closed ones included.
    pub fn invitations(&self) -> impl Iterator<Item = (&PublicKey, &Invitation)> {
        self.invitations.iter()
    }

    /// An invitation by its key.
    pub fn invitation(&self, key: &PublicKey) -> Option<&Invitation> {
        self.invitations.get(key)
    }

    /// Who has approved the settlement of a period that is not final by time.
    pub fn approval(&self, period: DeliveryPeriod) -> Option<&Approval> {
        self.approvals.get(&period)
    }

    /// The disputes that are open, or whose period is not final by time, by number.
    pub fn disputes(&self) -> impl Iterator<Item = (u64, &Dispute)> {
        self.disputes.iter().map(|(number, dispute)| (*number, dispute))
    }

    /// Where the settlement of a period stands at an instant.
    pub fn finality(&self, period: DeliveryPeriod, now: Timestamp) -> Finality {
        let settled = self.settled.contains_key(&period);
        let approved = self.approvals.get(&period).is_some_and(|known| known.final_at.is_some());
        Finality::of(self.rules(), period, now, settled, approved)
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

    /// Whether nothing about a period can change any more: its time for that is over, and nothing of
    /// it is kept to be settled.
    pub fn is_final(&self, period: DeliveryPeriod) -> bool {
        self.rules().final_at(period) <= self.time()
            && self.settlement(period).is_none()
            && self.trades(period).is_empty()
            && self.book(period).is_none()
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

    /// Whether a transaction could stand in a block at `block_time`. The signature of an order, a
    /// reading and a curve is left aside, that of an act is checked.
    ///
    /// # Errors
    /// [`NotApplied`] names the rule that is broken.
    pub fn check(
        &self,
        transaction: &Transaction,
        block_time: Timestamp,
    ) -> Result<(), NotApplied> {
        let context = self.admission(block_time);
        match transaction {
            Transaction::Order(envelope) => {
                let order = envelope.unverified();
                check_order(order, &context, self.book(order.period))?;
            }
            Transaction::Reading(envelope) => {
                let reading = envelope.unverified();
                self.check_not_approved(reading.period, block_time)?;
                let known = self.reading(reading.period, &reading.party);
                check_reading(reading, &context, known.map(|known| known.sequence))?;
            }
            Transaction::Curve(envelope) => {
                let curve = envelope.unverified();
                let known = self.curve_sequence((curve.side, curve.party));
                check_curve(curve, &context, known)?;
            }
            Transaction::Join(_) | Transaction::PartyAct(_) | Transaction::OperatorAct(_) => {
                acts::perform(&mut self.clone(), transaction, block_time, &BTreeSet::new())?;
            }
        }
        Ok(())
    }

    /// Judges a transaction in full, as a block at `block_time` would.
    ///
    /// # Errors
    /// [`NotApplied`] names the rule that is broken.
    pub fn admit(
        &self,
        transaction: &Transaction,
        block_time: Timestamp,
    ) -> Result<(), NotApplied> {
        let context = self.admission(block_time);
        match transaction {
            Transaction::Order(envelope) => {
                let book = self.book(envelope.unverified().period);
                admit_order(envelope.clone(), &context, book)?;
            }
            Transaction::Reading(envelope) => {
                let reading = envelope.unverified();
                self.check_not_approved(reading.period, block_time)?;
                let known = self.reading(reading.period, &reading.party);
                let known = known.map(|known| known.sequence);
                admit_reading(envelope.clone(), &context, known)?;
            }
            Transaction::Curve(envelope) => {
                let curve = envelope.unverified();
                let known = self.curve_sequence((curve.side, curve.party));
                admit_curve(envelope.clone(), &context, known)?;
            }
            Transaction::Join(_) | Transaction::PartyAct(_) | Transaction::OperatorAct(_) => {
                self.check(transaction, block_time)?;
            }
        }
        Ok(())
    }

    /// Readings of a period count until its settlement is final; admission knows the time for it,
    /// the state the operators' approval.
    pub(crate) fn check_not_approved(
        &self,
        period: DeliveryPeriod,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let approved_at = self.approvals.get(&period).and_then(|approval| approval.final_at);
        match approved_at.filter(|_| !self.finality(period, now).admits(Change::Reading)) {
            Some(approved_at) => Err(Rejection::AfterFinality(approved_at)),
            None => Ok(()),
        }
    }

    /// The head of the Merkle tree of the state's entries, each leaf a kind, a key and a value, by
    /// kind and key: one leaf for height and time, one for rules, grid, validators and operators,
    /// one per member, one per account, one per period and kind of what is open in it, and one per
    /// signer of acts, invitation and dispute. The tip is not part of it: it names the header that
    /// carries this root.
    pub fn root(&self) -> Digest {
        merkle::head_over(self.hashes())
    }

    /// The same root, for the next block's to be made from: what a block leaves as it was is not
    /// hashed again.
    pub(crate) fn next_root(&mut self) -> Digest {
        self.tree = Arc::new(self.tree.with(self.hashes().collect()));
        self.tree.head()
    }

    /// The hashes of all leaves, in the order of the tree.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = Digest> {
        let counts = (self.accounts.posting_count(), self.dispute_count);
        let now = leaf(1, &(), &(self.height, self.time, counts));
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
            .chain(self.sequences.hashes())
            .chain(self.invitations.hashes())
            .chain(self.approvals.hashes())
            .chain(self.disputes.hashes())
            .chain(self.accounts.pending_hashes())
            .chain(self.reopened.hashes())
            .chain(self.former_keys.hashes())
            .chain(self.agreements.hashes())
    }

    /// How each party of a period came out so far.
    pub fn party_settlement(
        &self,
        period: DeliveryPeriod,
        party: &PartyId,
    ) -> Option<&PartySettlement> {
        self.settled.get(&period)?.parties.get(party)
    }

    /// Where everybody is connected who is settled in a period, and its reading, or what is expected
    /// of it if that did not come: whoever was a member when the period began, and whoever has a
    /// reading, which a decision may have given it. Who only traded in it is settled by its trades.
    pub(crate) fn deliveries(&self, period: DeliveryPeriod) -> BTreeMap<PartyId, Delivery> {
        let history = LazyCell::new(|| History::of(self, period));
        let delivery = |(party, member): (&PartyId, &Member)| {
            let metered = self.reading(period, party).map(|reading| reading.metered);
            let settled = member.belongs_to(period) || metered.is_some();
            let expected =
                if metered.is_none() { history.expected(party) } else { Expected::default() };
            settled.then_some((*party, Delivery { zone: member.zone, metered, expected }))
        };
        self.members().iter().filter_map(delivery).collect()
    }

    /// Whether the meter of everybody has spoken who was a member when the period began.
    pub(crate) fn all_metered(&self, period: DeliveryPeriod) -> bool {
        let readings = self.readings.get(&period);
        let belonging = self.members().iter().filter(|(_, member)| member.belongs_to(period));
        belonging.map(|(party, _)| party).all(|party| {
            readings
                .and_then(|readings| readings.get(party))
                .is_some_and(|reading| reading.metered.quality != Quality::Missing)
        })
    }

    /// Whether somebody contests the settlement of a period.
    pub(crate) fn is_disputed(&self, period: DeliveryPeriod) -> bool {
        self.disputes.iter().any(|(_, dispute)| dispute.period == period && dispute.is_open())
    }

    /// The first period about which something can still change that concerns a party: it is to be
    /// settled with the party, or the party stands in facts that are still kept.
    pub(crate) fn open_period_of(&self, party: PartyId) -> Option<DeliveryPeriod> {
        let disputed = self.disputes.iter().filter(|(_, dispute)| dispute.party == party);
        let disputed = disputed.map(|(_, dispute)| dispute.period);
        let settled = self.settled.iter().filter(|(_, of)| of.parties.contains_key(&party));
        let settled = settled.map(|(period, _)| *period);
        let mentions = |period: &DeliveryPeriod| {
            let belongs = self.members().get(&party).is_some_and(|it| it.belongs_to(*period));
            let traded = |trade: &Trade| trade.seller == party || trade.buyer == party;
            belongs
                || self.reading(*period, &party).is_some()
                || self.trades(*period).iter().any(traded)
        };
        disputed.chain(settled).chain(self.delivered().filter(mentions)).min()
    }
}
