//! The validators of a height and their voting power.

use borsh::{BorshDeserialize, BorshSerialize, io};
use market::hash::Digest;
use market::keys::{PublicKey, SignatureError};

/// A validator's address: the first 20 bytes of the SHA-256 of its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Address([u8; 20]);

impl Address {
    /// The address of a key.
    pub fn of(key: &PublicKey) -> Self {
        let mut address = [0; 20];
        let digest = Digest::of(&[key.as_bytes()]);
        address.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        Self(address)
    }

    /// From its 20 bytes.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Its 20 bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Address {
    type Err = market::hash::NotHex;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        market::hash::parse_hex(text).map(Self)
    }
}

/// Who votes, and with what weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Validator {
    /// Its consensus key.
    pub key: PublicKey,
    /// Its voting power; at least 1.
    pub power: u64,
}

impl Validator {
    /// Its address.
    pub fn address(&self) -> Address {
        Address::of(&self.key)
    }
}

/// All validators of a height, sorted by address; each key once; sound keys; total power in range.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct ValidatorSet {
    validators: Vec<Validator>,
}

/// Validators that do not form a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorSetError {
    /// Nobody to vote.
    #[error("a community needs at least one validator")]
    Empty,
    /// More than consensus carries.
    #[error("{0} validators are more than the 100 that are supported")]
    TooMany(usize),
    /// One key twice.
    #[error("validator {0} is named twice")]
    Twice(Address),
    /// A vote without weight, or more weight than 32 bits.
    #[error("validator {address}: power must be 1 to 4294967295, but it is {power}")]
    Power {
        /// The validator.
        address: Address,
        /// Its power.
        power: u64,
    },
    /// A key that cannot be trusted.
    #[error(transparent)]
    Key(#[from] SignatureError),
}

const VALIDATORS_MAX: usize = 100;

impl ValidatorSet {
    /// Sorts and checks.
    ///
    /// # Errors
    /// [`ValidatorSetError`] names the first validator that does not fit.
    pub fn new(mut validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        if validators.is_empty() {
            return Err(ValidatorSetError::Empty);
        }
        if validators.len() > VALIDATORS_MAX {
            return Err(ValidatorSetError::TooMany(validators.len()));
        }
        validators.sort_by_key(Validator::address);
        for validator in &validators {
            validator.key.check_strong()?;
            let (address, power) = (validator.address(), validator.power);
            if power == 0 || power > u64::from(u32::MAX) {
                return Err(ValidatorSetError::Power { address, power });
            }
        }
        for (one, other) in validators.iter().zip(validators.iter().skip(1)) {
            if one.key == other.key {
                return Err(ValidatorSetError::Twice(one.address()));
            }
        }
        Ok(Self { validators })
    }

    /// All of them by address.
    pub fn iter(&self) -> std::slice::Iter<'_, Validator> {
        self.validators.iter()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.validators.len()
    }

    /// The validator at an address.
    pub fn get(&self, address: &Address) -> Option<&Validator> {
        self.validators.iter().find(|validator| validator.address() == *address)
    }

    /// The voting power of all together.
    pub fn total_power(&self) -> u64 {
        // At most 100 powers of 32 bits: the sum always fits.
        self.validators.iter().fold(0, |sum, validator| sum.saturating_add(validator.power))
    }

    /// Whether `power` is more than two thirds of the total.
    pub fn is_quorum(&self, power: u64) -> bool {
        u128::from(power).saturating_mul(3) > u128::from(self.total_power()).saturating_mul(2)
    }

    /// The SHA-256 of its canonical bytes, as headers carry it.
    pub fn hash(&self) -> Digest {
        let bytes = borsh::to_vec(self).unwrap_or_default();
        Digest::of(&[b"hidamari/validators/1", &bytes])
    }
}

impl<'a> IntoIterator for &'a ValidatorSet {
    type Item = &'a Validator;
    type IntoIter = std::slice::Iter<'a, Validator>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl BorshDeserialize for ValidatorSet {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let wrong = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
        let validators: Vec<Validator> = Vec::deserialize_reader(reader)?;
        // One set, one spelling: it stands in what operators sign.
        let sorted = validators.is_sorted_by_key(Validator::address);
        let set = Self::new(validators).map_err(|error| wrong(error.to_string()))?;
        if sorted { Ok(set) } else { Err(wrong("validators are not sorted by address".to_owned())) }
    }
}
