//! What is wrong with words that make no sense.

use market::reading::Quality;
use market::time::Timestamp;

use crate::commission::Finding;
use crate::profile::{Map, NoReading, Vitals};

/// Powers of ten that are tried.
const POWERS: [i32; 6] = [-1, 1, -2, 2, -3, 3];

/// Explains why a device's words give no reading: the other word order, a power of ten, or
/// nothing better than what the error says.
pub(super) fn explain(map: &Map, answers: &[Vec<u16>], error: &NoReading) -> Finding {
    let senseless = matches!(
        error,
        NoReading::ImpossibleFrequency(_)
            | NoReading::ImpossibleVoltage(_)
            | NoReading::CounterOutOfRange { .. }
    );
    if senseless && makes_sense(&map.swapped(), answers) {
        return Finding::WordOrder { instead: map.word_order().other() };
    }
    match error {
        NoReading::ImpossibleFrequency(hertz) => of_scale("frequency", *hertz, |hertz| Vitals {
            frequency_hz: Some(hertz),
            ..Vitals::default()
        }),
        NoReading::ImpossibleVoltage(volts) => of_scale("voltage", *volts, |volts| Vitals {
            voltages_v: vec![volts],
            ..Vitals::default()
        }),
        other => Finding::NoReading { why: other.to_string() },
    }
}

/// Whether at least one quantity proves the words right, and none proves them wrong. Counters that
/// were not read yet prove nothing.
fn makes_sense(map: &Map, answers: &[Vec<u16>]) -> bool {
    let vitals = map.vitals(answers);
    let shown = vitals.frequency_hz.iter().chain(&vitals.voltages_v).any(|value| *value != 0.0);
    let at = Timestamp::from_millis(0);
    let counters = match map.decode(answers, at, Quality::Ok) {
        Ok(reading) => reading.import_wh > 0 || reading.export_wh > 0,
        Err(NoReading::WordsMissing(_) | NoReading::NoValue(_)) => shown,
        Err(_) => false,
    };
    vitals.check().is_ok() && (shown || map.has_no_vitals()) && counters
}

fn of_scale(quantity: &'static str, reads: f64, vitals: impl Fn(f64) -> Vitals) -> Finding {
    let fits = |power: &i32| vitals(reads * 10_f64.powi(*power)).check().is_ok();
    match POWERS.into_iter().find(fits) {
        Some(power_of_ten) => Finding::Scale { quantity, reads, power_of_ten },
        None => Finding::Implausible { quantity, reads },
    }
}
