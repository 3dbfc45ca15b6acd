//! Does everything that is stored hold? Asked at the start for all of it, and in the background
//! again and again, a slice at a time.

use ledger::block::{BlockHash, Header};
use ledger::certificate::CommitCertificate;
use ledger::genesis::Genesis;
use ledger::handover::Handover;
use ledger::state::State;
use market::keys::ChainId;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::error::{Finding, StoreError};
use super::prune::{PrunedRow, StoredRow};
use super::reading::no_row;
use super::rows::{BLOCK_COLUMNS, BlockRow, CertifiedHeader, Sets, SnapshotRow, read_handover};
use super::rows::{SNAPSHOT_COLUMNS, UNDECIDED_COLUMNS, read_undecided};
use super::schema::{Database, from_sql, to_sql};
use super::{SIGNATURES_CHECKED, Store};

/// How many blocks are read at once: bounds the memory to as many megabytes.
pub(super) const SLICE: u64 = 16;

/// How often a long check says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How long one pass over the whole chain takes in the background.
const PASS: Duration = Duration::from_secs(3600);

/// What a check has come to know of a store in which everything holds.
pub(super) struct Checked {
    pub(super) sets: Sets,
    pub(super) tip: u64,
    /// The height behind which the chain here starts; 0 if it starts with the first block.
    pub(super) base_height: u64,
    /// The lowest height from which on all blocks are whole.
    pub(super) whole_from: u64,
    /// The newest snapshot.
    pub(super) state: Option<State>,
}

/// Goes along a chain, block by block.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    chain: ChainId,
    sets: Sets,
    height: u64,
    tip: BlockHash,
}

impl Walk {
    /// Starts before the first block, or after the header that the chain here starts from.
    pub(crate) fn new(chain: ChainId, sets: Sets, base: Option<&CertifiedHeader>) -> Self {
        let mut walk = Self { chain, sets, height: 0, tip: BlockHash::default() };
        if let Some(base) = base {
            walk.start_behind(base);
        }
        walk
    }

    /// Goes on behind a header.
    pub(crate) fn start_behind(&mut self, base: &CertifiedHeader) {
        (self.height, self.tip) = (base.header.height, base.header.hash());
    }

    pub(crate) fn height(&self) -> u64 {
        self.height
    }

    pub(crate) fn sets(&self) -> &Sets {
        &self.sets
    }

    pub(crate) fn sets_mut(&mut self) -> &mut Sets {
        &mut self.sets
    }

    /// Whether a header is the next one's.
    pub(crate) fn links(&self, header: &Header) -> Result<(), String> {
        let next = header.height == self.height.saturating_add(1);
        if next && header.chain == self.chain && header.previous == self.tip {
            return Ok(());
        }
        Err("it does not link to the block before it".to_owned())
    }

    /// Whether its certificate is one of the validators of its height.
    pub(crate) fn certified(
        &self,
        header: &Header,
        certificate: &CommitCertificate,
    ) -> Result<(), String> {
        let verified = certificate.verify(&self.chain, self.sets.at(header.height));
        verified.map_err(|error| format!("its certificate does not hold: {error}"))
    }

    /// Whether the validators after a block are known.
    pub(crate) fn knows_next(&self, header: &Header) -> bool {
        self.sets.at(header.height.saturating_add(1)).hash() == header.next_validators
    }

    /// Goes on to a block.
    pub(crate) fn pass(&mut self, header: &Header) {
        (self.height, self.tip) = (header.height, header.hash());
    }

    fn step(&mut self, row: &StoredRow, signatures: bool) -> Result<(), Finding> {
        let height = row.header().height;
        let at_block = |problem| Finding::at("blocks", height, problem);
        self.links(row.header()).map_err(at_block)?;
        if signatures {
            self.certified(row.header(), row.certificate()).map_err(at_block)?;
        }
        if !self.knows_next(row.header()) {
            let problem = "the change of validators after this height is missing";
            return Err(Finding::at("handovers", height, problem));
        }
        self.pass(row.header());
        Ok(())
    }
}

/// Whether certificates that an earlier start has verified are known by their rows' digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Earlier {
    Counts,
    CountsNot,
}

