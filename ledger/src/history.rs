//! What earlier and later periods say about a party whose reading of one period did not come.

use market::member::PartyId;
use market::reading::Quality;
use market::settlement::{Expected, Metered};
use market::time::DeliveryPeriod;
use std::collections::BTreeSet;

use crate::state::State;

const DAY_MS: i64 = 86_400_000;

/// The periods of which something is known and that are not final, seen from one of them.
pub(crate) struct History<'a> {
    state: &'a State,
    of: DeliveryPeriod,
    /// At the same time of day.
    alike: Vec<DeliveryPeriod>,
    others: Vec<DeliveryPeriod>,
}

impl<'a> History<'a> {
    pub(crate) fn of(state: &'a State, of: DeliveryPeriod) -> Self {
        let time = |period: DeliveryPeriod| period.start().as_millis().rem_euclid(DAY_MS);
        let known: BTreeSet<_> = state.readings.keys().chain(state.settled.keys()).collect();
        let known = known.into_iter().copied().filter(|known| *known != of);
        let (alike, others) = known.partition(|known| time(*known) == time(of));
        Self { state, of, alike, others }
    }

    /// What is held against a party while its reading does not come. An estimate that has been
    /// settled stands, whatever others correct.
    pub(crate) fn expected(&self, party: &PartyId) -> Expected {
        let settled = self.state.party_settlement(self.of, party).map(|settled| settled.metered);
        let estimate = settled.filter(|metered| metered.quality == Quality::Missing);
        let seen = |periods: &[DeliveryPeriod]| {
            Expected::from_history(periods.iter().filter_map(|period| self.metered(*period, party)))
        };
        Expected::from_history(estimate)
            .or_else(|| seen(&self.alike))
            .or_else(|| seen(&self.others))
            .unwrap_or_default()
    }

    /// A party's reading of a period, else what it was settled with: so a meter that stays silent
    /// until its last reading is final is still held to it.
    fn metered(&self, period: DeliveryPeriod, party: &PartyId) -> Option<Metered> {
        let reading = self.state.reading(period, party).map(|reading| reading.metered);
        reading.or_else(|| Some(self.state.party_settlement(period, party)?.metered))
    }
}
