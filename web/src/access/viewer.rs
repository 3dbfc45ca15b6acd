//! Who asks, as far as it has been proved.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use market::member::PartyId;
use market::time::Timestamp;

use crate::access::cookie::session_id;
use crate::accounts::{AccountsError, Role, Session};
use crate::api::problem::Problem;
use crate::config::HouseholdPages;
use crate::site::Site;

/// Who asks. Made by the guard of a route alone, and handed to its handler.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    session: Option<Session>,
    /// Whether households are shown to everybody.
    open: bool,
}

impl Viewer {
    /// Who a request's cookie proves it to come from. A session of a household ends with its
    /// membership and with its key.
    pub(super) async fn of(site: &Site, headers: &HeaderMap) -> Result<Self, AccountsError> {
        let open = site.household_pages == HouseholdPages::Open;
        let nobody = Self { session: None, open };
        let Some((id, secure)) = session_id(headers, site.under_tls) else { return Ok(nobody) };
        let Some(session) = site.accounts.session(&id, site.real_now()).await? else {
            return Ok(nobody);
        };
        if session.secure != secure {
            return Ok(nobody);
        }
        if let Role::Household(party, key) = &session.role {
            let state = site.live.tip().state;
            let member = state.members().get(party);
            if !member.is_some_and(|member| member.is_active() && member.key == *key) {
                site.accounts.end_session(&session.id_hash).await?;
                return Ok(nobody);
            }
        }
        Ok(Self { session: Some(session), open })
    }

    /// The session, if there is one.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Whether somebody has signed in, or nobody needs to.
    pub(crate) fn is_member(&self) -> bool {
        self.open || self.session.is_some()
    }

    /// Whether an operator has signed in.
    pub(crate) fn is_operator(&self) -> bool {
        matches!(self.session.as_ref().map(|session| &session.role), Some(Role::Operator(_)))
    }

    /// Whether an operator has proved who it is a moment ago.
    pub(crate) fn is_confirmed(&self, now: Timestamp) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| now < session.confirmed_until())
    }

    /// Whether this household's rows are shown.
    pub(crate) fn sees(&self, party: &PartyId) -> bool {
        self.sees_all() || self.own_party() == Some(party)
    }

    /// Whether every household's rows are shown.
    pub(crate) fn sees_all(&self) -> bool {
        self.open || self.is_operator()
    }

    /// The household that has signed in.
    pub(crate) fn own_party(&self) -> Option<&PartyId> {
        match &self.session.as_ref()?.role {
            Role::Household(party, _) => Some(party),
            Role::Operator(_) => None,
        }
    }

    /// Role and name, as the audit log keeps them.
    pub(crate) fn actor(&self) -> (&'static str, String) {
        let session = self.session.as_ref();
        session.map_or(("public", String::new()), |one| (one.role.word(), one.role.subject()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(Problem::sign_in_first)
    }
}
