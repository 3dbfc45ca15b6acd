//! What a node keeps: blocks with their certificates and results, snapshots of the state, and the
//! bodies of blocks that are not decided yet.
//!
//! `SQLite` in WAL mode with `synchronous=FULL`: what was committed is on the disk. The store is
//! held by one process alone. When it is opened, the hash chain is walked from the first block, and
//! the state is rebuilt from the last snapshot and checked against the header it belongs to.

mod error;

use ledger::apply::apply;
use ledger::block::{Block, BlockHash, CommittedBlock, Header};
use ledger::certificate::CommitCertificate;
use ledger::genesis::Genesis;
use ledger::results::{BlockResults, ResultLeaf, ServedBlock};
use ledger::state::State;
use market::keys::ChainId;
use market::time::Timestamp;
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{Row as _, SqlitePool};
use std::path::{Path, PathBuf};

pub use error::StoreError;

use crate::consensus::Undecided;

/// The database in the data directory.
const FILE: &str = "ledger.sqlite";

/// The table of committed blocks, as errors name it.
const BLOCKS: &str = "blocks";

/// A snapshot of the state is kept at every multiple of this height.
const SNAPSHOT_EVERY: u64 = 64;

/// The node's store.
#[derive(Debug, Clone)]
pub struct Store {
    pool: SqlitePool,
    path: PathBuf,
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS blocks (
    height INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    header BLOB NOT NULL,
    block BLOB NOT NULL,
    certificate BLOB NOT NULL,
    results BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS snapshots (height INTEGER PRIMARY KEY, state BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS undecided (
    height INTEGER NOT NULL,
    round INTEGER NOT NULL,
    hash BLOB NOT NULL,
    own INTEGER NOT NULL,
    block BLOB NOT NULL,
    PRIMARY KEY (height, round, hash)
) STRICT;
";

impl Store {
    /// Opens or makes the store of a community in a directory, checks the chain in it, and returns
    /// it with the state after its last block.
    ///
    /// # Errors
    /// [`StoreError`] says what is wrong and what to do; nothing is changed then.
    pub async fn open(data_dir: &Path, genesis: &Genesis) -> Result<(Self, State), StoreError> {
        let store = Self::connect(data_dir, true).await?;
        store.prepare(&genesis.chain_id()).await?;
        let state = store.restore(genesis).await?;
        Ok((store, state))
    }

    /// Whether a directory holds a store at all.
    pub fn exists(data_dir: &Path) -> bool {
        data_dir.join(FILE).is_file()
    }

    /// The time of the last block in the store of a stopped node; `None` if it holds none. The
    /// chain is not checked.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn last_block_time(data_dir: &Path) -> Result<Option<Timestamp>, StoreError> {
        if !Self::exists(data_dir) {
            return Ok(None);
        }
        let store = Self::connect(data_dir, false).await?;
        let time = store.tip_time().await;
        store.close().await;
        time
    }

    async fn connect(data_dir: &Path, create: bool) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            .locking_mode(SqliteLockingMode::Exclusive)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(2))
            .pragma("cache_size", "-2048")
            .pragma("secure_delete", "ON");
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
        let pool = pool.map_err(|source| StoreError::of("open the ledger", &path, source))?;
        Ok(Self { pool, path })
    }

    async fn tip_time(&self) -> Result<Option<Timestamp>, StoreError> {
        let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'blocks'";
        let has_blocks = sqlx::query(query).fetch_optional(&self.pool).await;
        if has_blocks.map_err(|source| self.failed("read the schema", source))?.is_none() {
            return Ok(None);
        }
        let query = "SELECT height, header FROM blocks ORDER BY height DESC LIMIT 1";
        let row = sqlx::query(query).fetch_optional(&self.pool).await;
        let Some(row) = row.map_err(|source| self.failed("read the last block", source))? else {
            return Ok(None);
        };
        let height = from_sql(self.field(&row, BLOCKS, 0, "height")?);
        let header = self.field::<Vec<u8>>(&row, BLOCKS, height, "header")?;
        let header = borsh::from_slice::<Header>(&header)
            .map_err(|error| self.corrupt(BLOCKS, height, error))?;
        Ok(Some(header.time))
    }

