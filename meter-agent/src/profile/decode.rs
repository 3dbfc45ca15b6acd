//! From words to a reading. "No value" is a state of its own and never becomes 0.

use market::reading::Quality;
use market::time::Timestamp;
use std::fmt;

use crate::profile::{COUNTER_MAX_WH, Counter, Gauge, NumberKind, Place, Profile, RegisterReading};

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
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Import => "import",
            Self::Export => "export",
            Self::Power => "power",
            Self::Frequency => "frequency",
        })
    }
}

/// Why words give no reading.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoReading {
    /// The answers do not hold the words of the profile.
    #[error("the answers hold no words for {0}")]
    WordsMissing(Quantity),
    /// The device says that it has no value now.
    #[error("the device has no value for {0}")]
    NoValue(Quantity),
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
}

/// The frequencies, in Hz, between which words are believed to be those of the profile.
const FREQUENCY_HZ: std::ops::RangeInclusive<f64> = 45.0..=65.0;

/// What a number's words say.
enum Number {
    Integer(i128),
    /// A float with half the distance to its upper neighbour.
    Float {
        value: f64,
        half_step: f64,
    },
}

impl Profile {
    /// Decodes the answers to [`Profile::requests`], in the same order.
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
        if let Some(frequency) = &self.frequency {
            let hertz = frequency.value(answers, Quantity::Frequency)?;
            // 0 is what devices show that do not measure it.
            if let Some(hertz) = hertz.filter(|hertz| *hertz != 0.0)
                && !FREQUENCY_HZ.contains(&hertz)
            {
                return Err(NoReading::ImpossibleFrequency(hertz));
            }
        }
        let power = match &self.power {
            Some(power) => power.value(answers, Quantity::Power)?,
            None => None,
        };
        Ok(RegisterReading {
            at,
            import_wh: self.import.wh(answers, Quantity::Import)?,
            export_wh: self.export.wh(answers, Quantity::Export)?,
            power_w: power.and_then(whole),
            quality,
        })
    }
}

impl Counter {
    fn wh(&self, answers: &[Vec<u16>], quantity: Quantity) -> Result<i64, NoReading> {
        let number = self.place.number(answers, quantity)?;
        match number.ok_or(NoReading::NoValue(quantity))? {
            Number::Integer(count) => {
                let micro_wh = count.saturating_mul(i128::from(self.count_micro_wh));
                let wh = micro_wh.div_euclid(1_000_000);
                let believed =
                    i64::try_from(wh).ok().filter(|wh| (0..=COUNTER_MAX_WH).contains(wh));
                believed.ok_or(NoReading::CounterOutOfRange { quantity, wh: lossy(wh) })
            }
            Number::Float { value, half_step } => {
                let scale = lossy(i128::from(self.count_micro_wh)) / 1e6;
                let wh = value * scale;
                let fits = value.is_finite() && value >= 0.0;
                let believed = whole((wh + (half_step * scale).min(0.5)).floor()).filter(|_| fits);
                believed
                    .filter(|wh| (0..=COUNTER_MAX_WH).contains(wh))
                    .ok_or(NoReading::CounterOutOfRange { quantity, wh })
            }
        }
    }
}

impl Gauge {
    fn value(&self, answers: &[Vec<u16>], quantity: Quantity) -> Result<Option<f64>, NoReading> {
        Ok(self.place.number(answers, quantity)?.map(|number| {
            self.scale
                * match number {
                    Number::Integer(count) => lossy(count),
                    Number::Float { value, .. } => value,
                }
        }))
    }
}

impl Place {
    /// The number at this place; `None` where the device says that there is none.
    fn number(
        &self,
        answers: &[Vec<u16>],
        quantity: Quantity,
    ) -> Result<Option<Number>, NoReading> {
        let end = self.offset.saturating_add(self.kind.word_count());
        let words = answers.get(self.request).and_then(|words| words.get(self.offset..end));
        let words = words.ok_or(NoReading::WordsMissing(quantity))?;
        let shift_in = |bits: u64, word: &u16| bits << 16 | u64::from(*word);
        let bits = if self.low_word_first {
            words.iter().rev().fold(0, shift_in)
        } else {
            words.iter().fold(0, shift_in)
        };
        if self.not_available.contains(&bits) {
            return Ok(None);
        }
        Ok(self.kind.number(bits))
    }
}

impl NumberKind {
    /// What the lowest bits of `bits` say; `None` for "not a number" and the infinities.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the same bits are read as the number they stand for"
    )]
    fn number(self, bits: u64) -> Option<Number> {
        match self {
            Self::U16 | Self::U32 | Self::U64 => Some(Number::Integer(i128::from(bits))),
            Self::I16 => Some(Number::Integer(i128::from(bits as u16 as i16))),
            Self::I32 => Some(Number::Integer(i128::from(bits as u32 as i32))),
            Self::I64 => Some(Number::Integer(i128::from(bits as i64))),
            Self::F32 => {
                let value = f32::from_bits(bits as u32);
                let half_step = f64::from(value.next_up()) - f64::from(value);
                float(f64::from(value), half_step / 2.0)
            }
            Self::F64 => {
                let value = f64::from_bits(bits);
                float(value, (value.next_up() - value) / 2.0)
            }
        }
    }
}

fn float(value: f64, half_step: f64) -> Option<Number> {
    value.is_finite().then_some(Number::Float { value, half_step })
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
    use proptest::prelude::*;

    fn sdm630() -> Profile {
        Profile::built_in("eastron-sdm630").unwrap().unwrap()
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
        sdm630().decode(answers, Timestamp::from_millis(5), Quality::Ok)
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
        let profile = Profile::built_in("abb-b23").unwrap().unwrap();
        let mut answers = vec![vec![0, 0, 0, 123, 0, 0, 0, 45], vec![0, 100], vec![5000]];
        let at = Timestamp::from_millis(0);
        let reading = profile.decode(&answers, at, Quality::Ok).unwrap();
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
                let read = profile.decode(&answers, Timestamp::from_millis(0), Quality::Ok);
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
