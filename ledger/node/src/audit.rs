//! An audit of what nodes have stored: replayed from genesis, node by node compared, and held
//! against the laws of the market (design section 7).
//!
//! It reads data directories whose nodes have stopped. The laws are computed here from orders,
//! trades, readings and postings as they stand in the blocks, with plain loops and 128 bits, and
//! not with the code that made them.

pub(crate) mod laws;

use ledger::apply::apply;
use ledger::block::{BlockHash, CommittedBlock};
use ledger::follower::check_commit;
use ledger::genesis::Genesis;
use ledger::results::ServedBlock;
use ledger::state::State;
use market::energy::Energy;
use market::money::Money;
use market::price::Price;
use market::reading::IntervalReading;
use market::time::DeliveryPeriod;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::store::{Store, StoreError};

/// What an audit found.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// The highest height that every audited node has.
    pub common_height: u64,
    /// Orders in blocks.
    pub orders_count: u64,
    /// Price and volume of each cleared period, summed over its gates; the last gate's price.
    pub cleared: BTreeMap<DeliveryPeriod, (Option<Price>, Energy)>,
    /// Periods that were both cleared and settled.
    pub settled_count: u64,
    /// Every reading in a block, in the order of the blocks.
    pub readings: Vec<IntervalReading>,
    /// What all parties together earned more, or paid less, than with the supplier alone.
    pub saved: Money,
    /// Every law, and whether it held.
    pub laws: Vec<Law>,
}

/// A law of the market and what the audit says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Law {
    /// Its name, as the test of the same name.
    pub name: &'static str,
    /// Whether it held everywhere.
    pub held: bool,
    /// The first place where it did not; empty if it held.
    pub detail: String,
}

/// Why an audit could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A node's store cannot be read, or does not hold.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored block cannot be read.
    #[error("block {height} in {data_dir} cannot be read")]
    Unreadable {
        /// The height.
        height: u64,
        /// Whose.
        data_dir: PathBuf,
    },
}

/// Audits the stores of stopped nodes; the first one's chain is replayed.
///
/// # Errors
/// [`AuditError`] if a store cannot be read at all. A broken law is a finding, not an error.
pub async fn audit(genesis: &Genesis, data_dirs: &[PathBuf]) -> Result<Audit, AuditError> {
    let mut audit = Audit::default();
    let mut laws = laws::Ledger::new(genesis);
    let mut hashes: BTreeMap<u64, BlockHash> = BTreeMap::new();
    let mut findings = Vec::new();
    let mut replayed = State::at_genesis(genesis);
    let mut heights = Vec::new();
    for data_dir in data_dirs {
        if !Store::exists(data_dir) {
            findings.push(format!("{} holds no ledger", data_dir.display()));
            continue;
        }
        let (store, tip) = Store::open(data_dir, genesis).await?;
        for height in 1..=tip.height() {
            let committed = read(&store, height, data_dir).await?;
            let hash = committed.block.hash();
            if *hashes.entry(height).or_insert(hash) != hash {
                findings.push(format!("height {height} in {}", data_dir.display()));
            }
            // Whoever has the next block brings the replay on: together they have all of it.
            if height == replayed.height().saturating_add(1) {
                replayed = laws.block(replayed, &committed, &mut audit);
            }
        }
        heights.push(tip.height());
        store.close().await;
    }
    audit.common_height = heights.iter().copied().min().unwrap_or_default();
    laws.finish(&findings, &replayed, &mut audit);
    Ok(audit)
}

async fn read(
    store: &Store,
    height: u64,
    data_dir: &std::path::Path,
) -> Result<CommittedBlock, AuditError> {
    let unreadable = || AuditError::Unreadable { height, data_dir: data_dir.to_owned() };
    let served = store.served(height, 1, false, usize::MAX).await?;
    let bytes = served.first().ok_or_else(unreadable)?;
    let served: ServedBlock = borsh::from_slice(bytes).map_err(|_| unreadable())?;
    Ok(served.committed)
}

/// Verifies and replays one block; the words say what does not hold.
fn replay(state: &State, committed: &CommittedBlock) -> Result<ledger::draft::Executed, String> {
    let header = &committed.block.header;
    check_commit(header, &committed.certificate, state.validators())
        .map_err(|error| format!("height {}: {error}", header.height))?;
    apply(state, &committed.block).map_err(|error| format!("height {}: {error}", header.height))
}
