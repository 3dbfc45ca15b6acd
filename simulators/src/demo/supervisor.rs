//! The demo's processes: started, watched, restarted when they die, and ended in order.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::process::{Child, Command};

use crate::demo::DemoError;
use crate::demo::last_words::last_words;

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(8);

/// The shortest and the longest pause before a process that died is started again.
const RESTART_PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// A process that lived this long is restarted after the shortest pause again.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// The exit code of this program for what somebody has to mend first: started again, it would say
/// the same again.
const EXIT_TO_MEND: i32 = 2;

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
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) log: PathBuf,
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
    /// How often it has ended before it was asked to.
    pub ends: u32,
    /// How it last ended, if it did.
    pub last_exit: Option<String>,
    /// Why it last ended, as its log tells.
    pub last_words: Option<String>,
    /// Whether it is not started again, because somebody has to mend something first.
    pub given_up: bool,
    /// Whether it has run for a while without ending.
    pub stable: bool,
    /// Where it writes what it has to say.
    pub log: PathBuf,
}

impl ProcessHealth {
    /// Why it last ended, as far as anybody knows.
    pub(crate) fn why(&self) -> &str {
        let known = self.last_words.as_deref().or(self.last_exit.as_deref());
        known.unwrap_or("it said nothing")
    }
}

/// All processes of a demo.
pub(crate) struct Supervisor {
    processes: Vec<Process>,
}

struct Process {
    recipe: Recipe,
    child: Option<Child>,
    started_at: Instant,
    /// How long the log was when the process was started.
    log_from: u64,
    restart_at: Option<Instant>,
    pause: Duration,
    health: ProcessHealth,
}

impl Supervisor {
    /// Starts everything.
    ///
    /// # Errors
    /// [`DemoError`] if one cannot even be started; those already started are ended.
    pub(crate) fn start(recipes: Vec<Recipe>) -> Result<Self, DemoError> {
        let processes = recipes.into_iter().map(Process::start).collect::<Result<_, _>>()?;
        Ok(Self { processes })
    }

    /// Notices who has died, and starts those again whose pause is over. Call it often.
    pub(crate) fn tend(&mut self) {
        for process in &mut self.processes {
            process.tend();
        }
    }

    /// How everyone is.
    pub(crate) fn health(&self) -> Vec<ProcessHealth> {
        self.processes.iter().map(Process::health).collect()
    }

    /// A process that is given up and without which no period will ever be seen as settled: the
    /// dashboard, or a validator that is missing for a quorum.
    pub(super) fn hopeless(&self) -> Option<ProcessHealth> {
        let given_up = |role| {
            let of_role = self.processes.iter().filter(move |it| it.recipe.role == role);
            of_role.filter(|it| it.health.given_up)
        };
        let of_role = |it: &&Process| it.recipe.role == Role::Validator;
        let validators = self.processes.iter().filter(of_role).count();
        // More than two thirds have to be there.
        let may_miss = validators.saturating_sub(1) / 3;
        let missing = given_up(Role::Validator).nth(may_miss);
        given_up(Role::Dashboard).next().or(missing).map(Process::health)
    }

