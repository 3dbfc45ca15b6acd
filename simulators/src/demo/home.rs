//! The demo's directory: held by one demo at a time, with the market's time and the process list.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ledger_node::store::Store;
use market::time::Timestamp;

use crate::demo::DemoError;
use crate::demo::watch::Seen;
use crate::household::LEAP_LIMIT_DAYS;
use crate::scaled_clock::ScaledClock;

/// Locked while a demo plays; the system lets go of it however the demo ends.
const LOCK_FILE: &str = "demo.lock";

/// How long the processes of a demo that was killed may take to end by themselves.
const PREDECESSORS_PATIENCE: Duration = Duration::from_secs(10);

/// The demo's directory.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) dir: PathBuf,
    temporary: bool,
    /// Held as long as the demo plays.
    _lock: File,
}

impl Home {
    /// Takes a directory for this demo alone, a new temporary one if none is wanted.
    ///
    /// # Errors
    /// [`DemoError::DataDirInUse`] if another demo has it, [`DemoError::StillRunning`] if
    /// processes of an earlier one do not end.
    pub(crate) async fn open(wanted: Option<&Path>) -> Result<Self, DemoError> {
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
        let lock = lock(&dir)?;
        let home = Self { dir, temporary, _lock: lock };
        home.await_predecessors().await?;
        Ok(home)
    }

    /// Every process holds a lock on its log as long as it runs, also when its demo was killed.
    async fn await_predecessors(&self) -> Result<(), DemoError> {
        let deadline = Instant::now() + PREDECESSORS_PATIENCE;
        for entry in std::fs::read_dir(&self.dir).map_err(DemoError::file(&self.dir))? {
            let entry = entry.map_err(DemoError::file(&self.dir))?;
            // Whatever has no log is no process.
            let Ok(log) = File::open(entry.path().join("log")) else { continue };
            let name = entry.file_name().to_string_lossy().into_owned();
            let mut told = false;
            while matches!(log.try_lock(), Err(TryLockError::WouldBlock)) {
                if Instant::now() >= deadline {
                    return Err(DemoError::StillRunning { dir: self.dir.clone(), name });
                }
                if !told {
                    tracing::warn!(name, "a process of an earlier demo is still ending; waiting");
                    told = true;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// The time of the last block in any validator's ledger; `None` before the first. A ledger that
    /// cannot be read is its validator's business, which names it when it starts.
    pub(super) async fn last_block_time(&self) -> Option<Timestamp> {
        let mut last = None;
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("validator-") {
                let time = Store::last_block_time(&entry.path().join("data")).await;
                last = last.max(time.ok().flatten());
            }
        }
        last
    }

    /// The market goes on where it stood, as if nobody had been away; but never before its last
    /// block, also if an old copy of the kept time was put back.
    ///
    /// # Errors
    /// [`DemoError::Damaged`] if the kept time is no time that this demo can have reached.
    pub(super) fn resume_clock(
        &self,
        starts_at: Timestamp,
        last_block: Option<Timestamp>,
        speed: f64,
    ) -> Result<ScaledClock, DemoError> {
        let path = self.clock_file();
        let Some(text) = read_text(&path)? else {
            if self.dir.join("validator-1").join("data").exists() {
                return Err(DemoError::damaged(
                    &path,
                    "it is missing, though the market has begun",
                ));
            }
            return Ok(ScaledClock::starting_at(starts_at, speed));
        };
        let expected = "expected the market time in milliseconds since 1970";
        let kept: i64 = text.trim().parse().map_err(|_| DemoError::damaged(&path, expected))?;
        let kept = Timestamp::from_millis(kept);
        let lived_ms = kept.as_millis().saturating_sub(starts_at.as_millis());
        if !(0..=LEAP_LIMIT_DAYS * 86_400_000).contains(&lived_ms) {
            let problem = format!(
                "it says {kept}, but the demo began at {starts_at} and can be taken up for \
                 {LEAP_LIMIT_DAYS} days"
            );
            return Err(DemoError::damaged(&path, problem));
        }
        let last_block = last_block.filter(|last| *last > kept);
        if let Some(last) = last_block {
            let path = path.display();
            tracing::warn!(%path, %kept, %last, "the last block is later than the kept time");
        }
        Ok(ScaledClock::starting_at(last_block.unwrap_or(kept), speed))
    }

    /// Keeps the market's time for the next start.
    ///
    /// # Errors
    /// [`DemoError::File`] if it cannot be written.
    pub(super) fn keep_clock(&self, now: Timestamp) -> Result<(), DemoError> {
        replace(&self.clock_file(), &format!("{}\n", now.as_millis()))
    }

    /// Who runs under which process id, for whoever wants to look closer, or to be unkind.
    ///
    /// # Errors
    /// [`DemoError::File`] if it cannot be written.
    pub(super) fn keep_processes(&self, seen: &Seen) -> Result<(), DemoError> {
        let health: Vec<_> = seen.processes.iter().map(|(health, _)| health).collect();
        let text = serde_json::to_string_pretty(&health).map_err(DemoError::founding)?;
        replace(&self.dir.join("processes.json"), &text)
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

fn lock(dir: &Path) -> Result<File, DemoError> {
    let path = dir.join(LOCK_FILE);
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(DemoError::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DemoError::DataDirInUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(DemoError::file(&path)(source)),
    }
}

/// The text of a file that the demo wrote; `None` if there is no such file.
///
/// # Errors
/// [`DemoError::Damaged`] if it is no text, [`DemoError::File`] if it cannot be read.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, DemoError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(DemoError::damaged(path, "it is no text"))
        }
        Err(error) => Err(DemoError::file(path)(error)),
    }
}

/// Writes a file whole or not at all: whoever reads it, and whatever happens meanwhile, finds the
/// old text or the new one.
///
/// # Errors
/// [`DemoError::File`] if it cannot be written.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), DemoError> {
    let new = path.with_extension("new");
    write_durably(&new, text).map_err(DemoError::file(&new))?;
    std::fs::rename(&new, path).map_err(DemoError::file(path))
}

pub(super) fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::time::Clock as _;

