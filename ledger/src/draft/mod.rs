//! A block in the making: the one place where the state changes.
//!
//! The proposer opens a draft, admits what waits, and finishes it. Every other node does exactly
//! the same with the proposed transactions ([`crate::apply`]) and compares the headers.

mod admitting;
mod gates;
mod settling;

use market::Overflow;
use market::clearing::ClearingError;
use market::clearing::laws::BrokenLaw;
use market::settlement::SettlementError;
use market::time::{DeliveryPeriod, Timestamp};
use std::collections::BTreeSet;

use crate::block::{BLOCK_VERSION, Block, Header, transactions_root};
use crate::results::{BlockResults, results_root};
use crate::salt::BlockSalt;
use crate::state::State;
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
    salt: BlockSalt,
    time: Timestamp,
    /// The periods whose facts this block has changed.
    reopened: BTreeSet<DeliveryPeriod>,
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
    /// time has reached. What the block itself carries comes too late for those. Who proposes the
    /// block draws `salt` at random; all others take it from the block.
    ///
    /// # Errors
    /// [`DraftError`] if the time does not rise, or a clearing cannot be computed.
    pub fn open(state: &State, time: Timestamp, salt: BlockSalt) -> Result<Self, DraftError> {
        if time <= state.time {
            return Err(DraftError::TimeNotRising { time, previous: state.time });
        }
        let mut draft = Self {
            state: state.clone(),
            results: BlockResults::default(),
            transactions: Vec::new(),
            salt,
            time,
            reopened: BTreeSet::new(),
        };
        draft.close_gates()?;
        draft.close_gates_after_delivery()?;
        Ok(draft)
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
            transactions_root: transactions_root(&self.transactions, &self.salt),
            state_root: self.state.next_root(),
            results_root: results_root(&self.results.leaves(), &self.salt),
            next_validators: self.state.validators().hash(),
            salts: self.salt.commitment(),
        };
        self.state.tip = header.hash();
        let block = Block { header, salt: self.salt, transactions: self.transactions };
        Ok(Executed { block, state: self.state, results: self.results })
    }
}
