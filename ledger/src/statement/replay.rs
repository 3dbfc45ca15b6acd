//! A party's part of the chain once more: what it said, what was decided, what was posted.

use market::keys::{ChainId, PublicKey};
use market::member::{Member, PartyId};
use market::reading::Quality;
use market::settlement::{
    CommunitySettlement, Metered, PartySettlement, Settlement, SettlementError, Transfer,
    difference, of_trade,
};
use market::signed::{Envelope, Signable};
use market::time::{DeliveryPeriod, Timestamp};
use std::collections::BTreeMap;

use crate::acts::{Measure, Verdict};
use crate::posting::{Account, Cause, Posting, Stage};
use crate::receipt::account_words;
use crate::results::{ResultLeaf, Settled};
use crate::state_proof::{ChartedRules, FormerKey};
use crate::statement::facts::{Orders, PeriodFacts, differs};
use crate::statement::{BlockProof, PeriodLine, StatementError};
use crate::transaction::Transaction;

/// What everything is judged by.
pub(super) struct Terms {
    pub(super) party: PartyId,
    pub(super) chain: ChainId,
    /// As it is at the end, with the key that is in force then.
    pub(super) member: Member,
    /// The keys that were in force before, oldest first.
    pub(super) former_keys: Vec<FormerKey>,
    pub(super) rules: ChartedRules,
    /// Postings up to this height are checked and not counted.
    pub(super) opening_height: u64,
}

impl Terms {
    /// The keys that were in force in a block: one, or in a block that replaces it both.
    fn keys_at(&self, time: Timestamp) -> Vec<PublicKey> {
        let mut keys = Vec::new();
        for former in &self.former_keys {
            if time <= former.until {
                keys.push(former.key);
            }
            if time < former.until {
                return keys;
            }
        }
        keys.push(self.member.key);
        keys
    }
}

/// What a party's part of the chain comes to.
pub(super) struct Replayed {
    /// What was settled within the statement, by period.
    pub(super) lines: Vec<PeriodLine>,
    /// What was really paid within the statement.
    pub(super) payouts: Vec<Posting>,
    /// What was announced within the statement, to be posted when its period is settled.
    pub(super) pended: Vec<Posting>,
}

/// Goes through proven blocks and computes every line again.
pub(super) fn replay(terms: &Terms, blocks: &[BlockProof]) -> Result<Replayed, StatementError> {
    let mut replay = Replay {
        terms,
        orders: Orders::new(),
        periods: BTreeMap::new(),
        lines: BTreeMap::new(),
        payouts: Vec::new(),
        pended: Vec::new(),
        decided: Vec::new(),
    };
    for block in blocks {
        replay.block(block)?;
    }
    let Replay { lines, payouts, pended, .. } = replay;
    Ok(Replayed { lines: lines.into_values().collect(), payouts, pended })
}

struct Replay<'a> {
    terms: &'a Terms,
    orders: Orders,
    periods: BTreeMap<DeliveryPeriod, PeriodFacts>,
    lines: BTreeMap<DeliveryPeriod, PeriodLine>,
    payouts: Vec<Posting>,
    pended: Vec<Posting>,
    /// The readings that decisions have put in place of the party's own.
    decided: Vec<Metered>,
}

/// What one block does in one period, in the order in which a block posts it.
#[derive(Default)]
struct Moves {
    /// Announced by the trades of a gate that closed.
    pending: Vec<Transfer>,
    /// Whether the first settlement posts what has been announced.
    completes: bool,
    /// Posted at once by a settlement.
    settled: Vec<Transfer>,
    found: Vec<Posting>,
}

