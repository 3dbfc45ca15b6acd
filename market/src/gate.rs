//! Gates: the instants at which a delivery period's book closes.

use borsh::{BorshDeserialize, BorshSerialize, io};

use crate::time::{DeliveryPeriod, Timestamp};

/// A gate's number within a period: 0 closes first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct GateIndex(pub u8);

/// How long before delivery each gate closes.
///
/// One to eight gates, earliest first: `[24 h, 15 min]` clears each period a day ahead and again a
/// quarter of an hour ahead; what the first leaves unfilled stays for the second.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct GateSchedule {
    leads_ms: Vec<u64>,
}

/// Gates that are not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "gates must be one to eight lead times before delivery, each at most 7 days and shorter than \
     the one before, but they are {leads_ms:?} ms"
)]
pub struct NotASchedule {
    /// What was given.
    pub leads_ms: Vec<u64>,
}

const GATES_MAX: usize = 8;
const LEAD_MAX_MS: u64 = 7 * 24 * 3_600_000;

impl GateSchedule {
    /// From lead times in milliseconds, longest first.
    ///
    /// # Errors
    /// [`NotASchedule`] unless there are one to eight, strictly falling, of at most 7 days.
    pub fn new(leads_ms: Vec<u64>) -> Result<Self, NotASchedule> {
        let falling = leads_ms.iter().zip(leads_ms.iter().skip(1)).all(|(a, b)| a > b);
        let counted = (1..=GATES_MAX).contains(&leads_ms.len());
        if falling && counted && leads_ms.iter().all(|lead| *lead <= LEAD_MAX_MS) {
            Ok(Self { leads_ms })
        } else {
            Err(NotASchedule { leads_ms })
        }
    }

    /// How many gates a period has.
    pub fn count(&self) -> usize {
        self.leads_ms.len()
    }

    /// The lead times in milliseconds, longest first.
    pub fn leads_ms(&self) -> &[u64] {
        &self.leads_ms
    }

    /// When the gate closes: an order counts only in a block whose time is *before* this instant.
    /// `None` if the schedule has no such gate.
    pub fn closes_at(&self, period: DeliveryPeriod, gate: GateIndex) -> Option<Timestamp> {
        let lead = self.leads_ms.get(usize::from(gate.0))?;
        Some(period.start().plus_millis(i64::try_from(*lead).ok()?.checked_neg()?))
    }

    /// The gate for which an order counts that is committed at `at`: the first that has not closed
    /// by then. Beyond the last gate if all have.
    pub fn next_gate(&self, period: DeliveryPeriod, at: Timestamp) -> GateIndex {
        let gates = (0..u8::try_from(self.count()).unwrap_or(u8::MAX)).map(GateIndex);
        let closed = |gate: &GateIndex| self.closes_at(period, *gate).is_some_and(|end| end <= at);
        let closed = gates.take_while(closed).count();
        GateIndex(u8::try_from(closed).unwrap_or(u8::MAX))
    }

    /// When the period's last gate closes; nothing can be ordered for it from then on.
    pub fn last_closes_at(&self, period: DeliveryPeriod) -> Timestamp {
        let lead = self.leads_ms.last().copied().unwrap_or_default();
        period.start().plus_millis(i64::try_from(lead).unwrap_or_default().saturating_neg())
    }
}

impl BorshDeserialize for GateSchedule {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        Self::new(Vec::deserialize_reader(reader)?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_falls_and_is_short() {
        assert!(GateSchedule::new(vec![86_400_000, 900_000]).is_ok());
        assert!(GateSchedule::new(vec![0]).is_ok());
        for wrong in [vec![], vec![1, 1], vec![1, 2], vec![LEAD_MAX_MS + 1], vec![9; 9]] {
            assert!(GateSchedule::new(wrong.clone()).is_err(), "{wrong:?}");
        }
    }
}
