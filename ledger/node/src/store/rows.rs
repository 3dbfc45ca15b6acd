//! The rows of each table: how they are written, and what must hold when one is read.

use borsh::{BorshDeserialize, BorshSerialize};
use ledger::block::{Block, BlockHash, CommittedBlock, Header};
use ledger::certificate::CommitCertificate;
use ledger::follower::check_commit;
use ledger::handover::Handover;
use ledger::results::{ResultLeaf, results_root};
use ledger::state::State;
use ledger::validators::ValidatorSet;
use market::hash::Digest;
use market::keys::ChainId;
use sqlx::Row as _;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};

use super::schema::to_sql;
use crate::consensus::Undecided;

/// The SHA-256 of a row: its table, and each column behind its length.
pub(super) fn digest(table: &str, columns: &[&[u8]]) -> Vec<u8> {
    let lengths: Vec<_> = columns.iter().map(|column| column.len().to_be_bytes()).collect();
    let mut parts: Vec<&[u8]> = vec![b"hidamari/row/1", table.as_bytes()];
    for (length, column) in lengths.iter().zip(columns) {
        parts.push(length);
        parts.push(column);
    }
    Digest::of(&parts).as_bytes().to_vec()
}

pub(super) fn same_digest(row: &SqliteRow, computed: &[u8]) -> Result<(), String> {
    if blob(row, "digest")? == computed {
        return Ok(());
    }
    Err("the row is not what was written".to_owned())
}

pub(super) fn blob(row: &SqliteRow, name: &'static str) -> Result<Vec<u8>, String> {
    row.try_get(name).map_err(|error| format!("its {name} cannot be read: {error}"))
}

pub(super) fn decode<T: BorshDeserialize>(name: &str, bytes: &[u8]) -> Result<T, String> {
    borsh::from_slice(bytes).map_err(|error| format!("its {name} is garbled: {error}"))
}

/// Canonical bytes.
pub(super) fn bytes<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).unwrap_or_default()
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A committed block as it is stored, and as it reads.
#[derive(Debug, Clone)]
pub(crate) struct BlockRow {
    pub(crate) committed: CommittedBlock,
    pub(crate) results: Vec<ResultLeaf>,
    pub(crate) hash: BlockHash,
}

/// What a query for [`BlockRow::read`] selects.
pub(super) const BLOCK_COLUMNS: &str =
    "SELECT height, hash, header, block, certificate, results, digest FROM blocks";

impl BlockRow {
    pub(crate) fn new(committed: CommittedBlock, results: Vec<ResultLeaf>) -> Self {
        let hash = committed.block.hash();
        Self { committed, results, hash }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.committed.block.header
    }

    /// Reads a row that should stand at a height: its bytes are those written, and header, body,
    /// certificate and results belong together. Signatures and the block before are not looked at.
    pub(crate) fn read(row: &SqliteRow, height: u64) -> Result<Self, String> {
        let column = |name| blob(row, name);
        let stored: i64 = row.try_get("height").map_err(|error| error.to_string())?;
        if stored != to_sql(height) {
            return Err("it is missing".to_owned());
        }
        let (hash, header, block) = (column("hash")?, column("header")?, column("block")?);
        let (certificate, results) = (column("certificate")?, column("results")?);
        let columns: [&[u8]; 6] =
            [&height.to_be_bytes(), &hash, &header, &block, &certificate, &results];
        same_digest(row, &digest("blocks", &columns))?;
        let header: Header = decode("header", &header)?;
        let block = Block::from_bytes(&block).map_err(|error| format!("its body: {error}"))?;
        if block.header != header || header.height != height {
            return Err("its body is another block's".to_owned());
        }
        let computed = header.hash();
        if hash != computed.as_bytes() {
            return Err("its hash is not the header's".to_owned());
        }
        let certificate: CommitCertificate = decode("certificate", &certificate)?;
        if certificate.block != computed || certificate.height != height {
            return Err("its certificate is another block's".to_owned());
        }
        let results: Vec<ResultLeaf> = decode("results", &results)?;
        if results_root(&results, &block.salt) != header.results_root {
            return Err("its results are not what the header says".to_owned());
        }
        let committed = CommittedBlock { block, certificate };
        Ok(Self { committed, results, hash: computed })
    }

