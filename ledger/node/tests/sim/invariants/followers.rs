//! Whoever trusts genesis alone can follow: a follower that checks signatures and roots accepts the
//! chain block by block. (One that recomputes everything is what the laws' audit does.)

use ledger::apply::apply;
use ledger::block::CommittedBlock;
use ledger::follower::LightFollower;
use ledger::results::ServedBlock;
use ledger::state::State;

use crate::consensus::sim::world::Record;

pub(super) fn check(record: &Record) -> Result<(), String> {
    let mut follower = LightFollower::at_genesis(&record.genesis);
    let mut state = State::at_genesis(&record.genesis);
    for (block, certificate) in record.longest() {
        let height = block.header.height;
        let executed = apply(&state, block).map_err(|error| format!("{height}: {error}"))?;
        state = executed.state;
        let (block, certificate) = (block.clone(), certificate.clone());
        let committed = CommittedBlock { block, certificate };
        let results = Some(executed.results.leaves());
        follower
            .follow(&ServedBlock { committed, results })
            .map_err(|error| format!("height {height}: {error}"))?;
    }
    Ok(())
}
