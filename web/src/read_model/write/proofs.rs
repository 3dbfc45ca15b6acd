//! What blocks can be found and proved by.

use crate::read_model::QueryError;
use crate::read_model::projection::BlockRows;
use crate::read_model::write::{Tx, bytes, length};

pub(super) async fn write_transactions(
    tx: &mut Tx<'_>,
    height: i64,
    rows: &BlockRows,
) -> Result<(), QueryError> {
    for (place, transaction) in rows.committed.block.transactions.iter().enumerate() {
        sqlx::query("INSERT INTO transactions (height, place, hash) VALUES ($1, $2, $3)")
            .bind(height)
            .bind(length(place)?)
            .bind(transaction.hash().to_string())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Keeps the validators of the next height where they are others than before.
pub(super) async fn write_validators(
    tx: &mut Tx<'_>,
    height: i64,
    rows: &BlockRows,
) -> Result<(), QueryError> {
    let hash = rows.validators.hash().to_string();
    let before: Option<String> =
        sqlx::query_scalar("SELECT hash FROM validator_sets ORDER BY height DESC LIMIT 1")
            .fetch_optional(&mut **tx)
            .await?;
    if before.as_ref() == Some(&hash) {
        return Ok(());
    }
    sqlx::query("INSERT INTO validator_sets (height, hash, validators) VALUES ($1, $2, $3)")
        .bind(height)
        .bind(hash)
        .bind(bytes(&rows.validators)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