    async fn prepare(&self, chain: &ChainId) -> Result<(), StoreError> {
        let made = sqlx::raw_sql(SCHEMA).execute(&self.pool).await;
        made.map_err(|source| self.failed("open the ledger", source))?;
        let query = sqlx::query("INSERT OR IGNORE INTO meta (key, value) VALUES ('chain', ?)");
        let written = query.bind(chain.to_string()).execute(&self.pool).await;
        written.map_err(|source| self.failed("write", source))?;
        let found: String = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'chain'")
            .fetch_one(&self.pool)
            .await
            .map_err(|source| self.failed("read", source))?;
        if found == chain.to_string() {
            return Ok(());
        }
        Err(StoreError::OtherCommunity { path: self.path.clone(), found, expected: *chain })
    }

    /// Walks the hash chain and rebuilds the state from the last good snapshot.
    async fn restore(&self, genesis: &Genesis) -> Result<State, StoreError> {
        let tip = self.check_hash_chain().await?;
        let mut state = match self.last_snapshot(tip).await? {
            Some(state) => state,
            None => State::at_genesis(genesis),
        };
        for height in state.height().saturating_add(1)..=tip {
            let block = self.block(height).await?;
            let executed =
                apply(&state, &block).map_err(|refused| self.corrupt(BLOCKS, height, refused))?;
            state = executed.state;
        }
        Ok(state)
    }

    /// Every header must name the one before it and hash to what the row says. Returns the tip.
    async fn check_hash_chain(&self) -> Result<u64, StoreError> {
        let (mut height, mut previous) = (0_u64, BlockHash::default());
        loop {
            let query = "SELECT height, hash, header FROM blocks WHERE height > ? \
                         ORDER BY height LIMIT 1000";
            let rows = sqlx::query(query)
                .bind(to_sql(height))
                .fetch_all(&self.pool)
                .await
                .map_err(|source| self.failed("read blocks", source))?;
            if rows.is_empty() {
                return Ok(height);
            }
            for row in rows {
                let expected = height.saturating_add(1);
                let at = |name| self.field::<Vec<u8>>(&row, BLOCKS, expected, name);
                let header = borsh::from_slice::<Header>(&at("header")?)
                    .map_err(|error| self.corrupt(BLOCKS, expected, error))?;
                let hash = header.hash();
                let stored_height: i64 = self.field(&row, BLOCKS, expected, "height")?;
                let links = header.height == expected
                    && stored_height == to_sql(expected)
                    && header.previous == previous
                    && at("hash")? == hash.as_bytes();
                if !links {
                    let problem = "it does not link to the block before it";
                    return Err(self.corrupt(BLOCKS, expected, problem));
                }
                (height, previous) = (expected, hash);
            }
        }
    }

    /// The newest snapshot that its header's state root confirms.
    async fn last_snapshot(&self, tip: u64) -> Result<Option<State>, StoreError> {
        let query = "SELECT s.height, s.state, b.header FROM snapshots s \
                     JOIN blocks b ON b.height = s.height WHERE s.height <= ? \
                     ORDER BY s.height DESC";
        let rows = sqlx::query(query)
            .bind(to_sql(tip))
            .fetch_all(&self.pool)
            .await
            .map_err(|source| self.failed("read snapshots", source))?;
        for row in rows {
            let bytes = |name| row.try_get::<Vec<u8>, _>(name).unwrap_or_default();
            let state = borsh::from_slice::<State>(&bytes("state"));
            let header = borsh::from_slice::<Header>(&bytes("header"));
            if let (Ok(state), Ok(header)) = (state, header)
                && state.root() == header.state_root
                && state.tip() == header.hash()
            {
                return Ok(Some(state));
            }
            let (path, height) = (self.path.display(), row.try_get::<i64, _>("height").ok());
            tracing::warn!(%path, height, "a snapshot does not match its header; skipped");
        }
        Ok(None)
    }

