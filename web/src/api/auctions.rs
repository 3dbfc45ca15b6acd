//! Auctions: demand, supply and where they cross.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use market::energy::Energy;
use market::order::Side;
use market::price::Price;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::input::{INSTANT, Named, money, price};
use crate::api::problem::Problem;
use crate::read_model::query::clearings::Clearing;
use crate::site::Site;

/// A cleared gate with its demand and supply.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Auction {
    /// When delivery starts, ms UTC.
    period_start_ms: i64,
    /// Which gate of the period, from 0.
    gate: u8,
    /// The block in which it was cleared.
    height: u64,
    /// When the gate closed, ms UTC.
    closed_at_ms: i64,
    /// The clearing price per kWh; null if no bid reached any offer.
    #[schema(required)]
    price: Option<String>,
    /// How much was traded.
    volume_wh: i64,
    /// What it was worth to all together.
    welfare: String,
    /// The supplier's price for energy drawn, per kWh.
    retail: String,
    /// The supplier's price for energy fed in, per kWh.
    feed_in: String,
    /// Bids by falling limit.
    demand: Vec<Step>,
    /// Offers by rising limit.
    supply: Vec<Step>,
    /// How many bids there were.
    bids_count: u64,
    /// How many offers there were.
    offers_count: u64,
}

/// All energy at one limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Step {
    /// Per kWh.
    limit: String,
    /// At exactly this limit.
    energy_wh: i64,
}

/// The last auction.
#[utoipa::path(
    get,
    path = "/auctions/latest",
    tag = "market",
    responses(
        (status = OK, body = Auction),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn latest(State(site): State<Arc<Site>>) -> Result<Json<Auction>, Problem> {
    let clearing = site.model.latest_clearing().await?;
    let none = || Problem::not_found("No auction has been cleared yet; try again after a gate.");
    auction(&site, clearing.ok_or_else(none)?).await
}

/// The auction of a delivery period: its last cleared gate.
#[utoipa::path(
    get,
    path = "/auctions/{period_start_ms}",
    tag = "market",
    params(("period_start_ms" = i64, Path, description = "When delivery starts, ms UTC")),
    responses(
        (status = OK, body = Auction),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn of_period(
    State(site): State<Arc<Site>>,
    Named(path): Named,
) -> Result<Json<Auction>, Problem> {
    let period_start_ms = path.required("period_start_ms", INSTANT)?;
    let clearing = site.model.clearing_of(period_start_ms).await?;
    let none = || {
        Problem::not_found(format!(
            "period_start_ms must be the start of a delivery period that has been cleared, but it \
             is {period_start_ms}; /api/v1/prices lists those that have."
        ))
    };
    auction(&site, clearing.ok_or_else(none)?).await
}

async fn auction(site: &Site, clearing: Clearing) -> Result<Json<Auction>, Problem> {
    let demand = site.model.steps(&clearing, Side::Buy).await?;
    let supply = site.model.steps(&clearing, Side::Sell).await?;
    let tariffs = site.genesis.rules.tariffs;
    Ok(Json(Auction {
        period_start_ms: clearing.period.start().as_millis(),
        gate: clearing.gate.0,
        height: clearing.height,
        closed_at_ms: clearing.closed_at.as_millis(),
        price: clearing.price.map(price),
        volume_wh: clearing.volume.wh(),
        welfare: money(clearing.welfare),
        retail: price(tariffs.retail),
        feed_in: price(tariffs.feed_in),
        demand: demand.into_iter().map(step).collect(),
        supply: supply.into_iter().map(step).collect(),
        bids_count: clearing.bids_count,
        offers_count: clearing.offers_count,
    }))
}

fn step((limit, energy): (Price, Energy)) -> Step {
    Step { limit: price(limit), energy_wh: energy.wh() }
}
