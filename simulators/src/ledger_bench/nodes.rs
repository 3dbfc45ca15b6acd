//! The measured processes: four validators, or four bare engines.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::BenchError;
use super::bare::{BareProgress, progress_file};
use crate::demo::roles::{
    ValidatorPlace, make_folder, multiaddr, validator_places, write_validator,
};
use crate::demo::supervisor::{Recipe, Role, Supervisor};
use crate::demo::watch::resources;

pub(super) const VALIDATORS: usize = 4;

/// How long processes may take until they decide blocks.
const START_PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Processes of one kind.
pub(super) struct Nodes {
    supervisor: Supervisor,
    places: Vec<ValidatorPlace>,
    data_dirs: Vec<PathBuf>,
}

/// How a kind of processes is started.
pub(super) struct Start<'a> {
    pub(super) dir: &'a Path,
    pub(super) program: &'a Path,
    pub(super) seed: u64,
    /// As the processes take it.
    pub(super) clock: String,
}

impl Nodes {
    /// Starts four validators.
    pub(super) fn validators(start: &Start<'_>) -> Result<Self, BenchError> {
        Self::start(start, "validator", &["node"], &[])
    }

    /// Starts four bare engines, each in a folder of its own that no earlier ones have used.
    pub(super) fn bare(
        start: &Start<'_>,
        round: u32,
        block_bytes: usize,
    ) -> Result<Self, BenchError> {
        let bytes = block_bytes.to_string();
        let name = format!("bare-{round}");
        Self::start(start, &name, &["bench", "bare-validator"], &["--block-bytes", &bytes])
    }

    fn start(
        start: &Start<'_>,
        kind: &str,
        command: &[&str],
        options: &[&str],
    ) -> Result<Self, BenchError> {
        let places = validator_places(start.seed, VALIDATORS)?;
        let (mut recipes, mut data_dirs) = (Vec::new(), Vec::new());
        for index in 0..VALIDATORS {
            let name = format!("{kind}-{}", index + 1);
            let folder = make_folder(start.dir, &name)?;
            write_validator(&folder, &name, start.seed, index, &places)?;
            let file = folder.join("node.toml").display().to_string();
            let mut arguments: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
            arguments.extend(["--config".to_owned(), file, "--exit-with-parent".to_owned()]);
            arguments.extend(options.iter().map(|&word| word.to_owned()));
            let environment = vec![
                ("HIDAMARI_CLOCK".to_owned(), start.clock.clone()),
                ("HIDAMARI_LOG".to_owned(), "warn".to_owned()),
            ];
            data_dirs.push(folder.join("data"));
            let log = folder.join("log");
            let program = start.program.to_owned();
            recipes.push(Recipe {
                name,
                role: Role::Validator,
                program,
                arguments,
                environment,
                log,
            });
        }
        Ok(Self { supervisor: Supervisor::start(recipes)?, places, data_dirs })
    }

    /// Where the validators' mesh listens.
    pub(super) fn mesh_addresses(&self) -> Vec<String> {
        self.places.iter().map(|place| multiaddr(place.mesh)).collect()
    }

    /// How long all of them have run on processors so far, in milliseconds.
    ///
    /// # Errors
    /// [`BenchError::Ended`] if one has ended: then no figure holds.
    pub(super) fn cpu_ms(&mut self) -> Result<u64, BenchError> {
        self.supervisor.tend();
        let mut sum = 0;
        for health in self.supervisor.health() {
            if health.ends > 0 {
                let why = health.why().to_owned();
                return Err(BenchError::Ended { name: health.name, why });
            }
            let used = health.pid.and_then(resources).ok_or(BenchError::NoProcessorTime)?;
            sum += used.cpu_ms;
        }
        Ok(sum)
    }

    /// How far the slowest bare engine is; nothing before all have begun.
    pub(super) fn bare_progress(&self) -> Option<BareProgress> {
        let read = |dir: &PathBuf| {
            let text = std::fs::read_to_string(progress_file(dir)).ok()?;
            serde_json::from_str::<BareProgress>(&text).ok()
        };
        let all: Option<Vec<_>> = self.data_dirs.iter().map(read).collect();
        all?.into_iter().min_by_key(|progress| progress.height)
    }

    /// Waits until the bare engines have decided so many heights.
    pub(super) async fn wait_for_height(&mut self, height: u64) -> Result<(), BenchError> {
        let begun = Instant::now();
        while self.bare_progress().is_none_or(|progress| progress.height < height) {
            self.cpu_ms()?;
            if begun.elapsed() >= START_PATIENCE {
                let (what, seconds) =
                    ("the bare engines decided nothing", START_PATIENCE.as_secs());
                return Err(BenchError::Late { what, seconds });
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    pub(super) async fn stop(self) {
        self.supervisor.stop().await;
    }
}
