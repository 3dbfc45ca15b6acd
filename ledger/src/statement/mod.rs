//! Statements: everything that a party paid and received between two blocks, checked offline from
//! the genesis alone.
//!
//! A [`StatementBundle`] holds, per block, the header, its certificate, and the party's leaves with
//! one Merkle multi-proof for each tree: what the party said, and what was decided about it. The
//! state before the first and after the last block proves the party's balance, its place in the
//! grid, and the rules in force. [`StatementBundle::verify`] computes every line again. The
//! balances make it complete: with a posting left out, opening and postings do not come to the
//! closing one.
//!
//! A statement counts by the block in which money moved, as a bank's does. What such a posting
//! follows from may stand in earlier blocks; their leaves are in the bundle too, and their postings
//! are checked but not counted.

mod build;
mod bundle;
mod facts;
mod file;
mod replay;
mod verify;

use market::Overflow;
use market::energy::Energy;
use market::member::PartyId;
use market::money::Money;
use market::settlement::PartySettlement;
use market::time::DeliveryPeriod;
use std::collections::BTreeMap;

use crate::posting::{Account, Cause, Posting};

pub use build::{BundleError, Collector};
pub use bundle::{Anchor, BlockProof, LeafProofs, ProvenLeaf, StatementBundle};

/// What a verified bundle says. Its one door is [`StatementBundle::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Whose it is.
    pub party: PartyId,
    /// The last block before it.
    pub opening_height: u64,
    /// Its last block.
    pub closing_height: u64,
    /// Received less paid before it.
    pub opening: Money,
    /// Received less paid after it.
    pub closing: Money,
    /// One entry per delivery period that something was posted or settled for, by period.
    pub lines: Vec<PeriodLine>,
    /// Money that was really paid or received, as operators recorded it.
    pub payouts: Vec<Posting>,
    /// The sums of all lines and payouts.
    pub totals: Totals,
    /// Delivery periods between the first and the last settled one without a settlement.
    pub unsettled: Vec<DeliveryPeriod>,
}

/// One delivery period of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodLine {
    /// When.
    pub period: DeliveryPeriod,
    /// The figures that hold after the statement's last block.
    pub settlement: PartySettlement,
    /// Whether the reading never came, so that the stated rule took its place.
    pub estimated: bool,
    /// Whether the period had been settled before the statement begins, so that this corrects it.
    pub corrects: bool,
    /// What was posted within the statement, each computed again from the leaves.
    pub postings: Vec<Posting>,
}

impl PeriodLine {
    /// Received less paid within the statement.
    ///
    /// # Errors
    /// [`Overflow`] if the sum leaves its range.
    pub fn net(&self, party: &PartyId) -> Result<Money, Overflow> {
        let account = Account::Party(*party);
        let signed = |posting: &Posting| match posting.debit == account {
            true => posting.amount.negated(),
            false => Ok(posting.amount),
        };
        Money::sum(self.postings.iter().map(signed).collect::<Result<Vec<_>, _>>()?)
    }
}

/// Sums over a statement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Drawn from the grid, in the periods of the statement.
    pub imported: Energy,
    /// Fed into the grid.
    pub exported: Energy,
    /// Sold to neighbours.
    pub sold: Energy,
    /// Bought from neighbours.
    pub bought: Energy,
    /// Periods whose reading never came.
    pub estimated_count: u64,
    /// Received less paid, by cause.
    pub by_cause: BTreeMap<Cause, Money>,
}

/// The first line of a bundle that does not follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The file is not written as bundles are.
    #[error("file: {0}")]
    File(String),
    /// The handovers do not lead from the genesis to those who vote at its end.
    #[error("handovers: {0}")]
    Handovers(String),
    /// A block does not hang together: its certificate, or a way to one of its roots.
    #[error("block {height}: {problem}")]
    Block {
        /// Which.
        height: u64,
        /// What does not hold.
        problem: String,
    },
    /// A line of a period is not what it follows from.
    #[error("{period:?}, {line}: expected {expected}, found {found}")]
    Line {
        /// The period.
        period: DeliveryPeriod,
        /// The line.
        line: String,
        /// What it follows to be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// An operator recorded a payout, and no posting shows it.
    #[error("a payout that an operator recorded was not posted")]
    PayoutMissing,
    /// Opening and postings do not come to what was proved at the end: something is missing.
    #[error(
        "{side} of the account: opening and postings come to {expected}, proved are {found}; a \
         posting is missing or stands here too much"
    )]
    Balance {
        /// Which sum of the account's balance.
        side: &'static str,
        /// Opening and postings.
        expected: Money,
        /// In the state.
        found: Money,
    },
    /// A sum left its range.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

impl Totals {
    pub(super) fn of(
        party: &PartyId,
        lines: &[PeriodLine],
        payouts: &[Posting],
    ) -> Result<Self, Overflow> {
        let mut totals = Self::default();
        let account = Account::Party(*party);
        for PeriodLine { settlement, estimated, .. } in lines {
            for (sum, part) in [
                (&mut totals.imported, settlement.metered.imported),
                (&mut totals.exported, settlement.metered.exported),
                (&mut totals.sold, settlement.sold),
                (&mut totals.bought, settlement.bought),
            ] {
                *sum = sum.plus(part)?;
            }
            totals.estimated_count = totals.estimated_count.saturating_add(u64::from(*estimated));
        }
        let postings = lines.iter().flat_map(|line| &line.postings).chain(payouts);
        for Posting { debit, amount, cause, .. } in postings {
            let amount = if *debit == account { amount.negated()? } else { *amount };
            let sum = totals.by_cause.entry(*cause).or_default();
            *sum = sum.plus(amount)?;
        }
        Ok(totals)
    }
}
