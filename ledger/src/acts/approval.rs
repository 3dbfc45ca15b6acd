//! Settlements that operators approve, which makes them final before their time.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;
use market::keys::PublicKey;
use market::settlement::{Change, Settlement};
use market::time::{DeliveryPeriod, Timestamp};
use std::collections::BTreeSet;

use super::{NotApplied, Scene};
use crate::state::State;

/// Who has approved the settlement of a period.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Approval {
    /// Exactly this settlement: its [`settlements_digest`].
    pub settlement: Digest,
    /// The operators that approved it.
    pub operators: BTreeSet<PublicKey>,
    /// Since when it is final by approval; `None` while too few have approved.
    pub final_at: Option<Timestamp>,
}

/// What an operator approves: SHA-256 over a domain and the settlements by period.
///
/// Over one period it says what one approval is about; over a range what an operator has seen.
pub fn settlements_digest<'a>(
    settlements: impl IntoIterator<Item = (DeliveryPeriod, &'a Settlement)>,
) -> Digest {
    let list: Vec<_> = settlements.into_iter().collect();
    let bytes = borsh::to_vec(&list).unwrap_or_default();
    Digest::of(&[b"hidamari/settlements/1", &bytes])
}

impl State {
    /// What an operator can approve in a range of periods, both ends included: the settlements that
    /// are provisional at `now`.
    pub fn approvable(
        &self,
        from: DeliveryPeriod,
        through: DeliveryPeriod,
        now: Timestamp,
    ) -> impl Iterator<Item = (DeliveryPeriod, &Settlement)> {
        let in_range = move |period: &DeliveryPeriod| from <= *period && *period <= through;
        let settled = self.settled.iter().map(|(period, settlement)| (*period, settlement));
        settled.filter(move |(period, _)| {
            in_range(period)
                && !self.reopened.contains_key(period)
                && self.finality(*period, now).admits(Change::Approval)
        })
    }
}

impl Scene<'_> {
    pub(super) fn approve(
        &mut self,
        operator: PublicKey,
        from: DeliveryPeriod,
        through: DeliveryPeriod,
        seen: &Digest,
    ) -> Result<(), NotApplied> {
        let open = |period: &DeliveryPeriod| {
            let in_range = from <= *period && *period <= through;
            let settled = self.state.settled.contains_key(period);
            in_range && (!settled || self.reopened.contains(period))
        };
        if let Some(open) = self.state.delivered().find(open) {
            return Err(NotApplied::NotSettled(open));
        }
        let provisional: Vec<_> = self.state.approvable(from, through, self.time).collect();
        if provisional.is_empty() {
            return Err(NotApplied::NothingToApprove);
        }
        let found = settlements_digest(provisional.iter().copied());
        if found != *seen {
            return Err(NotApplied::OtherSettlements { seen: *seen, found });
        }
        let digests = provisional.iter();
        let digests: Vec<_> =
            digests.map(|(period, of)| (*period, settlements_digest([(*period, *of)]))).collect();
        let mut approved_before = true;
        for (period, settlement) in digests {
            approved_before &= !self.note_approval(operator, period, settlement);
        }
        if approved_before { Err(NotApplied::ApprovedBefore) } else { Ok(()) }
    }

    /// Counts an approval of one period's settlement; whether it changes anything.
    fn note_approval(
        &mut self,
        operator: PublicKey,
        period: DeliveryPeriod,
        settlement: Digest,
    ) -> bool {
        let operators = self.state.charter.operators().clone();
        let known = self.state.approvals.get(&period);
        let known = known.filter(|known| known.settlement == settlement).cloned();
        let fresh = || Approval { settlement, operators: BTreeSet::new(), final_at: None };
        let mut approval = known.unwrap_or_else(fresh);
        let is_new = approval.operators.insert(operator);
        // Who is no operator any more does not count.
        let counting = approval.operators.iter().filter(|key| operators.contains(key)).count();
        let enough = counting >= usize::from(operators.approvals_required());
        // Fewer may be required by now than when the others approved.
        let completes = enough && approval.final_at.is_none();
        if !is_new && !completes {
            return false;
        }
        if completes {
            approval.final_at = Some(self.time);
        }
        self.state.approvals.insert(period, approval);
        true
    }
}
