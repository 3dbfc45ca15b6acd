//! From an executed block to the rows that it adds: pure, so it can be repeated and tested.

use std::collections::BTreeMap;

use ledger::block::CommittedBlock;
use ledger::certificate::CommitCertificate;
use ledger::draft::Executed;
use ledger::posting::Posting;
use ledger::results::{Cleared, ClearingSummary, CommunitySettled, ResultLeaf, Settled};
use ledger::transaction::Transaction;
use ledger::validators::ValidatorSet;
use market::Overflow;
use market::answer::Answer;
use market::certificate::Certificate;
use market::clearing::ClearingResult;
use market::energy::Energy;
use market::member::PartyId;
use market::money::Money;
use market::order::Origin;
use market::price::Price;
use market::reading::IntervalReading;
use market::time::{DeliveryPeriod, Timestamp};
use market::trade::Trade;

/// Everything that one block adds to the read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockRows {
    /// The block with its certificate.
    pub(crate) committed: CommittedBlock,
    /// All leaves under its results root.
    pub(crate) results: Vec<ResultLeaf>,
    /// Closed gates.
    pub(crate) clearings: Vec<ClearingRow>,
    /// Trades, each with its place among the results.
    pub(crate) trades: Vec<(usize, Trade)>,
    /// Answers, each with its place among the results.
    pub(crate) answers: Vec<(usize, Answer)>,
    /// What parties said their offers are made of.
    pub(crate) origins: BTreeMap<(DeliveryPeriod, PartyId), Origin>,
    /// Settled parties, each with its place among the results.
    pub(crate) settlements: Vec<SettlementRow>,
    /// Periods settled as far as they are no single party's, each with its place.
    pub(crate) communities: Vec<(usize, CommunitySettled)>,
    /// Certificates of origin, each with its place among the results.
    pub(crate) certificates: Vec<(usize, Certificate)>,
    /// Money that moved, each with its place among the results.
    pub(crate) postings: Vec<(usize, Posting)>,
    /// Readings that the block carries.
    pub(crate) readings: Vec<IntervalReading>,
    /// Who decides the next height.
    pub(crate) validators: ValidatorSet,
}

/// A closed gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClearingRow {
    /// Its place among the results.
    pub(crate) index: usize,
    /// Prices, volume, flows, welfare.
    pub(crate) summary: ClearingSummary,
    /// What sellers get per kWh on average; `None` if nothing was traded.
    pub(crate) seller_price: Option<Price>,
    /// When the gate closed by the rules, market time.
    pub(crate) closed_at: Timestamp,
    /// How many bids stood in the book.
    pub(crate) bids_count: usize,
    /// How many offers stood in the book.
    pub(crate) offers_count: usize,
    /// Demand by falling limit.
    pub(crate) demand: Vec<(Price, Energy)>,
    /// Supply by rising limit.
    pub(crate) supply: Vec<(Price, Energy)>,
}

/// A settled party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettlementRow {
    /// Its place among the results.
    pub(crate) index: usize,
    /// The figures that now hold.
    pub(crate) settled: Settled,
    /// What the party earns; negative if it pays.
    pub(crate) net: Money,
    /// What it would have earned with the supplier alone.
    pub(crate) net_grid_only: Money,
}

