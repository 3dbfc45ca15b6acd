//! A block in the making: the one place where the state changes.
//!
//! The proposer opens a draft, admits what waits, and finishes it. Every other node does exactly
//! the same with the proposed transactions ([`crate::apply`]) and compares the headers.

use market::Overflow;
use market::admission::{Rejection, admit_curve, admit_order, admit_reading};
use market::book::ex_post::{Corridor, residuals, seal_ex_post};
use market::book::{PeriodBook, SealedBook};
use market::certificate;
use market::clearing::laws::BrokenLaw;
use market::clearing::{ClearingError, ClearingResult, clear, laws};
use market::settlement::{
    self, Facts, Metered, Settlement, SettlementError, Transfer, ZonePrices, settle,
};
use market::standing::StandingCurves;
use market::time::{DeliveryPeriod, Timestamp};
use market::zone::Flows;
use std::collections::{BTreeMap, BTreeSet};

use crate::block::{BLOCK_VERSION, Block, Header, transactions_root};
use crate::charter::Charter;
use crate::results::{
    BlockResults, Cleared, ClearingSummary, CommunitySettled, Settled, results_root,
};
use crate::state::{CURVES, RecordedReading, State};
use crate::transaction::Transaction;

/// Why a block cannot be made or does not hold, apart from its single transactions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// Time must rise from block to block.
    #[error("block time {time:?} is not after the block before, {previous:?}")]
    TimeNotRising {
        /// The draft's time.
        time: Timestamp,
        /// The time of the block before.
        previous: Timestamp,
    },
    /// A sum left its range, which admission should have excluded.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// A book could not be cleared, which admission should have excluded.
    #[error(transparent)]
    Clearing(#[from] ClearingError),
    /// A period could not be settled, which admission should have excluded.
    #[error(transparent)]
    Settlement(#[from] SettlementError),
    /// A clearing broke a law of the market: a defect of the program, so nothing is committed.
    #[error("the clearing broke a law: {0}")]
    Law(#[from] BrokenLaw),
    /// Debits and credits differ: a defect of the program, so nothing is committed.
    #[error("debits and credits differ after height {0}")]
    Unbalanced(u64),
}

/// How many periods one block settles for the first time, and how many it settles anew: after a
/// long halt there may be hundreds, one party may correct all that are open at once, and what a
/// block decides must stay small enough to be sent. The rest is due in the next one.
const SETTLED_PERIODS_MAX: usize = 16;

/// A block in the making.
#[derive(Debug, Clone)]
pub struct Draft {
    state: State,
    results: BlockResults,
    transactions: Vec<Transaction>,
    time: Timestamp,
    corrected: BTreeSet<DeliveryPeriod>,
}

/// A finished block with everything that follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The block.
    pub block: Block,
    /// The state after it.
    pub state: State,
    /// What it decided.
    pub results: BlockResults,
}

impl Draft {
    /// Starts the block after `state` at market time `time`: closes and clears every gate that the
    /// time has reached. What the block itself carries comes too late for those.
    ///
    /// # Errors
    /// [`DraftError`] if the time does not rise, or a clearing cannot be computed.
    pub fn open(state: &State, time: Timestamp) -> Result<Self, DraftError> {
        if time <= state.time {
            return Err(DraftError::TimeNotRising { time, previous: state.time });
        }
        let mut draft = Self {
            state: state.clone(),
            results: BlockResults::default(),
            transactions: Vec::new(),
            time,
            corrected: BTreeSet::new(),
        };
        draft.close_gates()?;
        draft.close_gates_after_delivery()?;
        Ok(draft)
    }

    /// Admits one transaction, or leaves the draft as it was.
    ///
    /// # Errors
    /// [`Rejection`] names the rule that is broken.
    pub fn admit(&mut self, transaction: Transaction) -> Result<(), Rejection> {
        match &transaction {
            Transaction::Order(envelope) => {
                let period = envelope.unverified().period;
                let context = self.state.admission(self.time);
                let book = self.state.books.get(&period);
                let admitted = admit_order(envelope.clone(), &context, book)?;
                let next_gate = self.state.rules().gates.next_gate(period, self.time);
                let fresh = || PeriodBook::before_gate(next_gate);
                self.state.books.get_or_insert_with(period, fresh).place(&admitted);
            }
            Transaction::Reading(envelope) => {
                let (period, party) = (envelope.unverified().period, envelope.unverified().party);
                let known = self.state.reading(period, &party).map(|reading| reading.sequence);
                let context = self.state.admission(self.time);
                let admitted = admit_reading(envelope.clone(), &context, known)?;
                let reading = admitted.reading();
                let metered = Metered {
                    imported: reading.imported,
                    exported: reading.exported,
                    quality: reading.quality,
                };
                // What is first heard of after the gate comes too late for it.
                let unknown = !self.state.delivered().any(|known| known == period);
                let over = self.state.open_ex_post(period).is_some_and(|end| end <= self.time);
                let gate = self.state.rules().gates.ex_post_gate();
                if let Some(gate) = gate.filter(|_| unknown && over) {
                    self.state.closed_ex_post.insert(period, gate);
                }
                let closes_at = self.state.rules().gates.ex_post_closes_at(period);
                let readings = self.state.readings.get_or_insert_with(period, BTreeMap::new);
                let at_gate = match closes_at {
                    Some(closes_at) if self.time < closes_at => Some(metered),
                    _ => readings.get(&party).and_then(|known| known.at_gate),
                };
                let recorded = RecordedReading { metered, sequence: reading.sequence, at_gate };
                readings.insert(party, recorded);
                self.corrected.insert(period);
            }
            Transaction::Curve(envelope) => {
                let key = (envelope.unverified().side, envelope.unverified().party);
                let context = self.state.admission(self.time);
                let known = self.state.curve_sequence(key);
                let admitted = admit_curve(envelope.clone(), &context, known)?;
                let length = context.rules.period_length;
                let curves = self.state.curves.get_or_insert_with(CURVES, StandingCurves::default);
                let placed = curves.place(&admitted, self.time, length);
                placed.map_err(|error| Rejection::Malformed(error.into()))?;
            }
        }
        self.transactions.push(transaction);
        Ok(())
    }

    /// How many transactions have been admitted.
    pub fn transaction_count(&self) -> usize {
        self.transactions.len()
    }

    /// Settles what is due, and closes the block with its roots.
    ///
    /// # Errors
    /// [`DraftError`] if a settlement cannot be computed or the books do not balance.
    pub fn finish(mut self) -> Result<Executed, DraftError> {
        self.settle_due()?;
        self.forget_final();
        self.forget_curves();
        let previous = self.state.tip;
        self.state.height = self.state.height.saturating_add(1);
        self.state.time = self.time;
        if !self.state.accounts.balanced() {
            return Err(DraftError::Unbalanced(self.state.height));
        }
        let header = Header {
            version: BLOCK_VERSION,
            chain: self.state.chain,
            height: self.state.height,
            time: self.time,
            previous,
            transactions_root: transactions_root(&self.transactions),
            state_root: self.state.next_root(),
            results_root: results_root(&self.results.leaves()),
            next_validators: self.state.validators().hash(),
        };
        self.state.tip = header.hash();
        let block = Block { header, transactions: self.transactions };
        Ok(Executed { block, state: self.state, results: self.results })
    }

    /// Seals and clears every book whose gate the block's time has reached (design section 3,
    /// arrow 8: the first block whose time >= gate closure closes the book).
    fn close_gates(&mut self) -> Result<(), DraftError> {
        let salt = self.state.tip.digest();
        let charter = self.state.charter.clone();
        let gates = &charter.rules().gates;
        let periods: Vec<_> = self.state.books.keys().copied().collect();
        for period in periods {
            while let Some(book) = self.state.books.get(&period) {
                let gate = book.next_gate();
                let closes_at = gates.closes_at(period, gate).filter(|_| !gates.is_ex_post(gate));
                let Some(closes_at) = closes_at else {
                    self.state.books.remove(&period);
                    break;
                };
                if closes_at > self.time {
                    break;
                }
                let sealed = book.seal(period, charter.members(), salt);
                let result = self.clear(&charter, sealed)?;
                if let Some(book) = self.state.books.get_mut(&period) {
                    book.close_gate(&result)?;
                }
            }
        }
        Ok(())
    }

    /// Clears what the meters counted and earlier gates have not traded, for every period whose
    /// gate after delivery the block's time has reached: at most [`SETTLED_PERIODS_MAX`] of them.
    /// What the block itself carries comes too late for it, and for the gates that wait for a later
    /// block.
    fn close_gates_after_delivery(&mut self) -> Result<(), DraftError> {
        let salt = self.state.tip.digest();
        let charter = self.state.charter.clone();
        let Some(gate) = charter.rules().gates.ex_post_gate() else { return Ok(()) };
        let due = |period: &DeliveryPeriod| {
            self.state.open_ex_post(*period).is_some_and(|closes_at| closes_at <= self.time)
        };
        let due: Vec<_> = self.state.delivered().filter(due).take(SETTLED_PERIODS_MAX).collect();
        for period in due {
            let readings = self.state.readings.get(&period).into_iter().flatten();
            let in_time = readings.filter_map(|(party, reading)| Some((*party, reading.at_gate?)));
            let readings = in_time.collect();
            let residuals = residuals(&readings, self.state.trades(period))?;
            let curves = self.state.curves.get(&CURVES).cloned().unwrap_or_default();
            let corridor = Corridor::from(&charter.rules().rates(period));
            let members = charter.members();
            let sealed = seal_ex_post(period, gate, members, &curves, &residuals, corridor, salt)?;
            self.clear(&charter, sealed)?;
            self.state.closed_ex_post.insert(period, gate);
        }
        Ok(())
    }

    /// Clears a sealed book and keeps what follows from it.
    fn clear(
        &mut self,
        charter: &Charter,
        sealed: SealedBook,
    ) -> Result<ClearingResult, DraftError> {
        let period = sealed.period();
        let mechanism = charter.rules().mechanism.during(period);
        let mut zones = charter.zones().during(period).clone();
        if let Some(flows) = self.state.flows.get(&period) {
            zones = zones.after(flows);
        }
        let terms = charter.rules().terms(&zones);
        let result = clear(&sealed, mechanism, &terms)?;
        laws::check(&sealed, mechanism, &terms, &result)?;
        if !result.trades.is_empty() {
            let trades = self.state.trades.get_or_insert_with(period, Vec::new);
            trades.extend(result.trades.iter().cloned());
            self.state
                .prices
                .get_or_insert_with(period, ZonePrices::default)
                .note(&result, &zones)?;
            let flows = self.state.flows.get_or_insert_with(period, Flows::default);
            for edge in result.edges.iter().filter(|edge| !edge.flow.is_zero()) {
                flows.add(edge.zone, edge.flow)?;
            }
        }
        if !sealed.is_empty() {
            let summary = ClearingSummary::of(&result)?;
            let cleared = Cleared { book: sealed, result: result.clone(), summary };
            self.results.clearings.push(cleared);
        }
        Ok(result)
    }

    /// Settles delivered periods for which all readings are in, or whose time to wait is over; and
    /// anew those that are corrected: at most [`SETTLED_PERIODS_MAX`] of either.
    fn settle_due(&mut self) -> Result<(), DraftError> {
        self.settle_anew()?;
        let over = |period: &DeliveryPeriod| period.end() <= self.time;
        let open: Vec<_> = self.state.delivered().filter(over).collect();
        let mut settled_count = 0_usize;
        for period in open {
            let first = !self.state.settled.contains_key(&period);
            let complete = self.time >= self.state.rules().estimated_from(period)
                || self.state.all_metered(period);
            let due = complete && self.state.open_ex_post(period).is_none();
            if first && due && settled_count < SETTLED_PERIODS_MAX {
                self.settle_period(period)?;
                settled_count = settled_count.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Settles corrected periods anew, those first that have waited longest.
    fn settle_anew(&mut self) -> Result<(), DraftError> {
        for period in std::mem::take(&mut self.corrected) {
            let waits = self.state.reopened.contains_key(&period);
            if self.state.settled.contains_key(&period) && !waits {
                self.state.reopened.insert(period, self.state.height);
            }
        }
        let mut waiting: Vec<_> =
            self.state.reopened.iter().map(|(period, since)| (*since, *period)).collect();
        waiting.sort_unstable();
        for (_, period) in waiting.into_iter().take(SETTLED_PERIODS_MAX) {
            self.state.reopened.remove(&period);
            self.settle_period(period)?;
        }
        Ok(())
    }

    /// Settles a period from all that is known now, and posts by how much that differs from what
    /// has been posted: all of it at first, exact differences after a correction (law S3).
    fn settle_period(&mut self, period: DeliveryPeriod) -> Result<(), DraftError> {
        let charter = self.state.charter.clone();
        let trades = self.state.trades.get(&period).map_or(&[][..], Vec::as_slice);
        let prices = self.state.prices.get(&period).cloned().unwrap_or_default();
        let facts = Facts {
            period,
            parties: &self.state.deliveries(period),
            trades,
            mechanism: charter.rules().mechanism.during(period),
            rates: charter.rules().rates(period),
            zones: charter.zones().during(period),
            prices: &prices,
        };
        let settlement = settle(&facts)?;
        let before = self.state.settled.get(&period);
        let mut transfers = Vec::new();
        if before.is_none() {
            transfers.extend(trades.iter().flat_map(settlement::of_trade));
        }
        transfers.extend(settlement::difference(&settlement, before)?);
        let issued = certificate::issue(&settlement, trades)?;
        let withdrawn = before.map(|before| certificate::issue(before, trades)).transpose()?;
        let certificates = certificate::difference(&issued, &withdrawn.unwrap_or_default())?;
        self.results.certificates.extend(certificates);
        for (party, now) in &settlement.parties {
            if before.and_then(|before| before.parties.get(party)) != Some(now) {
                let settled = Settled { party: *party, period, settlement: *now };
                self.results.settlements.push(settled);
            }
        }
        let sums = |of: &Settlement| (of.community, of.pools.clone());
        if before.map(sums) != Some(sums(&settlement)) {
            let (community, pools) = sums(&settlement);
            let settled = CommunitySettled { period, settlement: community, pools };
            self.results.communities.push(settled);
        }
        for Transfer { payer, payee, cause, amount } in transfers {
            let posting = self.state.accounts.post(payer, payee, amount, cause, period)?;
            self.results.postings.extend(posting);
        }
        self.state.settled.insert(period, settlement);
        Ok(())
    }

    /// Drops standing curves that no open gate can need any more.
    fn forget_curves(&mut self) {
        let Some(lag_ms) = self.state.rules().gates.ex_post_lag_ms() else { return };
        let length = self.state.rules().period_length;
        let open = |period: &DeliveryPeriod| self.state.open_ex_post(*period).is_some();
        let oldest_known = self.state.delivered().find(open);
        let lag_ms = i64::try_from(lag_ms).unwrap_or(i64::MAX);
        let back = self.time.plus_millis(lag_ms.saturating_neg());
        let oldest_due = DeliveryPeriod::containing(back, length).ok();
        let oldest = oldest_known.into_iter().chain(oldest_due).min();
        if let Some(oldest) = oldest.filter(|_| self.state.curves.contains_key(&CURVES)) {
            let before = self.state.curves.get(&CURVES).cloned().unwrap_or_default();
            let mut kept = before.clone();
            kept.forget_before(oldest);
            if kept != before {
                self.state.curves.insert(CURVES, kept);
            }
        }
    }

    /// Drops what no later block can change. A period that is final but not settled yet, or not yet
    /// settled anew, is kept until it is.
    fn forget_final(&mut self) {
        let charter = self.state.charter.clone();
        let State { settled, trades, readings, prices, closed_ex_post, flows, reopened, .. } =
            &mut self.state;
        let open = |period: &DeliveryPeriod| {
            charter.rules().final_at(*period) > self.time || reopened.contains_key(period)
        };
        let kept = |period: &DeliveryPeriod| open(period) || !settled.contains_key(period);
        trades.retain(kept);
        readings.retain(kept);
        prices.retain(kept);
        closed_ex_post.retain(kept);
        flows.retain(kept);
        settled.retain(open);
    }
}
