//! Households: each to itself and to operators, or to everybody where the configuration opens them.

pub(crate) mod day;
pub(crate) mod history;
mod lines;
pub(crate) mod orders;
pub(crate) mod trades;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use market::order::{Origin, Side};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Viewer;
use crate::api::problem::Problem;
use crate::site::Site;
use crate::words::zone_label;

/// A household in the list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Household {
    /// Its identifier: random, never a name.
    party: String,
    /// Where it sits in the grid.
    zone: u16,
    /// What people call the zone.
    zone_label: String,
    /// Whether it may feed in, and so sell.
    sells: bool,
    /// Whether it has ever offered energy from a battery.
    has_battery_origin: bool,
}

/// Buy or sell.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OrderSide {
    /// A bid.
    Buy,
    /// An offer.
    Sell,
}

impl From<Side> for OrderSide {
    fn from(side: Side) -> Self {
        match side {
            Side::Buy => Self::Buy,
            Side::Sell => Self::Sell,
        }
    }
}

/// What energy is made of, as its seller declared.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EnergyOrigin {
    /// Straight from a roof.
    Solar,
    /// From a battery.
    Battery,
}

impl From<Origin> for EnergyOrigin {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Solar => Self::Solar,
            Origin::Battery => Self::Battery,
        }
    }
}

/// The households that the asker may see: its own, or all of them.
#[utoipa::path(
    get,
    path = "/households",
    operation_id = "households",
    tag = "households",
    responses((status = OK, body = Vec<Household>))
)]
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
) -> Result<Json<Vec<Household>>, Problem> {
    let batteries = site.model.battery_owners().await?;
    let state = site.live.tip().state;
    let zones = state.zones().at(site.now());
    let household =
        |(party, member): (&market::member::PartyId, &market::member::Member)| Household {
            party: party.to_string(),
            zone: member.zone.0,
            zone_label: zone_label(zones, member.zone),
            sells: member.export_max.is_positive(),
            has_battery_origin: batteries.contains(party),
        };
    let shown = state.members().iter().filter(|(party, _)| viewer.sees(party));
    Ok(Json(shown.map(household).collect()))
}
