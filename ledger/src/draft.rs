//! A block in the making: the one place where the state changes.
//!
//! The proposer opens a draft, admits what waits, and finishes it. Every other node does exactly
//! the same with the proposed transactions ([`crate::apply`]) and compares the headers.

use market::Overflow;
use market::admission::{Rejection, admit_order, admit_reading};
use market::book::PeriodBook;
use market::clearing::laws::BrokenLaw;
use market::clearing::{clear, laws};
use market::member::PartyId;
use market::settlement::{Metered, PartySettlement, settle};
use market::time::{DeliveryPeriod, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

use crate::block::{BLOCK_VERSION, Block, Header, transactions_root};
use crate::posting::{Account, Cause, Posting};
use crate::results::{BlockResults, Cleared, Settled, results_root};
use crate::state::{RecordedReading, State};
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
    /// A clearing broke a law of the market: a defect of the program, so nothing is committed.
    #[error("the clearing broke a law: {0}")]
    Law(#[from] BrokenLaw),
    /// Debits and credits differ: a defect of the program, so nothing is committed.
    #[error("debits and credits differ after height {0}")]
    Unbalanced(u64),
}

/// How many periods one block settles for the first time: after a long halt there may be hundreds,
/// and what a block decides must stay small enough to be sent. The rest is due in the next one.
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
                let recorded = RecordedReading { metered, sequence: reading.sequence };
                let readings = self.state.readings.get_or_insert_with(period, BTreeMap::new);
                readings.insert(party, recorded);
                self.corrected.insert(period);
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
                let Some(closes_at) = gates.closes_at(period, book.next_gate()) else {
                    self.state.books.remove(&period);
                    break;
                };
                if closes_at > self.time {
                    break;
                }
                let sealed = book.seal(period, charter.members(), salt);
                let result = clear(&sealed, charter.rules())?;
                laws::check(&sealed, &result)?;
                if let Some(book) = self.state.books.get_mut(&period) {
                    book.close_gate(&result)?;
                }
                if !result.trades.is_empty() {
                    let trades = self.state.trades.get_or_insert_with(period, Vec::new);
                    trades.extend(result.trades.iter().cloned());
                }
                if !sealed.is_empty() {
                    self.results.clearings.push(Cleared { book: sealed, result });
                }
            }
        }
        Ok(())
    }

    /// Settles delivered periods for which all readings are in, or whose time to wait is over, at
    /// most [`SETTLED_PERIODS_MAX`] of them; and anew those that this block corrects.
    fn settle_due(&mut self) -> Result<(), DraftError> {
        let known = self.state.trades.keys().chain(self.state.readings.keys());
        let open: BTreeSet<_> = known.copied().filter(|period| period.end() <= self.time).collect();
        let mut settled_count = 0_usize;
        for period in open {
            let first = !self.state.settled.contains_key(&period);
            let due = self.time >= self.state.rules().estimated_from(period)
                || self.state.all_metered(period);
            if first && due && settled_count < SETTLED_PERIODS_MAX {
                self.settle_period(period)?;
                settled_count = settled_count.saturating_add(1);
            } else if !first && self.corrected.contains(&period) {
                self.settle_period(period)?;
            }
        }
        Ok(())
    }

    fn settle_period(&mut self, period: DeliveryPeriod) -> Result<(), DraftError> {
        let trades = self.state.trades.get(&period).map_or(&[][..], Vec::as_slice);
        let tariffs = self.state.rules().tariffs;
        let settlement = settle(period, &self.state.metered(period), trades, &tariffs)?;
        let before = self.state.settled.get(&period);
        let mut postings = Vec::new();
        if before.is_none() {
            for trade in trades {
                let (buyer, seller) = (Account::Party(trade.buyer), Account::Party(trade.seller));
                let amount = trade.seller_amount;
                let posting =
                    self.state.accounts.post(buyer, seller, amount, Cause::Trade, period)?;
                postings.extend(posting);
            }
        }
        let accounts = &mut self.state.accounts;
        for (party, now) in &settlement.parties {
            let posted = before.and_then(|before| before.parties.get(party));
            if posted == Some(now) {
                continue;
            }
            self.results.settlements.push(Settled { party: *party, period, settlement: *now });
            postings.extend(post_difference(accounts, period, *party, now, posted)?);
        }
        self.results.postings.extend(postings);
        self.state.settled.insert(period, settlement);
        Ok(())
    }

    /// Drops what no later block can change. A period that is final but not settled yet, because
    /// the chain stood still, is kept until it is.
    fn forget_final(&mut self) {
        let charter = self.state.charter.clone();
        let State { settled, trades, readings, .. } = &mut self.state;
        let open = |period: &DeliveryPeriod| charter.rules().final_at(*period) > self.time;
        let kept = |period: &DeliveryPeriod| open(period) || !settled.contains_key(period);
        trades.retain(kept);
        readings.retain(kept);
        settled.retain(open);
    }
}

/// Posts what the party's account with the supplier has to change by: `f(now) - already posted`
/// (law S3), so a correction is exact and a re-run posts nothing.
fn post_difference(
    accounts: &mut crate::posting::Accounts,
    period: DeliveryPeriod,
    party: PartyId,
    now: &PartySettlement,
    posted: Option<&PartySettlement>,
) -> Result<Vec<Posting>, Overflow> {
    let (owner, supplier) = (Account::Party(party), Account::Supplier);
    let before =
        |part: fn(&PartySettlement) -> market::money::Money| posted.map(part).unwrap_or_default();
    let cost = now.supplier_cost.minus(before(|p| p.supplier_cost))?;
    let income = now.supplier_income.minus(before(|p| p.supplier_income))?;
    let mut postings = Vec::new();
    postings.extend(accounts.post(owner, supplier, cost, Cause::Shortfall, period)?);
    postings.extend(accounts.post(supplier, owner, income, Cause::Surplus, period)?);
    Ok(postings)
}
