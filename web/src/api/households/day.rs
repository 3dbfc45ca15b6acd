//! One household on one local day.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use market::Overflow;
use market::energy::Energy;
use market::money::Money;
use market::reading::Quality;
use market::settlement::PartySettlement;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::households::zone_label;
use crate::api::input::{Asked, Named, OnDate, household, money, price};
use crate::api::problem::Problem;
use crate::read_model::query::households::SettledPeriod;
use crate::site::Site;

/// A household on a day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HouseholdDay {
    /// Whose day it is.
    party: String,
    /// Where it sits in the grid.
    zone_label: String,
    /// The local date, YYYY-MM-DD.
    date: String,
    /// The settled periods of the day together.
    totals: DayTotals,
    /// How many of them rest on estimates.
    estimated_count: usize,
    /// The settled periods of the day, in order.
    periods: Vec<PeriodOfDay>,
    /// What it has received minus what it has paid, over all time.
    balance: String,
}

/// The settled periods of a day together. Income is what it gets, cost is what it pays.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DayTotals {
    /// Drawn from the grid.
    imported_wh: i64,
    /// Fed into the grid.
    exported_wh: i64,
    /// Bought from neighbours.
    bought_wh: i64,
    /// Sold to neighbours.
    sold_wh: i64,
    /// From neighbours.
    trade_income: String,
    /// To neighbours.
    trade_cost: String,
    /// From the supplier.
    supplier_income: String,
    /// To the supplier.
    supplier_cost: String,
    /// Income minus cost; negative if it pays.
    net: String,
    /// What that would have been with the supplier alone.
    net_grid_only: String,
    /// By how much it is better off than with the supplier alone.
    saved: String,
}

/// A settled delivery period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PeriodOfDay {
    /// When it starts, ms UTC.
    period_start_ms: i64,
    /// Drawn from the grid.
    imported_wh: i64,
    /// Fed into the grid.
    exported_wh: i64,
    /// Bought from neighbours.
    bought_wh: i64,
    /// Sold to neighbours.
    sold_wh: i64,
    /// The clearing price per kWh; null if nobody traded.
    #[schema(required)]
    price: Option<String>,
    /// Income minus cost; negative if it pays.
    net: String,
    /// Whether the figures rest on an estimate.
    estimated: bool,
}

/// One household on one local day.
#[utoipa::path(
    get,
    path = "/households/{party}",
    tag = "households",
    params(("party" = String, Path, description = "32 hexadecimal digits"), OnDate),
    responses(
        (status = OK, body = HouseholdDay),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = FORBIDDEN, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn day(
    State(site): State<Arc<Site>>,
    Named(path): Named,
    Asked(asked): Asked<OnDate>,
) -> Result<Json<HouseholdDay>, Problem> {
    let (party, member) = household(&site, &path)?;
    let day = asked.day(&site)?;
    let settled = site.model.settled_periods(&party, &day).await?;
    let prices = site.model.prices(day.start.as_millis(), day.end.as_millis()).await?;
    let balance = site.model.balance(&party).await?;
    let period = |settled: &SettledPeriod| PeriodOfDay {
        period_start_ms: settled.period.start().as_millis(),
        imported_wh: settled.settlement.metered.imported.wh(),
        exported_wh: settled.settlement.metered.exported.wh(),
        bought_wh: settled.settlement.bought.wh(),
        sold_wh: settled.settlement.sold.wh(),
        price: prices.get(&settled.period).and_then(|found| found.price).map(price),
        net: money(settled.net),
        estimated: is_estimated(&settled.settlement),
    };
    let estimated = settled.iter().filter(|settled| is_estimated(&settled.settlement));
    Ok(Json(HouseholdDay {
        party: party.to_string(),
        zone_label: zone_label(&site.live.tip().state, member.zone),
        date: day.date.to_string(),
        totals: totals(&settled)?,
        estimated_count: estimated.count(),
        periods: settled.iter().map(period).collect(),
        balance: money(balance),
    }))
}

/// Whether a settlement rests on an estimate.
pub(crate) fn is_estimated(settlement: &PartySettlement) -> bool {
    settlement.metered.quality != Quality::Ok
}

fn totals(periods: &[SettledPeriod]) -> Result<DayTotals, Overflow> {
    let energy = |part: fn(&PartySettlement) -> Energy| {
        Energy::sum(periods.iter().map(|period| part(&period.settlement))).map(Energy::wh)
    };
    let amount = |part: fn(&SettledPeriod) -> Money| Money::sum(periods.iter().map(part));
    let (net, net_grid_only) =
        (amount(|period| period.net)?, amount(|period| period.net_grid_only)?);
    Ok(DayTotals {
        imported_wh: energy(|settlement| settlement.metered.imported)?,
        exported_wh: energy(|settlement| settlement.metered.exported)?,
        bought_wh: energy(|settlement| settlement.bought)?,
        sold_wh: energy(|settlement| settlement.sold)?,
        trade_income: money(amount(|period| period.settlement.trade_income)?),
        trade_cost: money(amount(|period| period.settlement.trade_cost)?),
        supplier_income: money(amount(|period| period.settlement.supplier_income)?),
        supplier_cost: money(amount(|period| period.settlement.supplier_cost)?),
        net: money(net),
        net_grid_only: money(net_grid_only),
        saved: money(net.minus(net_grid_only)?),
    })
}
