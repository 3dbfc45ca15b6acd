//! The door of every route.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use market::member::PartyId;
use tokio::time::Instant;

use crate::access::{Access, HOUSEHOLDS_MIN, Viewer};
use crate::accounts::Action;
use crate::api::input::{no_such_household, unreadable_path};
use crate::api::problem::Problem;
use crate::site::Site;

/// Lets a request through to its handler, together with who asks; or not.
pub(crate) async fn admit(
    State((site, access)): State<(Arc<Site>, Access)>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let Ok(path) = path else { return unreadable_path(request.uri().path()).into_response() };
    match judge(&site, access, &path, request.headers()).await {
        Ok(viewer) => {
            let to_everybody = matches!(access, Access::Public | Access::Aggregates)
                && viewer.session().is_none()
                && request.method().is_safe();
            request.extensions_mut().insert(viewer);
            let mut response = next.run(request).await;
            if to_everybody && response.status().is_success() {
                // What is the same for everybody may be kept for times without a connection, and is
                // asked for again as long as there is one. Everything else is kept nowhere.
                let kept = HeaderValue::from_static("no-cache");
                response.headers_mut().entry(header::CACHE_CONTROL).or_insert(kept);
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

async fn judge(
    site: &Site,
    access: Access,
    path: &RawPathParams,
    headers: &HeaderMap,
) -> Result<Viewer, Problem> {
    let viewer = Viewer::of(site, headers).await?;
    if let Some(session) = viewer.session() {
        let taken = site.limits.sessions.take(session.id_hash, Instant::now());
        taken.map_err(Problem::too_many_requests)?;
    }
    let enough = match access {
        Access::Public => true,
        Access::Aggregates => viewer.is_member() || has_enough_members(site),
        Access::Member | Access::Household => viewer.is_member(),
        Access::SignedIn | Access::Operator | Access::OperatorConfirmed => {
            viewer.session().is_some()
        }
    };
    if !enough {
        return Err(Problem::sign_in_first());
    }
    match access {
        Access::Operator | Access::OperatorConfirmed if !viewer.is_operator() => {
            return Err(Problem::operators_only());
        }
        Access::OperatorConfirmed if !viewer.is_confirmed(site.real_now()) => {
            return Err(Problem::confirm_first());
        }
        Access::Household => check_household(site, &viewer, path).await?,
        _ => {}
    }
    Ok(viewer)
}

fn has_enough_members(site: &Site) -> bool {
    let state = site.live.tip().state;
    let active = state.members().values().filter(|member| member.is_active());
    active.take(HOUSEHOLDS_MIN).count() == HOUSEHOLDS_MIN
}

/// Another household's rows do not exist, as far as a household can tell. What is no identifier is
/// the handler's to refuse.
async fn check_household(
    site: &Site,
    viewer: &Viewer,
    path: &RawPathParams,
) -> Result<(), Problem> {
    let named = path.iter().find(|(name, _)| *name == "party").map(|(_, value)| value);
    let Some(Ok(party)) = named.map(str::parse::<PartyId>) else { return Ok(()) };
    if may_look_at(site, viewer, &party).await? {
        return Ok(());
    }
    Err(no_such_household(&party))
}

/// Whether a household's rows are shown. Who asks for what it may not see, and which operator looks
/// at whose, is noted.
pub(crate) async fn may_look_at(
    site: &Site,
    viewer: &Viewer,
    party: &PartyId,
) -> Result<bool, Problem> {
    let may = viewer.sees(party);
    if !may {
        note(site, viewer, Action::DeniedHousehold, party).await?;
    } else if viewer.is_operator() {
        note(site, viewer, Action::SawHousehold, party).await?;
    }
    Ok(may)
}

/// A party that does not exist is noted as such: nobody fills the log with made-up ones.
pub(crate) async fn note(
    site: &Site,
    viewer: &Viewer,
    action: Action,
    party: &PartyId,
) -> Result<(), Problem> {
    let state = site.live.tip().state;
    let known = state.members().contains_key(party);
    let subject = if known { party.to_string() } else { "unknown".to_owned() };
    let (role, actor) = viewer.actor();
    site.accounts.note((role, &actor), action, &subject, site.real_now()).await?;
    Ok(())
}
