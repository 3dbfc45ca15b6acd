//! Who decides blocks, and who operates the community.

use borsh::{BorshDeserialize, BorshSerialize, io};
use market::keys::{PublicKey, SignatureError};
use std::collections::BTreeSet;

use super::membership::check_free;
use super::{Endpoint, NotApplied, Scene};
use crate::validators::ValidatorSet;

/// The most operators a community may have.
pub const OPERATORS_MAX: usize = 16;

/// Who answers for the community, and how many of them have to approve a settlement.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct Operators {
    keys: Vec<PublicKey>,
    approvals_required: u8,
}

/// Keys that are not a community's operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOperators {
    /// Nobody, or too many.
    #[error("a community needs 1 to {OPERATORS_MAX} operators, not {0}")]
    Count(usize),
    /// One key twice.
    #[error("operator {0} is named twice")]
    Twice(PublicKey),
    /// A key that cannot be trusted.
    #[error(transparent)]
    Key(#[from] SignatureError),
    /// More approvals than there are operators, or none.
    #[error("approvals_required must be 1 to {operators}, the number of operators, not {required}")]
    Approvals {
        /// How many operators there are.
        operators: usize,
        /// How many were to approve.
        required: u8,
    },
}

impl Operators {
    /// Sorts and checks.
    ///
    /// # Errors
    /// [`NotOperators`] names what does not fit.
    pub fn new(mut keys: Vec<PublicKey>, approvals_required: u8) -> Result<Self, NotOperators> {
        if keys.is_empty() || keys.len() > OPERATORS_MAX {
            return Err(NotOperators::Count(keys.len()));
        }
        keys.sort_unstable();
        keys.iter().try_for_each(PublicKey::check_strong)?;
        if let Some((twice, _)) =
            keys.iter().zip(keys.iter().skip(1)).find(|(one, next)| one == next)
        {
            return Err(NotOperators::Twice(*twice));
        }
        if approvals_required == 0 || usize::from(approvals_required) > keys.len() {
            let (operators, required) = (keys.len(), approvals_required);
            return Err(NotOperators::Approvals { operators, required });
        }
        Ok(Self { keys, approvals_required })
    }

    /// Their keys, sorted.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Whether a key is one of theirs.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.keys.binary_search(key).is_ok()
    }

    /// How many different operators make a settlement final before its time.
    pub fn approvals_required(&self) -> u8 {
        self.approvals_required
    }
}

impl BorshDeserialize for Operators {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let wrong = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
        let keys = Vec::<PublicKey>::deserialize_reader(reader)?;
        let sorted = keys.is_sorted();
        let operators = Self::new(keys, u8::deserialize_reader(reader)?);
        let operators = operators.map_err(|error| wrong(error.to_string()))?;
        if sorted { Ok(operators) } else { Err(wrong("operators are not sorted".to_owned())) }
    }
}

impl Scene<'_> {
    /// The header of this block names the new set, which decides the next height.
    pub(super) fn change_validators(
        &mut self,
        set: &ValidatorSet,
        endpoints: &[Endpoint],
    ) -> Result<(), NotApplied> {
        if self.state.validators() == set && self.state.endpoints() == endpoints {
            return Err(NotApplied::NoChange);
        }
        let known = |key: &PublicKey| self.state.validators().iter().any(|one| one.key == *key);
        let mut new = set.iter().map(|validator| &validator.key).filter(|key| !known(key));
        new.try_for_each(|key| check_free(self.state, key))?;
        let mut named = BTreeSet::new();
        for endpoint in endpoints {
            let key = &endpoint.key;
            if !endpoint.is_usable() {
                return Err(NotApplied::EndpointUnusable(endpoint.address.clone()));
            }
            if !set.iter().any(|validator| validator.key == *key) {
                return Err(NotApplied::EndpointOfNobody(*key));
            }
            if !named.insert(*key) {
                return Err(NotApplied::EndpointTwice(*key));
            }
        }
        let (set, endpoints) = (set.clone(), endpoints.to_vec());
        self.state.charter = self.state.charter.amended(|articles| {
            articles.validators = set;
            articles.endpoints = endpoints;
        });
        Ok(())
    }

    pub(super) fn change_operators(&mut self, operators: &Operators) -> Result<(), NotApplied> {
        if self.state.operators() == operators {
            return Err(NotApplied::NoChange);
        }
        let known = self.state.operators();
        let mut new = operators.keys().iter().filter(|key| !known.contains(key));
        new.try_for_each(|key| check_free(self.state, key))?;
        let operators = operators.clone();
        self.state.charter = self.state.charter.amended(|articles| articles.operators = operators);
        Ok(())
    }
}
