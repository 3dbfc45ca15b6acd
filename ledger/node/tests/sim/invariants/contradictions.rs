//! No validator that keeps the rules ever says two different things about one step of one round,
//! whatever it has lost and however often it was started.

use std::collections::BTreeMap;

use crate::consensus::sim::world::Record;

pub(super) fn check(record: &Record) -> Result<(), String> {
    let mut said = BTreeMap::new();
    for (node, statement) in &record.said {
        if !record.is_honest(*node) {
            continue;
        }
        let step = (*node, statement.height, statement.round, statement.step);
        let first = *said.entry(step).or_insert(*statement);
        if first != *statement {
            return Err(format!("node {node} said {first}, and later {statement}"));
        }
    }
    Ok(())
}
