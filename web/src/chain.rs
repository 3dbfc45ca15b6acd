//! The followed chain: each block is verified, applied, written down, and told, in this order.

use std::sync::Arc;

use ledger::apply::BlockRefused;
use ledger::block::CommittedBlock;
use ledger::draft::Executed;
use ledger::follower::{Follower, NotFollowed};
use ledger::state::State;

use crate::api::events::{BlockEvent, ClearedEvent, SettledEvent};
use crate::read_model::StoreError;
use crate::read_model::projection::BlockRows;
use crate::read_model::restore::SNAPSHOT_EVERY;
use crate::site::Site;
use crate::status::Trouble;

/// Why a served block was not followed. The chain stands where it stood before.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// It is not the next block of this community: whoever served it is to blame.
    #[error(transparent)]
    Junk(NotFollowed),
    /// A quorum certified it, and yet it does not follow from the state here. Somebody's program
    /// or disk is wrong, and it may be this one's.
    #[error("block {height} is certified, but does not follow from the state here: {reason}")]
    Diverged {
        /// Its height.
        height: u64,
        /// What does not follow.
        reason: BlockRefused,
    },
    /// It cannot be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The computation ended by a panic.
    #[error("applying a block crashed")]
    Crashed,
}

/// Whether listeners hear of a block. While many are fetched, most are told to nobody: the page
/// asks for what it shows, and a flood of old events would only push out the new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// They do.
    Aloud,
    /// They do not.
    Silent,
}

/// The one hand that moves the chain on.
pub(crate) struct Chain {
    site: Arc<Site>,
}

impl Chain {
    /// From where the site's state stands.
    pub(crate) fn new(site: Arc<Site>) -> Self {
        Self { site }
    }

    /// The site whose chain it is.
    pub(crate) fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// The height that comes next.
    pub(crate) fn next_height(&self) -> u64 {
        self.site.live.tip().state.height().saturating_add(1)
    }

    /// Verifies, applies, writes down and tells the next block.
    ///
    /// # Errors
    /// [`FollowError`]; nothing has changed then.
    pub(crate) async fn follow(
        &mut self,
        committed: CommittedBlock,
        telling: Telling,
    ) -> Result<(), FollowError> {
        let before = self.site.live.tip().state;
        // Hundreds of signatures may stand in a block: not on a thread that serves requests.
        let site = Arc::clone(&self.site);
        let executing = tokio::task::spawn_blocking(move || {
            let executed = execute(&before, &committed)?;
            let rows = site.model.project(&executed, &committed.certificate)?;
            Ok::<_, FollowError>((executed, rows))
        });
        let (executed, rows) = executing.await.map_err(|_| FollowError::Crashed)??;
        let height = executed.block.header.height;
        let snapshot = (height % SNAPSHOT_EVERY == 0).then_some(&executed.state);
        if let Err(error) = self.site.model.write(&rows, snapshot).await {
            self.site.live.set_trouble(Some(Trouble::Store));
            return Err(error.into());
        }
        self.site.live.advance(Arc::new(executed.state));
        self.site.metrics.blocks_followed.inc();
        if telling == Telling::Aloud {
            self.tell(&rows);
        }
        Ok(())
    }

    fn tell(&self, rows: &BlockRows) {
        let block = &rows.committed.block;
        let (events, header) = (&self.site.events, &block.header);
        events.tell(
            "block",
            &BlockEvent {
                height: header.height,
                time_ms: header.time.as_millis(),
                hash: block.hash().to_string(),
                transactions_count: block.transactions.len(),
            },
        );
        for clearing in &rows.clearings {
            events.tell("cleared", &ClearedEvent::of(&clearing.summary));
        }
        let mut periods: Vec<_> = rows.settlements.iter().map(|row| row.settled.period).collect();
        periods.dedup();
        for period in periods {
            events.tell("settled", &SettledEvent { period_start_ms: period.start().as_millis() });
        }
    }
}

fn execute(before: &State, committed: &CommittedBlock) -> Result<Executed, FollowError> {
    let mut follower = Follower::resume(before.clone());
    follower.follow(committed).map_err(|error| match error {
        // The follower applies what a quorum certified; if the body is the header's too, then no
        // server can have made it up.
        NotFollowed::Refused(reason) if committed.block.check_body().is_ok() => {
            FollowError::Diverged { height: committed.block.header.height, reason }
        }
        error => FollowError::Junk(error),
    })
}
