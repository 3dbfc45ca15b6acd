//! Acknowledged is kept: what a node has told a household to be committed stands at that height in
//! every chain that reaches it, and no honest node ever loses a block that it has committed.

use ledger::transaction::Transaction;

use crate::consensus::sim::world::Record;

pub(super) fn check(record: &Record) -> Result<(), String> {
    for (node, chain) in record.honest_chains() {
        for (hash, height) in &record.acknowledged {
            let at = usize::try_from(*height - 1).unwrap();
            let Some((block, _)) = chain.get(at) else { continue };
            if !block.transactions.iter().map(Transaction::hash).any(|held| held == *hash) {
                return Err(format!("{hash} was acknowledged at height {height}; node {node}"));
            }
        }
    }
    for commit in record.honest_commits() {
        let height = commit.block.header.height;
        let at = usize::try_from(height - 1).unwrap();
        let kept = record.chains[commit.node].get(at);
        if kept.is_none_or(|(block, _)| block.hash() != commit.block.hash()) {
            return Err(format!("node {} has lost height {height}", commit.node));
        }
    }
    Ok(())
}
