//! Writes a founded community: whole, or not at all.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ledger_node::config::{ConsensusSection, MeshSection, NodeConfig};
use market::member::PartyId;
use market::time::Timestamp;
use mesh::key_file::Keychain;
use toml::{Table, Value};

use crate::community::error::CommunityError;
use crate::community::found::{Founded, ValidatorKeys};
use crate::invitation::Invitation;
use crate::operator::OperatorFile;

/// Writes everything into a new directory. It appears under its name when it is complete.
///
/// # Errors
/// [`CommunityError`] if it exists already, or cannot be written.
pub(crate) fn write(dir: &Path, founded: &Founded, keys: &Keychain) -> Result<(), CommunityError> {
    if dir.symlink_metadata().is_ok() {
        return Err(CommunityError::Exists(dir.to_owned()));
    }
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = dir.with_file_name(name);
    if new.exists() {
        // What an interrupted founding left was never used by anybody.
        fs::remove_dir_all(&new).map_err(file(&new))?;
    }
    let written = write_all(&new, founded, keys);
    if written.is_err() {
        let _ = fs::remove_dir_all(&new);
    }
    written?;
    fs::rename(&new, dir).map_err(file(dir))
}

fn write_all(dir: &Path, founded: &Founded, keys: &Keychain) -> Result<(), CommunityError> {
    make_folder(dir)?;
    let genesis = ledger::genesis::write(&founded.genesis)?;
    write_text(&dir.join("genesis.toml"), &genesis)?;
    let bootstrap: Vec<_> = founded.validators.iter().map(ValidatorKeys::mesh_address).collect();
    for one in &founded.validators {
        let folder = make_folder(&dir.join("validators").join(&one.plan.name))?;
        let is_other = |other: &&ValidatorKeys| other.plan.name != one.plan.name;
        let peers = founded.validators.iter().filter(is_other).map(ValidatorKeys::endpoint);
        let joins = founded.validators.iter().filter(is_other).map(ValidatorKeys::mesh_address);
        write_validator(&folder, one, peers.collect(), joins.collect(), &genesis, keys)?;
    }
    let endpoints: Vec<_> =
        founded.validators.iter().map(|one| (one.public(), one.endpoint())).collect();
    for one in &founded.operators {
        let folder = make_folder(&dir.join("operators").join(&one.name))?;
        write_text(&folder.join("genesis.toml"), &genesis)?;
        keys.create(&folder.join("operator.key"), &one.operator)?;
        keys.create(&folder.join("mesh.key"), &one.mesh)?;
        let text = OperatorFile::text(&bootstrap, &endpoints);
        write_text(&folder.join("operator.toml"), &text)?;
    }
    let folder = make_folder(&dir.join("dashboard"))?;
    write_text(&folder.join("genesis.toml"), &genesis)?;
    keys.create(&folder.join("mesh.key"), &founded.dashboard)?;
    write_text(&folder.join("dashboard.toml"), &dashboard(&bootstrap))?;
    let folder = make_folder(&dir.join("invitations"))?;
    for one in &founded.invitations {
        let path = folder.join(format!("{}.toml", one.name));
        write_invitation(&path, &one.name, one.party, &one.invitation)?;
    }
    Ok(())
}

/// Writes the folder of a validator.
///
/// # Errors
/// [`CommunityError`] if a file cannot be written.
pub(crate) fn write_validator(
    folder: &Path,
    validator: &ValidatorKeys,
    peers: Vec<String>,
    bootstrap: Vec<String>,
    genesis: &str,
    keys: &Keychain,
) -> Result<(), CommunityError> {
    write_text(&folder.join("genesis.toml"), genesis)?;
    keys.create(&folder.join("validator.key"), &validator.validator)?;
    keys.create(&folder.join("consensus.key"), &validator.consensus)?;
    keys.create(&folder.join("mesh.key"), &validator.mesh)?;
    let plan = &validator.plan;
    // Behind a router the machine does not have the address by which the others know it.
    let own: IpAddr = match plan.address {
        loopback if loopback.is_loopback() => loopback,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let family = if own.is_ipv4() { "ip4" } else { "ip6" };
    let listen = |port: u16| format!("/{family}/{own}/tcp/{port}");
    let config = NodeConfig {
        moniker: plan.name.clone(),
        data_dir: "data".into(),
        genesis: "genesis.toml".into(),
        from_snapshot: None,
        prune_after_days: None,
        validator_key: "validator.key".into(),
        http_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, plan.http_port)).to_string(),
        consensus: ConsensusSection {
            transport_key: "consensus.key".into(),
            listen: listen(plan.consensus_port),
            peers,
            ..ConsensusSection::default()
        },
        mesh: MeshSection {
            transport_key: "mesh.key".into(),
            listen: vec![listen(plan.mesh_port)],
            bootstrap,
            mdns: false,
        },
    };
    let text = toml::to_string(&config).map_err(CommunityError::unsound)?;
    write_text(&folder.join("node.toml"), &text)
}

/// Writes an invitation for handing over, readable by its owner alone.
///
/// # Errors
/// [`CommunityError`] if it exists or cannot be written.
pub(crate) fn write_invitation(
    path: &Path,
    name: &str,
    party: PartyId,
    invitation: &Invitation,
) -> Result<(), CommunityError> {
    let Invitation { community, expires_at, .. } = invitation;
    let expires = Timestamp::to_string(expires_at);
    let head = [("for", name), ("community", community.as_str()), ("expires_at", expires.as_str())];
    let mut table: Table =
        head.into_iter().map(|(key, text)| (key.to_owned(), Value::from(text))).collect();
    table.insert("party".to_owned(), Value::from(party.to_string()));
    table.insert("invitation".to_owned(), Value::from(invitation.to_text().as_str()));
    let text = format!(
        "# Hand this to one household, for: hidamari agent join THIS-FILE\n\
         # Whoever has it can ask to join. Take nobody in before you have compared the fingerprint.\n\
         {table}"
    );
    let mut options = fs::OpenOptions::new();
    let file_at = options.write(true).create_new(true).mode(0o600).open(path);
    let mut made = file_at.map_err(file(path))?;
    made.write_all(text.as_bytes()).and_then(|()| made.sync_all()).map_err(file(path))
}

fn dashboard(bootstrap: &[String]) -> String {
    let list = Value::from(bootstrap.to_vec());
    format!(
        "data_dir = \"data\"\ngenesis = \"genesis.toml\"\nhousehold_pages = \"closed\"\n\
         # The names under which browsers reach the page, beside this machine's own.\n\
         allowed_hosts = []\n\n\
         [mesh]\ntransport_key = \"mesh.key\"\nlisten = []\nbootstrap = {list}\n"
    )
}

/// Makes a folder that only its owner can look into.
///
/// # Errors
/// [`CommunityError::File`].
pub(crate) fn make_folder(path: &Path) -> Result<PathBuf, CommunityError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(file(path))?;
    Ok(path.to_owned())
}

fn write_text(path: &Path, text: &str) -> Result<(), CommunityError> {
    let mut made = fs::File::create_new(path).map_err(file(path))?;
    made.write_all(text.as_bytes()).and_then(|()| made.sync_all()).map_err(file(path))
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> CommunityError {
    let path = path.to_owned();
    move |source| CommunityError::File { path, source }
}
