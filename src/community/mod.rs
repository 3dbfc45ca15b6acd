//! `hidamari community`: founds a community, and makes the folder of one more validator.
//!
//! [`mod@plan`] learns what is wanted, [`mod@found`] makes keys and genesis of it, [`mod@write`] writes them.

mod error;
mod found;
mod options;
mod plan;
mod presets;
mod write;

use std::path::Path;
use std::process::ExitCode;

use ledger::genesis::Genesis;
use market::fingerprint::Fingerprint;
use market::time::Timestamp;
use serde_json::{Value, json};

pub(crate) use error::CommunityError;
pub(crate) use found::identifier;
pub(crate) use options::Community;
pub(crate) use write::write_invitation;

use found::{Founded, ValidatorKeys, found};
use options::{Init, OneValidator};
use plan::Plan;

/// Does what the command says.
///
/// # Errors
/// [`CommunityError`] says what to mend; nothing was written.
pub(crate) fn run(command: &Community, now: Timestamp) -> Result<ExitCode, CommunityError> {
    match command {
        Community::Init(options) => init(options, now),
        Community::Validator(options) => one_validator(options),
    }
}

/// What a community of `count` validators of equal power bears, if it is not what it costs.
pub(crate) fn warn_of_count(count: usize) -> Option<String> {
    let bears = count.saturating_sub(1) / 3;
    let better = bears.saturating_mul(3).saturating_add(1);
    if count == 1 {
        return Some(
            "one validator alone can change and lose everything; four bear one that fails or lies"
                .to_owned(),
        );
    }
    (count != better).then(|| {
        format!(
            "{count} validators are not 3f+1: they bear {bears} that fail or lie, as {better} \
             would; {} bear {}",
            better.saturating_add(3),
            bears.saturating_add(1)
        )
    })
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn init(options: &Init, now: Timestamp) -> Result<ExitCode, CommunityError> {
    if options.dir.symlink_metadata().is_ok() {
        return Err(CommunityError::Exists(options.dir.clone()));
    }
    let plan = Plan::of(options)?;
    let founded = found(&plan, now)?;
    write::write(&options.dir, &founded, &options.keys.keychain())?;
    let warning = warn_of_count(founded.validators.len());
    if options.json {
        println!("{:#}", as_json(&options.dir, &founded, warning));
    } else {
        println!("{}", in_words(&options.dir, &founded, warning, options.keys.plain_keys));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(dir: &Path, founded: &Founded, warning: Option<String>) -> Value {
    let chain = founded.genesis.chain_id();
    let at = |parts: &[&str]| {
        let path = parts.iter().fold(dir.to_owned(), |path, part| path.join(part));
        path.display().to_string()
    };
    let validators = founded.validators.iter().map(|one| {
        json!({
            "name": one.plan.name, "key": one.public().to_string(), "endpoint": one.endpoint(),
            "mesh": one.mesh_address(), "config": at(&["validators", &one.plan.name, "node.toml"]),
        })
    });
    let operators = founded.operators.iter().map(|one| {
        json!({
            "name": one.name, "key": one.public().to_string(),
            "fingerprint": Fingerprint::of(&chain, &one.public()).to_string(),
            "config": at(&["operators", &one.name, "operator.toml"]),
        })
    });
    let invitations = founded.invitations.iter().map(|one| {
        json!({
            "name": one.name, "party": one.party.to_string(),
            "key": one.invitation.public().to_string(),
            "file": at(&["invitations", &format!("{}.toml", one.name)]),
        })
    });
    json!({
        "name": founded.genesis.name, "chain_id": chain.to_string(),
        "genesis": at(&["genesis.toml"]), "dashboard": at(&["dashboard", "dashboard.toml"]),
        "validators": validators.collect::<Vec<_>>(),
        "operators": operators.collect::<Vec<_>>(),
        "invitations": invitations.collect::<Vec<_>>(),
        "warnings": warning.into_iter().collect::<Vec<_>>(),
    })
}

fn in_words(dir: &Path, founded: &Founded, warning: Option<String>, plain: bool) -> String {
    let dir = dir.display();
    let count =
        |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let mut words = vec![format!(
        "{:?} is founded in {dir}: {}, {}, {}.",
        founded.genesis.name,
        count(founded.validators.len(), "validator"),
        count(founded.operators.len(), "operator"),
        count(founded.invitations.len(), "invitation"),
    )];
    words.push(format!("Its chain is {}.", founded.genesis.chain_id()));
    words.extend(warning.map(|warning| format!("Note: {warning}.")));
    words.push("\nWhat to do next:".to_owned());
    for one in &founded.validators {
        let name = &one.plan.name;
        words.push(format!(
            "  - move {dir}/validators/{name} to the machine at {}, and run there:\n      \
             hidamari node --config {name}/node.toml",
            one.plan.address
        ));
    }
    for one in &founded.operators {
        words.push(format!("  - hand {dir}/operators/{0} to {0}, over a safe way", one.name));
    }
    for one in &founded.invitations {
        words.push(format!(
            "  - hand {dir}/invitations/{0}.toml to {0}, for: hidamari agent join {0}.toml",
            one.name
        ));
    }
    words.push(
        "  - for each household that has joined, compare the fingerprint that it reads to you:\n      \
         hidamari operator enrol --config operators/NAME/operator.toml"
            .to_owned(),
    );
    words.push(format!(
        "  - the dashboard: hidamari dashboard --config {dir}/dashboard/dashboard.toml"
    ));
    words.push(if plain {
        "The key files are not encrypted: whoever reads one can act as its owner.".to_owned()
    } else {
        "The key files are encrypted with your passphrase; without it they are lost. Keep a copy \
         of both, apart from each other."
            .to_owned()
    });
    words.join("\n")
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn one_validator(options: &OneValidator) -> Result<ExitCode, CommunityError> {
    let OneValidator { dir, genesis, .. } = options;
    if dir.symlink_metadata().is_ok() {
        return Err(CommunityError::Exists(dir.clone()));
    }
    let file = |source| CommunityError::File { path: genesis.clone(), source };
    let text = std::fs::read_to_string(genesis).map_err(file)?;
    let _: Genesis = ledger::genesis::read(&text)?;
    let keys = ValidatorKeys::new(options.validator.clone())?;
    let folder = write::make_folder(dir)?;
    let joins: Vec<_> = options.bootstrap.iter().map(ToString::to_string).collect();
    write::write_validator(&folder, &keys, Vec::new(), joins, &text, &options.keys.keychain())?;
    let (key, endpoint) = (keys.public(), keys.endpoint());
    if options.json {
        let config = dir.join("node.toml").display().to_string();
        println!("{}", json!({ "key": key.to_string(), "endpoint": endpoint, "config": config }));
    } else {
        println!(
            "Start it, and let it follow the chain to its end:\n  hidamari node --config {}\n\
             Then an operator takes it in:\n  hidamari operator validators add --config \
             operator.toml {key} {endpoint}",
            dir.join("node.toml").display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
