//! The supplier's tariff: what energy costs that no neighbour delivers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use market::decimal::Fixed;
use market::tariff::{LevyBase, Rates};
use market::time::DeliveryPeriod;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::input::{price, today};
use crate::api::problem::Problem;
use crate::site::Site;

/// What the supplier charges and pays in some delivery period, per kWh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SupplierPrices {
    /// For energy drawn, before levies and tax.
    retail: String,
    /// For energy fed in.
    feed_in: String,
    /// For energy drawn, with all levies and the tax.
    all_in: String,
    /// What a household saves for each kWh that a neighbour delivers instead, before it pays the
    /// neighbour: `all_in` less the levies and the tax that a neighbour's energy bears too.
    avoidable: String,
}

impl SupplierPrices {
    /// From the rates of a delivery period.
    pub(crate) fn of(rates: &Rates) -> Self {
        Self {
            retail: price(rates.retail),
            feed_in: price(rates.feed_in),
            all_in: price(rates.all_in()),
            avoidable: price(rates.avoidable()),
        }
    }
}

/// The tariff in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TariffNow {
    /// The delivery period that is running, ms UTC.
    period_start_ms: i64,
    /// The prices in it.
    #[serde(flatten)]
    supplier: SupplierPrices,
    /// The tax on what the supplier collects, as a share: 0.200000 is 20 %.
    tax: String,
    /// The levies that the supplier collects for others.
    levies: Vec<Levy>,
    /// The local day in spans of one price each, in order and without gaps.
    today: Vec<TariffSpan>,
}

/// An amount per kWh that the supplier collects for others.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Levy {
    /// As it stands on the bill.
    name: String,
    /// Per kWh.
    price: String,
    /// Which energy bears it.
    on: LevyOn,
}

/// Which energy bears a levy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum LevyOn {
    /// What the supplier delivers; what neighbours deliver is free of it.
    Supplied,
    /// All that is drawn from the grid, whoever delivers it.
    Imported,
}

/// A part of the day through which the supplier's prices stay the same.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TariffSpan {
    /// From when on, ms UTC.
    from_ms: i64,
    /// Until when, ms UTC.
    to_ms: i64,
    /// The prices in it.
    #[serde(flatten)]
    supplier: SupplierPrices,
}

/// The supplier's tariff now and through the local day.
#[utoipa::path(get, path = "/tariff", tag = "community", responses((status = OK, body = TariffNow)))]
pub(crate) async fn tariff(State(site): State<Arc<Site>>) -> Result<Json<TariffNow>, Problem> {
    let period = running(&site)?;
    let state = site.live.tip().state;
    let tariff = state.rules().tariffs.during(period);
    let levy = |levy: &market::tariff::Levy| Levy {
        name: levy.name.clone(),
        price: price(levy.price),
        on: match levy.base {
            LevyBase::Supplied => LevyOn::Supplied,
            LevyBase::Imported => LevyOn::Imported,
        },
    };
    Ok(Json(TariffNow {
        period_start_ms: period.start().as_millis(),
        supplier: SupplierPrices::of(&tariff.rates(period)),
        tax: Fixed::millionths(i64::from(tariff.tax_millionths())).to_string(),
        levies: tariff.levies().iter().map(levy).collect(),
        today: spans(&site)?,
    }))
}

/// The delivery period that is running by market time.
pub(crate) fn running(site: &Site) -> Result<DeliveryPeriod, Problem> {
    let length = site.genesis.rules.period_length;
    Ok(DeliveryPeriod::containing(site.now(), length)?)
}

fn spans(site: &Site) -> Result<Vec<TariffSpan>, Problem> {
    let state = site.live.tip().state;
    let (rules, day) = (state.rules(), today(site)?);
    let mut spans: Vec<TariffSpan> = Vec::new();
    let mut period = DeliveryPeriod::containing(day.start, rules.period_length)?;
    while period.start() < day.end {
        let supplier = SupplierPrices::of(&rules.rates(period));
        let to_ms = period.end().as_millis();
        match spans.last_mut().filter(|last| last.supplier == supplier) {
            Some(last) => last.to_ms = to_ms,
            None => {
                spans.push(TariffSpan { from_ms: period.start().as_millis(), to_ms, supplier });
            }
        }
        period = period.next()?;
    }
    Ok(spans)
}
