//! Gates: the instants at which a delivery period's book closes.

use borsh::{BorshDeserialize, BorshSerialize, io};

use crate::time::{DeliveryPeriod, Timestamp};

/// A gate's number within a period: 0 closes first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct GateIndex(pub u8);

/// When each gate of a delivery period closes.
///
/// Up to eight gates close before delivery, for orders: `[24 h, 15 min]` clears each period a day
/// ahead and again a quarter of an hour ahead; what the first leaves unfilled stays for the second.
/// After them at most one gate closes after delivery (*ex post*): there the quantities are the
/// metered ones that earlier gates left, and the limits come from standing curves
/// ([`crate::standing`]). There is at least one gate.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct GateSchedule {
    leads_ms: Vec<u64>,
    ex_post_lag_ms: Option<u64>,
}

/// Gates that are not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "gates must be at most eight lead times before delivery, each at most 7 days and shorter than \
     the one before, and at most one gate of 1 ms to 7 days after delivery, at least one in all, \
     but they are {leads_ms:?} ms before and {ex_post_lag_ms:?} ms after delivery"
)]
pub struct NotASchedule {
    /// The lead times that were given.
    pub leads_ms: Vec<u64>,
    /// The lag that was given.
    pub ex_post_lag_ms: Option<u64>,
}

const LEADS_MAX: usize = 8;
const DISTANCE_MAX_MS: u64 = 7 * 24 * 3_600_000;

impl GateSchedule {
    /// Gates before delivery only: from lead times in milliseconds, longest first.
    ///
    /// # Errors
    /// [`NotASchedule`] unless there are one to eight, strictly falling, of at most 7 days.
    pub fn new(leads_ms: Vec<u64>) -> Result<Self, NotASchedule> {
        Self::with_ex_post(leads_ms, None)
    }

    /// Gates before delivery, longest lead first, and one that closes so many milliseconds after
    /// the end of the period, if any.
    ///
    /// A lag of zero is refused: no reading can be in by then.
    ///
    /// # Errors
    /// [`NotASchedule`] unless there is at least one gate, the leads are at most eight, strictly
    /// falling and at most 7 days, and the lag is 1 ms to 7 days.
    pub fn with_ex_post(
        leads_ms: Vec<u64>,
        ex_post_lag_ms: Option<u64>,
    ) -> Result<Self, NotASchedule> {
        let falling = leads_ms.iter().zip(leads_ms.iter().skip(1)).all(|(a, b)| a > b);
        let counted = leads_ms.len() <= LEADS_MAX
            && (!leads_ms.is_empty() || ex_post_lag_ms.is_some())
            && leads_ms.iter().all(|lead| *lead <= DISTANCE_MAX_MS);
        let after = ex_post_lag_ms.is_none_or(|lag| (1..=DISTANCE_MAX_MS).contains(&lag));
        if falling && counted && after {
            Ok(Self { leads_ms, ex_post_lag_ms })
        } else {
            Err(NotASchedule { leads_ms, ex_post_lag_ms })
        }
    }

    /// How many gates a period has, the one after delivery included.
    pub fn count(&self) -> usize {
        self.leads_ms.len().saturating_add(usize::from(self.ex_post_lag_ms.is_some()))
    }

    /// The lead times of the gates before delivery in milliseconds, longest first.
    pub fn leads_ms(&self) -> &[u64] {
        &self.leads_ms
    }

    /// How long after the end of the period the gate after delivery closes, in milliseconds;
    /// `None` without one.
    pub fn ex_post_lag_ms(&self) -> Option<u64> {
        self.ex_post_lag_ms
    }

    /// The gate after delivery, which is always the last; `None` without one.
    pub fn ex_post_gate(&self) -> Option<GateIndex> {
        self.ex_post_lag_ms?;
        u8::try_from(self.leads_ms.len()).ok().map(GateIndex)
    }

    /// Whether a gate closes after delivery.
    pub fn is_ex_post(&self, gate: GateIndex) -> bool {
        self.ex_post_gate() == Some(gate)
    }

    /// When the gate closes: what counts for it stands in a block whose time is *before* this
    /// instant. `None` if the schedule has no such gate.
    pub fn closes_at(&self, period: DeliveryPeriod, gate: GateIndex) -> Option<Timestamp> {
        if self.is_ex_post(gate) {
            return self.ex_post_closes_at(period);
        }
        let lead = self.leads_ms.get(usize::from(gate.0))?;
        Some(period.start().plus_millis(i64::try_from(*lead).ok()?.checked_neg()?))
    }

    /// When the gate after delivery closes; `None` without one.
    pub fn ex_post_closes_at(&self, period: DeliveryPeriod) -> Option<Timestamp> {
        Some(period.end().plus_millis(i64::try_from(self.ex_post_lag_ms?).ok()?))
    }

