//! A party's statement, made from blocks on the way: from a node's own ledger, or from what
//! neighbours on the mesh serve.
//!
//! Whoever makes one has the blocks anyway: a node's user can read its ledger, and a member follows
//! the chain over the mesh. Nothing here answers a question of somebody else, so nobody can be
//! asked for another party's statement.

mod fetch;

use ledger::apply::apply;
use ledger::block::Header;
use ledger::certificate::CommitCertificate;
use ledger::genesis::Genesis;
use ledger::handover::Handover;
use ledger::results::ServedBlock;
use ledger::state::State;
use ledger::statement::{BundleError, Collector, StatementBundle};
use market::member::PartyId;
use market::time::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::store::{BackupProgress, Store, StoreError};

pub use fetch::fetch_statement;

/// What was posted in blocks of these times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From this time on.
    pub from: Timestamp,
    /// Before this time.
    pub until: Timestamp,
}

/// Why there is no statement. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum NoStatement {
    /// The chain has no block in that time.
    #[error("the ledger, which ends at {tip}, has no block from {} on and before {}", span.from, span.until)]
    NoBlocks {
        /// What was asked for.
        span: Span,
        /// The time of the last block.
        tip: Timestamp,
    },
    /// The party was never a member in that time.
    #[error("the ledger knew no party {0} in that time")]
    UnknownParty(PartyId),
    /// What the statement has to be computed from is forgotten.
    #[error(
        "block {height} of {time} is not whole here any more, so what stood before it cannot be \
         proved; ask a node that forgets less, or for a statement from a later time on"
    )]
    Forgotten {
        /// The height.
        height: u64,
        /// Its time.
        time: Timestamp,
    },
    /// The ledger cannot be read, or does not hold.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was found does not make one.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A block does not follow from the one before; its row is damaged.
    #[error("block {height} does not follow from the ones before: {problem}")]
    Broken {
        /// The height.
        height: u64,
        /// What does not follow.
        problem: String,
    },
    /// Nothing is written over.
    #[error("{} is there already; name another file", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The mesh did not start.
    #[error(transparent)]
    Mesh(#[from] mesh::MeshError),
    /// Nobody on the mesh serves what comes next.
    #[error(
        "no node of the community served block {next} within {} s; check `bootstrap`, and whether \
         the nodes have forgotten old blocks: then ask an operator for `hidamari node statement`",
        waited.as_secs()
    )]
    Nobody {
        /// The height that comes next.
        next: u64,
        /// How long was waited.
        waited: std::time::Duration,
    },
    /// The process is stopping.
    #[error("the node is stopping; ask again")]
    Stopped,
}

/// A block as it is shown to a statement in the making.
#[derive(Debug, Clone)]
pub enum Shown {
    /// All of it.
    Whole(ServedBlock),
    /// What is left of a block of which something is forgotten.
    HeaderOnly(Header, CommitCertificate),
}

impl Shown {
    fn header(&self) -> &Header {
        match self {
            Self::Whole(served) => &served.committed.block.header,
            Self::HeaderOnly(header, _) => header,
        }
    }
}

/// A statement in the making: shown every block from a state on, it keeps what proves the span.
#[derive(Debug)]
pub struct StatementMaker {
    party: PartyId,
    span: Span,
    collector: Collector,
    opened: bool,
    state: State,
    handovers: Vec<Handover>,
}

/// How many blocks are looked at between two times that the memory is tidied.
const TIDY_EVERY: u64 = 256;

impl StatementMaker {
    /// Starts at a state from whose next block on all are shown, with the changes of validators up
    /// to it.
    pub fn new(party: PartyId, span: Span, state: State, handovers: Vec<Handover>) -> Self {
        let collector = Collector::of(party);
        Self { party, span, collector, opened: false, state, handovers }
    }

    /// The state after the last block shown.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Looks at a block. Up to the state that this has started at it keeps what later periods may
    /// follow from; behind it, every block is computed. Says whether the statement goes on.
    ///
    /// # Errors
    /// [`NoStatement`] says what does not hold.
    pub fn show(&mut self, shown: Shown) -> Result<bool, NoStatement> {
        let Header { height, time, .. } = *shown.header();
        let back = height <= self.state.height();
        match shown {
            Shown::Whole(served) if back => self.collector.see(served)?,
            Shown::HeaderOnly(header, certificate) if back => {
                self.collector.pass(header, certificate);
            }
            _ if time >= self.span.until => return Ok(false),
            Shown::HeaderOnly(..) => return Err(NoStatement::Forgotten { height, time }),
            Shown::Whole(served) => self.compute(served)?,
        }
        if !self.opened && height.is_multiple_of(TIDY_EVERY) {
            self.collector.forget_final(&self.state);
        }
        Ok(true)
    }

