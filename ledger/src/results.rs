//! What a block decided: computed by every node, never taken from the proposer.

use borsh::{BorshDeserialize, BorshSerialize};
use market::Overflow;
use market::answer::Answer;
use market::book::SealedBook;
use market::certificate::Certificate;
use market::clearing::{ClearingResult, EdgeResult, ZoneResult};
use market::energy::Energy;
use market::gate::GateIndex;
use market::hash::Digest;
use market::member::PartyId;
use market::money::Money;
use market::price::Price;
use market::settlement::{CommunitySettlement, PartySettlement, Pool};
use market::time::DeliveryPeriod;
use market::trade::Trade;

use crate::block::CommittedBlock;
use crate::merkle;
use crate::posting::Posting;

/// Everything that followed from one block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockResults {
    /// Gates that the block's time closed, with the book each one cleared.
    pub clearings: Vec<Cleared>,
    /// Answers to open orders of parties whose membership this block ends.
    pub fallen: Vec<Answer>,
    /// Parties settled, or settled anew after a correction.
    pub settlements: Vec<Settled>,
    /// The same for what is no single party's.
    pub communities: Vec<CommunitySettled>,
    /// Certificates of origin, issued and retired at once; negative energy withdraws.
    pub certificates: Vec<Certificate>,
    /// Money that moved.
    pub postings: Vec<Posting>,
}

/// A closed book and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// The book.
    pub book: SealedBook,
    /// Quantities, trades, answers.
    pub result: ClearingResult,
    /// Prices and sums.
    pub summary: ClearingSummary,
}

/// The settlement of one delivery period as far as it is no single party's.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommunitySettled {
    /// Of when.
    pub period: DeliveryPeriod,
    /// The sums that now hold.
    pub settlement: CommunitySettlement,
    /// What cancelled among neighbours, zone by zone from below.
    pub pools: Vec<Pool>,
}

/// One party's settlement of one delivery period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Settled {
    /// Whose.
    pub party: PartyId,
    /// Of when.
    pub period: DeliveryPeriod,
    /// The figures that now hold.
    pub settlement: PartySettlement,
}

/// What a gate decided for all together.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ClearingSummary {
    /// The delivery period.
    pub period: DeliveryPeriod,
    /// The gate.
    pub gate: GateIndex,
    /// What buyers pay per kWh on average; `None` if nothing was traded.
    pub price: Option<Price>,
    /// How much was traded.
    pub volume: Energy,
    /// What it was worth to all together.
    pub welfare: Money,
    /// The price of each zone, and what was bought and sold in it.
    pub zones: Vec<ZoneResult>,
    /// The flow over each edge, and what stays with it.
    pub edges: Vec<EdgeResult>,
}

impl ClearingSummary {
    /// The summary of a result.
    ///
    /// # Errors
    /// [`Overflow`] if the mean price leaves its range.
    pub fn of(result: &ClearingResult) -> Result<Self, Overflow> {
        Ok(Self {
            period: result.period,
            gate: result.gate,
            price: result.mean_price()?,
            volume: result.volume,
            welfare: result.welfare,
            zones: result.zones.clone(),
            edges: result.edges.clone(),
        })
    }
}

/// One leaf of the results tree: what a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum ResultLeaf {
    /// A gate's price and volume.
    Clearing(ClearingSummary) = 1,
    /// A trade.
    Trade(Trade) = 2,
    /// What became of an order.
    Answer(Answer) = 3,
    /// What was metered against what was traded.
    Settled(Settled) = 4,
    /// Money that moved.
    Posting(Posting) = 5,
    /// What of a period's settlement is no single party's.
    CommunitySettled(CommunitySettled) = 6,
    /// The origin of energy, claimed once.
    Certificate(Certificate) = 7,
}

impl ResultLeaf {
    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        borsh::to_vec(self).unwrap_or_default()
    }

    /// Its hash in the results tree.
    pub fn hash(&self) -> Digest {
        merkle::leaf(&self.to_bytes())
    }

    /// Whether a party is named in it.
    pub fn concerns(&self, party: &PartyId) -> bool {
        let account = crate::posting::Account::Party(*party);
        match self {
            Self::Clearing(_) | Self::CommunitySettled(_) => false,
            Self::Trade(trade) => trade.seller == *party || trade.buyer == *party,
            Self::Answer(answer) => answer.party == *party,
            Self::Settled(settled) => settled.party == *party,
            Self::Posting(posting) => posting.debit == account || posting.credit == account,
            Self::Certificate(origin) => origin.producer == *party || origin.consumer == *party,
        }
    }
}

impl BlockResults {
    /// All leaves in their canonical order: per clearing its summary, trades and answers; then
    /// answers to orders that fell out; then settlements of parties, then of communities; then
    /// certificates; then postings.
    pub fn leaves(&self) -> Vec<ResultLeaf> {
        let mut leaves = Vec::new();
        for Cleared { result, summary, .. } in &self.clearings {
            leaves.push(ResultLeaf::Clearing(summary.clone()));
            leaves.extend(result.trades.iter().cloned().map(ResultLeaf::Trade));
            leaves.extend(result.answers.iter().cloned().map(ResultLeaf::Answer));
        }
        leaves.extend(self.fallen.iter().cloned().map(ResultLeaf::Answer));
        leaves.extend(self.settlements.iter().copied().map(ResultLeaf::Settled));
        leaves.extend(self.communities.iter().cloned().map(ResultLeaf::CommunitySettled));
        leaves.extend(self.certificates.iter().cloned().map(ResultLeaf::Certificate));
        leaves.extend(self.postings.iter().copied().map(ResultLeaf::Posting));
        leaves
    }
}

/// What a header says about leaves: the head of their Merkle tree, their number included.
pub fn results_root(leaves: &[ResultLeaf]) -> Digest {
    let size = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
    merkle::head(size, &merkle::root(leaves.iter().map(ResultLeaf::hash)))
}

/// What nodes serve to whoever follows the chain.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ServedBlock {
    /// The block and its certificate.
    pub committed: CommittedBlock,
    /// The leaves under its results root, if they were asked for.
    pub results: Option<Vec<ResultLeaf>>,
}