impl Replay<'_> {
    fn block(&mut self, block: &BlockProof) -> Result<(), StatementError> {
        let height = block.header.height;
        let keys = self.terms.keys_at(block.header.time);
        let mut paid = Vec::new();
        for one in &block.transactions.leaves {
            if !one.leaf.concerns(&self.terms.party) {
                return Err(foreign(height));
            }
            paid.extend(self.hear(height, &keys, &one.leaf)?);
        }
        let leaves = || block.results.leaves.iter().map(|one| &one.leaf);
        let own = Account::Party(self.terms.party);
        let is_own = |transfer: &Transfer| transfer.payer == own || transfer.payee == own;
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
        let mut paid_found = Vec::new();
        for leaf in leaves() {
            let period = leaf.period();
            match leaf {
                ResultLeaf::Clearing(summary) => {
                    self.facts(period).clearings.insert(summary.gate, summary.clone());
                }
                ResultLeaf::Trade(trade) => {
                    let facts = self.periods.entry(period).or_default();
                    facts.take_trade(self.terms, &self.orders, trade)?;
                    let pending = &mut moves.entry(period).or_default().pending;
                    pending.extend(of_trade(trade).filter(is_own));
                }
                ResultLeaf::Answer(answer) => {
                    self.periods
                        .entry(period)
                        .or_default()
                        .check_answer(&self.terms.party, answer)?;
                }
                ResultLeaf::Settled(settled) => {
                    let (first, mut transfers) = self.settle(settled, counts)?;
                    transfers.retain(is_own);
                    let moves = moves.entry(period).or_default();
                    moves.completes |= first;
                    moves.settled.extend(transfers);
                }
                ResultLeaf::Posting(posting) if posting.cause == Cause::Payout => {
                    paid_found.push(*posting);
                }
                ResultLeaf::Posting(posting) => {
                    moves.entry(period).or_default().found.push(*posting);
                }
                ResultLeaf::CommunitySettled(_) | ResultLeaf::Certificate(_) => {}
            }
        }
        check_payouts(&paid, &paid_found)?;
        if counts {
            self.payouts.extend(paid_found);
        }
        for (period, moves) in moves {
            self.check_moves(period, moves, counts)?;
        }
        Ok(())
    }

    /// The postings of a block for one period: what its trades announce, what its first settlement
    /// posts of everything announced, and what settlements post at once.
    fn check_moves(
        &mut self,
        period: DeliveryPeriod,
        moves: Moves,
        counts: bool,
    ) -> Result<(), StatementError> {
        let Moves { pending, completes, settled, found } = moves;
        let (announced, posted): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|posting| posting.stage == Stage::Pending);
        let pending = pending.into_iter().map(|transfer| (Stage::Pending, transfer));
        check_postings(period, &pending.collect::<Vec<_>>(), &announced)?;
        let facts = self.periods.entry(period).or_default();
        facts.pending.extend(&announced);
        let mut expected = Vec::new();
        if completes {
            expected.extend(std::mem::take(&mut facts.pending).iter().map(completed));
        }
        expected.extend(settled.into_iter().map(|transfer| (Stage::Direct, transfer)));
        check_postings(period, &expected, &posted)?;
        if counts {
            self.pended.extend(announced);
            if let Some(line) = self.lines.get_mut(&period) {
                line.postings.extend(posted);
            }
        }
        Ok(())
    }

    fn facts(&mut self, period: DeliveryPeriod) -> &mut PeriodFacts {
        self.periods.entry(period).or_default()
    }

    /// Takes in what the party said, if it signed it, and what operators did about it, whose
    /// signatures the validators of the block have judged. Returns what was really paid.
    fn hear(
        &mut self,
        height: u64,
        keys: &[PublicKey],
        transaction: &Transaction,
    ) -> Result<Option<Transfer>, StatementError> {
        match transaction {
            Transaction::Order(envelope) => {
                self.check_signed(height, keys, envelope)?;
                let id = envelope.id(&self.terms.chain);
                self.orders.insert(id, envelope.unverified().clone());
            }
            Transaction::Reading(envelope) => {
                self.check_signed(height, keys, envelope)?;
                let reading = envelope.unverified();
                let (imported, exported, quality) =
                    (reading.imported, reading.exported, reading.quality);
                self.facts(reading.period).reading = Some(Metered { imported, exported, quality });
            }
            Transaction::Curve(envelope) => self.check_signed(height, keys, envelope)?,
            Transaction::PartyAct(envelope) => self.check_signed(height, keys, envelope)?,
            Transaction::OperatorAct(envelope) => {
                return Ok(self.obey(&envelope.unverified().measure));
            }
            Transaction::Join(_) => {}
        }
        Ok(None)
    }

    /// What an operator's act changes for the party.
    fn obey(&mut self, measure: &Measure) -> Option<Transfer> {
        match measure {
            Measure::Decide { verdict: Verdict::Corrected { readings }, .. } => {
                let own = readings.iter().find(|one| one.party == self.terms.party)?;
                let (imported, exported) = (own.imported, own.exported);
                self.decided.push(Metered { imported, exported, quality: Quality::Ok });
                None
            }
            Measure::RecordPayout { amount, .. } => Some(Transfer {
                payer: Account::Party(self.terms.party),
                payee: Account::Bank,
                cause: Cause::Payout,
                amount: *amount,
            }),
            _ => None,
        }
    }

    fn check_signed<T: Signable + Clone>(
        &self,
        height: u64,
        keys: &[PublicKey],
        envelope: &Envelope<T>,
    ) -> Result<(), StatementError> {
        let holds = |key: &PublicKey| envelope.clone().verify(&self.terms.chain, key).is_ok();
        if keys.iter().any(holds) {
            return Ok(());
        }
        let problem = format!("the party has not signed {}", envelope.id(&self.terms.chain));
        Err(StatementError::Block { height, problem })
    }

    /// Computes a settlement again, and the money of imbalances that moves because of it: all of it
    /// at first, then exact differences. Says whether it is the first.
    fn settle(
        &mut self,
        settled: &Settled,
        counts: bool,
    ) -> Result<(bool, Vec<Transfer>), StatementError> {
        let (terms, period) = (self.terms, settled.period);
        let facts = self.periods.entry(period).or_default();
        // A decision names the dispute, not the period.
        let metered = settled.settlement.metered;
        if self.decided.contains(&metered) {
            facts.reading = Some(metered);
        }
        let now = facts.settle(terms, settled)?;
        let before = facts.settled.replace(now);
        let one = |settlement: PartySettlement| Settlement {
            period,
            parties: BTreeMap::from([(terms.party, settlement)]),
            pools: Vec::new(),
            community: CommunitySettlement::default(),
        };
        let transfers = match difference(&one(now), before.map(one).as_ref()) {
            Ok(differences) => differences,
            Err(SettlementError::Overflow(overflow)) => return Err(overflow.into()),
            Err(error) => return Err(differs(period, "trades", "those settled before", error)),
        };
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
        Ok((before.is_none(), transfers))
    }
}

