//! A statement from what neighbours on the mesh serve, none of whom is trusted.

use ledger::follower::check_commit;
use ledger::genesis::Genesis;
use ledger::results::ServedBlock;
use ledger::state::State;
use ledger::statement::StatementBundle;
use market::member::PartyId;
use mesh::{Mesh, MeshConfig};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{NoStatement, Shown, Span, StatementMaker};
use crate::fetch::{Fetched, Fetcher};

/// How soon neighbours are asked again when nobody has answered.
const PAUSE: Duration = Duration::from_millis(300);

/// Joins the mesh and makes a party's statement from the genesis on: every certificate is checked
/// and every block computed again. `tell` hears the heights.
///
/// # Errors
/// [`NoStatement`]; among others if nobody has answered for as long as `patience`.
pub async fn fetch_statement(
    genesis: &Genesis,
    config: MeshConfig,
    party: PartyId,
    span: Span,
    patience: Duration,
    mut tell: impl FnMut(u64),
) -> Result<StatementBundle, NoStatement> {
    let ending = CancellationToken::new();
    let _left = ending.clone().drop_guard();
    let (mesh, mut events) = Mesh::start(config, ending).await?;
    // What is said meanwhile is not for this visitor.
    let listening = tokio::spawn(async move { while events.recv().await.is_some() {} });
    let mut fetcher = Fetcher::new(mesh);
    let state = State::at_genesis(genesis);
    let mut maker = StatementMaker::new(party, span, state, Vec::new());
    let mut heard = Instant::now();
    let made = 'all: loop {
        let next = maker.state().height().saturating_add(1);
        let (peer, blocks) = match fetcher.fetch(next).await {
            Fetched::Blocks(peer, blocks) => (peer, blocks),
            Fetched::NothingNew => break maker.end(),
            Fetched::Nobody if heard.elapsed() >= patience => {
                break Err(NoStatement::Nobody { next, waited: patience });
            }
            Fetched::Nobody => {
                sleep(PAUSE).await;
                continue;
            }
        };
        for committed in blocks {
            let (header, certificate) = (&committed.block.header, &committed.certificate);
            let height = header.height;
            let certified = check_commit(header, certificate, maker.state().validators());
            let shown = match certified {
                Ok(()) => maker.show(Shown::Whole(ServedBlock { committed, results: None })),
                Err(error) => Err(NoStatement::Broken { height, problem: error.to_string() }),
            };
            match shown {
                Ok(true) => heard = Instant::now(),
                Ok(false) => break 'all maker.end(),
                Err(NoStatement::Broken { problem, .. }) => {
                    tracing::warn!(%peer, problem, "a neighbour served a block that does not hold");
                    fetcher.avoid_liar(peer);
                    break;
                }
                Err(error) => break 'all Err(error),
            }
        }
        tell(maker.state().height());
    };
    listening.abort();
    made
}