/// Checks everything.
pub(super) async fn all(
    db: &Database,
    genesis: &Genesis,
    earlier: Earlier,
) -> Result<Checked, StoreError> {
    quick_check(db).await?;
    let known = db.meta(SIGNATURES_CHECKED).await?.filter(|_| earlier == Earlier::Counts);
    let known = known.and_then(|height| height.parse::<u64>().ok()).unwrap_or_default();
    let sets = sets(db, genesis).await?;
    let base = base(db, genesis, &sets).await?;
    let mut walk = Walk::new(genesis.chain_id(), sets, base.as_ref());
    let (started, mut told) = (Instant::now(), Instant::now());
    let tip = tip(db).await?.max(walk.height());
    loop {
        let slice = slice(db, walk.height().saturating_add(1)).await?;
        if slice.is_empty() {
            break;
        }
        for row in slice {
            let signatures = row.header().height > known;
            walk.step(&row, signatures).map_err(|finding| db.corrupt(finding))?;
        }
        if told.elapsed() > TELL_EVERY {
            tracing::info!(height = walk.height(), tip, "checking the ledger");
            told = Instant::now();
        }
    }
    if started.elapsed() > TELL_EVERY {
        tracing::info!(height = walk.height(), took = ?started.elapsed(), "the ledger is checked");
    }
    let state = snapshots(db, &walk, base.as_ref()).await?;
    if base.is_some() && state.is_none() {
        let problem = "the state that the chain here starts from is missing";
        return Err(db.corrupt(Finding::at("snapshots", walk.height(), problem)));
    }
    undecided(db).await?;
    db.erasures(&genesis.chain_id()).await?;
    let base_height = base.map_or(0, |base| base.header.height);
    let whole_from = db.highest_pruned().await?.max(base_height).saturating_add(1);
    Ok(Checked { sets: walk.sets, tip: walk.height, base_height, whole_from, state })
}

/// `SQLite`'s own look at the structure of the file.
pub(crate) async fn quick_check(db: &Database) -> Result<(), StoreError> {
    let rows = db.rows("check the file", sqlx::query("PRAGMA quick_check(1)")).await?;
    let words = rows.first().map(|row| sqlx::Row::try_get::<String, _>(row, 0));
    match words {
        Some(Ok(words)) if words == "ok" => Ok(()),
        Some(Ok(words)) => Err(db.corrupt(Finding::of("file", words))),
        other => Err(db.corrupt(Finding::of("file", format!("quick_check says {other:?}")))),
    }
}

/// The changes of validators, each certified by the set before.
pub(crate) async fn sets(db: &Database, genesis: &Genesis) -> Result<Sets, StoreError> {
    let mut sets = Sets::new(genesis.chain_id(), genesis.validators.clone());
    for handover in db.handovers().await? {
        let height = handover.header.height;
        let done = sets.hand_over(&handover);
        done.map_err(|problem| db.corrupt(Finding::at("handovers", height, problem)))?;
    }
    Ok(sets)
}

async fn base(
    db: &Database,
    genesis: &Genesis,
    sets: &Sets,
) -> Result<Option<CertifiedHeader>, StoreError> {
    let Some(base) = db.base().await? else { return Ok(None) };
    let header = &base.header;
    let set = sets.at(header.height);
    let holds = header.chain == genesis.chain_id()
        && ledger::follower::check_commit(header, &base.certificate, set).is_ok();
    if holds {
        return Ok(Some(base));
    }
    Err(db.corrupt(Finding::at("base", header.height, "its certificate does not hold")))
}

/// The highest height of any block.
pub(crate) async fn tip(db: &Database) -> Result<u64, StoreError> {
    let highest = sqlx::query_scalar::<_, Option<i64>>("SELECT max(height) FROM blocks");
    let highest = highest.fetch_one(&db.pool).await;
    let highest = highest.map_err(|source| db.failed("read blocks", source))?.map_or(0, from_sql);
    Ok(highest.max(db.highest_pruned().await?))
}

