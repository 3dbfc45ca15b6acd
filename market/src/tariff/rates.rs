//! What a tariff comes to in one delivery period.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::Overflow;
use crate::energy::Energy;
use crate::money::Money;
use crate::price::Price;

/// The supplier's prices, the levies and the tax of one delivery period.
///
/// ```
/// use market::tariff::Rates;
/// let rates = Rates {
///     supplied_levies: "0.02".parse().unwrap(),
///     tax_millionths: 200_000,
///     ..Rates::flat("0.30".parse().unwrap(), "0.08".parse().unwrap())
/// };
/// assert_eq!(rates.all_in().to_string(), "0.384000");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Rates {
    /// What the supplier charges per kWh, before levies and tax.
    pub retail: Price,
    /// What the supplier pays per kWh.
    pub feed_in: Price,
    /// All levies together that a kWh delivered by the supplier bears, and one from a neighbour
    /// does not; not negative.
    pub supplied_levies: Price,
    /// All levies together that every imported kWh bears, whoever delivers it.
    pub import_levies: Price,
    /// The tax on what the supplier collects, in millionths.
    pub tax_millionths: u32,
}

impl Rates {
    /// Two prices without levies and tax.
    pub const fn flat(retail: Price, feed_in: Price) -> Self {
        let (supplied_levies, import_levies) = (Price::ZERO, Price::ZERO);
        Self { retail, feed_in, supplied_levies, import_levies, tax_millionths: 0 }
    }

    /// What an imported kWh costs that the supplier delivers: retail, all levies and the tax on
    /// them, rounded half to even.
    pub fn all_in(&self) -> Price {
        self.taxed(self.retail, self.supplied_levies)
    }

    /// What an imported kWh costs that a neighbour delivers, beyond the price of the trade: the
    /// levies that it bears too, and the tax on them.
    pub fn on_import(&self) -> Price {
        self.taxed(Price::ZERO, Price::ZERO)
    }

    /// What a household saves for each kWh that a neighbour delivers instead of the supplier,
    /// before it pays the neighbour, rounded down: a bid up to this price never costs more than the
    /// supplier, but for the rounding of the amounts themselves, half a micro-unit for each trade
    /// and for each line of the bill. Not below `retail`.
    pub fn avoidable(&self) -> Price {
        let [retail, levies, anyway] =
            [self.retail, self.supplied_levies, self.import_levies].map(Price::micros_per_kwh);
        let more = i128::from(retail.max(0).saturating_add(levies).saturating_add(anyway).max(0));
        let taxed = more.saturating_sub(i128::from(anyway.max(0)));
        let tax = taxed.saturating_mul(i128::from(self.tax_millionths)).div_euclid(1_000_000);
        let tax = i64::try_from(tax).unwrap_or(i64::MAX);
        Price::from_micros_per_kwh(retail.saturating_add(levies).saturating_add(tax))
    }

    /// The levies on a party's energy in the period.
    ///
    /// # Errors
    /// [`Overflow`] if the amount leaves its range.
    pub fn levies(&self, supplied: Energy, imported: Energy) -> Result<Money, Overflow> {
        let on_supplied = self.supplied_levies.amount_for(supplied)?;
        on_supplied.plus(self.import_levies.amount_for(imported)?)
    }

    /// The tax on what the supplier collects from a party: its energy and the levies. A negative
    /// price of energy, and more rebates than levies, are neither taxed nor lower the tax on the
    /// rest. Rounded half to even.
    ///
    /// # Errors
    /// [`Overflow`] if the amount leaves its range.
    pub fn tax(&self, supplier_cost: Money, levies: Money) -> Result<Money, Overflow> {
        let base = supplier_cost.max(Money::ZERO).plus(levies)?.max(Money::ZERO);
        millionths_of(base.micros(), self.tax_millionths)
            .map(Money::from_micros)
            .ok_or(Overflow::of("the tax"))
    }

    fn taxed(&self, energy: Price, levies: Price) -> Price {
        let (energy, imported) = (energy.micros_per_kwh(), self.import_levies.micros_per_kwh());
        let levies = levies.micros_per_kwh().saturating_add(imported);
        let base = energy.max(0).saturating_add(levies).max(0);
        let tax = millionths_of(base, self.tax_millionths).unwrap_or(i64::MAX);
        Price::from_micros_per_kwh(energy.saturating_add(levies).saturating_add(tax))
    }
}

/// Rounded half to even; `None` beyond 64 bits.
fn millionths_of(base: i64, millionths: u32) -> Option<i64> {
    // Nearly every product fits into 64 bits, where the division costs a fraction.
    if let Some(exact) = base.checked_mul(i64::from(millionths)) {
        let (floor, rest) = (exact.div_euclid(1_000_000), exact.rem_euclid(1_000_000));
        let up = rest > 500_000 || (rest == 500_000 && floor.rem_euclid(2) == 1);
        return floor.checked_add(i64::from(up));
    }
    let exact = i128::from(base).checked_mul(i128::from(millionths))?;
    let (floor, rest) = (exact.div_euclid(1_000_000), exact.rem_euclid(1_000_000));
    let up = rest > 500_000 || (rest == 500_000 && floor.rem_euclid(2) == 1);
    i64::try_from(floor.checked_add(i128::from(up))?).ok()
}
