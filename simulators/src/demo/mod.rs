//! A whole neighbourhood on this machine, against simulated meters, with the dashboard.
//!
//! The demo founds a community (`founding`), puts its households on the stage with a real Modbus
//! TCP meter each (`stage`), starts validators, agents and the dashboard as processes of their
//! own (`roles`, `supervisor`), looks at them from outside (`watch`), shows what it sees
//! (`view`), and at the end audits what the validators have stored (`report`). It takes no part
//! in the market: cut the network between the processes, and trading stops.

mod founding;
mod report;
mod roles;
mod stage;
mod supervisor;
mod view;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger_node::audit::AuditError;
use market::time::{Clock, Timestamp};
use mesh::key_file::KeyFileError;
use tokio::sync::watch as watch_channel;
use tokio_util::sync::CancellationToken;

pub use report::Outcome;
pub use supervisor::{ProcessHealth, Role};

use crate::error::SimulatorError;
use crate::scaled_clock::ScaledClock;
use founding::Founded;
use stage::Stage;
use supervisor::Supervisor;
use view::View;
use watch::{Seen, Watcher};

/// What to play.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// The program whose subcommands the processes are: this one.
    pub program: PathBuf,
    /// How many households; at least 2.
    pub households: u32,
    /// How many validators; 4 bear one that fails.
    pub validators: usize,
    /// Market seconds per real second.
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

/// Why the demo did not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A figure out of range.
    #[error("{option} must be {expected}, but it is {found}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What was expected.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// The dashboard's port is taken.
    #[error(
        "port {port} on 127.0.0.1 is in use; stop the program that listens there, or name another \
         with --port"
    )]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// No port is free.
    #[error("no free port on 127.0.0.1: {0}")]
    NoPort(#[source] io::Error),
    /// The directory holds another demo.
    #[error(
        "{dir} holds a demo with other households, validators, seed or speed; use the same figures \
         as then, or another --data-dir"
    )]
    OtherDemo {
        /// The directory.
        dir: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot read or write {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The figures found no community.
    #[error("the community cannot be founded: {0}")]
    Founding(String),
    /// A process cannot be started.
    #[error("cannot start {name}: {source}")]
    Spawn {
        /// Which process.
        name: String,
        /// The system's words.
        source: io::Error,
    },
    /// A household or a meter.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The stored chains cannot be audited.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The terminal failed.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[source] io::Error),
}

impl DemoError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    fn founding(problem: impl ToString) -> Self {
        Self::Founding(problem.to_string())
    }
}

/// How often everything is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(700);

/// How often processes are tended and keys are read.
const TEND_EVERY: Duration = Duration::from_millis(100);

/// Plays until `shutdown`, a key `q`, or the wanted number of periods; then audits and reports.
///
/// # Errors
/// [`DemoError`] says what to do. Broken laws are no error but part of the [`Outcome`].
pub async fn run(options: DemoOptions, shutdown: CancellationToken) -> Result<Outcome, DemoError> {
    check(&options)?;
    let started_at = Instant::now();
    let home = Home::open(options.data_dir.as_deref())?;
    let founded = founding::found_in(&home.dir, &options)?;
    let clock = home.resume_clock(&founded, options.speed)?;
    let shared: Arc<dyn Clock> = Arc::new(clock);
    let ending = shutdown.child_token();
    let since = founded.genesis.starts_at;
    let stage = Stage::open(&founded.plans, since, &shared, &ending).await?;
    let cast = roles::cast(&home.dir, &options, &founded, &stage, &clock)?;
    let seen = Watcher::new(&cast).start(LOOK_EVERY, ending.clone());
    let mut supervisor = Supervisor::start(cast.recipes.clone())?;
    let mut play = Play {
        view: View::open(&options, &cast.dashboard_url, &home.dir)?,
        highlights: report::Highlights::default(),
        started_at,
    };
    let played = play.until_the_end(&options, &mut supervisor, seen, &shared, &ending, &home);
    let played = played.await;
    play.view.close();
    supervisor.stop().await;
    let truth = stage.truth(&founded.plans, shared.now())?;
    ending.cancel();
    played?;
    report::conclude(&options, &founded, &cast, &truth, &play.highlights).await
}

