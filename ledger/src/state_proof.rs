//! Proofs out of the state: what an account holds, who a member is, which rules are in force.
//!
//! A leaf of the state names its kind and its key, so whoever holds its bytes knows what it is
//! about. Leaves of the state are not salted: they are not kept for ever.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;
use market::keys::PublicKey;
use market::member::{Member, PartyId};
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::time::Timestamp;
use market::zone::ZoneTree;

use crate::charter::{CHARTER, MEMBER};
use crate::leaves::leaf_bytes;
use crate::merkle;
use crate::posting::{ACCOUNT, Account, Balance};
use crate::state::State;

/// The kind of the leaves for keys that members have replaced.
pub(crate) const FORMER_KEYS: u8 = 21;

/// A key that a member has replaced. What it signed in blocks up to the one that replaced it
/// stands, so whoever checks a member's past needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FormerKey {
    /// The key.
    pub key: PublicKey,
    /// The time of the block that replaced it.
    pub until: Timestamp,
}

/// The bytes of the leaf of an account.
pub fn balance_bytes(account: &Account, balance: &Balance) -> Vec<u8> {
    leaf_bytes(ACCOUNT, account, balance)
}

/// Reads them back; `None` if they are something else.
pub fn read_balance(bytes: &[u8]) -> Option<(Account, Balance)> {
    let (kind, account, balance): (u8, Account, Balance) = borsh::from_slice(bytes).ok()?;
    (kind == ACCOUNT).then_some((account, balance))
}

/// The rules and the grid that a state's leaf of kind 2 begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartedRules {
    /// The rules of the market, with the tariffs of each time.
    pub rules: MarketRules,
    /// The grid, with the charges of each time.
    pub zones: Schedule<ZoneTree>,
}

/// Some leaves of one state, with the way to its root.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StateProof {
    /// How many leaves the state has.
    pub size: u64,
    /// Number and bytes of each leaf, by number.
    pub leaves: Vec<(u64, Vec<u8>)>,
    /// The hashes beside their ways to the root ([`merkle::multi_path`]).
    pub beside: Vec<Digest>,
}

impl StateProof {
    /// The state root that it leads to; `None` if it leads to none.
    pub fn root(&self) -> Option<Digest> {
        let hash = |(at, bytes): &(u64, Vec<u8>)| (*at, merkle::leaf(bytes));
        let leaves: Vec<_> = self.leaves.iter().map(hash).collect();
        let root = merkle::root_from_multi_path(&leaves, self.size, &self.beside)?;
        Some(merkle::head(self.size, &root))
    }

    /// The balance of an account, if its leaf is there.
    pub fn balance(&self, account: &Account) -> Option<Balance> {
        let mut balances = self.leaves.iter().filter_map(|(_, bytes)| read_balance(bytes));
        balances.find(|(of, _)| of == account).map(|(_, balance)| balance)
    }

    /// What a member is, if its leaf is there.
    pub fn member(&self, party: &PartyId) -> Option<Member> {
        let read = |(_, bytes): &(u64, Vec<u8>)| borsh::from_slice::<(u8, PartyId, Member)>(bytes);
        let mut members = self.leaves.iter().filter_map(|leaf| read(leaf).ok());
        let of = |(kind, of, _): &(u8, PartyId, Member)| *kind == MEMBER && of == party;
        members.find(of).map(|(_, _, member)| member)
    }

    /// The keys that a member has replaced, oldest first, if their leaf is there; nothing proves
    /// that there are none.
    pub fn former_keys(&self, party: &PartyId) -> Vec<FormerKey> {
        type Leaf = (u8, PartyId, Vec<FormerKey>);
        let mut leaves = self.leaves.iter();
        let found = leaves.find_map(|(_, bytes)| {
            let (kind, of, keys): Leaf = borsh::from_slice(bytes).ok()?;
            (kind == FORMER_KEYS && of == *party).then_some(keys)
        });
        found.unwrap_or_default()
    }

    /// The rules and the grid, if their leaf is there. What stands behind them in the leaf is not
    /// read.
    pub fn rules(&self) -> Option<ChartedRules> {
        self.leaves.iter().find_map(|(_, bytes)| {
            let (kind, mut rest) = bytes.split_first()?;
            let rules = MarketRules::deserialize(&mut rest).ok().filter(|_| *kind == CHARTER)?;
            Some(ChartedRules { rules, zones: Schedule::deserialize(&mut rest).ok()? })
        })
    }
}

impl State {
    /// Proves what the state says about a party: the rules and the grid, the member, its account,
    /// and the keys that it has replaced.
    pub fn prove_party(&self, party: &PartyId) -> Option<StateProof> {
        let member = self.members().get(party)?;
        let mut leaves = vec![self.charter.common_bytes(), leaf_bytes(MEMBER, party, member)];
        let account = Account::Party(*party);
        if self.accounts().is_open(&account) {
            leaves.push(balance_bytes(&account, &self.accounts().balance(&account)));
        }
        if let Some(keys) = self.former_keys.get(party) {
            leaves.push(leaf_bytes(FORMER_KEYS, party, keys));
        }
        self.prove(leaves)
    }

    /// Proves the balance of one account; `None` if it was never opened.
    pub fn prove_balance(&self, account: &Account) -> Option<StateProof> {
        let balance = self.accounts().balance(account);
        self.accounts()
            .is_open(account)
            .then(|| balance_bytes(account, &balance))
            .and_then(|leaf| self.prove(vec![leaf]))
    }

    /// Proves leaves by their bytes, each of which names what it is about and so stands in the
    /// state once.
    fn prove(&self, leaves: Vec<Vec<u8>>) -> Option<StateProof> {
        let hashes: Vec<_> = self.hashes().collect();
        let place = |bytes: Vec<u8>| {
            let hash = merkle::leaf(&bytes);
            Some((hashes.iter().position(|one| *one == hash)?, bytes))
        };
        let mut places = leaves.into_iter().map(place).collect::<Option<Vec<_>>>()?;
        places.sort_unstable();
        let wanted: Vec<_> = places.iter().map(|(at, _)| *at).collect();
        let number = |(at, bytes): (usize, Vec<u8>)| Some((u64::try_from(at).ok()?, bytes));
        Some(StateProof {
            size: u64::try_from(hashes.len()).ok()?,
            beside: merkle::multi_path(&hashes, &wanted)?,
            leaves: places.into_iter().map(number).collect::<Option<_>>()?,
        })
    }
}