    const BEGINNING: Timestamp = Timestamp::from_millis(1_781_500_000_000);

    #[tokio::test]
    async fn a_directory_belongs_to_one_demo_until_it_lets_go() {
        let scratch = tempfile::tempdir().expect("a directory");
        let dir = scratch.path().join("data");
        let first = Home::open(Some(&dir)).await.expect("a directory of its own");
        let refused = Home::open(Some(&dir)).await.expect_err("it is taken");
        assert!(matches!(refused, DemoError::DataDirInUse { .. }), "{refused}");
        assert!(refused.to_string().contains(&first.dir.display().to_string()), "{refused}");
        drop(first);
        Home::open(Some(&dir)).await.expect("free again");
    }

    #[tokio::test]
    async fn a_demo_waits_for_the_processes_of_the_one_before() {
        let scratch = tempfile::tempdir().expect("a directory");
        let dir = scratch.path().join("data");
        std::fs::create_dir_all(dir.join("house-01")).expect("a folder");
        let log = File::create(dir.join("house-01").join("log")).expect("a log");
        log.lock().expect("a running process");
        let mut opening = std::pin::pin!(Home::open(Some(&dir)));
        let early = tokio::time::timeout(Duration::from_millis(200), &mut opening).await;
        assert!(early.is_err(), "it still runs");
        drop(log);
        opening.await.expect("it has ended");
    }

    #[tokio::test]
    async fn a_kept_time_is_taken_up_and_a_damaged_one_is_named() {
        let scratch = tempfile::tempdir().expect("a directory");
        let dir = scratch.path().join("data");
        let home = Home::open(Some(&dir)).await.expect("a directory");
        let resume = || home.resume_clock(BEGINNING, None, 60.0);
        assert!(resume().expect("a new demo").now() >= BEGINNING);
        std::fs::create_dir_all(home.dir.join("validator-1").join("data")).expect("a ledger");
        assert!(resume().is_err_and(|error| error.to_string().contains("missing")));
        home.keep_clock(BEGINNING.plus_millis(3_600_000)).expect("kept");
        assert!(resume().expect("the old one").now() >= BEGINNING.plus_millis(3_600_000));
        let last_block = BEGINNING.plus_millis(7_200_000);
        let resumed = home.resume_clock(BEGINNING, Some(last_block), 60.0).expect("a clock");
        assert!(resumed.now() >= last_block, "an old copy does not turn the market back");
        assert_eq!(home.last_block_time().await, None, "no validator has a ledger");
        let beyond = (BEGINNING.as_millis() + (LEAP_LIMIT_DAYS + 1) * 86_400_000).to_string();
        for wrong in ["", "soon", "1781500000000.5", "-1", "9223372036854775807", &beyond] {
            std::fs::write(home.clock_file(), wrong).expect("written");
            let told = resume().expect_err(wrong).to_string();
            let file = home.clock_file().display().to_string();
            assert!(told.contains(&file) && told.contains("another --data-dir"), "{told}");
        }
    }
}
