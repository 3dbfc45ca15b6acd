//! No process of an honest validator ends by itself. Only a signer that is asked to contradict its
//! record may refuse, and only after its log was damaged.

use crate::consensus::sim::world::Record;
use crate::consensus::sim::world::record::Stop;

pub(super) fn check(record: &Record) -> Result<(), String> {
    for (node, stop) in record.stops.iter().filter(|(node, _)| record.is_honest(*node)) {
        match stop {
            Stop::Killed => {}
            Stop::Refused(_) if record.damaged.contains(node) => {}
            Stop::Refused(words) | Stop::Failed(words) => {
                return Err(format!("node {node} stopped: {words}"));
            }
        }
    }
    Ok(())
}
