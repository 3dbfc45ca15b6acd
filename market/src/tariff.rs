//! The supplier's tariffs: the price of energy that neighbours did not trade.
//!
//! A [`Tariff`] is a week of time-of-use windows with levies and a tax; which tariff holds when is
//! a [`crate::schedule::Schedule`]. What holds in one delivery period is its [`Rates`].
//!
//! Windows are minutes of the local day, and local time is UTC plus a stated offset. So a node
//! needs no time zone database, whose versions would differ between nodes: where clocks change, the
//! same windows with the other offset are one more entry of the schedule. Public holidays are no
//! days of their own; a community that wants one enters it as two changes of the schedule.

mod error;
mod rates;
mod week;

use borsh::{BorshDeserialize, BorshSerialize, io};

use crate::Overflow;
use crate::energy::Energy;
use crate::money::Money;
use crate::price::Price;
use crate::rules::PRICE_MAGNITUDE_MAX;
use crate::time::{DeliveryPeriod, PeriodLength};

pub use error::TariffError;
pub use rates::Rates;
pub use week::{Days, Window};

/// The most windows a tariff may have: each quarter of an hour of each day its own.
pub const WINDOWS_MAX: usize = 7 * 96;

/// The most levies a tariff may have.
pub const LEVIES_MAX: usize = 16;

/// What the supplier charges and pays through a week, and what the state puts on top.
///
/// Every minute of the week lies in exactly one window; see [`Tariff::new`] for the rest.
///
/// ```
/// use market::tariff::{Days, Levy, LevyBase, Tariff, Window};
/// let window = |from_hour: u16, to_hour: u16, retail: &str| Window {
///     days: Days::ALL,
///     from_minute: from_hour * 60,
///     to_minute: to_hour * 60,
///     retail: retail.parse().unwrap(),
///     feed_in: "0.08".parse().unwrap(),
/// };
/// let windows = vec![window(0, 6, "0.24"), window(6, 22, "0.34"), window(22, 24, "0.24")];
/// let levy = Levy {
///     name: "electricity duty".to_owned(),
///     price: "0.0205".parse().unwrap(),
///     base: LevyBase::Supplied,
/// };
/// let summer = Tariff::new(120, windows, vec![levy], 190_000).unwrap();
/// let winter = summer.with_offset(60).unwrap();
/// assert_ne!(summer, winter);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct Tariff {
    utc_offset_minutes: i16,
    windows: Vec<Window>,
    levies: Vec<Levy>,
    tax_millionths: u32,
}

/// An amount per kWh that the supplier collects for others.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Levy {
    /// As it stands on the bill; 1 to 64 characters, no two alike.
    pub name: String,
    /// Per kWh. Below zero it is a rebate, which only [`LevyBase::Imported`] may have.
    pub price: Price,
    /// Which energy bears it.
    pub base: LevyBase,
}

/// Which energy bears a levy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum LevyBase {
    /// What the supplier delivers; what neighbours deliver is free of it.
    Supplied = 1,
    /// All that is drawn from the grid, whoever delivers it.
    Imported = 2,
}

/// A levy on somebody's energy, as a line of a bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevyLine<'a> {
    /// The levy.
    pub levy: &'a Levy,
    /// The energy that bears it.
    pub energy: Energy,
    /// What it comes to.
    pub amount: Money,
}

impl Tariff {
    /// Checks that the parts make a tariff. `tax_millionths` falls on what the supplier collects.
    ///
    /// # Errors
    /// [`TariffError`] unless the offset exists on earth, the windows cover every minute of the
    /// week exactly once with `feed_in <= retail`, levies have names of their own and are
    /// not negative on supplied energy, the tax is at most the whole, and no price is beyond
    /// [`PRICE_MAGNITUDE_MAX`].
    pub fn new(
        utc_offset_minutes: i16,
        windows: Vec<Window>,
        levies: Vec<Levy>,
        tax_millionths: u32,
    ) -> Result<Self, TariffError> {
        if !(-720..=840).contains(&utc_offset_minutes) {
            return Err(TariffError::OffsetOutOfRange(utc_offset_minutes));
        }
        if tax_millionths > 1_000_000 {
            return Err(TariffError::TaxOutOfRange(tax_millionths));
        }
        week::check(&windows)?;
        check_levies(&levies)?;
        let tariff = Self { utc_offset_minutes, windows, levies, tax_millionths };
        tariff.check_magnitudes()?;
        Ok(tariff)
    }

    /// The same prices at any time, without levies and tax.
    ///
    /// # Errors
    /// [`TariffError`] if `feed_in` is above `retail`, or one of them is too large.
    pub fn flat(retail: Price, feed_in: Price) -> Result<Self, TariffError> {
        Self::new(0, vec![Window::always(retail, feed_in)], Vec::new(), 0)
    }

    /// The same tariff where local time is `utc_offset_minutes` ahead of UTC: what a change of
    /// clocks enters into the schedule.
    ///
    /// # Errors
    /// [`TariffError::OffsetOutOfRange`].
    pub fn with_offset(&self, utc_offset_minutes: i16) -> Result<Self, TariffError> {
        let Self { windows, levies, tax_millionths, .. } = self.clone();
        Self::new(utc_offset_minutes, windows, levies, tax_millionths)
    }

    /// How far local time is ahead of UTC.
    pub fn utc_offset_minutes(&self) -> i16 {
        self.utc_offset_minutes
    }

    /// The windows, as they were given.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The levies, as they were given.
    pub fn levies(&self) -> &[Levy] {
        &self.levies
    }

