//! Fingerprints: what two people read to each other to know that they mean the same key.

use std::fmt;
use std::str::FromStr;

use crate::hash::Digest;
use crate::keys::{ChainId, PublicKey};

/// How many digits there are, and how many stand together.
const DIGITS: usize = 24;
const GROUP: usize = 4;

/// Ten to the power of [`DIGITS`].
const RANGE: u128 = 1_000_000_000_000_000_000_000_000;

/// Twenty-four decimal digits that stand for a key in one community: six groups of four, read aloud
/// in any language. About 80 bits of SHA-256, so nobody finds a second key with the same digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u128);

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 24 digits, in six groups of four; found {0} digits")]
pub struct NotAFingerprint(pub usize);

impl Fingerprint {
    /// The first 16 bytes of SHA-256 over domain, chain and key as a big-endian number, modulo
    /// 10^24.
    pub fn of(chain: &ChainId, key: &PublicKey) -> Self {
        let domain = b"hidamari/fingerprint/1";
        let digest = Digest::of(&[domain, chain.as_bytes(), key.as_bytes()]);
        let number = digest.as_bytes().iter().take(16);
        let number = number.fold(0_u128, |sum, byte| sum.wrapping_shl(8) | u128::from(*byte));
        Self(number.checked_rem(RANGE).unwrap_or_default())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0DIGITS$}", self.0);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && at.is_multiple_of(GROUP) {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    /// Reads the digits, wherever spaces or hyphens stand, also in full width as they are typed in
    /// Japanese.
    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let is_gap = |letter: char| letter.is_whitespace() || matches!(letter, '-' | '‐' | 'ー');
        let half_width = |letter: char| match letter {
            '０'..='９' => u32::from(letter).checked_sub(u32::from('０')),
            _ => letter.to_digit(10),
        };
        let letters = text.chars().filter(|letter| !is_gap(*letter));
        let digits: Option<Vec<u32>> = letters.map(half_width).collect();
        let digits = digits.ok_or(NotAFingerprint(0))?;
        if digits.len() != DIGITS {
            return Err(NotAFingerprint(digits.len()));
        }
        let number =
            |sum: u128, digit: &u32| sum.saturating_mul(10).saturating_add(u128::from(*digit));
        Ok(Self(digits.iter().fold(0, number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_back_however_it_is_written() {
        let chain = ChainId::from_bytes([1; 32]);
        let one = Fingerprint::of(&chain, &PublicKey::from_bytes([2; 32]));
        let text = one.to_string();
        assert_eq!(text.len(), 29, "{text}");
        for written in [
            text.clone(),
            text.replace(' ', ""),
            text.replace(' ', " - "),
            text.chars().map(full_width).collect(),
        ] {
            assert_eq!(written.parse(), Ok(one), "{written}");
        }
        for wrong in ["", &text[1..], &format!("{text}0"), &text.replace(' ', "x")] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
        assert_eq!(Fingerprint(7).to_string(), "0000 0000 0000 0000 0000 0007");
    }

    fn full_width(letter: char) -> char {
        let digit = letter.to_digit(10);
        digit.and_then(|digit| char::from_u32('０' as u32 + digit)).unwrap_or('\u{3000}')
    }

    #[test]
    fn another_key_or_community_has_another_fingerprint() {
        let (chain, key) = (ChainId::from_bytes([1; 32]), PublicKey::from_bytes([2; 32]));
        let one = Fingerprint::of(&chain, &key);
        assert_ne!(one, Fingerprint::of(&chain, &PublicKey::from_bytes([3; 32])));
        assert_ne!(one, Fingerprint::of(&ChainId::from_bytes([3; 32]), &key));
    }
}
