//! Operators' passwords, as Argon2id (RFC 9106) with a salt of their own.

use argon2::{Algorithm, Argon2, Params, Version};
use rand::TryRng as _;
use rand::rngs::SysRng;
use subtle::ConstantTimeEq as _;

/// The least that OWASP's password storage cheat sheet asks for: 19 MiB, two passes, one lane.
const COST: Cost = Cost { memory_kib: 19_456, passes: 2, lanes: 1 };

/// Characters, at least. With a second factor; no rule about kinds of characters.
pub const PASSWORD_LENGTH_MIN: usize = 15;

/// Bytes, at most: what is longer is no password.
pub const PASSWORD_BYTES_MAX: usize = 512;

/// How expensive guessing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

/// What is kept of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash {
    pub(crate) cost: Cost,
    pub(crate) salt: [u8; 16],
    pub(crate) hash: [u8; 32],
}

/// Why a new password is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefused {
    /// It is guessed too fast.
    #[error("the password has {found} characters; choose one of at least {PASSWORD_LENGTH_MIN}")]
    TooShort {
        /// How many characters it has.
        found: usize,
    },
    /// No person types this.
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// It says what everybody tries first.
    #[error("the password is built from the name, the word hidamari or very few characters")]
    Guessable,
}

/// Judges a new password.
///
/// # Errors
/// [`PasswordRefused`] says what to change.
pub fn check_new_password(name: &str, password: &str) -> Result<(), PasswordRefused> {
    let found = password.chars().count();
    if found < PASSWORD_LENGTH_MIN {
        return Err(PasswordRefused::TooShort { found });
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordRefused::TooLong);
    }
    let rest = password.to_lowercase().replace(&name.to_lowercase(), "").replace("hidamari", "");
    let kinds: std::collections::BTreeSet<char> = rest.chars().collect();
    if rest.chars().count() < PASSWORD_LENGTH_MIN / 2 || kinds.len() < 5 {
        return Err(PasswordRefused::Guessable);
    }
    Ok(())
}

impl PasswordHash {
    /// Of a new password, with a new salt.
    ///
    /// # Errors
    /// The system's words, if it gives no randomness or memory.
    pub(crate) fn new(password: &str) -> std::io::Result<Self> {
        let mut salt = [0; 16];
        SysRng.try_fill_bytes(&mut salt).map_err(std::io::Error::other)?;
        let hash = derive(COST, &salt, password)?;
        Ok(Self { cost: COST, salt, hash })
    }

    /// What a name that nobody has is checked against: it takes as long, and nothing fits.
    pub(crate) fn of_nobody() -> Self {
        Self { cost: COST, salt: [0; 16], hash: [0; 32] }
    }

    /// Whether it is the password.
    ///
    /// # Errors
    /// The system's words, if it gives no memory.
    pub(crate) fn fits(&self, password: &str) -> std::io::Result<bool> {
        let hash = derive(self.cost, &self.salt, password)?;
        Ok(bool::from(hash.ct_eq(&self.hash)))
    }
}

fn derive(cost: Cost, salt: &[u8; 16], password: &str) -> std::io::Result<[u8; 32]> {
    let Cost { memory_kib, passes, lanes } = cost;
    let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(unhashable)?;
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut hash)
        .map_err(unhashable)?;
    Ok(hash)
}

fn unhashable(error: argon2::Error) -> std::io::Error {
    std::io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_fits_and_nothing_else_does() {
        let made = PasswordHash::new("correct horse battery").unwrap();
        assert!(made.fits("correct horse battery").unwrap());
        for other in ["correct horse batterY", "", "correct horse battery ", "日本語"] {
            assert!(!made.fits(other).unwrap(), "{other}");
        }
        assert_ne!(made, PasswordHash::new("correct horse battery").unwrap(), "salted");
        assert!(!PasswordHash::of_nobody().fits("").unwrap());
    }

    #[test]
    fn a_new_password_is_long_and_not_the_name() {
        assert_eq!(check_new_password("aiko", "tsuyu no hare ma ni"), Ok(()));
        assert_eq!(check_new_password("aiko", "梅雨の晴れ間に洗濯物を干す人々"), Ok(()));
        let short = PasswordRefused::TooShort { found: 14 };
        assert_eq!(check_new_password("aiko", "tsuyu no hare "), Err(short));
        let long = "ab cd ef".repeat(100);
        assert_eq!(check_new_password("aiko", &long), Err(PasswordRefused::TooLong));
        for guessable in ["aikoAIKOaikoAIKO", "hidamari-aiko-hidamari", "aaaaaaaaaaaaaaaa1"] {
            assert_eq!(check_new_password("aiko", guessable), Err(PasswordRefused::Guessable));
        }
    }
}
