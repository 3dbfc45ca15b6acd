//! The rules a community agreed on in its genesis, as far as the market needs them.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::clearing::{MechanismKind, Terms};
use crate::gate::GateSchedule;
use crate::price::{Price, Tick};
use crate::schedule::Schedule;
use crate::tariff::{Rates, Tariff, TariffError};
use crate::time::{DeliveryPeriod, PeriodLength, Timestamp};
use crate::zone::ZoneTree;

/// How a community trades.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MarketRules {
    /// How long a delivery period is.
    pub period_length: PeriodLength,
    /// When books close.
    pub gates: GateSchedule,
    /// How far ahead of delivery an order may be sent, in milliseconds.
    pub horizon_ms: u64,
    /// How prices and quantities are found; a change takes effect from a delivery period on.
    pub mechanism: Schedule<MechanismKind>,
    /// Where in the crossing interval the price lies, in millionths: 0 = its lower end (all of the
    /// gain to buyers), 1,000,000 = its upper end.
    pub k_millionths: u32,
    /// Prices are multiples of this.
    pub tick: Tick,
    /// No limit below this is admitted.
    pub price_min: Price,
    /// No limit above this is admitted.
    pub price_max: Price,
    /// What the supplier charges and pays; a change takes effect from a delivery period on.
    pub tariffs: Schedule<Tariff>,
    /// How long after delivery missing readings are waited for before they are estimated, in
    /// milliseconds.
    pub settlement_delay_ms: u64,
    /// How long after delivery readings may still come or be corrected, in milliseconds; then the
    /// settlement is final.
    pub finality_delay_ms: u64,
}

impl MarketRules {
    /// What a mechanism has to keep to on this grid.
    pub fn terms<'a>(&self, zones: &'a ZoneTree) -> Terms<'a> {
        Terms { zones, k_millionths: self.k_millionths, tick: self.tick }
    }

    /// What the supplier charges and pays in a delivery period.
    pub fn rates(&self, period: DeliveryPeriod) -> Rates {
        self.tariffs.during(period).rates(period)
    }

    /// When the settlement of a period becomes final.
    pub fn final_at(&self, period: DeliveryPeriod) -> Timestamp {
        period.end().plus_millis(i64::try_from(self.finality_delay_ms).unwrap_or(i64::MAX))
    }

    /// From when on missing readings of a period are estimated.
    pub fn estimated_from(&self, period: DeliveryPeriod) -> Timestamp {
        period.end().plus_millis(i64::try_from(self.settlement_delay_ms).unwrap_or(i64::MAX))
    }

    /// Checks that the rules agree with each other, and that the money for one metering point's
    /// energy stays inside 64 bits. Genesis, which knows the members, bounds the sums.
    ///
    /// # Errors
    /// [`RulesError`] names the rule that does not fit.
    pub fn check(&self) -> Result<(), RulesError> {
        if self.k_millionths > 1_000_000 {
            return Err(RulesError::KOutOfRange(self.k_millionths));
        }
        if self.price_min > self.price_max {
            return Err(RulesError::EmptyPriceRange { min: self.price_min, max: self.price_max });
        }
        for price in [self.price_min, self.price_max] {
            if price.micros_per_kwh().unsigned_abs() > PRICE_MAGNITUDE_MAX {
                return Err(RulesError::PriceTooLarge(price));
            }
        }
        self.check_tariffs()?;
        if self.settlement_delay_ms > self.finality_delay_ms {
            return Err(RulesError::FinalBeforeSettled {
                settlement_ms: self.settlement_delay_ms,
                finality_ms: self.finality_delay_ms,
            });
        }
        self.check_gates()?;
        self.mechanism.values().try_for_each(|mechanism| self.check_mechanism(mechanism))
    }

    fn check_gates(&self) -> Result<(), RulesError> {
        let (horizon_ms, settlement_ms) = (self.horizon_ms, self.settlement_delay_ms);
        match self.gates.leads_ms().first() {
            Some(first) if horizon_ms <= *first => {
                return Err(RulesError::HorizonBeforeGate { horizon_ms, lead_ms: *first });
            }
            _ => {}
        }
        match self.gates.ex_post_lag_ms() {
            Some(lag_ms) if lag_ms > settlement_ms => {
                Err(RulesError::SettledBeforeGate { settlement_ms, lag_ms })
            }
            _ => Ok(()),
        }
    }

    /// Whether a mechanism fits the other rules. Whether it fits the grid is for
    /// [`MechanismKind::check_grid`].
    fn check_mechanism(&self, mechanism: &MechanismKind) -> Result<(), RulesError> {
        let MechanismKind::Sharing(rule) = mechanism else { return Ok(()) };
        if rule.price.micros_per_kwh().unsigned_abs() > PRICE_MAGNITUDE_MAX {
            return Err(RulesError::PriceTooLarge(rule.price));
        }
        if self.gates.leads_ms().is_empty() {
            Ok(())
        } else {
            Err(RulesError::SharedBeforeDelivery)
        }
    }

    fn check_tariffs(&self) -> Result<(), RulesError> {
        let first = self.tariffs.values().take(1).map(|tariff| (None, tariff));
        let later = self.tariffs.changes().map(|(from, tariff)| (Some(from), tariff));
        for (from, tariff) in first.chain(later) {
            let fits = tariff.check_periods(self.period_length);
            fits.map_err(|error| RulesError::Tariff { from, error })?;
        }
        Ok(())
    }
}

