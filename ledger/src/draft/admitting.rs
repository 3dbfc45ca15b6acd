//! What members and operators say, taken into the block one by one.

use market::admission::{Rejection, admit_curve, admit_order, admit_reading};
use market::book::PeriodBook;
use market::order::Order;
use market::reading::IntervalReading;
use market::settlement::Metered;
use market::signed::Envelope;
use market::standing::{StandingCurve, StandingCurves};
use std::collections::BTreeMap;

use super::Draft;
use crate::acts::{self, NotApplied};
use crate::state::{CURVES, RecordedReading};
use crate::transaction::Transaction;

impl Draft {
    /// Admits one transaction, or leaves the draft as it was.
    ///
    /// # Errors
    /// [`NotApplied`] names the rule that is broken.
    pub fn admit(&mut self, transaction: Transaction) -> Result<(), NotApplied> {
        match &transaction {
            Transaction::Order(envelope) => self.place_order(envelope)?,
            Transaction::Reading(envelope) => self.record_reading(envelope)?,
            Transaction::Curve(envelope) => self.place_curve(envelope)?,
            Transaction::Join(_) | Transaction::PartyAct(_) | Transaction::OperatorAct(_) => {
                self.perform(&transaction)?;
            }
        }
        self.transactions.push(transaction);
        Ok(())
    }

    fn place_order(&mut self, envelope: &Envelope<Order>) -> Result<(), Rejection> {
        let period = envelope.unverified().period;
        let context = self.state.admission(self.time);
        let book = self.state.books.get(&period);
        let admitted = admit_order(envelope.clone(), &context, book)?;
        let next_gate = self.state.rules().gates.next_gate(period, self.time);
        let fresh = || PeriodBook::before_gate(next_gate);
        self.state.books.get_or_insert_with(period, fresh).place(&admitted);
        Ok(())
    }

    fn record_reading(&mut self, envelope: &Envelope<IntervalReading>) -> Result<(), Rejection> {
        let (period, party) = (envelope.unverified().period, envelope.unverified().party);
        self.state.check_not_approved(period, self.time)?;
        let known = self.state.reading(period, &party).map(|reading| reading.sequence);
        let context = self.state.admission(self.time);
        let admitted = admit_reading(envelope.clone(), &context, known)?;
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
        Ok(())
    }

    fn place_curve(&mut self, envelope: &Envelope<StandingCurve>) -> Result<(), Rejection> {
        let key = (envelope.unverified().side, envelope.unverified().party);
        let context = self.state.admission(self.time);
        let known = self.state.curve_sequence(key);
        let admitted = admit_curve(envelope.clone(), &context, known)?;
        let length = context.rules.period_length;
        let curves = self.state.curves.get_or_insert_with(CURVES, StandingCurves::default);
        let placed = curves.place(&admitted, self.time, length);
        placed.map_err(|error| Rejection::Malformed(error.into()))
    }

    /// Does what an act says on a copy, and takes the copy over if all of it holds.
    fn perform(&mut self, act: &Transaction) -> Result<(), NotApplied> {
        let mut state = self.state.clone();
        let consequences = acts::perform(&mut state, act, self.time, &self.reopened)?;
        self.state = state;
        self.results.fallen.extend(consequences.fallen);
        self.results.postings.extend(consequences.postings);
        self.reopened.extend(consequences.reopened);
        Ok(())
    }
}
