//! The genesis file, against which receipts are checked.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use crate::site::Site;

/// The genesis file as this dashboard read it. It names every party, so it is handed out to members,
/// who have it anyway.
#[utoipa::path(
    get,
    path = "/genesis",
    tag = "ledger",
    responses((status = OK, body = String, content_type = "text/plain"))
)]
pub(crate) async fn genesis(State(site): State<Arc<Site>>) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], site.genesis_text.clone()).into_response()
}
