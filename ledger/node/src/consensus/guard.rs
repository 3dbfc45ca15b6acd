//! The signer's own memory: what this validator signed last, on disk before it is signed.
//!
//! The engine's write-ahead log is cut at its first damaged entry and the node goes on, so it can
//! forget a vote it sent; a deleted log or a restored backup forgets too. This record stands apart
//! from it. It admits a statement only if it comes after everything admitted before, or repeats
//! one of the same height exactly, and it is durable before the signature exists.
//!
//! Repeating is needed: what the engine derives while it replays its log, it signs and sends but
//! does not log, so after another crash it derives and signs it again, behind later statements.
//!
//! The record is made with a validator's first start and is never missing afterwards. Without it
//! nobody knows what was signed, so beside a ledger or a log that is not new it is not made again.
//!
//! After a refusal the validator watches: the others decide the height meanwhile, and it goes on
//! from there by value sync.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use ledger::block::BlockHash;
use market::hash::Digest;
use market::keys::{ChainId, PublicKey};

use crate::failpoint::{Place, reach};

const RECORD_FILE: &str = "last-signed";
const LOCK_FILE: &str = "last-signed.lock";
const DIGEST_BYTES: usize = 32;
/// How many statements of one height are remembered: those of some eighty rounds.
const STATEMENTS_MAX: usize = 256;

/// What to do without a record. The other validators' progress makes the lost votes harmless.
const REMEDY: &str = "wait until the other validators have committed two blocks without this one \
    (their /status shows the height), then start it in a new, empty data directory, from where it \
    fetches the chain; if they cannot go on without it, give it a new validator key";

/// What a signature of this validator says about one step of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Statement {
    /// The height.
    pub height: u64,
    /// The round within the height.
    pub round: u32,
    /// The step within the round.
    pub step: Step,
    /// The block it is about; `None` is a vote for no block.
    pub block: Option<BlockHash>,
    /// A proposal's earlier round of a quorum of prevotes; `None` for votes.
    pub pol_round: Option<u32>,
}

/// The steps of a round in which a validator signs, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Step {
    /// The proposer's claim.
    Proposal,
    /// The first vote.
    Prevote,
    /// The second vote.
    Precommit,
}

/// Why the guard did not let a signature be made, or could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Another process holds the record.
    #[error("{path} is locked: another process signs with this validator key")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The record is damaged.
    #[error(
        "{path} is damaged, so nobody knows what this validator signed last, and a second vote \
         that contradicts the first can split the chain: {REMEDY}"
    )]
    Damaged {
        /// The record file.
        path: PathBuf,
    },
    /// The record is gone, though the validator has taken part before.
    #[error(
        "{path} is missing, though this validator has taken part up to height {height}; without \
         it nobody knows what it signed last, and a second vote that contradicts the first can \
         split the chain: put the file back if it was moved, but never an older copy of it; if it \
         is lost, {REMEDY}"
    )]
    Missing {
        /// The record file.
        path: PathBuf,
        /// The height up to which the validator may have signed.
        height: u64,
    },
    /// The record belongs to another key or community.
    #[error("{path} belongs to validator {key} of community {chain}")]
    Foreign {
        /// The record file.
        path: PathBuf,
        /// Whose it is.
        key: PublicKey,
        /// Of which community.
        chain: ChainId,
    },
    /// The record cannot be read or written.
    #[error("cannot access {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The statement contradicts an earlier one, or comes before the last one as a new one.
    #[error("refused to sign {asked}, because this validator already signed {signed}")]
    Contradiction {
        /// What was to be signed.
        asked: Box<Statement>,
        /// What was signed for the same step, or else last.
        signed: Box<Statement>,
    },
}

/// The open record. One per validator key: it holds a lock until it is dropped.
#[derive(Debug)]
pub struct Guard {
    directory: PathBuf,
    record: Record,
    _lock: File,
}

/// The file's content: the statements of the last height, in the order of their steps.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
struct Record {
    chain: ChainId,
    key: PublicKey,
    statements: Vec<Statement>,
}

