//! Where in a TOML file something is wrong: file, line and key.

use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// A place in a TOML file that does not say what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, line {line}{}: {problem}", file.display(), colon(key))]
pub struct TomlError {
    /// The file as it was named.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key with its tables; empty where the text is no TOML at all.
    pub key: String,
    /// What was expected and what was found.
    pub problem: String,
}

fn colon(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!(", {key}") }
}

/// The text of a TOML file and its name, for errors that point into it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TomlText<'a> {
    file: &'a Path,
    text: &'a str,
}

impl<'a> TomlText<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text }
    }

    /// Reads the whole text.
    pub(crate) fn parse<T: DeserializeOwned>(self) -> Result<T, TomlError> {
        toml::from_str(self.text).map_err(|error| {
            let at = error.span().unwrap_or_default();
            TomlError {
                file: self.file.to_owned(),
                line: self.line(&at),
                key: self.key_at(&at),
                problem: error.message().trim().replace('\n', "; "),
            }
        })
    }

    /// An error about a value.
    pub(crate) fn error<T>(self, key: &str, at: &Spanned<T>, problem: impl Display) -> TomlError {
        self.error_at(key, &at.span(), problem)
    }

    /// An error about a place.
    pub(crate) fn error_at(self, key: &str, at: &Range<usize>, problem: impl Display) -> TomlError {
        TomlError {
            file: self.file.to_owned(),
            line: self.line(at),
            key: key.to_owned(),
            problem: problem.to_string(),
        }
    }

    fn line(self, at: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(at.start);
        before.filter(|byte| **byte == b'\n').count().saturating_add(1)
    }

    /// The key on the line of `at`, with the table it stands in, as far as the text shows it.
    fn key_at(self, at: &Range<usize>) -> String {
        let lines = self.text.lines().take(self.line(at));
        let (mut table, mut key) = ("", "");
        for line in lines {
            let line = line.trim();
            if line.starts_with('[') {
                table = line.trim_matches(['[', ']', ' ']);
                key = "";
            } else {
                key = line.split_once('=').map_or("", |(key, _)| key.trim());
            }
        }
        match (table, key) {
            ("", key) => key.to_owned(),
            (table, "") => table.to_owned(),
            (table, key) => format!("{table}.{key}"),
        }
    }
}
