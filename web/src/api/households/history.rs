//! One household over a day, a week, a month or a year, compared with the one before.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use market::Overflow;
use market::energy::Energy;
use market::member::PartyId;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::input::{Asked, Named, OnDate, Question, Sent, household, money};
use crate::api::problem::Problem;
use crate::local_time::{LocalSpan, SpanLength};
use crate::read_model::query::history::{Stretch, Sums};
use crate::site::Site;

/// Which stretch of local time.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OverSpan {
    /// `day`, `week` (from Monday), `month` or `year`; a day if it is left out.
    #[param(value_type = Option<SpanName>)]
    span: Option<SpanLength>,
    /// A date in it, YYYY-MM-DD, in the community's time zone; today by market time if left out.
    #[param(value_type = Option<String>, format = Date)]
    date: Option<String>,
}

/// A length of local time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SpanName {
    /// A day, hour by hour.
    Day,
    /// A week from Monday, day by day.
    Week,
    /// A month, day by day.
    Month,
    /// A year, month by month.
    Year,
}

impl From<SpanLength> for SpanName {
    fn from(length: SpanLength) -> Self {
        match length {
            SpanLength::Day => Self::Day,
            SpanLength::Week => Self::Week,
            SpanLength::Month => Self::Month,
            SpanLength::Year => Self::Year,
        }
    }
}

impl Question for OverSpan {
    const NAMES: &'static [&'static str] = &["span", "date"];

    fn read(sent: &Sent) -> Result<Self, Problem> {
        let span = sent.optional("span", "day, week, month or year")?;
        Ok(Self { span, date: OnDate::read(sent)?.date })
    }
}

/// A household over a stretch of local time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HouseholdHistory {
    /// Whose it is.
    party: String,
    /// How long it is.
    span: SpanName,
    /// The stretch asked for.
    now: HistorySpan,
    /// The one before it, of the same kind.
    before: HistorySpan,
    /// The end of the last period that the household's own meter counted, ms UTC; null if it never
    /// did.
    #[schema(required)]
    metered_until_ms: Option<i64>,
}

/// A stretch of local time, and its parts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistorySpan {
    /// Its first local date, YYYY-MM-DD.
    first_date: String,
    /// Its last local date, YYYY-MM-DD.
    last_date: String,
    /// All of it together.
    totals: HistoryFigures,
    /// Hours of a day, days of a week or month, months of a year, in order and without gaps.
    bars: Vec<HistoryBar>,
}

/// A part of the stretch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryBar {
    /// Its first instant, ms UTC.
    start_ms: i64,
    /// The first instant behind it, ms UTC.
    end_ms: i64,
    /// Its figures.
    #[serde(flatten)]
    figures: HistoryFigures,
}

/// Settled periods together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryFigures {
    /// How many delivery periods are settled.
    periods_count: u64,
    /// How many of them rest on estimates.
    estimated_count: u64,
    /// Drawn from the grid.
    imported_wh: i64,
    /// Fed into the grid.
    exported_wh: i64,
    /// Of what was drawn, what neighbours delivered.
    from_neighbours_wh: i64,
    /// Of what was given, what neighbours took.
    to_neighbours_wh: i64,
    /// What was received.
    earned: String,
    /// What was paid.
    spent: String,
    /// What was received minus what was paid.
    net: String,
    /// What that would have been with the supplier alone.
    net_grid_only: String,
    /// By how much it is better than with the supplier alone.
    saved: String,
    /// The share of what was drawn that neighbours delivered; null if nothing was drawn.
    #[schema(required)]
    self_sufficiency: Option<f64>,
    /// The share of what was given that neighbours took; null if nothing was given.
    #[schema(required)]
    self_consumption: Option<f64>,
}

impl HistoryFigures {
    fn of(sums: &Sums) -> Result<Self, Overflow> {
        let from_neighbours = sums.imported.excess_over(sums.supplied)?;
        let to_neighbours = sums.exported.excess_over(sums.fed_in)?;
        Ok(Self {
            periods_count: sums.periods_count,
            estimated_count: sums.estimated_count,
            imported_wh: sums.imported.wh(),
            exported_wh: sums.exported.wh(),
            from_neighbours_wh: from_neighbours.wh(),
            to_neighbours_wh: to_neighbours.wh(),
            earned: money(sums.earned),
            spent: money(sums.earned.minus(sums.net)?),
            net: money(sums.net),
            net_grid_only: money(sums.net_grid_only),
            saved: money(sums.net.minus(sums.net_grid_only)?),
            self_sufficiency: share(from_neighbours, sums.imported),
            self_consumption: share(to_neighbours, sums.exported),
        })
    }
}

/// To a hundredth of a per cent, which floats hold as well as people read it.
fn share(part: Energy, whole: Energy) -> Option<f64> {
    let hundredths = part.wh().checked_mul(10_000)?.checked_div(whole.wh())?;
    Some(f64::from(i32::try_from(hundredths).ok()?) / 10_000.0)
}

/// One household over a stretch of local time.
#[utoipa::path(
    get,
    path = "/households/{party}/history",
    tag = "households",
    params(("party" = String, Path, description = "32 hexadecimal digits", pattern = "^[0-9A-Fa-f]{32}$"), OverSpan),
    responses(
        (status = OK, body = HouseholdHistory),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn history(
    State(site): State<Arc<Site>>,
    Named(path): Named,
    Asked(asked): Asked<OverSpan>,
) -> Result<Json<HouseholdHistory>, Problem> {
    let (party, _) = household(&site, &path)?;
    let length = asked.span.unwrap_or(SpanLength::Day);
    let day = OnDate { date: asked.date }.day(&site)?;
    let beyond =
        || Problem::bad_request("date must not be thousands of years from now.".to_owned());
    let now = site.zone.span(length, day.date).ok_or_else(beyond)?;
    let before = site.zone.span_before(&now).ok_or_else(beyond)?;
    let last = site.model.last_metered(&party).await?;
    let period_ms = site.genesis.rules.period_length.minutes().saturating_mul(60_000);
    Ok(Json(HouseholdHistory {
        party: party.to_string(),
        span: length.into(),
        now: shown(&site, &party, &now).await?,
        before: shown(&site, &party, &before).await?,
        metered_until_ms: last.map(|start| start.plus_millis(period_ms).as_millis()),
    }))
}

async fn shown(site: &Site, party: &PartyId, span: &LocalSpan) -> Result<HistorySpan, Problem> {
    let stretches: Vec<_> = span.parts.iter().map(|&(start, end)| Stretch { start, end }).collect();
    let sums = site.model.sums_of(party, &stretches).await?;
    let all = Stretch { start: span.start, end: span.end };
    let totals = site.model.sums_of(party, &[all]).await?;
    let bar = |(stretch, sums): (&Stretch, &Sums)| {
        Ok(HistoryBar {
            start_ms: stretch.start.as_millis(),
            end_ms: stretch.end.as_millis(),
            figures: HistoryFigures::of(sums)?,
        })
    };
    Ok(HistorySpan {
        first_date: span.first.to_string(),
        last_date: span.last.to_string(),
        totals: HistoryFigures::of(&totals.first().copied().unwrap_or_default())?,
        bars: stretches.iter().zip(&sums).map(bar).collect::<Result<_, Overflow>>()?,
    })
}