/// The rows that stand at a height and after it, whole or pruned; they must be without a gap.
pub(super) async fn slice(db: &Database, from: u64) -> Result<Vec<StoredRow>, StoreError> {
    let query = format!("{BLOCK_COLUMNS} WHERE height >= ? ORDER BY height LIMIT ?");
    let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(to_sql(from)).bind(to_sql(SLICE));
    // Both on the one connection, so that no block moves from one table to the other in between.
    let mut connection =
        db.pool.acquire().await.map_err(|source| db.failed("read blocks", source))?;
    let whole = query.fetch_all(&mut *connection).await;
    let whole = whole.map_err(|source| db.failed("read blocks", source))?;
    let pruned = db.pruned_rows(&mut connection, from, SLICE).await?;
    drop(connection);
    let (mut whole, mut pruned) = (whole.iter(), pruned.into_iter().peekable());
    let mut slice = Vec::new();
    for height in (from..).take(usize::try_from(SLICE).unwrap_or_default()) {
        let at_height = |row: &PrunedRow| row.block.header.height == height;
        if let Some(row) = pruned.next_if(at_height) {
            slice.push(StoredRow::Pruned(row));
        } else if let Some(row) = whole.next() {
            let read = BlockRow::read(row, height);
            let bad = |problem| db.corrupt(Finding::at("blocks", height, problem));
            slice.push(StoredRow::Whole(read.map_err(bad)?));
        } else if pruned.peek().is_some() {
            return Err(db.corrupt(no_row(height)));
        } else {
            break;
        }
    }
    Ok(slice)
}

/// Checks the snapshots against the chain, and gives back the newest.
async fn snapshots(
    db: &Database,
    walk: &Walk,
    base: Option<&CertifiedHeader>,
) -> Result<Option<State>, StoreError> {
    let query = format!("{SNAPSHOT_COLUMNS} ORDER BY height");
    let rows = db.rows("read snapshots", sqlx::query(sqlx::AssertSqlSafe(query))).await?;
    let mut newest = None;
    for row in rows {
        let height = sqlx::Row::try_get::<i64, _>(&row, "height").map_or(0, from_sql);
        let bad = |problem: String| db.corrupt(Finding::at("snapshots", height, problem));
        let found = SnapshotRow::read(&row).map_err(bad)?;
        let in_chain = match base.filter(|base| base.header.height == height) {
            Some(base) => Some(base.header.clone()),
            None => db.stored_row(height).await?.map(|row| row.header().clone()),
        };
        if in_chain.as_ref() != Some(&found.certified.header) {
            return Err(bad("it belongs to no block here".to_owned()));
        }
        let set = walk.sets().at(height);
        let verified = found.certified.certificate.verify(&walk.chain, set);
        verified.map_err(|error| bad(format!("its certificate does not hold: {error}")))?;
        newest = Some(found.state);
    }
    Ok(newest)
}

async fn undecided(db: &Database) -> Result<(), StoreError> {
    let rows = db.rows("read proposed blocks", sqlx::query(UNDECIDED_COLUMNS)).await?;
    for row in rows {
        let height = sqlx::Row::try_get::<i64, _>(&row, "height").map_or(0, from_sql);
        let bad = |problem| db.corrupt(Finding::at("undecided", height, problem));
        read_undecided(&row).map_err(bad)?;
    }
    Ok(())
}

impl Database {
    /// The block at a height, if there is a row for it.
    pub(crate) async fn block_row(&self, height: u64) -> Result<Option<BlockRow>, StoreError> {
        let query = format!("{BLOCK_COLUMNS} WHERE height = ?");
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(to_sql(height));
        let rows = self.rows("read a block", query).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let bad = |problem| self.corrupt(Finding::at("blocks", height, problem));
        BlockRow::read(row, height).map(Some).map_err(bad)
    }

    /// The block at a height, whole or pruned, if there is a row for it.
    pub(crate) async fn stored_row(&self, height: u64) -> Result<Option<StoredRow>, StoreError> {
        // In this order: a block may become a pruned one in between, and never a whole one.
        if let Some(row) = self.block_row(height).await? {
            return Ok(Some(StoredRow::Whole(row)));
        }
        let connection = self.pool.acquire().await;
        let mut connection =
            connection.map_err(|source| self.failed("read pruned blocks", source))?;
        let pruned = self.pruned_rows(&mut connection, height, 1).await?.into_iter();
        let mut pruned = pruned.filter(|row| row.block.header.height == height);
        Ok(pruned.next().map(StoredRow::Pruned))
    }

