//! Values that change at named instants: tariffs, charges, mechanisms.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

use crate::time::{DeliveryPeriod, Timestamp};

/// What holds when: one value from the beginning, and others each from an instant on.
///
/// A delivery period is governed by what holds at its start, to its end.
///
/// ```
/// use market::{schedule::Schedule, time::Timestamp};
/// let mut charge = Schedule::always(5);
/// charge.change(Timestamp::from_millis(1_000), 6);
/// assert_eq!((*charge.at(Timestamp::from_millis(999)), *charge.at(Timestamp::from_millis(1_000))), (5, 6));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Schedule<T> {
    first: T,
    changes: BTreeMap<Timestamp, T>,
}

impl<T> Schedule<T> {
    /// One value for ever.
    pub const fn always(value: T) -> Self {
        Self { first: value, changes: BTreeMap::new() }
    }

    /// From `from` on `value` holds, until the next change; replaces a change at the same instant.
    pub fn change(&mut self, from: Timestamp, value: T) {
        self.changes.insert(from, value);
    }

    /// What holds at an instant.
    pub fn at(&self, at: Timestamp) -> &T {
        self.changes.range(..=at).next_back().map_or(&self.first, |(_, value)| value)
    }

    /// What holds for a delivery period.
    pub fn during(&self, period: DeliveryPeriod) -> &T {
        self.at(period.start())
    }

    /// All values, from the first on.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(self.changes.values())
    }

    /// The instants at which something changes, with what holds from then on.
    pub fn changes(&self) -> impl Iterator<Item = (Timestamp, &T)> {
        self.changes.iter().map(|(from, value)| (*from, value))
    }
}
