//! Device profiles: where a meter keeps its counters, as data.
//!
//! A profile is a TOML file in `meter-agent/profiles/`, embedded in the program; adding a device is
//! adding a file. A file that the owner names takes its place. [`Map::decode`] turns the words of a
//! device into a [`RegisterReading`]; it is pure and total: any words give a reading or say why
//! there is none. Devices that describe themselves ([`SunSpec`]) get their map by walking the
//! chain of models that they hold.

mod decode;
mod file;
mod number;
mod sunspec;

use market::reading::Quality;
use market::time::Timestamp;
use std::path::Path;
use std::time::Duration;

pub use decode::{NoReading, Quantity, Vitals};
pub use number::WordOrder;
pub use sunspec::{Block, COMMON_MODEL, END_MODEL, MARKER, SunSpec};

use crate::toml_text::TomlError;
use number::{Place, TextPlace};

/// The largest counter that is believed: 1 TWh.
pub const COUNTER_MAX_WH: i64 = 1_000_000_000_000;

/// The most words that one Modbus request may ask for.
pub const WORDS_MAX: u16 = 125;

/// What a meter showed at an instant of market time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterReading {
    /// When: the middle of the exchange with the device.
    pub at: Timestamp,
    /// `ActiveImport`, cumulative, in Wh rounded down; 0 to [`COUNTER_MAX_WH`]. Always 0 for a
    /// device that counts no import, such as an inverter.
    pub import_wh: i64,
    /// `ActiveExport`, cumulative, in Wh rounded down; 0 to [`COUNTER_MAX_WH`].
    pub export_wh: i64,
    /// The coarser of the two counters' steps at these values, in Wh rounded up; at least 1.
    pub step_wh: i64,
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
    /// How it is spoken to over a serial line unless the owner says otherwise.
    pub line: SerialLine,
    /// How long to wait after connecting before the first request.
    pub connect_delay: Duration,
    /// The least time between an answer and the next request.
    pub min_gap: Duration,
    /// The same where the request before went to another unit.
    pub unit_gap: Duration,
    /// How long to wait for a connection or an answer.
    pub timeout: Duration,
    /// Whether the device is normally silent at times, as an inverter at night.
    pub sleeps: bool,
    /// Where its words are.
    pub source: Source,
}

/// Baud rate, parity and stop bits; always eight data bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SerialLine {
    /// Bits per second; above 0.
    pub baud: u32,
    /// The parity bit.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
}

impl Default for SerialLine {
    /// 9600 8N1, what most meters are delivered with.
    fn default() -> Self {
        Self { baud: 9_600, parity: Parity::None, stop_bits: 1 }
    }
}

/// The parity bit of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Parity {
    /// None.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// Where a kind of device keeps its words.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each meter, and it stays in place")]
pub enum Source {
    /// Always at the same addresses.
    Map(Map),
    /// In a chain of models that has to be walked.
    SunSpec(SunSpec),
}

/// Where one device keeps its words.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map {
    /// What to ask for at every poll, in this order.
    pub requests: Vec<WordRequest>,
    /// What to ask for once after connecting.
    pub start_requests: Vec<WordRequest>,
    import: Option<Counter>,
    export: Option<Counter>,
    power: Option<Gauge>,
    power_export: Option<Gauge>,
    frequency: Option<Gauge>,
    voltages: Vec<Gauge>,
    serial: Option<SerialNumber>,
    model: Option<Model>,
    clock: Option<Place>,
    state: Option<State>,
    /// Words that must stand where they stood when the map was made: request, offset, word.
    fixed: Vec<(usize, usize, u16)>,
    /// Whether a counter at zero may be one that the device does not have.
    zero_may_be_absent: bool,
    reversed: bool,
}

/// A run of words to read in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WordRequest {
    /// Which of the device's two tables.
    pub function: Function,
    /// The first word, 0-based, as sent on the wire.
    pub address: u16,
    /// How many words, 1 to [`WORDS_MAX`].
    pub count: u16,
}

/// A table of words that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// What one count is worth, in millionths of a Wh, before the device's own scale factor.
    count_micro_wh: i64,
    /// Where the counter starts again from 0, in Wh.
    rollover_wh: Option<i64>,
    /// Whether some firmware counts it downwards from zero.
    absolute: bool,
}