    pub(crate) fn insert(&self) -> Query<'static> {
        let CommittedBlock { block, certificate } = &self.committed;
        let height = block.header.height;
        let (hash, header) = (self.hash.as_bytes().to_vec(), bytes(&block.header));
        let (body, certificate) = (block.to_bytes(), bytes(certificate));
        let results = bytes(&self.results);
        let columns: [&[u8]; 6] =
            [&height.to_be_bytes(), &hash, &header, &body, &certificate, &results];
        let digest = digest("blocks", &columns);
        sqlx::query(
            "INSERT INTO blocks (height, hash, header, block, certificate, results, digest) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(to_sql(height))
        .bind(hash)
        .bind(header)
        .bind(body)
        .bind(certificate)
        .bind(results)
        .bind(digest)
    }
}

/// A header with the certificate that commits it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct CertifiedHeader {
    pub(crate) header: Header,
    pub(crate) certificate: CommitCertificate,
}

impl CertifiedHeader {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, String> {
        let (header, certificate) = (blob(row, "header")?, blob(row, "certificate")?);
        let height: i64 = row.try_get("height").map_err(|error| error.to_string())?;
        let columns: [&[u8]; 3] = [&height.to_be_bytes(), &header, &certificate];
        same_digest(row, &digest("base", &columns))?;
        let header: Header = decode("header", &header)?;
        if to_sql(header.height) != height {
            return Err("its header is another height's".to_owned());
        }
        Ok(Self { header, certificate: decode("certificate", &certificate)? })
    }

    pub(crate) fn insert(&self) -> Query<'static> {
        let height = to_sql(self.header.height);
        let (header, certificate) = (bytes(&self.header), bytes(&self.certificate));
        let digest = digest("base", &[&height.to_be_bytes(), &header, &certificate]);
        sqlx::query("INSERT INTO base (height, header, certificate, digest) VALUES (?, ?, ?, ?)")
            .bind(height)
            .bind(header)
            .bind(certificate)
            .bind(digest)
    }
}

/// Reads a change of validators.
pub(super) fn read_handover(row: &SqliteRow) -> Result<Handover, String> {
    let (header, certificate) = (blob(row, "header")?, blob(row, "certificate")?);
    let validators = blob(row, "validators")?;
    let height: i64 = row.try_get("height").map_err(|error| error.to_string())?;
    let columns: [&[u8]; 4] = [&height.to_be_bytes(), &header, &certificate, &validators];
    same_digest(row, &digest("handovers", &columns))?;
    let header: Header = decode("header", &header)?;
    if to_sql(header.height) != height {
        return Err("its header is another height's".to_owned());
    }
    let certificate = decode("certificate", &certificate)?;
    Ok(Handover { header, certificate, validators: decode("validator set", &validators)? })
}

/// Writes a change of validators.
pub(crate) fn insert_handover(handover: &Handover) -> Query<'static> {
    let height = to_sql(handover.header.height);
    let (header, certificate) = (bytes(&handover.header), bytes(&handover.certificate));
    let validators = bytes(&handover.validators);
    let columns: [&[u8]; 4] = [&height.to_be_bytes(), &header, &certificate, &validators];
    let digest = digest("handovers", &columns);
    sqlx::query(
        "INSERT INTO handovers (height, header, certificate, validators, digest) \
             VALUES (?, ?, ?, ?, ?)",
    )
    .bind(height)
    .bind(header)
    .bind(certificate)
    .bind(validators)
    .bind(digest)
}

/// The state after a block, with the header that carries its root.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotRow {
    pub(crate) certified: CertifiedHeader,
    pub(crate) state: State,
}

/// What a query for [`SnapshotRow::read`] selects.
pub(super) const SNAPSHOT_COLUMNS: &str =
    "SELECT height, header, certificate, state, digest FROM snapshots";

