//! Members, and who waits to become one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ledger::acts::Purpose;
use market::fingerprint::Fingerprint;
use market::keys::PublicKey;
use market::member::{Member, PartyId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Viewer;
use crate::accounts::Action;
use crate::api::input::{Named, no_such_household};
use crate::api::problem::Problem;
use crate::site::Site;
use crate::words::zone_label;

/// Members and candidates.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Members {
    /// All members that ever were, by identifier.
    members: Vec<MemberEntry>,
    /// Who has asked to join and waits for `hidamari operator enrol`.
    candidates: Vec<Candidate>,
    /// Invitations that nobody has been taken in by yet.
    invitations: Vec<OpenInvitation>,
}

/// A member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberEntry {
    /// Its identifier.
    party: String,
    /// The fingerprint of its key.
    fingerprint: String,
    /// Where it sits in the grid.
    zone: u16,
    /// What people call the zone.
    zone_label: String,
    /// The most that it draws in a delivery period.
    import_max_wh: i64,
    /// The most that it feeds in in a delivery period.
    export_max_wh: i64,
    /// When it joined, ms UTC; null if it has been a member from the beginning.
    #[schema(required)]
    joined_at_ms: Option<i64>,
    /// When it left, ms UTC; null while it is a member.
    #[schema(required)]
    revoked_at_ms: Option<i64>,
}

/// Somebody who has asked to join.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Candidate {
    /// What the household reads aloud.
    fingerprint: String,
    /// Which party it would become, or get a new key for.
    party: String,
    /// Whether the party is a member already and only its key is new.
    new_key_only: bool,
}

/// An invitation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenInvitation {
    /// Its public key, which names it.
    invitation: String,
    /// For which party.
    party: String,
    /// Until when, ms UTC of market time.
    expires_at_ms: i64,
}

/// Members, candidates and open invitations.
#[utoipa::path(
    get,
    path = "/operator/members",
    operation_id = "members",
    tag = "operator",
    responses((status = OK, body = Members))
)]
pub(crate) async fn list(State(site): State<Arc<Site>>) -> Json<Members> {
    let state = site.live.tip().state;
    let zones = state.zones().at(site.now());
    let fingerprint = |key: &PublicKey| Fingerprint::of(state.chain(), key).to_string();
    let member = |(party, member): (&PartyId, &Member)| MemberEntry {
        party: party.to_string(),
        fingerprint: fingerprint(&member.key),
        zone: member.zone.0,
        zone_label: zone_label(zones, member.zone),
        import_max_wh: member.import_max.wh(),
        export_max_wh: member.export_max.wh(),
        joined_at_ms: member.joined_at.map(|at| at.as_millis()),
        revoked_at_ms: member.revoked_at.map(|at| at.as_millis()),
    };
    let open = || state.invitations().filter(|(_, invitation)| invitation.is_open());
    let candidates = open().flat_map(|(_, invitation)| {
        invitation.candidates.iter().map(|key| Candidate {
            fingerprint: fingerprint(key),
            party: invitation.purpose.party().to_string(),
            new_key_only: matches!(invitation.purpose, Purpose::NewKey { .. }),
        })
    });
    let invitations = open().map(|(key, invitation)| OpenInvitation {
        invitation: key.to_string(),
        party: invitation.purpose.party().to_string(),
        expires_at_ms: invitation.expires_at.as_millis(),
    });
    Json(Members {
        members: state.members().iter().map(member).collect(),
        candidates: candidates.collect(),
        invitations: invitations.collect(),
    })
}

/// What was ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ended {
    /// How many sessions.
    sessions_count: u64,
}

/// Ends all sessions of a household, for example when it has lost a device.
#[utoipa::path(
    post,
    path = "/operator/members/{party}/sign-out",
    operation_id = "sign_member_out",
    tag = "operator",
    params(("party" = String, Path, description = "32 hexadecimal digits", pattern = "^[0-9A-Fa-f]{32}$")),
    responses(
        (status = OK, body = Ended),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn sign_out(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Named(path): Named,
) -> Result<Json<Ended>, Problem> {
    let party: PartyId = path.required("party", "an identifier of 32 hexadecimal digits")?;
    if !site.live.tip().state.members().contains_key(&party) {
        return Err(no_such_household(&party));
    }
    let subject = party.to_string();
    let sessions_count = site.accounts.end_sessions("household", &subject, None).await?;
    let (role, actor) = viewer.actor();
    site.accounts.note((role, &actor), Action::EndedSessions, &subject, site.real_now()).await?;
    Ok(Json(Ended { sessions_count }))
}
