//! For machines that watch: is it well, and what does it measure.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use crate::api::problem::Problem;
use crate::site::Site;
use crate::status::Going;

/// 200 while blocks come in or are awaited for the first time; 503 with the reason otherwise.
pub(crate) async fn healthz(State(site): State<Arc<Site>>) -> Response {
    let status = site.status();
    match status.state {
        Going::Halted => Problem::unavailable(status.detail.en).into_response(),
        Going::Live | Going::CatchingUp | Going::Waiting => {
            format!("ok: {}\n", status.detail.en).into_response()
        }
    }
}

/// All metrics as Prometheus reads them.
pub(crate) async fn metrics(State(site): State<Arc<Site>>) -> Response {
    let text = site.metrics.text(&site.status(), site.events.listeners_count());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
}
