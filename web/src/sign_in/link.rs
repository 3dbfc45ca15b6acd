//! One-time links: a claim that a household's agent signs, and its text.
//!
//! ```text
//! https://energy.example.org/sign-in#<base64url of borsh(Envelope<SignInClaim>)>
//! ```
//!
//! The claim stands behind `#`, so that browsers send it to nobody by themselves: it is in no log
//! of a proxy and in no `Referer`. The page posts it once.

use borsh::{BorshDeserialize, BorshSerialize};
use data_encoding::BASE64URL_NOPAD;
use market::keys::{ChainId, SigningKey};
use market::member::PartyId;
use market::signed::{Envelope, Signable, Signed};
use market::time::Timestamp;
use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::origin::WebOrigin;

/// How long an agent's link holds: time enough to carry it to another device.
const LIFETIME_MS: i64 = 5 * 60_000;

/// How far ahead a link may end at most: its lifetime, and clocks that differ by as much.
const LIFETIME_MAX_MS: i64 = 2 * LIFETIME_MS;

/// More characters than any link has.
const TEXT_MAX: usize = 2_048;

/// The place of the page that takes a link.
const PAGE: &str = "/sign-in";

/// What an agent says: whoever sends this once, to this dashboard, before this instant, is the
/// household.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignInClaim {
    party: PartyId,
    /// The dashboard's origin in its normal form. Another dashboard cannot use the claim here.
    origin: String,
    /// Real time, not market time.
    expires_at: Timestamp,
    nonce: [u8; 16],
}

impl Signable for SignInClaim {
    const DOMAIN: &'static str = "hidamari/dashboard-sign-in/1";
}

/// Why a link lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkRefused {
    /// Nothing that an agent made.
    #[error("this is no sign-in link; copy the whole of it")]
    NotALink,
    /// No active member, or not its key.
    #[error("the link is not signed by a member of this community")]
    NotAMember,
    /// Made for another dashboard.
    #[error("the link is for another dashboard or another address of this one")]
    OtherDashboard,
    /// Too late.
    #[error("the link has expired")]
    Expired,
    /// Its clock, or its maker's, is wrong.
    #[error("the link holds for longer than it may; set the clocks of the agent and the dashboard")]
    TooLong,
    /// Somebody has used it.
    #[error("the link has been used already")]
    Used,
}

/// A claim of a member, checked but not used yet. Its only door is [`check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedLink {
    pub(crate) party: PartyId,
    /// Names the claim, whatever its signature.
    pub(crate) id: String,
    pub(crate) expires_at: Timestamp,
}

/// A link with which a household signs in to a dashboard once, within five minutes of real time.
///
/// # Errors
/// The system's words if it gives no randomness.
pub fn sign_in_link(
    party: PartyId,
    key: &SigningKey,
    chain: &ChainId,
    dashboard: &WebOrigin,
    now: Timestamp,
) -> std::io::Result<String> {
    let mut nonce = [0; 16];
    SysRng.try_fill_bytes(&mut nonce).map_err(std::io::Error::other)?;
    let expires_at = now.plus_millis(LIFETIME_MS);
    let claim = SignInClaim { party, origin: dashboard.to_string(), expires_at, nonce };
    let envelope = Signed::sign(claim, chain, key).into_envelope();
    let bytes = borsh::to_vec(&envelope)?;
    Ok(format!("{dashboard}{PAGE}#{}", BASE64URL_NOPAD.encode(&bytes)))
}

