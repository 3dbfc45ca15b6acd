//! The mark of a ledger that was not made by this validator's own life: from a backup or a
//! snapshot. Nobody here knows what the validator key has signed since.
//!
//! Until a block of a later time than the mark's is committed the validator watches. Such a block
//! was decided without it, after it had last signed, so every height it may have signed has
//! passed. Should the others be unable to decide without it, it watches for ever: then a new
//! validator key is the safe way.

use market::time::Timestamp;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::guard::GuardError;

const FILE: &str = "watch-until";

/// Makes a validator with this data directory watch until a block of a later market time.
pub(crate) fn write(directory: &Path, time: Timestamp) -> io::Result<()> {
    let mut file = File::create(directory.join(FILE))?;
    writeln!(file, "{}", time.as_millis())?;
    file.sync_all()?;
    File::open(directory)?.sync_all()
}

/// The time of the mark; `None` without one.
pub(super) fn read(directory: &Path) -> Result<Option<Timestamp>, GuardError> {
    let path = directory.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let millis = text.trim().parse::<i64>();
            millis
                .map(|millis| Some(Timestamp::from_millis(millis)))
                .map_err(|_| GuardError::Damaged { path })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(GuardError::Io { path, source }),
    }
}

/// Removes the mark: every height that may have been signed has passed.
pub(super) fn remove(directory: &Path) -> Result<(), GuardError> {
    let path = directory.join(FILE);
    let removed = fs::remove_file(&path).and_then(|()| File::open(directory)?.sync_all());
    removed.map_err(|source| GuardError::Io { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stays_until_it_is_removed_and_a_garbled_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let time = Timestamp::from_millis(1_750_000_000_123);
        write(dir.path(), time).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(time));
        fs::write(dir.path().join(FILE), "soon").unwrap();
        assert!(matches!(read(dir.path()), Err(GuardError::Damaged { .. })));
        remove(dir.path()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
    }
}
