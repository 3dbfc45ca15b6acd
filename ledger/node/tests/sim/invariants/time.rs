//! Time rises from block to block, and no block is from the future of two thirds of the clocks: it
//! is at most the allowed drift ahead of some honest validator's clock when it is committed.

use crate::consensus::sim::world::Record;

pub(super) fn check(record: &Record) -> Result<(), String> {
    let mut before = record.genesis.starts_at;
    for (block, _) in record.longest() {
        let (height, time) = (block.header.height, block.header.time);
        if time <= before {
            return Err(format!("height {height} is of {time}, the block before of {before}"));
        }
        before = time;
    }
    let drift_ms = i64::try_from(record.genesis.block_drift_max_ms).unwrap();
    for commit in record.honest_commits() {
        let header = &commit.block.header;
        let clocks = record.seats.iter().filter(|seat| seat.honest);
        let latest = clocks.map(|seat| seat.clock_ahead_ms).max().unwrap_or_default();
        let ahead_ms = header.time.millis_since(commit.at) - latest;
        if ahead_ms > drift_ms {
            return Err(format!("height {} is {ahead_ms} ms from the future", header.height));
        }
    }
    Ok(())
}
