//! A party's part of the chain once more: what it said, what was decided, what was posted.

use market::keys::{ChainId, PublicKey};
use market::member::{Member, PartyId};
use market::reading::Quality;
use market::settlement::{
    CommunitySettlement, Metered, PartySettlement, Settlement, SettlementError, Transfer,
    difference, of_trade,
};
use market::signed::{Envelope, Signable};
use market::time::DeliveryPeriod;
use std::collections::BTreeMap;

use crate::posting::{Account, Posting};
use crate::receipt::account_words;
use crate::results::{ResultLeaf, Settled};
use crate::state_proof::ChartedRules;
use crate::statement::facts::{Orders, PeriodFacts, differs};
use crate::statement::{BlockProof, PeriodLine, StatementError};
use crate::transaction::Transaction;

/// What everything is judged by.
pub(super) struct Terms {
    pub(super) party: PartyId,
    pub(super) chain: ChainId,
    /// The keys with which the party may have signed.
    pub(super) keys: Vec<PublicKey>,
    pub(super) member: Member,
    pub(super) rules: ChartedRules,
    /// Postings up to this height are checked and not counted.
    pub(super) opening_height: u64,
}

/// Goes through proven blocks and computes every line again.
pub(super) fn replay(
    terms: &Terms,
    blocks: &[BlockProof],
) -> Result<Vec<PeriodLine>, StatementError> {
    let mut replay =
        Replay { terms, orders: Orders::new(), periods: BTreeMap::new(), lines: BTreeMap::new() };
    for block in blocks {
        replay.block(block)?;
    }
    Ok(replay.lines.into_values().collect())
}

struct Replay<'a> {
    terms: &'a Terms,
    orders: Orders,
    periods: BTreeMap<DeliveryPeriod, PeriodFacts>,
    lines: BTreeMap<DeliveryPeriod, PeriodLine>,
}

/// What one block does in one period.
#[derive(Default)]
struct Moves {
    expected: Vec<Transfer>,
    found: Vec<Posting>,
}

