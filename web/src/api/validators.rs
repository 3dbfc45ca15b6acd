//! Where trust begins: the validators that the genesis names.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::site::Site;

/// What a checker of receipts pins: the chain and the validators of its genesis. Who validates
/// later heights follows from these and the certified changes in each receipt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Anchor {
    /// Names the chain: the hash of its genesis.
    chain_id: String,
    /// By rising address.
    validators: Vec<GenesisValidator>,
}

/// A validator that the genesis names.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GenesisValidator {
    /// Its Ed25519 key, hexadecimal.
    key: String,
    /// Its voting power.
    power: u64,
}

/// The validators that the genesis names.
#[utoipa::path(
    get,
    path = "/validators",
    tag = "ledger",
    responses((status = OK, body = Anchor))
)]
pub(crate) async fn validators(State(site): State<Arc<Site>>) -> Json<Anchor> {
    let one = |validator: &ledger::validators::Validator| GenesisValidator {
        key: validator.key.to_string(),
        power: validator.power,
    };
    Json(Anchor {
        chain_id: site.genesis.chain_id().to_string(),
        validators: site.genesis.validators.iter().map(one).collect(),
    })
}
