//! Auctions: demand, supply, where they cross, and what flows between the zones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ledger::state::State as LedgerState;
use market::clearing::{EdgeResult, ZoneResult};
use market::energy::Energy;
use market::order::Side;
use market::price::Price;
use market::zone::{Edge, ZoneId, ZoneTree};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{HOUSEHOLDS_MIN, Viewer};
use crate::api::input::{INSTANT, Named, money, price};
use crate::api::problem::Problem;
use crate::api::tariff::SupplierPrices;
use crate::read_model::query::clearings::Clearing;
use crate::site::Site;
use crate::words::zone_label;

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
    /// What buyers pay per kWh on average, charges included; null if no bid reached any offer.
    #[schema(required)]
    price: Option<String>,
    /// What sellers get per kWh on average; null if no bid reached any offer.
    #[schema(required)]
    seller_price: Option<String>,
    /// How much was traded.
    volume_wh: i64,
    /// What it was worth to all together.
    welfare: String,
    /// The supplier's prices in the delivery period.
    #[serde(flatten)]
    supplier: SupplierPrices,
    /// The zones, by number; to the public only those of at least five households.
    zones: Vec<AuctionZone>,
    /// The edge above each zone but the root, by number; to the public only those with at least
    /// five households on either side.
    edges: Vec<AuctionEdge>,
    /// Bids by falling limit; to the public none, for a step is one household's order.
    demand: Vec<Step>,
    /// Offers by rising limit; to the public none.
    supply: Vec<Step>,
    /// How many bids there were.
    bids_count: u64,
    /// How many offers there were.
    offers_count: u64,
}

/// What an auction decided for one zone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuctionZone {
    /// Its number.
    zone: u16,
    /// What people call it.
    label: String,
    /// The clearing price per kWh; null if nothing was traded in the zone or conveyed through it.
    #[schema(required)]
    price: Option<String>,
    /// Bought by orders of this zone.
    bought_wh: i64,
    /// Sold by orders of this zone.
    sold_wh: i64,
}

/// What an auction decided for the edge between a zone and the one above it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuctionEdge {
    /// The zone below the edge.
    zone: u16,
    /// What people call it.
    label: String,
    /// What people call the zone above.
    parent_label: String,
    /// What flows over it: positive towards the zone above, negative away from it.
    flow_wh: i64,
    /// The most that may flow up: what earlier gates of the period have left of the capacity; null
    /// without a limit.
    #[schema(required)]
    capacity_up_wh: Option<i64>,
    /// The most that may flow down: what earlier gates of the period have left of the capacity; null
    /// without a limit.
    #[schema(required)]
    capacity_down_wh: Option<i64>,
    /// Whether no more can flow in the direction of the flow.
    full: bool,
    /// What the grid operator takes per kWh.
    charge_per_kwh: String,
    /// The wheeling charges of the trades that cross it, to the grid operator.
    charge: String,
    /// Their congestion rent, to the community; zero unless the edge is full.
    rent: String,
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
pub(crate) async fn latest(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
) -> Result<Json<Auction>, Problem> {
    let clearing = site.model.latest_clearing().await?;
    let none = || Problem::not_found("No auction has been cleared yet; try again after a gate.");
    auction(&site, &viewer, clearing.ok_or_else(none)?).await
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
    viewer: Viewer,
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
    auction(&site, &viewer, clearing.ok_or_else(none)?).await
}

