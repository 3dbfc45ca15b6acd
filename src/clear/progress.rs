//! What somebody at a terminal sees while a large file is worked on.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::clear::sheet::Sheet;

/// Whoever waits less is not told anything.
const PATIENCE: Duration = Duration::from_secs(1);

/// The line is not written more often than this.
const PAUSE: Duration = Duration::from_millis(200);

/// After so many rows the clock is looked at.
const ROWS: u32 = 4_096;

/// One line on standard error, if that is a terminal, written over and over, and gone at the end.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    next: Instant,
    shown: bool,
    rows: u32,
}

impl Progress {
    /// Starts to wait.
    pub(crate) fn start() -> Self {
        let next = Instant::now() + PATIENCE;
        Self { terminal: std::io::stderr().is_terminal(), next, shown: false, rows: 0 }
    }

    /// One more row is read, which begins here in the file.
    pub(crate) fn read(&mut self, at: usize, sheet: &Sheet) {
        self.rows = self.rows.wrapping_add(1);
        if self.terminal && self.rows.is_multiple_of(ROWS) {
            let percent = at.saturating_mul(100).checked_div(sheet.len()).unwrap_or(100);
            self.say(&format!("reading {}: {percent} %", sheet.name()));
        }
    }

    /// What is done now, if it was quiet long enough.
    pub(crate) fn say(&mut self, what: &str) {
        if self.terminal && Instant::now() >= self.next {
            // Nothing depends on it, and there is nobody else to tell.
            let _ = write!(std::io::stderr(), "\r\x1b[K{what} ...");
            self.shown = true;
            self.next = Instant::now() + PAUSE;
        }
    }

    /// Takes the line away.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
