//! A process of this program: its runtime, how it is asked to end, and what it says at the end.

use std::future::Future;
use std::process::ExitCode;

use rustix::fs::Mode;
use simulators::demo::Outcome;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How many threads a role needs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Size {
    /// One: a household's agent.
    Small,
    /// Two: consensus and serving go on while a block is computed.
    Medium,
}

/// Runs a role on a runtime of its own. What it writes is for its user alone: readings, trades and
/// keys of households lie in all of it.
///
/// # Errors
/// [`Failure`] of the role, or of the runtime itself.
pub(crate) fn block_on(
    size: Size,
    role: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let mut builder = match size {
        Size::Small => tokio::runtime::Builder::new_current_thread(),
        Size::Medium => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(2).enable_all().build().map_err(Failure::start)?;
    let result = runtime.block_on(role);
    // What is still blocked, such as a read of standard input, must not hold the process.
    runtime.shutdown_background();
    result
}

/// Cancelled by Ctrl-C, by SIGTERM, or, with `exit_with_parent`, when standard input closes.
pub(crate) fn shutdown(exit_with_parent: bool) -> CancellationToken {
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = asked_by_signal(SignalKind::interrupt()) => {}
            () = asked_by_signal(SignalKind::terminate()) => {}
            () = parent_gone(), if exit_with_parent => {}
        }
        asked.cancel();
    });
    token
}

async fn asked_by_signal(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(error) => {
            tracing::error!(%error, "a signal cannot be listened for");
            std::future::pending::<()>().await;
        }
    }
}

async fn parent_gone() {
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 64];
    while matches!(input.read(&mut ignored).await, Ok(count) if count > 0) {}
}

/// Says how a demo ended; a broken law is exit code 1.
#[expect(clippy::print_stdout, reason = "this is the demo's output")]
pub(crate) fn tell_outcome(outcome: &Outcome) -> ExitCode {
    println!(
        "{} periods settled, {} traded, {} saved against the supplier alone; {} blocks, {} orders, \
         {} readings audited.",
        outcome.settled_periods,
        market::energy::Energy::from_wh(outcome.traded_wh),
        outcome.saved,
        outcome.common_height,
        outcome.orders,
        outcome.readings
    );
    if let Some(latency) = &outcome.order_latency {
        println!(
            "Order signed to committed: median {} ms, p99 {} ms over {} orders.",
            latency.median_ms, latency.p99_ms, latency.count
        );
    }
    for process in &outcome.given_up {
        println!("{} could not run: {}", process.name, process.why);
    }
    for law in outcome.laws.iter().filter(|law| !law.held) {
        println!("BROKEN: {}: {}", law.name, law.detail);
    }
    if outcome.all_laws_held {
        println!("All {} laws held.", outcome.laws.len());
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

/// Listens on an address; `given` says where it was given.
pub(crate) async fn bind(given: &str, address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| Failure::address(address, &error).of(given))
}
