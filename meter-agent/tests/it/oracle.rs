//! Profiles against the rows of the reference table, encoded by other means than they are decoded.

use market::reading::Quality;
use market::time::Timestamp;
use meter_agent::profile::{Function, Map, Profile, Source};
use proptest::prelude::*;
use std::collections::BTreeMap;

use crate::device::Words;

/// profile, quantity, function, address, type, word order, scale, unit, positive.
type Row = [&'static str; 9];

fn rows() -> BTreeMap<&'static str, Vec<Row>> {
    let mut rows: BTreeMap<_, Vec<Row>> = BTreeMap::new();
    for line in include_str!("reference_rows.csv").lines().skip(1) {
        let row: Vec<_> = line.split(',').collect();
        let row = Row::try_from(row).unwrap();
        rows.entry(row[0]).or_default().push(row);
    }
    rows
}

fn map(name: &str) -> Map {
    match Profile::built_in(name).unwrap().unwrap().source {
        Source::Map(map) => map,
        Source::SunSpec(_) => panic!("{name} has no map of its own"),
    }
}

/// The bytes of a count as the type says, most significant first.
fn encode(kind: &str, count: f64) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "the values are chosen to fit")]
    match kind {
        "u16" | "i16" => (count as i16).to_be_bytes().to_vec(),
        "u32" | "i32" => (count as i32).to_be_bytes().to_vec(),
        "u64" | "i64" => (count as i64).to_be_bytes().to_vec(),
        "f32" => (count as f32).to_be_bytes().to_vec(),
        "f64" => count.to_be_bytes().to_vec(),
        other => panic!("{other}"),
    }
}

/// Puts `value` (in the base unit: Wh, W, V, Hz) where the row says.
fn put(words: &mut Words, row: &Row, value: f64) {
    let [_, quantity, function, address, kind, order, scale, unit, positive] = *row;
    // The table's scale leads to kWh for energy, so that a device that counts Wh has 0.001.
    let unit: f64 = match (unit, quantity) {
        ("kWh" | "kW", _) => 1_000.0,
        _ => 1.0,
    };
    let sign = if positive == "export" && quantity.starts_with("power") { -1.0 } else { 1.0 };
    let count = value * sign / (scale.parse::<f64>().unwrap() * unit);
    let count = if kind.starts_with('f') { count } else { count.round() };
    let mut found: Vec<u16> =
        encode(kind, count).chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    if order == "low_first" {
        found.reverse();
    }
    let function = if function == "input" { 4 } else { 3 };
    words.put(function, address.parse().unwrap(), &found);
}

fn answers(map: &Map, words: &Words) -> Vec<Vec<u16>> {
    let requests = map.requests.iter().chain(&map.start_requests);
    let function = |function| if function == Function::Input { 4 } else { 3 };
    requests.map(|ask| words.filled(function(ask.function), ask.address, ask.count)).collect()
}

#[test]
fn every_device_with_two_sources_has_its_profile() {
    let rows = rows();
    assert_eq!(rows.len(), 11);
    for (name, rows) in rows {
        let quantities: Vec<_> = rows.iter().map(|row| row[1]).collect();
        assert!(Profile::built_in(name).is_some(), "{name}");
        assert!(quantities.iter().any(|quantity| quantity.starts_with("energy")), "{name}");
        assert!(quantities.iter().any(|quantity| quantity.starts_with("power")), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What a device shows at the addresses of the table is what its profile reads.
    #[test]
    fn what_the_reference_writes_the_profile_reads(
        import_wh in 1_i64..16_000_000,
        export_wh in 1_i64..16_000_000,
        power_w in -20_000_i64..20_000,
        hertz in 490_i64..510,
        volts in 2_070_i64..2_530,
    ) {
        // A multiple of the coarsest step, 0.1 kWh, so that the comparison is exact.
        let (import_wh, export_wh) = (import_wh / 100 * 100, export_wh / 100 * 100);
        let (hertz, volts) = (hertz as f64 / 10.0, volts as f64 / 10.0);
        for (name, rows) in rows() {
            let map = map(name);
            let mut words = Words::default();
            let mut counts_import = false;
            for row in &rows {
                counts_import |= row[1] == "energy_import";
                put(&mut words, row, match row[1] {
                    "energy_import" => import_wh as f64,
                    "energy_export" | "energy_yield" => export_wh as f64,
                    "power_total" | "power_ac" => power_w as f64,
                    "frequency" => hertz,
                    "voltage_l1" => volts,
                    other => panic!("{other}"),
                });
            }
            let answers = answers(&map, &words);
            let read = map.decode(&answers, Timestamp::from_millis(7), Quality::Ok).unwrap();
            let imported = if counts_import { import_wh } else { 0 };
            prop_assert_eq!((read.import_wh, read.export_wh), (imported, export_wh), "{}", name);
            prop_assert_eq!(read.power_w, Some(power_w), "{}", name);
            let vitals = map.vitals(&answers);
            let near = |found: f64, put: f64| (found - put).abs() < 1e-4 * put;
            let told = rows.iter().any(|row| row[1] == "frequency");
            let found = vitals.frequency_hz.unwrap_or(f64::NAN);
            prop_assert!(!told || near(found, hertz), "{}: {}", name, found);
            prop_assert!(near(vitals.voltages_v[0], volts), "{}: {:?}", name, vitals);
        }
    }
}
