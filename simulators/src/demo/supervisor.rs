//! The demo's processes: started, watched, restarted when they die, and ended in order.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::process::{Child, Command};

use crate::demo::DemoError;

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(8);

/// The shortest and the longest pause before a process that died is started again.
const RESTART_PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// A process that lived this long is restarted after the shortest pause again.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// What a process does in the neighbourhood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes part in consensus.
    Validator,
    /// Looks after one household.
    Agent,
    /// Serves the page.
    Dashboard,
}

/// How to start a process.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) log: PathBuf,
}

/// How a process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessHealth {
    /// Its name, as in the data directory.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Its process id while it runs.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
    /// How it last ended, if it did.
    pub last_exit: Option<String>,
    /// Where it writes what it has to say.
    pub log: PathBuf,
}

/// All processes of a demo.
pub(super) struct Supervisor {
    processes: Vec<Process>,
}

struct Process {
    recipe: Recipe,
    child: Option<Child>,
    started_at: Instant,
    restart_at: Option<Instant>,
    pause: Duration,
    restarts: u32,
    last_exit: Option<String>,
}

impl Supervisor {
    /// Starts everything.
    ///
    /// # Errors
    /// [`DemoError`] if one cannot even be started; those already started are ended.
    pub(super) fn start(recipes: Vec<Recipe>) -> Result<Self, DemoError> {
        let mut processes = Vec::with_capacity(recipes.len());
        for recipe in recipes {
            let child = spawn(&recipe)?;
            processes.push(Process {
                recipe,
                child: Some(child),
                started_at: Instant::now(),
                restart_at: None,
                pause: RESTART_PAUSE.0,
                restarts: 0,
                last_exit: None,
            });
        }
        Ok(Self { processes })
    }

    /// Notices who has died, and starts those again whose pause is over. Call it often.
    pub(super) fn tend(&mut self) {
        for process in &mut self.processes {
            process.tend();
        }
    }

    /// How everyone is.
    pub(super) fn health(&self) -> Vec<ProcessHealth> {
        let health = |process: &Process| ProcessHealth {
            name: process.recipe.name.clone(),
            role: process.recipe.role,
            pid: process.child.as_ref().and_then(Child::id),
            restarts: process.restarts,
            last_exit: process.last_exit.clone(),
            log: process.recipe.log.clone(),
        };
        self.processes.iter().map(health).collect()
    }

    /// Asks everyone to end, and ends whoever does not in time.
    pub(super) async fn stop(mut self) {
        for process in &self.processes {
            if let Some(pid) = process.child.as_ref().and_then(Child::id) {
                terminate(pid);
            }
        }
        let deadline = tokio::time::Instant::now() + GRACE;
        for process in &mut self.processes {
            let Some(child) = &mut process.child else { continue };
            if tokio::time::timeout_at(deadline, child.wait()).await.is_err() {
                tracing::warn!(name = process.recipe.name, "did not end in time; killed");
                let _ = child.kill().await;
            }
        }
    }
}

impl Process {
    fn tend(&mut self) {
        if let Some(child) = &mut self.child {
            match child.try_wait() {
                Ok(None) => return,
                Ok(Some(status)) => self.last_exit = Some(status.to_string()),
                Err(error) => self.last_exit = Some(error.to_string()),
            }
            let (shortest, longest) = RESTART_PAUSE;
            let stable = self.started_at.elapsed() >= STABLE_AFTER;
            self.pause = if stable { shortest } else { (self.pause * 2).min(longest) };
            self.restart_at = Some(Instant::now() + self.pause);
            self.child = None;
        }
        if self.restart_at.is_some_and(|at| Instant::now() >= at) {
            match spawn(&self.recipe) {
                Ok(child) => {
                    self.child = Some(child);
                    self.started_at = Instant::now();
                    self.restart_at = None;
                    self.restarts += 1;
                }
                Err(error) => {
                    self.last_exit = Some(error.to_string());
                    self.restart_at = Some(Instant::now() + RESTART_PAUSE.1);
                }
            }
        }
    }
}

/// Starts a process in a group of its own, so that Ctrl-C reaches the demo alone, which then ends
/// the others in order. Should the demo itself be killed, its end of the pipe closes, and the
/// process ends by itself (`--exit-with-parent`).
fn spawn(recipe: &Recipe) -> Result<Child, DemoError> {
    let log = open_log(&recipe.log)?;
    let errors = log.try_clone().map_err(DemoError::file(&recipe.log))?;
    Command::new(&recipe.program)
        .args(&recipe.arguments)
        .envs(recipe.environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| DemoError::Spawn { name: recipe.name.clone(), source })
}

fn open_log(path: &Path) -> Result<std::fs::File, DemoError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true).open(path).map_err(DemoError::file(path))
}

fn terminate(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // If it is gone already, so much the better.
        let _ = kill_process(pid, Signal::TERM);
    }
}
