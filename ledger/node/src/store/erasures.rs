//! Receipts for what was erased: who asked through which block, and what this node forgot for it.

use borsh::{BorshDeserialize, BorshSerialize};
use market::keys::{ChainId, PublicKey, Signature, SignatureError, SigningKey};
use market::member::PartyId;
use market::signed::signing_prefix;
use sqlx::Row as _;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};

use super::Store;
use super::error::{Finding, StoreError};
use super::prune::Erased;
use super::rows::{blob, bytes, decode, digest, same_digest};
use super::schema::{Database, from_sql, to_sql};

/// What the signature of a receipt is for.
const DOMAIN: &str = "hidamari/erasure/1";

/// A node's word that it has erased what named a party.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ErasureReceipt {
    /// What was erased.
    pub erasure: Erasure,
    /// Which validator says so.
    pub validator: PublicKey,
    /// Its signature over the community and [`ErasureReceipt::erasure`].
    pub signature: Signature,
}

/// What was erased for one request.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Erasure {
    /// The height of the block with the request.
    pub requested_at: u64,
    /// Whom the leaves named.
    pub party: PartyId,
    /// The heights of the blocks that had such leaves.
    pub heights: Vec<u64>,
    /// How many leaves there were.
    pub leaves_count: u64,
}

impl ErasureReceipt {
    fn sign(erasure: Erasure, chain: &ChainId, key: &SigningKey) -> Self {
        let signature = key.sign(&signed_bytes(&erasure, chain));
        Self { erasure, validator: key.public(), signature }
    }

    /// Checks the signature; whether the validator is one is for the caller to know.
    ///
    /// # Errors
    /// [`SignatureError`] if it does not hold.
    pub fn verify(&self, chain: &ChainId) -> Result<(), SignatureError> {
        self.validator.verify(&signed_bytes(&self.erasure, chain), &self.signature)
    }

    fn read(row: &SqliteRow, chain: &ChainId) -> Result<Self, String> {
        let height: i64 = row.try_get("height").map_err(|error| error.to_string())?;
        let receipt = blob(row, "receipt")?;
        same_digest(row, &digest("erasures", &[&height.to_be_bytes(), &receipt]))?;
        let receipt: Self = decode("receipt", &receipt)?;
        receipt.verify(chain).map_err(|error| error.to_string())?;
        if to_sql(receipt.erasure.requested_at) == height {
            Ok(receipt)
        } else {
            Err("it is for another request".to_owned())
        }
    }

    pub(crate) fn insert(&self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        let (height, receipt) = (to_sql(self.erasure.requested_at), bytes(self));
        let digest = digest("erasures", &[&height.to_be_bytes(), &receipt]);
        sqlx::query("INSERT OR REPLACE INTO erasures (height, receipt, digest) VALUES (?, ?, ?)")
            .bind(height)
            .bind(receipt)
            .bind(digest)
    }
}

fn signed_bytes(erasure: &Erasure, chain: &ChainId) -> Vec<u8> {
    let mut message = signing_prefix(DOMAIN, chain);
    message.extend(bytes(erasure));
    message
}

impl Store {
    /// Executes a request to erase a party that a block at a height brings, and keeps a receipt.
    /// `None` while blocks up to that height may still be needed by a restart: ask again later.
    ///
    /// # Errors
    /// [`StoreError`]; what was erased until then stays so, and asking again does the rest.
    pub async fn erase_for(
        &self,
        requested_at: u64,
        party: PartyId,
        chain: &ChainId,
        key: &SigningKey,
    ) -> Result<Option<ErasureReceipt>, StoreError> {
        if self.last_prunable().await? < requested_at {
            return Ok(None);
        }
        let Erased { heights, leaves_count } = self.erase(&party).await?;
        let erasure = Erasure { requested_at, party, heights, leaves_count };
        let receipt = ErasureReceipt::sign(erasure, chain, key);
        self.db.put(receipt.insert()).await?;
        Ok(Some(receipt))
    }

    /// The receipts for everything that was erased here, by the height of the request.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read, or do not hold.
    pub async fn erasures(&self, chain: &ChainId) -> Result<Vec<ErasureReceipt>, StoreError> {
        self.db.erasures(chain).await
    }
}

impl Database {
    pub(crate) async fn erasures(
        &self,
        chain: &ChainId,
    ) -> Result<Vec<ErasureReceipt>, StoreError> {
        let query = "SELECT height, receipt, digest FROM erasures ORDER BY height";
        let rows = self.rows("read erasures", sqlx::query(query)).await?;
        let read = |row| {
            ErasureReceipt::read(row, chain).map_err(|problem| {
                let height = row.try_get::<i64, _>("height").map_or(0, from_sql);
                self.corrupt(Finding::at("erasures", height, problem))
            })
        };
        rows.iter().map(read).collect()
    }
}
