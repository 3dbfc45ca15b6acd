//! Receipts: one result of a block, provable offline.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use ledger::posting::Account;
use ledger::receipt::Receipt;
use ledger::results::ResultLeaf;
use market::member::PartyId;

use crate::access::{Viewer, note};
use crate::accounts::Action;
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
    if !is_shown(leaf, &viewer) {
        note_each(&site, &viewer, Action::DeniedHousehold, leaf).await?;
        return Err(none());
    }
    if viewer.is_operator() {
        note_each(&site, &viewer, Action::SawHousehold, leaf).await?;
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

/// Whether a result is shown: if it names no household, or one that the viewer may see.
pub(crate) fn is_shown(leaf: &ResultLeaf, viewer: &Viewer) -> bool {
    let parties = parties(leaf);
    parties.is_empty() || parties.iter().any(|party| viewer.sees(party))
}

/// The households that a result says something about.
fn parties(leaf: &ResultLeaf) -> Vec<PartyId> {
    let party = |account: &Account| match account {
        Account::Party(party) => Some(*party),
        _ => None,
    };
    match leaf {
        ResultLeaf::Clearing(_) | ResultLeaf::CommunitySettled(_) => Vec::new(),
        ResultLeaf::Trade(trade) => vec![trade.seller, trade.buyer],
        ResultLeaf::Answer(answer) => vec![answer.party],
        ResultLeaf::Settled(settled) => vec![settled.party],
        ResultLeaf::Certificate(one) => vec![one.producer, one.consumer],
        ResultLeaf::Posting(posting) => {
            [&posting.debit, &posting.credit].into_iter().filter_map(party).collect()
        }
    }
}

/// Notes what became of somebody's asking for a receipt, for each household that it names.
async fn note_each(
    site: &Site,
    viewer: &Viewer,
    action: Action,
    leaf: &ResultLeaf,
) -> Result<(), Problem> {
    for party in parties(leaf) {
        note(site, viewer, action, &party).await?;
    }
    Ok(())
}
