//! The event stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use ledger::results::ClearingSummary;
use serde::Serialize;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _, once};
use utoipa::ToSchema;

use crate::api::input::price;
use crate::api::problem::Problem;
use crate::site::Site;

/// How often something is sent when nothing happens, so that dead connections are noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// Event `block`: a block was verified.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockEvent {
    /// Its height.
    pub(crate) height: u64,
    /// Its time, ms UTC.
    pub(crate) time_ms: i64,
    /// Its hash, hexadecimal.
    pub(crate) hash: String,
    /// How many transactions it carries.
    pub(crate) transactions_count: usize,
}

/// Event `cleared`: a gate was cleared.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClearedEvent {
    /// When delivery starts, ms UTC.
    period_start_ms: i64,
    /// Which gate of the period, from 0.
    gate: u8,
    /// The clearing price per kWh; null if no bid reached any offer.
    #[schema(required)]
    price: Option<String>,
    /// How much was traded.
    volume_wh: i64,
}

impl ClearedEvent {
    /// Of a clearing.
    pub(crate) fn of(clearing: &ClearingSummary) -> Self {
        Self {
            period_start_ms: clearing.period.start().as_millis(),
            gate: clearing.gate.0,
            price: clearing.price.map(price),
            volume_wh: clearing.volume.wh(),
        }
    }
}

/// Event `settled`: a delivery period was settled, or settled anew.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettledEvent {
    /// When its delivery started, ms UTC.
    pub(crate) period_start_ms: i64,
}

/// What happens, as it happens: events `block` (BlockEvent), `cleared` (ClearedEvent), `settled`
/// (SettledEvent) and `status` (Status). The first three carry ids; `Last-Event-ID` replays what
/// was missed, for the last few hundred. An event `reconnect` ends the stream when the listener is
/// too slow or the dashboard stops.
#[utoipa::path(
    get,
    path = "/events",
    tag = "community",
    params(("Last-Event-ID" = Option<String>, Header, description = "The last event received")),
    responses(
        (status = OK, body = String, content_type = "text/event-stream"),
        (status = SERVICE_UNAVAILABLE, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn events(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let queue = site.events.listen(last_id).map_err(|error| {
        Problem::unavailable(format!("Try again later, or close other pages: {error}."))
    })?;
    let first = Event::default().retry(RETRY).event("status");
    let first = first.data(serde_json::to_string(&site.status()).unwrap_or_default());
    let site_of_ids = Arc::clone(&site);
    let told = ReceiverStream::new(queue).map(move |event| {
        let sent = Event::default().event(event.name).data(&event.data);
        match site_of_ids.events.id_of(&event) {
            Some(id) => sent.id(id),
            None => sent,
        }
    });
    let last = Event::default().event("reconnect").data("{}");
    let stream = once(first).chain(told).chain(once(last)).map(Ok);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
