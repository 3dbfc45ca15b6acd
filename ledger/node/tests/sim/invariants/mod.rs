//! What must hold in every history, one file each. A check gets the record and says in words what
//! does not hold.

mod acknowledged;
mod agreement;
mod certificates;
mod contradictions;
mod exactly_once;
mod failures;
mod followers;
mod laws;
mod progress;
mod roots;
mod time;

use super::world::Record;

type Check = fn(&Record) -> Result<(), String>;

/// All of them, by the name of their file.
pub(super) const ALL: [(&str, Check); 11] = [
    ("agreement", agreement::check),
    ("certificates", certificates::check),
    ("contradictions", contradictions::check),
    ("acknowledged", acknowledged::check),
    ("roots", roots::check),
    ("time", time::check),
    ("exactly_once", exactly_once::check),
    ("failures", failures::check),
    ("progress", progress::check),
    ("followers", followers::check),
    ("laws", laws::check),
];

/// Every invariant that a history breaks, with words.
pub(in crate::consensus) fn broken(record: &Record) -> Vec<(&'static str, String)> {
    let judge = |(name, check): &(&'static str, Check)| Some((*name, check(record).err()?));
    ALL.iter().filter_map(judge).collect()
}
