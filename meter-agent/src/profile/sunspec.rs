//! `SunSpec`: devices that describe themselves as a chain of models.
//!
//! The offsets below count from a model's id word, as in the alliance's model files. A whole model
//! is read in one request, so that each value comes with its scale factor, which many inverters
//! change at dawn and dusk; the request also brings the id and the length, so that words which
//! moved are never taken for others.

use crate::profile::decode::NoReading;
use crate::profile::number::{NumberKind, Place, TextPlace, WordOrder};
use crate::profile::{
    Counter, Function, Gauge, Map, Profile, SerialNumber, Source, State, WordRequest,
};

/// The two words at the base address: `SunS`.
pub const MARKER: [u16; 2] = [0x5375, 0x6E53];
/// The id of the model that names the device.
pub const COMMON_MODEL: u16 = 1;
/// The id that ends the chain.
pub const END_MODEL: u16 = 0xFFFF;

/// Where in the common model the serial number stands, and how many words it has.
const SERIAL: (usize, usize) = (50, 16);
/// The states off and sleeping of an inverter.
const ASLEEP: [i64; 2] = [1, 2];

/// What to look for in the chain of models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SunSpec {
    /// The models that can be read, the preferred one first.
    pub models: Vec<u16>,
    /// The addresses at which the chain may begin.
    pub bases: Vec<u16>,
    /// Which of several such models to take, from 1.
    pub occurrence: usize,
    /// Whether the device's power is positive while feeding in.
    pub positive_export: bool,
    /// Whether it is mounted backwards.
    pub(in crate::profile) reversed: bool,
}

/// A model in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its id.
    pub id: u16,
    /// Where its id stands.
    pub address: u16,
    /// How many words follow id and length.
    pub length: u16,
}

/// Where a kind of model keeps its words.
#[derive(Clone, Copy)]
struct Layout {
    /// How many words to read, from the id on.
    words: u16,
    power: usize,
    frequency: usize,
    voltages: [usize; 3],
    /// Inverters count export alone.
    import: Option<usize>,
    export: usize,
    state: Option<usize>,
    /// Scale factors of power, frequency, voltages and energy; `None` for floats.
    factors: Option<[usize; 4]>,
    signed_gauges: bool,
}

const INVERTER: Layout = Layout {
    words: 52,
    power: 14,
    frequency: 16,
    voltages: [10, 11, 12],
    import: None,
    export: 24,
    state: Some(38),
    factors: Some([15, 17, 13, 26]),
    signed_gauges: false,
};
const FLOAT_INVERTER: Layout = Layout {
    words: 62,
    power: 22,
    frequency: 24,
    voltages: [16, 18, 20],
    import: None,
    export: 32,
    state: Some(48),
    factors: None,
    signed_gauges: true,
};
const METER: Layout = Layout {
    words: 107,
    power: 18,
    frequency: 16,
    voltages: [8, 9, 10],
    import: Some(46),
    export: 38,
    state: None,
    factors: Some([22, 17, 15, 54]),
    signed_gauges: true,
};
const FLOAT_METER: Layout = Layout {
    words: 70,
    power: 28,
    frequency: 26,
    voltages: [12, 14, 16],
    import: Some(68),
    export: 60,
    state: None,
    factors: None,
    signed_gauges: true,
};

fn layout(model: u16) -> Option<Layout> {
    match model {
        101..=103 => Some(INVERTER),
        111..=113 => Some(FLOAT_INVERTER),
        201..=204 => Some(METER),
        211..=214 => Some(FLOAT_METER),
        _ => None,
    }
}

/// How many phases a model has.
fn phases(model: u16) -> usize {
    match model % 10 {
        1 => 1,
        2 => 2,
        _ => 3,
    }
}

impl SunSpec {
    /// Whether a model can be read at all.
    pub(super) fn knows(model: u16) -> bool {
        layout(model).is_some()
    }

    /// Whether a model counts import as well as export.
    pub(super) fn is_meter(model: u16) -> bool {
        layout(model).is_some_and(|layout| layout.import.is_some())
    }

