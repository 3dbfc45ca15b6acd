//! No process of an honest validator ends by itself. Only a signer that is asked to contradict its
//! record may refuse: after the log was damaged, or after a death between the record's write and
//! the log's, when the record knows more than the log.

use crate::consensus::sim::world::Record;
use crate::consensus::sim::world::record::Stop;

pub(super) fn check(record: &Record) -> Result<(), String> {
    let mut knows_more = record.damaged.clone();
    for (node, stop) in record.stops.iter().filter(|(node, _)| record.is_honest(*node)) {
        match stop {
            Stop::Killed => {
                knows_more.insert(*node);
            }
            Stop::Refused(_) if knows_more.contains(node) => {}
            Stop::Refused(words) | Stop::Failed(words) => {
                return Err(format!("node {node} stopped: {words}"));
            }
        }
    }
    Ok(())
}
