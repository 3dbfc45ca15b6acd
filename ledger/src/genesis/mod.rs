//! Genesis: what a community agreed on before its first block. Its hash names the chain.

mod file;
mod rules_file;

use borsh::{BorshDeserialize, BorshSerialize};
use market::clearing::ClearingError;
use market::hash::Digest;
use market::keys::{ChainId, PublicKey, SignatureError};
use market::member::{ENERGY_MAX_PER_PERIOD, Membership, MeteringPointId, PartyId};
use market::rules::{MarketRules, RulesError};
use market::tariff::Tariff;
use market::time::Timestamp;
use market::zone::{ZoneId, ZoneTree};
use std::collections::BTreeSet;

pub use file::{GenesisFileError, read, toml_problem, write};

use crate::validators::ValidatorSet;

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
    /// Signs what the operator answers for.
    pub operator: PublicKey,
    /// The first members.
    pub members: Membership,
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
        self.rules.check()?;
        for (name, span_ms) in
            [("heartbeat", self.heartbeat_ms), ("block_drift_max", self.block_drift_max_ms)]
        {
            if span_ms == 0 {
                return Err(GenesisError::Zero(name));
            }
        }
        for mechanism in self.rules.mechanism.values() {
            mechanism.check_grid(&self.zones).map_err(GenesisError::Mechanism)?;
        }
        let sound = |whose: &str, key: &PublicKey| {
            key.check_strong().map_err(|error| GenesisError::Key { whose: whose.to_owned(), error })
        };
        sound("operator", &self.operator)?;
        let mut points = BTreeSet::new();
        for (party, member) in &self.members {
            sound(&format!("member {party}"), &member.key)?;
            if self.zones.zone(member.zone).is_none() {
                return Err(GenesisError::UnknownZone { party: *party, zone: member.zone });
            }
            if !points.insert(member.metering_point) {
                return Err(GenesisError::SharedMeteringPoint(member.metering_point));
            }
            for limit in [member.import_max, member.export_max] {
                if limit.is_negative() || limit > ENERGY_MAX_PER_PERIOD {
                    return Err(GenesisError::Limit { party: *party });
                }
            }
        }
        self.check_turnover()
    }

    /// Sums of money stay inside 64 bits, so that no admitted order or reading can make a clearing,
    /// a settlement or an account overflow and thereby stop the chain.
    fn check_turnover(&self) -> Result<(), GenesisError> {
        let rules = &self.rules;
        let limits = [rules.price_min, rules.price_max];
        let limits = limits.iter().map(|price| price.micros_per_kwh().unsigned_abs());
        let tariffs = rules.tariffs.values().map(Tariff::magnitude);
        // What the grid takes on the longest way, twice: up from the seller and down to the buyer.
        let charges = self.zones.iter().filter_map(|(_, zone)| zone.edge);
        let charges = charges.map(|edge| edge.charge.micros_per_kwh().unsigned_abs());
        let charges = charges.fold(0_u64, u64::saturating_add);
        let extreme = limits.chain(tariffs).max().unwrap_or_default();
        let extreme = i128::from(extreme).saturating_add(i128::from(charges));
        let limits = self.members.values().flat_map(|m| [m.import_max, m.export_max]);
        let energy_wh: i128 = limits.map(|limit| i128::from(limit.wh())).sum();
        let turnover_micros = energy_wh.saturating_mul(extreme).div_euclid(1_000);
        if turnover_micros > TURNOVER_MAX_MICROS {
            return Err(GenesisError::Turnover { turnover_micros });
        }
        Ok(())
    }
}

/// The most that may be turned over in one period, in micro-units: 100,000 such periods (nearly
/// three years of quarters of an hour in which everybody is at the limit all the time) fit into an
/// account.
const TURNOVER_MAX_MICROS: i128 = (i64::MAX as i128) / 100_000;

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