    /// Makes a decided block durable, with everything that belongs to it, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing was stored.
    pub async fn commit(
        &self,
        block: &Block,
        certificate: &CommitCertificate,
        results: &BlockResults,
        state: &State,
    ) -> Result<(), StoreError> {
        let height = block.header.height;
        let written = async {
            let mut transaction = self.pool.begin().await?;
            sqlx::query(
                "INSERT INTO blocks (height, hash, header, block, certificate, results) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(to_sql(height))
            .bind(block.hash().as_bytes().to_vec())
            .bind(bytes(&block.header))
            .bind(block.to_bytes())
            .bind(bytes(certificate))
            .bind(bytes(&results.leaves()))
            .execute(&mut *transaction)
            .await?;
            sqlx::query("DELETE FROM undecided WHERE height <= ?")
                .bind(to_sql(height))
                .execute(&mut *transaction)
                .await?;
            if height.is_multiple_of(SNAPSHOT_EVERY) {
                sqlx::query("INSERT OR REPLACE INTO snapshots (height, state) VALUES (?, ?)")
                    .bind(to_sql(height))
                    .bind(bytes(state))
                    .execute(&mut *transaction)
                    .await?;
                // The one before stays, in case this one does not read back.
                sqlx::query("DELETE FROM snapshots WHERE height < ?")
                    .bind(to_sql(height.saturating_sub(SNAPSHOT_EVERY)))
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        };
        written.await.map_err(|source| self.failed("commit a block", source))
    }

    /// Makes an undecided body durable.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn put_undecided(&self, body: &Undecided) -> Result<(), StoreError> {
        let query = "INSERT OR IGNORE INTO undecided (height, round, hash, own, block) \
                     VALUES (?, ?, ?, ?, ?)";
        sqlx::query(query)
            .bind(to_sql(body.height))
            .bind(i64::from(body.round))
            .bind(body.hash.as_bytes().to_vec())
            .bind(body.own)
            .bind(&body.bytes)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|source| self.failed("store a proposed block", source))
    }

