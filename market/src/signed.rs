//! Signed payloads: what a signature covers, and the type that says it was checked.
//!
//! The signed bytes are
//!
//! ```text
//! length of domain (1 byte) | domain (ASCII) | chain id (32 bytes) | payload (borsh)
//! ```
//!
//! so that a signature holds for one meaning and one community only.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::hash::{Digest, hex_id};
use crate::keys::{ChainId, PublicKey, Signature, SignatureError, SigningKey, SoundKey, SoundKeys};

/// Something a party signs.
pub trait Signable: BorshSerialize + BorshDeserialize {
    /// What the signature means: ASCII, at most 255 bytes, with a version, unlike any other domain.
    const DOMAIN: &'static str;
}

hex_id! {
    /// The SHA-256 of the signed bytes: names an order, a reading, a decision.
    PayloadId, 32
}

/// A payload with a signature that nobody has checked yet: what travels and what is stored.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Envelope<T> {
    payload: T,
    signature: Signature,
}

/// A payload whose signature holds, by one key and for one community. Its only doors are
/// [`Signed::sign`] and [`Envelope::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T> {
    envelope: Envelope<T>,
    id: PayloadId,
    chain: ChainId,
    key: PublicKey,
}

/// A payload whose signature may have been checked before, so that nobody needs to check it twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaybeSigned<T> {
    /// Nobody has looked at the signature yet.
    Unchecked(Envelope<T>),
    /// It holds by one key and for one community.
    Signed(Signed<T>),
}

/// The bytes a signature covers.
pub fn signed_bytes<T: Signable>(chain: &ChainId, payload: &T) -> Vec<u8> {
    let mut bytes = signing_prefix(T::DOMAIN, chain);
    // Writing into memory cannot fail; a payload that failed to encode itself would yield bytes
    // that no signature matches.
    let _ = payload.serialize(&mut bytes);
    bytes
}

/// The part of the signed bytes before the payload: domain and chain.
pub fn signing_prefix(domain: &'static str, chain: &ChainId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(u8::try_from(domain.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(domain.as_bytes());
    bytes.extend_from_slice(chain.as_bytes());
    bytes
}

impl<T: Signable> Envelope<T> {
    /// What it claims, unchecked: for routing and for cheap checks before the signature.
    pub fn unverified(&self) -> &T {
        &self.payload
    }

    /// The name of the payload in its community. It does not depend on the signature, so the same
    /// payload signed twice keeps its name.
    pub fn id(&self, chain: &ChainId) -> PayloadId {
        PayloadId::from_bytes(*Digest::of(&[&signed_bytes(chain, &self.payload)]).as_bytes())
    }

    /// Checks the signature of the party's key for this community.
    ///
    /// # Errors
    /// [`SignatureError`] if it does not hold.
    pub fn verify(self, chain: &ChainId, key: &SoundKey) -> Result<Signed<T>, SignatureError> {
        let bytes = signed_bytes(chain, &self.payload);
        key.verify(&bytes, &self.signature)?;
        let id = PayloadId::from_bytes(*Digest::of(&[&bytes]).as_bytes());
        Ok(Signed { envelope: self, id, chain: *chain, key: key.public() })
    }
}

impl<T: Signable> Signed<T> {
    /// Signs a payload for a community.
    pub fn sign(payload: T, chain: &ChainId, key: &SigningKey) -> Self {
        let bytes = signed_bytes(chain, &payload);
        let id = PayloadId::from_bytes(*Digest::of(&[&bytes]).as_bytes());
        let envelope = Envelope { payload, signature: key.sign(&bytes) };
        Self { envelope, id, chain: *chain, key: key.public() }
    }

    /// Whether this is what was checked: by this key and for this community.
    pub fn is_by(&self, chain: &ChainId, key: &PublicKey) -> bool {
        self.chain == *chain && self.key == *key
    }

    /// What was signed.
    pub fn payload(&self) -> &T {
        &self.envelope.payload
    }

    /// The payload's name.
    pub fn id(&self) -> PayloadId {
        self.id
    }

