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
use market::settlement::{CommunitySettlement, Imbalance, PartySettlement, Pool, PoolShare};
use market::time::DeliveryPeriod;
use market::trade::Trade;
use market::zone::ZoneId;
use std::collections::BTreeMap;

use crate::block::CommittedBlock;
use crate::merkle;
use crate::posting::Posting;
use crate::salt::{BlockSalt, LeafSalt, Tree};

/// Everything that followed from one block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockResults {
    /// Gates that the block's time closed, with the book each one cleared.
    pub clearings: Vec<Cleared>,
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
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Settled {
    /// Whose.
    pub party: PartyId,
    /// Of when.
    pub period: DeliveryPeriod,
    /// The figures that now hold.
    pub settlement: PartySettlement,
    /// The parts in pools that they come from, so that the party can recompute its bill alone.
    pub pooled: Vec<PoolPart>,
}

/// A party's part in one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PoolPart {
    /// The zone under which it cancelled.
    pub zone: ZoneId,
    /// Whether the party was long or short.
    pub imbalance: Imbalance,
    /// How much; always positive.
    pub energy: Energy,
    /// The price of the pool, before the wheeling charges up to the zone.
    pub price: Price,
}

impl PoolPart {
    /// The parts of each party.
    pub(crate) fn by_party(shares: &[PoolShare]) -> BTreeMap<PartyId, Vec<Self>> {
        let mut parts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for PoolShare { party, zone, imbalance, energy, price, .. } in shares.iter().copied() {
            parts.entry(party).or_default().push(Self { zone, imbalance, energy, price });
        }
        parts
    }
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
    pub fn hash(&self, salt: &LeafSalt) -> Digest {
        salt.leaf(&self.to_bytes())
    }

    /// The delivery period that it is about.
    pub fn period(&self) -> DeliveryPeriod {
        match self {
            Self::Clearing(summary) => summary.period,
            Self::Trade(trade) => trade.period,
            Self::Answer(answer) => answer.period,
            Self::Settled(settled) => settled.period,
            Self::Posting(posting) => posting.period,
            Self::CommunitySettled(settled) => settled.period,
            Self::Certificate(origin) => origin.period,
        }
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
    /// settlements of parties, then of communities; then certificates; then postings.
    pub fn leaves(&self) -> Vec<ResultLeaf> {
        let mut leaves = Vec::new();
        for Cleared { result, summary, .. } in &self.clearings {
            leaves.push(ResultLeaf::Clearing(summary.clone()));
            leaves.extend(result.trades.iter().cloned().map(ResultLeaf::Trade));
            leaves.extend(result.answers.iter().cloned().map(ResultLeaf::Answer));
        }
        leaves.extend(self.settlements.iter().cloned().map(ResultLeaf::Settled));
        leaves.extend(self.communities.iter().cloned().map(ResultLeaf::CommunitySettled));
        leaves.extend(self.certificates.iter().cloned().map(ResultLeaf::Certificate));
        leaves.extend(self.postings.iter().copied().map(ResultLeaf::Posting));
        leaves
    }
}

/// The hashes of the leaves, salted.
pub(crate) fn result_hashes<'a>(
    leaves: &'a [ResultLeaf],
    salt: &'a BlockSalt,
) -> impl Iterator<Item = Digest> + 'a {
    leaves.iter().zip(salt.leaf_salts(Tree::Results)).map(|(leaf, salt)| leaf.hash(&salt))
}

/// What a header says about leaves: the head of their Merkle tree, their number included.
pub fn results_root(leaves: &[ResultLeaf], salt: &BlockSalt) -> Digest {
    merkle::head_over(result_hashes(leaves, salt))
}

/// What nodes serve to whoever follows the chain.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ServedBlock {
    /// The block and its certificate.
    pub committed: CommittedBlock,
    /// The leaves under its results root, if they were asked for.
    pub results: Option<Vec<ResultLeaf>>,
}
