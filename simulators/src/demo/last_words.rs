//! Why a process has ended, as the last lines of its log tell.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// How much of a log's end is read, in bytes.
const TAIL_BYTES: u64 = 16 * 1024;

/// The longest sentence that is passed on, in characters.
const SENTENCE_MAX: usize = 1_000;

/// What this program begins its last sentence with.
const OWN_VOICE: &str = "hidamari: ";

/// The last error that a log tells of from a position on: the sentence a process ended with, else
/// its last panic or error line. Without any, the last line at all if `any_line`.
pub(super) fn last_words(log: &Path, from: u64, any_line: bool) -> Option<String> {
    let text = tail(log, from).ok()?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = |tells: fn(&str) -> bool| lines.iter().rposition(|line| tells(line));
    let sentence = last(|line| line.starts_with(OWN_VOICE) || line.starts_with("error: "));
    let at = sentence.or_else(|| last(tells_an_error));
    let at = at.or_else(|| lines.len().checked_sub(1).filter(|_| any_line))?;
    let line = lines.get(at)?;
    // A panic says where on one line, and why on the next.
    let words = match lines.get(at + 1) {
        Some(why) if line.contains("panicked at") => format!("{line} {why}"),
        _ => line.strip_prefix(OWN_VOICE).unwrap_or(line).to_owned(),
    };
    Some(printable(&words))
}

fn tells_an_error(line: &str) -> bool {
    let marks = [" ERROR ", "\"level\":\"ERROR\"", "panicked at"];
    marks.iter().any(|mark| line.contains(mark))
}

fn tail(log: &Path, from: u64) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// On one line, without anything that a terminal would obey, and not endless.
fn printable(words: &str) -> String {
    let plain = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut sentence: String = plain.take(SENTENCE_MAX).collect();
    if words.chars().nth(SENTENCE_MAX).is_some() {
        sentence.push('…');
    }
    sentence.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(log: &str, from: u64, any_line: bool) -> Option<String> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        std::fs::write(&path, log).expect("written");
        last_words(&path, from, any_line)
    }

    #[test]
    fn the_sentence_comes_before_the_error_and_the_error_before_the_rest() {
        let log = "T  INFO a: begins\nT ERROR a: it broke\nhidamari: no key\nT  INFO a: late\n";
        assert_eq!(told(log, 0, false).as_deref(), Some("no key"));
        let log = "T ERROR a: it broke\nT  INFO a: goes on\n";
        assert_eq!(told(log, 0, false).as_deref(), Some("T ERROR a: it broke"));
        let log = "thread 'main' panicked at x.rs:1:2:\nindex out of range\nnote: run with\n";
        let panic = "thread 'main' panicked at x.rs:1:2: index out of range";
        assert_eq!(told(log, 0, false).as_deref(), Some(panic));
        let log = "error: unexpected argument '--x' found\n\nUsage: hidamari\n\nFor more, try\n";
        let usage = "error: unexpected argument '--x' found";
        assert_eq!(told(log, 0, false).as_deref(), Some(usage));
    }

    #[test]
    fn words_of_an_earlier_life_or_of_nobody_are_not_passed_on() {
        let before = "hidamari: an old story\n";
        let from = u64::try_from(before.len()).expect("short");
        let log = format!("{before}T  INFO a: begins\n\n");
        assert_eq!(told(&log, from, false), None);
        assert_eq!(told(&log, from, true).as_deref(), Some("T  INFO a: begins"));
        assert_eq!(told("", 0, true), None);
        assert_eq!(last_words(Path::new("/nowhere/log"), 0, true), None);
    }

    #[test]
    fn whatever_a_log_holds_becomes_one_short_line() {
        let log = format!("hidamari: \u{1b}[31m{}\r\n", "x".repeat(100_000));
        assert!(told(&log, 0, true).is_some_and(|words| words.chars().count() <= SENTENCE_MAX + 1));
        let long = "ä".repeat(TAIL_BYTES.try_into().expect("small"));
        assert!(told(&long, 0, true).is_some());
        let words = told("hidamari: \u{1b}[2J\u{7}gone\n", 0, true).expect("words");
        assert!(!words.contains(char::is_control), "{words:?}");
    }
}
