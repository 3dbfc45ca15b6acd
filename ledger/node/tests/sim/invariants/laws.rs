//! The laws of the market (design section 7), by the audit's own plain arithmetic: debits equal
//! credits, nothing after its gate, every committed order answered, sold is bought, and the rest.

use ledger::block::CommittedBlock;
use ledger::state::State;

use crate::audit::Audit;
use crate::audit::laws::Ledger;
use crate::consensus::sim::world::Record;

pub(super) fn check(record: &Record) -> Result<(), String> {
    let (mut audit, mut laws) = (Audit::default(), Ledger::new(&record.genesis));
    let mut state = State::at_genesis(&record.genesis);
    for (block, certificate) in record.longest() {
        let (block, certificate) = (block.clone(), certificate.clone());
        state = laws.block(state, &CommittedBlock { block, certificate }, &mut audit);
    }
    laws.finish(&[], &state, &mut audit);
    match audit.laws.iter().find(|law| !law.held) {
        Some(law) => Err(format!("{}: {}", law.name, law.detail)),
        None => Ok(()),
    }
}
