//! What is usual in a country, as a start: currency, time zone, length of a delivery period, and
//! roughly what electricity costs there. Every figure can be given instead.

use market::price::Price;
use market::time::PeriodLength;

/// Where a community is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Country {
    /// Austria
    At,
    /// Switzerland
    Ch,
    /// Germany
    De,
    /// France
    Fr,
    /// United Kingdom
    Gb,
    /// Japan
    Jp,
}

/// What is usual there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preset {
    pub(crate) currency: &'static str,
    pub(crate) time_zone: &'static str,
    pub(crate) period: PeriodLength,
    /// What a household pays per kWh, in millionths of the currency.
    retail_micros: i64,
    /// What a household gets per kWh.
    feed_in_micros: i64,
}

impl Country {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [Self::At, Self::Ch, Self::De, Self::Fr, Self::Gb, Self::Jp];

    /// As it is written on the command line.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::At => "at",
            Self::Ch => "ch",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Gb => "gb",
            Self::Jp => "jp",
        }
    }

    /// What is usual there.
    pub(crate) fn preset(self) -> Preset {
        let quarter = |currency, time_zone, retail_micros, feed_in_micros| Preset {
            currency,
            time_zone,
            period: PeriodLength::Minutes15,
            retail_micros,
            feed_in_micros,
        };
        let half = |currency, time_zone, retail_micros, feed_in_micros| Preset {
            period: PeriodLength::Minutes30,
            ..quarter(currency, time_zone, retail_micros, feed_in_micros)
        };
        match self {
            Self::At => quarter("EUR", "Europe/Vienna", 300_000, 70_000),
            Self::Ch => quarter("CHF", "Europe/Zurich", 290_000, 60_000),
            Self::De => quarter("EUR", "Europe/Berlin", 350_000, 79_000),
            Self::Fr => half("EUR", "Europe/Paris", 240_000, 40_000),
            Self::Gb => half("GBP", "Europe/London", 270_000, 120_000),
            Self::Jp => half("JPY", "Asia/Tokyo", 31_000_000, 8_000_000),
        }
    }
}

impl Preset {
    /// What a household pays the supplier.
    pub(crate) fn retail(&self) -> Price {
        Price::from_micros_per_kwh(self.retail_micros)
    }

    /// What the supplier pays a household.
    pub(crate) fn feed_in(&self) -> Price {
        Price::from_micros_per_kwh(self.feed_in_micros)
    }
}
