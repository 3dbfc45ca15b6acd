//! After the faults have ended every honest node goes on: some blocks further within two minutes,
//! whatever state the faults have left it in.

use crate::consensus::sim::world::Record;

pub(super) fn check(record: &Record) -> Result<(), String> {
    let Some(healed) = record.healed else { return Err("it never healed".to_owned()) };
    let wanted = healed.height + record.heights_after_healing;
    for (node, chain) in record.honest_chains() {
        let height = u64::try_from(chain.len()).unwrap();
        if height < wanted {
            let (from_ms, to_ms) = (healed.at_ms, record.ended_at_ms);
            return Err(format!(
                "node {node} is at height {height}, not {wanted}, from {from_ms} to {to_ms} ms"
            ));
        }
    }
    Ok(())
}
