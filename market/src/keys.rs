//! Ed25519 keys and signatures, under one rule everywhere: `verify_strict`.

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::Signer as _;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::hash::hex_id;

hex_id! {
    /// Which community's chain something belongs to: the SHA-256 of its genesis.
    ChainId, 32
}

hex_id! {
    /// An Ed25519 public key, as its 32 bytes. Holding one proves nothing; a key is judged by
    /// [`PublicKey::check_strong`] when it is enrolled, and again in every verification.
    PublicKey, 32
}

hex_id! {
    /// An Ed25519 signature, as its 64 bytes. Not checked until it is verified.
    Signature, 64
}

/// Why a key or a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The 32 bytes are no point of the curve, or one of small order.
    #[error("{0} is not a sound Ed25519 key")]
    WeakKey(PublicKey),
    /// The signature does not belong to these bytes and this key.
    #[error("the signature was not made by key {0} over these bytes")]
    Mismatch(PublicKey),
}

impl PublicKey {
    /// Refuses bytes that are no point, or a point of small order (for which a signature could
    /// hold over many messages).
    ///
    /// # Errors
    /// [`SignatureError::WeakKey`].
    pub fn check_strong(&self) -> Result<(), SignatureError> {
        self.sound().map(drop)
    }

    /// The point behind the bytes, for checking more than one signature: finding it costs about a
    /// tenth of a check.
    ///
    /// # Errors
    /// [`SignatureError::WeakKey`], as [`PublicKey::check_strong`].
    pub fn sound(&self) -> Result<SoundKey, SignatureError> {
        ed25519_dalek::VerifyingKey::from_bytes(self.as_bytes())
            .ok()
            .filter(|key| !key.is_weak())
            .map(SoundKey)
            .ok_or(SignatureError::WeakKey(*self))
    }

    /// Checks a signature over exactly these bytes by the strict rules (no malleability, no
    /// small-order components).
    ///
    /// # Errors
    /// [`SignatureError`] if the key is weak or the signature does not match.
    pub fn verify(&self, bytes: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        self.sound()?.verify(bytes, signature)
    }
}

/// A public key that is a point of the curve and not one of small order. Its one door is
/// [`PublicKey::sound`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundKey(ed25519_dalek::VerifyingKey);

impl SoundKey {
    /// Its 32 bytes.
    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.to_bytes())
    }

    /// Checks a signature, as [`PublicKey::verify`] does.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`].
    pub fn verify(&self, bytes: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        let checked = self.0.verify_strict(bytes, &signature);
        checked.map_err(|_| SignatureError::Mismatch(self.public()))
    }
}

/// The points of the keys that were asked for so far; clones share them. It holds no more than one
/// entry for each key that somebody enrolled, and nothing of it can be seen from outside but time.
#[derive(Debug, Clone, Default)]
pub struct SoundKeys {
    known: Arc<RwLock<BTreeMap<PublicKey, SoundKey>>>,
}

impl SoundKeys {
    /// The point of an enrolled key.
    ///
    /// # Errors
    /// [`SignatureError::WeakKey`].
    pub fn get(&self, key: &PublicKey) -> Result<SoundKey, SignatureError> {
        // Every change is one insert, so the map is sound even if the lock is poisoned.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(key).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let sound = key.sound()?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(*key, sound);
        Ok(sound)
    }
}

/// An Ed25519 secret key. It never prints itself and is wiped from memory when dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// From the 32 secret bytes of RFC 8032, which must come from a secure random source.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The 32 secret bytes, for the key file alone.
    pub fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs the bytes. The caller puts domain and chain in front; see [`crate::signed`].
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        Signature::from_bytes(self.0.sign(bytes).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey of {}", self.public())
    }
}

// Both are read and written as plain bytes; these impls exist so that keys can stand in borsh maps.
const _: () = {
    const fn assert_bytes<T: BorshSerialize + BorshDeserialize>() {}
    assert_bytes::<PublicKey>();
    assert_bytes::<Signature>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_order_key_is_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let key = PublicKey::from_bytes(identity);
        assert_eq!(key.check_strong(), Err(SignatureError::WeakKey(key)));
        assert!(key.verify(b"anything", &Signature::from_bytes([0; 64])).is_err());
    }

    #[test]
    fn a_kept_key_judges_as_its_bytes_do_and_a_weak_one_is_not_kept() {
        let (keys, key) = (SoundKeys::default(), SigningKey::from_seed(&[7; 32]));
        let (good, other) = (key.sign(b"ten watt-hours"), key.sign(b"eleven watt-hours"));
        for _ in 0..2 {
            let sound = keys.get(&key.public()).unwrap();
            assert_eq!(sound.public(), key.public());
            for signature in [&good, &other] {
                let judged = sound.verify(b"ten watt-hours", signature);
                assert_eq!(judged, key.public().verify(b"ten watt-hours", signature));
            }
            let weak = PublicKey::from_bytes([0; 32]);
            assert_eq!(keys.get(&weak), Err(SignatureError::WeakKey(weak)));
        }
        assert_eq!(keys.known.read().unwrap().len(), 1);
    }

    #[test]
    fn a_secret_key_does_not_print_itself() {
        let key = SigningKey::from_seed(&[7; 32]);
        assert!(!format!("{key:?}").contains("0707"));
    }

    #[test]
    fn one_flipped_bit_breaks_a_signature() {
        let key = SigningKey::from_seed(&[7; 32]);
        let signature = key.sign(b"ten watt-hours");
        assert_eq!(key.public().verify(b"ten watt-hours", &signature), Ok(()));
        for bit in 0..512 {
            let mut bytes = *signature.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(key.public().verify(b"ten watt-hours", &Signature::from_bytes(bytes)).is_err());
        }
    }
}
