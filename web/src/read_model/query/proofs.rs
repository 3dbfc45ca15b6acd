//! Who validated which heights, and where anything is that has an identifier.

use ledger::genesis::Genesis;
use ledger::handover::Handover;
use ledger::validators::ValidatorSet;
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
    /// The answer to an order, by the order's identifier.
    Answer {
        /// The block.
        height: u64,
        /// The place among the block's results.
        index: u64,
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

    /// Blocks, transactions and orders whose identifiers begin with these hexadecimal digits.
    pub(crate) async fn hits(&self, digits: &str) -> Result<Vec<Hit>, StoreError> {
        let blocks = "SELECT height, 0 AS place, hash AS id FROM blocks \
            WHERE hash >= $1 AND hash < $2 ORDER BY height LIMIT $3";
        let transactions = "SELECT height, place, hash AS id FROM transactions \
            WHERE hash >= $1 AND hash < $2 ORDER BY height, place LIMIT $3";
        let answers = "SELECT height, result_index AS place, order_id AS id FROM answers \
            WHERE order_id >= $1 AND order_id < $2 ORDER BY height, result_index LIMIT $3";
        let mut hits = Vec::new();
        for Place { height, .. } in self.places(blocks, digits).await? {
            hits.push(Hit::Block { height });
        }
        for Place { height, id, .. } in self.places(transactions, digits).await? {
            hits.push(Hit::Transaction { height, hash: id });
        }
        for Place { height, place, .. } in self.places(answers, digits).await? {
            hits.push(Hit::Answer { height, index: place });
        }
        Ok(hits)
    }

    async fn places(&self, query: &'static str, digits: &str) -> Result<Vec<Place>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(query)
                .bind(digits.to_owned())
                // 'g' is the first letter behind the digits.
                .bind(format!("{digits}g"))
                .bind(HITS_MAX)
                .fetch_all(&self.pool)
                .await?;
            let read = |row: &SqliteRow| {
                Ok(Place {
                    height: count(row, "height")?,
                    place: count(row, "place")?,
                    id: row.try_get("id")?,
                })
            };
            rows.iter().map(read).collect()
        })
        .await
    }
}

/// Where something with an identifier is.
struct Place {
    height: u64,
    place: u64,
    id: String,
}
