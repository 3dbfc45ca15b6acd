//! Receipts: one result of a block, provable offline.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use ledger::posting::Account;
use ledger::receipt::Receipt;
use ledger::results::ResultLeaf;

use crate::api::input::{Named, WHOLE, no_such_block};
use crate::api::problem::Problem;
use crate::site::Site;

/// The receipt of one result of a block, for `hidamari verify receipt`.
#[utoipa::path(
    get,
    path = "/receipts/{height}/{index}",
    tag = "ledger",
    params(
        ("height" = u64, Path, description = "The block"),
        ("index" = u64, Path, description = "The place among the block's results, from 0")
    ),
    responses(
        (status = OK, body = String, content_type = "application/json"),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = FORBIDDEN, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn receipt(
    State(site): State<Arc<Site>>,
    Named(path): Named,
) -> Result<Response, Problem> {
    let height: u64 = path.required("height", WHOLE)?;
    let index: u64 = path.required("index", WHOLE)?;
    let found = site.model.block_with_results(height).await?;
    let (committed, results) = found.ok_or_else(|| no_such_block(&site, height))?;
    let none = || {
        let count = results.len();
        Problem::not_found(format!(
            "index must be below {count}, the number of results of block {height}, but it is \
             {index}."
        ))
    };
    let place = usize::try_from(index).map_err(|_| none())?;
    let leaf = results.get(place).ok_or_else(none)?;
    if names_a_party(leaf) && !site.shows_households() {
        return Err(Problem::households_closed());
    }
    let handovers = site.model.handovers_below(&site.genesis, height).await?;
    let receipt = Receipt::of_result(&committed, &results, place, &handovers).ok_or_else(none)?;
    file(&receipt, &format!("receipt-{height}-{index}.json"))
}

/// A receipt as a file of a name.
pub(crate) fn file(receipt: &Receipt, name: &str) -> Result<Response, Problem> {
    let name = format!("attachment; filename=\"{name}\"");
    let name = HeaderValue::from_str(&name).map_err(|error| Problem::internal(&error))?;
    let kind = HeaderValue::from_static("application/json");
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, receipt.to_json()).into_response())
}

/// Where a receipt is found.
pub(crate) fn receipt_path(height: u64, index: u64) -> String {
    format!("/api/v1/receipts/{height}/{index}")
}

/// Whether a result says something about a household.
pub(crate) fn names_a_party(leaf: &ResultLeaf) -> bool {
    let party = |account: &Account| matches!(account, Account::Party(_));
    match leaf {
        ResultLeaf::Clearing(_) | ResultLeaf::CommunitySettled(_) => false,
        ResultLeaf::Trade(_)
        | ResultLeaf::Answer(_)
        | ResultLeaf::Settled(_)
        | ResultLeaf::Certificate(_) => true,
        ResultLeaf::Posting(posting) => party(&posting.debit) || party(&posting.credit),
    }
}