impl Guard {
    /// Opens the record in a directory, creating both with the validator's first start.
    ///
    /// `may_have_signed` is the height up to which the validator may have signed already, as far
    /// as its ledger and its log tell; `None` if both are new. Then alone the record is created.
    ///
    /// # Errors
    /// [`GuardError`] if another process holds it, or it is missing, damaged, foreign or
    /// unreadable.
    pub fn open(
        directory: &Path,
        chain: ChainId,
        key: PublicKey,
        may_have_signed: Option<u64>,
    ) -> Result<Self, GuardError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| GuardError::Io { path, source }
        };
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let lock = lock(&directory.join(LOCK_FILE))?;
        let path = directory.join(RECORD_FILE);
        let record = match fs::read(&path) {
            Ok(bytes) => {
                decode(&bytes).ok_or_else(|| GuardError::Damaged { path: path.clone() })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(height) = may_have_signed {
                    return Err(GuardError::Missing { path, height });
                }
                let record = Record { chain, key, statements: Vec::new() };
                write_durably(directory, &encode(&record)).map_err(failed(&path))?;
                record
            }
            Err(error) => return Err(failed(&path)(error)),
        };
        if (record.chain, record.key) != (chain, key) {
            return Err(GuardError::Foreign { path, key: record.key, chain: record.chain });
        }
        Ok(Self { directory: directory.to_owned(), record, _lock: lock })
    }

    /// What a directory's record says was signed last; `None` without a record, or a damaged one.
    /// Nothing is locked: for those who report on a stopped node.
    pub fn last_signed(directory: &Path) -> Option<Statement> {
        let record = decode(&fs::read(directory.join(RECORD_FILE)).ok()?)?;
        record.statements.last().copied()
    }

    /// Lets a statement be signed, after making it durable.
    ///
    /// # Errors
    /// [`GuardError::Contradiction`] if it differs from an earlier one about the same step, or is
    /// new and comes before the last one; [`GuardError::Io`] if it could not be made durable. In
    /// both cases it must not be signed.
    pub fn admit(&mut self, asked: Statement) -> Result<(), GuardError> {
        let signed = &self.record.statements;
        if signed.contains(&asked) {
            return Ok(());
        }
        let same_step = signed.iter().find(|signed| signed.place() == asked.place());
        let later = signed.last().filter(|last| last.place() > asked.place());
        if let Some(signed) = same_step.or(later) {
            let (asked, signed) = (Box::new(asked), Box::new(*signed));
            return Err(GuardError::Contradiction { asked, signed });
        }
        let same_height = signed.iter().filter(|signed| signed.height == asked.height);
        let forgotten = signed.len().saturating_add(1).saturating_sub(STATEMENTS_MAX);
        let statements = same_height.skip(forgotten).copied().chain([asked]).collect();
        let record = Record { statements, ..self.record };
        write_durably(&self.directory, &encode(&record))
            .map_err(|source| GuardError::Io { path: self.directory.join(RECORD_FILE), source })?;
        self.record = record;
        Ok(())
    }

    /// What was admitted last.
    pub fn last(&self) -> Option<Statement> {
        self.record.statements.last().copied()
    }
}

impl Statement {
    fn place(&self) -> (u64, u32, Step) {
        (self.height, self.round, self.step)
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Proposal => "a proposal of",
            Step::Prevote => "a prevote for",
            Step::Precommit => "a precommit for",
        };
        write!(f, "{step} ")?;
        match self.block {
            Some(block) => write!(f, "block {block}")?,
            None => write!(f, "no block")?,
        }
        write!(f, " at height {}, round {}", self.height, self.round)
    }
}

