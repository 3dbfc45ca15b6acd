//! `hidamari agent scan` and `hidamari agent check`: what an installer needs.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use meter_agent::AgentConfig;
use meter_agent::commission::{self, CheckOptions, Flow, Live, Outcome, Report};
use meter_agent::modbus::Address;
use meter_agent::scan::{self, Candidate, Found, Progress, ScanOptions, Scanned};
use serde_json::{Value, json};

use crate::cli;
use crate::clock;
use crate::failure::Failure;

/// Where devices on Modbus TCP listen.
const TCP_PORTS: [u16; 2] = [502, 1_502];
/// How wide the bar is, in characters.
const BAR: usize = 24;

/// Unit ids, such as `1-3,71`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitList(Vec<u8>);

impl FromStr for UnitList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut units = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let unit = |text: &str| text.trim().parse::<u8>().ok().filter(|unit| *unit > 0);
            match (unit(first), unit(last)) {
                (Some(first), Some(last)) if first <= last => units.extend(first..=last),
                _ => {
                    return Err(format!(
                        "expected unit ids from 1 to 255 such as 1-3,71, but found {part:?}"
                    ));
                }
            }
        }
        Ok(Self(units))
    }
}

/// Looks for meters and proposes a profile for each.
///
/// # Errors
/// [`Failure`] if an address is none, or there is no place to look.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(crate) async fn scan(options: &cli::Scan) -> Result<ExitCode, Failure> {
    let scan_options = ScanOptions {
        addresses: addresses(options)?,
        units: options.units.0.clone(),
        timeout: Duration::from_millis(options.timeout_ms.max(1)),
    };
    let clock = clock::choose(None)?;
    let mut bar = Bar::new();
    let scanned = scan::scan(&scan_options, &*clock, |progress| bar.show(progress)).await;
    bar.end();
    if options.json {
        println!("{}", scanned_json(&scanned));
    } else {
        print!("{}", scanned_text(&scanned));
    }
    Ok(ExitCode::from(u8::from(scanned.found.is_empty())))
}

/// Watches the agent's meter, tells what is wrong, and keeps the outcome for the agent.
///
/// # Errors
/// [`Failure`] if the configuration cannot be used, or the outcome cannot be kept.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(crate) async fn check(options: &cli::Check) -> Result<ExitCode, Failure> {
    let config = AgentConfig::load(&options.config).map_err(Failure::start)?;
    let clock = clock::choose(options.clock.as_deref())?;
    let owner = options.now.map(|now| match now {
        cli::FlowNow::Importing => Flow::Importing,
        cli::FlowNow::Exporting => Flow::Exporting,
    });
    let check_options = CheckOptions {
        rated_power_w: config.rated_power_w,
        duration: Duration::from_secs(options.seconds),
        owner,
    };
    let show = |live: &Live| {
        if !options.json {
            println!("{}", live_line(live));
        }
    };
    let report = commission::check(&config.meter, check_options, &*clock, show).await;
    let kept = report.record().write(&config.data_dir);
    kept.map_err(|error| Failure::file(&config.data_dir, &error).of("data_dir"))?;
    if options.json {
        println!("{}", report_json(&report));
    } else {
        print!("{}", report_text(&report));
    }
    Ok(ExitCode::from(u8::from(report.outcome() == Outcome::Failed)))
}

fn addresses(options: &cli::Scan) -> Result<Vec<Address>, Failure> {
    let mut addresses = Vec::new();
    for given in &options.tcp {
        match host_and_port(given).map_err(|problem| Failure::option("--tcp", &problem))? {
            (host, Some(port)) => addresses.push(Address::tcp(host, port)),
            (host, None) => addresses.extend(TCP_PORTS.map(|port| Address::tcp(&host, port))),
        }
    }
    for given in &options.rtu_over_tcp {
        let wrong = |problem: String| Failure::option("--rtu-over-tcp", &problem);
        let (host, port) = host_and_port(given).map_err(wrong)?;
        let port = port.ok_or_else(|| wrong(format!("expected HOST:PORT, but found {given:?}")))?;
        addresses.push(Address::RtuOverTcp { host, port, strip_echo: false });
    }
    let lines = if addresses.is_empty() && options.serial.is_empty() {
        usb_adapters(Path::new("/dev"))
    } else {
        options.serial.clone()
    };
    addresses.extend(lines.iter().flat_map(|path| scan::usual_lines(path)));
    if addresses.is_empty() {
        let problem = "no USB adapter is plugged in; name a place to look: --tcp HOST, \
                       --rtu-over-tcp HOST:PORT or --serial DEVICE";
        return Err(Failure::option("agent scan", &problem));
    }
    Ok(addresses)
}

