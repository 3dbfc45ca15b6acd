//! The `[meter]` table.

use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

use crate::config::{ConfigError, MeterSettings};
use crate::modbus::Address;
use crate::profile::{Parity, Profile, SerialLine, WordOrder};
use crate::toml_text::{TomlError, TomlText};

/// The unit id where the file says nothing.
const UNIT: u8 = 1;
/// The time between two polls where the file says nothing.
const POLL_INTERVAL_DEFAULT_MS: u64 = 1_000;
/// Reading a meter more often than this makes some of them restart (failure 17).
const POLL_INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=3_600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MeterToml {
    profile: Spanned<String>,
    host: Option<Spanned<String>>,
    port: Option<Spanned<u16>>,
    transport: Option<Spanned<TransportToml>>,
    serial_port: Option<Spanned<PathBuf>>,
    baud: Option<Spanned<u32>>,
    parity: Option<ParityToml>,
    stop_bits: Option<Spanned<u8>>,
    #[serde(default)]
    strip_echo: bool,
    unit: Option<Spanned<u8>>,
    #[serde(default)]
    reversed: bool,
    word_order: Option<WordOrderToml>,
    poll_interval_ms: Option<Spanned<u64>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum TransportToml {
    Tcp,
    RtuOverTcp,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum ParityToml {
    None,
    Even,
    Odd,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum WordOrderToml {
    HighFirst,
    LowFirst,
}

/// Reads the table; relative paths start at `folder`.
pub(super) fn read(
    text: TomlText<'_>,
    folder: &Path,
    meter: &MeterToml,
) -> Result<MeterSettings, ConfigError> {
    let mut profile = read_profile(text, folder, &meter.profile)?;
    if meter.reversed {
        profile = profile.reversed();
    }
    match meter.word_order {
        Some(WordOrderToml::HighFirst) => profile = profile.with_word_order(WordOrder::HighFirst),
        Some(WordOrderToml::LowFirst) => profile = profile.with_word_order(WordOrder::LowFirst),
        None => {}
    }
    let unit = match &meter.unit {
        // Unit 0 is the broadcast address.
        Some(unit) if *unit.get_ref() == 0 => {
            return Err(text.error("meter.unit", unit, "expected 1 to 255, but found 0").into());
        }
        Some(unit) => *unit.get_ref(),
        None => UNIT,
    };
    let poll_interval_ms = match &meter.poll_interval_ms {
        Some(ms) if !POLL_INTERVAL_MS.contains(ms.get_ref()) => {
            let (least, most) = (POLL_INTERVAL_MS.start(), POLL_INTERVAL_MS.end());
            let problem = format!("expected {least} to {most} ms, but found {}", ms.get_ref());
            return Err(text.error("meter.poll_interval_ms", ms, problem).into());
        }
        Some(ms) => *ms.get_ref(),
        None => POLL_INTERVAL_DEFAULT_MS,
    };
    Ok(MeterSettings {
        address: address(text, folder, meter, &profile)?,
        profile,
        unit,
        poll_interval: Duration::from_millis(poll_interval_ms),
    })
}

fn address(
    text: TomlText<'_>,
    folder: &Path,
    meter: &MeterToml,
    profile: &Profile,
) -> Result<Address, TomlError> {
    let strip_echo = meter.strip_echo;
    match (&meter.host, &meter.serial_port) {
        (Some(host), None) => {
            if host.get_ref().is_empty() {
                let problem = "expected the meter's name or address, but found nothing";
                return Err(text.error("meter.host", host, problem));
            }
            let host = host.get_ref().clone();
            let port = meter.port.as_ref().map_or(profile.port, |port| *port.get_ref());
            Ok(match meter.transport.as_ref().map(|transport| *transport.get_ref()) {
                Some(TransportToml::RtuOverTcp) => Address::RtuOverTcp { host, port, strip_echo },
                Some(TransportToml::Tcp) | None => Address::Tcp { host, port },
            })
        }
        (None, Some(path)) => {
            if let Some(transport) = &meter.transport {
                let problem = "expected no `transport` beside `serial_port`";
                return Err(text.error("meter.transport", transport, problem));
            }
            let line = line(text, meter, profile.line)?;
            Ok(Address::Serial { path: folder.join(path.get_ref()), line, strip_echo })
        }
        (Some(_), Some(path)) => {
            let problem = "expected either `host` or `serial_port`, but found both";
            Err(text.error("meter.serial_port", path, problem))
        }
        (None, None) => {
            let problem = "expected `host = \"...\"` or `serial_port = \"/dev/...\"` in [meter], \
                           but found neither";
            Err(text.error("meter.host", &meter.profile, problem))
        }
    }
}

fn line(text: TomlText<'_>, meter: &MeterToml, usual: SerialLine) -> Result<SerialLine, TomlError> {
    if let Some(zero) = meter.baud.as_ref().filter(|baud| *baud.get_ref() == 0) {
        let problem = "expected a number of bits per second above 0, but found 0";
        return Err(text.error("meter.baud", zero, problem));
    }
    let wrong = |bits: &&Spanned<u8>| !(1..=2).contains(bits.get_ref());
    if let Some(bits) = meter.stop_bits.as_ref().filter(wrong) {
        let problem = format!("expected 1 or 2, but found {}", bits.get_ref());
        return Err(text.error("meter.stop_bits", bits, problem));
    }
    Ok(SerialLine {
        baud: meter.baud.as_ref().map_or(usual.baud, |baud| *baud.get_ref()),
        parity: match meter.parity {
            Some(ParityToml::None) => Parity::None,
            Some(ParityToml::Even) => Parity::Even,
            Some(ParityToml::Odd) => Parity::Odd,
            None => usual.parity,
        },
        stop_bits: meter.stop_bits.as_ref().map_or(usual.stop_bits, |bits| *bits.get_ref()),
    })
}

fn read_profile(
    text: TomlText<'_>,
    folder: &Path,
    name: &Spanned<String>,
) -> Result<Profile, ConfigError> {
    if let Some(profile) = Profile::built_in(name.get_ref()) {
        return Ok(profile?);
    }
    if !name.get_ref().ends_with(".toml") {
        let known: Vec<_> = Profile::names().collect();
        let problem = format!(
            "expected one of {}, or a file that ends in .toml, but found {:?}",
            known.join(", "),
            name.get_ref()
        );
        return Err(text.error("meter.profile", name, problem).into());
    }
    let path = folder.join(name.get_ref());
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Profile::from_toml(&text, &path)?),
        Err(source) => Err(ConfigError::Unreadable { path, source }),
    }
}
