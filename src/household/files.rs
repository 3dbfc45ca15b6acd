//! The files of a household's agent.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use ledger::acts::Purpose;
use ledger::genesis::Genesis;
use market::member::{Member, PartyId};
use mesh::key_file::{Keychain, Seed};
use meter_agent::membership::Membership;
use toml::{Table, Value};

use crate::failure::Failure;
use crate::household::options::Join;
use crate::invitation::Invitation;

/// Where everything lies.
pub(super) struct Files {
    dir: PathBuf,
}

impl Files {
    pub(super) fn make(dir: &Path) -> Result<Self, Failure> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| Failure::file(dir, &error))?;
        Ok(Self { dir: dir.to_owned() })
    }

    pub(super) fn genesis(&self) -> PathBuf {
        self.dir.join("genesis.toml")
    }

    pub(super) fn party_key(&self) -> PathBuf {
        self.dir.join("party.key")
    }

    pub(super) fn mesh_key(&self) -> PathBuf {
        self.dir.join("mesh.key")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("agent.toml")
    }

    pub(super) fn membership(&self) -> PathBuf {
        self.dir.join("membership.toml")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The key of a file, or a new one that is written there.
    pub(super) fn key(path: &Path, keys: &Keychain) -> Result<Seed, Failure> {
        if path.symlink_metadata().is_ok() {
            return keys.read(path).map_err(Failure::start);
        }
        let seed = Seed::generate().map_err(Failure::start)?;
        keys.create(path, &seed).map_err(Failure::start)?;
        Ok(seed)
    }

    /// Writes the agent's configuration, unless there is one.
    pub(super) fn write_config(
        &self,
        options: &Join,
        invitation: &Invitation,
        purpose: &Purpose,
        genesis: &Genesis,
        limit_wh: i64,
    ) -> Result<(), Failure> {
        let path = self.config();
        if path.exists() {
            return Ok(());
        }
        let list: Vec<_> = invitation.bootstrap.iter().map(ToString::to_string).collect();
        let minutes = genesis.rules.period_length.minutes().max(1);
        // What the registered limit allows, whatever the fuse would carry.
        let rated_power_w = limit_wh.saturating_mul(60).div_euclid(minutes).max(1);
        let mut text = format!(
            "data_dir = \"data\"\ngenesis = \"genesis.toml\"\nparty = \"{}\"\n\
             party_key = \"party.key\"\nrated_power_w = {rated_power_w}\n\n\
             [mesh]\ntransport_key = \"mesh.key\"\nbootstrap = {}\n\n",
            purpose.party(),
            Value::from(list)
        );
        match (&options.meter, &options.meter_host) {
            (Some(profile), Some(host)) => {
                let mut meter = Table::new();
                meter.insert("profile".to_owned(), Value::from(profile.as_str()));
                meter.insert("host".to_owned(), Value::from(host.as_str()));
                if let Some(port) = options.meter_port {
                    meter.insert("port".to_owned(), Value::from(i64::from(port)));
                }
                text += &format!("[meter]\n{meter}");
            }
            _ => {
                text += "# Fill in the meter, and the agent can start.\n\
                         # [meter]\n# profile = \"eastron-sdm630\"\n# host = \"192.0.2.20\"\n";
            }
        }
        write(&path, &text)
    }

    /// Writes who the household is, in place of what stood there.
    pub(super) fn write_membership(
        &self,
        party: PartyId,
        member: &Member,
        height: u64,
    ) -> Result<(), Failure> {
        write_membership(&self.membership(), party, member, height)
    }
}

pub(super) fn write_membership(
    path: &Path,
    party: PartyId,
    member: &Member,
    height: u64,
) -> Result<(), Failure> {
    write(path, &Membership { party, member: member.clone(), height }.to_text())
}

/// Writes a file whole or not at all.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let written = fs::File::create(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| Failure::file(path, &error))
}
