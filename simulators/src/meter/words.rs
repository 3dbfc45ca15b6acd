//! The words of an Eastron SDM630 (a *word* is a 16-bit Modbus register).
//!
//! Input words, function 4: 32-bit floats, high word first, at even 0-based addresses. The block 0
//! to 0x4F answers as one: pairs that the map leaves free read as 0, because readers of the real
//! device fetch the whole block in one request. The sum counter stands apart at 0x156.
//!
//! Holding words, function 3: the serial number at 0xFC00, 32-bit unsigned, high word first.
//!
//! Energy words are kWh with a resolution of 1 Wh, rounded down, as the device has. A 32-bit float
//! keeps 24 bits: single watt-hours are exact below 16,384 kWh, beyond it the reading moves in
//! steps of 2 Wh, beyond 32,768 kWh of 4 Wh. The simulated counters start low enough for years of
//! exactness.

use super::MeterReadout;
use crate::power::UJ_PER_WH;

/// Most words that one request may ask for (Modbus application protocol 1.1b3, section 6.4).
pub const MAX_WORDS: u16 = 125;

/// Words of the block that starts at address 0.
const BLOCK_WORDS: usize = 0x50;
/// Import plus export in kWh.
const ENERGY_SUM: u16 = 0x156;
/// Serial number.
const SERIAL: u16 = 0xFC00;
/// Power factor of a household's mix of appliances.
const POWER_FACTOR: f64 = 0.97;

/// Why a request for words has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// No word, or more than a frame can carry.
    #[error("a request cannot ask for {count} words (1 to {MAX_WORDS} are possible)")]
    CountOutOfRange {
        /// Words asked for.
        count: u16,
    },
    /// The device has no words there.
    #[error("the device has no {count} words from address {address}")]
    UnmappedAddress {
        /// First address asked for.
        address: u16,
        /// Words asked for.
        count: u16,
    },
}

/// `count` input words from `address` on.
///
/// # Errors
///
/// [`WordsError`] if the device has no such words.
pub fn input_words(
    readout: &MeterReadout,
    address: u16,
    count: u16,
) -> Result<Vec<u16>, WordsError> {
    check_count(count)?;
    let sum_uj = readout.import_uj.saturating_add(readout.export_uj);
    let sum = float_words(kilowatt_hours(sum_uj / UJ_PER_WH));
    slice_of(&measured_block(readout), 0, address, count)
        .or_else(|| slice_of(&sum, ENERGY_SUM, address, count))
        .ok_or(WordsError::UnmappedAddress { address, count })
}

/// `count` holding words from `address` on.
///
/// # Errors
///
/// [`WordsError`] if the device has no such words.
pub fn holding_words(
    readout: &MeterReadout,
    address: u16,
    count: u16,
) -> Result<Vec<u16>, WordsError> {
    check_count(count)?;
    slice_of(&high_word_first(readout.serial), SERIAL, address, count)
        .ok_or(WordsError::UnmappedAddress { address, count })
}

fn check_count(count: u16) -> Result<(), WordsError> {
    if (1..=MAX_WORDS).contains(&count) {
        Ok(())
    } else {
        Err(WordsError::CountOutOfRange { count })
    }
}

/// The part of `words`, which begin at address `base`, that a request names, if all of it is there.
fn slice_of(words: &[u16], base: u16, address: u16, count: u16) -> Option<Vec<u16>> {
    let first = usize::from(address.checked_sub(base)?);
    words.get(first..first + usize::from(count)).map(<[u16]>::to_vec)
}