impl SnapshotRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, String> {
        let (header, certificate) = (blob(row, "header")?, blob(row, "certificate")?);
        let state = blob(row, "state")?;
        let height: i64 = row.try_get("height").map_err(|error| error.to_string())?;
        let columns: [&[u8]; 4] = [&height.to_be_bytes(), &header, &certificate, &state];
        same_digest(row, &digest("snapshots", &columns))?;
        let header: Header = decode("header", &header)?;
        let state: State = decode("state", &state)?;
        if to_sql(header.height) != height || state.tip() != header.hash() {
            return Err("its header is another height's".to_owned());
        }
        if state.root() != header.state_root {
            return Err("the state is not what the header says".to_owned());
        }
        let certificate = decode("certificate", &certificate)?;
        Ok(Self { certified: CertifiedHeader { header, certificate }, state })
    }

    pub(crate) fn insert(&self) -> Query<'static> {
        let CertifiedHeader { header, certificate } = &self.certified;
        let height = to_sql(header.height);
        let (header, certificate) = (bytes(header), bytes(certificate));
        let state = bytes(&self.state);
        let columns: [&[u8]; 4] = [&height.to_be_bytes(), &header, &certificate, &state];
        let digest = digest("snapshots", &columns);
        sqlx::query(
            "INSERT OR REPLACE INTO snapshots (height, header, certificate, state, digest) \
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(height)
        .bind(header)
        .bind(certificate)
        .bind(state)
        .bind(digest)
    }
}

/// What a query for [`read_undecided`] selects.
pub(super) const UNDECIDED_COLUMNS: &str =
    "SELECT height, round, hash, own, block, digest FROM undecided";

/// Reads a body that is not decided yet.
pub(super) fn read_undecided(row: &SqliteRow) -> Result<Undecided, String> {
    let number = |name| row.try_get::<i64, _>(name).map_err(|error| error.to_string());
    let (height, round, own) = (number("height")?, number("round")?, number("own")?);
    let (hash, body) = (blob(row, "hash")?, blob(row, "block")?);
    let columns: [&[u8]; 5] =
        [&height.to_be_bytes(), &round.to_be_bytes(), &own.to_be_bytes(), &hash, &body];
    same_digest(row, &digest("undecided", &columns))?;
    let block = Block::from_bytes(&body).map_err(|error| format!("its body: {error}"))?;
    if block.hash().as_bytes().as_slice() != hash || to_sql(block.header.height) != height {
        return Err("its hash is not the body's".to_owned());
    }
    Ok(Undecided {
        height: block.header.height,
        round: u32::try_from(round).map_err(|error| error.to_string())?,
        hash: block.hash(),
        own: own != 0,
        bytes: body,
    })
}

/// Writes a body that is not decided yet.
pub(super) fn insert_undecided(body: &Undecided) -> Query<'static> {
    let (height, round, own) = (to_sql(body.height), i64::from(body.round), i64::from(body.own));
    let hash = body.hash.as_bytes().to_vec();
    let columns: [&[u8]; 5] =
        [&height.to_be_bytes(), &round.to_be_bytes(), &own.to_be_bytes(), &hash, &body.bytes];
    let digest = digest("undecided", &columns);
    sqlx::query(
        "INSERT OR IGNORE INTO undecided (height, round, hash, own, block, digest) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(height)
    .bind(round)
    .bind(hash)
    .bind(own)
    .bind(body.bytes.clone())
    .bind(digest)
}

/// The validator sets of a chain, by the height from which each decides.
#[derive(Debug, Clone)]
pub(crate) struct Sets {
    chain: ChainId,
    first: ValidatorSet,
    later: Vec<(u64, ValidatorSet)>,
}

impl Sets {
    pub(crate) fn new(chain: ChainId, first: ValidatorSet) -> Self {
        Self { chain, first, later: Vec::new() }
    }

    /// Who decides a height, as far as the chain is known.
    pub(crate) fn at(&self, height: u64) -> &ValidatorSet {
        let known = self.later.iter().rev().find(|(from, _)| *from <= height);
        known.map_or(&self.first, |(_, set)| set)
    }

    /// Goes through one change of validators.
    pub(crate) fn hand_over(&mut self, handover: &Handover) -> Result<(), String> {
        let Handover { header, certificate, validators } = handover;
        if header.chain != self.chain {
            return Err("it belongs to another community".to_owned());
        }
        if self.later.last().is_some_and(|(from, _)| *from > header.height) {
            return Err("an earlier height than the change before".to_owned());
        }
        check_commit(header, certificate, self.at(header.height))
            .map_err(|error| error.to_string())?;
        if validators.hash() != header.next_validators {
            return Err("the validators are not those that the header names".to_owned());
        }
        self.later.push((header.height.saturating_add(1), validators.clone()));
        Ok(())
    }
}
