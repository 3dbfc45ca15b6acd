//! Validators, and how reliably they have signed of late.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::problem::Problem;
use crate::site::Site;

/// Over how many blocks signatures are counted.
const BLOCKS_COUNTED: u64 = 100;

/// A validator as operators see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidatorHealth {
    /// Its address, hexadecimal.
    address: String,
    /// Its public key, hexadecimal.
    key: String,
    /// Its voting power.
    power: u64,
    /// Where others reach it; null while the ledger does not say it.
    #[schema(required)]
    endpoint: Option<String>,
    /// How many of the last blocks were counted: 100, or all there are.
    blocks_counted: u64,
    /// How many of them carry its signature. A certificate needs two thirds of the power, so a
    /// slow one may be missing although it works.
    signed_count: u64,
    /// The last of them that carries its signature; null if none does.
    #[schema(required)]
    last_signed_height: Option<u64>,
}

/// Validators, and which of the last blocks they have signed.
#[utoipa::path(
    get,
    path = "/operator/validators",
    operation_id = "validators_health",
    tag = "operator",
    responses((status = OK, body = Vec<ValidatorHealth>))
)]
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
) -> Result<Json<Vec<ValidatorHealth>>, Problem> {
    let state = site.live.tip().state;
    let (mut counted, mut signed) = (0, BTreeMap::new());
    let tip = state.height();
    for height in tip.saturating_sub(BLOCKS_COUNTED).saturating_add(1)..=tip {
        let Some(committed) = site.model.committed(height).await? else { continue };
        counted += 1;
        for (address, _) in &committed.certificate.signatures {
            let (count, last) = signed.entry(*address).or_insert((0_u64, height));
            (*count, *last) = (count.saturating_add(1), height);
        }
    }
    let health = |validator: &ledger::validators::Validator| {
        let found = signed.get(&validator.address());
        let endpoint = state.endpoints().iter().find(|one| one.key == validator.key);
        ValidatorHealth {
            address: validator.address().to_string(),
            key: validator.key.to_string(),
            power: validator.power,
            endpoint: endpoint.map(|endpoint| endpoint.address.clone()),
            blocks_counted: counted,
            signed_count: found.map_or(0, |(count, _)| *count),
            last_signed_height: found.map(|(_, last)| *last),
        }
    };
    Ok(Json(state.validators().iter().map(health).collect()))
}
