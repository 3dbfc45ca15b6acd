//! Who validated which heights, and where anything is that has an identifier.

use ledger::genesis::Genesis;
use ledger::handover::Handover;
use ledger::validators::ValidatorSet;
use market::member::PartyId;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::read_model::{ReadModel, StoreError, column, count, damaged};

/// How many hits of each kind a search gives at most.
const HITS_MAX: i64 = 8;

/// Something that an identifier may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hit {
    /// A block, by its hash.
    Block {
        /// Its height.
        height: u64,
    },
    /// A transaction, by its hash.
    Transaction {
        /// The block that carries it.
        height: u64,
        /// Its hash.
        hash: String,
    },
}

impl ReadModel {
    /// Every change of validators below a height, by rising height.
    pub(crate) async fn handovers_below(
        &self,
        genesis: &Genesis,
        height: u64,
    ) -> Result<Vec<Handover>, StoreError> {
        let sets = self.validator_sets_below(height).await?;
        let mut before = genesis.validators.clone();
        let mut handovers = Vec::new();
        for (changed_at, set) in sets {
            if let Some(committed) = self.committed(changed_at).await? {
                let header = &committed.block.header;
                handovers.extend(Handover::at(header, &committed.certificate, &before, &set));
            }
            before = set;
        }
        Ok(handovers)
    }

    async fn validator_sets_below(
        &self,
        height: u64,
    ) -> Result<Vec<(u64, ValidatorSet)>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT height, validators FROM validator_sets WHERE height < $1 ORDER BY height",
            )
            .bind(column(height, "a height")?)
            .fetch_all(&self.pool)
            .await?;
            let read = |row: &SqliteRow| {
                let stored: Vec<u8> = row.try_get("validators")?;
                let set = borsh::from_slice(&stored)
                    .map_err(|_| damaged("validators", "bytes of no validators"))?;
                Ok((count(row, "height")?, set))
            };
            rows.iter().map(read).collect()
        })
        .await
    }

    /// The block and the place in it of a transaction; `None` if no block carries it.
    pub(crate) async fn transaction_place(
        &self,
        hash: &str,
    ) -> Result<Option<(u64, u64)>, StoreError> {
        self.asked(async {
            let row = sqlx::query("SELECT height, place FROM transactions WHERE hash = $1 LIMIT 1")
                .bind(hash)
                .fetch_optional(&self.pool)
                .await?;
            row.map(|row| Ok((count(&row, "height")?, count(&row, "place")?))).transpose()
        })
        .await
    }

    /// Blocks and transactions whose hashes begin with these hexadecimal digits.
    pub(crate) async fn hits(&self, digits: &str) -> Result<Vec<Hit>, StoreError> {
        let blocks = "SELECT height, hash AS id FROM blocks \
            WHERE hash >= $1 AND hash < $2 ORDER BY height LIMIT $3";
        let transactions = "SELECT height, hash AS id FROM transactions \
            WHERE hash >= $1 AND hash < $2 ORDER BY height, place LIMIT $3";
        let mut hits = Vec::new();
        for (height, _) in self.hashes(blocks, digits).await? {
            hits.push(Hit::Block { height });
        }
        for (height, hash) in self.hashes(transactions, digits).await? {
            hits.push(Hit::Transaction { height, hash });
        }
        Ok(hits)
    }

    /// Blocks and places of the answers to orders whose identifiers begin with these hexadecimal
    /// digits: to one party's, or to everybody's.
    pub(crate) async fn answer_places(
        &self,
        digits: &str,
        whose: Option<&PartyId>,
    ) -> Result<Vec<(u64, u64)>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT height, result_index AS place FROM answers \
                 WHERE order_id >= $1 AND order_id < $2 AND ($3 IS NULL OR party = $3) \
                 ORDER BY height, result_index LIMIT $4",
            )
            .bind(digits.to_owned())
            .bind(behind(digits))
            .bind(whose.map(ToString::to_string))
            .bind(HITS_MAX)
            .fetch_all(&self.pool)
            .await?;
            rows.iter().map(|row| Ok((count(row, "height")?, count(row, "place")?))).collect()
        })
        .await
    }

    async fn hashes(
        &self,
        query: &'static str,
        digits: &str,
    ) -> Result<Vec<(u64, String)>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(query)
                .bind(digits.to_owned())
                .bind(behind(digits))
                .bind(HITS_MAX)
                .fetch_all(&self.pool)
                .await?;
            rows.iter().map(|row| Ok((count(row, "height")?, row.try_get("id")?))).collect()
        })
        .await
    }
}

/// The first text behind all that begin with these digits: 'g' is the first letter behind them.
fn behind(digits: &str) -> String {
    format!("{digits}g")
}
