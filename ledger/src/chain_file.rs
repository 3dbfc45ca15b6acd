//! A whole chain in one file, to be checked from the genesis alone.
//!
//! ```text
//! "hidamari/chain/1\n" | chain id 32 | for each block: length u32 LE | that many bytes
//! ```
//!
//! The bytes of a block are the borsh of a [`ServedBlock`], as nodes serve it. Blocks stand by
//! height, from 1 on.

use market::keys::ChainId;
use std::io::{self, Read, Write};

use crate::block::Header;
use crate::follower::{Follower, NotFollowed};
use crate::genesis::Genesis;
use crate::results::{ServedBlock, results_root};

const MAGIC: &[u8] = b"hidamari/chain/1\n";

/// No served block is larger: a block, its certificate and what it decided.
const SERVED_BYTES_MAX: u32 = 1 << 26;

/// Why a chain file does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ChainFileError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is none.
    #[error("this is no chain file")]
    NoChainFile,
    /// It is another community's.
    #[error("the chain is that of community {found}, the genesis is of {chain}")]
    OtherCommunity {
        /// In the file.
        found: ChainId,
        /// The genesis's.
        chain: ChainId,
    },
    /// A block cannot be read, or the file ends within it.
    #[error("height {height}: these bytes are no block, or not all of one")]
    Unreadable {
        /// Where.
        height: u64,
    },
    /// A block does not follow.
    #[error("height {height}: {error}")]
    NotFollowed {
        /// Where.
        height: u64,
        /// What does not hold.
        error: Box<NotFollowed>,
    },
}

/// Writes a chain file.
///
/// # Errors
/// What the writer fails with; a block above 64 MiB is [`io::ErrorKind::InvalidData`].
pub fn write(
    mut to: impl Write,
    chain: &ChainId,
    blocks: impl IntoIterator<Item = ServedBlock>,
) -> io::Result<()> {
    to.write_all(MAGIC)?;
    to.write_all(chain.as_bytes())?;
    for block in blocks {
        let bytes = borsh::to_vec(&block)?;
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= SERVED_BYTES_MAX);
        let length = length.ok_or(io::Error::from(io::ErrorKind::InvalidData))?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(&bytes)?;
    }
    to.flush()
}

/// A chain file that is checked block by block; every item is the header of a block that follows,
/// recomputed from the genesis on.
pub struct ChainFile<R> {
    from: R,
    follower: Follower,
    ended: bool,
}

impl<R: Read> ChainFile<R> {
    /// Reads the beginning of a chain file.
    ///
    /// # Errors
    /// [`ChainFileError`] if it is none, or another community's.
    pub fn open(mut from: R, genesis: &Genesis) -> Result<Self, ChainFileError> {
        let mut magic = [0; MAGIC.len()];
        let mut found = [0; 32];
        let read = from.read_exact(&mut magic).and_then(|()| from.read_exact(&mut found));
        match read {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
            Ok(()) if magic == MAGIC => {}
            _ => return Err(ChainFileError::NoChainFile),
        }
        let (found, chain) = (ChainId::from_bytes(found), genesis.chain_id());
        if found != chain {
            return Err(ChainFileError::OtherCommunity { found, chain });
        }
        Ok(Self { from, follower: Follower::at_genesis(genesis), ended: false })
    }

    /// The follower after the last block that was checked.
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// The next block's bytes; `None` at the end of the file.
    fn bytes(&mut self, height: u64) -> Result<Option<Vec<u8>>, ChainFileError> {
        let mut length = [0; 4];
        let mut filled = 0;
        while let Some(room) = length.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.from.read(room)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(ChainFileError::Unreadable { height }),
                count => filled = filled.saturating_add(count),
            }
        }
        let length = u32::from_le_bytes(length);
        let mut bytes = Vec::new();
        if length <= SERVED_BYTES_MAX {
            (&mut self.from).take(u64::from(length)).read_to_end(&mut bytes)?;
        }
        let whole = u32::try_from(bytes.len()).is_ok_and(|read| read == length);
        if whole { Ok(Some(bytes)) } else { Err(ChainFileError::Unreadable { height }) }
    }

    fn follow(&mut self) -> Result<Option<Header>, ChainFileError> {
        let height = self.follower.state().height().saturating_add(1);
        let Some(bytes) = self.bytes(height)? else { return Ok(None) };
        let served: ServedBlock =
            borsh::from_slice(&bytes).map_err(|_| ChainFileError::Unreadable { height })?;
        let failed = |error| ChainFileError::NotFollowed { height, error: Box::new(error) };
        let executed = self.follower.follow(&served.committed).map_err(failed)?;
        if let Some(results) = &served.results {
            let header = executed.block.header.results_root;
            let found = results_root(results, &executed.block.salt);
            if found != header {
                return Err(failed(NotFollowed::Results { found, header }));
            }
        }
        Ok(Some(executed.block.header))
    }
}

impl<R: Read> Iterator for ChainFile<R> {
    type Item = Result<Header, ChainFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let followed = self.follow().transpose();
        self.ended = !matches!(followed, Some(Ok(_)));
        followed
    }
}
