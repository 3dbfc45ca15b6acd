//! Double entry: immutable postings, each of which debits one account and credits another by the
//! same amount. A correction is one more posting, never an edit.
//!
//! A trade is *pending* from the gate that made it until its period is settled for the first time;
//! then it is posted, whatever was metered, because a trade stands. Everything else is posted at
//! once. An account's balance is what is posted; what is pending stands beside it.

use borsh::{BorshDeserialize, BorshSerialize};
use market::Overflow;
use market::hash::Digest;
use market::money::Money;
use market::time::DeliveryPeriod;

use crate::leaves::Leaves;

/// Whose money it is.
pub use market::settlement::Holder as Account;

/// Why money moves.
pub use market::settlement::Cause;

/// How far a movement of money has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Stage {
    /// Agreed by a trade, and posted when its period is settled.
    Pending = 1,
    /// Posts the pending one of this number.
    Posts(u64) = 2,
    /// Posted at once.
    Direct = 3,
}

/// One movement of money. Once in a block it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Posting {
    /// Counts all postings of the chain from 1, without gaps.
    pub number: u64,
    /// How far it has come.
    pub stage: Stage,
    /// Who pays.
    pub debit: Account,
    /// Who receives.
    pub credit: Account,
    /// How much; always positive.
    pub amount: Money,
    /// Why.
    pub cause: Cause,
    /// For which delivery period; of a payout, the one in which it was recorded.
    pub period: DeliveryPeriod,
}

impl Posting {
    /// Whether it changes what the accounts are due, and does not only announce it.
    pub fn is_posted(&self) -> bool {
        self.stage != Stage::Pending
    }
}

/// What an account has paid and received in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Balance {
    /// To be paid for trades whose periods are not settled yet.
    pub debits_pending: Money,
    /// To be received for trades whose periods are not settled yet.
    pub credits_pending: Money,
    /// Paid; only ever rises.
    pub debits_posted: Money,
    /// Received; only ever rises.
    pub credits_posted: Money,
}

impl Balance {
    /// Received minus paid: what the community owes the account's owner, negative if he owes. What
    /// is pending does not count.
    ///
    /// # Errors
    /// [`Overflow`] if the difference leaves its range.
    pub fn net(&self) -> Result<Money, Overflow> {
        self.credits_posted.minus(self.debits_posted)
    }
}

/// All accounts. Their net balances sum to zero at any time.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Accounts {
    balances: Leaves<4, Account, Balance>,
    /// The postings that wait for the first settlement of their period.
    pending: Leaves<17, DeliveryPeriod, Vec<Posting>>,
    posting_count: u64,
}

impl Accounts {
    /// Moves `amount` from `debit` to `credit`; a negative amount moves it the other way, and
    /// nothing moves nothing: then there is no posting.
    ///
    /// # Errors
    /// [`Overflow`] if a balance leaves its range; nothing is changed then.
    pub fn post(
        &mut self,
        debit: Account,
        credit: Account,
        amount: Money,
        cause: Cause,
        period: DeliveryPeriod,
    ) -> Result<Option<Posting>, Overflow> {
        self.enter(Stage::Direct, debit, credit, amount, cause, period)
    }

    /// Announces the same for when the period is settled ([`Self::complete`]).
    ///
    /// # Errors
    /// [`Overflow`] if a balance leaves its range; nothing is changed then.
    pub fn pend(
        &mut self,
        debit: Account,
        credit: Account,
        amount: Money,
        cause: Cause,
        period: DeliveryPeriod,
    ) -> Result<Option<Posting>, Overflow> {
        let posting = self.enter(Stage::Pending, debit, credit, amount, cause, period)?;
        if let Some(posting) = posting {
            self.pending.get_or_insert_with(period, Vec::new).push(posting);
        }
        Ok(posting)
    }

    /// Posts everything that is pending for a period, in the order in which it was announced.
    ///
    /// # Errors
    /// [`Overflow`] if a balance leaves its range; then the books are to be thrown away.
    pub fn complete(&mut self, period: DeliveryPeriod) -> Result<Vec<Posting>, Overflow> {
        let pending = self.pending.get(&period).cloned().unwrap_or_default();
        self.pending.remove(&period);
        let mut completed = Vec::with_capacity(pending.len());
        for Posting { number, debit, credit, amount, cause, .. } in pending {
            let stage = Stage::Posts(number);
            completed.extend(self.enter(stage, debit, credit, amount, cause, period)?);
        }
        Ok(completed)
    }

    /// What is pending for a period, in the order in which it was announced.
    pub fn pending(&self, period: DeliveryPeriod) -> &[Posting] {
        self.pending.get(&period).map_or(&[], Vec::as_slice)
    }

    fn enter(
        &mut self,
        stage: Stage,
        debit: Account,
        credit: Account,
        amount: Money,
        cause: Cause,
        period: DeliveryPeriod,
    ) -> Result<Option<Posting>, Overflow> {
        if amount.is_zero() {
            return Ok(None);
        }
        if amount.is_negative() {
            return self.enter(stage, credit, debit, amount.negated()?, cause, period);
        }
        let (mut payer, mut payee) = (self.balance(&debit), self.balance(&credit));
        move_stage(stage, &mut payer.debits_pending, &mut payer.debits_posted, amount)?;
        if debit == credit {
            payee = payer;
        }
        move_stage(stage, &mut payee.credits_pending, &mut payee.credits_posted, amount)?;
        let number =
            self.posting_count.checked_add(1).ok_or(Overflow::of("the number of postings"))?;
        self.balances.insert(debit, payer);
        self.balances.insert(credit, payee);
        self.posting_count = number;
        Ok(Some(Posting { number, stage, debit, credit, amount, cause, period }))
    }

    /// What an account has paid and received; nothing if it has never been used.
    pub fn balance(&self, account: &Account) -> Balance {
        self.balances.get(account).copied().unwrap_or_default()
    }

    /// All accounts that have ever been used.
    pub fn iter(&self) -> impl Iterator<Item = (&Account, &Balance)> {
        self.balances.iter()
    }

    /// The hashes of the accounts' leaves, by account.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = Digest> {
        self.balances.hashes()
    }

    /// The hashes of the pending postings' leaves, by period.
    pub(crate) fn pending_hashes(&self) -> impl Iterator<Item = Digest> {
        self.pending.hashes()
    }

    /// How many postings there have been.
    pub fn posting_count(&self) -> u64 {
        self.posting_count
    }

    /// Whether all debits equal all credits, pending and posted: law L1, asserted after every
    /// block.
    pub fn balanced(&self) -> bool {
        let total = |side: fn(&Balance) -> Money| {
            self.balances
                .iter()
                .map(|(_, balance)| i128::from(side(balance).micros()))
                .sum::<i128>()
        };
        total(|balance| balance.debits_posted) == total(|balance| balance.credits_posted)
            && total(|balance| balance.debits_pending) == total(|balance| balance.credits_pending)
    }
}

/// Takes an amount into one side of an account.
fn move_stage(
    stage: Stage,
    pending: &mut Money,
    posted: &mut Money,
    amount: Money,
) -> Result<(), Overflow> {
    match stage {
        Stage::Pending => *pending = pending.plus(amount)?,
        Stage::Posts(_) => {
            *pending = pending.minus(amount)?;
            *posted = posted.plus(amount)?;
        }
        Stage::Direct => *posted = posted.plus(amount)?,
    }
    Ok(())
}
