//! Keys replaced, memberships ended, parties forgotten.

use market::keys::{ChainId, PublicKey, Signature};
use market::member::PartyId;
use market::signed::signing_prefix;
use market::time::DeliveryPeriod;

use super::{NotApplied, Scene, Signer, active, listed};
use crate::state::{CURVES, State};
use crate::state_proof::FormerKey;

/// What a new key signs to speak for a party from now on:
///
/// ```text
/// 22 | "hidamari/key-consent/1" | chain id 32 | party 16
/// ```
pub fn key_consent(chain: &ChainId, party: &PartyId) -> Vec<u8> {
    let mut bytes = signing_prefix("hidamari/key-consent/1", chain);
    bytes.extend_from_slice(party.as_bytes());
    bytes
}

/// Keys have one purpose each: refuses one that somebody signs with already.
pub(super) fn check_free(state: &State, key: &PublicKey) -> Result<(), NotApplied> {
    let of_member = state.members().values().any(|member| member.key == *key);
    let mut former = state.former_keys.iter().flat_map(|(_, keys)| keys);
    let of_member = of_member || former.any(|former| former.key == *key);
    let of_validator = state.validators().iter().any(|validator| validator.key == *key);
    let of_invitation = state.invitations.contains_key(key);
    if of_member || of_validator || of_invitation || state.operators().contains(key) {
        return Err(NotApplied::KeyInUse(*key));
    }
    Ok(())
}

impl Scene<'_> {
    /// What the old key has signed and a block has taken in stands; what still waits is void.
    pub(super) fn replace_key(
        &mut self,
        party: PartyId,
        key: PublicKey,
        consent: &Signature,
    ) -> Result<(), NotApplied> {
        active(self.state, party)?;
        check_free(self.state, &key)?;
        let bytes = key_consent(self.state.chain(), &party);
        key.verify(&bytes, consent).map_err(NotApplied::Consent)?;
        self.set_key(party, key);
        Ok(())
    }

    /// Puts another key in force; the one before stays known, for what it has signed.
    pub(super) fn set_key(&mut self, party: PartyId, key: PublicKey) {
        let Some(member) = self.state.members().get(&party) else { return };
        let former = FormerKey { key: member.key, until: self.time };
        self.state.former_keys.get_or_insert_with(party, Vec::new).push(former);
        self.state.charter = self.state.charter.amended(|articles| {
            if let Some(member) = articles.members.get_mut(&party) {
                member.key = key;
            }
        });
    }

    /// Ends a membership. Its open orders fall out of every book and are answered here; its
    /// standing curves are forgotten; what has been traded stands and is settled.
    pub(super) fn revoke(&mut self, party: PartyId) -> Result<(), NotApplied> {
        active(self.state, party)?;
        let now = self.time;
        self.state.charter = self.state.charter.amended(|articles| {
            if let Some(member) = articles.members.get_mut(&party) {
                member.revoked_at = Some(now);
            }
        });
        let books = self.state.books.iter();
        let with_orders = books.filter(|(_, book)| book.has_order_of(party));
        let periods: Vec<_> = with_orders.map(|(period, _)| *period).collect();
        for period in periods {
            if let Some(book) = self.state.books.get_mut(&period) {
                self.consequences.fallen.extend(book.let_fall(period, party)?);
            }
        }
        if let Some(mut curves) = self.state.curves.get(&CURVES).cloned() {
            curves.remove(&party);
            if self.state.curves.get(&CURVES) != Some(&curves) {
                self.state.curves.insert(CURVES, curves);
            }
        }
        Ok(())
    }

    /// Forgets a revoked party: its key, metering point and limits. Its account stays, because the
    /// books have to balance, and its identifier is never given again.
    pub(super) fn erase(&mut self, party: PartyId) -> Result<(), NotApplied> {
        let member = listed(self.state, party)?;
        let revoked_at = member.revoked_at.ok_or(NotApplied::StillMember(party))?;
        let length = self.state.rules().period_length;
        let last = DeliveryPeriod::containing(revoked_at, length)?;
        if self.state.rules().final_at(last) > self.time {
            return Err(NotApplied::StillOpen(last));
        }
        if let Some(open) = self.state.open_period_of(party) {
            return Err(NotApplied::StillOpen(open));
        }
        let state = &mut *self.state;
        state.charter = state.charter.amended(|articles| {
            articles.members.remove(&party);
        });
        let signer = Signer::Party(party);
        if !state.sequences.contains_key(&signer) {
            state.sequences.insert(signer, 0);
        }
        let invitations = state.invitations.iter();
        let of_party = invitations.filter(|(_, invitation)| invitation.purpose.party() == party);
        let of_party: Vec<_> = of_party.map(|(key, _)| *key).collect();
        of_party.iter().for_each(|key| state.invitations.remove(key));
        state.former_keys.remove(&party);
        Ok(())
    }
}
