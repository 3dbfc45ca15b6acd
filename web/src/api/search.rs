//! Finds whatever an identifier means.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::access::Viewer;
use crate::api::input::{Asked, Question, Sent};
use crate::api::problem::Problem;
use crate::api::receipts::is_shown;
use crate::read_model::query::proofs::Hit;
use crate::site::Site;

/// The fewest digits of an identifier by which something is found.
const DIGITS_MIN: usize = 4;
const DIGITS_MAX: usize = 64;
const PARTIES_MAX: usize = 8;

/// What to look for, as the API reads it.
const WANTED: &str = "a height, a receipt written height/index, or the first 4 to 64 hexadecimal \
    digits of an identifier";

/// What to look for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// A block's height, a receipt as height/index, or the first 4 digits or more of a block's
    /// hash, a transaction's hash, an order's or a party's identifier.
    #[param(pattern = r"^\s*([0-9]{1,19}|[0-9A-Fa-f]{4,64}|[0-9]{1,19}/[0-9]{1,19})\s*$")]
    id: String,
}

impl Question for Search {
    const NAMES: &'static [&'static str] = &["id"];

    fn read(sent: &Sent) -> Result<Self, Problem> {
        Ok(Self { id: sent.required("id", WANTED)? })
    }
}

/// Something that was found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Found {
    /// A block.
    Block {
        /// Its height.
        height: u64,
    },
    /// A transaction.
    Transaction {
        /// Its hash.
        hash: String,
        /// The block that carries it.
        height: u64,
    },
    /// One of a block's results.
    Result {
        /// The block.
        height: u64,
        /// Its place among the block's results, from 0.
        index: u64,
    },
    /// A household.
    Party {
        /// Its identifier.
        party: String,
    },
}

/// Everything that an identifier may mean, as far as the asker may see it; exact heights first.
#[utoipa::path(
    get,
    path = "/search",
    tag = "ledger",
    params(Search),
    responses(
        (status = OK, body = Vec<Found>),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn search(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Asked(asked): Asked<Search>,
) -> Result<Json<Vec<Found>>, Problem> {
    let wanted = asked.id.trim().to_ascii_lowercase();
    if let Some((height, index)) = wanted.split_once('/') {
        return Ok(Json(result(&site, &viewer, height, index).await?));
    }
    let is_hex = wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
    let height = wanted.parse::<u64>().ok();
    let enough = (DIGITS_MIN..=DIGITS_MAX).contains(&wanted.len()) && is_hex;
    if height.is_none() && !enough {
        return Err(Problem::misfit("id", WANTED, &asked.id));
    }
    let mut found = Vec::new();
    let tip = site.live.tip().state;
    if let Some(height) = height.filter(|height| (1..=tip.height()).contains(height)) {
        found.push(Found::Block { height });
    }
    if enough {
        let hits = site.model.hits(&wanted).await?;
        found.extend(hits.into_iter().map(Found::from));
        found.extend(answers(&site, &viewer, &wanted).await?);
        let seen = tip.members().keys().filter(|party| viewer.sees(party));
        let named = seen.map(ToString::to_string).filter(|party| party.starts_with(&wanted));
        found.extend(named.take(PARTIES_MAX).map(|party| Found::Party { party }));
    }
    Ok(Json(found))
}

/// The answers to orders that the asker may see.
async fn answers(site: &Site, viewer: &Viewer, digits: &str) -> Result<Vec<Found>, Problem> {
    let whose = match viewer.own_party() {
        _ if viewer.sees_all() => None,
        Some(party) => Some(party),
        None => return Ok(Vec::new()),
    };
    let places = site.model.answer_places(digits, whose).await?;
    Ok(places.into_iter().map(|(height, index)| Found::Result { height, index }).collect())
}

/// The result at a place, if the block has it and the asker may see it.
async fn result(
    site: &Site,
    viewer: &Viewer,
    height: &str,
    index: &str,
) -> Result<Vec<Found>, Problem> {
    let misfit = || Problem::misfit("id", WANTED, &format!("{height}/{index}"));
    let height: u64 = height.parse().map_err(|_| misfit())?;
    let index: u64 = index.parse().map_err(|_| misfit())?;
    let block = site.model.block_with_results(height).await?;
    let results = block.map_or_else(Vec::new, |(_, results)| results);
    let leaf = usize::try_from(index).ok().and_then(|place| results.get(place));
    let shown = leaf.is_some_and(|leaf| is_shown(leaf, viewer));
    Ok(shown.then_some(Found::Result { height, index }).into_iter().collect())
}

impl From<Hit> for Found {
    fn from(hit: Hit) -> Self {
        match hit {
            Hit::Block { height } => Self::Block { height },
            Hit::Transaction { height, hash } => Self::Transaction { hash, height },
        }
    }
}