    /// The map of a device that holds these models.
    ///
    /// # Errors
    /// [`NoReading::NoModel`] if none of them is wanted, or one is too short.
    pub fn map(&self, chain: &[Block]) -> Result<Map, NoReading> {
        let chosen = self.models.iter().find_map(|model| {
            let layout = layout(*model)?;
            let holds = |(_, block): &(usize, &Block)| {
                block.id == *model && block.length.saturating_add(2) >= layout.words
            };
            let nth = self.occurrence.saturating_sub(1);
            let (index, block) = chain.iter().enumerate().filter(holds).nth(nth)?;
            Some((index, *block, layout))
        });
        let (index, block, layout) = chosen.ok_or_else(|| NoReading::NoModel {
            found: chain.iter().map(|block| block.id).collect(),
            wanted: self.models.clone(),
        })?;
        let before = chain.iter().take(index).rev();
        let common = before.copied().find(|block| block.id == COMMON_MODEL);
        Ok(self.map_of(&block, &layout, common.as_ref()))
    }

    fn map_of(&self, block: &Block, layout: &Layout, common: Option<&Block>) -> Map {
        let request = |address, count| WordRequest { function: Function::Holding, address, count };
        let sign = if self.positive_export || layout.import.is_none() { -1.0 } else { 1.0 };
        let [power, frequency, voltage, energy] = match layout.factors {
            Some(factors) => factors.map(Some),
            None => [None; 4],
        };
        let gauge = |offset, scale, signed, factor| Gauge {
            place: layout.gauge(offset, signed, factor),
            scale,
        };
        let voltages = layout.voltages.iter().take(phases(block.id));
        let serial_end = u16::try_from(SERIAL.0.saturating_add(SERIAL.1)).unwrap_or(u16::MAX);
        let common = common.filter(|common| common.length.saturating_add(2) >= serial_end);
        Map {
            requests: vec![request(block.address, layout.words)],
            start_requests: common
                .map(|common| request(common.address, serial_end))
                .into_iter()
                .collect(),
            import: layout.import.map(|offset| layout.counter(offset, energy)),
            export: Some(layout.counter(layout.export, energy)),
            power: Some(gauge(layout.power, sign, true, power)),
            frequency: Some(gauge(layout.frequency, 1.0, layout.signed_gauges, frequency)),
            voltages: voltages
                .map(|offset| gauge(*offset, 1.0, layout.signed_gauges, voltage))
                .collect(),
            serial: common.map(|_| {
                let (offset, count) = SERIAL;
                SerialNumber::Text(TextPlace { request: 1, offset, count, bytes_swapped: false })
            }),
            state: layout.state.map(|offset| State {
                place: place(offset, NumberKind::U16, &[0xFFFF], None),
                asleep: ASLEEP.to_vec(),
            }),
            fixed: vec![(0, 0, block.id), (0, 1, block.length)],
            zero_may_be_absent: true,
            reversed: self.reversed,
            ..Map::default()
        }
    }
}

impl Layout {
    fn counter(&self, offset: usize, factor: Option<usize>) -> Counter {
        let kind = if self.factors.is_some() { NumberKind::U32 } else { NumberKind::F32 };
        Counter {
            place: place(offset, kind, &[0xFFFF_FFFF], factor),
            count_micro_wh: 1_000_000,
            rollover_wh: None,
            absolute: false,
        }
    }

    fn gauge(&self, offset: usize, signed: bool, factor: Option<usize>) -> Place {
        match (self.factors, signed) {
            (None, _) => place(offset, NumberKind::F32, &[], factor),
            (Some(_), true) => place(offset, NumberKind::I16, &[0x8000], factor),
            (Some(_), false) => place(offset, NumberKind::U16, &[0xFFFF], factor),
        }
    }
}

fn place(offset: usize, kind: NumberKind, none: &[u64], factor: Option<usize>) -> Place {
    let not_available = none.to_vec();
    Place { request: 0, offset, kind, order: WordOrder::HighFirst, not_available, factor }
}

