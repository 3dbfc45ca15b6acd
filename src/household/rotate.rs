//! `hidamari agent rotate-key`: another key signs for the household from now on.
//!
//! The new key lies beside the old one until the ledger knows it, and only then takes its place. So
//! whatever happens in between, the key in force is there, and the same command goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ledger::acts::{Matter, PartyAct, Signer, key_consent};
use ledger::state::State;
use ledger::transaction::Transaction;
use ledger_node::submit::Visit;
use market::keys::SigningKey;
use market::signed::Signed;
use market::time::Clock;
use mesh::Topic;
use mesh::key_file::{Form, Keychain};
use meter_agent::AgentConfig;

use crate::failure::Failure;
use crate::household::files::{Files, write_membership};
use crate::household::options::RotateKey;
use crate::visit::{Door, failed, read_genesis};

/// Changes the household's key.
///
/// # Errors
/// [`Failure`] says what to mend, or what may go better the next time.
pub(crate) async fn rotate(options: RotateKey, clock: Arc<dyn Clock>) -> Result<ExitCode, Failure> {
    let config = AgentConfig::load(&options.config).map_err(Failure::start)?;
    // Neither may sign while the keys change places.
    let _held = meter_agent::hold_data_dir(&config.data_dir)?;
    let form = if options.plain_keys { Form::Plain } else { Form::Encrypted };
    let keys = options.passphrase.keychain(form);
    let door = Door {
        genesis: read_genesis(&config.genesis)?,
        transport: keys.read(&config.mesh.transport_key).map_err(Failure::start)?,
        bootstrap: config.mesh.bootstrap.clone(),
        data_dir: config.data_dir.clone(),
    };
    let mut visit = door.enter(Arc::clone(&clock)).await?;
    let patience = Duration::from_secs(options.wait);
    let result = change(&config, &keys, &mut visit, &*clock, patience).await;
    door.leave(visit).await;
    result
}

async fn change(
    config: &AgentConfig,
    keys: &Keychain,
    visit: &mut Visit,
    clock: &dyn Clock,
    patience: Duration,
) -> Result<ExitCode, Failure> {
    let (party, path) = (config.party, &config.party_key);
    let new_path = beside(path, "new");
    let old = SigningKey::from_seed(&*keys.read(path).map_err(Failure::start)?);
    // An earlier attempt may have left it, and the ledger may know it already.
    let new = SigningKey::from_seed(&*Files::key(&new_path, keys)?);
    let in_force = visit.state().members().get(&party).map(|member| member.key);
    let in_force = in_force
        .ok_or_else(|| Failure::file(path, &format!("the ledger does not list party {party}")))?;
    let mut height = visit.state().height();
    if in_force != new.public() {
        if in_force != old.public() {
            let problem = "the ledger knows another key for this party than this file holds; if it \
                           is lost, ask the operator for an invitation to a new key";
            return Err(Failure::file(path, &problem));
        }
        let act = replacement(visit.state(), config, &old, &new, clock);
        height = visit.submit(&act, Topic::Acts, patience).await.map_err(failed)?.height;
    }
    let member = visit.state().members().get(&party).cloned();
    if let Some(member) = member {
        write_membership(&config.membership, party, &member, height)?;
    }
    switch(path, &new_path)?;
    tell(height, path);
    Ok(ExitCode::SUCCESS)
}

fn replacement(
    state: &State,
    config: &AgentConfig,
    old: &SigningKey,
    new: &SigningKey,
    clock: &dyn Clock,
) -> Transaction {
    let (chain, party) = (state.chain(), config.party);
    let applied = state.act_sequence(&Signer::Party(party));
    let now = u64::try_from(clock.now().as_millis()).unwrap_or_default();
    let consent = new.sign(&key_consent(chain, &party));
    let act = PartyAct {
        community: *chain,
        party,
        sequence: now.max(applied.saturating_add(1)),
        matter: Matter::ReplaceKey { key: new.public(), consent },
    };
    Transaction::PartyAct(Signed::sign(act, chain, old).into_envelope())
}

/// Puts the new key in the old one's place; the old one stays beside it, and signs nothing.
fn switch(path: &Path, new: &Path) -> Result<(), Failure> {
    let old = beside(path, "old");
    let failed = |error: std::io::Error| Failure::file(path, &error);
    match fs::remove_file(&old) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // A second name for the same file: at no moment is there no key under the first.
    fs::hard_link(path, &old).map_err(failed)?;
    fs::rename(new, path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn tell(height: u64, path: &Path) {
    println!(
        "Since block {height} another key signs for this household. It is in {}; start the agent \
         again.",
        path.display()
    );
}
