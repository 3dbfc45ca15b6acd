//! The durable outbox: whatever leaves the agent is on disk before it is sent.
//!
//! One SQLite database in the data directory (WAL, `synchronous=FULL`, one connection) holds the
//! signed messages, the last sequence of each kind and period, the state of the interval machine
//! and of what has been learnt, the followed height, and what the ledger has decided about this household.
//! A closed interval and the state in which it left the machine are written in one transaction, so
//! that a `kill -9` at any moment neither loses nor repeats one.

mod chain;
mod schema;

use borsh::{BorshDeserialize, BorshSerialize};
use ledger::transaction::Transaction;
use market::hash::Digest;
use market::keys::ChainId;
use market::member::PartyId;
use market::order::Side;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Row as _, SqliteTransaction};
use std::path::{Path, PathBuf};

pub use chain::{BlockEffects, Fill, OwnTransaction, Totals};

use crate::forecast::Forecaster;
use crate::interval::SeriesState;
use crate::signer::{Draft, MessageKey, MessageKind, Signer};
use crate::strategy::Margins;

/// The outbox's file in the data directory.
pub const FILE_NAME: &str = "outbox.sqlite";

/// Why the outbox does not work.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The file cannot be opened.
    #[error(
        "cannot open the outbox {}: {source}; if the file is damaged, move it away and the agent \
         starts anew", path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// A query failed, for example because the disk is full.
    #[error("the outbox failed: {0}")]
    Database(#[from] sqlx::Error),
    /// Something in it does not read back.
    #[error(
        "the outbox holds {what} that does not read back; move {FILE_NAME} away and the agent \
         starts anew"
    )]
    Damaged {
        /// What does not read back.
        what: &'static str,
    },
    /// Written by a newer program.
    #[error("the outbox has format {found}, this program knows up to {known}; update the program")]
    Newer {
        /// The file's format.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// Written for another community or party.
    #[error("the outbox belongs to party {party} of community {chain}")]
    Foreign {
        /// Whose it is.
        party: PartyId,
        /// Of which community.
        chain: ChainId,
    },
}

/// A signed message that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The transaction's hash: how it is recognised in a block.
    pub hash: Digest,
    /// What it is.
    pub key: MessageKey,
    /// Its sequence.
    pub sequence: u64,
    /// The transaction's canonical bytes.
    pub bytes: Vec<u8>,
    /// From when on, in market time, it can no longer count.
    pub useless_from: Timestamp,
}

/// What the agent has learnt and a restart has to know too.
#[derive(Debug, Clone, Default, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Judgement {
    /// Of the household.
    pub forecaster: Forecaster,
    /// Of the market; `None` before the first auction.
    pub margins: Option<Margins>,
}

/// What is kept together with messages; `None` leaves what was kept before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept<'a> {
    /// Where counting stands.
    pub series: Option<&'a SeriesState>,
    /// What has been learnt.
    pub judgement: Option<&'a Judgement>,
}

/// How far the chain has been followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChainPosition {
    /// The last followed height.
    pub height: u64,
    /// Its block.
    pub tip: [u8; 32],
}

/// What an outbox holds when it is opened.
#[derive(Debug)]
pub struct Restored {
    /// Where counting stood.
    pub series: SeriesState,
    /// What had been learnt.
    pub judgement: Judgement,
    /// How far the chain was followed; `None` before the first block.
    pub position: Option<ChainPosition>,
    /// What the ledger has decided so far.
    pub totals: Totals,
    /// Messages that are not known to be in a block and may still count, oldest first.
    pub pending: Vec<Message>,
    /// The newest order of each period and side whose last gate is still open, and the newest
    /// standing curve of each side.
    pub standing: Vec<Message>,
    /// What gates have filled in periods whose last gate is still open.
    pub fills: Vec<Fill>,
}

/// The durable outbox of one party. Clones share the one connection.
#[derive(Debug, Clone)]
pub struct Outbox {
    pool: SqlitePool,
    period_length: PeriodLength,
}

impl Outbox {
    /// Opens or makes the outbox in a data directory.
    ///
    /// # Errors
    /// [`OutboxError`] if it cannot be opened, does not read back, or is another party's.
    pub async fn open(
        dir: &Path,
        chain: ChainId,
        party: PartyId,
        period_length: PeriodLength,
        now: Timestamp,
    ) -> Result<(Self, Restored), OutboxError> {
        let pool = schema::open(dir, &chain, &party).await?;
        let outbox = Self { pool, period_length };
        let restored = outbox.restore(now).await?;
        Ok((outbox, restored))
    }

