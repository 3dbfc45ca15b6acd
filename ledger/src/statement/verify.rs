//! Checking a bundle from the genesis: certificates, ways to roots, and then every line.

use market::member::Member;

use crate::genesis::Genesis;
use crate::handover::Succession;
use crate::posting::{Account, Balance};
use crate::state_proof::ChartedRules;
use crate::statement::replay::{Replayed, Terms, replay};
use crate::statement::{Anchor, BlockProof, Statement, StatementBundle, StatementError, Totals};

impl StatementBundle {
    /// Checks the bundle against a genesis and computes every line again.
    ///
    /// # Errors
    /// [`StatementError`] names the first line that does not follow.
    pub fn verify(&self, genesis: &Genesis) -> Result<Statement, StatementError> {
        let closing_height = self.closing.header.height;
        let succession = Succession::verify_up_to(genesis, &self.handovers, closing_height)
            .map_err(|error| StatementError::Handovers(error.to_string()))?;
        let opening = match &self.opening {
            Some(anchor) => Some(check_anchor(anchor, &succession)?),
            None => None,
        };
        check_anchor(&self.closing, &succession)?;
        let opening_height = self.opening.as_ref().map_or(0, |anchor| anchor.header.height);
        if opening_height >= closing_height {
            let problem = "the opening block does not come before the closing one".to_owned();
            return Err(StatementError::Block { height: opening_height, problem });
        }
        let (rules, member, closing) = self.closing_facts()?;
        let mut last = 0;
        for block in &self.blocks {
            check_block(block, &succession)?;
            let height = block.header.height;
            if height <= last || height > closing_height {
                let problem = format!("it does not stand between {last} and {closing_height}");
                return Err(StatementError::Block { height, problem });
            }
            last = height;
        }
        let opening_balance =
            opening.and_then(|anchor| anchor.state.balance(&self.account())).unwrap_or_default();
        let terms = Terms {
            party: self.party,
            chain: genesis.chain_id(),
            former_keys: self.closing.state.former_keys(&self.party),
            member,
            rules,
            opening_height,
        };
        let replayed = replay(&terms, &self.blocks)?;
        self.check_balance(&opening_balance, &closing, &replayed)?;
        let Replayed { lines, payouts, .. } = replayed;
        Ok(Statement {
            party: self.party,
            opening_height,
            closing_height,
            opening: opening_balance.net()?,
            closing: closing.net()?,
            totals: Totals::of(&self.party, &lines, &payouts)?,
            unsettled: unsettled(&lines),
            lines,
            payouts,
        })
    }

    fn account(&self) -> Account {
        Account::Party(self.party)
    }

    /// What the state at the end says.
    fn closing_facts(&self) -> Result<(ChartedRules, Member, Balance), StatementError> {
        let state = &self.closing.state;
        let missing = |what: &str| StatementError::Block {
            height: self.closing.header.height,
            problem: format!("{what} not proved at the end"),
        };
        let rules = state.rules().ok_or_else(|| missing("rules and grid are"))?;
        let member = state.member(&self.party).ok_or_else(|| missing("the member is"))?;
        let balance = state.balance(&self.account()).ok_or_else(|| missing("the balance is"))?;
        Ok((rules, member, balance))
    }

    /// Opening and postings come to the closing balance, on both sides.
    fn check_balance(
        &self,
        opening: &Balance,
        closing: &Balance,
        replayed: &Replayed,
    ) -> Result<(), StatementError> {
        let account = self.account();
        let mut expected = *opening;
        let postings = replayed.lines.iter().flat_map(|line| &line.postings);
        for posting in postings.chain(&replayed.payouts).chain(&replayed.pended) {
            expected.enter(&account, posting)?;
        }
        for (side, expected, found) in [
            ("debits", expected.debits_posted, closing.debits_posted),
            ("credits", expected.credits_posted, closing.credits_posted),
            ("pending debits", expected.debits_pending, closing.debits_pending),
            ("pending credits", expected.credits_pending, closing.credits_pending),
        ] {
            if expected != found {
                return Err(StatementError::Balance { side, expected, found });
            }
        }
        Ok(())
    }
}

fn check_anchor<'a>(
    anchor: &'a Anchor,
    succession: &Succession,
) -> Result<&'a Anchor, StatementError> {
    let failed = |problem: String| StatementError::Block { height: anchor.header.height, problem };
    let Anchor { header, certificate, state } = anchor;
    succession.check(header, certificate).map_err(|error| failed(error.to_string()))?;
    if state.root() != Some(header.state_root) {
        return Err(failed("what is proved does not lead to its state root".to_owned()));
    }
    Ok(anchor)
}

fn check_block(block: &BlockProof, succession: &Succession) -> Result<(), StatementError> {
    let failed = |problem: String| StatementError::Block { height: block.header.height, problem };
    let BlockProof { header, certificate, transactions, results } = block;
    succession.check(header, certificate).map_err(|error| failed(error.to_string()))?;
    if !transactions.lead_to(&header.transactions_root) {
        return Err(failed("its transactions do not lead to its root of them".to_owned()));
    }
    if !results.lead_to(&header.results_root) {
        return Err(failed("its results do not lead to its root of them".to_owned()));
    }
    Ok(())
}

/// The periods between the first and the last line that have none.
fn unsettled(lines: &[super::PeriodLine]) -> Vec<market::time::DeliveryPeriod> {
    let mut missing = Vec::new();
    for (line, next) in lines.iter().zip(lines.iter().skip(1)) {
        let mut period = line.period.next();
        while let Ok(between) = period {
            if between >= next.period {
                break;
            }
            missing.push(between);
            period = between.next();
        }
    }
    missing
}
