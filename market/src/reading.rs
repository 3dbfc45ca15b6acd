//! Interval readings: what a meter counted in one delivery period.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::energy::Energy;
use crate::keys::ChainId;
use crate::member::{MeteringPointId, PartyId};
use crate::signed::Signable;
use crate::time::DeliveryPeriod;

/// How far a figure can be trusted, from best to worst (`OpenADR`'s words).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Quality {
    /// Counted by the meter, read close to both edges of the period.
    Ok = 1,
    /// Counted by the meter, but an edge was interpolated across more than a minute.
    Estimated = 2,
    /// Never came; settled by the stated rule.
    Missing = 3,
}

/// The differences of a meter's two cumulative registers over one delivery period.
///
/// Both registers are gross and seen from the grid: a household that feeds in and draws within one
/// quarter of an hour has both above zero.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct IntervalReading {
    /// The community it is meant for.
    pub community: ChainId,
    /// Whose meter it is.
    pub party: PartyId,
    /// Which metering point.
    pub metering_point: MeteringPointId,
    /// When.
    pub period: DeliveryPeriod,
    /// Drawn from the grid (`ActiveImport`); not negative.
    pub imported: Energy,
    /// Fed into the grid (`ActiveExport`); not negative.
    pub exported: Energy,
    /// How far both figures can be trusted; never [`Quality::Missing`] in a reading that was sent.
    pub quality: Quality,
    /// Rises with every reading of this party for this period; starts at 1. A higher one corrects
    /// the figures until the period is final.
    pub sequence: u64,
}

impl Signable for IntervalReading {
    const DOMAIN: &'static str = "hidamari/reading/1";
}
