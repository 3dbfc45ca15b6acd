//! Gates: books that the block's time closes, and what clearing them decides.

use market::book::SealedBook;
use market::book::ex_post::{Corridor, residuals, seal_ex_post};
use market::clearing::{ClearingResult, clear, laws};
use market::settlement::{self, ZonePrices};
use market::time::DeliveryPeriod;
use market::zone::Flows;

use super::{Draft, DraftError, SETTLED_PERIODS_MAX};
use crate::charter::Charter;
use crate::results::{Cleared, ClearingSummary};
use crate::state::CURVES;

impl Draft {
    /// Seals and clears every book whose gate the block's time has reached (design section 3,
    /// arrow 8: the first block whose time >= gate closure closes the book).
    pub(super) fn close_gates(&mut self) -> Result<(), DraftError> {
        let salt = self.state.tip.digest();
        let charter = self.state.charter.clone();
        let gates = &charter.rules().gates;
        let periods: Vec<_> = self.state.books.keys().copied().collect();
        for period in periods {
            while let Some(book) = self.state.books.get(&period) {
                let gate = book.next_gate();
                let closes_at = gates.closes_at(period, gate).filter(|_| !gates.is_ex_post(gate));
                let Some(closes_at) = closes_at else {
                    self.state.books.remove(&period);
                    break;
                };
                if closes_at > self.time {
                    break;
                }
                let sealed = book.seal(period, charter.members(), salt);
                let result = self.clear(&charter, sealed)?;
                if let Some(book) = self.state.books.get_mut(&period) {
                    book.close_gate(&result)?;
                }
            }
        }
        Ok(())
    }

    /// Clears what the meters counted and earlier gates have not traded, for every period whose gate
    /// after delivery the block's time has reached: at most [`SETTLED_PERIODS_MAX`] of them. What
    /// the block itself carries comes too late for it, and for the gates that wait for a later block.
    pub(super) fn close_gates_after_delivery(&mut self) -> Result<(), DraftError> {
        let salt = self.state.tip.digest();
        let charter = self.state.charter.clone();
        let Some(gate) = charter.rules().gates.ex_post_gate() else { return Ok(()) };
        let due = |period: &DeliveryPeriod| {
            self.state.open_ex_post(*period).is_some_and(|closes_at| closes_at <= self.time)
        };
        let due: Vec<_> = self.state.delivered().filter(due).take(SETTLED_PERIODS_MAX).collect();
        for period in due {
            let readings = self.state.readings.get(&period).into_iter().flatten();
            let in_time = readings.filter_map(|(party, reading)| Some((*party, reading.at_gate?)));
            let readings = in_time.collect();
            let residuals = residuals(&readings, self.state.trades(period))?;
            let curves = self.state.curves.get(&CURVES).cloned().unwrap_or_default();
            let corridor = Corridor::from(&charter.rules().rates(period));
            let members = charter.members();
            let sealed = seal_ex_post(period, gate, members, &curves, &residuals, corridor, salt)?;
            self.clear(&charter, sealed)?;
            self.state.closed_ex_post.insert(period, gate);
        }
        Ok(())
    }

    /// Clears a sealed book and keeps what follows from it.
    fn clear(
        &mut self,
        charter: &Charter,
        sealed: SealedBook,
    ) -> Result<ClearingResult, DraftError> {
        let period = sealed.period();
        let mechanism = charter.rules().mechanism.during(period);
        let mut zones = charter.zones().during(period).clone();
        if let Some(flows) = self.state.flows.get(&period) {
            zones = zones.after(flows);
        }
        let terms = charter.rules().terms(&zones);
        let result = clear(&sealed, mechanism, &terms)?;
        laws::check(&sealed, mechanism, &terms, &result)?;
        if !result.trades.is_empty() {
            let trades = self.state.trades.get_or_insert_with(period, Vec::new);
            trades.extend(result.trades.iter().cloned());
            self.state
                .prices
                .get_or_insert_with(period, ZonePrices::default)
                .note(&result, &zones)?;
            let flows = self.state.flows.get_or_insert_with(period, Flows::default);
            for edge in result.edges.iter().filter(|edge| !edge.flow.is_zero()) {
                flows.add(edge.zone, edge.flow)?;
            }
        }
        // From here on the money of the trades is pending; the first settlement posts it.
        for transfer in result.trades.iter().flat_map(settlement::of_trade) {
            let settlement::Transfer { payer, payee, cause, amount } = transfer;
            let posting = self.state.accounts.pend(payer, payee, amount, cause, period)?;
            self.results.postings.extend(posting);
        }
        if !sealed.is_empty() {
            let summary = ClearingSummary::of(&result)?;
            let cleared = Cleared { book: sealed, result: result.clone(), summary };
            self.results.clearings.push(cleared);
        }
        Ok(result)
    }
}
