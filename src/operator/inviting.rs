//! Inviting households and taking them in.

use std::path::PathBuf;

use ledger::acts::{Invitation as Opened, Measure, Purpose};
use ledger::state::State;
use market::energy::Energy;
use market::fingerprint::Fingerprint;
use market::keys::PublicKey;
use market::member::{MeteringPointId, PartyId};
use market::time::Timestamp;
use market::zone::ZoneId;
use mesh::key_file::Seed;

use crate::community::{identifier, write_invitation};
use crate::failure::Failure;
use crate::invitation::{ADDRESSES_MAX, Invitation};
use crate::operator::file::Operator;
use crate::operator::measures::{Planned, purpose_words};
use crate::operator::options;
use crate::terminal::Terminal;

/// An invitation that is to be handed over.
pub(super) struct Secret {
    invitation: Invitation,
    name: String,
    party: PartyId,
    path: PathBuf,
}

impl Secret {
    /// Writes it for handing over.
    ///
    /// # Errors
    /// [`Failure`] if the file exists or cannot be written.
    pub(super) fn write(&self) -> Result<PathBuf, Failure> {
        let written = write_invitation(&self.path, &self.name, self.party, &self.invitation);
        written.map(|()| self.path.clone()).map_err(Failure::start)
    }
}

pub(super) fn invite(
    options: &options::Invite,
    operator: &Operator,
    now: Timestamp,
) -> Result<(Planned, Secret), Failure> {
    let seed = Seed::generate().map_err(Failure::start)?;
    let id = || identifier().map_err(Failure::start);
    let purpose = match options.new_key {
        Some(party) => Purpose::NewKey { party },
        None => Purpose::NewMember {
            party: PartyId::from_bytes(id()?),
            metering_point: MeteringPointId::from_bytes(id()?),
            zone: ZoneId(options.zone),
            import_max: Energy::from_wh(options.import_max_wh),
            export_max: Energy::from_wh(options.export_max_wh),
        },
    };
    let expires_at = now.plus_millis(i64::from(options.days).saturating_mul(86_400_000));
    let genesis = &operator.door.genesis;
    let invitation = Invitation {
        community: genesis.name.clone(),
        chain: genesis.chain_id(),
        bootstrap: operator.door.bootstrap.iter().take(ADDRESSES_MAX).cloned().collect(),
        seed,
        expires_at,
    };
    let beside = || {
        let folder = options.common.config.parent().map(PathBuf::from).unwrap_or_default();
        folder.join(format!("{}.toml", options.name))
    };
    let path = options.out.clone().unwrap_or_else(beside);
    if path.symlink_metadata().is_ok() {
        let problem = "exists already; name another with --out";
        return Err(Failure::file(&path, &problem));
    }
    let sentence =
        format!("Invite {:?}: {}, until {expires_at}.", options.name, purpose_words(&purpose));
    let (name, party) = (options.name.clone(), purpose.party());
    let key = invitation.public();
    let measure = Measure::Invite { invitation: key, purpose, expires_at };
    Ok((Planned::new(measure, sentence), Secret { invitation, name, party, path }))
}

pub(super) fn cancel(options: &options::Cancel, state: &State) -> Result<Planned, Failure> {
    let invitation = options.invitation;
    let known = state.invitation(&invitation);
    let known =
        known.ok_or_else(|| Failure::option("INVITATION", &"there is no such invitation"))?;
    let sentence =
        format!("Take back the invitation {invitation} ({}).", purpose_words(&known.purpose));
    Ok(Planned::new(Measure::CancelInvitation { invitation }, sentence))
}

/// Finds the candidate by the fingerprint that the household reads out. The operator types it: who
/// only compares what is shown says yes too easily. `None` if nothing was typed.
pub(super) fn enrol(options: &options::Enrol, state: &State) -> Result<Option<Planned>, Failure> {
    let waiting: Vec<_> = candidates(state).collect();
    if waiting.is_empty() {
        let problem = "nobody has joined by an open invitation yet; the household runs `hidamari \
                       agent join INVITATION` first";
        return Err(Failure::option("enrol", &problem));
    }
    let read = match options.fingerprint {
        Some(fingerprint) => fingerprint,
        None => match ask(&waiting, state)? {
            Some(fingerprint) => fingerprint,
            None => return Ok(None),
        },
    };
    let of = |key: &PublicKey| Fingerprint::of(state.chain(), key);
    let Some((invitation, opened, key)) = waiting.iter().find(|(_, _, key)| of(key) == read) else {
        let problem = format!(
            "nobody who has joined has the fingerprint {read}. If the household reads it to you \
             like this, somebody else has used its invitation: cancel that, and make a new one"
        );
        return Err(Failure::option("--fingerprint", &problem));
    };
    let sentence =
        format!("Take in {}: its key has the fingerprint {read}.", purpose_words(&opened.purpose));
    let measure = Measure::Enrol { invitation: *invitation, key: *key };
    Ok(Some(Planned::new(measure, sentence)))
}

/// Who has joined by an open invitation, and with which key.
pub(super) fn candidates(state: &State) -> impl Iterator<Item = (PublicKey, &Opened, PublicKey)> {
    let open = state.invitations().filter(|(_, opened)| opened.is_open());
    open.filter_map(|(key, opened)| Some((*key, opened, opened.candidate()?)))
}

fn ask(
    waiting: &[(PublicKey, &Opened, PublicKey)],
    state: &State,
) -> Result<Option<Fingerprint>, Failure> {
    let Some(mut terminal) = Terminal::open() else {
        let problem = "give the digits that the household has read to you; there is no terminal";
        return Err(Failure::option("--fingerprint", &problem));
    };
    let mut talk = || {
        terminal.say("Have joined, and wait to be taken in:")?;
        for (_, opened, key) in waiting {
            let fingerprint = Fingerprint::of(state.chain(), key);
            terminal.say(&format!("  {fingerprint}   {}", purpose_words(&opened.purpose)))?;
        }
        terminal.say("Call the household, and let it read its fingerprint to you.")?;
        terminal.ask_for("The digits that you hear (empty: none)", None, |text| match text {
            "" => Ok(None),
            digits => digits.parse::<Fingerprint>().map(Some),
        })
    };
    talk().map_err(Failure::start)
}