    /// The first gate that has not closed by `at`: the one for which an order counts that is
    /// committed then, unless it is the gate after delivery, which takes no orders. Beyond the last
    /// gate if all have closed.
    pub fn next_gate(&self, period: DeliveryPeriod, at: Timestamp) -> GateIndex {
        let gates = (0..u8::try_from(self.count()).unwrap_or(u8::MAX)).map(GateIndex);
        let closed = |gate: &GateIndex| self.closes_at(period, *gate).is_some_and(|end| end <= at);
        let closed = gates.take_while(closed).count();
        GateIndex(u8::try_from(closed).unwrap_or(u8::MAX))
    }

    /// When the period's last gate before delivery closes; nothing can be ordered for it from then
    /// on. The beginning of time if there is none.
    pub fn last_closes_at(&self, period: DeliveryPeriod) -> Timestamp {
        match self.leads_ms.last().map(|lead| i64::try_from(*lead).unwrap_or_default()) {
            Some(lead) => period.start().plus_millis(lead.saturating_neg()),
            None => Timestamp::from_millis(i64::MIN),
        }
    }
}

impl BorshDeserialize for GateSchedule {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let leads_ms = Vec::deserialize_reader(reader)?;
        let ex_post_lag_ms = Option::deserialize_reader(reader)?;
        Self::with_ex_post(leads_ms, ex_post_lag_ms)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::PeriodLength;

    const MINUTE_MS: u64 = 60_000;

    #[test]
    fn a_schedule_falls_is_short_and_has_a_gate() {
        assert!(GateSchedule::new(vec![86_400_000, 900_000]).is_ok());
        assert!(GateSchedule::new(vec![0]).is_ok());
        for wrong in [vec![], vec![1, 1], vec![1, 2], vec![DISTANCE_MAX_MS + 1], vec![9; 9]] {
            assert!(GateSchedule::new(wrong.clone()).is_err(), "{wrong:?}");
        }
        assert!(GateSchedule::with_ex_post(vec![], Some(1)).is_ok());
        assert!(GateSchedule::with_ex_post((1..9).rev().collect(), Some(DISTANCE_MAX_MS)).is_ok());
        for lag in [0, DISTANCE_MAX_MS + 1, u64::MAX] {
            assert!(GateSchedule::with_ex_post(vec![1], Some(lag)).is_err(), "{lag}");
        }
    }

    #[test]
    fn the_gate_after_delivery_is_the_last_and_takes_no_orders() {
        let start = Timestamp::from_millis(900_000_000);
        let period = DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap();
        let gates = GateSchedule::with_ex_post(vec![15 * MINUTE_MS], Some(5 * MINUTE_MS)).unwrap();
        assert_eq!((gates.count(), gates.leads_ms()), (2, &[15 * MINUTE_MS][..]));
        assert_eq!(gates.ex_post_gate(), Some(GateIndex(1)));
        assert!(gates.is_ex_post(GateIndex(1)) && !gates.is_ex_post(GateIndex(0)));
        let before = start.plus_millis(-900_000);
        let after = period.end().plus_millis(300_000);
        assert_eq!(gates.closes_at(period, GateIndex(0)), Some(before));
        assert_eq!(gates.closes_at(period, GateIndex(1)), Some(after));
        assert_eq!(gates.closes_at(period, GateIndex(2)), None);
        assert_eq!(gates.ex_post_closes_at(period), Some(after));
        assert_eq!(gates.last_closes_at(period), before, "orders end before delivery");
        let next = |at: Timestamp| gates.next_gate(period, at).0;
        assert_eq!((next(before.plus_millis(-1)), next(before)), (0, 1));
        assert_eq!((next(after.plus_millis(-1)), next(after)), (1, 2));
    }

    #[test]
    fn without_a_gate_before_delivery_nothing_can_ever_be_ordered() {
        let start = Timestamp::from_millis(900_000_000);
        let period = DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap();
        let gates = GateSchedule::with_ex_post(vec![], Some(1)).unwrap();
        assert_eq!(gates.last_closes_at(period), Timestamp::from_millis(i64::MIN));
        assert_eq!(gates.closes_at(period, GateIndex(0)), Some(period.end().plus_millis(1)));
        assert_eq!((gates.count(), gates.ex_post_gate()), (1, Some(GateIndex(0))));
    }

    #[test]
    fn bytes_that_are_no_schedule_are_refused() {
        let good = GateSchedule::with_ex_post(vec![2, 1], Some(7)).unwrap();
        let read = |bytes: Vec<u8>| borsh::from_slice::<GateSchedule>(&bytes);
        assert_eq!(read(borsh::to_vec(&good).unwrap()).unwrap(), good);
        let bytes = |leads: &[u64], lag: Option<u64>| borsh::to_vec(&(leads, lag)).unwrap();
        assert!(read(bytes(&[2, 1], Some(7))).is_ok());
        for (leads, lag) in [(&[][..], None), (&[1, 1], None), (&[1], Some(0))] {
            assert!(read(bytes(leads, lag)).is_err());
        }
    }
}
