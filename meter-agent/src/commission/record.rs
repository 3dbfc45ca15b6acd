//! What a check found, kept for the agent.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// The file's name in the data directory.
const FILE_NAME: &str = "meter-check.json";

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was checked and is right.
    Passed,
    /// Nothing is wrong, but not everything could be checked.
    Open,
    /// Something is wrong; the metering point does not trade.
    Failed,
}

/// The last check of an agent's meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// How it ended.
    pub outcome: Outcome,
    /// When, RFC 3339.
    pub checked_at: String,
    /// The meter: where it is and what it is.
    pub meter: String,
    /// What was found, in words.
    pub findings: Vec<String>,
}

impl Record {
    /// The last check, if there was one.
    ///
    /// # Errors
    /// An I/O error if the file is there and cannot be read.
    pub fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(data_dir.join(FILE_NAME)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the last check.
    ///
    /// # Errors
    /// An I/O error if the directory cannot be made or written.
    pub fn write(&self, data_dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(data_dir)?;
        let fresh = data_dir.join("meter-check.json.new");
        std::fs::write(&fresh, serde_json::to_vec_pretty(self).map_err(io::Error::other)?)?;
        std::fs::rename(&fresh, data_dir.join(FILE_NAME))
    }

    /// Why the metering point may not trade, if it may not.
    pub fn objection(&self) -> Option<String> {
        (self.outcome == Outcome::Failed).then(|| {
            let found = self.findings.first().map_or("", String::as_str);
            format!(
                "the meter failed its check of {}: {found} Check it again with `hidamari agent \
                 check`",
                self.checked_at
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_is_remembered_until_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        assert_eq!(Record::read(&data_dir).unwrap(), None);
        let failed = Record {
            outcome: Outcome::Failed,
            checked_at: "2026-06-15T10:01:00Z".to_owned(),
            meter: "10.0.0.5:502, unit 1: Eastron SDM630".to_owned(),
            findings: vec!["The words are swapped.".to_owned()],
        };
        failed.write(&data_dir).unwrap();
        let read = Record::read(&data_dir).unwrap().unwrap();
        assert!(read.objection().is_some_and(|why| why.contains("The words are swapped.")));
        Record { outcome: Outcome::Open, ..failed }.write(&data_dir).unwrap();
        assert_eq!(Record::read(&data_dir).unwrap().unwrap().objection(), None);
        std::fs::write(data_dir.join(FILE_NAME), b"{").unwrap();
        assert!(Record::read(&data_dir).is_err());
    }
}
