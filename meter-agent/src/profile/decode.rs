//! From words to a reading. "No value" is a state of its own and never becomes 0.

use market::reading::Quality;
use market::time::Timestamp;
use std::fmt;

use crate::profile::number::{Number, WordsMissing};
use crate::profile::{COUNTER_MAX_WH, Counter, Gauge, Map, Model, RegisterReading, SerialNumber};

/// A quantity of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// The counter of energy drawn from the grid.
    Import,
    /// The counter of energy fed into the grid.
    Export,
    /// The power at the metering point.
    Power,
    /// The grid's frequency.
    Frequency,
    /// A voltage between phase and neutral.
    Voltage,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Import => "import",
            Self::Export => "export",
            Self::Power => "power",
            Self::Frequency => "frequency",
            Self::Voltage => "voltage",
        })
    }
}

/// Why words give no reading.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoReading {
    /// The device has no words where the profile looks for them.
    #[error(
        "the device has no words for {0} where the profile looks for them; it may be another \
         model: `hidamari agent scan` proposes a profile"
    )]
    WordsMissing(Quantity),
    /// The device says that it has no value now.
    #[error("the device has no value for {0}")]
    NoValue(Quantity),
    /// The device says that it sleeps, and shows no counter meanwhile.
    #[error("the device sleeps")]
    Asleep,
    /// A counter below zero or beyond belief.
    #[error("{quantity} shows {wh} Wh, possible are 0 to {COUNTER_MAX_WH}")]
    CounterOutOfRange {
        /// Which counter.
        quantity: Quantity,
        /// What it shows, in Wh.
        wh: f64,
    },
    /// A frequency that no grid has: the words are not what the profile takes them for.
    #[error("the frequency reads {0} Hz, so these words are not those of the profile")]
    ImpossibleFrequency(f64),
    /// A voltage that no socket has: the words are not what the profile takes them for.
    #[error("a voltage reads {0} V, so these words are not those of the profile")]
    ImpossibleVoltage(f64),
    /// The device tells another model than those of the profile.
    #[error(
        "the device says that it is model {found}, but the profile is for {expected:?}; \
         `hidamari agent scan` proposes a profile"
    )]
    OtherModel {
        /// What it says.
        found: i64,
        /// What the profile is for.
        expected: Vec<i64>,
    },
    /// Two reads of the serial number differ.
    #[error("the serial number differs from read to read")]
    UnstableSerial,
    /// The words moved: the device holds other models than at the start.
    #[error("the device arranged its models anew")]
    Rearranged,
    /// No base address shows the mark of `SunSpec`.
    #[error(
        "no `SunSpec` at the addresses {bases:?}; switch it on in the device's menu, or try \
         another unit id"
    )]
    NoSunSpec {
        /// Where the mark was looked for.
        bases: Vec<u16>,
    },
    /// The chain of models holds none that the profile knows.
    #[error(
        "the device holds the `SunSpec` models {found:?}, but too few of {wanted:?}; try another \
         unit id or profile"
    )]
    NoModel {
        /// What it holds.
        found: Vec<u16>,
        /// What the profile can read.
        wanted: Vec<u16>,
    },
}

/// The frequencies, in Hz, between which words are believed to be those of the profile.
const FREQUENCY_HZ: std::ops::RangeInclusive<f64> = 45.0..=65.0;

/// The same for voltages between phase and neutral, in V.
const VOLTAGE_V: std::ops::RangeInclusive<f64> = 80.0..=280.0;

/// What a device shows beside its counters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vitals {
    /// The grid's frequency in Hz; `None` if it is not measured or has no value.
    pub frequency_hz: Option<f64>,
    /// The voltages in V that have a value.
    pub voltages_v: Vec<f64>,
    /// The serial number, as on the name plate.
    pub serial: Option<String>,
    /// The device's own clock.
    pub clock: Option<Timestamp>,
}

