//! Whoever trusts genesis alone can follow: a follower that recomputes everything, and one that
//! checks signatures, accept the chain block by block.

use ledger::block::CommittedBlock;
use ledger::follower::{Follower, LightFollower};
use ledger::results::ServedBlock;

use crate::consensus::sim::world::Record;

pub(super) fn check(record: &Record) -> Result<(), String> {
    let mut full = Follower::at_genesis(&record.genesis);
    let mut light = LightFollower::at_genesis(&record.genesis);
    for (block, certificate) in record.longest() {
        let height = block.header.height;
        let (block, certificate) = (block.clone(), certificate.clone());
        let committed = CommittedBlock { block, certificate };
        let executed =
            full.follow(&committed).map_err(|error| format!("height {height}: {error}"))?;
        let results = Some(executed.results.leaves());
        light
            .follow(&ServedBlock { committed, results })
            .map_err(|error| format!("height {height}, by signatures: {error}"))?;
    }
    Ok(())
}
