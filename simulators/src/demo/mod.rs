//! A whole neighbourhood on this machine, against simulated meters, with the dashboard.
//!
//! The demo founds a community (`founding`), puts its households on the stage with a real Modbus
//! TCP meter each (`stage`), starts validators, agents and the dashboard as processes of their
//! own (`roles`, `supervisor`), looks at them from outside (`watch`), shows what it sees
//! (`view`), and at the end audits what the validators have stored (`report`). It takes no part
//! in the market: cut the network between the processes, and trading stops.

mod counted;
mod error;
mod founding;
mod home;
mod last_words;
mod options;
mod report;
mod report_file;
mod roles;
mod stage;
mod supervisor;
mod view;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use market::time::Clock;
use tokio::sync::watch as watch_channel;
use tokio_util::sync::CancellationToken;

pub use error::DemoError;
pub use options::{DemoGates, DemoOptions, HOUSEHOLDS, SPEED, VALIDATORS};
pub use report::Outcome;
pub use supervisor::{ProcessHealth, Role};

use home::Home;
use report_file::ReportFile;
use stage::Stage;
use supervisor::Supervisor;
use view::View;
use watch::{Seen, Watcher};

/// How often everything is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(700);

/// How often processes are tended and keys are read.
const TEND_EVERY: Duration = Duration::from_millis(100);

/// Plays until `shutdown`, a key `q`, or the wanted number of periods; then audits and reports.
///
/// # Errors
/// [`DemoError`] says what to do. Broken laws are no error but part of the [`Outcome`].
pub async fn run(options: DemoOptions, shutdown: CancellationToken) -> Result<Outcome, DemoError> {
    options.check()?;
    let report_file = options.report.as_deref();
    let report_file = report_file.map(|path| ReportFile::judge(path, options.data_dir.as_deref()));
    let report_file = report_file.transpose()?;
    let started_at = Instant::now();
    let home = Home::open(options.data_dir.as_deref()).await?;
    let founded = founding::found_in(&home.dir, &options)?;
    let since = founded.genesis.starts_at;
    let clock = home.resume_clock(since, home.last_block_time().await, options.speed)?;
    home.keep_clock(clock.now())?;
    let shared: Arc<dyn Clock> = Arc::new(clock);
    let ending = shutdown.child_token();
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
    let until = shared.now();
    ending.cancel();
    played?;
    let outcome =
        report::conclude(&options, &founded, &cast, (since, until), &play.highlights).await?;
    if let Some(file) = &report_file {
        let text = serde_json::to_string_pretty(&outcome).map_err(DemoError::founding)?;
        file.write(&(text + "\n"))?;
    }
    Ok(outcome)
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
                    let Some(wanted) = options.periods else { continue };
                    if settled >= wanted {
                        return Ok(());
                    }
                    if let Some(health) = supervisor.hopeless() {
                        let why = health.why().to_owned();
                        return Err(DemoError::GivenUp { name: health.name, why });
                    }
                }
            }
        }
    }
}
