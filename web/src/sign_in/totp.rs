//! Codes of an authenticator: time-based one-time passwords (RFC 6238), as every authenticator
//! makes them: HMAC-SHA-1, 30 seconds, 6 digits.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use market::time::Timestamp;
use rand::TryRng as _;
use rand::rngs::SysRng;
use sha1::Sha1;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// How long a code is shown, in ms.
const STEP_MS: i64 = 30_000;

const DIGITS: u32 = 6;

/// What dashboard and authenticator share. It never prints itself and is wiped from memory.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Zeroizing<[u8; 20]>);

impl TotpSecret {
    /// A new one of 160 bits, the length that RFC 4226 recommends.
    ///
    /// # Errors
    /// The system's words if it gives no randomness.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = Zeroizing::new([0; 20]);
        SysRng.try_fill_bytes(bytes.as_mut_slice()).map_err(std::io::Error::other)?;
        Ok(Self(bytes))
    }

    pub(crate) fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// As people type it into an authenticator.
    pub fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(self.0.as_slice()))
    }

    /// As an authenticator reads it from a picture (the key URI format): issuer and account are
    /// what it shows. Whatever is not a letter, a digit, `-`, `.` or `_` is percent-encoded.
    pub fn to_uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
        let secret = self.to_base32();
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&\
             period=30",
            *secret
        ))
    }

    /// The step whose code this is: the present one, or one that is just over or about to begin;
    /// always one after `last`, so that no code counts twice.
    pub fn matching_step(&self, code: &str, now: Timestamp, last: i64) -> Option<i64> {
        let code: String = code.chars().filter(|character| !character.is_whitespace()).collect();
        let present = now.as_millis().div_euclid(STEP_MS);
        let mut found = None;
        for step in [present.saturating_sub(1), present, present.saturating_add(1)] {
            let expected = self.code(step, DIGITS);
            if bool::from(expected.as_bytes().ct_eq(code.as_bytes())) && step > last {
                found = found.or(Some(step));
            }
        }
        found
    }

    /// What the authenticator shows now.
    pub fn code_at(&self, now: Timestamp) -> String {
        self.code(now.as_millis().div_euclid(STEP_MS), DIGITS)
    }

    fn code(&self, step: i64, digits: u32) -> String {
        // A key of any length will do, so there is no error to have.
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(self.0.as_slice()) else {
            return String::new();
        };
        mac.update(&step.to_be_bytes());
        let hash = mac.finalize().into_bytes();
        let offset = usize::from(hash.last().copied().unwrap_or_default() & 0x0f);
        let word = hash.iter().skip(offset).take(4);
        let number = word.fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
        let modulus = 10_u32.saturating_pow(digits).max(1);
        let number = (number & 0x7fff_ffff).checked_rem(modulus).unwrap_or_default();
        format!("{number:0width$}", width = usize::try_from(digits).unwrap_or_default())
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret")
    }
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TotpSecret {
        TotpSecret::from_bytes(*b"12345678901234567890")
    }

    /// RFC 6238, appendix B, the rows of SHA-1.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let rows = [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(secret().code(seconds / 30, 8), expected, "{seconds}");
        }
        assert_eq!(secret().code_at(Timestamp::from_millis(59_000)), "287082");
    }

    #[test]
    fn a_code_counts_once_and_for_a_step_on_either_side() {
        let now = Timestamp::from_millis(1_234_567_890_000);
        let step = 1_234_567_890 / 30;
        let code = secret().code_at(now);
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        for (ms, last, expected) in [
            (0, 0, Some(step)),
            (30_000, 0, Some(step)),
            (-30_000, 0, Some(step)),
            (60_000, 0, None),
            (-60_000, 0, None),
            (0, step, None),
            (0, step - 1, Some(step)),
        ] {
            let at = now.plus_millis(ms);
            assert_eq!(secret().matching_step(&code, at, last), expected, "{ms} {last}");
            assert_eq!(secret().matching_step(&spaced, at, last), expected);
        }
        let huge = "1".repeat(100_000);
        for wrong in ["", "000000", "1234567", "１２３４５６", &huge] {
            assert_eq!(secret().matching_step(wrong, now, 0), None);
        }
    }

    #[test]
    fn an_authenticator_can_read_it_and_a_log_cannot() {
        let uri = secret().to_uri("Sunny Village", "aiko&x");
        assert_eq!(
            *uri,
            "otpauth://totp/Sunny%20Village:aiko%26x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&\
             issuer=Sunny%20Village&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{:?}", secret()), "TotpSecret");
    }
}