impl Replay<'_> {
    fn block(&mut self, block: &BlockProof) -> Result<(), StatementError> {
        let height = block.header.height;
        for one in &block.transactions.leaves {
            if !one.leaf.concerns(&self.terms.party) {
                return Err(foreign(height));
            }
            self.hear(height, &one.leaf)?;
        }
        let leaves = || block.results.leaves.iter().map(|one| &one.leaf);
        for leaf in leaves() {
            match leaf {
                // The pools of a block hold for its settlements, which stand before them.
                ResultLeaf::CommunitySettled(sums) => {
                    self.facts(sums.period).pools.clone_from(&sums.pools);
                }
                ResultLeaf::Clearing(_) => {}
                other if other.concerns(&self.terms.party) => {}
                _ => return Err(foreign(height)),
            }
        }
        let counts = height > self.terms.opening_height;
        let mut moves: BTreeMap<DeliveryPeriod, Moves> = BTreeMap::new();
        for leaf in leaves() {
            let period = leaf.period();
            match leaf {
                ResultLeaf::Clearing(summary) => {
                    self.facts(period).clearings.insert(summary.gate, summary.clone());
                }
                ResultLeaf::Trade(trade) => {
                    let facts = self.periods.entry(period).or_default();
                    facts.take_trade(self.terms, &self.orders, trade)?;
                }
                ResultLeaf::Answer(answer) => {
                    self.periods
                        .entry(period)
                        .or_default()
                        .check_answer(&self.terms.party, answer)?;
                }
                ResultLeaf::Settled(settled) => {
                    let transfers = self.settle(settled, counts)?;
                    moves.entry(period).or_default().expected.extend(transfers);
                }
                ResultLeaf::Posting(posting) => {
                    moves.entry(period).or_default().found.push(*posting);
                }
                ResultLeaf::CommunitySettled(_) | ResultLeaf::Certificate(_) => {}
            }
        }
        for (period, Moves { expected, found }) in moves {
            check_postings(period, &expected, &found)?;
            if counts && let Some(line) = self.lines.get_mut(&period) {
                line.postings.extend(found);
            }
        }
        Ok(())
    }

    fn facts(&mut self, period: DeliveryPeriod) -> &mut PeriodFacts {
        self.periods.entry(period).or_default()
    }

    /// Takes in what the party said, if it signed it.
    fn hear(&mut self, height: u64, transaction: &Transaction) -> Result<(), StatementError> {
        match transaction {
            Transaction::Order(envelope) => {
                self.check_signed(height, envelope)?;
                let id = envelope.id(&self.terms.chain);
                self.orders.insert(id, envelope.unverified().clone());
            }
            Transaction::Reading(envelope) => {
                self.check_signed(height, envelope)?;
                let reading = envelope.unverified();
                let (imported, exported, quality) =
                    (reading.imported, reading.exported, reading.quality);
                self.facts(reading.period).reading = Some(Metered { imported, exported, quality });
            }
            Transaction::Curve(envelope) => self.check_signed(height, envelope)?,
        }
        Ok(())
    }

    fn check_signed<T: Signable + Clone>(
        &self,
        height: u64,
        envelope: &Envelope<T>,
    ) -> Result<(), StatementError> {
        let holds = |key: &PublicKey| envelope.clone().verify(&self.terms.chain, key).is_ok();
        if self.terms.keys.iter().any(holds) {
            return Ok(());
        }
        let problem = format!("the party has not signed {}", envelope.id(&self.terms.chain));
        Err(StatementError::Block { height, problem })
    }

    /// Computes a settlement again, and the money that moves because of it: all of it at first,
    /// then exact differences.
    fn settle(&mut self, settled: &Settled, counts: bool) -> Result<Vec<Transfer>, StatementError> {
        let (terms, period) = (self.terms, settled.period);
        let facts = self.periods.entry(period).or_default();
        let now = facts.settle(terms, settled)?;
        let before = facts.settled.replace(now);
        let mut transfers = Vec::new();
        if before.is_none() {
            transfers.extend(facts.trades.iter().flat_map(of_trade));
        }
        let one = |settlement: PartySettlement| Settlement {
            period,
            parties: BTreeMap::from([(terms.party, settlement)]),
            pools: Vec::new(),
            community: CommunitySettlement::default(),
        };
        match difference(&one(now), before.map(one).as_ref()) {
            Ok(differences) => transfers.extend(differences),
            Err(SettlementError::Overflow(overflow)) => return Err(overflow.into()),
            Err(error) => return Err(differs(period, "trades", "those settled before", error)),
        }
        let own = Account::Party(terms.party);
        transfers.retain(|transfer| transfer.payer == own || transfer.payee == own);
        if counts {
            let line = self.lines.entry(period).or_insert_with(|| PeriodLine {
                period,
                settlement: now,
                estimated: false,
                corrects: before.is_some(),
                postings: Vec::new(),
            });
            line.settlement = now;
            line.estimated = now.metered.quality == Quality::Missing;
        }
        Ok(transfers)
    }
}

fn foreign(height: u64) -> StatementError {
    let problem = "a leaf of somebody else stands among the party's".to_owned();
    StatementError::Block { height, problem }
}

/// The postings of a block for one period are what was expected, in the same order.
fn check_postings(
    period: DeliveryPeriod,
    expected: &[Transfer],
    found: &[Posting],
) -> Result<(), StatementError> {
    let mut found_next = found.iter();
    for transfer in expected {
        let Transfer { mut payer, mut payee, cause, mut amount } = *transfer;
        if amount.is_negative() {
            (payer, payee, amount) = (payee, payer, amount.negated()?);
        }
        let line = || format!("posting for {cause:?}");
        let expected = words(&payer, &payee, &amount);
        let Some(posting) = found_next.next() else {
            return Err(differs(period, line(), expected, "nothing"));
        };
        let Posting { debit, credit, amount: posted, .. } = posting;
        let found = words(debit, credit, posted);
        if posting.cause != cause || found != expected {
            return Err(differs(
                period,
                line(),
                expected,
                format!("{found} ({:?})", posting.cause),
            ));
        }
    }
    match found_next.next() {
        None => Ok(()),
        Some(Posting { debit, credit, amount, cause, .. }) => {
            let line = format!("posting for {cause:?}");
            Err(differs(period, line, "nothing", words(debit, credit, amount)))
        }
    }
}

fn words(debit: &Account, credit: &Account, amount: &impl std::fmt::Display) -> String {
    format!("{} pays {amount} to {}", account_words(debit), account_words(credit))
}
