//! Each transaction counts exactly once, and of one subject only ever a higher sequence.

use std::collections::{BTreeMap, BTreeSet};

use crate::consensus::sim::world::Record;

pub(super) fn check(record: &Record) -> Result<(), String> {
    let (mut seen, mut sequences) = (BTreeSet::new(), BTreeMap::new());
    for (block, _) in record.longest() {
        for transaction in &block.transactions {
            let (hash, height) = (transaction.hash(), block.header.height);
            if !seen.insert(hash) {
                return Err(format!("{hash} stands in two blocks, the second at {height}"));
            }
            let (subject, sequence) = transaction.subject();
            let before = sequences.insert(subject, sequence);
            if before.is_some_and(|before| before >= sequence) {
                return Err(format!("{subject:?} goes back to {sequence} at height {height}"));
            }
        }
    }
    Ok(())
}