async fn auction(
    site: &Site,
    viewer: &Viewer,
    clearing: Clearing,
) -> Result<Json<Auction>, Problem> {
    let state = site.live.tip().state;
    let (mut demand, mut supply) = (Vec::new(), Vec::new());
    let (mut zones, mut edges) =
        (site.model.zones(&clearing).await?, site.model.edges(&clearing).await?);
    if viewer.is_member() {
        demand = site.model.steps(&clearing, Side::Buy).await?;
        supply = site.model.steps(&clearing, Side::Sell).await?;
    } else {
        // A step of the curves is one household's order, and a small zone's sums are a few
        // households' trades.
        let told = large_zones(&state, state.zones().during(clearing.period));
        zones.retain(|result| told.own.contains(&result.zone));
        edges.retain(|result| told.with_those_below.contains(&result.zone));
    }
    let earlier = site.model.earlier_flows(&clearing).await?;
    let tree = state.zones().during(clearing.period).after(&earlier);
    Ok(Json(Auction {
        period_start_ms: clearing.period.start().as_millis(),
        gate: clearing.gate.0,
        height: clearing.height,
        closed_at_ms: clearing.closed_at.as_millis(),
        price: clearing.price.map(price),
        seller_price: clearing.seller_price.map(price),
        volume_wh: clearing.volume.wh(),
        welfare: money(clearing.welfare),
        supplier: SupplierPrices::of(&state.rules().rates(clearing.period)),
        zones: zones.iter().map(|result| zone(&tree, result)).collect(),
        edges: edges.iter().filter_map(|result| edge(&tree, result)).collect(),
        demand: demand.into_iter().map(step).collect(),
        supply: supply.into_iter().map(step).collect(),
        bids_count: clearing.bids_count,
        offers_count: clearing.offers_count,
    }))
}

/// Zones whose sums name nobody.
struct LargeZones {
    /// Those in which enough households are.
    own: BTreeSet<ZoneId>,
    /// Those that have enough households in them and below, and outside too: what flows over their
    /// edge is the sum of either side.
    with_those_below: BTreeSet<ZoneId>,
}

fn large_zones(state: &LedgerState, tree: &ZoneTree) -> LargeZones {
    let (mut own, mut below) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, usize>::new());
    let members = state.members().values().filter(|member| member.is_active());
    let mut total = 0_usize;
    for member in members {
        total += 1;
        *own.entry(member.zone).or_default() += 1;
        let mut zone = Some(member.zone);
        while let Some(at) = zone {
            *below.entry(at).or_default() += 1;
            zone = tree.zone(at).and_then(|found| found.edge).map(|edge| edge.parent);
        }
    }
    let outside = |count: usize| total.saturating_sub(count);
    let large = |count: usize| count >= HOUSEHOLDS_MIN;
    LargeZones {
        own: own.into_iter().filter(|(_, count)| large(*count)).map(|(zone, _)| zone).collect(),
        with_those_below: below
            .into_iter()
            .filter(|(_, count)| large(*count) && large(outside(*count)))
            .map(|(zone, _)| zone)
            .collect(),
    }
}

fn zone(tree: &ZoneTree, result: &ZoneResult) -> AuctionZone {
    AuctionZone {
        zone: result.zone.0,
        label: zone_label(tree, result.zone),
        price: result.price.map(price),
        bought_wh: result.bought.wh(),
        sold_wh: result.sold.wh(),
    }
}

fn edge(tree: &ZoneTree, result: &EdgeResult) -> Option<AuctionEdge> {
    let edge = tree.zone(result.zone)?.edge?;
    Some(AuctionEdge {
        zone: result.zone.0,
        label: zone_label(tree, result.zone),
        parent_label: zone_label(tree, edge.parent),
        flow_wh: result.flow.wh(),
        capacity_up_wh: edge.capacity_up.map(Energy::wh),
        capacity_down_wh: edge.capacity_down.map(Energy::wh),
        full: is_full(&edge, result.flow),
        charge_per_kwh: price(edge.charge),
        charge: money(result.charge),
        rent: money(result.rent),
    })
}

fn is_full(edge: &Edge, flow: Energy) -> bool {
    let reached = |capacity: Option<Energy>, flow_wh: i64| {
        capacity.is_some_and(|capacity| flow_wh >= capacity.wh())
    };
    let (up, down) = (flow.wh(), flow.wh().saturating_neg());
    (up >= 0 && reached(edge.capacity_up, up)) || (down >= 0 && reached(edge.capacity_down, down))
}

fn step((limit, energy): (Price, Energy)) -> Step {
    Step { limit: price(limit), energy_wh: energy.wh() }
}
