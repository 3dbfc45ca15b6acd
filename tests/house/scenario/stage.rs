//! A running demo, and what a test may do to it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before a scenario gives up.
const PATIENCE: Duration = Duration::from_secs(100);

pub(crate) struct Demo {
    child: Child,
    /// Kept, so that the directory lives as long as the demo.
    dir: tempfile::TempDir,
    port: u16,
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hidamari"));
    command.env("HIDAMARI_LOG", "info");
    command
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl Demo {
    /// Starts a demo with the given further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a directory"), arguments)
    }

    /// Starts a demo around a directory whose `data` may hold something already.
    pub(crate) fn start_in(dir: tempfile::TempDir, arguments: &[&str]) -> Self {
        let port = free_port();
        let child = spawn(dir.path(), port, arguments);
        Self { child, dir, port }
    }

    /// Kills the demo and starts another in the same directory at once.
    pub(crate) fn kill_and_start_again(&mut self, arguments: &[&str]) {
        self.kill();
        self.port = free_port();
        self.child = spawn(self.dir.path(), self.port, arguments);
    }

    /// What a process has logged so far.
    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.data_dir().join(name).join("log")).unwrap_or_default()
    }

    /// What the demo has printed so far.
    pub(crate) fn lines(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("lines")).unwrap_or_default()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The JSON of one of the dashboard's pages, if it answers.
    pub(crate) async fn page(&self, path: &str) -> Option<Value> {
        reqwest::get(self.url(path)).await.ok()?.json().await.ok()
    }

    pub(crate) async fn height(&self) -> u64 {
        let status = self.page("/api/v1/status").await.unwrap_or_default();
        status["height"].as_u64().unwrap_or_default()
    }

    pub(crate) async fn settled_periods(&self) -> u64 {
        let now = self.page("/api/v1/now").await.unwrap_or_default();
        now["settled_periods_count"].as_u64().unwrap_or_default()
    }

    /// Waits until something can be seen.
    pub(crate) async fn wait_until<T>(
        &self,
        what: &str,
        look: impl AsyncFn(&Self) -> Option<T>,
    ) -> T {
        let started_at = Instant::now();
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            assert!(started_at.elapsed() < PATIENCE, "waited too long until {what}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The process id of a role by its name, as the demo wrote it down.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        let text = std::fs::read_to_string(self.data_dir().join("processes.json")).ok()?;
        let processes: Value = serde_json::from_str(&text).ok()?;
        let process = processes.as_array()?.iter().find(|it| it["name"] == name)?;
        u32::try_from(process["pid"].as_u64()?).ok()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.data_dir().join("processes.json"));
        let processes: Value = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
        let pid = |it: &Value| u32::try_from(it["pid"].as_u64()?).ok();
        processes.as_array().into_iter().flatten().filter_map(pid).collect()
    }

    pub(crate) fn signal(&self, name: &str, signal: Signal) {
        let pid = self.pid(name).unwrap_or_else(|| panic!("{name} runs"));
        send(pid, signal);
    }

    /// Ends the demo itself without warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Asks the demo to end as Ctrl-C does, and returns how it ended with its report.
    pub(crate) fn end(mut self) -> (ExitStatus, Value) {
        send(self.child.id(), Signal::INT);
        self.await_end()
    }

    /// Waits until the demo ends by itself.
    pub(crate) fn await_end(&mut self) -> (ExitStatus, Value) {
        let status = self.child.wait().expect("the demo ends");
        let text = std::fs::read_to_string(self.dir.path().join("report.json"));
        let report = serde_json::from_str(&text.expect("a report")).expect("JSON");
        (status, report)
    }
}

fn spawn(dir: &Path, port: u16, arguments: &[&str]) -> Child {
    let lines = std::fs::File::create(dir.join("lines")).expect("a file");
    program()
        .args(["demo", "--headless", "--port", &port.to_string(), "--data-dir"])
        .arg(dir.join("data"))
        .args(["--report"])
        .arg(dir.join("report.json"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(lines)
        .spawn()
        .expect("the demo starts")
}

impl Drop for Demo {
    #[expect(clippy::print_stdout, reason = "for whoever reads why a test failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.lines());
        }
        // Its processes notice the closed pipe and end too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("the process is there");
}

pub(crate) fn is_running(pid: u32) -> bool {
    // A process that has ended but was not waited for is a zombie: not running.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

pub(crate) fn all_laws_hold(report: &Value) {
    for law in report["laws"].as_array().expect("laws") {
        assert_eq!(law["held"], true, "{}: {}", law["name"], law["detail"]);
    }
    assert_eq!(report["all_laws_held"], true);
}
