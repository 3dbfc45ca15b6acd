//! The places at which a test lets this process die: before and after each write that must outlive it.
//!
//! Only this crate's own tests arm them; elsewhere [`reach`] is empty.

/// A place between two steps of which the first, and not the second, has happened.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Place {
    /// The engine has written what leads to a statement, and it is not synced.
    BeforeLogSync,
    /// It is synced, and the signer's record knows nothing of the statement.
    AfterLogSync,
    /// The draft of the record is written, and not synced.
    BeforeRecordSync,
    /// It is synced, and the old record still stands.
    BeforeRecordRename,
    /// It stands in the old one's place, and the directory is not synced.
    BeforeDirectorySync,
    /// The record holds the statement, and no signature exists.
    AfterRecordSync,
    /// A body is known, and not stored.
    BeforeUndecided,
    /// It is stored, and nobody has voted for it.
    AfterUndecided,
    /// All rows of a decided block are written, and not committed.
    BeforeCommit,
    /// They are committed, and nobody knows.
    AfterCommit,
}

/// Dies here without a word to anybody, if this is where.
#[cfg(not(test))]
pub(crate) const fn reach(_: Place) {}

#[cfg(test)]
pub(crate) use armed::{reach, signed};

#[cfg(test)]
pub(crate) mod armed {
    use std::fs::File;
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Place;
    use crate::consensus::Statement;

    /// Where this process dies, and how many times it gets past there before: `Place count`.
    pub(crate) const DIE_AT: &str = "HIDAMARI_DIE_AT";
    /// The file to which it adds whatever it signs.
    pub(crate) const SIGNED: &str = "HIDAMARI_SIGNED";

    impl Place {
        pub(crate) const ALL: [Self; 10] = [
            Self::BeforeLogSync,
            Self::AfterLogSync,
            Self::BeforeRecordSync,
            Self::BeforeRecordRename,
            Self::BeforeDirectorySync,
            Self::AfterRecordSync,
            Self::BeforeUndecided,
            Self::AfterUndecided,
            Self::BeforeCommit,
            Self::AfterCommit,
        ];
    }

    /// Dies here without a word to anybody, if this is where.
    pub(crate) fn reach(place: Place) {
        static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var(DIE_AT).ok()?;
            let (place, count) = text.split_once(' ')?;
            Some((place.to_owned(), count.parse::<u64>().ok()?.into()))
        });
        let Some((armed, left)) = armed else { return };
        if *armed == format!("{place:?}") && left.fetch_sub(1, Ordering::Relaxed) == 0 {
            let _ = writeln!(std::io::stderr(), "dies at {place:?}");
            std::process::abort();
        }
    }

    /// Leaves a trace of what was signed, if somebody wants to know.
    pub(crate) fn signed(statement: &Statement) {
        let Some(path) = std::env::var_os(SIGNED) else { return };
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        let Statement { height, round, step, block, pol_round } = statement;
        let line = format!("{height} {round} {step:?}\t{block:?} {pol_round:?}\n");
        file.write_all(line.as_bytes()).unwrap();
    }
}
