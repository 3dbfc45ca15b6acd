//! What a household and its installer do beside trading: `hidamari agent join`, `sign-in`,
//! `rotate-key`, `statement`, `scan` and `check`.

mod files;
mod join;
mod options;
mod rotate;
mod sign_in;
mod statement;

use std::process::ExitCode;

use join::join;
pub(crate) use options::{Join, RotateKey, SignIn, Statement};
use rotate::rotate;
use sign_in::sign_in;
use statement::statement;

use crate::cli::AgentTool;
use crate::failure::Failure;
use crate::{clock, log, meters};

/// Runs a tool.
///
/// # Errors
/// [`Failure`] says what to mend.
pub(crate) async fn run(tool: AgentTool) -> Result<ExitCode, Failure> {
    match tool {
        AgentTool::Join(options) => {
            log::start(&options.log, "error");
            let clock = clock::choose(options.clock.as_deref())?;
            join(options, clock).await
        }
        AgentTool::SignIn(options) => sign_in(&options),
        AgentTool::RotateKey(options) => {
            log::start(&options.log, "error");
            let clock = clock::choose(options.clock.as_deref())?;
            rotate(options, clock).await
        }
        AgentTool::Statement(options) => {
            log::start(&options.log, "error");
            statement(options).await
        }
        AgentTool::Scan(options) => meters::scan(&options).await,
        AgentTool::Check(options) => meters::check(&options).await,
    }
}
