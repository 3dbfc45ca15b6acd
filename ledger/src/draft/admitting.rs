//! What members and operators say, taken into the block one by one.

use market::admission::{Rejection, admit_curve, admit_order, admit_reading};
use market::book::PeriodBook;
use market::order::Order;
use market::reading::IntervalReading;
use market::settlement::Metered;
use market::signed::{Envelope, MaybeSigned};
use market::standing::{StandingCurve, StandingCurves};
use std::collections::BTreeMap;

use super::Draft;
use crate::acts::{self, NotApplied};
use crate::received::{Received, Said};
use crate::state::{CURVES, RecordedReading};
use crate::transaction::Transaction;

impl Draft {
    /// Admits one transaction, or leaves the draft as it was.
    ///
    /// # Errors
    /// [`NotApplied`] names the rule that is broken.
    pub fn admit(&mut self, transaction: impl Into<Received>) -> Result<(), NotApplied> {
        let transaction = match transaction.into().0 {
            Said::Order(order) => Transaction::Order(self.place_order(order)?),
            Said::Reading(reading) => Transaction::Reading(self.record_reading(reading)?),
            Said::Curve(curve) => Transaction::Curve(self.place_curve(curve)?),
            Said::Act(act) => {
                self.perform(&act)?;
                act
            }
        };
        self.transactions.push(transaction);
        Ok(())
    }

    fn place_order(&mut self, order: MaybeSigned<Order>) -> Result<Envelope<Order>, Rejection> {
        let period = order.unverified().period;
        let context = self.state.admission(self.time);
        let book = self.state.books.get(&period);
        let admitted = admit_order(order, &context, book)?;
        let next_gate = self.state.rules().gates.next_gate(period, self.time);
        let fresh = || PeriodBook::before_gate(next_gate);
        self.state.books.get_or_insert_with(period, fresh).place(&admitted);
        Ok(admitted.into_signed().into_envelope())
    }

    fn record_reading(
        &mut self,
        reading: MaybeSigned<IntervalReading>,
    ) -> Result<Envelope<IntervalReading>, Rejection> {
        let (period, party) = (reading.unverified().period, reading.unverified().party);
        self.state.check_not_approved(period, self.time)?;
        let known = self.state.reading(period, &party).map(|reading| reading.sequence);
        let context = self.state.admission(self.time);
        let admitted = admit_reading(reading, &context, known)?;
        let reading = admitted.reading();
        let metered = Metered {
            imported: reading.imported,
            exported: reading.exported,
            quality: reading.quality,
        };
        // What is first heard of after the gate comes too late for it.
        let unknown = !self.state.delivered().any(|known| known == period);
        let over = self.state.open_ex_post(period).is_some_and(|end| end <= self.time);
        let gate = self.state.rules().gates.ex_post_gate();
        if let Some(gate) = gate.filter(|_| unknown && over) {
            self.state.closed_ex_post.insert(period, gate);
        }
        let closes_at = self.state.rules().gates.ex_post_closes_at(period);
        let readings = self.state.readings.get_or_insert_with(period, BTreeMap::new);
        let at_gate = match closes_at {
            Some(closes_at) if self.time < closes_at => Some(metered),
            _ => readings.get(&party).and_then(|known| known.at_gate),
        };
        let recorded = RecordedReading { metered, sequence: reading.sequence, at_gate };
        readings.insert(party, recorded);
        self.reopened.insert(period);
        Ok(admitted.into_signed().into_envelope())
    }

    fn place_curve(
        &mut self,
        curve: MaybeSigned<StandingCurve>,
    ) -> Result<Envelope<StandingCurve>, Rejection> {
        let key = (curve.unverified().side, curve.unverified().party);
        let context = self.state.admission(self.time);
        let known = self.state.curve_sequence(key);
        let admitted = admit_curve(curve, &context, known)?;
        let length = context.rules.period_length;
        let curves = self.state.curves.get_or_insert_with(CURVES, StandingCurves::default);
        let placed = curves.place(&admitted, self.time, length);
        placed.map_err(|error| Rejection::Malformed(error.into()))?;
        Ok(admitted.into_signed().into_envelope())
    }

    /// Does what an act says on a copy, and takes the copy over if all of it holds.
    fn perform(&mut self, act: &Transaction) -> Result<(), NotApplied> {
        let mut state = self.state.clone();
        let consequences = acts::perform(&mut state, act, self.time, &self.reopened)?;
        acts::verify(&self.state, act)?;
        self.state = state;
        self.results.fallen.extend(consequences.fallen);
        self.results.postings.extend(consequences.postings);
        self.reopened.extend(consequences.reopened);
        Ok(())
    }
}
