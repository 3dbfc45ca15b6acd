//! Blocks in a list.

pub(crate) mod detail;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::input::{Asked, Question, Sent, WHOLE};
use crate::api::problem::Problem;
use crate::read_model::query::blocks::BlockLine;
use crate::site::Site;

/// How many blocks are listed if nobody says how many.
const COUNT_DEFAULT: u64 = 20;

/// How many blocks are listed at most.
const COUNT_MAX: u64 = 100;

/// Which blocks.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Only blocks below this height; from the tip if left out.
    #[param(format = "uint64")]
    before: Option<u64>,
    /// How many at most, 1 to 100; 20 if left out.
    #[param(minimum = 1, maximum = 100)]
    count: Option<u64>,
}

impl Question for Page {
    const NAMES: &'static [&'static str] = &["before", "count"];

    fn read(sent: &Sent) -> Result<Self, Problem> {
        let expected = format!("a whole number from 1 to {COUNT_MAX}");
        let count = sent.optional("count", &expected)?;
        match count {
            Some(count) if !(1..=COUNT_MAX).contains(&count) => {
                Err(Problem::misfit("count", &expected, &count.to_string()))
            }
            count => Ok(Self { before: sent.optional("before", WHOLE)?, count }),
        }
    }
}

/// A block in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockSummary {
    /// Its height.
    height: u64,
    /// Its time, ms UTC.
    time_ms: i64,
    /// Its hash, hexadecimal.
    hash: String,
    /// How many transactions it carries.
    transactions_count: u64,
    /// How many results it has.
    results_count: u64,
    /// How many validators signed it.
    signatures_count: u64,
    /// How many validators there are.
    validators_count: usize,
    /// The round in which it was decided, from 0.
    round: u64,
}

impl BlockSummary {
    fn of(line: BlockLine, validators_count: usize) -> Self {
        Self {
            height: line.height,
            time_ms: line.time.as_millis(),
            hash: line.hash,
            transactions_count: line.transactions_count,
            results_count: line.results_count,
            signatures_count: line.signatures_count,
            validators_count,
            round: line.round,
        }
    }
}

/// Blocks, newest first.
#[utoipa::path(
    get,
    path = "/blocks",
    operation_id = "blocks",
    tag = "ledger",
    params(Page),
    responses(
        (status = OK, body = Vec<BlockSummary>),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    Asked(page): Asked<Page>,
) -> Result<Json<Vec<BlockSummary>>, Problem> {
    let count = page.count.unwrap_or(COUNT_DEFAULT);
    let lines = site.model.blocks_below(page.before.unwrap_or(u64::MAX), count).await?;
    let validators_count = site.live.tip().state.validators().count();
    Ok(Json(lines.into_iter().map(|line| BlockSummary::of(line, validators_count)).collect()))
}