    /// The changes of validators, in their order; not verified.
    pub(crate) async fn handovers(&self) -> Result<Vec<Handover>, StoreError> {
        let query = "SELECT height, header, certificate, validators, digest FROM handovers \
                     ORDER BY height";
        let rows = self.rows("read changes of validators", sqlx::query(query)).await?;
        let read = |row| {
            read_handover(row).map_err(|problem| {
                let height = sqlx::Row::try_get::<i64, _>(row, "height").map_or(0, from_sql);
                self.corrupt(Finding::at("handovers", height, problem))
            })
        };
        rows.iter().map(read).collect()
    }

    /// The header that the chain here starts from, if it does not start with the first block.
    pub(crate) async fn base(&self) -> Result<Option<CertifiedHeader>, StoreError> {
        let query = "SELECT height, header, certificate, digest FROM base";
        let rows = self.rows("read the chain's start", sqlx::query(query)).await?;
        match rows.as_slice() {
            [] => Ok(None),
            [row] => CertifiedHeader::read(row).map(Some).map_err(|problem| {
                let height = sqlx::Row::try_get::<i64, _>(row, "height").map_or(0, from_sql);
                self.corrupt(Finding::at("base", height, problem))
            }),
            _ => Err(self.corrupt(Finding::of("table base", "it has more than one row"))),
        }
    }
}

/// Checks the store again and again until shutdown, signatures included. What it finds is logged,
/// and stands in [`Store::damage`].
pub(crate) async fn patrol(store: Store, genesis: Genesis, shutdown: CancellationToken) {
    let passes = async {
        loop {
            let started = Instant::now();
            if let Err(error) = pass(&store, &genesis).await {
                store.note(&error);
            }
            tokio::time::sleep(PASS.saturating_sub(started.elapsed())).await;
        }
    };
    shutdown.run_until_cancelled(passes).await;
}

/// One pass, spread over [`PASS`].
async fn pass(store: &Store, genesis: &Genesis) -> Result<(), StoreError> {
    let db = &store.db;
    db.meta(SIGNATURES_CHECKED).await?;
    let sets = sets(db, genesis).await?;
    let base = base(db, genesis, &sets).await?;
    let tip = tip(db).await?;
    let mut walk = Walk::new(genesis.chain_id(), sets, base.as_ref());
    let slices = tip.saturating_sub(walk.height()).div_ceil(SLICE).max(1);
    let pause = PASS.checked_div(u32::try_from(slices).unwrap_or(u32::MAX)).unwrap_or_default();
    // What is committed meanwhile is checked when it is committed, and by the next pass.
    while walk.height() < tip {
        tokio::time::sleep(pause).await;
        db.forget_cached_pages().await?;
        let rows = slice(db, walk.height().saturating_add(1)).await?;
        if rows.is_empty() {
            let height = walk.height().saturating_add(1);
            return Err(db.corrupt(no_row(height)));
        }
        let checked = tokio::task::spawn_blocking(move || {
            let outcome = rows.iter().try_for_each(|row| match row.header().height <= tip {
                true => walk.step(row, true),
                false => Ok(()),
            });
            outcome.map(|()| walk)
        });
        match checked.await {
            Ok(Ok(walked)) => walk = walked,
            Ok(Err(finding)) => return Err(db.corrupt(finding)),
            // The process is stopping.
            Err(_) => return Ok(()),
        }
    }
    undecided(db).await
}

/// Checks everything once, at full speed, as the background does in an hour.
///
/// # Errors
/// [`StoreError`] names what does not hold.
#[doc(hidden)]
pub async fn check_again(store: &Store, genesis: &Genesis) -> Result<(), StoreError> {
    store.db.forget_cached_pages().await?;
    all(&store.db, genesis, Earlier::CountsNot).await.map(drop)
}
