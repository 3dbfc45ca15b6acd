//! The keys themselves: who gets what of so many watt-hours.

use borsh::{BorshDeserialize, BorshSerialize, io};
use std::collections::{BTreeMap, BTreeSet};

use super::sum;
use crate::Overflow;
use crate::clearing::ration::{Claim, apportion, ration};
use crate::hash::Digest;
use crate::member::PartyId;

/// All of what is produced, in the unit of shares.
pub const WHOLE_MILLIONTHS: u32 = 1_000_000;

/// Who gets what of the energy that is shared.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum SharingKey {
    /// Fixed shares of what is produced.
    Static(Shares) = 1,
    /// In proportion to consumption.
    ProRata = 2,
    /// One after the other.
    Priority(Ranking) = 3,
    /// Fixed shares first, the rest in proportion to consumption that they have not met.
    Hybrid(Shares) = 4,
}

/// Fixed shares of what is produced, in millionths by party: each above zero, together at most
/// [`WHOLE_MILLIONTHS`]. What is missing to the whole belongs to nobody.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct Shares(BTreeMap<PartyId, u32>);

/// Who comes before whom; nobody twice.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct Ranking(Vec<PartyId>);

/// Parameters that are not a sharing key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Nobody has a share or a rank.
    #[error("a sharing key must name at least one party")]
    Nobody,
    /// A share of nothing.
    #[error("the share of party {0} is zero; leave the party out")]
    NoShare(PartyId),
    /// More than everything is given away.
    #[error("the shares sum to {0} millionths, more than the whole of {WHOLE_MILLIONTHS}")]
    BeyondWhole(u64),
    /// A party has two ranks.
    #[error("party {0} has two ranks")]
    RankedTwice(PartyId),
}

impl Shares {
    /// From shares in millionths.
    ///
    /// # Errors
    /// [`NotAKey`] unless there is at least one, none is zero, and together they are at most one.
    pub fn new(millionths: BTreeMap<PartyId, u32>) -> Result<Self, NotAKey> {
        if let Some((party, _)) = millionths.iter().find(|(_, share)| **share == 0) {
            return Err(NotAKey::NoShare(*party));
        }
        let shares = millionths.values().map(|share| u64::from(*share));
        let sum = shares.fold(0_u64, u64::saturating_add);
        if sum == 0 {
            Err(NotAKey::Nobody)
        } else if sum > u64::from(WHOLE_MILLIONTHS) {
            Err(NotAKey::BeyondWhole(sum))
        } else {
            Ok(Self(millionths))
        }
    }

    /// In millionths, by party.
    pub fn millionths(&self) -> &BTreeMap<PartyId, u32> {
        &self.0
    }

    /// What each party is entitled to of `produced` Wh: its exact share to within one watt-hour,
    /// and together never more than there is.
    fn entitlements(
        &self,
        produced: i64,
        salt: &Digest,
    ) -> Result<BTreeMap<PartyId, i64>, Overflow> {
        let whole = i64::from(WHOLE_MILLIONTHS);
        let given = self.0.values().fold(0_i64, |sum, share| sum.saturating_add((*share).into()));
        let claim = |(party, share): (&PartyId, &u32)| Claim {
            who: Some(*party),
            energy: i64::from(*share),
        };
        // What nobody holds takes part in the rounding, so that it is not given away.
        let nobody = Claim { who: None, energy: whole.saturating_sub(given) };
        let claims: Vec<_> = self.0.iter().map(claim).chain([nobody]).collect();
        let name = |who: &Option<PartyId>| who.as_ref().map(party_lot).unwrap_or_default();
        let parts = apportion(&claims, whole, produced, salt, name)?;
        Ok(claims.iter().zip(parts).filter_map(|(claim, part)| Some((claim.who?, part))).collect())
    }
}

