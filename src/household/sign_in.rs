//! `hidamari agent sign-in`: a one-time link with which the household signs in to a dashboard.
//!
//! It needs the party's key and nothing of the network; the agent may be running.

use std::process::ExitCode;

use market::keys::SigningKey;
use meter_agent::AgentConfig;
use serde_json::json;

use crate::clock;
use crate::failure::Failure;
use crate::household::options::SignIn;
use crate::visit::read_genesis;

/// Prints a link.
///
/// # Errors
/// [`Failure`] says what to mend.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(crate) fn sign_in(options: &SignIn) -> Result<ExitCode, Failure> {
    let config = AgentConfig::load(&options.config).map_err(Failure::start)?;
    let genesis = read_genesis(&config.genesis)?;
    let keys = options.passphrase.opener();
    let key = SigningKey::from_seed(&*keys.read(&config.party_key).map_err(Failure::start)?);
    // Links end by real time, also where the market's clock runs faster.
    let now = clock::real().now();
    let chain = genesis.chain_id();
    let link = web::sign_in_link(config.party, &key, &chain, &options.dashboard, now);
    let link = link.map_err(Failure::start)?;
    if options.json {
        println!("{}", json!({ "link": link }));
    } else {
        println!(
            "{link}\n\nOpen this link within five minutes, on any device. It lets one browser in, \
             once. Whoever has it\nmay be that one: show it to nobody."
        );
    }
    Ok(ExitCode::SUCCESS)
}