    fn compute(&mut self, served: ServedBlock) -> Result<(), NoStatement> {
        let Header { height, time, .. } = served.committed.block.header;
        let may_open = !self.opened && time >= self.span.from;
        if may_open && knows(&self.state, &self.party) {
            self.collector.open(&self.state)?;
            self.opened = true;
        }
        let broken = |problem: &dyn std::fmt::Display| NoStatement::Broken {
            height,
            problem: problem.to_string(),
        };
        let (block, certificate) = (&served.committed.block, &served.committed.certificate);
        let executed = apply(&self.state, block).map_err(|refused| broken(&refused))?;
        let before = self.state.validators();
        let handover =
            Handover::at(&block.header, certificate, before, executed.state.validators());
        self.handovers.extend(handover);
        self.state = executed.state;
        let leaves = served.results.unwrap_or_else(|| executed.results.leaves());
        Ok(self
            .collector
            .see(ServedBlock { committed: served.committed, results: Some(leaves) })?)
    }

    /// Ends the statement behind the last block shown.
    ///
    /// # Errors
    /// [`NoStatement`] says what is missing.
    pub fn end(self) -> Result<StatementBundle, NoStatement> {
        let Self { party, span, collector, opened, state, mut handovers } = self;
        if !opened && state.time() < span.from {
            return Err(NoStatement::NoBlocks { span, tip: state.time() });
        }
        if !opened {
            return Err(NoStatement::UnknownParty(party));
        }
        // What the closing block itself changes decides only about later ones.
        handovers.retain(|handover| handover.header.height < state.height());
        Ok(collector.close(&state, handovers)?)
    }
}

fn knows(state: &State, party: &PartyId) -> bool {
    state.prove_party(party).is_some()
}

/// Writes a party's statement from a store into a new file, which only this user may read; returns
/// the height at which it ends.
///
/// # Errors
/// [`NoStatement`]; then there is no file.
pub async fn write_statement(
    store: &Store,
    genesis: &Genesis,
    party: PartyId,
    span: Span,
    to: &Path,
    mut tell: impl FnMut(BackupProgress) + Send,
) -> Result<u64, NoStatement> {
    let file = StatementFile::create(to)?;
    file.fill(make(store, genesis, party, span, &mut tell).await)
}

/// A new file that a statement will be in; made first, so that a long work is not for nothing.
#[derive(Debug)]
pub struct StatementFile {
    path: PathBuf,
    file: File,
}

impl StatementFile {
    /// Makes an empty file that only this user may read.
    ///
    /// # Errors
    /// [`NoStatement::Exists`] if something is there already, [`NoStatement::Io`] if it cannot be
    /// made there.
    pub fn create(path: &Path) -> Result<Self, NoStatement> {
        let path = path.to_owned();
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                Err(NoStatement::Exists(path))
            }
            Err(source) => Err(NoStatement::Io { path, source }),
        }
    }

    /// Writes the statement, or takes the file away if there is none; returns the height at which
    /// it ends.
    ///
    /// # Errors
    /// What there is instead of a statement, or that it cannot be written.
    pub fn fill(mut self, made: Result<StatementBundle, NoStatement>) -> Result<u64, NoStatement> {
        let written = made.and_then(|bundle| {
            let text = bundle.to_json();
            let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all());
            let failed = |source| NoStatement::Io { path: self.path.clone(), source };
            written.map(|()| bundle.closing.header.height).map_err(failed)
        });
        if written.is_err() {
            // A part of a statement is none.
            let _ = fs::remove_file(&self.path);
        }
        written
    }
}

async fn make(
    store: &Store,
    genesis: &Genesis,
    party: PartyId,
    span: Span,
    tell: &mut (dyn FnMut(BackupProgress) + Send),
) -> Result<StatementBundle, NoStatement> {
    let (state, handovers) = store
        .state_before(genesis, span.from)
        .await?
        .map_err(|base| NoStatement::Forgotten { height: base.height, time: base.time })?;
    let mut maker = StatementMaker::new(party, span, state, handovers);
    let (base, mut next) = store.start().await?;
    if let Some((header, certificate)) = base {
        maker.show(Shown::HeaderOnly(header, certificate))?;
    }
    let tip = store.tip().await?;
    while next <= tip {
        let rows = store.rows_from(next).await?;
        let Some(last) = rows.last().map(|row| row.header().height) else { break };
        next = last.saturating_add(1);
        tell(BackupProgress { height: last, tip });
        let shown = tokio::task::spawn_blocking(move || {
            let mut all = rows.into_iter();
            let more = all.try_fold(true, |more, row| Ok(more && maker.show(row)?));
            (maker, more)
        });
        let (back, more): (_, Result<bool, NoStatement>) =
            shown.await.map_err(|_| NoStatement::Stopped)?;
        maker = back;
        if !more? {
            break;
        }
    }
    maker.end()
}
