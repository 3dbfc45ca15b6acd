//! Device profiles: where a meter keeps its counters, as data.
//!
//! A profile is a TOML file in `meter-agent/profiles/`; adding a device is adding a file and a line
//! in [`Profile::names`]. [`Profile::decode`] turns the words of a device into a
//! [`RegisterReading`]; it is pure and total: any words give a reading or say why there is none.

mod decode;
mod file;

use market::reading::Quality;
use market::time::Timestamp;
use std::path::Path;
use std::time::Duration;

pub use decode::{NoReading, Quantity};

use crate::toml_text::TomlError;

/// The largest counter that is believed: 1 TWh.
pub const COUNTER_MAX_WH: i64 = 1_000_000_000_000;

/// The most words that one Modbus request may ask for.
pub const WORDS_MAX: u16 = 125;

/// What a meter showed at an instant of market time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterReading {
    /// When: the middle of the exchange with the device.
    pub at: Timestamp,
    /// `ActiveImport`, cumulative, in Wh rounded down; 0 to [`COUNTER_MAX_WH`].
    pub import_wh: i64,
    /// `ActiveExport`, cumulative, in Wh rounded down; 0 to [`COUNTER_MAX_WH`].
    pub export_wh: i64,
    /// Signed power in W, positive while drawing from the grid; for the live picture alone.
    pub power_w: Option<i64>,
    /// [`Quality::Estimated`] where the exchange took so long that the instant is uncertain.
    pub quality: Quality,
}

/// How to talk to a kind of device and what its words mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// What people call the device.
    pub name: String,
    /// The TCP port it listens on unless the owner says otherwise.
    pub port: u16,
    /// How long to wait after connecting before the first request.
    pub connect_delay: Duration,
    /// The least time between an answer and the next request.
    pub min_gap: Duration,
    /// How long to wait for a connection or an answer.
    pub timeout: Duration,
    /// What to ask for, in this order.
    pub requests: Vec<WordRequest>,
    import: Counter,
    export: Counter,
    power: Option<Gauge>,
    frequency: Option<Gauge>,
}

/// A run of words to read in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordRequest {
    /// Which of the device's two tables.
    pub function: Function,
    /// The first word, 0-based, as sent on the wire.
    pub address: u16,
    /// How many words, 1 to [`WORDS_MAX`].
    pub count: u16,
}

/// A table of words that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Function 4.
    Input,
    /// Function 3.
    Holding,
}

/// A counter of energy.
#[derive(Debug, Clone, PartialEq)]
struct Counter {
    place: Place,
    /// What one count is worth, in millionths of a Wh.
    count_micro_wh: i64,
    /// Where the counter starts again from 0, in Wh.
    rollover_wh: Option<i64>,
}

/// A momentary value.
#[derive(Debug, Clone, PartialEq)]
struct Gauge {
    place: Place,
    /// What one count is worth in the quantity's unit; negative where the device's sign is the
    /// opposite of ours.
    scale: f64,
}

/// Where a number stands in the answers, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    request: usize,
    offset: usize,
    kind: NumberKind,
    low_word_first: bool,
    /// Bit patterns that mean "no value".
    not_available: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NumberKind {
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

const BUILT_IN: [(&str, &str); 6] = [
    ("abb-b23", include_str!("../../profiles/abb-b23.toml")),
    ("carlo-gavazzi-em340", include_str!("../../profiles/carlo-gavazzi-em340.toml")),
    ("eastron-sdm120", include_str!("../../profiles/eastron-sdm120.toml")),
    ("eastron-sdm630", include_str!("../../profiles/eastron-sdm630.toml")),
    ("shelly-pro-3em", include_str!("../../profiles/shelly-pro-3em.toml")),
    ("siemens-pac2200", include_str!("../../profiles/siemens-pac2200.toml")),
];

impl Profile {
    /// The names of the profiles that come with the program.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A profile that comes with the program; `None` if there is none of this name.
    pub fn built_in(name: &str) -> Option<Result<Self, TomlError>> {
        let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        Some(Self::from_toml(text, Path::new(&format!("profiles/{name}.toml"))))
    }

    /// Reads a profile and checks that it hangs together. `file` names it in errors.
    ///
    /// # Errors
    /// [`TomlError`] names file, line and key, and what was expected.
    pub fn from_toml(text: &str, file: &Path) -> Result<Self, TomlError> {
        file::read(text, file)
    }

    /// Where the two counters start again from 0, in Wh: import, export.
    pub fn rollovers_wh(&self) -> (Option<i64>, Option<i64>) {
        (self.import.rollover_wh, self.export.rollover_wh)
    }

    /// The coarser of the two counters' steps, in Wh; at least 1. Floats are taken to count in Wh.
    pub fn step_wh(&self) -> i64 {
        self.import.step_wh().max(self.export.step_wh())
    }
}

impl NumberKind {
    fn word_count(self) -> usize {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }

    fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

impl Counter {
    fn step_wh(&self) -> i64 {
        if self.place.kind.is_float() {
            1
        } else {
            self.count_micro_wh.div_euclid(1_000_000).max(1)
        }
    }
}
