//! `hidamari operator`: what an operator answers for, signed, sent, and seen in a block.
//!
//! [`mod@file`] reads whose keys, [`options`] what is asked for, [`measures`] says what it comes to;
//! the operator confirms, and `ledger_node::submit` sends it.

mod file;
mod inviting;
mod measures;
mod options;
mod status;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ledger::acts::{Measure, OperatorAct, Signer};
use ledger::state::State;
use ledger::transaction::Transaction;
use ledger_node::submit::Visit;
use market::signed::Signed;
use market::time::Clock;
use mesh::Topic;
use serde_json::json;

pub(crate) use file::OperatorFile;
pub(crate) use options::{EXIT_CODES, Operate};

use crate::failure::Failure;
use crate::terminal::Terminal;
use crate::visit::failed;
use file::Operator;
use inviting::Secret;
use measures::Planned;
use options::Common;

/// Does what the command says.
///
/// # Errors
/// [`Failure`] says what to mend, or that it was not seen in a block.
pub(crate) async fn run(command: Operate, clock: Arc<dyn Clock>) -> Result<ExitCode, Failure> {
    let common = command.common();
    let operator = OperatorFile::load(&common.config, &common.passphrase.opener())?;
    let mut visit = operator.door.enter(Arc::clone(&clock)).await?;
    let result = act(&command, &operator, &mut visit, &*clock).await;
    operator.door.leave(visit).await;
    result
}

async fn act(
    command: &Operate,
    operator: &Operator,
    visit: &mut Visit,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let common = command.common();
    let (state, now) = (visit.state(), clock.now());
    let mut secret = None;
    let planned = match command {
        Operate::Status(_) => {
            status::show(state, &operator.door.genesis, now, common.json);
            return Ok(ExitCode::SUCCESS);
        }
        Operate::Invite(options) => {
            let (planned, invitation) = inviting::invite(options, operator, now)?;
            secret = Some(invitation);
            planned
        }
        Operate::Cancel(options) => inviting::cancel(options, state)?,
        Operate::Enrol(options) => match inviting::enrol(options, state)? {
            Some(planned) => planned,
            None => return Ok(not_confirmed()),
        },
        Operate::Revoke(options) => measures::revoke(options.party),
        Operate::Erase(options) => measures::erase(options.party),
        Operate::Tariff(options) => measures::tariff(options, state)?,
        Operate::Grid(options) => measures::grid(options, state)?,
        Operate::Mechanism(options) => measures::mechanism(options, state)?,
        Operate::Validators(command) => measures::validators(command, state, &operator.endpoints)?,
        Operate::Operators(options) => measures::operators(options, state)?,
        Operate::Approve(options) => measures::approve(options, state, now)?,
        Operate::Decide(options) => measures::decide(options, state)?,
        Operate::Payout(options) => measures::payout(options),
    };
    say(common, operator, planned, secret, visit, clock).await
}

/// Signs a measure, has it confirmed, sends it, and waits for its block.
async fn say(
    common: &Common,
    operator: &Operator,
    planned: Planned,
    secret: Option<Secret>,
    visit: &mut Visit,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let Planned { measure, sentence, warning } = planned;
    let transaction = sign(operator, measure.clone(), visit.state(), clock);
    visit.judge(&transaction).map_err(failed)?;
    if common.dry_run {
        tell(
            common,
            &json!({ "would": sentence, "warning": warning }),
            &format!(
                "{sentence}{}\nThe ledger would take it; nothing was sent.",
                note(warning.as_deref())
            ),
        );
        return Ok(ExitCode::SUCCESS);
    }
    if !common.yes && !confirmed(&sentence, warning.as_deref())? {
        return Ok(not_confirmed());
    }
    // A secret is on the disk before the ledger knows of it: without it the act would be for
    // nothing.
    let written = secret.as_ref().map(Secret::write).transpose()?;
    let patience = Duration::from_secs(common.wait);
    let seen = visit.submit(&transaction, Topic::Acts, patience).await.map_err(failed)?;
    let waits = waits(visit.state(), &measure);
    let file = written.map(|path| path.display().to_string());
    let answer = json!({
        "done": sentence, "warning": warning, "height": seen.height,
        "time": seen.time.to_string(), "transaction": seen.hash.to_string(), "file": file,
        "waits_for": waits.as_ref().map(|(count, _)| count),
    });
    let hand_over = file.map(|file| format!("\nHand {file} to the household, over a safe way."));
    tell(
        common,
        &answer,
        &format!(
            "{sentence}{}\nIt stands in block {} of {}.{}{}",
            note(warning.as_deref()),
            seen.height,
            seen.time,
            hand_over.unwrap_or_default(),
            waits.map(|(_, words)| words).unwrap_or_default()
        ),
    );
    Ok(ExitCode::SUCCESS)
}

/// How many more operators have to want a measure before it is carried out, and that in words.
fn waits(state: &State, measure: &Measure) -> Option<(usize, String)> {
    let waiting = state.agreements().iter().find(|one| one.measure == *measure)?;
    let operators = state.operators();
    let counting = waiting.operators.iter().filter(|key| operators.contains(key)).count();
    let more = usize::from(operators.approvals_required()).saturating_sub(counting);
    let words = format!(
        "\nNothing has changed yet: {more} more of the operators must send the same before {}; \
         `hidamari operator status` shows it to them.",
        waiting.expires_at
    );
    Some((more, words))
}

fn sign(operator: &Operator, measure: Measure, state: &State, clock: &dyn Clock) -> Transaction {
    let key = operator.key.public();
    // The wall clock's milliseconds, so that several acts may wait at once; but always a new one.
    let applied = state.act_sequence(&Signer::Operator(key));
    let now = u64::try_from(clock.now().as_millis()).unwrap_or_default();
    let act = OperatorAct {
        community: *state.chain(),
        operator: key,
        sequence: now.max(applied.saturating_add(1)),
        measure,
    };
    Transaction::OperatorAct(Signed::sign(act, state.chain(), &operator.key).into_envelope())
}

fn note(warning: Option<&str>) -> String {
    warning.map(|warning| format!("\nNote: {warning}.")).unwrap_or_default()
}

fn confirmed(sentence: &str, warning: Option<&str>) -> Result<bool, Failure> {
    let Some(mut terminal) = Terminal::open() else {
        let problem = "there is no terminal to ask for confirmation; add --yes to go on without";
        return Err(Failure::option("--yes", &problem));
    };
    terminal.say(&format!("{sentence}{}", note(warning))).map_err(Failure::start)?;
    terminal.confirm("Sign and send this").map_err(Failure::start)
}

#[expect(clippy::print_stderr, reason = "this is the command's answer")]
fn not_confirmed() -> ExitCode {
    eprintln!("Not confirmed; nothing was sent.");
    ExitCode::from(1)
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn tell(common: &Common, answer: &serde_json::Value, words: &str) {
    if common.json {
        println!("{answer}");
    } else {
        println!("{words}");
    }
}
