//! The engine's write-ahead log, looked at before the engine opens it.
//!
//! The engine cuts an entry that was only half written and goes on from what stands before it. On
//! a head that it cannot read, or an entry whose checksum does not hold, it stops without a word
//! about the file. Here the operator is told which file it is, and what to do.

use std::io;
use std::path::Path;

use arc_malachitebft_app_channel::app::wal::Log;

use super::ConsensusError;

/// Checks that the engine can read its log to the end, if there is one.
///
/// # Errors
/// [`ConsensusError::DamagedLog`] if it is damaged, [`ConsensusError::EngineStart`] if it cannot be
/// opened.
pub(super) fn check(path: &Path) -> Result<(), ConsensusError> {
    if !path.metadata().is_ok_and(|log| log.len() > 0) {
        return Ok(());
    }
    let damaged = |problem: String| ConsensusError::DamagedLog { path: path.to_owned(), problem };
    let mut log = Log::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            damaged("its head cannot be read".to_owned())
        }
        _ => {
            let words = format!("cannot open {}: {error}", path.display());
            ConsensusError::EngineStart(words)
        }
    })?;
    let count = log.len();
    let unreadable = |at: usize| damaged(format!("entry {at} of {count} does not hold"));
    let entries = log.iter().map_err(|_| unreadable(1))?;
    for (at, entry) in (1..).zip(entries) {
        entry.map_err(|_| unreadable(at))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ENTRIES: [&[u8]; 4] = [&[1; 20], &[2; 50], b"short", &[3; 40]];

    /// What can be read of a damaged log: all of a prefix of its entries, or words.
    fn readable(path: &Path, bytes: &[u8]) -> Result<Vec<Vec<u8>>, ConsensusError> {
        fs::write(path, bytes).unwrap();
        check(path)?;
        let mut log = Log::open(path).unwrap();
        let entries: io::Result<Vec<_>> = log.iter().unwrap().collect();
        Ok(entries.unwrap())
    }

    #[test]
    fn a_damaged_log_gives_a_prefix_of_what_was_written_or_words_that_name_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("consensus.wal");
        check(&path).unwrap();
        let mut log = Log::open(&path).unwrap();
        ENTRIES.iter().for_each(|entry| log.append(entry).unwrap());
        log.flush().unwrap();
        drop(log);
        let sound = fs::read(&path).unwrap();
        let is_prefix = |entries: &[Vec<u8>]| ENTRIES.iter().zip(entries).all(|(a, b)| a == b);

        let (mut cut, mut refused) = (0, 0);
        for at in 0..sound.len() {
            let mut flipped = sound.clone();
            flipped[at] ^= 0x10;
            for damaged in [flipped, sound[..at].to_vec()] {
                match readable(&path, &damaged) {
                    Ok(entries) => {
                        assert!(is_prefix(&entries), "byte {at}");
                        cut += usize::from(entries.len() < ENTRIES.len());
                    }
                    Err(error) => {
                        let words = error.to_string();
                        assert!(words.contains(&path.display().to_string()), "{words}");
                        assert!(words.contains("move it away"), "{words}");
                        refused += 1;
                    }
                }
            }
        }
        assert!(cut > sound.len() / 2 && refused > sound.len() / 2, "{cut} cut, {refused} refused");
        assert_eq!(readable(&path, &sound).unwrap().len(), ENTRIES.len());
    }
}