/// A momentary value.
#[derive(Debug, Clone, PartialEq)]
struct Gauge {
    place: Place,
    /// What one count is worth in the quantity's unit; negative where the device's sign is the
    /// opposite of ours.
    scale: f64,
}

/// The number on the name plate.
#[derive(Debug, Clone, PartialEq)]
enum SerialNumber {
    Number(Place),
    Text(TextPlace),
}

/// A word that tells the model.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    place: Place,
    values: Vec<i64>,
}

/// A word that tells what the device is doing.
#[derive(Debug, Clone, PartialEq)]
struct State {
    place: Place,
    asleep: Vec<i64>,
}

const BUILT_IN: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

impl Profile {
    /// The names of the profiles that come with the program.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The text of a profile that comes with the program, to start a new one from.
    pub fn text(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// A profile that comes with the program; `None` if there is none of this name.
    pub fn built_in(name: &str) -> Option<Result<Self, TomlError>> {
        let text = Self::text(name)?;
        Some(Self::from_toml(text, Path::new(&format!("profiles/{name}.toml"))))
    }

    /// Reads a profile and checks that it hangs together. `file` names it in errors.
    ///
    /// # Errors
    /// [`TomlError`] names file, line and key, and what was expected.
    pub fn from_toml(text: &str, file: &Path) -> Result<Self, TomlError> {
        file::read(text, file)
    }

    /// Where the two counters start again from 0, in Wh: import, export. `None` where that is not
    /// known; then a rollover is a new series of counts.
    pub fn rollovers_wh(&self) -> (Option<i64>, Option<i64>) {
        let Source::Map(map) = &self.source else { return (None, None) };
        let rollover = |counter: &Option<Counter>| counter.as_ref()?.rollover_wh;
        let (import, export) = (rollover(&map.import), rollover(&map.export));
        if map.reversed { (export, import) } else { (import, export) }
    }

    /// The same device mounted backwards: what it counts as import is export.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        match &mut self.source {
            Source::Map(map) => map.reversed = !map.reversed,
            Source::SunSpec(rules) => rules.reversed = !rules.reversed,
        }
        self
    }

    /// The same device set to send its words in another order. Devices that describe themselves
    /// have one order only.
    #[must_use]
    pub fn with_word_order(mut self, order: WordOrder) -> Self {
        if let Source::Map(map) = &mut self.source {
            *map = map.with_word_order(order);
        }
        self
    }
}

impl Map {
    /// All numbers of more than one word in this order.
    fn with_word_order(&self, order: WordOrder) -> Self {
        let mut map = self.clone();
        let counters = map.import.iter_mut().chain(&mut map.export);
        let gauges = [&mut map.power, &mut map.power_export, &mut map.frequency];
        let gauges = gauges.into_iter().flatten().chain(&mut map.voltages);
        let places = counters.map(|counter| &mut counter.place);
        let places = places.chain(gauges.map(|gauge| &mut gauge.place)).chain(&mut map.clock);
        for place in places {
            place.order = order;
        }
        map
    }

    /// The map's numbers with their words in the other order.
    pub(crate) fn swapped(&self) -> Self {
        self.with_word_order(self.word_order().other())
    }

    /// The order of the counters' words.
    pub(crate) fn word_order(&self) -> WordOrder {
        let counter = self.import.iter().chain(&self.export).next();
        counter.map_or(WordOrder::HighFirst, |counter| counter.place.order)
    }

    /// Whether it knows neither frequency nor voltages, by which wrong words are noticed.
    pub(crate) fn has_no_vitals(&self) -> bool {
        self.frequency.is_none() && self.voltages.is_empty()
    }

    /// Whether a poll request brings a counter, without which there is no reading.
    pub(crate) fn needs(&self, request: usize) -> bool {
        let mut counters = self.import.iter().chain(&self.export);
        counters.any(|counter| counter.place.request == request)
    }

    /// Whether the device shows by a word of its own that it is the model; `None` if the map knows
    /// no such word.
    pub(crate) fn shows_model(&self, answers: &[Vec<u16>]) -> Option<bool> {
        let Model { place, values } = self.model.as_ref()?;
        Some(place.whole(answers).is_some_and(|shown| values.contains(&shown)))
    }

    /// How many quantities beside counters and power the device should show.
    pub(crate) fn vital_count(&self) -> usize {
        let serial = usize::from(self.serial.is_some());
        usize::from(self.frequency.is_some()).saturating_add(self.voltages.len()) + serial
    }
}
