//! Double entry: immutable postings, each of which debits one account and credits another by the
//! same amount. A correction is one more posting, never an edit.

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

/// One movement of money. Once in a block it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Posting {
    /// Counts all postings of the chain from 1, without gaps.
    pub number: u64,
    /// Who pays.
    pub debit: Account,
    /// Who receives.
    pub credit: Account,
    /// How much; always positive.
    pub amount: Money,
    /// Why.
    pub cause: Cause,
    /// For which delivery period.
    pub period: DeliveryPeriod,
}

/// What an account has paid and received in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Balance {
    /// Paid; only ever rises.
    pub debits: Money,
    /// Received; only ever rises.
    pub credits: Money,
}

impl Balance {
    /// Received minus paid: what the community owes the account's owner, negative if he owes.
    ///
    /// # Errors
    /// [`Overflow`] if the difference leaves its range.
    pub fn net(&self) -> Result<Money, Overflow> {
        self.credits.minus(self.debits)
    }
}

/// The kind of the leaves for accounts.
pub(crate) const ACCOUNT: u8 = 4;

/// All accounts. Their net balances sum to zero at any time.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Accounts {
    balances: Leaves<ACCOUNT, Account, Balance>,
    posting_count: u64,
}

impl Accounts {
    /// Opens an account, so that its balance can be proved before anything has been posted to it.
    pub(crate) fn open(&mut self, account: Account) {
        if !self.balances.contains_key(&account) {
            self.balances.insert(account, Balance::default());
        }
    }

    /// Whether an account has a leaf in the state.
    pub(crate) fn is_open(&self, account: &Account) -> bool {
        self.balances.contains_key(account)
    }

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
        if amount.is_zero() {
            return Ok(None);
        }
        if amount.is_negative() {
            return self.post(credit, debit, amount.negated()?, cause, period);
        }
        let debits = self.balance(&debit).debits.plus(amount)?;
        let credits = self.balance(&credit).credits.plus(amount)?;
        let number =
            self.posting_count.checked_add(1).ok_or(Overflow::of("the number of postings"))?;
        self.balances.get_or_insert_with(debit, Balance::default).debits = debits;
        self.balances.get_or_insert_with(credit, Balance::default).credits = credits;
        self.posting_count = number;
        Ok(Some(Posting { number, debit, credit, amount, cause, period }))
    }

    /// What an account has paid and received; nothing if it has never been used.
    pub fn balance(&self, account: &Account) -> Balance {
        self.balances.get(account).copied().unwrap_or_default()
    }

    /// All accounts that have ever been used.
    pub fn iter(&self) -> impl Iterator<Item = (&Account, &Balance)> {
        self.balances.iter().filter(|(_, balance)| **balance != Balance::default())
    }

    /// The hashes of the accounts' leaves, by account.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = Digest> {
        self.balances.hashes()
    }

    /// How many postings there have been.
    pub fn posting_count(&self) -> u64 {
        self.posting_count
    }

    /// Whether all debits equal all credits: law L1, asserted after every block.
    pub fn balanced(&self) -> bool {
        let total = |side: fn(&Balance) -> Money| {
            self.balances
                .iter()
                .map(|(_, balance)| i128::from(side(balance).micros()))
                .sum::<i128>()
        };
        total(|balance| balance.debits) == total(|balance| balance.credits)
    }
}