/// Checks a link, given whole or from behind its `#`. `key_of` knows the keys of active members.
///
/// # Errors
/// [`LinkRefused`]. Only whoever holds a link that a member signed learns more than that it does
/// not hold.
pub(crate) fn check(
    text: &str,
    chain: &ChainId,
    origin: &WebOrigin,
    now: Timestamp,
    key_of: impl Fn(&PartyId) -> Option<market::keys::PublicKey>,
) -> Result<CheckedLink, LinkRefused> {
    let text = text.trim();
    let text = text.rsplit_once('#').map_or(text, |(_, claim)| claim);
    if text.len() > TEXT_MAX {
        return Err(LinkRefused::NotALink);
    }
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| LinkRefused::NotALink)?;
    let envelope: Envelope<SignInClaim> =
        borsh::from_slice(&bytes).map_err(|_| LinkRefused::NotALink)?;
    let key = key_of(&envelope.unverified().party).ok_or(LinkRefused::NotAMember)?;
    let signed = envelope.verify(chain, &key).map_err(|_| LinkRefused::NotAMember)?;
    let claim = signed.payload();
    if claim.origin != origin.to_string() {
        return Err(LinkRefused::OtherDashboard);
    }
    match claim.expires_at.millis_since(now) {
        ..=0 => Err(LinkRefused::Expired),
        1..=LIFETIME_MAX_MS => Ok(CheckedLink {
            party: claim.party,
            id: signed.id().to_string(),
            expires_at: claim.expires_at,
        }),
        _ => Err(LinkRefused::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_781_449_200_000);

    fn origin(text: &str) -> WebOrigin {
        text.parse().unwrap()
    }

    fn checked(link: &str, chain: u8, at: &str, now: Timestamp) -> Result<PartyId, LinkRefused> {
        let key = SigningKey::from_seed(&[7; 32]).public();
        let known = |party: &PartyId| (*party == PartyId::from_bytes([1; 16])).then_some(key);
        check(link, &ChainId::from_bytes([chain; 32]), &origin(at), now, known)
            .map(|link| link.party)
    }

    fn made(party: u8, seed: u8) -> String {
        let (party, key) = (PartyId::from_bytes([party; 16]), SigningKey::from_seed(&[seed; 32]));
        let here = origin("https://energy.example.org");
        sign_in_link(party, &key, &ChainId::from_bytes([9; 32]), &here, NOW).unwrap()
    }

    #[test]
    fn a_link_holds_for_one_party_one_community_one_dashboard_and_a_while() {
        let here = "https://energy.example.org";
        let link = made(1, 7);
        assert!(link.starts_with("https://energy.example.org/sign-in#"), "{link}");
        let party = PartyId::from_bytes([1; 16]);
        assert_eq!(checked(&link, 9, here, NOW), Ok(party));
        let claim = link.split('#').next_back().unwrap();
        assert_eq!(checked(&format!(" {claim}\n"), 9, here, NOW), Ok(party));
        assert_ne!(link, made(1, 7), "each is another");
        assert_eq!(checked(&link, 8, here, NOW), Err(LinkRefused::NotAMember));
        assert_eq!(checked(&made(2, 7), 9, here, NOW), Err(LinkRefused::NotAMember));
        assert_eq!(checked(&made(1, 6), 9, here, NOW), Err(LinkRefused::NotAMember));
        for other in
            ["http://energy.example.org", "https://energy.example.org:8443", "https://evil.example"]
        {
            assert_eq!(checked(&link, 9, other, NOW), Err(LinkRefused::OtherDashboard));
        }
        let after = |ms| checked(&link, 9, here, NOW.plus_millis(ms));
        assert_eq!(after(LIFETIME_MS - 1), Ok(party));
        assert_eq!(after(LIFETIME_MS), Err(LinkRefused::Expired));
        assert_eq!(after(-LIFETIME_MS), Ok(party), "an agent's clock may be fast");
        assert_eq!(after(-LIFETIME_MS - 1), Err(LinkRefused::TooLong));
        assert_eq!(after(i64::MIN), Err(LinkRefused::TooLong));
    }

    #[test]
    fn junk_is_no_link() {
        let long = "A".repeat(100_000);
        let link = made(1, 7);
        let cut = &link[..link.len() - 1];
        let texts = ["", "#", "x", "日本語", "%%%", "AAAA", &long, cut, &format!("{link}AAAA")];
        for text in texts {
            let found = checked(text, 9, "https://energy.example.org", NOW);
            assert_eq!(found, Err(LinkRefused::NotALink), "{text}");
        }
    }

    #[test]
    fn no_flipped_bit_lets_anybody_in() {
        let link = made(1, 7);
        let bytes = BASE64URL_NOPAD.decode(link.split('#').next_back().unwrap().as_bytes());
        let bytes = bytes.unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let text = BASE64URL_NOPAD.encode(&flipped);
            assert!(checked(&text, 9, "https://energy.example.org", NOW).is_err(), "bit {bit}");
        }
    }
}
