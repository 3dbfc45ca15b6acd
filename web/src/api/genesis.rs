//! The genesis file, against which receipts are checked.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use crate::api::problem::Problem;
use crate::site::Site;

/// The genesis file as this dashboard read it. It names every party, so it is handed out only
/// where households are shown; elsewhere the operator hands it out.
#[utoipa::path(
    get,
    path = "/genesis",
    tag = "ledger",
    responses(
        (status = OK, body = String, content_type = "text/plain"),
        (status = FORBIDDEN, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn genesis(State(site): State<Arc<Site>>) -> Result<Response, Problem> {
    if !site.shows_households() {
        return Err(Problem::households_closed());
    }
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], site.genesis_text.clone()).into_response())
}
