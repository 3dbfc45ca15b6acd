//! Invitations as people hand them over: one line of text with a checksum.
//!
//! ```text
//! "hidamari1" | base32 ( borsh ( Content ) | first 4 bytes of its SHA-256 )
//! ```
//!
//! Base32 is that of RFC 4648 in lower case without padding. Whoever has the line can ask to join,
//! once; whom the community takes in is decided by the fingerprint that the operator compares.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;
use market::keys::{ChainId, PublicKey, SigningKey};
use market::time::Timestamp;
use mesh::Multiaddr;
use mesh::key_file::Seed;
use zeroize::Zeroizing;

const PREFIX: &str = "hidamari1";
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const CHECKSUM_BYTES: usize = 4;
/// More addresses than this make a line that nobody can paste.
pub(crate) const ADDRESSES_MAX: usize = 4;

/// What a household needs to find its community and to ask to join.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Invitation {
    /// What people call the community.
    pub(crate) community: String,
    /// The hash of its genesis.
    pub(crate) chain: ChainId,
    /// Where to join the mesh.
    pub(crate) bootstrap: Vec<Multiaddr>,
    /// The invitation's key.
    pub(crate) seed: Seed,
    /// Until when it can be used.
    pub(crate) expires_at: Timestamp,
}

/// As it is encoded.
#[derive(BorshSerialize, BorshDeserialize)]
struct Content {
    community: String,
    chain: ChainId,
    bootstrap: Vec<Vec<u8>>,
    seed: [u8; 32],
    expires_at: Timestamp,
}

/// A text that is no invitation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAnInvitation {
    #[error("an invitation begins with \"{PREFIX}\"; copy it whole, from there to its last letter")]
    Prefix,
    #[error("letter {0} of the invitation is none that invitations have; copy it once more")]
    Letter(usize),
    #[error(
        "the invitation is damaged or cut off: its checksum does not match; copy it once more, \
         whole"
    )]
    Checksum,
    #[error("the invitation is whole, but of a kind that this program does not know; update it")]
    Unknown,
}

impl Invitation {
    /// The key that the household joins with.
    pub(crate) fn signing_key(&self) -> SigningKey {
        SigningKey::from_seed(&self.seed)
    }

    /// How the ledger knows the invitation.
    pub(crate) fn public(&self) -> PublicKey {
        self.signing_key().public()
    }

    /// The line that is handed over. It is a secret until it is used.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let content = Content {
            community: self.community.clone(),
            chain: self.chain,
            bootstrap: self.bootstrap.iter().map(Multiaddr::to_vec).collect(),
            seed: *self.seed,
            expires_at: self.expires_at,
        };
        let mut bytes = Zeroizing::new(borsh::to_vec(&content).unwrap_or_default());
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        Zeroizing::new(format!("{PREFIX}{}", base32(&bytes).as_str()))
    }

    /// Reads an invitation that is given as such, or as the name of a file that holds one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn given(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with(PREFIX) {
            return text.parse().map_err(|error: NotAnInvitation| error.to_string());
        }
        let read = std::fs::read_to_string(Path::new(text)).map(Zeroizing::new);
        let read = read.map_err(|error| format!("{}; {text}: {error}", NotAnInvitation::Prefix))?;
        // The line, wherever it stands in the file.
        let found = read.lines().find_map(|line| line.find(PREFIX).and_then(|at| line.get(at..)));
        let found = found.ok_or_else(|| format!("{text} holds no invitation"))?;
        let letters = found.split(|letter: char| !letter.is_ascii_alphanumeric()).next();
        letters.unwrap_or_default().parse().map_err(|error| format!("{text}: {error}"))
    }
}

impl FromStr for Invitation {
    type Err = NotAnInvitation;

