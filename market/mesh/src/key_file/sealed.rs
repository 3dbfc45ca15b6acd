//! The encrypted form: Argon2id and XChaCha20-Poly1305.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use rand::TryRng as _;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::key_file::{Passphrase, Seed};

/// What an encrypted file begins with.
pub(super) const MAGIC: &str = "hidamari-key 1";

/// The second of the two settings that RFC 9106 recommends: 64 MiB, which a small gateway has.
const COST: Cost = Cost { memory_kib: 65_536, passes: 3, lanes: 4 };

/// More than this nobody asks for who means well: 1 GiB.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 64;
const LANES_MAX: u32 = 64;

/// How expensive guessing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// How a passphrase becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Derivation {
    cost: Cost,
    salt: [u8; 16],
}

/// The key that seals seeds.
pub(super) type SealingKey = Zeroizing<[u8; 32]>;

/// An encrypted seed as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) derivation: Derivation,
    nonce: [u8; 24],
    bytes: [u8; 48],
}

/// Text that is no encrypted seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotSealed {
    Form,
    Cost(String),
}

impl Derivation {
    /// At today's cost, with a fresh salt.
    pub(super) fn fresh() -> Result<Self, String> {
        Ok(Self { cost: COST, salt: random()? })
    }

    pub(super) fn derive(&self, passphrase: &Passphrase) -> Result<SealingKey, String> {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let words = |error: argon2::Error| error.to_string();
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(words)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &self.salt, key.as_mut_slice())
            .map_err(words)?;
        Ok(key)
    }

    fn lines(&self) -> String {
        let Cost { memory_kib: m, passes: t, lanes: p } = self.cost;
        let salt = hex::encode(self.salt);
        format!("{MAGIC}\nkdf argon2id m={m} t={t} p={p}\nsalt {salt}\n")
    }
}

impl Sealed {
    pub(super) fn seal(
        seed: &[u8; 32],
        derivation: Derivation,
        key: &SealingKey,
    ) -> Result<Self, String> {
        let mut sealed = Self { derivation, nonce: random()?, bytes: [0; 48] };
        let header = sealed.header();
        let payload = Payload { msg: seed.as_slice(), aad: header.as_bytes() };
        let cipher = XChaCha20Poly1305::new(key.as_slice().into());
        let bytes = cipher.encrypt(XNonce::from_slice(&sealed.nonce), payload);
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        sealed.bytes = bytes.ok_or("the cipher failed")?;
        Ok(sealed)
    }

    /// `None` if the key is another one, or anything in the file was changed.
    pub(super) fn open(&self, key: &SealingKey) -> Option<Seed> {
        let header = self.header();
        let payload = Payload { msg: self.bytes.as_slice(), aad: header.as_bytes() };
        let cipher = XChaCha20Poly1305::new(key.as_slice().into());
        let opened = cipher.decrypt(XNonce::from_slice(&self.nonce), payload).ok()?;
        let opened = Zeroizing::new(opened);
        Some(Seed::from(<[u8; 32]>::try_from(opened.as_slice()).ok()?))
    }

    fn header(&self) -> String {
        format!("{}nonce {}\n", self.derivation.lines(), hex::encode(self.nonce))
    }

    pub(super) fn to_text(&self) -> String {
        format!("{}sealed {}\n", self.header(), hex::encode(self.bytes))
    }

    pub(super) fn from_text(text: &str) -> Result<Self, NotSealed> {
        let mut lines = text.trim_end().lines();
        let mut field = |name: &str| {
            let line = lines.next().ok_or(NotSealed::Form)?;
            line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')).ok_or(NotSealed::Form)
        };
        if field("hidamari-key")? != "1" {
            return Err(NotSealed::Form);
        }
        let cost = read_cost(field("kdf")?)?;
        let salt = market::hash::parse_hex(field("salt")?).map_err(|_| NotSealed::Form)?;
        let nonce = market::hash::parse_hex(field("nonce")?).map_err(|_| NotSealed::Form)?;
        let bytes = market::hash::parse_hex(field("sealed")?).map_err(|_| NotSealed::Form)?;
        if lines.next().is_some() {
            return Err(NotSealed::Form);
        }
        Ok(Self { derivation: Derivation { cost, salt }, nonce, bytes })
    }
}

fn read_cost(text: &str) -> Result<Cost, NotSealed> {
    let number = |part: Option<&str>, name: &str| {
        let digits = part.and_then(|part| part.strip_prefix(name)).ok_or(NotSealed::Form)?;
        digits.parse::<u32>().map_err(|_| NotSealed::Form)
    };
    let mut parts = text.split(' ');
    if parts.next() != Some("argon2id") {
        return Err(NotSealed::Form);
    }
    let cost = Cost {
        memory_kib: number(parts.next(), "m=")?,
        passes: number(parts.next(), "t=")?,
        lanes: number(parts.next(), "p=")?,
    };
    if parts.next().is_some() {
        return Err(NotSealed::Form);
    }
    let sound = (8..=MEMORY_KIB_MAX).contains(&cost.memory_kib)
        && (1..=PASSES_MAX).contains(&cost.passes)
        && (1..=LANES_MAX).contains(&cost.lanes);
    if sound { Ok(cost) } else { Err(NotSealed::Cost(text.to_owned())) }
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
