//! Settling: what is due, what is corrected, and what can be forgotten afterwards.

use market::certificate;
use market::settlement::{self, Facts, Settlement, Transfer, settle_with_shares};
use market::time::DeliveryPeriod;
use std::collections::BTreeSet;

use super::{Draft, DraftError, SETTLED_PERIODS_MAX};
use crate::acts::settlements_digest;
use crate::results::{CommunitySettled, PoolPart, Settled};
use crate::state::{CURVES, State};

impl Draft {
    /// Settles delivered periods for which all readings are in, or whose time to wait is over; and
    /// anew those that are corrected: at most [`SETTLED_PERIODS_MAX`] of either.
    pub(super) fn settle_due(&mut self) -> Result<(), DraftError> {
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
        for period in std::mem::take(&mut self.reopened) {
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
        let (settlement, shares) = settle_with_shares(&facts)?;
        let mut pooled = PoolPart::by_party(&shares);
        let before = self.state.settled.get(&period);
        let transfers = settlement::difference(&settlement, before)?;
        let issued = certificate::issue(&settlement, trades)?;
        let withdrawn = before.map(|before| certificate::issue(before, trades)).transpose()?;
        let certificates = certificate::difference(&issued, &withdrawn.unwrap_or_default())?;
        self.results.certificates.extend(certificates);
        for (party, now) in &settlement.parties {
            if before.and_then(|before| before.parties.get(party)) != Some(now) {
                let pooled = pooled.remove(party).unwrap_or_default();
                let settled = Settled { party: *party, period, settlement: *now, pooled };
                self.results.settlements.push(settled);
            }
        }
        let sums = |of: &Settlement| (of.community, of.pools.clone());
        if before.map(sums) != Some(sums(&settlement)) {
            let (community, pools) = sums(&settlement);
            let settled = CommunitySettled { period, settlement: community, pools };
            self.results.communities.push(settled);
        }
        if before.is_none() {
            self.results.postings.extend(self.state.accounts.complete(period)?);
        }
        for Transfer { payer, payee, cause, amount } in transfers {
            let posting = self.state.accounts.post(payer, payee, amount, cause, period)?;
            self.results.postings.extend(posting);
        }
        self.forget_outdated_approvals(period, &settlement);
        self.state.settled.insert(period, settlement);
        Ok(())
    }

    /// Drops approvals of another settlement than this one, unless there were enough of them.
    fn forget_outdated_approvals(&mut self, period: DeliveryPeriod, now: &Settlement) {
        let Some(approval) = self.state.approvals.get(&period) else { return };
        let outdated = approval.settlement != settlements_digest([(period, now)]);
        if outdated && approval.final_at.is_none() {
            self.state.approvals.remove(&period);
        }
    }

    /// Drops standing curves that no open gate can need any more.
    pub(super) fn forget_curves(&mut self) {
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

    /// Drops what no later block can change. A period that is final but not settled yet, because
    /// the chain stood still, or not yet settled anew, is kept until it is; one that is disputed,
    /// until that is decided.
    pub(super) fn forget_final(&mut self) {
        let (charter, now) = (self.state.charter.clone(), self.time);
        let over = |period: DeliveryPeriod| charter.rules().final_at(period) <= now;
        let settled = self.state.settled.keys().copied();
        let closed: BTreeSet<_> = settled
            .filter(|period| over(*period) && !self.state.is_disputed(*period))
            .filter(|period| !self.state.reopened.contains_key(period))
            .collect();
        let kept = |period: &DeliveryPeriod| !closed.contains(period);
        let State { trades, readings, prices, closed_ex_post, flows, .. } = &mut self.state;
        trades.retain(kept);
        readings.retain(kept);
        prices.retain(kept);
        closed_ex_post.retain(kept);
        flows.retain(kept);
        self.state.settled.retain(kept);
        self.state.approvals.retain(kept);
        let disputes = self.state.disputes.iter();
        let decided = disputes.filter(|(_, one)| !one.is_open() && over(one.period));
        let decided: Vec<_> = decided.map(|(number, _)| *number).collect();
        decided.iter().for_each(|number| self.state.disputes.remove(number));
    }
}
