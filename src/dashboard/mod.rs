//! `hidamari dashboard operator`: who may sign in to a dashboard as an operator.
//!
//! Passwords and authenticators stand in the dashboard's own database, never on the ledger. The
//! dashboard may be running; a changed or removed operator is signed out at once.

mod options;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use market::time::Clock;
use serde_json::json;
use web::{Accounts, DashboardConfig, OperatorName, TotpSecret, check_new_password};
use zeroize::Zeroizing;

pub(crate) use options::{Add, DashboardTool, ListOperators, OperatorTool, Remove};

use crate::clock;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Runs a tool.
///
/// # Errors
/// [`Failure`] says what to mend.
pub(crate) async fn run(tool: DashboardTool) -> Result<ExitCode, Failure> {
    let DashboardTool::Operator(tool) = tool;
    match tool {
        OperatorTool::Add(options) => add(&options).await,
        OperatorTool::Remove(options) => remove(&options).await,
        OperatorTool::List(options) => list(&options).await,
    }
}

async fn open(config: &Path) -> Result<(DashboardConfig, Accounts), Failure> {
    let config = DashboardConfig::read(config).map_err(Failure::start)?;
    let accounts = Accounts::open(&config.data_dir).await.map_err(Failure::start)?;
    Ok((config, accounts))
}

async fn add(options: &Add) -> Result<ExitCode, Failure> {
    let (_, accounts) = open(&options.config).await?;
    let known = accounts.operators().await.map_err(Failure::start)?;
    if !options.replace && known.iter().any(|known| known.name == options.name) {
        let problem = format!(
            "{} is an operator already; add --replace to give a new password and authenticator",
            options.name
        );
        return Err(Failure::option("NAME", &problem));
    }
    let password = match &options.password_file {
        Some(path) => password_of_file(path, &options.name)?,
        None => password_at_terminal(&options.name)?,
    };
    let clock = clock::real();
    let secret = TotpSecret::generate().map_err(Failure::start)?;
    let step = hand_over(options, &secret, &*clock)?;
    let put = accounts.put_operator(&options.name, &password, &secret, step, clock.now());
    put.await.map_err(Failure::start)?;
    accounts.close().await;
    tell(
        options.json.then(|| json!({ "operator": options.name.to_string(), "done": "added" })),
        &format!("{} can sign in to the dashboard now.", options.name),
    );
    Ok(ExitCode::SUCCESS)
}

/// Shows the authenticator's secret once. At a terminal a first code proves that it has arrived;
/// the step of that code does not count again.
fn hand_over(options: &Add, secret: &TotpSecret, clock: &dyn Clock) -> Result<i64, Failure> {
    let (issuer, name) = ("Hidamari", options.name.to_string());
    let uri = secret.to_uri(issuer, &name);
    if options.password_file.is_some() {
        let shown = json!({ "operator": name, "authenticator": *uri });
        tell(options.json.then_some(shown), &format!("Authenticator: {}", *uri));
        return Ok(0);
    }
    let mut terminal = Terminal::open().ok_or_else(no_terminal)?;
    let words = format!(
        "Add this to an authenticator app, as a key that is shown only now:\n\n    {}\n\nor as an \
         address:\n\n    {}\n",
        *secret.to_base32(),
        *uri
    );
    terminal.say(&words).map_err(Failure::start)?;
    terminal
        .ask_for("The code that it shows", None, |code| {
            let step = secret.matching_step(code, clock.now(), 0);
            step.ok_or("that is not the code; mind that both clocks are right")
        })
        .map_err(Failure::start)
}

fn password_at_terminal(name: &OperatorName) -> Result<Zeroizing<String>, Failure> {
    let mut terminal = Terminal::open().ok_or_else(no_terminal)?;
    loop {
        let question = format!("A password for {name}, at least 15 characters");
        let first = terminal.ask_secret(&question).map_err(Failure::start)?;
        if let Err(refused) = check_new_password(&name.to_string(), &first) {
            terminal.say(&format!("  {refused}")).map_err(Failure::start)?;
            continue;
        }
        if first == terminal.ask_secret("Once more").map_err(Failure::start)? {
            return Ok(first);
        }
        terminal.say("  the two differ").map_err(Failure::start)?;
    }
}

fn no_terminal() -> Failure {
    let problem = "there is no terminal to ask at; name a file whose first line is the password";
    Failure::option("--password-file", &problem)
}

fn password_of_file(path: &Path, name: &OperatorName) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: std::io::Error| Failure::file(path, &error);
    let found = fs::metadata(path).map_err(failed)?;
    let mode = found.permissions().mode() & 0o777;
    if found.is_file() && mode & 0o077 != 0 {
        let problem =
            format!("can be read by others (mode {mode:03o}): chmod 600 {}", path.display());
        return Err(Failure::file(path, &problem));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    let line = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    check_new_password(&name.to_string(), &line)
        .map_err(|refused| Failure::file(path, &refused))?;
    Ok(line)
}

async fn remove(options: &Remove) -> Result<ExitCode, Failure> {
    let (_, accounts) = open(&options.config).await?;
    let removed = accounts.remove_operator(&options.name).await.map_err(Failure::start)?;
    accounts.close().await;
    if !removed {
        let problem = format!("{} is no operator of this dashboard", options.name);
        return Err(Failure::option("NAME", &problem));
    }
    tell(
        options.json.then(|| json!({ "operator": options.name.to_string(), "done": "removed" })),
        &format!("{} can not sign in any more, and is signed out.", options.name),
    );
    Ok(ExitCode::SUCCESS)
}

async fn list(options: &ListOperators) -> Result<ExitCode, Failure> {
    let (_, accounts) = open(&options.config).await?;
    let operators = accounts.operators().await.map_err(Failure::start)?;
    accounts.close().await;
    let entries = operators.iter().map(|operator| {
        json!({ "name": operator.name.to_string(), "since": operator.created_at.to_string() })
    });
    let lines: Vec<_> = operators
        .iter()
        .map(|operator| format!("{}  since {}", operator.name, operator.created_at))
        .collect();
    let words = if lines.is_empty() { "No operator can sign in.".into() } else { lines.join("\n") };
    tell(options.json.then(|| entries.collect()), &words);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn tell(answer: Option<serde_json::Value>, words: &str) {
    match answer {
        Some(answer) => println!("{answer}"),
        None => println!("{words}"),
    }
}
