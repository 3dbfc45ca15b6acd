//! Commissioning: whether a meter counts what flows, before its metering point may trade.
//!
//! [`fn@check`] looks at a meter for a while and says what to change; its outcome stays in the data
//! directory ([`Record`]), and an agent whose meter failed neither trades nor signs readings until
//! a later check finds nothing wrong. While an agent runs, [`Watch`] goes on comparing power with
//! counters by the same rules.

mod check;
mod diagnosis;
mod record;
mod watch;

use std::fmt;

pub use check::{CheckOptions, Live, Report, check};
pub use record::{Outcome, Record};
pub use watch::{Contradiction, Watch};

use crate::profile::WordOrder;

/// A direction of flow, as the owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The household draws from the grid.
    Importing,
    /// The household feeds into the grid.
    Exporting,
}

impl Flow {
    /// The direction of a power or of a difference of counters that is positive for import.
    pub(crate) fn of(import: f64) -> Self {
        if import > 0.0 { Self::Importing } else { Self::Exporting }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Importing => "import",
            Self::Exporting => "export",
        })
    }
}

/// What a check found. The words say what to change.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// It does not answer.
    Unreachable {
        /// Why, in words.
        why: String,
    },
    /// It answers without a reading.
    NoReading {
        /// Why, in words.
        why: String,
    },
    /// Its words make sense in the other order alone.
    WordOrder {
        /// The order in which they do.
        instead: WordOrder,
    },
    /// A quantity is off by a power of ten.
    Scale {
        /// Which quantity.
        quantity: &'static str,
        /// What it reads, in its unit.
        reads: f64,
        /// By which power of ten it has to be multiplied.
        power_of_ten: i32,
    },
    /// A quantity that no grid has.
    Implausible {
        /// Which quantity.
        quantity: &'static str,
        /// What it reads, in its unit.
        reads: f64,
    },
    /// The counters do not move as power says.
    Counters(Contradiction),
    /// Counters and power both show the opposite of what the owner says.
    MountedBackwards {
        /// What the owner says.
        owner: Flow,
    },
    /// Power agrees with the owner, the counters do not.
    CountersSwapped {
        /// What the owner says.
        owner: Flow,
    },
    /// The counters agree with the owner, power does not.
    PowerReversed {
        /// What the owner says.
        owner: Flow,
    },
    /// More than the metering point can carry.
    BeyondRatedPower {
        /// What was seen, in W.
        seen_w: i64,
        /// What is configured, in W.
        rated_w: u32,
    },
    /// The serial number is another one after a new connection.
    SerialChanges {
        /// Before.
        first: String,
        /// After.
        second: String,
    },
    /// The device's own clock is off.
    ClockSkew {
        /// By how much it is ahead of this machine's, in seconds.
        ahead_s: i64,
    },
    /// Too little flowed to compare power with counters.
    TooLittleFlowed {
        /// How much, in Wh.
        wh: i64,
    },
    /// Nothing is known about the direction but what the device says.
    DirectionUnproved,
}

impl Finding {
    /// Whether it keeps the metering point from trading.
    pub fn fails(&self) -> bool {
        !self.leaves_open() && !matches!(self, Self::ClockSkew { .. })
    }

    /// Whether it means that something could not be checked.
    pub fn leaves_open(&self) -> bool {
        matches!(self, Self::TooLittleFlowed { .. } | Self::DirectionUnproved)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { why } => write!(
                f,
                "The meter cannot be reached: {why}. Check address, unit id and wiring; `hidamari \
                 agent scan` looks for it."
            ),
            Self::NoReading { why } => write!(f, "The meter gives no reading: {why}."),
            Self::WordOrder { instead } => write!(
                f,
                "The words come in another order than the profile says: set `word_order = {:?}` in \
                 [meter].",
                match instead {
                    WordOrder::HighFirst => "high_first",
                    WordOrder::LowFirst => "low_first",
                }
            ),
            Self::Scale { quantity, reads, power_of_ten } => write!(
                f,
                "The {quantity} reads {reads}, which is off by a power of ten: in a profile of your \
                 own, multiply its `scale` by 1e{power_of_ten}, or take the profile of another \
                 model."
            ),
            Self::Implausible { quantity, reads } => write!(
                f,
                "The {quantity} reads {reads}, which no grid has: take the profile of another model; \
                 `hidamari agent scan` proposes one."
            ),
            Self::Counters(contradiction) => contradiction.fmt(f),
            Self::MountedBackwards { owner } => write!(
                f,
                "You say {owner}, but counters and power say the opposite: the meter or its current \
                 transformers are mounted backwards; have that mended, or set `reversed = true` in \
                 [meter]."
            ),
            Self::CountersSwapped { owner } => write!(
                f,
                "You say {owner}, and so does the power, but the other counter moves: import and \
                 export are swapped; in a profile of your own, exchange the addresses of [import] \
                 and [export]."
            ),
            Self::PowerReversed { owner } => write!(
                f,
                "You say {owner}, and so do the counters, but the power has the other sign: in a \
                 profile of your own, change `positive` in [power]."
            ),
            Self::BeyondRatedPower { seen_w, rated_w } => write!(
                f,
                "The meter shows {seen_w} W, but rated_power_w is {rated_w}: correct rated_power_w, \
                 or the scale in the profile."
            ),
            Self::SerialChanges { first, second } => write!(
                f,
                "The serial number was {first:?} and is now {second:?}: two devices answer to this \
                 unit id, or another program uses the gateway; give each device its own id and each \
                 gateway one reader."
            ),
            Self::ClockSkew { ahead_s } => write!(
                f,
                "The meter's clock is {ahead_s} s ahead of this machine's. Readings are stamped by \
                 this machine, so check that its clock is set by NTP."
            ),
            Self::TooLittleFlowed { wh } => write!(
                f,
                "Only {wh} Wh flowed, too little to compare the counters with the power: switch on a \
                 kettle and check again, or longer (--seconds)."
            ),
            Self::DirectionUnproved => write!(
                f,
                "Whether import is import was not checked: say what flows with --now importing or \
                 --now exporting."
            ),
        }
    }
}
