//! All of one's own sessions: where one is signed in, and how to end that.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Viewer;
use crate::accounts::{Action, Session};
use crate::api::input::Named;
use crate::api::problem::Problem;
use crate::site::Site;

/// A session in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionEntry {
    /// Names it here; nobody can use the session by it.
    handle: String,
    /// What the browser called itself.
    device: String,
    /// When it began, ms UTC of real time.
    created_at_ms: i64,
    /// When it was last in use, to the minute.
    seen_at_ms: i64,
    /// When it is over whatever happens.
    ends_at_ms: i64,
    /// Whether it is the one that asks.
    current: bool,
}

impl SessionEntry {
    fn of(session: &Session, current: &Session) -> Self {
        Self {
            handle: session.handle.clone(),
            device: session.device.clone(),
            created_at_ms: session.created_at.as_millis(),
            seen_at_ms: session.seen_at.as_millis(),
            ends_at_ms: session.ends_at().as_millis(),
            current: session.id_hash == current.id_hash,
        }
    }
}

/// One's own sessions, the last seen first.
#[utoipa::path(
    get,
    path = "/sessions",
    operation_id = "sessions",
    tag = "session",
    responses((status = OK, body = Vec<SessionEntry>))
)]
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
) -> Result<Json<Vec<SessionEntry>>, Problem> {
    let current = viewer.session().ok_or_else(Problem::sign_in_first)?;
    let sessions = site.accounts.sessions_of(&current.role, site.real_now()).await?;
    Ok(Json(sessions.iter().map(|session| SessionEntry::of(session, current)).collect()))
}

/// Ends all of one's own sessions but the one that asks.
#[utoipa::path(
    delete,
    path = "/sessions",
    operation_id = "end_other_sessions",
    tag = "session",
    responses((status = NO_CONTENT, description = "They are over"))
)]
pub(crate) async fn end_others(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
) -> Result<StatusCode, Problem> {
    let current = viewer.session().ok_or_else(Problem::sign_in_first)?;
    let (role, actor) = viewer.actor();
    site.accounts.end_sessions(role, &actor, Some(&current.id_hash)).await?;
    site.accounts.note((role, &actor), Action::EndedSessions, &actor, site.real_now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of one's own sessions.
#[utoipa::path(
    delete,
    path = "/sessions/{handle}",
    operation_id = "end_session",
    tag = "session",
    params(("handle" = String, Path, description = "As the list of sessions names it")),
    responses(
        (status = NO_CONTENT, description = "It is over"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn end(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Named(path): Named,
) -> Result<StatusCode, Problem> {
    let current = viewer.session().ok_or_else(Problem::sign_in_first)?;
    let handle: String = path.required("handle", "the handle of a session")?;
    if !site.accounts.end_session_of(&current.role, &handle).await? {
        return Err(Problem::not_found("None of your sessions has this handle; list them again."));
    }
    let (role, actor) = viewer.actor();
    site.accounts.note((role, &actor), Action::EndedSessions, &actor, site.real_now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
