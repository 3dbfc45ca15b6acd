//! What seldom changes: the rules, the grid, who votes, who operates and who may trade.
//!
//! Shared between all states that have it alike, with the hashes of its leaves.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;
use market::keys::SoundKeys;
use market::member::Membership;
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::time::Timestamp;
use market::zone::ZoneTree;
use std::sync::{Arc, OnceLock};

use crate::acts::{Endpoint, Operators};
use crate::genesis::{Genesis, GenesisError, soundness};
use crate::leaves::{leaf, leaf_bytes};
use crate::merkle;
use crate::validators::ValidatorSet;

/// The kind of the leaf for rules, grid and validators.
pub(crate) const CHARTER: u8 = 2;

/// The kind of the leaves for members.
pub(crate) const MEMBER: u8 = 3;

/// What a community agreed on. Nobody changes it once it is made, so its hashes always hold; a
/// change makes another one.
#[derive(Debug, Clone)]
pub(crate) struct Charter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    articles: Articles,
    hashes: OnceLock<Vec<Digest>>,
    /// Of the members' keys, from one charter to the next.
    keys: SoundKeys,
}

/// In the order of the canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Articles {
    pub(crate) rules: MarketRules,
    pub(crate) zones: Schedule<ZoneTree>,
    pub(crate) validators: ValidatorSet,
    pub(crate) members: Membership,
    pub(crate) operators: Operators,
    pub(crate) endpoints: Vec<Endpoint>,
}

impl Charter {
    pub(crate) fn at_genesis(genesis: &Genesis) -> Self {
        Self::of(Articles {
            rules: genesis.rules.clone(),
            zones: Schedule::always(genesis.zones.clone()),
            validators: genesis.validators.clone(),
            members: genesis.members.clone(),
            operators: genesis.operators.clone(),
            endpoints: Vec::new(),
        })
    }

    /// The same with a change, unchecked.
    pub(crate) fn amended(&self, change: impl FnOnce(&mut Articles)) -> Self {
        let mut articles = self.shared.articles.clone();
        change(&mut articles);
        Self::with(articles, self.shared.keys.clone())
    }

    /// Whether a genesis could have had what holds from `since` on.
    ///
    /// # Errors
    /// [`GenesisError`] names the first thing that does not fit.
    pub(crate) fn check(&self, since: Timestamp) -> Result<(), GenesisError> {
        soundness::check(self.rules(), self.zones(), self.members(), since)
    }

    fn of(articles: Articles) -> Self {
        Self::with(articles, SoundKeys::default())
    }

    fn with(articles: Articles, keys: SoundKeys) -> Self {
        Self { shared: Arc::new(Shared { articles, hashes: OnceLock::new(), keys }) }
    }

    /// The points of the members' keys, as far as they have been needed.
    pub(crate) fn keys(&self) -> &SoundKeys {
        &self.shared.keys
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

    pub(crate) fn operators(&self) -> &Operators {
        &self.shared.articles.operators
    }

    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.shared.articles.endpoints
    }

    /// The bytes of the leaf for all but the members.
    pub(crate) fn common_bytes(&self) -> Vec<u8> {
        let Articles { rules, zones, validators, operators, endpoints, .. } = &self.shared.articles;
        leaf_bytes(CHARTER, &(), &(rules, zones, validators, operators, endpoints))
    }

    /// The leaves' hashes: one for rules, grid, validators and operators together, one per member.
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
