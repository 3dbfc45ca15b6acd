//! Receipts for what was erased: who asked through which block, and what this node forgot for it.

use borsh::{BorshDeserialize, BorshSerialize};
use market::keys::{ChainId, PublicKey, Signature, SignatureError, SigningKey};
use market::member::PartyId;
use market::signed::signing_prefix;
use sqlx::Row as _;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};

use super::error::{Finding, StoreError};
use super::rows::{blob, bytes, decode, digest, same_digest};
use super::schema::{Database, from_sql, to_sql};

const TABLE: &str = "erasure_receipts";

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

/// A receipt as `/erasures` lists it, and as `hidamari node erase` answers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ErasureEntry {
    /// The height of the block with the request.
    pub requested_at_height: u64,
    /// Whom the leaves named.
    pub party: String,
    /// The heights of the blocks that had such leaves.
    pub heights: Vec<u64>,
    /// How many leaves there were.
    pub leaves_count: u64,
    /// Which validator says so, as hexadecimal digits.
    pub validator: String,
    /// Its signature, as hexadecimal digits.
    pub signature: String,
}

impl From<ErasureReceipt> for ErasureEntry {
    fn from(receipt: ErasureReceipt) -> Self {
        let ErasureReceipt { erasure, validator, signature } = receipt;
        let Erasure { requested_at, party, heights, leaves_count } = erasure;
        Self {
            requested_at_height: requested_at,
            party: party.to_string(),
            heights,
            leaves_count,
            validator: validator.to_string(),
            signature: signature.to_string(),
        }
    }
}

impl ErasureReceipt {
    pub(super) fn sign(erasure: Erasure, chain: &ChainId, key: &SigningKey) -> Self {
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
        let (party, receipt) = (blob(row, "party")?, blob(row, "receipt")?);
        same_digest(row, &digest(TABLE, &[&height.to_be_bytes(), &party, &receipt]))?;
        let receipt: Self = decode("receipt", &receipt)?;
        receipt.verify(chain).map_err(|error| error.to_string())?;
        let Erasure { requested_at, party: named, .. } = &receipt.erasure;
        if to_sql(*requested_at) == height && named.as_bytes()[..] == party {
            Ok(receipt)
        } else {
            Err("it is for another request".to_owned())
        }
    }

    pub(crate) fn insert(&self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        let (height, receipt) = (to_sql(self.erasure.requested_at), bytes(self));
        let party = self.erasure.party.as_bytes().to_vec();
        let digest = digest(TABLE, &[&height.to_be_bytes(), &party, &receipt]);
        let query = "INSERT OR REPLACE INTO erasure_receipts (height, party, receipt, digest) \
                     VALUES (?, ?, ?, ?)";
        sqlx::query(query).bind(height).bind(party).bind(receipt).bind(digest)
    }
}

fn signed_bytes(erasure: &Erasure, chain: &ChainId) -> Vec<u8> {
    let mut message = signing_prefix(DOMAIN, chain);
    message.extend(bytes(erasure));
    message
}

impl Database {
    pub(crate) async fn erasures(
        &self,
        chain: &ChainId,
    ) -> Result<Vec<ErasureReceipt>, StoreError> {
        let query =
            "SELECT height, party, receipt, digest FROM erasure_receipts ORDER BY height, party";
        let rows = self.rows("read erasures", sqlx::query(query)).await?;
        let read = |row| {
            ErasureReceipt::read(row, chain).map_err(|problem| {
                let height = row.try_get::<i64, _>("height").map_or(0, from_sql);
                self.corrupt(Finding::at(TABLE, height, problem))
            })
        };
        rows.iter().map(read).collect()
    }
}
