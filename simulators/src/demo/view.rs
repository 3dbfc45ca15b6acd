//! What the demo shows: a live view at a terminal, plain lines elsewhere.

mod lines;
mod screen;
mod trouble;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::time::Duration;

use market::time::Timestamp;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};

use crate::demo::watch::Seen;
use crate::demo::{DemoError, DemoOptions};

/// One of the two ways to show what goes on.
pub(super) enum View {
    Screen(Box<screen::Screen>),
    Lines(lines::Lines),
}

impl View {
    /// The live view at a terminal, unless plain lines are wanted.
    ///
    /// # Errors
    /// [`DemoError::Terminal`] if the terminal cannot be used.
    pub(super) fn open(
        options: &DemoOptions,
        dashboard_url: &str,
        dir: &Path,
    ) -> Result<Self, DemoError> {
        if options.headless || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Ok(Self::Lines(lines::Lines::new(dashboard_url, dir)));
        }
        let terminal = ratatui::try_init().map_err(DemoError::Terminal)?;
        Ok(Self::Screen(Box::new(screen::Screen::new(terminal, dashboard_url, dir))))
    }

    /// Shows what was seen.
    ///
    /// # Errors
    /// [`DemoError::Terminal`] if the terminal fails.
    pub(super) fn show(
        &mut self,
        seen: &Seen,
        now: Timestamp,
        running: Duration,
    ) -> Result<(), DemoError> {
        match self {
            Self::Screen(screen) => screen.draw(seen, now, running).map_err(DemoError::Terminal),
            Self::Lines(lines) => {
                lines.print(seen, now, running);
                Ok(())
            }
        }
    }

    /// Whether somebody has pressed `q`, Esc or Ctrl-C (which a raw terminal sends as a key).
    ///
    /// # Errors
    /// [`DemoError::Terminal`] if the terminal fails.
    pub(super) fn wants_to_leave(&mut self) -> Result<bool, DemoError> {
        if matches!(self, Self::Lines(_)) {
            return Ok(false);
        }
        while event::poll(Duration::ZERO).map_err(DemoError::Terminal)? {
            if let Event::Key(key) = event::read().map_err(DemoError::Terminal)? {
                let interrupt =
                    key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
                if interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Gives the terminal back.
    pub(super) fn close(&mut self) {
        if matches!(self, Self::Screen(_)) {
            ratatui::restore();
        }
    }
}