fn measured_block(readout: &MeterReadout) -> [u16; BLOCK_WORDS] {
    let mut block = [0; BLOCK_WORDS];
    let mut put = |address: usize, value: f64| {
        if let Some(pair) = block.get_mut(address..address + 2) {
            pair.copy_from_slice(&float_words(value));
        }
    };
    let (mut current_sum, mut apparent_sum, mut reactive_sum) = (0.0, 0.0, 0.0);
    for (phase, (voltage, power_mw)) in
        readout.voltage_v.into_iter().zip(readout.phase_power_mw).enumerate()
    {
        let active = watts(power_mw);
        let apparent = active.abs() / POWER_FACTOR;
        let reactive = (apparent * apparent - active * active).sqrt();
        let current = apparent / voltage;
        put(2 * phase, voltage);
        put(0x06 + 2 * phase, current);
        put(0x0C + 2 * phase, active);
        put(0x12 + 2 * phase, apparent);
        put(0x18 + 2 * phase, reactive);
        put(0x1E + 2 * phase, POWER_FACTOR.copysign(active));
        put(0x24 + 2 * phase, POWER_FACTOR.acos().to_degrees());
        current_sum += current;
        apparent_sum += apparent;
        reactive_sum += reactive;
    }
    put(0x2A, readout.voltage_v.iter().sum::<f64>() / 3.0);
    put(0x2E, current_sum / 3.0);
    put(0x30, current_sum);
    put(0x34, watts(readout.power_mw));
    put(0x38, apparent_sum);
    put(0x3C, reactive_sum);
    put(0x3E, POWER_FACTOR.copysign(watts(readout.power_mw)));
    put(0x42, POWER_FACTOR.acos().to_degrees());
    put(0x46, readout.frequency_hz);
    put(0x48, kilowatt_hours(readout.import_wh()));
    put(0x4A, kilowatt_hours(readout.export_wh()));
    block
}

fn watts(power_mw: i64) -> f64 {
    power_mw as f64 / 1_000.0
}

fn kilowatt_hours(energy_wh: u64) -> f64 {
    energy_wh as f64 / 1_000.0
}

fn float_words(value: f64) -> [u16; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "the device speaks 32-bit floats")]
    let single = value as f32;
    high_word_first(single.to_bits())
}

fn high_word_first(value: u32) -> [u16; 2] {
    let [a, b, c, d] = value.to_be_bytes();
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::NOMINAL_VOLTAGE_V;
    use proptest::prelude::*;

    fn example() -> MeterReadout {
        MeterReadout {
            serial: 0x0123_4567,
            power_mw: 1_234_500,
            phase_power_mw: [1_000_000, 300_000, -65_500],
            voltage_v: [NOMINAL_VOLTAGE_V; 3],
            frequency_hz: 50.01,
            import_uj: 4_321_750 * UJ_PER_WH + 17,
            export_uj: 1_000 * UJ_PER_WH,
        }
    }

    fn float_at(readout: &MeterReadout, address: u16) -> f32 {
        let words = input_words(readout, address, 2).expect("a mapped address");
        f32::from_bits(u32::from(words[0]) << 16 | u32::from(words[1]))
    }

    #[test]
    fn the_map_is_that_of_the_reference_page() {
        let readout = example();
        let cases = [
            (0, 230.0),
            (2, 230.0),
            (4, 230.0),
            (12, 1_000.0),
            (14, 300.0),
            (16, -65.5),
            (52, 1_234.5),
            (70, 50.01),
            (72, 4_321.75),
            (74, 1.0),
            (342, 4_322.75),
        ];
        for (address, value) in cases {
            let read = float_at(&readout, address);
            assert!((read - value).abs() < 1e-3, "{address}: {read}");
        }
        assert_eq!(holding_words(&readout, 0xFC00, 2), Ok(vec![0x0123, 0x4567]));
        assert!((float_at(&readout, 6) - 4.482).abs() < 1e-3);
    }

    #[test]
    fn requests_beyond_the_map_or_the_frame_are_refused() {
        let readout = example();
        let unmapped = |address, count| Err(WordsError::UnmappedAddress { address, count });
        for (address, count) in [(0x4F, 2), (0x50, 1), (0x155, 2), (0x156, 3), (0xFFFF, 2)] {
            assert_eq!(input_words(&readout, address, count), unmapped(address, count));
        }
        assert_eq!(holding_words(&readout, 0, 2), unmapped(0, 2));
        assert_eq!(holding_words(&readout, 0xFC01, 2), unmapped(0xFC01, 2));
        for count in [0, 126, u16::MAX] {
            let refused = Err(WordsError::CountOutOfRange { count });
            assert_eq!(input_words(&readout, 0, count), refused);
            assert_eq!(holding_words(&readout, 0xFC00, count), refused);
        }
        assert_eq!(input_words(&readout, 0, 0x50).map(|words| words.len()), Ok(0x50));
    }

    proptest! {
        #[test]
        fn every_watt_hour_below_16384_kwh_can_be_read_back(energy_wh in 0_u64..16_384_000) {
            let readout = MeterReadout {
                import_uj: energy_wh * UJ_PER_WH + 3_599_999_999,
                ..example()
            };
            let kwh = f64::from(float_at(&readout, 0x48));
            prop_assert_eq!((kwh * 1_000.0).round(), energy_wh as f64);
        }
    }
}