impl Vitals {
    /// Whether frequency and voltages are those of a grid, as far as they are measured: 0 is what
    /// devices show that do not measure.
    ///
    /// # Errors
    /// [`NoReading`] names the first that is not.
    pub fn check(&self) -> Result<(), NoReading> {
        let impossible = |hertz: &f64| *hertz != 0.0 && !FREQUENCY_HZ.contains(hertz);
        if let Some(hertz) = self.frequency_hz.filter(impossible) {
            return Err(NoReading::ImpossibleFrequency(hertz));
        }
        let impossible = |volts: &&f64| **volts != 0.0 && !VOLTAGE_V.contains(*volts);
        match self.voltages_v.iter().find(impossible) {
            Some(volts) => Err(NoReading::ImpossibleVoltage(*volts)),
            None => Ok(()),
        }
    }
}

impl Map {
    /// Decodes the answers to [`Map::requests`], in the same order. An empty answer stands for
    /// words that the device does not have.
    ///
    /// A float counter stands for every value that rounds to it; it is taken at the upper end of
    /// that span (at most half a Wh higher) and then rounded down to whole Wh, so that a device
    /// that counts whole Wh is read exactly: 1.003 kWh as a 32-bit float lies a little below
    /// 1003 Wh.
    ///
    /// # Errors
    /// [`NoReading`] says which quantity is missing or impossible. A missing power is no error.
    pub fn decode(
        &self,
        answers: &[Vec<u16>],
        at: Timestamp,
        quality: Quality,
    ) -> Result<RegisterReading, NoReading> {
        let stands = |(request, offset, word): &(usize, usize, u16)| {
            answers.get(*request).and_then(|words| words.get(*offset)) == Some(word)
        };
        if !self.fixed.iter().all(stands) {
            return Err(NoReading::Rearranged);
        }
        self.vitals(answers).check()?;
        let counters = self.counters(answers);
        let [import, export] = match counters {
            Err(_) if self.sleeps(answers) => return Err(NoReading::Asleep),
            counters => counters?,
        };
        let ((import_wh, import_step), (export_wh, export_step)) =
            if self.reversed { (export, import) } else { (import, export) };
        let power = self.net_power(answers).and_then(whole);
        Ok(RegisterReading {
            at,
            import_wh,
            export_wh,
            step_wh: import_step.max(export_step).max(1),
            power_w: if self.reversed { power.map(|power_w| -power_w) } else { power },
            quality,
        })
    }