fn host_and_port(given: &str) -> Result<(String, Option<u16>), String> {
    // An IPv6 address has more than one colon, and a port only behind brackets.
    let (host, port) = match given.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (given, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = port.map(str::parse).transpose();
    match port {
        Ok(port) if !host.is_empty() => Ok((host, port)),
        _ => Err(format!("expected HOST or HOST:PORT, but found {given:?}")),
    }
}

fn usb_adapters(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut adapters: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("ttyUSB") || name.starts_with("ttyACM")
        })
        .collect();
    adapters.sort();
    adapters
}

/// One line on standard error, if that is a terminal, written over and over.
struct Bar {
    terminal: bool,
}

impl Bar {
    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, progress: &Progress<'_>) {
        if self.terminal {
            // Nothing depends on it, and there is nobody else to tell.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", bar_line(progress));
        }
    }

    fn end(&mut self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn bar_line(progress: &Progress<'_>) -> String {
    let Progress { done, total, address, unit } = progress;
    let filled = done.saturating_mul(BAR).checked_div(*total).unwrap_or(BAR).min(BAR);
    let percent = done.saturating_mul(100).checked_div(*total).unwrap_or(100);
    let (full, empty) = ("#".repeat(filled), ".".repeat(BAR.saturating_sub(filled)));
    format!("[{full}{empty}] {percent:3} %  {address}, unit {unit}")
}

fn scanned_text(scanned: &Scanned) -> String {
    let mut text = String::new();
    for Found { address, unit, candidates } in &scanned.found {
        let Some(best) = candidates.first() else {
            text += &format!(
                "{address}, unit {unit}: answers, but no profile fits. A profile of your own is a \
                 file: `profile = \"meter.toml\"`.\n\n"
            );
            continue;
        };
        let sure = if best.certain { "it says so itself" } else { "its words make sense so" };
        text += &format!("{address}, unit {unit}: {}, {sure}\n", best.device);
        text += &format!("  {}\n", figures(best));
        let others: Vec<_> =
            candidates.iter().skip(1).map(|other| other.profile.as_str()).collect();
        if !others.is_empty() && !best.certain {
            text += &format!("  also possible: {}; look at the name plate\n", others.join(", "));
        }
        text += &format!("\n{}\n", snippet(address, *unit, best));
    }
    for (address, why) in &scanned.unreachable {
        text += &format!("{address}: {why}\n");
    }
    if scanned.found.is_empty() {
        text += "No device answers. Try other unit ids (--units 1-247), and check wiring, baud rate \
                 and parity.\n";
    }
    text
}

fn figures(candidate: &Candidate) -> String {
    let (reading, vitals) = (&candidate.reading, &candidate.vitals);
    let mut parts =
        vec![format!("import {} Wh, export {} Wh", reading.import_wh, reading.export_wh)];
    parts.extend(reading.power_w.map(|power_w| format!("{power_w} W")));
    parts.extend(vitals.voltages_v.iter().map(|volts| format!("{volts:.1} V")));
    parts.extend(vitals.frequency_hz.map(|hertz| format!("{hertz:.2} Hz")));
    parts.extend(vitals.serial.as_ref().map(|serial| format!("serial number {serial}")));
    parts.join(", ")
}

/// What to write into the agent's configuration.
fn snippet(address: &Address, unit: u8, best: &Candidate) -> String {
    let place = match address {
        Address::Tcp { host, port } => format!("host = \"{host}\"\nport = {port}"),
        Address::RtuOverTcp { host, port, .. } => {
            format!("host = \"{host}\"\nport = {port}\ntransport = \"rtu_over_tcp\"")
        }
        Address::Serial { path, line, .. } => {
            let parity = format!("{:?}", line.parity).to_lowercase();
            format!(
                "serial_port = \"{}\"\nbaud = {}\nparity = \"{parity}\"\nstop_bits = {}",
                path.display(),
                line.baud,
                line.stop_bits
            )
        }
    };
    format!("[meter]\nprofile = \"{}\"\n{place}\nunit = {unit}\n", best.profile)
}

fn scanned_json(scanned: &Scanned) -> Value {
    let found = scanned.found.iter().map(|Found { address, unit, candidates }| {
        let candidates = candidates.iter().map(|candidate| {
            json!({
                "profile": candidate.profile,
                "device": candidate.device,
                "certain": candidate.certain,
                "import_wh": candidate.reading.import_wh,
                "export_wh": candidate.reading.export_wh,
                "power_w": candidate.reading.power_w,
                "serial": candidate.vitals.serial,
            })
        });
        let candidates: Vec<_> = candidates.collect();
        json!({ "address": address.to_string(), "unit": unit, "candidates": candidates })
    });
    let found: Vec<_> = found.collect();
    let unreachable = scanned.unreachable.iter();
    let unreachable: Vec<_> = unreachable
        .map(|(address, why)| json!({ "address": address.to_string(), "why": why }))
        .collect();
    json!({ "found": found, "unreachable": unreachable })
}

fn live_line(live: &Live) -> String {
    let reading = &live.reading;
    let power = reading.power_w.map_or("      - W".to_owned(), |power_w| format!("{power_w:7} W"));
    let hertz = live.vitals.frequency_hz.map_or(String::new(), |hertz| format!("  {hertz:.2} Hz"));
    let volts: Vec<_> =
        live.vitals.voltages_v.iter().map(|volts| format!("{volts:.1} V")).collect();
    let (import_wh, export_wh) = (reading.import_wh, reading.export_wh);
    let at = reading.at;
    format!(
        "{at}  {power}  import {import_wh} Wh  export {export_wh} Wh{hertz}  {}",
        volts.join(" ")
    )
    .trim_end()
    .to_owned()
}

fn report_text(report: &Report) -> String {
    let mut text = format!("\n{}\n", report.meter);
    let serial = report.last.as_ref().and_then(|live| live.vitals.serial.as_ref());
    if let Some(serial) = serial {
        text += &format!("  serial number {serial}\n");
    }
    match report.clock_ahead_ms {
        Some(ahead_ms) => {
            text += &format!("  its clock is {ahead_ms} ms ahead of this machine's\n")
        }
        None => text += "  it shows no clock of its own\n",
    }
    for finding in &report.findings {
        let mark = if finding.fails() { "WRONG" } else { "note " };
        text += &format!("  {mark}  {finding}\n");
    }
    text += match report.outcome() {
        Outcome::Passed => "Passed: the metering point may trade.\n",
        Outcome::Open => {
            "Nothing is wrong, but not everything was checked. The metering point may trade.\n"
        }
        Outcome::Failed => "Failed: the metering point does not trade before this is mended.\n",
    };
    text
}

fn report_json(report: &Report) -> Value {
    let reading = report.last.as_ref().map(|live| {
        json!({
            "import_wh": live.reading.import_wh,
            "export_wh": live.reading.export_wh,
            "power_w": live.reading.power_w,
            "frequency_hz": live.vitals.frequency_hz,
            "voltages_v": live.vitals.voltages_v,
            "serial": live.vitals.serial,
        })
    });
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| json!({ "fails": finding.fails(), "sentence": finding.to_string() }))
        .collect();
    json!({
        "meter": report.meter,
        "outcome": report.outcome(),
        "clock_ahead_ms": report.clock_ahead_ms,
        "last": reading,
        "findings": findings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_ids_are_numbers_and_ranges() {
        let units = |text: &str| text.parse::<UnitList>().map(|list| list.0);
        assert_eq!(units("1-3, 71"), Ok(vec![1, 2, 3, 71]));
        for wrong in ["", "0", "3-1", "256", "a", "1,,2"] {
            assert!(units(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn hosts_come_with_and_without_ports() {
        let host = |text: &str| host_and_port(text).map(|(host, port)| format!("{host} {port:?}"));
        assert_eq!(host("meter"), Ok("meter None".to_owned()));
        assert_eq!(host("10.0.0.5:1502"), Ok("10.0.0.5 Some(1502)".to_owned()));
        assert_eq!(host("fe80::1"), Ok("fe80::1 None".to_owned()));
        assert_eq!(host("[fe80::1]:502"), Ok("fe80::1 Some(502)".to_owned()));
        for wrong in ["meter:", "meter:port", ":502", "meter:70000"] {
            assert!(host(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_bar_fills_from_left_to_right() {
        let address = Address::tcp("10.0.0.5", 502);
        let at = |done| bar_line(&Progress { done, total: 4, address: &address, unit: 7 });
        assert!(at(0).starts_with(&format!("[{}]   0 %", ".".repeat(BAR))));
        assert!(at(2).contains(" 50 %  10.0.0.5:502, unit 7"), "{}", at(2));
        assert!(at(4).starts_with(&format!("[{}] 100 %", "#".repeat(BAR))));
    }
}
