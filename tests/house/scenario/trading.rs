//! The main job, end to end.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::scenario::stage::{Demo, all_laws_hold, free_port, is_running, program};

#[tokio::test]
async fn a_neighbourhood_trades_settles_and_every_law_holds() {
    let mut demo = Demo::start(&["--periods", "3"]);
    let (status, report) = demo.await_end();
    assert!(status.success(), "{status}");
    all_laws_hold(&report);
    assert!(report["settled_periods"].as_u64() >= Some(3));
    assert!(report["traded_wh"].as_i64() > Some(0), "neighbours traded");
    assert!(report["first_cleared_after_s"].as_f64() < Some(60.0));
    assert_eq!(report["restarts"], 0, "nothing died on the way");
}

#[tokio::test]
async fn after_delivery_standing_curves_trade_what_was_metered_and_nobody_is_worse_off() {
    let mut demo = Demo::start(&["--gates", "after", "--households", "6", "--periods", "3"]);
    let (status, report) = demo.await_end();
    assert!(status.success(), "{status}");
    all_laws_hold(&report);
    let judged = report["laws"].as_array().expect("laws").iter();
    let worse_off = judged.filter(|law| law["name"] == "nobody_is_worse_off_after_delivery");
    assert_eq!(worse_off.count(), 1);
    assert!(report["settled_periods"].as_u64() >= Some(3));
    assert!(report["traded_wh"].as_i64() > Some(0), "neighbours traded");
    assert!(demo.log("house-01").contains("standing curve"), "an agent said one");
}

#[tokio::test]
async fn ctrl_c_ends_everything_and_leaves_nothing_behind() {
    let demo = Demo::start(&["--households", "4"]);
    let pids = demo
        .wait_until("all processes run", async |demo| {
            let pids = demo.pids();
            (pids.len() == 9 && demo.height().await > 2).then_some(pids)
        })
        .await;
    let open = open_to_others(&demo.data_dir());
    assert_eq!(open, Vec::<PathBuf>::new(), "what others could read");
    let (status, _) = demo.end();
    assert!(status.success(), "{status}");
    assert!(pids.iter().all(|pid| !is_running(*pid)), "no process is left");
}

#[tokio::test]
async fn processes_end_by_themselves_when_the_demo_is_killed() {
    let mut demo = Demo::start(&["--households", "2"]);
    let pids = demo
        .wait_until("all processes run", async |demo| {
            let pids = demo.pids();
            (pids.len() == 7).then_some(pids)
        })
        .await;
    demo.kill();
    demo.wait_until("all have ended", async |_| {
        pids.iter().all(|pid| !is_running(*pid)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_demo_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().expect("a directory");
    let play = |periods: &'static str, report: &'static str| {
        let status = program()
            .args(["demo", "--headless", "--households", "4", "--periods", periods, "--port"])
            .arg(free_port().to_string())
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .arg("--report")
            .arg(dir.path().join(report))
            .stdin(Stdio::null())
            .status();
        assert!(status.expect("the demo ran").success());
        let text = std::fs::read_to_string(dir.path().join(report)).expect("a report");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
    };
    let first = play("1", "first.json");
    let second = play("3", "second.json");
    all_laws_hold(&second);
    assert!(second["common_height"].as_u64() > first["common_height"].as_u64());
    assert!(second["settled_periods"].as_u64() >= Some(3));
}

#[tokio::test]
async fn a_directory_bears_one_demo_at_a_time_and_the_next_after_a_kill() {
    let mut demo = Demo::start(&["--households", "2"]);
    demo.wait_until("trading goes on", async |demo| (demo.height().await > 2).then_some(())).await;
    let config = demo.data_dir().join("validator-1").join("node.toml");
    let before = std::fs::read_to_string(&config).expect("a configuration");
    let data_dir = demo.data_dir().display().to_string();
    let output = program()
        .args(["demo", "--headless", "--households", "2", "--data-dir", &data_dir, "--port"])
        .arg(free_port().to_string())
        .output()
        .expect("it ran");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("another demo is using") && told.contains("/data;"), "{told}");
    let after = std::fs::read_to_string(&config).expect("a configuration");
    assert_eq!(after, before, "nothing was written");

    // The processes of the killed demo are still ending; the new one waits for them.
    let height = demo.height().await;
    demo.kill_and_start_again(&["--households", "2"]);
    demo.wait_until("the market goes on", async |demo| {
        (demo.height().await > height + 1).then_some(())
    })
    .await;
    let (status, report) = demo.end();
    assert!(status.success(), "{status}");
    all_laws_hold(&report);
    assert_eq!(report["restarts"], 0, "nobody was in the way");
}

/// The files and directories that somebody else than their owner could read or write.
fn open_to_others(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let entry = entry.expect("an entry");
        // A journal may be gone by now.
        let Ok(about) = entry.metadata() else { continue };
        if about.permissions().mode() & 0o077 != 0 {
            found.push(entry.path());
        }
        if about.is_dir() {
            found.extend(open_to_others(&entry.path()));
        }
    }
    found
}

/// Time for a clock to pass; only where there is nothing to look at.
pub(crate) async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
