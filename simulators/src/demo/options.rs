//! What to play, and the ranges that the options must keep to.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::demo::DemoError;

/// How many households a demo can have: two can trade, and 500 still fit on one machine.
pub const HOUSEHOLDS: RangeInclusive<u32> = 2..=500;

/// How many validators a demo can have.
pub const VALIDATORS: RangeInclusive<usize> = 1..=25;

/// How many market seconds can pass in a real one.
pub const SPEED: RangeInclusive<f64> = 1.0..=600.0;

/// When the demo's auctions are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoGates {
    /// A quarter of an hour before delivery: agents trade what they forecast.
    Before,
    /// Minutes after delivery: standing curves trade what was metered.
    After,
    /// Before delivery, and after it once more what the first gate left.
    Both,
}

/// What to play.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// The program whose subcommands the processes are: this one.
    pub program: PathBuf,
    /// How many households; in [`HOUSEHOLDS`].
    pub households: u32,
    /// How many validators, in [`VALIDATORS`]; 4 bear one that fails.
    pub validators: usize,
    /// When the auctions are held.
    pub gates: DemoGates,
    /// Market seconds per real second; in [`SPEED`].
    pub speed: f64,
    /// Decides households, weather and keys.
    pub seed: u64,
    /// Where everything is kept; `None` = a new temporary directory, removed at the end.
    pub data_dir: Option<PathBuf>,
    /// The dashboard's port on 127.0.0.1.
    pub port: u16,
    /// Ends after so many periods have been cleared and settled; `None` = at Ctrl-C.
    pub periods: Option<u64>,
    /// Plain lines even at a terminal.
    pub headless: bool,
    /// Where to write a report as JSON.
    pub report: Option<PathBuf>,
}

impl DemoOptions {
    /// Judges every figure, and whether the dashboard's port is free.
    ///
    /// # Errors
    /// [`DemoError::Option`], [`DemoError::PortInUse`] or [`DemoError::Port`] name the option.
    pub(super) fn check(&self) -> Result<(), DemoError> {
        check_range("--households", &HOUSEHOLDS, self.households)?;
        check_range("--validators", &VALIDATORS, self.validators)?;
        // In the shortest form that says the same: 1e300, and not three hundred zeros.
        check_range("--speed", &Plain::range(&SPEED), Plain(self.speed))?;
        check_range("--port", &(1..=u16::MAX), self.port)?;
        if self.periods == Some(0) {
            let (expected, found) = ("at least 1".to_owned(), "0".to_owned());
            return Err(DemoError::Option { option: "--periods", expected, found });
        }
        match std::net::TcpListener::bind(("127.0.0.1", self.port)) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(DemoError::PortInUse { port: self.port })
            }
            Err(source) => Err(DemoError::Port { port: self.port, source }),
        }
    }
}

fn check_range<T: PartialOrd + ToString>(
    option: &'static str,
    range: &RangeInclusive<T>,
    found: T,
) -> Result<(), DemoError> {
    if range.contains(&found) {
        return Ok(());
    }
    let expected = format!("{} to {}", range.start().to_string(), range.end().to_string());
    Err(DemoError::Option { option, expected, found: found.to_string() })
}

/// A number as a person would write it.
#[derive(PartialEq, PartialOrd)]
struct Plain(f64);

impl Plain {
    fn range(range: &RangeInclusive<f64>) -> RangeInclusive<Self> {
        Self(*range.start())..=Self(*range.end())
    }
}

impl std::fmt::Display for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(number) = self;
        let readable = *number == 0.0 || (0.001..1e9).contains(&number.abs());
        if readable { write!(f, "{number}") } else { write!(f, "{number:e}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> DemoOptions {
        DemoOptions {
            gates: DemoGates::Before,
            program: PathBuf::new(),
            households: 12,
            validators: 4,
            speed: 60.0,
            seed: 1,
            data_dir: None,
            port: 0,
            periods: None,
            headless: true,
            report: None,
        }
    }

    #[test]
    fn every_refusal_names_its_option_and_range_in_a_short_sentence() {
        let cases = [
            (DemoOptions { households: 1, ..options() }, "--households must be 2 to 500"),
            (DemoOptions { validators: 26, ..options() }, "--validators must be 1 to 25"),
            (DemoOptions { speed: 0.5, ..options() }, "--speed must be 1 to 600, but it is 0.5"),
            (
                DemoOptions { speed: 1e300, ..options() },
                "--speed must be 1 to 600, but it is 1e300",
            ),
            (DemoOptions { speed: f64::NAN, ..options() }, "--speed must be 1 to 600"),
            (DemoOptions { speed: f64::INFINITY, ..options() }, "but it is inf"),
            (DemoOptions { speed: -1e-300, ..options() }, "but it is -1e-300"),
            (options(), "--port must be 1 to 65535, but it is 0"),
            (DemoOptions { port: 1, periods: Some(0), ..options() }, "--periods must be at least"),
        ];
        for (options, words) in cases {
            let told = options.check().expect_err(words).to_string();
            assert!(told.contains(words) && told.len() < 70, "{told}");
        }
    }
}
