//! Applying a block: every node recomputes everything and refuses a header that says otherwise.

use market::hash::Digest;

use crate::acts::NotApplied;
use crate::block::{BLOCK_VERSION, Block, BlockHash, Header};
use crate::draft::{Draft, DraftError, Executed};
use crate::received::Received;
use crate::salt::BlockSalt;
use crate::state::State;

/// Why a block does not follow from the state before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockRefused {
    /// A format this program does not know.
    #[error("block version {0} is unknown; this program knows {BLOCK_VERSION}")]
    UnknownVersion(u16),
    /// Another community's block.
    #[error("the block belongs to community {0}")]
    OtherCommunity(market::keys::ChainId),
    /// Not the next height.
    #[error("the block has height {found}, expected {expected}")]
    WrongHeight {
        /// In the header.
        found: u64,
        /// The tip's plus one.
        expected: u64,
    },
    /// Built on another block.
    #[error("the block follows {found}, but the block before is {expected}")]
    WrongPrevious {
        /// In the header.
        found: BlockHash,
        /// The tip.
        expected: BlockHash,
    },
    /// A transaction that does not count.
    #[error("transaction {index} does not count: {rejection}")]
    Transaction {
        /// Its place in the block, from 0.
        index: usize,
        /// Why.
        rejection: NotApplied,
    },
    /// The block as a whole cannot be computed.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// A root or a commitment in the header is not what this node computed.
    #[error("the header's {name} is {found}, this node computed {computed}")]
    RootDiffers {
        /// Which root.
        name: &'static str,
        /// In the header.
        found: Digest,
        /// Computed here.
        computed: Digest,
    },
}

/// `apply(state, block) -> (state, results)`: pure, deterministic, complete.
///
/// # Errors
/// [`BlockRefused`] names the first thing that does not follow.
pub fn apply(state: &State, block: &Block) -> Result<Executed, BlockRefused> {
    let received = block.transactions.iter().cloned().map(Received::from);
    apply_received(state, &block.header, block.salt, received)
}

/// The same for a block whose transactions this process has seen before, as far as it has: it
/// computes the same, and spares the signatures that are known to hold.
///
/// # Errors
/// [`BlockRefused`] names the first thing that does not follow.
pub fn apply_received(
    state: &State,
    header: &Header,
    salt: BlockSalt,
    transactions: impl IntoIterator<Item = Received>,
) -> Result<Executed, BlockRefused> {
    if header.version != BLOCK_VERSION {
        return Err(BlockRefused::UnknownVersion(header.version));
    }
    if header.chain != state.chain {
        return Err(BlockRefused::OtherCommunity(header.chain));
    }
    let expected = state.height.saturating_add(1);
    if header.height != expected {
        return Err(BlockRefused::WrongHeight { found: header.height, expected });
    }
    if header.previous != state.tip {
        return Err(BlockRefused::WrongPrevious { found: header.previous, expected: state.tip });
    }
    let mut draft = Draft::open(state, header.time, salt)?;
    for (index, transaction) in transactions.into_iter().enumerate() {
        draft
            .admit(transaction)
            .map_err(|rejection| BlockRefused::Transaction { index, rejection })?;
    }
    let executed = draft.finish()?;
    let computed = &executed.block.header;
    let roots = [
        ("salt commitment", header.salts, computed.salts),
        ("transactions root", header.transactions_root, computed.transactions_root),
        ("results root", header.results_root, computed.results_root),
        ("state root", header.state_root, computed.state_root),
        ("validator set", header.next_validators, computed.next_validators),
    ];
    for (name, found, computed) in roots {
        if found != computed {
            return Err(BlockRefused::RootDiffers { name, found, computed });
        }
    }
    Ok(executed)
}