impl Ranking {
    /// From the first to the last.
    ///
    /// # Errors
    /// [`NotAKey`] unless there is at least one party and none has two ranks.
    pub fn new(first_to_last: Vec<PartyId>) -> Result<Self, NotAKey> {
        let mut seen = BTreeSet::new();
        match first_to_last.iter().find(|party| !seen.insert(**party)) {
            Some(twice) => Err(NotAKey::RankedTwice(*twice)),
            None if first_to_last.is_empty() => Err(NotAKey::Nobody),
            None => Ok(Self(first_to_last)),
        }
    }

    /// From the first to the last.
    pub fn first_to_last(&self) -> &[PartyId] {
        &self.0
    }
}

/// The name under which a party draws its lot.
fn party_lot(party: &PartyId) -> Digest {
    Digest::of(&[b"hidamari/party/1", party.as_bytes()])
}

/// A party that takes part as a consumer.
pub(super) struct Consumer {
    pub(super) party: PartyId,
    /// Wh.
    pub(super) wanted: i64,
}

impl SharingKey {
    /// What each consumer gets of `produced` Wh.
    pub(super) fn allot(
        &self,
        consumers: &[Consumer],
        produced: i64,
        salt: &Digest,
    ) -> Result<Vec<i64>, Overflow> {
        match self {
            Self::ProRata => then_pro_rata(vec![0; consumers.len()], consumers, produced, salt),
            Self::Static(shares) => entitled(shares, consumers, produced, salt),
            Self::Priority(ranking) => {
                let first = ranked(ranking, consumers, produced);
                then_pro_rata(first, consumers, produced, salt)
            }
            Self::Hybrid(shares) => {
                let first = entitled(shares, consumers, produced, salt)?;
                then_pro_rata(first, consumers, produced, salt)
            }
        }
    }
}

/// By fixed shares.
fn entitled(
    shares: &Shares,
    consumers: &[Consumer],
    produced: i64,
    salt: &Digest,
) -> Result<Vec<i64>, Overflow> {
    let entitlements = shares.entitlements(produced, salt)?;
    let part = |consumer: &Consumer| {
        entitlements.get(&consumer.party).map_or(0, |entitled| consumer.wanted.min(*entitled))
    };
    Ok(consumers.iter().map(part).collect())
}

/// One after the other; nothing for those without a rank. Those with one are then served in full or
/// nothing is left for anybody.
fn ranked(ranking: &Ranking, consumers: &[Consumer], produced: i64) -> Vec<i64> {
    let ranks: BTreeMap<_, _> = ranking.0.iter().zip(0_usize..).collect();
    let at_rank = consumers.iter().enumerate();
    let at_rank = at_rank.map(|(at, consumer)| (ranks.get(&consumer.party), at, consumer));
    let mut in_rank: Vec<_> = at_rank.filter(|(rank, ..)| rank.is_some()).collect();
    in_rank.sort_unstable_by_key(|(rank, at, _)| (*rank, *at));
    let (mut left, mut parts) = (produced, vec![0; consumers.len()]);
    for (_, at, consumer) in in_rank {
        let part = consumer.wanted.min(left);
        left = left.saturating_sub(part);
        if let Some(entry) = parts.get_mut(at) {
            *entry = part;
        }
    }
    parts
}

/// Adds what is left of `produced` to `first`, in proportion to consumption not yet met, and at
/// most that.
fn then_pro_rata(
    first: Vec<i64>,
    consumers: &[Consumer],
    produced: i64,
    salt: &Digest,
) -> Result<Vec<i64>, Overflow> {
    let left = produced.saturating_sub(sum(first.iter().copied())?);
    let unmet = |(consumer, met): (&Consumer, &i64)| Claim {
        who: consumer.party,
        energy: consumer.wanted.saturating_sub(*met),
    };
    let claims: Vec<_> = consumers.iter().zip(&first).map(unmet).collect();
    let rest = ration(&claims, left, salt, party_lot)?;
    Ok(first.into_iter().zip(rest).map(|(first, rest)| first.saturating_add(rest)).collect())
}

impl BorshDeserialize for Shares {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        Self::new(BTreeMap::deserialize_reader(reader)?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl BorshDeserialize for Ranking {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        Self::new(Vec::deserialize_reader(reader)?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
