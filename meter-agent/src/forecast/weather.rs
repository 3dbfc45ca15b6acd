//! A weather forecast that the owner gives as a file.
//!
//! ```csv
//! time,cloud_cover
//! 2026-06-15T10:00:00Z,35
//! 2026-06-15T11:00:00Z,80
//! ```
//!
//! `cloud_cover` is in percent; instead of it, or beside it, `irradiance_w_m2` is the light on level
//! ground, and comes first where both stand. A row holds until the next one, for three hours at
//! most. Whatever fetches weather forecasts can write such a file; the agent asks nobody.

use market::time::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How long a row holds at most, in milliseconds.
const HOLDS_MS: i64 = 3 * 3_600_000;
/// More light than this falls on no ground on Earth.
const IRRADIANCE_MAX_W_M2: f64 = 1_500.0;

/// A weather forecast.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weather {
    rows: BTreeMap<Timestamp, Outlook>,
}

/// What one row says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outlook {
    /// The share of the sky that is covered, 0..=1.
    CloudCover {
        /// The share.
        share: f64,
    },
    /// Light on level ground.
    Irradiance {
        /// In W/m².
        w_m2: f64,
    },
}

/// A weather file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {problem}", file.display(), at_line(*line))]
pub struct WeatherError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; `None` if it is about the file as a whole.
    pub line: Option<u64>,
    /// What was expected and what was found.
    pub problem: String,
}

fn at_line(line: Option<u64>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

impl Weather {
    /// Reads a file's text; `file` names it in errors.
    ///
    /// # Errors
    /// [`WeatherError`] names file and line, and what was expected.
    pub fn from_csv(text: &str, file: &Path) -> Result<Self, WeatherError> {
        let error = |line: Option<u64>, problem: String| WeatherError {
            file: file.to_owned(),
            line,
            problem,
        };
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let headers = reader.headers().map_err(|found| error(Some(1), found.to_string()))?.clone();
        let column = |name: &str| headers.iter().position(|header| header == name);
        let (time, cover, light) =
            (column("time"), column("cloud_cover"), column("irradiance_w_m2"));
        let Some(time) = time.filter(|_| cover.is_some() || light.is_some()) else {
            let problem = format!(
                "expected the columns `time` and `cloud_cover` or `irradiance_w_m2`, but found {:?}",
                headers.iter().collect::<Vec<_>>().join(",")
            );
            return Err(error(Some(1), problem));
        };
        let mut rows = BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(|found| {
                let line = found.position().map(csv::Position::line);
                error(line, "expected as many values as there are columns".to_owned())
            })?;
            let line = record.position().map(csv::Position::line);
            let field = |column: Option<usize>| {
                column.and_then(|column| record.get(column)).filter(|text| !text.is_empty())
            };
            let row = read_row(field(Some(time)), field(cover), field(light));
            let (at, outlook) = row.map_err(|problem| error(line, problem))?;
            rows.insert(at, outlook);
        }
        Ok(Self { rows })
    }

    /// What holds at an instant.
    pub(super) fn at(&self, at: Timestamp) -> Option<Outlook> {
        let (from, outlook) = self.rows.range(..=at).next_back()?;
        (at.millis_since(*from) < HOLDS_MS).then_some(*outlook)
    }

    /// Whether a row says anything but light, so that the sun's height has to be known.
    pub fn needs_place(&self) -> bool {
        self.rows.values().any(|outlook| matches!(outlook, Outlook::CloudCover { .. }))
    }

    /// How many rows there are.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }
}

fn read_row(
    time: Option<&str>,
    cover: Option<&str>,
    light: Option<&str>,
) -> Result<(Timestamp, Outlook), String> {
    let time = time.unwrap_or_default();
    let at: jiff::Timestamp = time.parse().map_err(|_| {
        format!("expected a time like 2026-06-15T10:00:00Z or 2026-06-15T19:00:00+09:00, but found {time:?}")
    })?;
    let number = |what: &str, text: &str, most: f64| {
        let parsed = text.parse::<f64>().ok().filter(|value| (0.0..=most).contains(value));
        parsed.ok_or_else(|| format!("expected {what} from 0 to {most}, but found {text:?}"))
    };
    let outlook = match (light, cover) {
        (Some(light), _) => {
            Outlook::Irradiance { w_m2: number("`irradiance_w_m2`", light, IRRADIANCE_MAX_W_M2)? }
        }
        (None, Some(cover)) => {
            Outlook::CloudCover { share: number("`cloud_cover` in percent", cover, 100.0)? / 100.0 }
        }
        (None, None) => return Err("expected a value beside the time, but found none".to_owned()),
    };
    Ok((Timestamp::from_millis(at.as_millisecond()), outlook))
}