fn lock(path: &Path) -> Result<File, GuardError> {
    let failed = |source| GuardError::Io { path: path.to_owned(), source };
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(GuardError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The record behind its SHA-256.
fn encode(record: &Record) -> Vec<u8> {
    let mut payload = Vec::with_capacity(256);
    // Writing into memory cannot fail, and a record cut short would be refused when it is read.
    let _ = record.serialize(&mut payload);
    let mut bytes = Digest::of(&[&payload]).as_bytes().to_vec();
    bytes.append(&mut payload);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Record> {
    let (digest, payload) = bytes.split_at_checked(DIGEST_BYTES)?;
    if Digest::of(&[payload]).as_bytes() != digest {
        return None;
    }
    borsh::from_slice(payload).ok()
}

/// Replaces the record: a crash at any instant leaves the old one or the new one.
fn write_durably(directory: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = directory.join(format!("{RECORD_FILE}.new"));
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    reach(Place::BeforeRecordSync);
    file.sync_all()?;
    reach(Place::BeforeRecordRename);
    fs::rename(&draft, directory.join(RECORD_FILE))?;
    reach(Place::BeforeDirectorySync);
    File::open(directory)?.sync_all()?;
    reach(Place::AfterRecordSync);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(byte: u8) -> Option<BlockHash> {
        Some(BlockHash::from_bytes([byte; 32]))
    }

    fn statement(height: u64, round: u32, step: Step, block: Option<BlockHash>) -> Statement {
        Statement { height, round, step, block, pol_round: None }
    }

    fn open(directory: &Path) -> Result<Guard, GuardError> {
        open_after(directory, None)
    }

    fn open_after(directory: &Path, may_have_signed: Option<u64>) -> Result<Guard, GuardError> {
        let (chain, key) = (ChainId::from_bytes([1; 32]), PublicKey::from_bytes([2; 32]));
        Guard::open(directory, chain, key, may_have_signed)
    }

    #[test]
    fn a_record_is_made_with_the_first_start_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(RECORD_FILE);
        let error = open_after(directory.path(), Some(7)).unwrap_err();
        assert!(matches!(error, GuardError::Missing { height: 7, .. }), "{error}");
        let words = error.to_string();
        assert!(words.contains(&path.display().to_string()), "{words}");
        assert!(words.contains("height 7") && words.contains("empty data directory"), "{words}");
        assert!(!path.exists(), "it is not made on the way");

        drop(open(directory.path()).unwrap());
        assert!(path.exists(), "also if nothing is signed before the chain grows by sync");
        drop(open_after(directory.path(), Some(7)).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(open_after(directory.path(), Some(7)).is_err());
    }

    #[test]
    fn a_statement_is_repeated_but_never_contradicted_even_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let mut guard = open(directory.path()).unwrap();
        let said = statement(5, 1, Step::Prevote, block(1));
        guard.admit(said).unwrap();
        guard.admit(said).unwrap();
        let later = statement(5, 1, Step::Precommit, None);
        guard.admit(later).unwrap();
        drop(guard);

        let mut guard = open(directory.path()).unwrap();
        assert_eq!(guard.last(), Some(later));
        guard.admit(said).unwrap();
        guard.admit(later).unwrap();
        for refused in [
            statement(5, 1, Step::Prevote, block(2)),
            statement(5, 1, Step::Prevote, None),
            statement(5, 1, Step::Precommit, block(1)),
            statement(5, 1, Step::Proposal, block(1)),
            statement(5, 0, Step::Precommit, block(1)),
            statement(4, 9, Step::Precommit, block(1)),
        ] {
            let error = guard.admit(refused).unwrap_err();
            assert!(matches!(error, GuardError::Contradiction { .. }), "{error}");
        }
        for admitted in
            [statement(5, 2, Step::Proposal, block(3)), statement(6, 0, Step::Proposal, block(4))]
        {
            guard.admit(admitted).unwrap();
        }
        assert!(guard.admit(said).is_err(), "an earlier height is over");
    }

    #[test]
    fn the_record_of_a_height_that_does_not_end_stays_small() {
        let directory = tempfile::tempdir().unwrap();
        let mut guard = open(directory.path()).unwrap();
        for round in 0..600 {
            guard.admit(statement(1, round, Step::Prevote, block(1))).unwrap();
        }
        assert_eq!(guard.record.statements.len(), STATEMENTS_MAX);
        guard.admit(statement(1, 400, Step::Prevote, block(1))).unwrap();
        assert!(guard.admit(statement(1, 400, Step::Prevote, block(2))).is_err());
        assert!(guard.admit(statement(1, 0, Step::Prevote, block(1))).is_err());
    }

    #[test]
    fn a_second_process_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let _first = open(directory.path()).unwrap();
        assert!(matches!(open(directory.path()), Err(GuardError::InUse { .. })));
    }

    #[test]
    fn a_foreign_record_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path()).unwrap().admit(statement(1, 0, Step::Prevote, None)).unwrap();
        let other = PublicKey::from_bytes([3; 32]);
        let error =
            Guard::open(directory.path(), ChainId::from_bytes([1; 32]), other, None).unwrap_err();
        assert!(matches!(error, GuardError::Foreign { .. }), "{error}");
    }

    #[test]
    fn every_flipped_byte_and_every_cut_of_the_record_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(RECORD_FILE);
        open(directory.path()).unwrap().admit(statement(7, 3, Step::Precommit, block(9))).unwrap();
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut flipped = sound.clone();
            flipped[at] ^= 0x40;
            for damaged in [flipped, sound[..at].to_vec()] {
                fs::write(&path, damaged).unwrap();
                assert!(matches!(open(directory.path()), Err(GuardError::Damaged { .. })), "{at}");
            }
        }
    }
}
