//! `hidamari`: a peer-to-peer energy market for a neighbourhood, as one program.
//!
//! This file parses the command line, loads what it names, and calls one crate's `run`.

mod clear;
mod cli;
mod clock;
mod community;
mod dashboard;
mod failure;
mod household;
mod invitation;
mod keys;
mod log;
mod meters;
mod month;
mod node_tools;
mod operator;
mod process;
mod terminal;
mod verify;
mod visit;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use market::time::Clock;

use cli::{AgentTask, Cli, Command, Demo, Role, Simulate};
use failure::Failure;
use node_tools::Node;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Demo(demo) => process::block_on(process::Size::Medium, play(demo)),
        Command::Node(Node { tool: Some(tool), .. }) => node_tools::run(tool),
        Command::Node(options) => process::block_on(process::Size::Medium, node(options)),
        Command::Agent(command) => process::block_on(process::Size::Small, agent(command)),
        Command::Dashboard(cli::Dashboard { tool: Some(tool), .. }) => {
            process::block_on(process::Size::Small, dashboard::run(tool))
        }
        Command::Dashboard(options) => {
            process::block_on(process::Size::Medium, dashboard_page(options))
        }
        Command::Simulate(Simulate::Meter(meter)) => {
            process::block_on(process::Size::Small, simulate_meter(meter))
        }
        Command::Verify(proofs) => verify::run(&proofs),
        Command::Community(command) => {
            let now = clock::choose(None).map(|clock| clock.now());
            now.and_then(|now| community::run(&command, now).map_err(Failure::start))
        }
        Command::Operator(command) => process::block_on(process::Size::Medium, operate(command)),
        Command::Clear(options) => clear::run(&options).map_err(Failure::from),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}

async fn play(demo: Demo) -> Result<ExitCode, Failure> {
    let shutdown = process::shutdown(false);
    if demo.headless {
        log::start(&demo.log, "warn");
    }
    let program = std::env::current_exe().map_err(Failure::start)?;
    let outcome = simulators::demo::run(demo.into_options(program), shutdown).await;
    Ok(process::tell_outcome(&outcome.map_err(Failure::start)?))
}

async fn node(options: Node) -> Result<ExitCode, Failure> {
    let Node { role, from_snapshot, .. } = options;
    let Some(role) = role.into_role() else {
        return Err(Failure::option("--config", &"name the node's configuration file"));
    };
    log::start(&role.log, "info");
    let clock = clock::choose(role.clock.as_deref())?;
    let file = config_file(&role)?;
    let config = ledger_node::config::NodeConfig::load(file, &role.passphrase.opener())
        .map_err(Failure::start)?;
    clock::check_against_genesis(clock.now(), config.genesis.starts_at)?;
    let listener =
        process::bind(&format!("http_listen in {}", file.display()), &config.http_listen).await?;
    let shutdown = process::shutdown(role.exit_with_parent);
    node_tools::serve(config, from_snapshot.as_deref(), listener, clock, shutdown).await
}

async fn agent(command: cli::Agent) -> Result<ExitCode, Failure> {
    let role = match command.into_task() {
        Some(AgentTask::Tool(tool)) => return household::run(tool).await,
        Some(AgentTask::Run(role)) => role,
        None => return Err(Failure::option("--config", &"name the agent's file")),
    };
    log::start(&role.log, "info");
    let clock = clock::choose(role.clock.as_deref())?;
    let config = meter_agent::AgentConfig::load(config_file(&role)?).map_err(Failure::start)?;
    let shutdown = process::shutdown(role.exit_with_parent);
    meter_agent::run(config, role.passphrase.opener(), clock, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

async fn dashboard_page(command: cli::Dashboard) -> Result<ExitCode, Failure> {
    let cli::Dashboard { role, listen, allowed_hosts, .. } = command;
    let Some(role) = role.into_role() else {
        return Err(Failure::option("--config", &"name the dashboard's configuration file"));
    };
    log::start(&role.log, "info");
    let clock = clock::choose(role.clock.as_deref())?;
    let mut config = web::DashboardConfig::read(config_file(&role)?).map_err(Failure::start)?;
    config.allowed_hosts.extend(allowed_hosts);
    let listener = process::bind("--listen", &listen).await?;
    let shutdown = process::shutdown(role.exit_with_parent);
    let clocks = web::Clocks { market: clock, real: clock::real() };
    web::run(config, role.passphrase.opener(), listener, clocks, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

async fn simulate_meter(meter: cli::SimulatedMeter) -> Result<ExitCode, Failure> {
    log::start(&meter.log, "info");
    let clock: Arc<dyn Clock> = clock::choose(meter.clock.as_deref())?;
    let config = meter.config()?;
    let listener = process::bind("--tcp", &meter.tcp).await?;
    let shutdown = process::shutdown(false);
    let run = simulators::simulated_meter::run_meter(config, listener, clock, shutdown);
    run.await.map_err(Failure::start)?;
    Ok(ExitCode::SUCCESS)
}

async fn operate(command: operator::Operate) -> Result<ExitCode, Failure> {
    let common = command.common();
    log::start(&common.log, "error");
    let clock = clock::choose(common.clock.as_deref())?;
    operator::run(command, clock).await
}

/// The role's configuration file, if it can be read at all.
fn config_file(role: &Role) -> Result<&Path, Failure> {
    let path = role.config.as_path();
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            Err(Failure::file(path, &"is a directory; name the file in it").of("--config"))
        }
        Ok(_) => Ok(path),
        Err(error) => Err(Failure::file(path, &error).of("--config")),
    }
}
