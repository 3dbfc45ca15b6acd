//! One household's trades for one local day.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ledger::state::State as LedgerState;
use market::trade::Path;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::households::{EnergyOrigin, OrderSide};
use crate::api::input::{Asked, Named, OnDate, household, money, price};
use crate::api::problem::Problem;
use crate::api::receipts::receipt_path;
use crate::read_model::query::households::OwnTrade;
use crate::site::Site;
use crate::words::zone_label;

/// A trade as the household sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HouseholdTrade {
    /// When delivery starts, ms UTC.
    period_start_ms: i64,
    /// Whether the household buys or sells.
    side: OrderSide,
    /// How much.
    energy_wh: i64,
    /// What the seller gets per kWh.
    seller_price: String,
    /// What the buyer pays per kWh.
    buyer_price: String,
    /// What the household pays or gets in all.
    amount: String,
    /// The wheeling charges on the way, to the grid operator; the buyer pays them.
    charge: String,
    /// The congestion rent, to the community; the buyer pays it.
    rent: String,
    /// What people call the zones on the way: the seller's, the highest, the buyer's, each once.
    path: Vec<String>,
    /// The neighbour.
    counterparty: String,
    /// What the energy is made of, as the seller declared.
    #[schema(required)]
    origin: Option<EnergyOrigin>,
    /// How far it has come.
    state: TradeState,
    /// The block in which it stands.
    height: u64,
    /// Where its receipt is.
    receipt: String,
}

/// How far a trade has come.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TradeState {
    /// Agreed, not delivered or not metered yet.
    Cleared,
    /// Delivered and counted by the household's own meter, but not settled yet.
    Metered,
    /// Compared with the meters; corrections are possible.
    Settled,
    /// Settled, and no reading can change it any more.
    Final,
}

/// One household's trades for delivery on one local day.
#[utoipa::path(
    get,
    path = "/households/{party}/trades",
    tag = "households",
    params(("party" = String, Path, description = "32 hexadecimal digits", pattern = "^[0-9A-Fa-f]{32}$"), OnDate),
    responses(
        (status = OK, body = Vec<HouseholdTrade>),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn trades(
    State(site): State<Arc<Site>>,
    Named(path): Named,
    Asked(asked): Asked<OnDate>,
) -> Result<Json<Vec<HouseholdTrade>>, Problem> {
    let (party, _) = household(&site, &path)?;
    let day = asked.day(&site)?;
    let trades = site.model.trades_of(&party, &day).await?;
    let state = site.live.tip().state;
    Ok(Json(trades.iter().map(|trade| shown(trade, &state)).collect()))
}

/// The zones on the way, without repeating one where the way begins or ends at its highest.
fn path(trade: &OwnTrade, ledger: &LedgerState) -> Vec<String> {
    let Path { from, over, to } = trade.path;
    let mut way = vec![from, over, to];
    way.dedup();
    let zones = ledger.zones().during(trade.period);
    way.into_iter().map(|zone| zone_label(zones, zone)).collect()
}

fn shown(trade: &OwnTrade, ledger: &LedgerState) -> HouseholdTrade {
    let state = if ledger.time() >= ledger.rules().final_at(trade.period) {
        TradeState::Final
    } else if trade.settled {
        TradeState::Settled
    } else if trade.metered {
        TradeState::Metered
    } else {
        TradeState::Cleared
    };
    HouseholdTrade {
        period_start_ms: trade.period.start().as_millis(),
        side: trade.side.into(),
        energy_wh: trade.energy.wh(),
        seller_price: price(trade.seller_price),
        buyer_price: price(trade.buyer_price),
        amount: money(trade.amount),
        charge: money(trade.charge),
        rent: money(trade.rent),
        path: path(trade, ledger),
        counterparty: trade.counterparty.to_string(),
        origin: trade.origin.map(EnergyOrigin::from),
        state,
        height: trade.height,
        receipt: receipt_path(trade.height, trade.index),
    }
}
