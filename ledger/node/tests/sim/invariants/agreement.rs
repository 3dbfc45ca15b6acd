//! One block per height: no two honest nodes ever commit different ones, in whatever life.

use std::collections::BTreeMap;

use crate::consensus::sim::world::Record;

pub(super) fn check(record: &Record) -> Result<(), String> {
    let mut decided = BTreeMap::new();
    for commit in record.honest_commits() {
        let (height, hash) = (commit.block.header.height, commit.block.hash());
        let (first, by) = *decided.entry(height).or_insert((hash, commit.node));
        if first != hash {
            let node = commit.node;
            return Err(format!("height {height}: node {by} has {first}, node {node} has {hash}"));
        }
    }
    for (node, chain) in record.honest_chains() {
        for (block, _) in chain {
            let (height, hash) = (block.header.height, block.hash());
            if decided.get(&height).is_some_and(|(first, _)| *first != hash) {
                return Err(format!("height {height}: node {node} stores another block, {hash}"));
            }
        }
    }
    Ok(())
}
