//! Certified snapshots: the state after a block, with everything that proves it from the genesis
//! alone. A node that starts from one needs no block before it.
//!
//! ```text
//! file      "hidamari/snapshot/1" | borsh of header, certificate, handovers, state
//! ```

mod fetch;
mod file;
mod install;

use borsh::{BorshDeserialize, BorshSerialize};
use ledger::block::Header;
use ledger::certificate::CommitCertificate;
use ledger::follower::check_commit;
use ledger::genesis::Genesis;
use ledger::handover::Handover;
use ledger::state::State;
use mesh::{SNAPSHOT_CHUNK_BYTES_MAX, SnapshotRequest, SnapshotResponse};

use crate::store::{Sets, Store, StoreError};

pub use fetch::{NotFetched, fetch};
pub use file::{SnapshotFileError, read_snapshot, write_snapshot};
pub use install::{InstallError, install};

/// What a snapshot starts with.
const MAGIC: &[u8] = b"hidamari/snapshot/1";

/// The longest snapshot that is fetched or read, in bytes.
pub const SNAPSHOT_BYTES_MAX: u64 = 256 << 20;

/// A state and its proof, not verified.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertifiedSnapshot {
    /// The header of the block after which this is the state.
    pub header: Header,
    /// Its certificate.
    pub certificate: CommitCertificate,
    /// Every change of validators up to that block, in order.
    pub handovers: Vec<Handover>,
    /// The state.
    pub state: State,
}

/// A snapshot that follows from the genesis.
#[derive(Debug, Clone)]
pub struct VerifiedSnapshot(CertifiedSnapshot);

/// Why a snapshot is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSnapshot {
    /// Not the bytes of a snapshot.
    #[error("these {0} bytes are no snapshot; `hidamari node snapshot` writes one")]
    Undecodable(usize),
    /// Of another community.
    #[error("the snapshot belongs to another community")]
    OtherCommunity,
    /// A change of validators that does not follow from the set before it.
    #[error("the change of validators after height {height} does not hold: {problem}")]
    Handover {
        /// The height of the header that brings it.
        height: u64,
        /// What is wrong.
        problem: String,
    },
    /// The certificate does not hold for the validators to which the genesis leads.
    #[error("the certificate of height {height} does not hold: {problem}")]
    Certificate {
        /// The height.
        height: u64,
        /// What is wrong.
        problem: String,
    },
    /// The state is not the one that the header commits to.
    #[error("the state is not the one after height {0}: its root or its place differs")]
    State(u64),
}

impl CertifiedSnapshot {
    /// Its bytes, as files and nodes carry it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        // Writing into memory cannot fail.
        let _ = self.serialize(&mut bytes);
        bytes
    }

    /// Reads one; decoding is total and refuses bytes behind its end.
    ///
    /// # Errors
    /// [`BadSnapshot::Undecodable`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadSnapshot> {
        let content = bytes.strip_prefix(MAGIC).and_then(|rest| borsh::from_slice(rest).ok());
        content.ok_or(BadSnapshot::Undecodable(bytes.len()))
    }

    /// Verifies it from the genesis' validators on.
    ///
    /// # Errors
    /// [`BadSnapshot`] names the first thing that does not hold.
    pub fn verify(self, genesis: &Genesis) -> Result<VerifiedSnapshot, BadSnapshot> {
        let (header, state) = (&self.header, &self.state);
        let (chain, height) = (genesis.chain_id(), header.height);
        let starts_at = state.admission(header.time).starts_at;
        if header.chain != chain || *state.chain() != chain || starts_at != genesis.starts_at {
            return Err(BadSnapshot::OtherCommunity);
        }
        let mut sets = Sets::new(chain, genesis.validators.clone());
        for handover in &self.handovers {
            let at = handover.header.height;
            let late = "it comes after the snapshot".to_owned();
            let done = if at > height { Err(late) } else { sets.hand_over(handover) };
            done.map_err(|problem| BadSnapshot::Handover { height: at, problem })?;
        }
        check_commit(header, &self.certificate, sets.at(height))
            .map_err(|error| BadSnapshot::Certificate { height, problem: error.to_string() })?;
        let next = sets.at(height.saturating_add(1));
        let is_after = state.height() == height
            && state.time() == header.time
            && state.tip() == header.hash()
            && state.validators() == next
            && next.hash() == header.next_validators
            && state.root() == header.state_root;
        if is_after { Ok(VerifiedSnapshot(self)) } else { Err(BadSnapshot::State(height)) }
    }
}

impl VerifiedSnapshot {
    /// The height after which this is the state.
    pub fn height(&self) -> u64 {
        self.0.header.height
    }

    /// What was verified.
    pub fn get(&self) -> &CertifiedSnapshot {
        &self.0
    }
}

/// Answers a request for a part of a snapshot from a store.
///
/// # Errors
/// [`StoreError`] if it cannot be read, or does not hold.
pub async fn part(store: &Store, request: SnapshotRequest) -> Result<SnapshotResponse, StoreError> {
    let nothing = SnapshotResponse { height: 0, total: 0, bytes: Vec::new() };
    let Some(snapshot) = store.snapshot(request.height).await? else { return Ok(nothing) };
    let bytes = snapshot.to_bytes();
    let total = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let offset = usize::try_from(request.offset).unwrap_or(usize::MAX);
    let rest = bytes.get(offset..).unwrap_or_default();
    let part = rest.get(..SNAPSHOT_CHUNK_BYTES_MAX).unwrap_or(rest);
    Ok(SnapshotResponse { height: snapshot.header.height, total, bytes: part.to_vec() })
}
