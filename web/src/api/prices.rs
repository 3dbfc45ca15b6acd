//! Clearing prices over time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::input::{Asked, INSTANT, Question, Sent, money, price};
use crate::api::problem::Problem;
use crate::api::tariff::{SupplierPrices, running};
use crate::site::Site;

const DAY_MS: i64 = 86_400_000;

/// The longest span that is answered: 31 days.
const SPAN_MAX_MS: i64 = 31 * DAY_MS;

/// From when to when.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Span {
    /// Delivery periods that start from here on, ms UTC; 24 hours before the end if left out.
    from_ms: Option<i64>,
    /// Delivery periods that start before this, ms UTC. If both are left out, from 24 hours ago
    /// to the last cleared period; if only this is left out, 24 hours after `from_ms`.
    to_ms: Option<i64>,
}

impl Question for Span {
    const NAMES: &'static [&'static str] = &["from_ms", "to_ms"];

    fn read(sent: &Sent) -> Result<Self, Problem> {
        let (from_ms, to_ms) =
            (sent.optional("from_ms", INSTANT)?, sent.optional("to_ms", INSTANT)?);
        if let (Some(from_ms), Some(to_ms)) = (from_ms, to_ms) {
            check_span(from_ms, to_ms)?;
        }
        Ok(Self { from_ms, to_ms })
    }
}

fn check_span(from_ms: i64, to_ms: i64) -> Result<(), Problem> {
    if (from_ms..=from_ms.saturating_add(SPAN_MAX_MS)).contains(&to_ms) {
        return Ok(());
    }
    Err(Problem::bad_request(format!(
        "to_ms must be at or after from_ms and at most 31 days ({SPAN_MAX_MS} ms) later, but \
         from_ms is {from_ms} and to_ms is {to_ms}."
    )))
}

/// Clearing prices and the tariffs beside them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Prices {
    /// The supplier's prices now.
    #[serde(flatten)]
    supplier: SupplierPrices,
    /// The cleared delivery periods, in order.
    periods: Vec<PeriodPrice>,
}

/// A cleared delivery period, all of its gates together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PeriodPrice {
    /// When delivery starts, ms UTC.
    period_start_ms: i64,
    /// What buyers pay per kWh on average, of the last gate at which something was traded; null if
    /// nothing was.
    #[schema(required)]
    price: Option<String>,
    /// What sellers get per kWh on average, of the same gate; null if nothing was traded.
    #[schema(required)]
    seller_price: Option<String>,
    /// How much was traded.
    volume_wh: i64,
    /// What it was worth to all together.
    welfare: String,
    /// The supplier's prices in the delivery period.
    #[serde(flatten)]
    supplier: SupplierPrices,
}

/// Clearing prices over time.
#[utoipa::path(
    get,
    path = "/prices",
    tag = "market",
    params(Span),
    responses(
        (status = OK, body = Prices),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn prices(
    State(site): State<Arc<Site>>,
    Asked(span): Asked<Span>,
) -> Result<Json<Prices>, Problem> {
    let (from_ms, to_ms) = match (span.from_ms, span.to_ms) {
        // Gates close before delivery, so the newest price is one of the future.
        (None, None) => (site.now().as_millis().saturating_sub(DAY_MS), i64::MAX),
        (Some(from_ms), None) => (from_ms, from_ms.saturating_add(DAY_MS)),
        (None, Some(to_ms)) => (to_ms.saturating_sub(DAY_MS), to_ms),
        (Some(from_ms), Some(to_ms)) => (from_ms, to_ms),
    };
    let found = site.model.prices(from_ms, to_ms).await?;
    let state = site.live.tip().state;
    let rules = state.rules();
    let period = |(period, found): (
        &market::time::DeliveryPeriod,
        &crate::read_model::query::clearings::PeriodPrice,
    )| PeriodPrice {
        period_start_ms: period.start().as_millis(),
        price: found.price.map(price),
        seller_price: found.seller_price.map(price),
        volume_wh: found.volume.wh(),
        welfare: money(found.welfare),
        supplier: SupplierPrices::of(&rules.rates(*period)),
    };
    Ok(Json(Prices {
        supplier: SupplierPrices::of(&rules.rates(running(&site)?)),
        periods: found.iter().map(period).collect(),
    }))
}