    /// The tax on what the supplier collects, in millionths.
    pub fn tax_millionths(&self) -> u32 {
        self.tax_millionths
    }

    /// What holds in a delivery period: what holds at its start.
    pub fn rates(&self, period: DeliveryPeriod) -> Rates {
        let (day, minute) = week::local(period.start(), self.utc_offset_minutes);
        let window = self.windows.iter().find(|window| window.covers(day, minute));
        // There is a window: they cover the week.
        let prices = window.map(|window| (window.retail, window.feed_in));
        let (retail, feed_in) = prices.unwrap_or_default();
        self.rates_at(retail, feed_in)
    }

    /// The levies on a party's energy line by line. The lines add up to what a settlement charges,
    /// to the unit, and each lies within one micro-unit of its exact amount.
    ///
    /// # Errors
    /// [`Overflow`] if an amount leaves its range.
    pub fn levy_lines(
        &self,
        supplied: Energy,
        imported: Energy,
    ) -> Result<Vec<LevyLine<'_>>, Overflow> {
        let mut lines = Vec::with_capacity(self.levies.len());
        // Rounding the running sum instead of each line leaves no remainder at the end.
        let (mut on_supplied, mut on_imported) = ((0_i64, Money::ZERO), (0_i64, Money::ZERO));
        for levy in &self.levies {
            let (energy, (price, before)) = match levy.base {
                LevyBase::Supplied => (supplied, &mut on_supplied),
                LevyBase::Imported => (imported, &mut on_imported),
            };
            *price = price.saturating_add(levy.price.micros_per_kwh());
            let now = Price::from_micros_per_kwh(*price).amount_for(energy)?;
            lines.push(LevyLine { levy, energy, amount: now.minus(*before)? });
            *before = now;
        }
        Ok(lines)
    }

    /// Checks that no window begins or ends inside a delivery period.
    ///
    /// # Errors
    /// [`TariffError::EdgeInsidePeriod`].
    pub fn check_periods(&self, length: PeriodLength) -> Result<(), TariffError> {
        let period_minutes = length.minutes();
        for (index, window) in self.windows.iter().enumerate() {
            for minute in [window.from_minute, window.to_minute] {
                let in_utc = i64::from(minute).saturating_sub(i64::from(self.utc_offset_minutes));
                if in_utc.checked_rem(period_minutes) != Some(0) {
                    return Err(TariffError::EdgeInsidePeriod { index, minute, period_minutes });
                }
            }
        }
        Ok(())
    }

    /// The largest magnitude of any price that a kWh can bear under this tariff, levies and tax
    /// included, in micro-units per kWh: bounds what a period can turn over.
    pub fn magnitude(&self) -> u64 {
        let of_window = |window: &Window| {
            let all_in = self.rates_at(window.retail, window.feed_in).all_in();
            let prices = [window.retail, window.feed_in, all_in];
            prices.map(|price| price.micros_per_kwh().unsigned_abs()).into_iter().max()
        };
        self.windows.iter().filter_map(of_window).max().unwrap_or_default()
    }

    fn rates_at(&self, retail: Price, feed_in: Price) -> Rates {
        let levies = |base: LevyBase| {
            let levies = self.levies.iter().filter(|levy| levy.base == base);
            let sum =
                levies.fold(0_i64, |sum, levy| sum.saturating_add(levy.price.micros_per_kwh()));
            Price::from_micros_per_kwh(sum)
        };
        Rates {
            retail,
            feed_in,
            supplied_levies: levies(LevyBase::Supplied),
            import_levies: levies(LevyBase::Imported),
            tax_millionths: self.tax_millionths,
        }
    }

    fn check_magnitudes(&self) -> Result<(), TariffError> {
        let check = |what: &dyn Fn() -> String, price: Price| {
            if price.micros_per_kwh().unsigned_abs() > PRICE_MAGNITUDE_MAX {
                return Err(TariffError::PriceTooLarge { what: what(), price });
            }
            Ok(())
        };
        for levy in &self.levies {
            check(&|| format!("levy {:?}", levy.name), levy.price)?;
        }
        for (index, window) in self.windows.iter().enumerate() {
            check(&|| format!("window {index}: retail"), window.retail)?;
            check(&|| format!("window {index}: feed_in"), window.feed_in)?;
            let all_in = self.rates_at(window.retail, window.feed_in).all_in();
            check(&|| format!("window {index}: retail with levies and tax"), all_in)?;
        }
        Ok(())
    }
}

fn check_levies(levies: &[Levy]) -> Result<(), TariffError> {
    if levies.len() > LEVIES_MAX {
        return Err(TariffError::TooManyLevies(levies.len()));
    }
    for (index, levy) in levies.iter().enumerate() {
        let Levy { name, price, base } = levy;
        if !(1..=64).contains(&name.chars().count()) {
            return Err(TariffError::LevyName(name.clone()));
        }
        if levies.iter().take(index).any(|before| before.name == *name) {
            return Err(TariffError::LevyTwice(name.clone()));
        }
        if *base == LevyBase::Supplied && *price < Price::ZERO {
            return Err(TariffError::NegativeLevy { name: name.clone(), price: *price });
        }
    }
    Ok(())
}

impl BorshDeserialize for Tariff {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let utc_offset_minutes = BorshDeserialize::deserialize_reader(reader)?;
        let windows = BorshDeserialize::deserialize_reader(reader)?;
        let levies = BorshDeserialize::deserialize_reader(reader)?;
        let tax_millionths = BorshDeserialize::deserialize_reader(reader)?;
        Self::new(utc_offset_minutes, windows, levies, tax_millionths)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
