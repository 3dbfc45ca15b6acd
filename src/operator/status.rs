//! What an operator wants to see before acting.

use ledger::acts::{Agreement, Measure};
use ledger::genesis::Genesis;
use ledger::state::State;
use ledger::validators::Validator;
use market::fingerprint::Fingerprint;
use market::time::Timestamp;
use serde_json::{Value, json};

use crate::community::warn_of_count;
use crate::operator::inviting::candidates;
use crate::operator::measures::purpose_words;

/// Shows the community as the ledger knows it.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(super) fn show(state: &State, genesis: &Genesis, now: Timestamp, as_json: bool) {
    if as_json {
        println!("{:#}", as_value(state, genesis, now));
    } else {
        println!("{}", in_words(state, genesis, now));
    }
}

fn as_value(state: &State, genesis: &Genesis, now: Timestamp) -> Value {
    let chain = state.chain();
    let members = state.members().iter().map(|(party, member)| {
        json!({
            "party": party.to_string(), "key": member.key.to_string(), "zone": member.zone.0,
            "active": member.is_active(),
        })
    });
    let waiting = candidates(state).map(|(invitation, opened, key)| {
        json!({
            "invitation": invitation.to_string(), "party": opened.purpose.party().to_string(),
            "key": key.to_string(), "fingerprint": Fingerprint::of(chain, &key).to_string(),
        })
    });
    let open = state.invitations().filter(|(_, opened)| opened.is_open()).map(|(key, opened)| {
        json!({
            "invitation": key.to_string(), "party": opened.purpose.party().to_string(),
            "expires_at": opened.expires_at.to_string(),
        })
    });
    let disputes = state.disputes().filter(|(_, one)| one.is_open()).map(|(number, one)| {
        json!({
            "number": number, "party": one.party.to_string(),
            "period": one.period.start().to_string(), "reason": one.reason,
        })
    });
    let endpoint = |key| state.endpoints().iter().find(|one| one.key == key);
    let validators = state.validators().iter().map(|one| {
        let address = endpoint(one.key).map(|endpoint| endpoint.address.clone());
        json!({ "key": one.key.to_string(), "power": one.power, "endpoint": address })
    });
    let operators = state.operators();
    json!({
        "name": genesis.name, "chain_id": chain.to_string(), "height": state.height(),
        "time": state.time().to_string(),
        "members": members.collect::<Vec<_>>(), "waiting": waiting.collect::<Vec<_>>(),
        "invitations": open.collect::<Vec<_>>(), "disputes": disputes.collect::<Vec<_>>(),
        "validators": validators.collect::<Vec<_>>(),
        "operators": operators.keys().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "approvals_required": operators.approvals_required(),
        "agreements": agreements(state, now).map(|one| json!({
            "measure": measure_words(&one.measure), "expires_at": one.expires_at.to_string(),
            "operators": one.operators.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}

fn in_words(state: &State, genesis: &Genesis, now: Timestamp) -> String {
    let chain = state.chain();
    let mut lines = vec![format!(
        "{:?}, chain {chain}, block {} of {}",
        genesis.name,
        state.height(),
        state.time()
    )];
    let active = state.members().values().filter(|member| member.is_active()).count();
    lines.push(format!("\n{active} members:"));
    for (party, member) in state.members() {
        let ended = member.revoked_at.map(|at| format!(", revoked {at}")).unwrap_or_default();
        let fingerprint = Fingerprint::of(chain, &member.key);
        lines.push(format!("  {party}  zone {}  key {fingerprint}{ended}", member.zone.0));
    }
    let waiting: Vec<_> = candidates(state).collect();
    if !waiting.is_empty() {
        lines.push("\nHave joined, and wait to be taken in (`enrol`):".to_owned());
    }
    for (_, opened, key) in waiting {
        let fingerprint = Fingerprint::of(chain, &key);
        lines.push(format!("  {fingerprint}  {}", purpose_words(&opened.purpose)));
    }
    let open: Vec<_> = state.invitations().filter(|(_, one)| one.is_open()).collect();
    if !open.is_empty() {
        lines.push("\nOpen invitations:".to_owned());
    }
    for (key, one) in open {
        let late = if one.expires_at <= now { ", expired" } else { "" };
        let purpose = purpose_words(&one.purpose);
        lines.push(format!("  {key}\n    {purpose}, until {}{late}", one.expires_at));
    }
    let disputes: Vec<_> = state.disputes().filter(|(_, one)| one.is_open()).collect();
    if !disputes.is_empty() {
        lines.push("\nOpen disputes (`decide`):".to_owned());
    }
    for (number, one) in disputes {
        lines.push(format!(
            "  {number}: {} about {}: {:?}",
            one.party,
            one.period.start(),
            one.reason
        ));
    }
    lines.push("\nValidators:".to_owned());
    lines.extend(state.validators().iter().map(|one| {
        let address = state.endpoints().iter().find(|endpoint| endpoint.key == one.key);
        let address = address.map_or("as configured", |endpoint| endpoint.address.as_str());
        format!("  {}  power {}  {address}", one.key, one.power)
    }));
    lines.extend(
        warn_of_count(state.validators().count()).map(|warning| format!("  Note: {warning}.")),
    );
    let operators = state.operators();
    lines.push(format!("\nOperators, of whom {} must approve:", operators.approvals_required()));
    lines.extend(operators.keys().iter().map(|key| format!("  {key}")));
    let waiting: Vec<_> = agreements(state, now).collect();
    if !waiting.is_empty() {
        lines.push("\nWaits for more operators, who agree by sending the same:".to_owned());
    }
    for one in waiting {
        lines.push(format!("  {}, until {}", measure_words(&one.measure), one.expires_at));
        lines.extend(one.operators.iter().map(|key| format!("    wanted by {key}")));
    }
    lines.join("\n")
}

/// The measures that wait for more operators and have not expired.
fn agreements(state: &State, now: Timestamp) -> impl Iterator<Item = &Agreement> {
    state.agreements().iter().filter(move |one| one.expires_at > now)
}

/// What a measure comes to, key by key: whoever agrees has to see exactly what it is.
fn measure_words(measure: &Measure) -> String {
    match measure {
        Measure::Operators { operators } => {
            let keys: Vec<_> = operators.keys().iter().map(ToString::to_string).collect();
            let required = operators.approvals_required();
            format!("operators {}, of whom {required} must approve", keys.join(" "))
        }
        Measure::Validators { set, endpoints } => {
            let one = |validator: &Validator| {
                let at = endpoints.iter().find(|endpoint| endpoint.key == validator.key);
                let at = at.map(|endpoint| format!(" at {}", endpoint.address));
                format!("{} (power {}){}", validator.key, validator.power, at.unwrap_or_default())
            };
            format!("validators {}", set.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        // Nothing else waits.
        _ => String::new(),
    }
}