fn check(options: &DemoOptions) -> Result<(), DemoError> {
    let wrong =
        |option, expected, found: String| Err(DemoError::Option { option, expected, found });
    if !(2..=500).contains(&options.households) {
        return wrong("--households", "2 to 500", options.households.to_string());
    }
    if !(1..=25).contains(&options.validators) {
        return wrong("--validators", "1 to 25", options.validators.to_string());
    }
    if !(1.0..=600.0).contains(&options.speed) {
        return wrong("--speed", "1 to 600", options.speed.to_string());
    }
    if options.port == 0 {
        return wrong("--port", "1 to 65535", "0".to_owned());
    }
    if options.periods == Some(0) {
        return wrong("--periods", "at least 1", "0".to_owned());
    }
    match std::net::TcpListener::bind(("127.0.0.1", options.port)) {
        Ok(_) => Ok(()),
        Err(_) => Err(DemoError::PortInUse { port: options.port }),
    }
}

/// The state of a running demo.
struct Play {
    view: View,
    highlights: report::Highlights,
    started_at: Instant,
}

impl Play {
    async fn until_the_end(
        &mut self,
        options: &DemoOptions,
        supervisor: &mut Supervisor,
        mut seen: watch_channel::Receiver<Seen>,
        clock: &Arc<dyn Clock>,
        ending: &CancellationToken,
        home: &Home,
    ) -> Result<(), DemoError> {
        let mut tend = tokio::time::interval(TEND_EVERY);
        let mut show = tokio::time::interval(LOOK_EVERY);
        show.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = ending.cancelled() => return Ok(()),
                _ = tend.tick() => {
                    supervisor.tend();
                    if self.view.wants_to_leave()? {
                        return Ok(());
                    }
                }
                _ = show.tick() => {
                    let mut seen = seen.borrow_and_update().clone();
                    seen.note_processes(supervisor.health());
                    let now = clock.now();
                    home.keep_clock(now)?;
                    home.keep_processes(&seen)?;
                    self.highlights.note(&seen, self.started_at);
                    self.view.show(&seen, now, self.started_at.elapsed())?;
                    let settled = seen.dashboard.settled_periods;
                    if options.periods.is_some_and(|wanted| settled >= wanted) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// The demo's directory.
struct Home {
    dir: PathBuf,
    temporary: bool,
}

impl Home {
    fn open(wanted: Option<&Path>) -> Result<Self, DemoError> {
        let (dir, temporary) = match wanted {
            Some(dir) => (dir.to_owned(), false),
            None => {
                // The time makes the name a new one, also where process ids come again.
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                let unique = since.unwrap_or_default().as_nanos();
                let name = format!("hidamari-demo-{}-{unique}", std::process::id());
                (std::env::temp_dir().join(name), true)
            }
        };
        std::fs::create_dir_all(&dir).map_err(DemoError::file(&dir))?;
        let dir = dir.canonicalize().map_err(DemoError::file(&dir))?;
        Ok(Self { dir, temporary })
    }

    /// The market goes on where it stood, as if nobody had been away.
    fn resume_clock(&self, founded: &Founded, speed: f64) -> Result<ScaledClock, DemoError> {
        let path = self.clock_file();
        let kept = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().ok().map(Timestamp::from_millis),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(DemoError::file(&path)(error)),
        };
        let start = kept.unwrap_or(founded.genesis.starts_at).max(founded.genesis.starts_at);
        Ok(ScaledClock::starting_at(start, speed))
    }

    fn keep_clock(&self, now: Timestamp) -> Result<(), DemoError> {
        let (path, new) = (self.clock_file(), self.dir.join("market-time.new"));
        std::fs::write(&new, format!("{}\n", now.as_millis())).map_err(DemoError::file(&new))?;
        std::fs::rename(&new, &path).map_err(DemoError::file(&path))
    }

    /// Who runs under which process id, for whoever wants to look closer, or to be unkind.
    fn keep_processes(&self, seen: &Seen) -> Result<(), DemoError> {
        let health: Vec<_> = seen.processes.iter().map(|(health, _)| health).collect();
        let (path, new) = (self.dir.join("processes.json"), self.dir.join("processes.new"));
        let text = serde_json::to_string_pretty(&health).map_err(DemoError::founding)?;
        std::fs::write(&new, text).map_err(DemoError::file(&new))?;
        std::fs::rename(&new, &path).map_err(DemoError::file(&path))
    }

    fn clock_file(&self) -> PathBuf {
        self.dir.join("market-time")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.temporary {
            // Nothing of a temporary demo is to stay; if that fails, the system cleans up.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
