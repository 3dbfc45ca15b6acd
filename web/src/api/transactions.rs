//! One transaction, by its hash.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use ledger::acts::Signer;
use ledger::block::CommittedBlock;
use ledger::receipt::Receipt;
use ledger::transaction::Transaction;
use market::hash::Digest;
use market::member::PartyId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Viewer, may_look_at};
use crate::api::blocks::detail::{BlockTransaction, transaction_shown};
use crate::api::input::{Named, Sent};
use crate::api::problem::Problem;
use crate::api::receipts::file;
use crate::site::Site;

/// A transaction and where it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransactionDetail {
    /// What was said.
    #[serde(flatten)]
    transaction: BlockTransaction,
    /// The block that carries it.
    height: u64,
    /// Its place among the block's transactions, from 0.
    index: u64,
    /// The block's time, ms UTC.
    time_ms: i64,
    /// The block's hash, hexadecimal.
    block: String,
    /// Where its receipt is; null unless the asker may know all that was said, because it holds
    /// that.
    #[schema(required)]
    receipt: Option<String>,
}

/// Who said it, if it was a household. What operators and newcomers say may name any household.
fn speaker(transaction: &Transaction) -> Option<PartyId> {
    match transaction.subject().0.signer() {
        Signer::Party(party) => Some(party),
        Signer::Operator(_) | Signer::Invitation(_) => None,
    }
}

struct Found {
    committed: CommittedBlock,
    height: u64,
    index: u64,
    place: usize,
}

async fn find(site: &Site, path: &Sent) -> Result<Found, Problem> {
    let hash: Digest = path.required("hash", "64 hexadecimal digits")?;
    let none = || Problem::not_found(format!("No block carries the transaction {hash}."));
    let place = site.model.transaction_place(&hash.to_string()).await?;
    let (height, index) = place.ok_or_else(none)?;
    let committed = site.model.committed(height).await?.ok_or_else(none)?;
    let place = usize::try_from(index).map_err(|_| none())?;
    Ok(Found { committed, height, index, place })
}

/// One transaction.
#[utoipa::path(
    get,
    path = "/transactions/{hash}",
    tag = "ledger",
    params(("hash" = String, Path, description = "64 hexadecimal digits", pattern = "^[0-9A-Fa-f]{64}$")),
    responses(
        (status = OK, body = TransactionDetail),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn transaction(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Named(path): Named,
) -> Result<Json<TransactionDetail>, Problem> {
    let Found { committed, height, index, place } = find(&site, &path).await?;
    let block = &committed.block;
    let none = || Problem::not_found(format!("Block {height} carries no transaction {index}."));
    let transaction = block.transactions.get(place).ok_or_else(none)?;
    let hash = transaction.hash();
    let told_all = speaker(transaction).map_or(viewer.sees_all(), |party| viewer.sees(&party));
    Ok(Json(TransactionDetail {
        transaction: transaction_shown(&viewer, transaction),
        height,
        index,
        time_ms: block.header.time.as_millis(),
        block: block.hash().to_string(),
        receipt: told_all.then(|| format!("/api/v1/transactions/{hash}/receipt")),
    }))
}

/// The receipt of a transaction, for `hidamari verify receipt`: for the household that said it, and
/// for operators.
#[utoipa::path(
    get,
    path = "/transactions/{hash}/receipt",
    operation_id = "transaction_receipt",
    tag = "ledger",
    params(("hash" = String, Path, description = "64 hexadecimal digits", pattern = "^[0-9A-Fa-f]{64}$")),
    responses(
        (status = OK, body = Object, content_type = "application/json"),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn receipt(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Named(path): Named,
) -> Result<Response, Problem> {
    let Found { committed, height, index, place } = find(&site, &path).await?;
    let none = || Problem::not_found(format!("Block {height} carries no transaction {index}."));
    let transaction = committed.block.transactions.get(place).ok_or_else(none)?;
    let (hash, speaker) = (transaction.hash(), speaker(transaction));
    let told_all = match speaker {
        Some(party) => may_look_at(&site, &viewer, &party).await?,
        None => viewer.sees_all(),
    };
    if !told_all {
        return Err(Problem::not_found(format!(
            "There is no receipt of the transaction {hash} for you: the household that said it \
             can have it, and operators."
        )));
    }
    let handovers = site.model.handovers_below(&site.genesis, height).await?;
    let receipt = Receipt::of_transaction(&committed, place, &handovers).ok_or_else(none)?;
    file(&receipt, &format!("receipt-{height}-transaction-{index}.json"))
}
