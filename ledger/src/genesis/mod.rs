//! Genesis: what a community agreed on before its first block. Its hash names the chain.

mod file;
mod rules_file;
pub(crate) mod soundness;

use borsh::{BorshDeserialize, BorshSerialize};
use market::clearing::ClearingError;
use market::hash::Digest;
use market::keys::{ChainId, PublicKey, SignatureError};
use market::member::{ENERGY_MAX_PER_PERIOD, Membership, MeteringPointId, PartyId};
use market::rules::{MarketRules, RulesError};
use market::schedule::Schedule;
use market::time::Timestamp;
use market::zone::{ZoneId, ZoneTree};
use std::collections::BTreeMap;

pub use file::{GenesisFileError, read, toml_problem, write};
pub use rules_file::read_tariff;

use crate::acts::{Invitation, Operators, Purpose};
use crate::validators::ValidatorSet;
use soundness::TURNOVER_MAX_MICROS;

/// What a community agreed on. Its one door is [`Genesis::check`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Genesis {
    /// What people call the community; 1 to 64 characters.
    pub name: String,
    /// ISO 4217 code of the currency, three capital letters.
    pub currency: String,
    /// IANA name of the time zone in which people see local days, for example `Europe/Berlin`.
    pub time_zone: String,
    /// Market time before which there is no block.
    pub starts_at: Timestamp,
    /// How the community trades.
    pub rules: MarketRules,
    /// The grid.
    pub zones: ZoneTree,
    /// How often a block is made when nobody says anything, in milliseconds of market time.
    pub heartbeat_ms: u64,
    /// How far a proposed block's time may lie from a validator's clock, in milliseconds of market
    /// time.
    pub block_drift_max_ms: u64,
    /// Who decides the first height.
    pub validators: ValidatorSet,
    /// Who signs what operators answer for, and how many have to approve settlements.
    pub operators: Operators,
    /// The first members.
    pub members: Membership,
    /// Households that are invited to join, by the public half of the key they were given.
    pub invitations: BTreeMap<PublicKey, Invitation>,
}

/// Why a genesis does not found a community.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// A text of the wrong form.
    #[error("{field} must be {expected}, but it is {found:?}")]
    Text {
        /// Which field.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// The rules contradict each other.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A key that cannot be trusted.
    #[error("{whose}: {error}")]
    Key {
        /// Whose key.
        whose: String,
        /// What is wrong.
        error: SignatureError,
    },
    /// An invitation that is not simply open to a new member.
    #[error("invitation {invitation}: {problem}")]
    Invitation {
        /// Its key.
        invitation: PublicKey,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A member in a zone that does not exist.
    #[error("member {party} sits in zone {zone:?}, which does not exist")]
    UnknownZone {
        /// The member.
        party: PartyId,
        /// The zone.
        zone: ZoneId,
    },
    /// A metering point that belongs to two members.
    #[error("metering point {0} belongs to two members")]
    SharedMeteringPoint(MeteringPointId),
    /// A limit outside its range.
    #[error("member {party}: import_max and export_max must be 0 to {ENERGY_MAX_PER_PERIOD}")]
    Limit {
        /// The member.
        party: PartyId,
    },
    /// More money could move than 64 bits hold.
    #[error(
        "all members at their limits and at the extreme price would turn over {turnover_micros} \
         millionths of the currency in one period, beyond {TURNOVER_MAX_MICROS}: lower the \
         members' import_max and export_max, or the largest of price_min, price_max and the tariffs"
    )]
    Turnover {
        /// How much, in micro-units of the currency.
        turnover_micros: i128,
    },
    /// A time span of nothing.
    #[error("{0} must be above 0")]
    Zero(&'static str),
    /// A mechanism that does not fit the grid, now or from a later period on.
    #[error(transparent)]
    Mechanism(ClearingError),
}

impl Genesis {
    /// The chain's name: SHA-256 over a domain and the canonical bytes.
    pub fn chain_id(&self) -> ChainId {
        let bytes = borsh::to_vec(self).unwrap_or_default();
        ChainId::from_bytes(*Digest::of(&[b"hidamari/genesis/1", &bytes]).as_bytes())
    }

    /// Checks everything that later code relies on.
    ///
    /// # Errors
    /// [`GenesisError`] names the first thing that does not fit.
    pub fn check(&self) -> Result<(), GenesisError> {
        check_text("name", "1 to 64 characters", &self.name, |name| {
            (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control)
        })?;
        check_text("currency", "three capital letters", &self.currency, |code| {
            code.len() == 3 && code.bytes().all(|letter| letter.is_ascii_uppercase())
        })?;
        check_text("time_zone", "an IANA time zone name", &self.time_zone, |zone| {
            (1..=64).contains(&zone.len()) && zone.bytes().all(|b| b.is_ascii_graphic())
        })?;
        for (name, span_ms) in
            [("heartbeat", self.heartbeat_ms), ("block_drift_max", self.block_drift_max_ms)]
        {
            if span_ms == 0 {
                return Err(GenesisError::Zero(name));
            }
        }
        for (party, member) in &self.members {
            let strong = member.key.check_strong();
            strong
                .map_err(|error| GenesisError::Key { whose: format!("member {party}"), error })?;
        }
        let members = self.members_with_invited()?;
        let zones = Schedule::always(self.zones.clone());
        soundness::check(&self.rules, &zones, &members, self.starts_at)
    }

    /// The members as if everybody who is invited had joined: there must be room for all of them.
    fn members_with_invited(&self) -> Result<Membership, GenesisError> {
        let mut members = self.members.clone();
        for (invitation, invited) in &self.invitations {
            let wrong = |problem| GenesisError::Invitation { invitation: *invitation, problem };
            let strong = invitation.check_strong();
            strong
                .map_err(|error| GenesisError::Key { whose: "an invitation".to_owned(), error })?;
            if *invited != Invitation::open(invited.purpose.clone(), invited.expires_at) {
                return Err(wrong("nobody can have joined before the first block"));
            }
            if invited.expires_at <= self.starts_at {
                return Err(wrong("it must expire after the community begins"));
            }
            let Purpose::NewMember { party, .. } = invited.purpose else {
                return Err(wrong("before the first block only new members can be invited"));
            };
            let member = invited.purpose.member(*invitation, None);
            if members.contains_key(&party) {
                return Err(wrong("its party is a member or invited already"));
            }
            members.extend(member.map(|member| (party, member)));
        }
        Ok(members)
    }
}

fn check_text(
    field: &'static str,
    expected: &'static str,
    found: &str,
    fits: impl Fn(&str) -> bool,
) -> Result<(), GenesisError> {
    if fits(found) {
        Ok(())
    } else {
        Err(GenesisError::Text { field, expected, found: found.to_owned() })
    }
}
