//! The meter read by a program that is not ours: `mbpoll`, which uses libmodbus.

use std::process::Stdio;

use tokio::process::Command;

use crate::stage::{Served, serve_solar_house};
use market::time::Clock;

/// One float by `mbpoll`; `None` if the program is not installed.
async fn mbpoll(served: &Served, arguments: &[&str]) -> Option<(bool, String)> {
    let port = served.server.address().port().to_string();
    let outcome = Command::new("mbpoll")
        .args(["-m", "tcp", "-p", &port, "-0", "-1", "-B"])
        .args(arguments)
        .arg("127.0.0.1")
        .stdin(Stdio::null())
        .output()
        .await;
    match outcome {
        Ok(output) => {
            Some((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: mbpoll is not installed (apt-get install mbpoll)");
            None
        }
        Err(error) => panic!("mbpoll cannot be started: {error}"),
    }
}

/// The value that mbpoll prints behind `[address]:`.
fn printed(output: &str, address: u16) -> f64 {
    let label = format!("[{address}]:");
    output
        .lines()
        .find_map(|line| line.trim().strip_prefix(&label))
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or_else(|| panic!("mbpoll printed no word {address}:\n{output}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn mbpoll_reads_power_counters_and_frequency() {
    let served = serve_solar_house().await;
    served.clock.forward_ms(3 * 3_600_000);
    let readout = served.meter.readout(served.clock.now()).expect("a readout");
    let cases = [
        (52, readout.power_mw as f64 / 1_000.0),
        (70, readout.frequency_hz),
        (72, readout.import_wh() as f64 / 1_000.0),
        (74, readout.export_wh() as f64 / 1_000.0),
    ];
    for (address, expected) in cases {
        let at = address.to_string();
        let arguments = ["-a", "1", "-r", &at, "-c", "1", "-t", "3:float"];
        let Some((success, output)) = mbpoll(&served, &arguments).await else { return };
        assert!(success, "{output}");
        let read = printed(&output, address);
        // mbpoll prints six significant digits.
        let tolerance = expected.abs().max(1.0) * 1e-5;
        assert!((read - expected).abs() <= tolerance, "{address}: {read}, not {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mbpoll_is_refused_what_the_device_does_not_have() {
    let served = serve_solar_house().await;
    for arguments in [
        ["-a", "1", "-r", "200", "-c", "1", "-t", "3:float"],
        ["-a", "9", "-r", "52", "-c", "1", "-t", "3:float"],
    ] {
        let Some((success, output)) = mbpoll(&served, &arguments).await else { return };
        assert!(!success, "{output}");
    }
}
