//! What is going on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::site::Site;
use crate::status::Status;

/// What is going on now.
#[utoipa::path(get, path = "/status", tag = "community", responses((status = OK, body = Status)))]
pub(crate) async fn status(State(site): State<Arc<Site>>) -> Json<Status> {
    Json(site.status())
}
