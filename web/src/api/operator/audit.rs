//! Who did what at this dashboard.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::accounts;
use crate::api::input::{Asked, Question, Sent};
use crate::api::problem::Problem;
use crate::site::Site;

/// How many entries are listed if nobody says how many.
const COUNT_DEFAULT: i64 = 100;

/// How many entries are listed at most.
const COUNT_MAX: i64 = 1_000;

/// Which entries.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Only entries below this number; from the newest if left out.
    #[param(minimum = 0)]
    before: Option<i64>,
    /// How many at most, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    count: Option<i64>,
}

impl Question for Page {
    const NAMES: &'static [&'static str] = &["before", "count"];

    fn read(sent: &Sent) -> Result<Self, Problem> {
        let number = "a whole number from 0 to 9223372036854775807";
        let before: Option<i64> = sent.optional("before", number)?;
        if let Some(before) = before.filter(|before| *before < 0) {
            return Err(Problem::misfit("before", number, &before.to_string()));
        }
        let expected = format!("a whole number from 1 to {COUNT_MAX}");
        let count = sent.optional("count", &expected)?;
        match count {
            Some(count) if !(1..=COUNT_MAX).contains(&count) => {
                Err(Problem::misfit("count", &expected, &count.to_string()))
            }
            count => Ok(Self { before, count }),
        }
    }
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// Its number, from 1.
    number: i64,
    /// When, ms UTC of real time.
    at_ms: i64,
    /// Who did it: `public`, `household` or `operator`.
    role: String,
    /// The party or the operator's name; empty for the public.
    actor: String,
    /// What was done: `signed_in`, `signed_out`, `confirmed`, `ended_sessions`, `sign_in_failed`,
    /// `denied_household` or `saw_household`.
    action: String,
    /// To what: a party, an operator's name, `unknown`, or nothing.
    subject: String,
}

impl From<accounts::AuditEntry> for AuditEntry {
    fn from(entry: accounts::AuditEntry) -> Self {
        let accounts::AuditEntry { number, at, role, actor, action, subject } = entry;
        Self { number, at_ms: at.as_millis(), role, actor, action, subject }
    }
}

/// Who did what at this dashboard, newest first.
#[utoipa::path(
    get,
    path = "/operator/audit",
    operation_id = "audit",
    tag = "operator",
    params(Page),
    responses(
        (status = OK, body = Vec<AuditEntry>),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    Asked(page): Asked<Page>,
) -> Result<Json<Vec<AuditEntry>>, Problem> {
    let count = page.count.unwrap_or(COUNT_DEFAULT);
    let entries = site.accounts.audit(page.before.unwrap_or(i64::MAX), count).await?;
    Ok(Json(entries.into_iter().map(AuditEntry::from).collect()))
}
