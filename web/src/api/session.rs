//! One's own session: who am I, sign in, prove it once more, sign out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::access::{Viewer, ended_cookie, session_cookie};
use crate::accounts::{Action, Begin, Role, Session};
use crate::api::body::{Telling, Told};
use crate::api::problem::Problem;
use crate::client_address::ClientAddress;
use crate::guard::PageOrigin;
use crate::origin::Scheme;
use crate::sign_in::check::{self, Credentials};
use crate::sign_in::link::{CheckedLink, LinkRefused};
use crate::site::Site;

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhoAmI {
    /// As what.
    role: RoleWord,
    /// The household's identifier; null unless a household has signed in.
    #[schema(required)]
    party: Option<String>,
    /// The operator's name; null unless an operator has signed in.
    #[schema(required)]
    operator: Option<String>,
    /// When the session is over whatever happens, ms UTC of real time; null without one.
    #[schema(required)]
    ends_at_ms: Option<i64>,
    /// When the session is over if nothing is asked for until then; null without one.
    #[schema(required)]
    idle_at_ms: Option<i64>,
    /// Until when what moves money or membership can be done without another proof; null without a
    /// session.
    #[schema(required)]
    confirmed_until_ms: Option<i64>,
}

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleWord {
    /// Nobody in particular.
    Public,
    /// A household.
    Household,
    /// An operator.
    Operator,
}

impl WhoAmI {
    fn of(session: Option<&Session>) -> Self {
        let role = session.map(|session| &session.role);
        Self {
            role: match role {
                None => RoleWord::Public,
                Some(Role::Household(..)) => RoleWord::Household,
                Some(Role::Operator(_)) => RoleWord::Operator,
            },
            party: match role {
                Some(Role::Household(party, _)) => Some(party.to_string()),
                _ => None,
            },
            operator: match role {
                Some(Role::Operator(name)) => Some(name.to_string()),
                _ => None,
            },
            ends_at_ms: session.map(|session| session.ends_at().as_millis()),
            idle_at_ms: session.map(|session| session.idle_at().as_millis()),
            confirmed_until_ms: session.map(|session| session.confirmed_until().as_millis()),
        }
    }
}

/// A household signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkSignIn {
    /// The link that `hidamari agent sign-in` printed, whole or from behind its `#`.
    link: String,
}

impl Telling for LinkSignIn {
    const EXPECTED: &'static str = "a JSON object with a text \"link\" and nothing else";
}

/// An operator signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperatorSignIn {
    /// The operator's name.
    name: String,
    /// The password.
    password: String,
    /// What the authenticator shows: 6 digits.
    code: String,
}

impl Telling for OperatorSignIn {
    const EXPECTED: &'static str =
        "a JSON object with the texts \"name\", \"password\" and \"code\" and nothing else";
}

/// An operator proves once more who it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    /// The password.
    password: String,
    /// What the authenticator shows: 6 digits.
    code: String,
}

impl Telling for Confirmation {
    const EXPECTED: &'static str =
        "a JSON object with the texts \"password\" and \"code\" and nothing else";
}

/// Who asks, as the cookie proves it.
#[utoipa::path(get, path = "/session", tag = "session", responses((status = OK, body = WhoAmI)))]
pub(crate) async fn who_am_i(viewer: Viewer) -> Json<WhoAmI> {
    Json(WhoAmI::of(viewer.session()))
}

/// A household signs in by a link that its own agent has signed: once, within five minutes, at the
/// dashboard that it was made for. Sets the session's cookie.
#[utoipa::path(
    post,
    path = "/session/link",
    tag = "session",
    request_body = LinkSignIn,
    responses((status = OK, body = WhoAmI))
)]
pub(crate) async fn by_link(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    origin: PageOrigin,
    address: ClientAddress,
    headers: HeaderMap,
    Told(told): Told<LinkSignIn>,
) -> Result<Response, Problem> {
    site.limits.sign_in.take(address.0, Instant::now()).map_err(Problem::too_many_requests)?;
    let (role, link) = check::household(&site, &told.link, &origin.0)?;
    begin(&site, &viewer, &origin, &headers, role, Some(&link), Action::SignedIn).await
}

/// An operator signs in by name, password and the code of an authenticator. Sets the session's
/// cookie.
#[utoipa::path(
    post,
    path = "/session/operator",
    tag = "session",
    request_body = OperatorSignIn,
    responses((status = OK, body = WhoAmI))
)]
pub(crate) async fn by_password(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    origin: PageOrigin,
    address: ClientAddress,
    headers: HeaderMap,
    Told(told): Told<OperatorSignIn>,
) -> Result<Response, Problem> {
    site.limits.sign_in.take(address.0, Instant::now()).map_err(Problem::too_many_requests)?;
    let OperatorSignIn { name, password, code } = told;
    let sent = Credentials { name, password: Zeroizing::new(password), code };
    let name = site.sign_in.operator(&site, sent, address.0).await?;
    begin(&site, &viewer, &origin, &headers, Role::Operator(name), None, Action::SignedIn).await
}

/// An operator proves once more who it is, before something that moves money or membership. The
/// session goes on under a new id.
#[utoipa::path(
    post,
    path = "/session/confirm",
    tag = "session",
    request_body = Confirmation,
    responses((status = OK, body = WhoAmI))
)]
pub(crate) async fn confirm(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    origin: PageOrigin,
    address: ClientAddress,
    headers: HeaderMap,
    Told(told): Told<Confirmation>,
) -> Result<Response, Problem> {
    site.limits.sign_in.take(address.0, Instant::now()).map_err(Problem::too_many_requests)?;
    let (_, name) = viewer.actor();
    let Confirmation { password, code } = told;
    let sent = Credentials { name, password: Zeroizing::new(password), code };
    let name = site.sign_in.operator(&site, sent, address.0).await?;
    begin(&site, &viewer, &origin, &headers, Role::Operator(name), None, Action::Confirmed).await
}

/// Ends the session and takes its cookie away.
#[utoipa::path(
    delete,
    path = "/session",
    tag = "session",
    responses((status = NO_CONTENT, description = "Signed out"))
)]
pub(crate) async fn sign_out(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
) -> Result<Response, Problem> {
    let session = viewer.session().ok_or_else(Problem::sign_in_first)?;
    site.accounts.end_session(&session.id_hash).await?;
    let (role, actor) = viewer.actor();
    site.accounts.note((role, &actor), Action::SignedOut, "", site.real_now()).await?;
    let cookie = [(header::SET_COOKIE, ended_cookie(session.secure))];
    Ok((StatusCode::NO_CONTENT, cookie).into_response())
}

async fn begin(
    site: &Site,
    viewer: &Viewer,
    origin: &PageOrigin,
    headers: &HeaderMap,
    role: Role,
    link: Option<&CheckedLink>,
    action: Action,
) -> Result<Response, Problem> {
    let device = headers.get(header::USER_AGENT).and_then(|device| device.to_str().ok());
    let (role_word, subject) = (role.word(), role.subject());
    let begin = Begin {
        role,
        link,
        instead: viewer.session().map(|session| &session.id_hash),
        secure: origin.0.scheme() == Scheme::Https,
        device: device.unwrap_or_default(),
        now: site.real_now(),
    };
    let begun = site.accounts.begin_session(begin).await?;
    let (id, session) = begun.ok_or(Problem::from(LinkRefused::Used))?;
    site.accounts.note((role_word, &subject), action, "", site.real_now()).await?;
    let mut response = Json(WhoAmI::of(Some(&session))).into_response();
    if let Some(cookie) = session_cookie(&id, &session) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