fn foreign(height: u64) -> StatementError {
    let problem = "a leaf of somebody else stands among the party's".to_owned();
    StatementError::Block { height, problem }
}

/// What posts an announced posting.
fn completed(pending: &Posting) -> (Stage, Transfer) {
    let Posting { number, debit, credit, amount, cause, .. } = *pending;
    (Stage::Posts(number), Transfer { payer: debit, payee: credit, cause, amount })
}

/// The payouts of a block are those that operators recorded in it, in the same order. They stand
/// under the delivery period in which they were recorded.
fn check_payouts(expected: &[Transfer], found: &[Posting]) -> Result<(), StatementError> {
    for (at, posting) in found.iter().enumerate() {
        let transfer = expected.get(at).map(|transfer| (Stage::Direct, *transfer));
        let transfer: Vec<_> = transfer.into_iter().collect();
        check_postings(posting.period, &transfer, std::slice::from_ref(posting))?;
    }
    match expected.get(found.len()) {
        None => Ok(()),
        Some(_) => Err(StatementError::PayoutMissing),
    }
}

/// The postings of a block for one period are what was expected, in the same order.
fn check_postings(
    period: DeliveryPeriod,
    expected: &[(Stage, Transfer)],
    found: &[Posting],
) -> Result<(), StatementError> {
    let mut found_next = found.iter();
    for (stage, transfer) in expected {
        let Transfer { mut payer, mut payee, cause, mut amount } = *transfer;
        if amount.is_negative() {
            (payer, payee, amount) = (payee, payer, amount.negated()?);
        }
        let line = || format!("posting for {cause:?}");
        let expected = words(*stage, &payer, &payee, &amount);
        let Some(posting) = found_next.next() else {
            return Err(differs(period, line(), expected, "nothing"));
        };
        let Posting { debit, credit, amount: posted, .. } = posting;
        let found = words(posting.stage, debit, credit, posted);
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
        Some(Posting { stage, debit, credit, amount, cause, .. }) => {
            let line = format!("posting for {cause:?}");
            Err(differs(period, line, "nothing", words(*stage, debit, credit, amount)))
        }
    }
}

fn words(
    stage: Stage,
    debit: &Account,
    credit: &Account,
    amount: &impl std::fmt::Display,
) -> String {
    let pays = match stage {
        Stage::Pending => "is to pay".to_owned(),
        Stage::Posts(number) => format!("pays, as announced in posting {number},"),
        Stage::Direct => "pays".to_owned(),
    };
    format!("{} {pays} {amount} to {}", account_words(debit), account_words(credit))
}
