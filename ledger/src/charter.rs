//! What seldom changes: the rules, the grid, who votes and who may trade.
//!
//! Shared between all states that have it alike, with the hashes of its leaves.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;
use market::member::Membership;
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::zone::ZoneTree;
use std::sync::{Arc, OnceLock};

use crate::genesis::Genesis;
use crate::leaves::{leaf, leaf_bytes};
use crate::merkle;
use crate::validators::ValidatorSet;

/// The kind of the leaf for rules, grid and validators.
pub(crate) const CHARTER: u8 = 2;

/// The kind of the leaves for members.
pub(crate) const MEMBER: u8 = 3;

/// What a community agreed on. Nobody changes it once it is made, so its hashes always hold.
#[derive(Debug, Clone)]
pub(crate) struct Charter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    articles: Articles,
    hashes: OnceLock<Vec<Digest>>,
}

/// In the order of the canonical bytes.
#[derive(Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Articles {
    rules: MarketRules,
    zones: Schedule<ZoneTree>,
    validators: ValidatorSet,
    members: Membership,
}

impl Charter {
    pub(crate) fn at_genesis(genesis: &Genesis) -> Self {
        Self::of(Articles {
            rules: genesis.rules.clone(),
            zones: Schedule::always(genesis.zones.clone()),
            validators: genesis.validators.clone(),
            members: genesis.members.clone(),
        })
    }

    fn of(articles: Articles) -> Self {
        Self { shared: Arc::new(Shared { articles, hashes: OnceLock::new() }) }
    }

    pub(crate) fn rules(&self) -> &MarketRules {
        &self.shared.articles.rules
    }

    pub(crate) fn zones(&self) -> &Schedule<ZoneTree> {
        &self.shared.articles.zones
    }

    pub(crate) fn validators(&self) -> &ValidatorSet {
        &self.shared.articles.validators
    }

    pub(crate) fn members(&self) -> &Membership {
        &self.shared.articles.members
    }

    /// The bytes of the leaf for all but the members.
    pub(crate) fn common_bytes(&self) -> Vec<u8> {
        leaf_bytes(CHARTER, &(), &(self.rules(), self.zones(), self.validators()))
    }

    /// The leaves' hashes: one for rules, grid and validators together, one per member.
    pub(crate) fn hashes(&self) -> &[Digest] {
        self.shared.hashes.get_or_init(|| {
            let common = merkle::leaf(&self.common_bytes());
            let members = self.members().iter().map(|(key, value)| leaf(MEMBER, key, value));
            std::iter::once(common).chain(members).collect()
        })
    }
}

impl PartialEq for Charter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) || self.shared.articles == other.shared.articles
    }
}

impl Eq for Charter {}

impl BorshSerialize for Charter {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        self.shared.articles.serialize(writer)
    }
}

impl BorshDeserialize for Charter {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        Articles::deserialize_reader(reader).map(Self::of)
    }
}
