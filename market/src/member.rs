//! Who may trade, with which key, at which metering point, and up to which limit.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

use crate::energy::Energy;
use crate::hash::hex_id;
use crate::keys::PublicKey;
use crate::time::{DeliveryPeriod, Timestamp};
use crate::zone::ZoneId;

hex_id! {
    /// A party of the market: 16 random bytes. Never a name, an address, a key or a serial number;
    /// the mapping lives in the operator's registry, where it can be erased.
    PartyId, 16
}

hex_id! {
    /// A metering point: 16 random bytes, for the reasons of [`PartyId`].
    MeteringPointId, 16
}

/// A party's place in the community.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Member {
    /// Signs its orders and readings.
    pub key: PublicKey,
    /// Where its energy is metered.
    pub metering_point: MeteringPointId,
    /// Where the metering point sits in the grid.
    pub zone: ZoneId,
    /// The most it can draw in one delivery period: rated power x period. Also the cap on its bids.
    pub import_max: Energy,
    /// The most it can feed in in one delivery period; zero for a pure consumer. Also the cap on
    /// its offers.
    pub export_max: Energy,
    /// When it joined; `None` if it has been a member from the beginning.
    pub joined_at: Option<Timestamp>,
    /// When it left; `None` while it is a member. It stays listed, because the periods in which it
    /// took part are still to be settled.
    pub revoked_at: Option<Timestamp>,
}

impl Member {
    /// Whether it may trade: it has not been revoked.
    pub fn is_active(&self) -> bool {
        self.revoked_at.is_none()
    }

    /// Whether its meter counts for a delivery period: it had joined when the period began and had
    /// not been revoked yet.
    pub fn belongs_to(&self, period: DeliveryPeriod) -> bool {
        self.joined_at.is_none_or(|joined_at| joined_at <= period.start())
            && self.revoked_at.is_none_or(|revoked_at| revoked_at > period.start())
    }
}

/// All members by party.
pub type Membership = BTreeMap<PartyId, Member>;

/// The most energy a metering point may be registered for in one period: 1 GWh. With
/// [`crate::rules::PRICE_MAGNITUDE_MAX`] an amount of money stays inside 64 bits.
pub const ENERGY_MAX_PER_PERIOD: Energy = Energy::from_wh(1_000_000_000);