/// The rows of a block.
///
/// # Errors
/// [`Overflow`] if a sum leaves its range, which the rules of a community exclude.
pub(crate) fn project(
    executed: &Executed,
    certificate: &CommitCertificate,
) -> Result<BlockRows, Overflow> {
    let results = executed.results.leaves();
    let rules = executed.state.rules();
    let mut rows = BlockRows {
        committed: CommittedBlock {
            block: executed.block.clone(),
            certificate: certificate.clone(),
        },
        clearings: Vec::new(),
        trades: Vec::new(),
        answers: Vec::new(),
        origins: BTreeMap::new(),
        settlements: Vec::new(),
        communities: Vec::new(),
        certificates: Vec::new(),
        postings: Vec::new(),
        readings: executed.block.transactions.iter().filter_map(reading).collect(),
        results: Vec::new(),
        validators: executed.state.validators().clone(),
    };
    let mut books = executed.results.clearings.iter();
    for (index, leaf) in results.iter().enumerate() {
        match leaf {
            ResultLeaf::Clearing(summary) => {
                // Leaves name the clearings in the order in which the results hold them.
                let Some(Cleared { book, result, .. }) = books.next() else { continue };
                let closed_at = rules.gates.closes_at(summary.period, summary.gate);
                rows.clearings.push(ClearingRow {
                    index,
                    summary: summary.clone(),
                    seller_price: seller_price(result)?,
                    closed_at: closed_at.unwrap_or(executed.block.header.time),
                    bids_count: book.bids().len(),
                    offers_count: book.offers().len(),
                    demand: book.demand()?,
                    supply: book.supply()?,
                });
                for offer in book.offers() {
                    if let Some(origin) = offer.preferences.origin {
                        rows.origins.insert((book.period(), offer.party), origin);
                    }
                }
            }
            ResultLeaf::Trade(trade) => rows.trades.push((index, trade.clone())),
            ResultLeaf::Answer(answer) => rows.answers.push((index, answer.clone())),
            ResultLeaf::Settled(settled) => rows.settlements.push(SettlementRow {
                index,
                settled: settled.clone(),
                net: settled.settlement.net_income()?,
                net_grid_only: settled
                    .settlement
                    .net_income_without_market(&rules.rates(settled.period))?,
            }),
            ResultLeaf::CommunitySettled(settled) => {
                rows.communities.push((index, settled.clone()));
            }
            ResultLeaf::Certificate(one) => rows.certificates.push((index, one.clone())),
            // What is only pending is posted once more when its period is settled.
            ResultLeaf::Posting(posting) if !posting.is_posted() => {}
            ResultLeaf::Posting(posting) => rows.postings.push((index, *posting)),
        }
    }
    rows.results = results;
    Ok(rows)
}

fn seller_price(result: &ClearingResult) -> Result<Option<Price>, Overflow> {
    Price::mean(result.trades.iter().map(|trade| (trade.seller_price, trade.energy)))
}

fn reading(transaction: &Transaction) -> Option<IntervalReading> {
    match transaction {
        Transaction::Reading(envelope) => Some(envelope.unverified().clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_community::Community;

    fn projected(community: &Community) -> Vec<BlockRows> {
        let blocks = community.executed.iter().zip(&community.blocks);
        blocks.map(|(executed, block)| project(executed, &block.certificate).unwrap()).collect()
    }

    #[test]
    fn every_result_but_pending_postings_becomes_exactly_one_row_at_its_place() {
        let community = Community::after_blocks(60);
        for (rows, executed) in projected(&community).iter().zip(&community.executed) {
            let leaves = executed.results.leaves();
            assert_eq!(rows.results, leaves);
            let mut places = Vec::new();
            for row in &rows.clearings {
                assert_eq!(leaves[row.index], ResultLeaf::Clearing(row.summary.clone()));
                places.push(row.index);
            }
            for (index, trade) in &rows.trades {
                assert_eq!(leaves[*index], ResultLeaf::Trade(trade.clone()));
                places.push(*index);
            }
            for (index, answer) in &rows.answers {
                assert_eq!(leaves[*index], ResultLeaf::Answer(answer.clone()));
                places.push(*index);
            }
            for row in &rows.settlements {
                assert_eq!(leaves[row.index], ResultLeaf::Settled(row.settled.clone()));
                places.push(row.index);
            }
            for (index, settled) in &rows.communities {
                assert_eq!(leaves[*index], ResultLeaf::CommunitySettled(settled.clone()));
                places.push(*index);
            }
            for (index, one) in &rows.certificates {
                assert_eq!(leaves[*index], ResultLeaf::Certificate(one.clone()));
                places.push(*index);
            }
            for (index, posting) in &rows.postings {
                assert_eq!(leaves[*index], ResultLeaf::Posting(*posting));
                places.push(*index);
            }
            places.sort_unstable();
            let pending = |leaf: &ResultLeaf| match leaf {
                ResultLeaf::Posting(posting) => !posting.is_posted(),
                _ => false,
            };
            let kept = leaves.iter().enumerate().filter(|(_, leaf)| !pending(leaf));
            assert_eq!(places, kept.map(|(index, _)| index).collect::<Vec<_>>());
        }
    }

    #[test]
    fn it_is_pure_and_takes_every_reading_and_every_declared_origin() {
        let community = Community::after_blocks(60);
        let (once, again) = (projected(&community), projected(&community));
        assert_eq!(once, again);
        let readings: usize = once.iter().map(|rows| rows.readings.len()).sum();
        let sent = community.blocks.iter().flat_map(|block| &block.block.transactions);
        let sent = sent.filter(|transaction| matches!(transaction, Transaction::Reading(_)));
        assert_eq!(readings, sent.count());
        assert!(readings > 0);
        let origins: Vec<_> = once.iter().flat_map(|rows| rows.origins.values()).collect();
        assert!(origins.contains(&&Origin::Solar) && origins.contains(&&Origin::Battery));
    }
}