    /// Signs drafts with the next sequences and stores them, together with what the agent knows
    /// after them: all or nothing. Only then may the messages be sent.
    ///
    /// # Errors
    /// [`OutboxError`] if the database refuses; nothing is stored then.
    pub async fn store(
        &self,
        drafts: &[Draft],
        signer: &Signer,
        kept: Kept<'_>,
        now: Timestamp,
    ) -> Result<Vec<Message>, OutboxError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let mut messages = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let key = draft.content.key();
            let sequence = next_sequence(&mut transaction, key).await?;
            let signed = signer.sign(&draft.content, sequence);
            let message = Message {
                hash: signed.hash(),
                key,
                sequence,
                bytes: signed.to_bytes(),
                useless_from: draft.useless_from,
            };
            insert(&mut transaction, &message, now).await?;
            messages.push(message);
        }
        if let Some(series) = kept.series {
            put_meta(&mut transaction, SERIES, series).await?;
        }
        if let Some(judgement) = kept.judgement {
            put_meta(&mut transaction, JUDGEMENT, judgement).await?;
        }
        transaction.commit().await?;
        Ok(messages)
    }

    /// Forgets what no block can change any more: everything of periods before `oldest`.
    ///
    /// # Errors
    /// [`OutboxError`] if the database refuses.
    pub async fn forget_before(&self, oldest: Timestamp) -> Result<(), OutboxError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for statement in [
            "DELETE FROM messages WHERE period_start < ?",
            "DELETE FROM sequences WHERE period_start < ?",
            "DELETE FROM fills WHERE period_start < ?",
            "DELETE FROM settlements WHERE period_start < ?",
        ] {
            sqlx::query(statement).bind(oldest.as_millis()).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn restore(&self, now: Timestamp) -> Result<Restored, OutboxError> {
        let mut connection = self.pool.acquire().await?;
        let newest = self.newest_messages(&mut connection, now).await?;
        let standing =
            newest.iter().filter(|(message, _)| message.key.kind != MessageKind::Reading);
        let standing = standing.map(|(message, _)| message.clone()).collect();
        let pending = newest.into_iter().filter(|(_, committed)| !committed);
        Ok(Restored {
            series: get_meta(&mut connection, SERIES).await?.unwrap_or_default(),
            judgement: get_meta(&mut connection, JUDGEMENT).await?.unwrap_or_default(),
            position: get_meta(&mut connection, POSITION).await?,
            totals: get_meta(&mut connection, TOTALS).await?.unwrap_or_default(),
            pending: pending.map(|(message, _)| message).collect(),
            standing,
            fills: self.fills(&mut connection, now).await?,
        })
    }

    /// The newest message of each kind and period that may still count, and whether it is in a
    /// block.
    async fn newest_messages(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<Vec<(Message, bool)>, OutboxError> {
        let rows = sqlx::query(
            "SELECT m.hash, m.kind, m.period_start, m.sequence, m.bytes, m.useless_from, \
             m.committed_height IS NOT NULL AS committed FROM messages m \
             JOIN sequences s USING (kind, period_start) \
             WHERE m.sequence = s.last AND m.useless_from > ? ORDER BY m.stored_at, m.rowid",
        )
        .bind(now.as_millis())
        .fetch_all(connection)
        .await?;
        let damaged = || OutboxError::Damaged { what: "a message" };
        let mut messages = Vec::with_capacity(rows.len());
        for row in rows {
            let kind = kind_from(row.try_get("kind")?).ok_or_else(damaged)?;
            let hash: Vec<u8> = row.try_get("hash")?;
            let hash = Digest::from_bytes(hash.try_into().map_err(|_| damaged())?);
            let bytes: Vec<u8> = row.try_get("bytes")?;
            let sound = Transaction::from_bytes(&bytes).is_ok_and(|read| read.hash() == hash);
            if !sound {
                return Err(damaged());
            }
            let message = Message {
                hash,
                key: MessageKey { kind, period: self.key_period(row.try_get("period_start")?)? },
                sequence: u64::try_from(row.try_get::<i64, _>("sequence")?)
                    .map_err(|_| damaged())?,
                bytes,
                useless_from: Timestamp::from_millis(row.try_get("useless_from")?),
            };
            messages.push((message, row.try_get("committed")?));
        }
        Ok(messages)
    }

    async fn fills(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<Vec<Fill>, OutboxError> {
        let rows = sqlx::query(
            "SELECT kind, period_start, gate, filled_wh FROM fills WHERE period_start >= ?",
        )
        .bind(now.as_millis())
        .fetch_all(connection)
        .await?;
        let damaged = || OutboxError::Damaged { what: "a fill" };
        let mut fills = Vec::with_capacity(rows.len());
        for row in rows {
            let side = match kind_from(row.try_get("kind")?) {
                Some(MessageKind::Bid) => Side::Buy,
                Some(MessageKind::Offer) => Side::Sell,
                _ => return Err(damaged()),
            };
            fills.push(Fill {
                period: self.period(row.try_get("period_start")?)?,
                side,
                gate: u8::try_from(row.try_get::<i64, _>("gate")?).map_err(|_| damaged())?,
                filled_wh: row.try_get("filled_wh")?,
            });
        }
        Ok(fills)
    }

    fn key_period(&self, code: i64) -> Result<Option<DeliveryPeriod>, OutboxError> {
        if code == NO_PERIOD { Ok(None) } else { self.period(code).map(Some) }
    }

    fn period(&self, start_ms: i64) -> Result<DeliveryPeriod, OutboxError> {
        DeliveryPeriod::starting_at(Timestamp::from_millis(start_ms), self.period_length)
            .map_err(|_| OutboxError::Damaged { what: "a period" })
    }
}

const SERIES: &str = "series/1";
const JUDGEMENT: &str = "judgement/1";
const POSITION: &str = "position";
const TOTALS: &str = "totals";

async fn next_sequence(
    transaction: &mut SqliteTransaction<'_>,
    key: MessageKey,
) -> Result<u64, OutboxError> {
    let last: i64 = sqlx::query_scalar(
        "INSERT INTO sequences (kind, period_start, last) VALUES (?, ?, 1) \
         ON CONFLICT (kind, period_start) DO UPDATE SET last = last + 1 RETURNING last",
    )
    .bind(kind_code(key.kind))
    .bind(period_code(key))
    .fetch_one(&mut **transaction)
    .await?;
    u64::try_from(last).map_err(|_| OutboxError::Damaged { what: "a sequence" })
}

async fn insert(
    transaction: &mut SqliteTransaction<'_>,
    message: &Message,
    now: Timestamp,
) -> Result<(), OutboxError> {
    sqlx::query(
        "INSERT INTO messages (hash, kind, period_start, sequence, bytes, useless_from, stored_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(message.hash.as_bytes().as_slice())
    .bind(kind_code(message.key.kind))
    .bind(period_code(message.key))
    .bind(i64::try_from(message.sequence).unwrap_or(i64::MAX))
    .bind(message.bytes.as_slice())
    .bind(message.useless_from.as_millis())
    .bind(now.as_millis())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn put_meta(
    connection: &mut SqliteConnection,
    key: &'static str,
    value: &impl BorshSerialize,
) -> Result<(), OutboxError> {
    let bytes = borsh::to_vec(value).map_err(|_| OutboxError::Damaged { what: key })?;
    sqlx::query(
        "INSERT INTO meta (key, value) VALUES (?, ?) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )
    .bind(key)
    .bind(bytes)
    .execute(connection)
    .await?;
    Ok(())
}

async fn get_meta<T: BorshDeserialize>(
    connection: &mut SqliteConnection,
    key: &'static str,
) -> Result<Option<T>, OutboxError> {
    let value: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM meta WHERE key = ?")
        .bind(key)
        .fetch_optional(connection)
        .await?;
    let read =
        |bytes: Vec<u8>| borsh::from_slice(&bytes).map_err(|_| OutboxError::Damaged { what: key });
    value.map(read).transpose()
}

/// The period of what belongs to none: after all periods, so that it is not forgotten with them.
const NO_PERIOD: i64 = i64::MAX;

fn period_code(key: MessageKey) -> i64 {
    key.period.map_or(NO_PERIOD, |period| period.start().as_millis())
}

fn kind_code(kind: MessageKind) -> i64 {
    match kind {
        MessageKind::Bid => 1,
        MessageKind::Offer => 2,
        MessageKind::Reading => 3,
        MessageKind::StandingBid => 4,
        MessageKind::StandingOffer => 5,
    }
}

fn kind_from(code: i64) -> Option<MessageKind> {
    match code {
        1 => Some(MessageKind::Bid),
        2 => Some(MessageKind::Offer),
        3 => Some(MessageKind::Reading),
        4 => Some(MessageKind::StandingBid),
        5 => Some(MessageKind::StandingOffer),
        _ => None,
    }
}