    /// For sending and storing.
    pub fn envelope(&self) -> &Envelope<T> {
        &self.envelope
    }

    /// For sending and storing.
    pub fn into_envelope(self) -> Envelope<T> {
        self.envelope
    }
}

impl<T: Signable> MaybeSigned<T> {
    /// What it claims.
    pub fn unverified(&self) -> &T {
        self.envelope().unverified()
    }

    /// For sending and storing.
    pub fn envelope(&self) -> &Envelope<T> {
        match self {
            Self::Unchecked(envelope) => envelope,
            Self::Signed(signed) => signed.envelope(),
        }
    }

    /// For sending and storing.
    pub fn into_envelope(self) -> Envelope<T> {
        match self {
            Self::Unchecked(envelope) => envelope,
            Self::Signed(signed) => signed.into_envelope(),
        }
    }

    /// Checks the signature of an enrolled key for this community, unless just that was checked
    /// before.
    ///
    /// # Errors
    /// [`SignatureError`] if it does not hold.
    pub fn verify(
        self,
        chain: &ChainId,
        key: &PublicKey,
        keys: &SoundKeys,
    ) -> Result<Signed<T>, SignatureError> {
        match self {
            Self::Signed(signed) if signed.is_by(chain, key) => Ok(signed),
            Self::Signed(_) | Self::Unchecked(_) => {
                self.into_envelope().verify(chain, &keys.get(key)?)
            }
        }
    }
}

impl<T: Signable + Clone> MaybeSigned<T> {
    /// Checks the signature ahead of any judgement. If it does not hold, all stays as it was, for
    /// whoever judges it to say so.
    pub fn verify_ahead(&mut self, chain: &ChainId, key: &PublicKey, keys: &SoundKeys) {
        if let Ok(signed) = self.clone().verify(chain, key, keys) {
            *self = Self::Signed(signed);
        }
    }
}

impl<T> From<Envelope<T>> for MaybeSigned<T> {
    fn from(envelope: Envelope<T>) -> Self {
        Self::Unchecked(envelope)
    }
}

impl<T> From<Signed<T>> for MaybeSigned<T> {
    fn from(signed: Signed<T>) -> Self {
        Self::Signed(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
    struct Promise(u64);
    impl Signable for Promise {
        const DOMAIN: &'static str = "hidamari/test-promise/1";
    }
    #[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
    struct Threat(u64);
    impl Signable for Threat {
        const DOMAIN: &'static str = "hidamari/test-threat/1";
    }

    #[test]
    fn a_signature_holds_for_one_meaning_and_one_community() {
        let key = SigningKey::from_seed(&[1; 32]);
        let (here, there) = (ChainId::from_bytes([1; 32]), ChainId::from_bytes([2; 32]));
        let signed = Signed::sign(Promise(5), &here, &key).into_envelope();
        let sound = key.public().sound().unwrap();
        let other = SigningKey::from_seed(&[2; 32]).public();
        let checked = signed.clone().verify(&here, &sound).unwrap();
        assert!(checked.is_by(&here, &key.public()));
        assert!(!checked.is_by(&there, &key.public()) && !checked.is_by(&here, &other));
        assert!(signed.clone().verify(&there, &sound).is_err());
        let twisted: Envelope<Threat> =
            borsh::from_slice(&borsh::to_vec(&signed).unwrap()).unwrap();
        assert!(twisted.verify(&here, &sound).is_err());
    }

    #[test]
    fn what_was_checked_for_one_key_and_community_is_checked_again_for_others() {
        let (key, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let (here, there) = (ChainId::from_bytes([1; 32]), ChainId::from_bytes([2; 32]));
        let keys = SoundKeys::default();
        let checked = MaybeSigned::Signed(Signed::sign(Promise(5), &here, &key));
        let again = |chain, key: &SigningKey| checked.clone().verify(chain, &key.public(), &keys);
        assert!(again(&here, &key).is_ok());
        assert!(again(&there, &key).is_err() && again(&here, &other).is_err());
    }
}
