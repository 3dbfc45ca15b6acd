//! What `hidamari clear` can be told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use market::clearing::MechanismKind;
use market::hash::Digest;
use market::price::Tick;

use crate::clear::figures::price;

/// What the files look like, and how the command ends.
pub(crate) const FILES_AND_EXIT_CODES: &str = "\
Orders: CSV in UTF-8 with the columns id,party,zone,side,price,energy_wh. side is bid or offer; \
price is per kWh, with at most 6 places, and may be negative; energy_wh is whole Wh above 0. Rows \
of one id are the steps of one curve, at most 16 prices. Without --zones the column zone is empty \
in all rows, or the same.

Zones: CSV with the columns zone,parent,charge_per_kwh,capacity_up_wh,capacity_down_wh. parent is \
empty at the root; an empty charge is 0, an empty capacity unlimited; up is towards the parent.

Columns and rows may come in any order; it does not change the result.

Exit codes: 0 cleared, even if nobody trades; 2 the input or an option is to be mended, and nothing \
was written; 1 the output cannot be written.";

/// `hidamari clear`
#[derive(Debug, Args)]
pub(crate) struct Clear {
    /// The orders; `-` reads standard input
    #[arg(long, env = "HIDAMARI_ORDERS", value_name = "FILE.csv")]
    pub(crate) orders: PathBuf,
    /// The zones of the grid and the edges between them; without it, one zone
    #[arg(long, env = "HIDAMARI_ZONES", value_name = "FILE.csv")]
    pub(crate) zones: Option<PathBuf>,
    /// How prices and quantities are found
    #[arg(long, env = "HIDAMARI_MECHANISM", value_enum, default_value = "zonal")]
    pub(crate) mechanism: Mechanism,
    /// Where in the interval of prices that clear the market the price lies: 0 = its lower end, 1 =
    /// its upper end; at most 6 places
    #[arg(long, env = "HIDAMARI_K", default_value = "0.5", value_parser = k_millionths,
          allow_negative_numbers = true)]
    pub(crate) k: u32,
    /// Prices inside that interval are rounded down to multiples of this, but not below its lower
    /// end; by default to the millionth, the finest there is
    #[arg(long, env = "HIDAMARI_TICK", default_value = "0.000001", value_parser = tick,
          allow_negative_numbers = true)]
    pub(crate) tick: Tick,
    /// Decides who gets the odd watt-hours of a tie: 64 hexadecimal digits; all zero by default
    #[arg(long, env = "HIDAMARI_CLEAR_SEED", value_name = "HEX", default_value_t = Digest::default(),
          hide_default_value = true)]
    pub(crate) seed: Digest,
    /// Write to this file instead of standard output, which is `-`; it appears at once, when it is
    /// complete
    #[arg(long, env = "HIDAMARI_OUT", value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// One JSON object with everything, instead of tables
    #[arg(long, env = "HIDAMARI_JSON")]
    pub(crate) json: bool,
}

/// How prices and quantities are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mechanism {
    /// The exact zonal double auction: one price per zone, largest welfare
    Zonal,
    /// The same quantities, each pair of bid and offer at the middle of its limits; one zone
    Midpoint,
    /// McAfee's trade reduction: no order of one step gains by misstating its limit; one zone
    Mcafee,
}

impl Mechanism {
    /// As the market knows it.
    pub(crate) fn kind(self) -> MechanismKind {
        match self {
            Self::Zonal => MechanismKind::ZonalAuction,
            Self::Midpoint => MechanismKind::PairMidpoints,
            Self::Mcafee => MechanismKind::TradeReduction,
        }
    }

    /// As the command line and the output name it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Zonal => "zonal",
            Self::Midpoint => "midpoint",
            Self::Mcafee => "mcafee",
        }
    }

    /// As people read it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Zonal => "Zonal auction",
            Self::Midpoint => "Pair midpoints",
            Self::Mcafee => "McAfee's trade reduction",
        }
    }
}

fn k_millionths(text: &str) -> Result<u32, String> {
    let wrong = || format!("expected a decimal from 0 to 1 with at most 6 places, found {text:?}");
    let millionths = price(text).map_err(|_| wrong())?.micros_per_kwh();
    u32::try_from(millionths).ok().filter(|k| *k <= 1_000_000).ok_or_else(wrong)
}

fn tick(text: &str) -> Result<Tick, String> {
    let wrong = || {
        format!(
            "expected a decimal from 0.000001 to 4294.967295 with at most 6 places, found {text:?}"
        )
    };
    let micros = price(text).map_err(|_| wrong())?.micros_per_kwh();
    let tick = u32::try_from(micros).ok().and_then(Tick::from_micros_per_kwh);
    tick.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k_lies_between_0_and_1() {
        assert_eq!(k_millionths("0"), Ok(0));
        assert_eq!(k_millionths("0.333333"), Ok(333_333));
        assert_eq!(k_millionths("1"), Ok(1_000_000));
        for wrong in ["", "-0.1", "1.000001", "0.1234567", "half", "1e-1", "NaN"] {
            assert!(k_millionths(wrong).is_err_and(|told| told.contains("0 to 1")), "{wrong}");
        }
    }

    #[test]
    fn a_tick_is_above_0() {
        assert_eq!(tick("0.01").map(Tick::micros_per_kwh), Ok(10_000));
        assert_eq!(tick("0.000001").map(Tick::micros_per_kwh), Ok(1));
        for wrong in ["0", "-0.01", "0.0000001", "5000", "x"] {
            assert!(tick(wrong).is_err_and(|told| told.contains("0.000001 to")), "{wrong}");
        }
    }
}
