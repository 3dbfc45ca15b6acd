//! One household's orders for one local day, each with its answer in words.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::households::OrderSide;
use crate::api::input::{Asked, Named, OnDate, household, price};
use crate::api::problem::Problem;
use crate::site::Site;
use crate::words::{self, Sentences};

/// An order and what a gate did with it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AnsweredOrder {
    /// When delivery starts, ms UTC.
    period_start_ms: i64,
    /// Whether the household wanted to buy or sell.
    side: OrderSide,
    /// How much stood in the book.
    ordered_wh: i64,
    /// How much was filled.
    filled_wh: i64,
    /// The clearing price of its zone per kWh; null if nothing was traded there.
    #[schema(required)]
    price: Option<String>,
    /// Why not more: `filled`, `shared_at_margin`, `limit_not_reached`, `no_trade`, `edge_full`,
    /// `own_order_opposite`, `rationed`, `nobody_left`, `price_setting`, `shared_by_key`
    /// or `no_longer_member`.
    reason: &'static str,
    /// The same in one sentence.
    answer: Sentences,
    /// The block in which the answer stands.
    height: u64,
}

/// One household's answered orders for delivery on one local day.
#[utoipa::path(
    get,
    path = "/households/{party}/orders",
    tag = "households",
    params(("party" = String, Path, description = "32 hexadecimal digits", pattern = "^[0-9A-Fa-f]{32}$"), OnDate),
    responses(
        (status = OK, body = Vec<AnsweredOrder>),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn orders(
    State(site): State<Arc<Site>>,
    Named(path): Named,
    Asked(asked): Asked<OnDate>,
) -> Result<Json<Vec<AnsweredOrder>>, Problem> {
    let (party, _) = household(&site, &path)?;
    let day = asked.day(&site)?;
    let answers = site.model.answers_to(&party, &day).await?;
    let state = site.live.tip().state;
    let shown = |(answer, height): (market::answer::Answer, u64)| AnsweredOrder {
        period_start_ms: answer.period.start().as_millis(),
        side: answer.side.into(),
        ordered_wh: answer.ordered.wh(),
        filled_wh: answer.filled.wh(),
        price: answer.price.map(price),
        reason: answer.reason.code(),
        answer: words::answer(&answer, state.zones().during(answer.period)),
        height,
    };
    Ok(Json(answers.into_iter().map(shown).collect()))
}
