//! What people are told when something does not work: one sentence, on standard error, and an exit
//! code: 2 for what they can mend, 1 for a proof that does not hold.

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::process::ExitCode;

/// A sentence for people.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
}

impl Failure {
    /// A role or a command did not start, or ended.
    pub(crate) fn start(error: impl Error) -> Self {
        let mut sentence = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let words = error.to_string();
            // Many sentences already name their cause.
            if !sentence.contains(&words) {
                let _ = write!(sentence, ": {words}");
            }
            cause = error.source();
        }
        Self { sentence }
    }

    /// An address that cannot be listened on.
    pub(crate) fn address(address: &str, error: &std::io::Error) -> Self {
        let sentence = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "{address} is in use; stop the program that listens there, or name another address"
            ),
            _ => format!("cannot listen on {address}: {error}"),
        };
        Self { sentence }
    }

    /// An option that is not understood.
    pub(crate) fn option(option: &str, problem: &impl Display) -> Self {
        Self { sentence: format!("{option}: {problem}") }
    }

    /// A clock that is far off.
    pub(crate) fn clock(sentence: &str) -> Self {
        Self { sentence: sentence.to_owned() }
    }

    /// A file that cannot be used.
    pub(crate) fn file(path: &std::path::Path, problem: &impl Display) -> Self {
        Self { sentence: format!("{}: {problem}", path.display()) }
    }

    /// Tells it, and gives the exit code.
    #[expect(clippy::print_stderr, reason = "this is where people are told")]
    pub(crate) fn tell(&self) -> ExitCode {
        eprintln!("hidamari: {}", self.sentence);
        ExitCode::from(2)
    }
}
