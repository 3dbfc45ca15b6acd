//! One household on one local day.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use market::Overflow;
use market::energy::Energy;
use market::money::Money;
use market::order::{Origin, Side};
use market::reading::Quality;
use market::settlement::PartySettlement;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::households::EnergyOrigin;
use crate::api::households::lines::{SettlementLine, lines};
use crate::api::input::{Asked, Named, OnDate, household, money, price};
use crate::api::problem::Problem;
use crate::read_model::query::settled::SettledPeriod;
use crate::site::Site;
use crate::words::zone_label;

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
    /// Energy of the day whose origin is certified.
    certified: Certified,
    /// How many of them rest on estimates.
    estimated_count: usize,
    /// The settled periods of the day, in order.
    periods: Vec<PeriodOfDay>,
    /// What it has received minus what it has paid, over all time.
    balance: String,
}

/// Energy that was both traded and delivered, and whose origin nobody else can claim.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Certified {
    /// Delivered to the household by neighbours.
    received: Vec<CertifiedEnergy>,
    /// Delivered by the household to neighbours.
    delivered: Vec<CertifiedEnergy>,
}

/// Energy of one origin.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CertifiedEnergy {
    /// What it is made of.
    origin: EnergyOrigin,
    /// How much; above 0.
    energy_wh: i64,
}

/// The settled periods of a day together.
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
    /// What it gets and pays, line by line; lines of nothing are left out.
    lines: Vec<SettlementLine>,
    /// All lines together; negative if it pays.
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
    /// The clearing price of its zone per kWh; null if nothing was traded there.
    #[schema(required)]
    price: Option<String>,
    /// What it gets and pays, line by line; lines of nothing are left out.
    lines: Vec<SettlementLine>,
    /// All lines together; negative if it pays.
    net: String,
    /// Whether the figures rest on an estimate.
    estimated: bool,
}

/// One household on one local day.
#[utoipa::path(
    get,
    path = "/households/{party}",
    tag = "households",
    params(("party" = String, Path, description = "32 hexadecimal digits", pattern = "^[0-9A-Fa-f]{32}$"), OnDate),
    responses(
        (status = OK, body = HouseholdDay),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
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
    let (start_ms, end_ms) = (day.start.as_millis(), day.end.as_millis());
    let prices = site.model.zone_prices(member.zone, start_ms, end_ms).await?;
    let received = site.model.certified(&party, Side::Buy, &day).await?;
    let delivered = site.model.certified(&party, Side::Sell, &day).await?;
    let balance = site.model.balance(&party).await?;
    let period = |settled: &SettledPeriod| {
        Ok::<_, Overflow>(PeriodOfDay {
            period_start_ms: settled.period.start().as_millis(),
            imported_wh: settled.settlement.metered.imported.wh(),
            exported_wh: settled.settlement.metered.exported.wh(),
            bought_wh: settled.settlement.bought.wh(),
            sold_wh: settled.settlement.sold.wh(),
            price: prices.get(&settled.period).copied().map(price),
            lines: lines(std::iter::once(&settled.settlement))?,
            net: money(settled.net),
            estimated: is_estimated(&settled.settlement),
        })
    };
    let state = site.live.tip().state;
    let estimated = settled.iter().filter(|settled| is_estimated(&settled.settlement));
    Ok(Json(HouseholdDay {
        party: party.to_string(),
        zone_label: zone_label(state.zones().at(day.start), member.zone),
        date: day.date.to_string(),
        totals: totals(&settled)?,
        certified: Certified { received: certified(&received), delivered: certified(&delivered) },
        estimated_count: estimated.count(),
        periods: settled.iter().map(period).collect::<Result<_, _>>()?,
        balance: money(balance),
    }))
}

/// Whether a settlement rests on an estimate.
pub(crate) fn is_estimated(settlement: &PartySettlement) -> bool {
    settlement.metered.quality != Quality::Ok
}

fn certified(energies: &BTreeMap<Origin, Energy>) -> Vec<CertifiedEnergy> {
    let one = |(origin, energy): (&Origin, &Energy)| CertifiedEnergy {
        origin: (*origin).into(),
        energy_wh: energy.wh(),
    };
    energies.iter().map(one).collect()
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
        lines: lines(periods.iter().map(|period| &period.settlement))?,
        net: money(net),
        net_grid_only: money(net_grid_only),
        saved: money(net.minus(net_grid_only)?),
    })
}
