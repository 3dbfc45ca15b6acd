//! What the community agreed on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use market::energy::Energy;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::input::price;
use crate::config::HouseholdPages;
use crate::site::Site;

/// The community.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Community {
    /// What people call it.
    name: String,
    /// ISO 4217 code.
    currency: String,
    /// IANA name of the time zone of local dates.
    time_zone: String,
    /// Names the chain: the hash of its genesis.
    chain_id: String,
    /// Length of a delivery period: 15 or 30.
    period_minutes: i64,
    /// How long before delivery each gate closes, longest first.
    gate_lead_minutes: Vec<u64>,
    /// How long after delivery the gate for metered energy closes; null without one.
    #[schema(required)]
    gate_lag_minutes: Option<u64>,
    /// The grid as it is now.
    zones: Vec<Zone>,
    /// How many may trade.
    members_count: usize,
    /// Who decides the next block.
    validators: Vec<Validator>,
    /// Whether households are shown.
    household_pages: Pages,
    /// Market seconds per real second; 1 outside of demos.
    clock_speed: f64,
}

/// Whether households are shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Pages {
    /// To everybody who reaches the dashboard.
    Open,
    /// To nobody.
    Closed,
}

/// A place in the grid.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Zone {
    /// Its number.
    id: u16,
    /// What people call it.
    label: String,
    /// The zone above it; null at the top.
    #[schema(required)]
    parent: Option<u16>,
    /// What the grid operator takes per kWh to or from the zone above; null at the top.
    #[schema(required)]
    charge_per_kwh: Option<String>,
    /// The most that may flow up in a delivery period; null without a limit, or at the top.
    #[schema(required)]
    capacity_up_wh: Option<i64>,
    /// The most that may flow down in a delivery period; null without a limit, or at the top.
    #[schema(required)]
    capacity_down_wh: Option<i64>,
}

/// A validator.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Validator {
    /// Its address, hexadecimal.
    address: String,
    /// Its voting power.
    power: u64,
}

/// What the community agreed on.
#[utoipa::path(
    get,
    path = "/community",
    tag = "community",
    responses((status = OK, body = Community))
)]
pub(crate) async fn community(State(site): State<Arc<Site>>) -> Json<Community> {
    let state = site.live.tip().state;
    let (genesis, rules) = (&site.genesis, state.rules());
    let zone = |(id, zone): (market::zone::ZoneId, &market::zone::Zone)| Zone {
        id: id.0,
        label: zone.label.clone(),
        parent: zone.edge.map(|edge| edge.parent.0),
        charge_per_kwh: zone.edge.map(|edge| price(edge.charge)),
        capacity_up_wh: zone.edge.and_then(|edge| edge.capacity_up).map(Energy::wh),
        capacity_down_wh: zone.edge.and_then(|edge| edge.capacity_down).map(Energy::wh),
    };
    let validator = |validator: &ledger::validators::Validator| Validator {
        address: validator.address().to_string(),
        power: validator.power,
    };
    let minutes = |ms: &u64| ms / 60_000;
    Json(Community {
        name: genesis.name.clone(),
        currency: genesis.currency.clone(),
        time_zone: genesis.time_zone.clone(),
        chain_id: state.chain().to_string(),
        period_minutes: rules.period_length.minutes(),
        gate_lead_minutes: rules.gates.leads_ms().iter().map(minutes).collect(),
        gate_lag_minutes: rules.gates.ex_post_lag_ms().map(|lag_ms| minutes(&lag_ms)),
        zones: state.zones().at(site.now()).iter().map(zone).collect(),
        members_count: state.members().len(),
        validators: state.validators().iter().map(validator).collect(),
        household_pages: match site.household_pages {
            HouseholdPages::Open => Pages::Open,
            HouseholdPages::Closed => Pages::Closed,
        },
        clock_speed: site.clock_speed,
    })
}