impl Profile {
    /// What to look for in the device's chain of models, if it has one.
    pub fn sunspec(&self) -> Option<&SunSpec> {
        match &self.source {
            Source::SunSpec(rules) => Some(rules),
            Source::Map(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::decode::Quantity;
    use market::reading::Quality;
    use market::time::Timestamp;
    use proptest::prelude::*;

    use crate::profile::COUNTER_MAX_WH;

    fn rules(models: &[u16]) -> SunSpec {
        SunSpec {
            models: models.to_vec(),
            bases: vec![40_000],
            occurrence: 1,
            positive_export: false,
            reversed: false,
        }
    }

    fn block(id: u16, address: u16, length: u16) -> Block {
        Block { id, address, length }
    }

    #[test]
    fn the_preferred_model_is_taken_with_the_common_model_before_it() {
        // An inverter with two meters, each with a common model of its own (66 or 65 words).
        let chain = [
            block(1, 40_002, 65),
            block(103, 40_069, 50),
            block(1, 40_121, 65),
            block(203, 40_188, 105),
            block(1, 40_295, 65),
            block(203, 40_362, 105),
        ];
        let map = rules(&[213, 203]).map(&chain).unwrap();
        assert_eq!((map.requests[0].address, map.requests[0].count), (40_188, 107));
        assert_eq!(map.start_requests[0].address, 40_121);
        let second = SunSpec { occurrence: 2, ..rules(&[203]) };
        assert_eq!(second.map(&chain).unwrap().requests[0].address, 40_362);
        let none = rules(&[213]).map(&chain).unwrap_err();
        assert!(matches!(none, NoReading::NoModel { .. }), "{none}");
    }

    #[test]
    fn a_model_that_is_too_short_is_not_taken() {
        assert!(rules(&[203]).map(&[block(203, 40_069, 60)]).is_err());
    }

    #[test]
    fn a_counter_at_zero_has_a_value_only_beside_one_above_zero() {
        let map = rules(&[203]).map(&[block(203, 40_069, 105)]).unwrap();
        let mut words = vec![0; 107];
        (words[0], words[1]) = (203, 105);
        let read = |words: &Vec<u16>| {
            map.decode(std::slice::from_ref(words), Timestamp::from_millis(0), Quality::Ok)
        };
        assert_eq!(read(&words), Err(NoReading::NoValue(Quantity::Import)));
        words[47] = 7;
        assert_eq!(read(&words).map(|read| (read.import_wh, read.export_wh)), Ok((7, 0)));
        words[1] = 104;
        assert_eq!(read(&words), Err(NoReading::Rearranged));
    }

    proptest! {
        /// Whatever a device says of itself, and then shows: a sound reading or none.
        #[test]
        fn any_chain_and_any_words_give_a_sound_reading_or_none(
            chain in prop::collection::vec((any::<u16>(), any::<u16>(), any::<u16>()), 0..6),
            known in prop::sample::select(vec![101_u16, 103, 112, 113, 201, 203, 204, 211, 214]),
            mut words in prop::collection::vec(any::<u16>(), 0..130),
        ) {
            let mut blocks: Vec<_> =
                chain.into_iter().map(|(id, at, length)| block(id, at, length)).collect();
            blocks.push(block(known, 40_069, 124));
            if let [id, length, ..] = words.as_mut_slice() {
                (*id, *length) = (known, 124);
            }
            let map = rules(&[known]).map(&blocks).unwrap();
            let answers = [words.clone(), words];
            map.vitals(&answers);
            if let Ok(read) = map.decode(&answers, Timestamp::from_millis(0), Quality::Ok) {
                prop_assert!((0..=COUNTER_MAX_WH).contains(&read.import_wh));
                prop_assert!((0..=COUNTER_MAX_WH).contains(&read.export_wh));
                prop_assert!(read.step_wh >= 1);
            }
        }
    }
}
