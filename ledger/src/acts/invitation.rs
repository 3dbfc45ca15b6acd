//! Invitations: how a household joins, and how a member that lost its key gets another.

use borsh::{BorshDeserialize, BorshSerialize};
use market::energy::Energy;
use market::keys::{ChainId, PublicKey};
use market::member::{Member, MeteringPointId, PartyId};
use market::signed::signing_prefix;
use market::time::Timestamp;
use market::zone::ZoneId;

use super::membership::check_free;
use super::{Join, NotApplied, Scene, Signer, active};

/// How many keys may join by one invitation, one after the other: each costs everybody a place in
/// the state.
pub const CANDIDATES_MAX: usize = 8;

/// What an invitation is for.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Purpose {
    /// A household becomes a member.
    NewMember {
        /// Its identifier, which nobody has or had.
        party: PartyId,
        /// Where its energy is metered.
        metering_point: MeteringPointId,
        /// Where the metering point sits in the grid.
        zone: ZoneId,
        /// As [`Member::import_max`].
        import_max: Energy,
        /// As [`Member::export_max`].
        export_max: Energy,
    } = 1,
    /// A member that lost its key gets another.
    NewKey {
        /// Whose key was lost.
        party: PartyId,
    } = 2,
}

impl Purpose {
    /// Whom it is about.
    pub fn party(&self) -> PartyId {
        match self {
            Self::NewMember { party, .. } | Self::NewKey { party } => *party,
        }
    }

    /// The member that comes of it; `None` if it makes none.
    pub fn member(&self, key: PublicKey, joined_at: Option<Timestamp>) -> Option<Member> {
        match self {
            Self::NewMember { metering_point, zone, import_max, export_max, .. } => Some(Member {
                key,
                metering_point: *metering_point,
                zone: *zone,
                import_max: *import_max,
                export_max: *export_max,
                joined_at,
                revoked_at: None,
            }),
            Self::NewKey { .. } => None,
        }
    }
}

/// How far an invitation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum InvitationStatus {
    /// Somebody may join, and be enrolled.
    Open = 1,
    /// Somebody was enrolled.
    Used = 2,
    /// The operator took it back.
    Cancelled = 3,
}

/// An invitation. It stays listed when it is closed, so that its key never opens another one.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Invitation {
    /// To what.
    pub purpose: Purpose,
    /// Until when the household may join. It may be enrolled later.
    pub expires_at: Timestamp,
    /// How far it has come.
    pub status: InvitationStatus,
    /// The keys that joined, the last of which may be enrolled.
    pub candidates: Vec<PublicKey>,
}

impl Invitation {
    /// A new invitation.
    pub fn open(purpose: Purpose, expires_at: Timestamp) -> Self {
        Self { purpose, expires_at, status: InvitationStatus::Open, candidates: Vec::new() }
    }

    /// The key that may be enrolled, if one has joined.
    pub fn candidate(&self) -> Option<PublicKey> {
        self.candidates.last().copied()
    }

    /// Whether somebody may still be enrolled.
    pub fn is_open(&self) -> bool {
        self.status == InvitationStatus::Open
    }
}

/// What a new key signs to join by an invitation:
///
/// ```text
/// 23 | "hidamari/join-consent/1" | chain id 32 | invitation 32
/// ```
pub fn join_consent(chain: &ChainId, invitation: &PublicKey) -> Vec<u8> {
    let mut bytes = signing_prefix("hidamari/join-consent/1", chain);
    bytes.extend_from_slice(invitation.as_bytes());
    bytes
}

impl Scene<'_> {
    pub(super) fn invite(
        &mut self,
        key: PublicKey,
        purpose: &Purpose,
        expires_at: Timestamp,
    ) -> Result<(), NotApplied> {
        key.check_strong().map_err(NotApplied::Consent)?;
        if self.state.invitations.contains_key(&key) {
            return Err(NotApplied::InvitationKnown(key));
        }
        check_free(self.state, &key)?;
        if expires_at <= self.time {
            return Err(NotApplied::Expired(expires_at));
        }
        match purpose {
            Purpose::NewMember { .. } => drop(self.with_new_member(purpose, key)?),
            Purpose::NewKey { party } => drop(active(self.state, *party)?.key),
        }
        self.state.invitations.insert(key, Invitation::open(purpose.clone(), expires_at));
        Ok(())
    }

    pub(super) fn cancel_invitation(&mut self, key: &PublicKey) -> Result<(), NotApplied> {
        self.open_invitation(key)?;
        self.close(key, InvitationStatus::Cancelled)
    }

    pub(super) fn join(&mut self, join: &Join) -> Result<(), NotApplied> {
        let invitation = self.open_invitation(&join.invitation)?;
        if invitation.expires_at <= self.time {
            return Err(NotApplied::Expired(invitation.expires_at));
        }
        if invitation.candidates.contains(&join.key) {
            return Err(NotApplied::JoinedBefore(join.key));
        }
        if invitation.candidates.len() >= CANDIDATES_MAX {
            return Err(NotApplied::TooManyCandidates);
        }
        check_free(self.state, &join.key)?;
        let bytes = join_consent(self.state.chain(), &join.invitation);
        join.key.verify(&bytes, &join.consent).map_err(NotApplied::Consent)?;
        if let Some(invitation) = self.state.invitations.get_mut(&join.invitation) {
            invitation.candidates.push(join.key);
        }
        Ok(())
    }

    pub(super) fn enrol(
        &mut self,
        invitation: &PublicKey,
        approved: PublicKey,
    ) -> Result<(), NotApplied> {
        let open = self.open_invitation(invitation)?.clone();
        let candidate = open.candidate();
        if candidate != Some(approved) {
            return Err(NotApplied::NotTheCandidate { approved, candidate });
        }
        check_free(self.state, &approved)?;
        match &open.purpose {
            purpose @ Purpose::NewMember { .. } => {
                self.state.charter = self.with_new_member(purpose, approved)?;
            }
            Purpose::NewKey { party } => {
                active(self.state, *party)?;
                self.set_key(*party, approved);
            }
        }
        self.close(invitation, InvitationStatus::Used)
    }

    fn open_invitation(&self, key: &PublicKey) -> Result<&Invitation, NotApplied> {
        let known = self.state.invitations.get(key);
        let known = known.ok_or(NotApplied::UnknownInvitation(*key))?;
        if known.is_open() { Ok(known) } else { Err(NotApplied::InvitationClosed(*key)) }
    }

    fn close(&mut self, key: &PublicKey, status: InvitationStatus) -> Result<(), NotApplied> {
        let known = self.state.invitations.get_mut(key);
        let invitation = known.ok_or(NotApplied::UnknownInvitation(*key))?;
        invitation.status = status;
        invitation.candidates.clear();
        Ok(())
    }

    /// The charter with the member that an invitation makes, if genesis could have had it.
    fn with_new_member(
        &self,
        purpose: &Purpose,
        key: PublicKey,
    ) -> Result<crate::charter::Charter, NotApplied> {
        let party = purpose.party();
        // Who was erased is not listed any more, but his acts stay counted.
        let erased = self.state.sequences.contains_key(&Signer::Party(party));
        if erased || self.state.members().contains_key(&party) {
            return Err(NotApplied::PartyKnown(party));
        }
        let member = purpose.member(key, Some(self.time));
        let charter = self.state.charter.amended(|articles| {
            articles.members.extend(member.map(|member| (party, member)));
        });
        charter.check(self.time)?;
        Ok(charter)
    }
}
