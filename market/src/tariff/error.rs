//! What can be wrong with a tariff.

use crate::price::Price;
use crate::tariff::{LEVIES_MAX, WINDOWS_MAX};

/// What is wrong with a tariff.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TariffError {
    /// No place on earth has such a local time.
    #[error("utc_offset_minutes must lie between -720 and 840, but it is {0}")]
    OffsetOutOfRange(i16),
    /// More windows than a week can use.
    #[error("there are {0} windows, at most {WINDOWS_MAX} are allowed")]
    TooManyWindows(usize),
    /// A window that ends before it begins, or beyond the day.
    #[error(
        "window {index} runs from minute {from_minute} to minute {to_minute}; it must begin before \
         it ends, within the 1440 minutes of a day: a window over midnight is two windows"
    )]
    WindowOutOfDay {
        /// Which window, from 0.
        index: usize,
        /// Its first minute.
        from_minute: u16,
        /// The first minute after it.
        to_minute: u16,
    },
    /// A time for which there is no price.
    #[error("no window covers {day} {}", clock(*minute))]
    Gap {
        /// The day.
        day: &'static str,
        /// The first minute without a window.
        minute: u16,
    },
    /// A time for which there are two prices.
    #[error("two windows cover {day} {}", clock(*minute))]
    Overlap {
        /// The day.
        day: &'static str,
        /// The first minute in both.
        minute: u16,
    },
    /// The price would change within a delivery period.
    #[error(
        "window {index} has an edge at {} local time, inside a delivery period of {period_minutes} \
         minutes",
        clock(*minute)
    )]
    EdgeInsidePeriod {
        /// Which window, from 0.
        index: usize,
        /// The edge.
        minute: u16,
        /// How long the community's periods are.
        period_minutes: i64,
    },
    /// A neighbour could only lose.
    #[error("window {index}: feed_in ({feed_in}) must not be above retail ({retail})")]
    FeedInAboveRetail {
        /// Which window, from 0.
        index: usize,
        /// The feed-in price.
        feed_in: Price,
        /// The retail price.
        retail: Price,
    },
    /// A price, or the sum of prices that a kWh bears, that could overflow an amount.
    #[error("{what} ({price}) is beyond one million per kWh")]
    PriceTooLarge {
        /// Which price.
        what: String,
        /// How much.
        price: Price,
    },
    /// More levies than allowed.
    #[error("there are {0} levies, at most {LEVIES_MAX} are allowed")]
    TooManyLevies(usize),
    /// A name that is no line of a bill.
    #[error("the name of a levy must have 1 to 64 characters, but it is {0:?}")]
    LevyName(String),
    /// Two levies that nobody could tell apart.
    #[error("two levies have the name {0:?}")]
    LevyTwice(String),
    /// A rebate that would make the supplier's energy cheaper than its tariff.
    #[error("levy {name:?} on supplied energy must not be negative, but it is {price}")]
    NegativeLevy {
        /// The levy.
        name: String,
        /// Its price.
        price: Price,
    },
    /// More than the whole.
    #[error("the tax must be at most 1000000 millionths, but it is {0}")]
    TaxOutOfRange(u32),
}

/// A minute of the day as people write it.
fn clock(minute: u16) -> String {
    let part = |unit: u16| minute.checked_div(unit).unwrap_or_default();
    format!("{:02}:{:02}", part(60), minute.checked_rem(60).unwrap_or_default())
}
