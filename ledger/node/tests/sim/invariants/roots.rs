//! Equal heights have equal states: what each node has computed at each height is what the header
//! says, and what a replay from genesis gives.

use ledger::apply::apply;
use ledger::state::State;

use crate::consensus::sim::world::Record;

pub(super) fn check(record: &Record) -> Result<(), String> {
    for commit in record.honest_commits() {
        let header = &commit.block.header;
        if commit.state_root != header.state_root {
            let (node, height) = (commit.node, header.height);
            return Err(format!("node {node} has another state at height {height}"));
        }
    }
    let mut state = State::at_genesis(&record.genesis);
    for (block, _) in record.longest() {
        let height = block.header.height;
        state = apply(&state, block).map_err(|error| format!("replay of {height}: {error}"))?.state;
        if state.root() != block.header.state_root {
            return Err(format!("the replay of height {height} gives another state"));
        }
        if !state.accounts().balanced() {
            return Err(format!("debits and credits differ after height {height}"));
        }
    }
    Ok(())
}