/// A weather file that is read again whenever it has been written anew.
#[derive(Debug, Clone)]
pub struct WeatherFile {
    path: PathBuf,
    read_at: Option<SystemTime>,
}

impl WeatherFile {
    /// The file at a path, not yet read.
    pub fn at(path: PathBuf) -> Self {
        Self { path, read_at: None }
    }

    /// The forecast, if the file was written since the last call.
    ///
    /// # Errors
    /// [`WeatherError`], once for each time that the file was written.
    pub fn refresh(&mut self) -> Result<Option<Weather>, WeatherError> {
        let failed = |error: std::io::Error| WeatherError {
            file: self.path.clone(),
            line: None,
            problem: format!("it cannot be read: {error}"),
        };
        let written = std::fs::metadata(&self.path).and_then(|found| found.modified());
        let written = written.map_err(failed)?;
        if self.read_at == Some(written) {
            return Ok(None);
        }
        self.read_at = Some(written);
        let text = std::fs::read_to_string(&self.path).map_err(failed)?;
        Weather::from_csv(&text, &self.path).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Weather, WeatherError> {
        Weather::from_csv(text, Path::new("weather.csv"))
    }

    #[test]
    fn rows_hold_until_the_next_and_not_for_ever() {
        let weather = read(
            "time,cloud_cover,irradiance_w_m2\n2026-06-15T10:00:00Z,35,\n\
             2026-06-15T20:00:00+09:00,, 512.5\n",
        )
        .unwrap();
        let at = |minutes: i64| {
            weather.at(Timestamp::from_millis((1_781_517_600 + minutes * 60) * 1_000))
        };
        assert_eq!(at(-1), None);
        assert_eq!(at(0), Some(Outlook::CloudCover { share: 0.35 }));
        assert_eq!(at(59), Some(Outlook::CloudCover { share: 0.35 }));
        assert_eq!(at(60), Some(Outlook::Irradiance { w_m2: 512.5 }));
        assert_eq!(at(240), None);
        assert!(weather.needs_place());
    }

    #[test]
    fn a_mistake_is_named_with_file_and_line() {
        let good = "2026-06-15T10:00:00Z,35\n";
        let cases = [
            ("time,clouds\n".to_owned(), 1, "cloud_cover"),
            (format!("time,cloud_cover\n{good}yesterday,3\n"), 3, "2026-06-15T10:00:00Z"),
            (format!("time,cloud_cover\n{good}{good}2026-06-15T10:00:00Z,101\n"), 4, "0 to 100"),
            (format!("time,cloud_cover\n{good}2026-06-15T10:00:00Z,NaN\n"), 3, "\"NaN\""),
            (format!("time,cloud_cover\n{good}2026-06-15T10:00:00Z,\n"), 3, "found none"),
            (format!("time,cloud_cover\n{good}2026-06-15T10:00:00Z\n"), 3, "as many values"),
        ];
        for (text, line, problem) in cases {
            let error = read(&text).unwrap_err();
            assert_eq!(error.line, Some(line), "{error}");
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.to_string().starts_with("weather.csv, line "), "{error}");
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_was_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weather.csv");
        let mut file = WeatherFile::at(path.clone());
        assert!(file.refresh().unwrap_err().to_string().contains("cannot be read"));
        std::fs::write(&path, "time,cloud_cover\n2026-06-15T10:00:00Z,35\n").unwrap();
        assert_eq!(file.refresh().unwrap().unwrap().row_count(), 1);
        assert_eq!(file.refresh().unwrap(), None);
    }
}