    /// Decodes what the answers hold beside the counters; those at the start may follow those of
    /// the poll.
    pub fn vitals(&self, answers: &[Vec<u16>]) -> Vitals {
        let value = |gauge: &Gauge| gauge.value(answers);
        let clock = self.clock.as_ref().and_then(|clock| clock.whole(answers));
        Vitals {
            frequency_hz: self.frequency.as_ref().and_then(value),
            voltages_v: self.voltages.iter().filter_map(value).collect(),
            serial: self.serial.as_ref().and_then(|serial| serial.shown(answers)),
            // 0 is a clock that was never set.
            clock: clock
                .filter(|seconds| *seconds > 0)
                .map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1_000))),
        }
    }

    /// Whether it is a model that the profile is for, as far as the device tells.
    ///
    /// # Errors
    /// [`NoReading::OtherModel`] if it is not.
    pub fn check_model(&self, answers: &[Vec<u16>]) -> Result<(), NoReading> {
        let Some(Model { place, values }) = &self.model else { return Ok(()) };
        match place.whole(answers) {
            Some(found) if !values.contains(&found) => {
                Err(NoReading::OtherModel { found, expected: values.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Both counters and their steps, in Wh.
    fn counters(&self, answers: &[Vec<u16>]) -> Result<[(i64, i64); 2], NoReading> {
        let wh = |counter: &Option<Counter>, quantity| match counter {
            Some(counter) => counter.wh(answers, quantity),
            None => Ok((0, 1)),
        };
        let import = wh(&self.import, Quantity::Import)?;
        let export = wh(&self.export, Quantity::Export)?;
        if self.zero_may_be_absent && import.0 == 0 && export.0 == 0 {
            let absent = if self.import.is_some() { Quantity::Import } else { Quantity::Export };
            return Err(NoReading::NoValue(absent));
        }
        Ok([import, export])
    }

    fn net_power(&self, answers: &[Vec<u16>]) -> Option<f64> {
        let power = self.power.as_ref()?.value(answers)?;
        match &self.power_export {
            Some(export) => Some(power - export.value(answers)?),
            None => Some(power),
        }
    }

    fn sleeps(&self, answers: &[Vec<u16>]) -> bool {
        let asleep = self.state.as_ref().and_then(|state| {
            let shown = state.place.whole(answers)?;
            Some(state.asleep.contains(&shown))
        });
        asleep == Some(true)
    }
}

impl Counter {
    /// The counter and one step of it, in Wh.
    fn wh(&self, answers: &[Vec<u16>], quantity: Quantity) -> Result<(i64, i64), NoReading> {
        let number = self.place.number(answers);
        let number = number.map_err(|WordsMissing| NoReading::WordsMissing(quantity))?;
        let (number, scale) = number.ok_or(NoReading::NoValue(quantity))?;
        let micro_wh = i128::from(self.count_micro_wh);
        match number {
            Number::Integer(count) => {
                let count = if self.absolute { count.saturating_abs() } else { count };
                let micro = |count: i128| scale.of_whole(count.saturating_mul(micro_wh));
                let wh = micro(count).div_euclid(1_000_000);
                let believed =
                    i64::try_from(wh).ok().filter(|wh| (0..=COUNTER_MAX_WH).contains(wh));
                let wh =
                    believed.ok_or(NoReading::CounterOutOfRange { quantity, wh: lossy(wh) })?;
                let step = micro(1).saturating_add(999_999).div_euclid(1_000_000);
                Ok((wh, i64::try_from(step).unwrap_or(COUNTER_MAX_WH)))
            }
            Number::Float { value, half_step } => {
                let unit = scale.of(lossy(micro_wh) / 1e6);
                let value = if self.absolute { value.abs() } else { value };
                let wh = value * unit;
                let fits = value.is_finite() && value >= 0.0;
                let believed = whole((wh + (half_step * unit).min(0.5)).floor()).filter(|_| fits);
                let believed = believed.filter(|wh| (0..=COUNTER_MAX_WH).contains(wh));
                let shown = believed.ok_or(NoReading::CounterOutOfRange { quantity, wh })?;
                Ok((shown, whole((2.0 * half_step * unit).ceil()).unwrap_or(1)))
            }
        }
    }
}

impl Gauge {
    fn value(&self, answers: &[Vec<u16>]) -> Option<f64> {
        let (number, scale) = self.place.number(answers).ok()??;
        let value = match number {
            Number::Integer(count) => lossy(count),
            Number::Float { value, .. } => value,
        };
        Some(scale.of(self.scale * value))
    }
}

impl SerialNumber {
    /// As people read it; `None` where the device shows none, or nothing but zeros.
    fn shown(&self, answers: &[Vec<u16>]) -> Option<String> {
        match self {
            Self::Number(place) => {
                let number = place.whole(answers).filter(|number| *number > 0)?;
                Some(number.to_string())
            }
            Self::Text(place) => place.text(answers),
        }
    }
}

/// The nearest whole number, if it is within the range in which floats are exact.
fn whole(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (value.abs() < 9e15).then(|| value.round() as i64)
}

fn lossy(value: i128) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Profile, Source};
    use proptest::prelude::*;

    fn map(name: &str) -> Map {
        match Profile::built_in(name).unwrap().unwrap().source {
            Source::Map(map) => map,
            Source::SunSpec(_) => panic!("{name} has no map of its own"),
        }
    }

    fn put(words: &mut [u16], offset: usize, value: f32) {
        let bits = value.to_bits();
        words[offset] = u16::try_from(bits >> 16).unwrap();
        words[offset + 1] = u16::try_from(bits & 0xFFFF).unwrap();
    }

    fn answer(power_w: f32, hertz: f32, import_kwh: f32, export_kwh: f32) -> Vec<Vec<u16>> {
        let mut words = vec![0; 24];
        put(&mut words, 0, power_w);
        put(&mut words, 18, hertz);
        put(&mut words, 20, import_kwh);
        put(&mut words, 22, export_kwh);
        vec![words]
    }

    fn decode(answers: &[Vec<u16>]) -> Result<RegisterReading, NoReading> {
        map("eastron-sdm630").decode(answers, Timestamp::from_millis(5), Quality::Ok)
    }

    #[test]
    fn the_sdm630_is_read_as_its_map_says() {
        let reading = decode(&answer(-1234.5, 50.01, 4321.75, 1.003)).unwrap();
        assert_eq!((reading.import_wh, reading.export_wh), (4_321_750, 1_003));
        assert_eq!(reading.power_w, Some(-1235));
    }

    #[test]
    fn not_a_number_is_no_reading_and_never_zero() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let refused = decode(&answer(0.0, 50.0, bad, 1.0));
            assert_eq!(refused, Err(NoReading::NoValue(Quantity::Import)));
            assert_eq!(decode(&answer(bad, 50.0, 1.0, 1.0)).unwrap().power_w, None);
        }
        let refused = decode(&answer(0.0, 50.0, 1.0, -0.5));
        assert!(matches!(refused, Err(NoReading::CounterOutOfRange { .. })));
        let refused = decode(&answer(0.0, 50.0, 1.0, f32::MAX));
        assert!(matches!(refused, Err(NoReading::CounterOutOfRange { .. })));
    }

    #[test]
    fn swapped_words_are_found_by_the_frequency() {
        let mut answers = answer(500.0, 50.0, 100.0, 20.0);
        for words in &mut answers {
            for pair in words.chunks_mut(2) {
                pair.swap(0, 1);
            }
        }
        assert!(matches!(decode(&answers), Err(NoReading::ImpossibleFrequency(_))));
    }

    #[test]
    fn not_available_codes_are_no_value() {
        let profile = map("abb-b23");
        let mut answers = vec![vec![0, 0, 0, 123, 0, 0, 0, 45], vec![0, 100], vec![5000]];
        let at = Timestamp::from_millis(0);
        let reading = profile.decode(&answers, at, Quality::Ok).unwrap();
        assert_eq!(reading.step_wh, 10);
        assert_eq!((reading.import_wh, reading.export_wh), (1_230, 450));
        assert_eq!(reading.power_w, Some(1));
        answers[0][4..8].fill(0xFFFF);
        let refused = profile.decode(&answers, at, Quality::Ok);
        assert_eq!(refused, Err(NoReading::NoValue(Quantity::Export)));
    }

    proptest! {
        #[test]
        fn any_words_give_a_sound_reading_or_none(
            answers in prop::collection::vec(prop::collection::vec(any::<u16>(), 0..30), 0..5),
        ) {
            for name in Profile::names() {
                let profile = Profile::built_in(name).unwrap().unwrap();
                let Source::Map(map) = profile.source else { continue };
                map.vitals(&answers);
                let read = map.decode(&answers, Timestamp::from_millis(0), Quality::Ok);
                if let Ok(reading) = read {
                    prop_assert!((0..=COUNTER_MAX_WH).contains(&reading.import_wh));
                    prop_assert!((0..=COUNTER_MAX_WH).contains(&reading.export_wh));
                }
            }
        }

        #[test]
        fn whole_watt_hours_in_a_float_of_kilowatt_hours_are_read_exactly(wh in 0_u32..16_384_000) {
            #[expect(clippy::cast_possible_truncation, reason = "the device does the same")]
            let kwh = (f64::from(wh) / 1000.0) as f32;
            let reading = decode(&answer(0.0, 50.0, kwh, 0.0)).unwrap();
            prop_assert_eq!(reading.import_wh, i64::from(wh));
        }
    }
}