    /// All undecided bodies of a height.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn undecided(&self, height: u64) -> Result<Vec<Undecided>, StoreError> {
        let rows = sqlx::query("SELECT round, hash, own, block FROM undecided WHERE height = ?")
            .bind(to_sql(height))
            .fetch_all(&self.pool)
            .await
            .map_err(|source| self.failed("read proposed blocks", source))?;
        let read = |row: SqliteRow| {
            let hash: [u8; 32] = row.try_get::<Vec<u8>, _>("hash").ok()?.try_into().ok()?;
            Some(Undecided {
                height,
                round: u32::try_from(row.try_get::<i64, _>("round").ok()?).ok()?,
                hash: BlockHash::from_bytes(hash),
                own: row.try_get("own").ok()?,
                bytes: row.try_get("block").ok()?,
            })
        };
        let bodies = rows.into_iter().map(read).collect::<Option<_>>();
        bodies.ok_or_else(|| self.corrupt("undecided", height, "a row is garbled"))
    }

    /// A committed block's bytes and certificate, if it is held.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub async fn decided(
        &self,
        height: u64,
    ) -> Result<Option<(Vec<u8>, CommitCertificate)>, StoreError> {
        let row = sqlx::query("SELECT block, certificate FROM blocks WHERE height = ?")
            .bind(to_sql(height))
            .fetch_optional(&self.pool)
            .await
            .map_err(|source| self.failed("read a block", source))?;
        let Some(row) = row else { return Ok(None) };
        let certificate = self.certificate(&row, height)?;
        Ok(Some((self.field(&row, BLOCKS, height, "block")?, certificate)))
    }

    /// Encoded [`ServedBlock`]s from a height upwards: at most `count_max`, and at most about
    /// `bytes_max` in all, but at least one if there is one.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn served(
        &self,
        from_height: u64,
        count_max: u16,
        with_results: bool,
        bytes_max: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let (mut served, mut total) = (Vec::new(), 0_usize);
        for offset in 0..u64::from(count_max) {
            let height = from_height.saturating_add(offset);
            let query = "SELECT block, certificate, results FROM blocks WHERE height = ?";
            let row = sqlx::query(query)
                .bind(to_sql(height))
                .fetch_optional(&self.pool)
                .await
                .map_err(|source| self.failed("read a block", source))?;
            let Some(row) = row else { break };
            let results = match with_results {
                true => Some(self.results(&row, height)?),
                false => None,
            };
            let block = self.field::<Vec<u8>>(&row, BLOCKS, height, "block")?;
            let block = self.decode(height, &block)?;
            let certificate = self.certificate(&row, height)?;
            let committed = CommittedBlock { block, certificate };
            let mut encoded = bytes(&ServedBlock { committed: committed.clone(), results });
            if encoded.len() > bytes_max {
                // A block that decided more than fits still has to be followed.
                encoded = bytes(&ServedBlock { committed, results: None });
            }
            total = total.saturating_add(encoded.len());
            if total > bytes_max && !served.is_empty() {
                break;
            }
            served.push(encoded);
        }
        Ok(served)
    }

    /// Closes the database, so that another process may open it.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn block(&self, height: u64) -> Result<Block, StoreError> {
        match self.decided(height).await? {
            Some((bytes, _)) => self.decode(height, &bytes),
            None => Err(self.corrupt(BLOCKS, height, "it is missing")),
        }
    }

    fn decode(&self, height: u64, bytes: &[u8]) -> Result<Block, StoreError> {
        Block::from_bytes(bytes).map_err(|malformed| self.corrupt(BLOCKS, height, malformed))
    }

    fn certificate(&self, row: &SqliteRow, height: u64) -> Result<CommitCertificate, StoreError> {
        let bytes = self.field::<Vec<u8>>(row, BLOCKS, height, "certificate")?;
        borsh::from_slice(&bytes)
            .map_err(|error| self.corrupt(BLOCKS, height, format!("its certificate: {error}")))
    }

    fn results(&self, row: &SqliteRow, height: u64) -> Result<Vec<ResultLeaf>, StoreError> {
        let bytes = self.field::<Vec<u8>>(row, BLOCKS, height, "results")?;
        borsh::from_slice(&bytes)
            .map_err(|error| self.corrupt(BLOCKS, height, format!("its results: {error}")))
    }

    /// A column of a row; a value of another type is damage, not a defect of the program.
    fn field<'r, T>(
        &self,
        row: &'r SqliteRow,
        table: &'static str,
        height: u64,
        name: &'static str,
    ) -> Result<T, StoreError>
    where
        T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
    {
        row.try_get(name).map_err(|error| self.corrupt(table, height, error))
    }

    fn failed(&self, doing: &'static str, source: sqlx::Error) -> StoreError {
        StoreError::of(doing, &self.path, source)
    }

    fn corrupt(
        &self,
        table: &'static str,
        height: u64,
        problem: impl std::fmt::Display,
    ) -> StoreError {
        let problem = problem.to_string();
        StoreError::Corrupt { path: self.path.clone(), table, height, problem }
    }
}

fn bytes<T: borsh::BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).unwrap_or_default()
}

/// `SQLite` counts with signed 64 bits; no chain reaches the end of them.
fn to_sql(height: u64) -> i64 {
    i64::try_from(height).unwrap_or(i64::MAX)
}

fn from_sql(height: i64) -> u64 {
    u64::try_from(height).unwrap_or_default()
}
