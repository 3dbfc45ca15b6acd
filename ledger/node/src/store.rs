//! What a node keeps: blocks with their certificates and results, snapshots of the state, and the
//! bodies of blocks that are not decided yet.
//!
//! `SQLite` in WAL mode with `synchronous=FULL`: what was committed is on the disk. The store is
//! held by one process alone. When it is opened, the hash chain is walked from the first block, and
//! the state is rebuilt from the last snapshot and checked against the header it belongs to.

use ledger::apply::{BlockRefused, apply};
use ledger::block::{Block, BlockHash, CommittedBlock, Header, MalformedBlock};
use ledger::certificate::CommitCertificate;
use ledger::genesis::Genesis;
use ledger::results::{BlockResults, ResultLeaf, ServedBlock};
use ledger::state::State;
use market::keys::ChainId;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Row as _, SqlitePool};
use std::path::{Path, PathBuf};

use crate::consensus::Undecided;

/// A snapshot of the state is kept at every multiple of this height.
const SNAPSHOT_EVERY: u64 = 64;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds it.
    #[error(
        "{path} is in use by another process; two nodes must never share a data directory, so stop \
         the other one"
    )]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// Another community's data.
    #[error(
        "{path} holds the chain of community {found}, not of {expected}; name another data \
         directory, or the genesis it was made with"
    )]
    OtherCommunity {
        /// The database.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose was expected.
        expected: ChainId,
    },
    /// What is stored does not hang together.
    #[error("the stored block of height {height} does not hold: {problem}")]
    Corrupt {
        /// Which block.
        height: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The database failed.
    #[error("cannot {doing} in {path}: {source}")]
    Database {
        /// What failed.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// Its own words.
        source: sqlx::Error,
    },
}

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
        let path = data_dir.join("ledger.sqlite");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .locking_mode(SqliteLockingMode::Exclusive)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(2))
            .pragma("cache_size", "-2048")
            .pragma("secure_delete", "ON");
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
        let pool = pool.map_err(|source| opening(&path, source))?;
        let store = Self { pool, path };
        store.prepare(&genesis.chain_id()).await?;
        let state = store.restore(genesis).await?;
        Ok((store, state))
    }

    /// Whether a directory holds a store at all.
    pub fn exists(data_dir: &Path) -> bool {
        data_dir.join("ledger.sqlite").is_file()
    }

    async fn prepare(&self, chain: &ChainId) -> Result<(), StoreError> {
        let made = sqlx::raw_sql(SCHEMA).execute(&self.pool).await;
        made.map_err(|source| opening(&self.path, source))?;
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
            let executed = apply(&state, &block).map_err(|refused| corrupt(height, refused))?;
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
                let header = borsh::from_slice::<Header>(row.get("header"))
                    .map_err(|error| corrupt(expected, error))?;
                let hash = header.hash();
                let links = header.height == expected
                    && row.get::<i64, _>("height") == to_sql(expected)
                    && header.previous == previous
                    && row.get::<Vec<u8>, _>("hash") == hash.as_bytes();
                if !links {
                    return Err(corrupt(expected, "it does not link to the block before it"));
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
            let state = borsh::from_slice::<State>(row.get("state"));
            let header = borsh::from_slice::<Header>(row.get("header"));
            let (Ok(state), Ok(header)) = (state, header) else { continue };
            if state.root() == header.state_root && state.tip() == header.hash() {
                return Ok(Some(state));
            }
            tracing::warn!(height = header.height, "a snapshot does not match its header; skipped");
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
        let read = |row: sqlx::sqlite::SqliteRow| {
            let hash: [u8; 32] = row.get::<Vec<u8>, _>("hash").try_into().ok()?;
            Some(Undecided {
                height,
                round: u32::try_from(row.get::<i64, _>("round")).ok()?,
                hash: BlockHash::from_bytes(hash),
                own: row.get("own"),
                bytes: row.get("block"),
            })
        };
        let bodies = rows.into_iter().map(read).collect::<Option<_>>();
        bodies.ok_or_else(|| corrupt(height, "a proposed block's row is garbled"))
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
        let certificate =
            borsh::from_slice(row.get("certificate")).map_err(|error| corrupt(height, error))?;
        Ok(Some((row.get("block"), certificate)))
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
            let failed = |error: std::io::Error| corrupt(height, error);
            let results = match with_results {
                true => {
                    Some(borsh::from_slice::<Vec<ResultLeaf>>(row.get("results")).map_err(failed)?)
                }
                false => None,
            };
            let block = decode(height, row.get("block"))?;
            let certificate = borsh::from_slice(row.get("certificate")).map_err(failed)?;
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
            Some((bytes, _)) => decode(height, &bytes),
            None => Err(corrupt(height, "it is missing")),
        }
    }

    fn failed(&self, doing: &'static str, source: sqlx::Error) -> StoreError {
        StoreError::Database { doing, path: self.path.clone(), source }
    }
}

fn decode(height: u64, bytes: &[u8]) -> Result<Block, StoreError> {
    Block::from_bytes(bytes).map_err(|malformed: MalformedBlock| corrupt(height, malformed))
}

fn bytes<T: borsh::BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).unwrap_or_default()
}

fn corrupt(height: u64, problem: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { height, problem: problem.to_string() }
}

/// `SQLite` counts with signed 64 bits; no chain reaches the end of them.
fn to_sql(height: u64) -> i64 {
    i64::try_from(height).unwrap_or(i64::MAX)
}

fn opening(path: &Path, source: sqlx::Error) -> StoreError {
    let locked = source.as_database_error().is_some_and(|error| error.message().contains("locked"));
    match locked {
        true => StoreError::InUse { path: path.to_owned() },
        false => StoreError::Database { doing: "open the ledger", path: path.to_owned(), source },
    }
}

impl From<BlockRefused> for StoreError {
    fn from(refused: BlockRefused) -> Self {
        corrupt(0, refused)
    }
}