    /// Asks everyone to end, and ends whoever does not in time.
    pub(crate) async fn stop(mut self) {
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
    fn start(recipe: Recipe) -> Result<Self, DemoError> {
        let (child, log_from) = spawn(&recipe)?;
        let health = ProcessHealth {
            name: recipe.name.clone(),
            role: recipe.role,
            pid: None,
            restarts: 0,
            ends: 0,
            last_exit: None,
            last_words: None,
            given_up: false,
            stable: false,
            log: recipe.log.clone(),
        };
        Ok(Self {
            recipe,
            child: Some(child),
            started_at: Instant::now(),
            log_from,
            restart_at: None,
            pause: RESTART_PAUSE.0,
            health,
        })
    }

    fn health(&self) -> ProcessHealth {
        ProcessHealth {
            pid: self.child.as_ref().and_then(Child::id),
            stable: self.child.is_some() && self.started_at.elapsed() >= STABLE_AFTER,
            ..self.health.clone()
        }
    }

    fn tend(&mut self) {
        if let Some(child) = &mut self.child {
            match child.try_wait() {
                Ok(None) => return,
                Ok(Some(status)) => self.ended(status),
                Err(error) => {
                    self.health.last_exit = Some(error.to_string());
                    self.plan_restart();
                }
            }
        }
        if self.restart_at.is_some_and(|at| Instant::now() >= at) {
            self.restart();
        }
    }

    fn ended(&mut self, status: ExitStatus) {
        // Somebody who was killed from outside had no time for last words.
        let any_line = status.signal().is_none();
        self.health.last_exit = Some(status.to_string());
        self.health.last_words = last_words(&self.recipe.log, self.log_from, any_line);
        if status.code() == Some(EXIT_TO_MEND) {
            self.health.given_up = true;
            self.health.ends += 1;
            self.child = None;
        } else {
            self.plan_restart();
        }
    }

    fn plan_restart(&mut self) {
        let (shortest, longest) = RESTART_PAUSE;
        let stable = self.started_at.elapsed() >= STABLE_AFTER;
        self.pause = if stable { shortest } else { (self.pause * 2).min(longest) };
        self.restart_at = Some(Instant::now() + self.pause);
        self.health.ends += 1;
        self.child = None;
    }

    fn restart(&mut self) {
        match spawn(&self.recipe) {
            Ok((child, log_from)) => {
                (self.child, self.log_from) = (Some(child), log_from);
                self.started_at = Instant::now();
                self.restart_at = None;
                self.health.restarts += 1;
            }
            Err(error) => {
                self.health.last_exit = Some(error.to_string());
                self.restart_at = Some(Instant::now() + RESTART_PAUSE.1);
            }
        }
    }
}

/// Starts a process in a group of its own, so that Ctrl-C reaches the demo alone, which then ends
/// the others in order. Should the demo itself be killed, its end of the pipe closes, and the
/// process ends by itself (`--exit-with-parent`). Returns how long its log was before.
fn spawn(recipe: &Recipe) -> Result<(Child, u64), DemoError> {
    let log = open_log(recipe)?;
    let failed = || DemoError::file(&recipe.log);
    let log_from = log.metadata().map_err(failed())?.len();
    let errors = log.try_clone().map_err(failed())?;
    let child = Command::new(&recipe.program)
        .args(&recipe.arguments)
        .envs(recipe.environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| DemoError::Spawn { name: recipe.name.clone(), source })?;
    Ok((child, log_from))
}

/// Opens a log and locks it. The process writes through the same open file, so the lock lasts as
/// long as the process does, whatever becomes of the demo: the next one waits for it.
fn open_log(recipe: &Recipe) -> Result<File, DemoError> {
    let failed = || DemoError::file(&recipe.log);
    let log = OpenOptions::new().create(true).append(true).open(&recipe.log).map_err(failed())?;
    log.try_lock().map_err(std::io::Error::from).map_err(failed())?;
    Ok(log)
}

fn terminate(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // If it is gone already, so much the better.
        let _ = kill_process(pid, Signal::TERM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(dir: &std::path::Path, script: &str) -> Recipe {
        Recipe {
            name: "validator-1".to_owned(),
            role: Role::Validator,
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: Vec::new(),
            log: dir.join("log"),
        }
    }

    /// Tends until something can be seen.
    async fn until(supervisor: &mut Supervisor, seen: impl Fn(&ProcessHealth) -> bool) {
        let waiting = async {
            while !supervisor.health().iter().any(&seen) {
                supervisor.tend();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it is seen");
    }

    #[tokio::test]
    async fn what_somebody_has_to_mend_is_told_and_not_tried_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let script = "echo 'hidamari: no such key' >&2; exit 2";
        let mut supervisor =
            Supervisor::start(vec![recipe(dir.path(), script)]).expect("it starts");
        until(&mut supervisor, |health| health.given_up).await;
        tokio::time::sleep(RESTART_PAUSE.0 * 3).await;
        supervisor.tend();
        let hopeless = supervisor.hopeless().expect("no quorum without it");
        assert_eq!(hopeless.last_words.as_deref(), Some("no such key"));
        assert_eq!((hopeless.restarts, hopeless.ends, hopeless.pid), (0, 1, None));
    }

    #[tokio::test]
    async fn who_crashes_is_started_again_and_it_is_told_why_and_later_each_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let script = "echo 'T ERROR wal: cut' >&2; echo 'T INFO bye' >&2; exit 1";
        let mut supervisor =
            Supervisor::start(vec![recipe(dir.path(), script)]).expect("it starts");
        until(&mut supervisor, |health| health.ends == 1).await;
        let first = supervisor.processes[0].pause;
        until(&mut supervisor, |health| health.ends == 2).await;
        let health = supervisor.health().remove(0);
        assert_eq!(health.last_words.as_deref(), Some("T ERROR wal: cut"));
        assert_eq!((health.restarts, health.given_up), (1, false));
        assert!(supervisor.processes[0].pause > first);
        assert!(supervisor.hopeless().is_none());
    }

    #[tokio::test]
    async fn who_was_killed_is_not_blamed_for_what_it_said() {
        let dir = tempfile::tempdir().expect("a directory");
        let script = "echo 'T INFO at work' >&2; kill -9 $$";
        let mut supervisor =
            Supervisor::start(vec![recipe(dir.path(), script)]).expect("it starts");
        until(&mut supervisor, |health| health.ends == 1).await;
        assert_eq!(supervisor.health().remove(0).last_words, None);
    }

    #[tokio::test]
    async fn a_log_is_locked_exactly_as_long_as_its_process_runs() {
        let dir = tempfile::tempdir().expect("a directory");
        let supervisor =
            Supervisor::start(vec![recipe(dir.path(), "exec sleep 600")]).expect("it starts");
        let log = File::open(dir.path().join("log")).expect("a log");
        assert!(log.try_lock().is_err(), "its process writes there");
        supervisor.stop().await;
        log.try_lock().expect("nobody writes there");
    }
}
