//! The neighbourhood now: the last settled delivery period.

mod balance;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{HOUSEHOLDS_MIN, Viewer};
use crate::api::households::day::is_estimated;
use crate::api::input::{money, price, today};
use crate::api::now::balance::Balance;
use crate::api::problem::Problem;
use crate::read_model::query::now::Home;
use crate::site::Site;

/// The last settled delivery period, and today so far. Null before the first settlement.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Now {
    /// When it started, ms UTC.
    #[schema(required)]
    period_start_ms: Option<i64>,
    /// When it ended, ms UTC.
    #[schema(required)]
    period_end_ms: Option<i64>,
    /// The clearing price per kWh; null if nobody traded.
    #[schema(required)]
    price: Option<String>,
    /// Where the energy came from and went; flows of nothing are left out. The public is told no
    /// origins while an origin is that of fewer than five homes: all of them are `other` then. All flows into homes
    /// together are `imported_wh`, all flows from solar, battery and other are `exported_wh`.
    flows: Vec<Flow>,
    /// Drawn from the grid by all homes.
    #[schema(required)]
    imported_wh: Option<i64>,
    /// Fed into the grid by all homes.
    #[schema(required)]
    exported_wh: Option<i64>,
    /// What neighbours delivered to each other as traded.
    #[schema(required)]
    neighbours_wh: Option<i64>,
    /// The share of the homes' import that neighbours covered, 0 to 1; null if there was none.
    #[schema(required, minimum = 0, maximum = 1)]
    self_sufficiency: Option<f64>,
    /// The homes that the asker may see.
    homes: Vec<HomeNow>,
    /// Traded between neighbours for the settled periods of the local day.
    #[schema(required)]
    energy_today_wh: Option<i64>,
    /// By how much all together are better off today than with the supplier alone.
    #[schema(required)]
    saved_today: Option<String>,
    /// How many trades that was.
    #[schema(required)]
    trades_today_count: Option<u64>,
    /// How many delivery periods have been both cleared and settled since genesis.
    settled_periods_count: u64,
}

/// Energy from one place to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Flow {
    /// Where it came from: what its seller declared, `other` if nothing.
    pub(crate) from: FlowFrom,
    /// Where it went.
    pub(crate) to: FlowTo,
    /// How much; above 0.
    pub(crate) energy_wh: i64,
}

/// Where energy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FlowFrom {
    /// Straight from roofs.
    Solar,
    /// From batteries.
    Battery,
    /// From homes that did not say.
    Other,
    /// From the supplier.
    Grid,
}

/// Where energy goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FlowTo {
    /// Into homes.
    Homes,
    /// To the supplier.
    Grid,
}

/// A home in the last settled delivery period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HomeNow {
    /// Its identifier.
    party: String,
    /// Where it sits in the grid.
    zone: u16,
    /// Drawn from the grid.
    imported_wh: i64,
    /// Fed into the grid.
    exported_wh: i64,
    /// Bought from neighbours.
    bought_wh: i64,
    /// Sold to neighbours.
    sold_wh: i64,
    /// Whether the figures rest on an estimate.
    estimated: bool,
}

/// The neighbourhood now.
#[utoipa::path(get, path = "/now", tag = "community", responses((status = OK, body = Now)))]
pub(crate) async fn now(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
) -> Result<Json<Now>, Problem> {
    let Some(period) = site.model.last_settled().await? else { return Ok(Json(Now::default())) };
    let homes = site.model.homes(period).await?;
    // A community that was smaller then than it is now had sums that name somebody.
    if homes.len() < HOUSEHOLDS_MIN && !viewer.is_member() {
        return Ok(Json(Now::default()));
    }
    let balance = Balance::of(&homes)?;
    let flows = if viewer.is_member() { balance.flows()? } else { balance.public_flows()? };
    let (start_ms, end_ms) = (period.start().as_millis(), period.end().as_millis());
    let prices = site.model.prices(start_ms, end_ms).await?;
    let day = site.model.day_totals(&today(&site)?).await?;
    let shown = homes.iter().filter(|home| viewer.sees(&home.party));
    let state = site.live.tip().state;
    let home = |home: &Home| HomeNow {
        party: home.party.to_string(),
        zone: state.members().get(&home.party).map_or(0, |member| member.zone.0),
        imported_wh: home.settlement.metered.imported.wh(),
        exported_wh: home.settlement.metered.exported.wh(),
        bought_wh: home.settlement.bought.wh(),
        sold_wh: home.settlement.sold.wh(),
        estimated: is_estimated(&home.settlement),
    };
    Ok(Json(Now {
        period_start_ms: Some(start_ms),
        period_end_ms: Some(end_ms),
        price: prices.get(&period).and_then(|found| found.price).map(price),
        flows,
        imported_wh: Some(balance.imported.wh()),
        exported_wh: Some(balance.exported.wh()),
        neighbours_wh: Some(balance.neighbours.wh()),
        self_sufficiency: balance.self_sufficiency(),
        homes: shown.map(home).collect(),
        energy_today_wh: Some(day.traded.wh()),
        saved_today: Some(money(day.saved)),
        trades_today_count: Some(day.trades_count),
        settled_periods_count: site.model.settled_periods_count().await?,
    }))
}
