//! What people are told when something does not work: one sentence, on standard error, and an exit
//! code. 2 is for what somebody has to mend first; 1 for what a restart can mend, for output that
//! cannot be written, and for a proof or a law that does not hold. Whoever supervises services
//! restarts after 1 and not after 2.

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::ExitCode;

use ledger_node::consensus::ConsensusError;
use ledger_node::node::NodeError;
use mesh::MeshError;
use meter_agent::AgentError;
use meter_agent::error::OutboxError;
use simulators::ledger_bench::BenchError;
use web::WebError;

use crate::clear::ClearError;

/// Nothing changes before somebody mends what the sentence says.
const TO_MEND: u8 = 2;

/// The service ended while it worked: started again, it may well go on.
const ENDED_BY_ITSELF: u8 = 1;

/// A sentence for people.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
    code: u8,
}

impl Failure {
    /// A role or a command cannot start.
    pub(crate) fn start(error: impl Error) -> Self {
        Self { sentence: with_causes(&error), code: TO_MEND }
    }

    /// A command did not get through, and may when it is given again.
    pub(crate) fn again(error: impl Error) -> Self {
        Self { sentence: with_causes(&error), code: ENDED_BY_ITSELF }
    }

    /// An address that cannot be listened on.
    pub(crate) fn address(address: &str, error: &std::io::Error) -> Self {
        let sentence = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "{address} is in use; stop the program that listens there, or name another address"
            ),
            _ => format!("cannot listen on {address}: {error}"),
        };
        Self { sentence, code: TO_MEND }
    }

    /// An option that is not understood.
    pub(crate) fn option(option: &str, problem: &impl Display) -> Self {
        Self { sentence: problem.to_string(), code: TO_MEND }.of(option)
    }

    /// A number that an option cannot be.
    pub(crate) fn out_of_range(option: &str, range: &RangeInclusive<u32>, found: u32) -> Self {
        let (least, most) = (range.start(), range.end());
        let sentence = format!("{option} must be {least} to {most}, but it is {found}");
        Self { sentence, code: TO_MEND }
    }

    /// The same, with the option or the setting that it comes from.
    pub(crate) fn of(self, option: &str) -> Self {
        Self { sentence: format!("{option}: {}", self.sentence), ..self }
    }

    /// A clock that is far off.
    pub(crate) fn clock(sentence: &str) -> Self {
        Self { sentence: sentence.to_owned(), code: TO_MEND }
    }

    /// A file that cannot be used.
    pub(crate) fn file(path: &Path, problem: &impl Display) -> Self {
        Self { sentence: format!("{}: {problem}", path.display()), code: TO_MEND }
    }

    /// Tells it, and gives the exit code.
    #[expect(clippy::print_stderr, reason = "this is where people are told")]
    pub(crate) fn tell(&self) -> ExitCode {
        eprintln!("hidamari: {}", self.sentence);
        ExitCode::from(self.code)
    }

    fn ended(error: &impl Error, to_mend: bool) -> Self {
        let code = if to_mend { TO_MEND } else { ENDED_BY_ITSELF };
        Self { sentence: with_causes(error), code }
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let to_mend = match &error {
            NodeError::DataDir { .. }
            | NodeError::Store(_)
            | NodeError::ClockBehind { .. }
            | NodeError::Snapshot(_)
            | NodeError::Install(_) => true,
            NodeError::NoSnapshot(_) => false,
            NodeError::Mesh(error) => mesh_is_to_mend(error),
            NodeError::Consensus(error) => matches!(
                error,
                ConsensusError::BadAddress { .. }
                    | ConsensusError::TransportKey
                    | ConsensusError::Guard(_)
                    | ConsensusError::DamagedLog { .. }
                    | ConsensusError::NoValidators { .. }
            ),
            NodeError::PartEnded { .. } => false,
        };
        Self::ended(&error, to_mend)
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        let to_mend = match &error {
            AgentError::Mesh(error) => mesh_is_to_mend(error),
            // A query that failed, for example because the disk was full for a moment.
            AgentError::Outbox(OutboxError::Database(_)) | AgentError::PartEnded(_) => false,
            _ => true,
        };
        Self::ended(&error, to_mend)
    }
}

impl From<WebError> for Failure {
    fn from(error: WebError) -> Self {
        let to_mend = match &error {
            WebError::Mesh(error) => mesh_is_to_mend(error),
            _ => true,
        };
        Self::ended(&error, to_mend)
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        Self::ended(&error, true)
    }
}

impl From<ClearError> for Failure {
    fn from(error: ClearError) -> Self {
        let to_mend = !matches!(error, ClearError::Unwritable { .. });
        Self::ended(&error, to_mend)
    }
}

/// Whether a mesh did not come up because of its settings.
fn mesh_is_to_mend(error: &MeshError) -> bool {
    matches!(
        error,
        MeshError::AddressNotIpTcp { .. } | MeshError::Listen { .. } | MeshError::Setup { .. }
    )
}

fn with_causes(error: &impl Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Many sentences already name their cause.
        if !sentence.contains(&words) {
            let _ = write!(sentence, ": {words}");
        }
        cause = error.source();
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_restart_can_mend_is_restarted() {
        let code = |failure: Failure| failure.code;
        let guard = ConsensusError::Guard(ledger_node::consensus::GuardError::Damaged {
            path: "last-signed".into(),
        });
        assert_eq!(code(NodeError::Consensus(guard).into()), TO_MEND);
        let log = ConsensusError::DamagedLog { path: "log".into(), problem: "cut".to_owned() };
        assert_eq!(code(NodeError::Consensus(log).into()), TO_MEND);
        let stopped = ConsensusError::EngineStopped;
        assert_eq!(code(NodeError::Consensus(stopped).into()), ENDED_BY_ITSELF);
        let cut = ConsensusError::EngineStart("its log is cut".to_owned());
        assert_eq!(code(NodeError::Consensus(cut).into()), ENDED_BY_ITSELF);
        assert_eq!(code(NodeError::PartEnded { part: "mesh side" }.into()), ENDED_BY_ITSELF);
        assert_eq!(code(NodeError::Mesh(MeshError::Crashed).into()), ENDED_BY_ITSELF);
        assert_eq!(code(AgentError::PartEnded("meter side").into()), ENDED_BY_ITSELF);
        let in_use = AgentError::DataDirInUse { path: "data".into() };
        assert_eq!(code(in_use.into()), TO_MEND);
        assert_eq!(code(WebError::Mesh(MeshError::Crashed).into()), ENDED_BY_ITSELF);
    }
}
