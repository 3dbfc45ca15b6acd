//! Measures that one operator alone cannot take: who decides blocks, and who operates.
//!
//! As many operators as have to approve a settlement have to send the very same measure. The one who
//! completes their number has it carried out; the others' acts stand in their blocks and wait.
//!
//! An agreement that is not complete is void after [`AGREEMENT_DAYS`]: nobody completes tomorrow
//! what others wanted long ago. An operator wants one measure of a kind at a time, so what waits is
//! bounded.

use borsh::{BorshDeserialize, BorshSerialize};
use market::keys::PublicKey;
use market::time::Timestamp;
use std::collections::BTreeSet;

use super::{Measure, NotApplied, Scene};

/// For how long a measure waits for the agreement of others.
pub const AGREEMENT_DAYS: i64 = 7;

const DAY_MS: i64 = 86_400_000;

/// A measure that waits for more operators.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Agreement {
    /// Exactly this measure.
    pub measure: Measure,
    /// Who wants it.
    pub operators: BTreeSet<PublicKey>,
    /// When it is void.
    pub expires_at: Timestamp,
}

impl Measure {
    /// Whether it takes as many operators as a settlement does.
    pub fn needs_agreement(&self) -> bool {
        matches!(self, Self::Validators { .. } | Self::Operators { .. })
    }

    fn is_alike(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Scene<'_> {
    /// Notes that an operator wants a measure; whether enough of them do, so that it is to be
    /// carried out. Then nothing of its kind waits any more: it was meant for another state.
    pub(super) fn agree(
        &mut self,
        operator: PublicKey,
        measure: &Measure,
    ) -> Result<bool, NotApplied> {
        let now = self.time;
        let operators = self.state.operators().clone();
        let mut waiting = self.state.agreements().to_vec();
        waiting.retain(|one| one.expires_at > now);
        let known = waiting.iter().position(|one| one.measure == *measure);
        let mut wanted = match known {
            Some(at) => waiting.remove(at),
            None => {
                let (measure, operators) = (measure.clone(), BTreeSet::new());
                let expires_at = now.plus_millis(AGREEMENT_DAYS.saturating_mul(DAY_MS));
                Agreement { measure, operators, expires_at }
            }
        };
        if !wanted.operators.insert(operator) {
            return Err(NotApplied::ApprovedBefore);
        }
        // Who is no operator any more does not count.
        let counting = wanted.operators.iter().filter(|key| operators.contains(key)).count();
        let enough = counting >= usize::from(operators.approvals_required());
        if enough {
            waiting.retain(|one| !one.measure.is_alike(measure));
        } else {
            let alike = waiting.iter_mut().filter(|one| one.measure.is_alike(measure));
            alike.for_each(|one| _ = one.operators.remove(&operator));
            waiting.retain(|one| !one.operators.is_empty());
            waiting.push(wanted);
        }
        self.state.set_agreements(waiting);
        Ok(enough)
    }
}