    /// Reads it, whatever its case and wherever lines were broken on the way.
    fn from_str(text: &str) -> Result<Self, NotAnInvitation> {
        let letters = text.chars().filter(|letter| !letter.is_whitespace());
        let text =
            Zeroizing::new(letters.map(|letter| letter.to_ascii_lowercase()).collect::<String>());
        let data = text.strip_prefix(PREFIX).ok_or(NotAnInvitation::Prefix)?;
        let bytes =
            from_base32(data).map_err(|at| NotAnInvitation::Letter(PREFIX.len() + at + 1))?;
        let split = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(NotAnInvitation::Checksum)?;
        let (content, found) = bytes.split_at(split);
        if checksum(content) != found {
            return Err(NotAnInvitation::Checksum);
        }
        let content: Content = borsh::from_slice(content).map_err(|_| NotAnInvitation::Unknown)?;
        let addresses = content.bootstrap.into_iter().map(Multiaddr::try_from);
        Ok(Self {
            community: content.community,
            chain: content.chain,
            bootstrap: addresses.collect::<Result<_, _>>().map_err(|_| NotAnInvitation::Unknown)?,
            seed: Seed::from(content.seed),
            expires_at: content.expires_at,
        })
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation {} to {:?}", self.public(), self.community)
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut checksum = [0; CHECKSUM_BYTES];
    let digest = Digest::of(&[b"hidamari/invitation/1", bytes]);
    checksum.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    checksum
}

fn base32(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 8 / 5 + 1));
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(letter(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(letter(held << (5 - bits)));
    }
    text
}

fn letter(value: u32) -> char {
    let at = usize::try_from(value & 31).unwrap_or_default();
    char::from(ALPHABET.get(at).copied().unwrap_or(b'a'))
}

/// The bytes, or the place of the first letter that is none.
fn from_base32(text: &str) -> Result<Zeroizing<Vec<u8>>, usize> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let (mut held, mut bits) = (0_u32, 0_u32);
    for (at, letter) in text.bytes().enumerate() {
        let value = ALPHABET.iter().position(|known| *known == letter).ok_or(at)?;
        held = held << 5 | u32::try_from(value).unwrap_or_default();
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).unwrap_or_default());
        }
        held &= (1 << bits) - 1;
    }
    // What fills up the last letter is nothing.
    if held != 0 {
        return Err(text.len().saturating_sub(1));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation() -> Invitation {
        Invitation {
            community: "陽だまり".to_owned(),
            chain: ChainId::from_bytes([7; 32]),
            bootstrap: vec!["/ip4/192.0.2.7/tcp/4001".parse().unwrap()],
            seed: Seed::from([0xc5; 32]),
            expires_at: Timestamp::from_millis(1_800_000_000_000),
        }
    }

    #[test]
    fn an_invitation_survives_mail_and_copying() {
        let text = invitation().to_text();
        assert!(text.starts_with("hidamari1"), "{}", *text);
        assert_eq!(text.parse(), Ok(invitation()));
        let wrapped: String = text
            .chars()
            .enumerate()
            .flat_map(|(at, c)| [Some(c), (at % 60 == 59).then_some('\n')])
            .flatten()
            .collect();
        assert_eq!(wrapped.to_uppercase().parse(), Ok(invitation()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("house.toml");
        std::fs::write(&path, format!("# for you\ninvitation = \"{}\"\n", *text)).unwrap();
        assert_eq!(Invitation::given(path.to_str().unwrap()), Ok(invitation()));
    }

    #[test]
    fn every_slip_is_noticed() {
        let text = invitation().to_text();
        for at in PREFIX.len()..text.len() {
            let mut slip = text.as_bytes().to_vec();
            slip[at] = if slip[at] == b'a' { b'b' } else { b'a' };
            let slip = String::from_utf8(slip).unwrap();
            assert!(slip.parse::<Invitation>().is_err(), "letter {at}");
        }
        for cut in 0..text.len() {
            assert!(text[..cut].parse::<Invitation>().is_err(), "cut at {cut}");
        }
        assert_eq!("hidamari1ab0".parse::<Invitation>(), Err(NotAnInvitation::Letter(12)));
    }

    #[test]
    fn an_invitation_does_not_print_its_secret() {
        let printed = format!("{:?} {:#?}", invitation(), invitation());
        for canary in ["c5c5", "197, 197", "hidamari1"] {
            assert!(!printed.contains(canary), "{printed}");
        }
        let key = invitation().signing_key();
        assert!(!format!("{key:?}").contains("c5c5"));
    }
}