/// The largest magnitude of any price: one million units of the currency per kWh. With the limit
/// of [`crate::member::ENERGY_MAX_PER_PERIOD`] an amount of money stays far inside 64 bits.
pub const PRICE_MAGNITUDE_MAX: u64 = 1_000_000_000_000;

/// Rules that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// k lies outside 0 to 1.
    #[error("k must be between 0 and 1, but it is {0} millionths")]
    KOutOfRange(u32),
    /// No limit could be admitted.
    #[error("price_min ({min}) must not be above price_max ({max})")]
    EmptyPriceRange {
        /// The lowest limit.
        min: Price,
        /// The highest limit.
        max: Price,
    },
    /// A price that could overflow an amount.
    #[error("price {0} is beyond one million per kWh")]
    PriceTooLarge(Price),
    /// A tariff that does not fit the delivery periods.
    #[error("the tariff {}: {error}", since(*from))]
    Tariff {
        /// From when on it holds; `None` for the first one.
        from: Option<Timestamp>,
        /// What is wrong with it.
        error: TariffError,
    },
    /// A period would be final before it is settled.
    #[error(
        "finality_delay ({finality_ms} ms) must not be below settlement_delay ({settlement_ms} ms)"
    )]
    FinalBeforeSettled {
        /// The settlement delay.
        settlement_ms: u64,
        /// The finality delay.
        finality_ms: u64,
    },
    /// Nobody could order before the first gate closes.
    #[error("horizon ({horizon_ms} ms) must be above the first gate's lead ({lead_ms} ms)")]
    HorizonBeforeGate {
        /// The horizon.
        horizon_ms: u64,
        /// The first gate's lead.
        lead_ms: u64,
    },
    /// A period would be settled before its gate after delivery closes.
    #[error(
        "settlement_delay ({settlement_ms} ms) must not be below the lag of the gate after \
         delivery ({lag_ms} ms)"
    )]
    SettledBeforeGate {
        /// The settlement delay.
        settlement_ms: u64,
        /// How long after delivery the gate closes.
        lag_ms: u64,
    },
    /// A sharing key shares what was metered, and before delivery nothing is.
    #[error("a sharing key needs readings: its community can have no gate before delivery")]
    SharedBeforeDelivery,
}

/// From when on a scheduled value holds, in words.
fn since(from: Option<Timestamp>) -> String {
    from.map_or_else(|| "from the beginning".to_owned(), |from| format!("from {from} on"))
}
