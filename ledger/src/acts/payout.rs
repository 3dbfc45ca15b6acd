//! Payouts: what was really paid over a bank, so that the books show what is still due.

use market::member::PartyId;
use market::money::Money;
use market::time::DeliveryPeriod;

use super::{NotApplied, Scene, check_text, listed};
use crate::posting::{Account, Cause};

/// The longest reference of a payout, in bytes: what a bank transfer carries.
pub const REFERENCE_BYTES_MAX: usize = 140;

/// The largest payout at once: ten million units of the currency. Nearly a million of them fit into
/// an account, so no slip of an operator can make a later settlement overflow.
pub const PAYOUT_MAX: Money = Money::from_micros(10_000_000_000_000);

impl Scene<'_> {
    pub(super) fn record_payout(
        &mut self,
        party: PartyId,
        amount: Money,
        reference: &str,
    ) -> Result<(), NotApplied> {
        check_text("reference", reference, 1, REFERENCE_BYTES_MAX)?;
        listed(self.state, party)?;
        let size = amount.micros().unsigned_abs();
        if size == 0 || size > PAYOUT_MAX.micros().unsigned_abs() {
            return Err(NotApplied::PayoutOutOfRange(amount));
        }
        let period = DeliveryPeriod::containing(self.time, self.state.rules().period_length)?;
        let (party, bank) = (Account::Party(party), Account::Bank);
        let posting = self.state.accounts.post(party, bank, amount, Cause::Payout, period)?;
        self.consequences.postings.extend(posting);
        Ok(())
    }
}
