//! Orders: what a party is willing to buy or sell in one delivery period.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::Overflow;
use crate::energy::Energy;
use crate::keys::ChainId;
use crate::member::{MeteringPointId, PartyId};
use crate::price::Price;
use crate::signed::{PayloadId, Signable};
use crate::time::DeliveryPeriod;

/// The most steps a price curve may have.
pub const STEPS_MAX: usize = 16;

/// The most partners an order may name.
pub const PARTNERS_MAX: usize = 8;

/// Names an order: the id of its signed payload.
pub type OrderId = PayloadId;

/// Which way the energy goes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Side {
    /// A bid: to buy.
    Buy = 1,
    /// An offer: to sell.
    Sell = 2,
}

/// What made the energy of an offer, or what a buyer would rather have.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Origin {
    /// Straight from a roof.
    Solar = 1,
    /// From a battery.
    Battery = 2,
}

/// One step of a price curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Step {
    /// A buyer pays at most this, a seller gets at least this.
    pub limit: Price,
    /// For this much energy, beyond that of the better steps; always positive.
    pub energy: Energy,
}

/// What a party would like when quantities and prices leave a choice. It costs nobody anything:
/// neither price nor quantity depends on it (design section 4).
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Preferences {
    /// Trade with these first; at most [`PARTNERS_MAX`].
    pub partners: Vec<PartyId>,
    /// An offer: what the energy is made of. A bid: what it would rather be made of.
    pub origin: Option<Origin>,
}

/// A price curve for one delivery period and side.
///
/// A party has at most one live order per period and side; a higher `sequence` replaces it, and an
/// order without steps withdraws it. So resending is harmless, and messages may arrive in any order.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Order {
    /// The community it is meant for.
    pub community: ChainId,
    /// Whose order it is.
    pub party: PartyId,
    /// Where the energy will be metered.
    pub metering_point: MeteringPointId,
    /// When it is to be delivered.
    pub period: DeliveryPeriod,
    /// Buy or sell.
    pub side: Side,
    /// At most [`STEPS_MAX`] steps, best limit first (bids falling, offers rising), no limit twice.
    /// Empty: withdraws what stands.
    pub steps: Vec<Step>,
    /// Rises with every order of this party for this period and side; starts at 1.
    pub sequence: u64,
    /// Whom and what to favour.
    pub preferences: Preferences,
}

impl Signable for Order {
    const DOMAIN: &'static str = "hidamari/order/1";
}

/// What is wrong with an order in itself, whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedOrder {
    /// More steps than allowed.
    #[error("it has {0} steps, at most {STEPS_MAX} are allowed")]
    TooManySteps(usize),
    /// More partners than allowed.
    #[error("it names {0} partners, at most {PARTNERS_MAX} are allowed")]
    TooManyPartners(usize),
    /// A step for no energy, or less.
    #[error("step {index} is for {energy:?}, a step needs a positive energy")]
    EnergyNotPositive {
        /// Which step, from 0.
        index: usize,
        /// Its energy.
        energy: Energy,
    },
    /// Limits must get strictly worse from step to step.
    #[error("step {index} does not have a worse limit than the step before it")]
    StepsNotInOrder {
        /// Which step, from 0.
        index: usize,
    },
    /// The energies of the steps do not add up in 64 bits.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// Sequences start at 1.
    #[error("its sequence is 0; sequences start at 1")]
    SequenceZero,
}

impl Order {
    /// Checks what can be checked without knowing the sender.
    ///
    /// # Errors
    /// [`MalformedOrder`] names the first rule that is broken.
    pub fn check_form(&self) -> Result<(), MalformedOrder> {
        if self.sequence == 0 {
            return Err(MalformedOrder::SequenceZero);
        }
        if self.preferences.partners.len() > PARTNERS_MAX {
            return Err(MalformedOrder::TooManyPartners(self.preferences.partners.len()));
        }
        check_steps(self.side, &self.steps)?;
        self.energy()?;
        Ok(())
    }

    /// The energy of all steps together.
    ///
    /// # Errors
    /// [`Overflow`] if it leaves the range.
    pub fn energy(&self) -> Result<Energy, Overflow> {
        Energy::sum(self.steps.iter().map(|step| step.energy))
    }

    /// Whether it only takes back what stood before.
    pub fn is_withdrawal(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Checks the steps of a curve by themselves: not too many, each for some energy, limits getting
/// strictly worse.
///
/// # Errors
/// [`MalformedOrder`] names the first rule that is broken.
pub(crate) fn check_steps(side: Side, steps: &[Step]) -> Result<(), MalformedOrder> {
    if steps.len() > STEPS_MAX {
        return Err(MalformedOrder::TooManySteps(steps.len()));
    }
    let mut previous: Option<Price> = None;
    for (index, step) in steps.iter().enumerate() {
        if !step.energy.is_positive() {
            return Err(MalformedOrder::EnergyNotPositive { index, energy: step.energy });
        }
        let worse = previous.is_none_or(|before| match side {
            Side::Buy => step.limit < before,
            Side::Sell => step.limit > before,
        });
        if !worse {
            return Err(MalformedOrder::StepsNotInOrder { index });
        }
        previous = Some(step.limit);
    }
    Ok(())
}
