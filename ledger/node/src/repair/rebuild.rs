//! The fresh database: what holds is copied, the rest is fetched or computed.

use ledger::apply::apply;
use ledger::block::{CommittedBlock, Header};
use ledger::certificate::CommitCertificate;
use ledger::handover::Handover;
use ledger::results::{ServedBlock, results_root};
use ledger::state::State;
use market::member::PartyId;
use std::path::Path;
use tokio_util::sync::CancellationToken;

use super::{Peers, RepairError, RepairProgress, RepairReport, RepairTask};
use crate::store::{
    Access, BlockRow, CertifiedHeader, Database, ErasureReceipt, Finding, SNAPSHOT_EVERY, Sets,
    SnapshotRow, StoredRow, Walk, insert_handover,
};

/// How many blocks are written in one transaction.
const BATCH: usize = 64;

/// A rebuilding under way.
pub(super) struct Rebuild<'a> {
    task: &'a RepairTask,
    /// The damaged database; `None` if it cannot be opened at all.
    old: Option<Database>,
    new: Database,
    walk: Walk,
    /// Written with the next batch.
    waiting: Vec<StoredRow>,
    /// The state after some block in the new database, as far as it was needed.
    replayed: Option<State>,
    peers: Option<Peers>,
    ending: CancellationToken,
    tell: &'a mut (dyn FnMut(RepairProgress) + Send),
    report: RepairReport,
    /// Whom this node has erased; what was fetched may name them again.
    erased: Vec<PartyId>,
}

impl<'a> Rebuild<'a> {
    pub(super) async fn new(
        task: &'a RepairTask,
        path: &Path,
        draft: &Path,
        ending: CancellationToken,
        tell: &'a mut (dyn FnMut(RepairProgress) + Send),
    ) -> Result<Self, RepairError> {
        let old = Database::open(path, Access::Existing).await.ok();
        let new = Database::open(draft, Access::Make).await?;
        new.prepare(&task.genesis.chain_id()).await?;
        let sets = Sets::new(task.genesis.chain_id(), task.genesis.validators.clone());
        let walk = Walk::new(task.genesis.chain_id(), sets, None);
        let (waiting, report, erased) = (Vec::new(), RepairReport::default(), Vec::new());
        let (replayed, peers) = (None, None);
        Ok(Self { task, old, new, walk, waiting, replayed, peers, ending, tell, report, erased })
    }

    pub(super) async fn run(
        mut self,
        found: Finding,
    ) -> Result<(RepairReport, Vec<PartyId>), RepairError> {
        self.start_behind_base().await?;
        let tip = self.tip().await;
        let mut height = self.walk.height();
        while height < tip {
            height = height.saturating_add(1);
            if height.is_multiple_of(256) {
                (self.tell)(RepairProgress::Copying { height, tip });
            }
            match self.old_row(height).await {
                Ok(row) => self.append(row).await?,
                Err(finding) => {
                    self.report.damaged.push(finding);
                    let through = self.end_of_gap(height, tip).await;
                    self.fetch(height, through).await?;
                    height = through;
                }
            }
        }
        self.write().await?;
        self.states(tip).await?;
        self.proposed(tip).await;
        self.erasures().await?;
        if self.report.damaged.is_empty() {
            self.report.damaged.push(found);
        }
        if let Some(peers) = &self.peers {
            self.report.refused_peers = peers.refused();
        }
        if let Some(old) = &self.old {
            old.close().await;
        }
        self.new.close().await;
        Ok((self.report, self.erased))
    }

    /// The chain here may start behind a snapshot from which this node was started.
    async fn start_behind_base(&mut self) -> Result<(), RepairError> {
        let Some(old) = &self.old else { return Ok(()) };
        let base = match old.base().await {
            Ok(None) => return Ok(()),
            Ok(Some(base)) => Some(base),
            Err(error) => {
                self.report.damaged.extend(error.finding());
                None
            }
        };
        let handovers = old.readable_handovers().await;
        let first = old.lowest().await;
        let base = match base {
            Some(base) => base,
            None if first <= 1 => return Ok(()),
            None => self.fetch_header(first.saturating_sub(1)).await?,
        };
        let height = base.header.height;
        for handover in handovers.into_iter().filter(|handover| handover.header.height <= height) {
            let mut sets = self.walk.sets().clone();
            if sets.hand_over(&handover).is_ok() {
                *self.walk.sets_mut() = sets;
                self.new.put(insert_handover(&handover)).await?;
            }
        }
        self.new.put(base.insert()).await?;
        self.walk.start_behind(&base);
        Ok(())
    }

    /// The header of a block that is not kept here.
    async fn fetch_header(&mut self, height: u64) -> Result<CertifiedHeader, RepairError> {
        let (_, mut blocks) = self.ask(height, height).await?;
        let CommittedBlock { block, certificate } = blocks.remove(0).committed;
        Ok(CertifiedHeader { header: block.header, certificate })
    }

    /// The height of the last block that was here.
    async fn tip(&mut self) -> u64 {
        match &self.old {
            Some(old) => old.highest().await,
            None => 0,
        }
    }

    /// The row at a height, if it holds and follows the block before.
    async fn old_row(&self, height: u64) -> Result<StoredRow, Finding> {
        let missing = || Finding::at("blocks", height, "it is missing");
        let Some(old) = &self.old else { return Err(missing()) };
        let row = match old.stored_row(height).await {
            Ok(row) => row.ok_or_else(missing)?,
            Err(error) => {
                let finding = error.finding();
                return Err(finding.unwrap_or_else(|| Finding::at("blocks", height, error)));
            }
        };
        // Behind a gap the block before is not known yet, but its bytes were read.
        if height == self.walk.height().saturating_add(1) {
            let follows = self.follows(row.header(), row.certificate());
            follows.map_err(|problem| Finding::at("blocks", height, problem))?;
        }
        Ok(row)
    }

    fn follows(&self, header: &Header, certificate: &CommitCertificate) -> Result<(), String> {
        self.walk.links(header)?;
        self.walk.certified(header, certificate)
    }

    /// The last height of a run of bad rows.
    async fn end_of_gap(&mut self, from: u64, tip: u64) -> u64 {
        let mut height = from;
        while height < tip {
            match self.old_row(height.saturating_add(1)).await {
                Ok(_) => break,
                Err(finding) => self.report.damaged.push(finding),
            }
            height = height.saturating_add(1);
        }
        height
    }

    /// Takes over a block that follows.
    async fn append(&mut self, row: StoredRow) -> Result<(), RepairError> {
        if !self.walk.knows_next(row.header()) {
            let handover = self.handover(&row).await?;
            let taken = self.walk.sets_mut().hand_over(&handover);
            debug_assert!(taken.is_ok(), "{taken:?}");
            self.new.put(insert_handover(&handover)).await?;
        }
        self.walk.pass(row.header());
        self.waiting.push(row);
        if self.waiting.len() >= BATCH { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<(), RepairError> {
        let rows = std::mem::take(&mut self.waiting);
        Ok(self.new.put_all(rows.iter().map(StoredRow::insert).collect()).await?)
    }

    /// The change of validators after a block: as it was kept, or computed.
    async fn handover(&mut self, row: &StoredRow) -> Result<Handover, RepairError> {
        let header = row.header();
        if let Some(old) = &self.old {
            let kept = old.readable_handovers().await.into_iter();
            let mut kept = kept.filter(|handover| handover.header == *header);
            let sound = |handover: &Handover| self.walk.sets().clone().hand_over(handover).is_ok();
            if let Some(handover) = kept.find(sound) {
                return Ok(handover);
            }
        }
        let problem = "the change of validators after this height is missing";
        self.report.damaged.push(Finding::at("handovers", header.height, problem));
        // A pruned block says nothing any more about whom it appointed.
        let StoredRow::Whole(whole) = row else { return Err(RepairError::NoState) };
        self.write().await?;
        let before = self.replay(header.height.saturating_sub(1)).await?;
        let executed = apply(&before, &whole.committed.block)
            .map_err(|refused| RepairError::Diverged { height: header.height, refused })?;
        Ok(Handover {
            header: header.clone(),
            certificate: row.certificate().clone(),
            validators: executed.state.validators().clone(),
        })
    }

    /// Fetches blocks that are not here any more.
    async fn fetch(&mut self, from: u64, through: u64) -> Result<(), RepairError> {
        let mut next = from;
        while next <= through {
            (self.tell)(RepairProgress::Fetching { from: next, through });
            let (peer, blocks) = self.ask(next, through).await?;
            for served in blocks {
                match self.take(served).await? {
                    Ok(()) => {
                        self.report.fetched.push(next);
                        next = next.saturating_add(1);
                    }
                    Err(problem) => {
                        if let Some(peers) = &mut self.peers {
                            peers.refuse(peer, &problem);
                        }
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    async fn ask(
        &mut self,
        from: u64,
        through: u64,
    ) -> Result<(mesh::PeerId, Vec<ServedBlock>), RepairError> {
        let patience = self.task.patience;
        let peers = match &mut self.peers {
            Some(peers) => peers,
            none => {
                let joined = Peers::join(self.task.mesh.clone(), patience, self.ending.clone());
                none.insert(joined.await?)
            }
        };
        let patience_s = patience.as_secs();
        let answer = peers.blocks(from, through).await;
        answer.ok_or(RepairError::NobodyServes { from, through, patience_s })
    }

    /// Verifies a block that somebody sent, and takes it over; the words say what does not hold.
    async fn take(&mut self, served: ServedBlock) -> Result<Result<(), String>, RepairError> {
        let ServedBlock { committed, results } = served;
        let header = committed.block.header.clone();
        if committed.certificate.block != header.hash()
            || committed.certificate.height != header.height
        {
            return Ok(Err("the certificate is another block's".to_owned()));
        }
        if let Err(problem) = committed.block.check_body() {
            return Ok(Err(problem.to_string()));
        }
        let salt = committed.block.salt;
        let mut row = BlockRow::new(committed, Vec::new());
        if let Err(problem) = self.follows(&header, &row.committed.certificate) {
            return Ok(Err(problem));
        }
        row.results = match results {
            Some(results) if results_root(&results, &salt) != header.results_root => {
                return Ok(Err("the results are not what the header says".to_owned()));
            }
            Some(results) => results,
            None => {
                self.write().await?;
                let before = self.replay(header.height.saturating_sub(1)).await?;
                let executed = apply(&before, &row.committed.block)
                    .map_err(|refused| RepairError::Diverged { height: header.height, refused })?;
                executed.results.leaves()
            }
        };
        self.append(StoredRow::Whole(row)).await.map(Ok)
    }

    /// The state after a block in the new database.
    async fn replay(&mut self, through: u64) -> Result<State, RepairError> {
        let usable = |state: &State| state.height() <= through;
        let mut state = match self.replayed.take().filter(usable) {
            Some(state) => state,
            None => match self.new.snapshot_before(through).await? {
                Some(state) => state,
                None if self.new.base().await?.is_some() => return Err(RepairError::NoState),
                None => State::at_genesis(&self.task.genesis),
            },
        };
        for height in state.height().saturating_add(1)..=through {
            if height.is_multiple_of(256) {
                (self.tell)(RepairProgress::Replaying { height, tip: through });
            }
            let Some(row) = self.new.block_row(height).await? else {
                return Err(RepairError::NoState);
            };
            let executed = apply(&state, &row.committed.block)
                .map_err(|refused| RepairError::Diverged { height, refused })?;
            state = executed.state;
        }
        self.replayed = Some(state.clone());
        Ok(state)
    }

    /// The snapshots: those that hold, and the newest one computed if it does not.
    async fn states(&mut self, tip: u64) -> Result<(), RepairError> {
        let base = self.new.base().await?;
        let base_height = base.as_ref().map_or(0, |base| base.header.height);
        if let Some(old) = self.old.clone() {
            let (found, findings) = old.readable_snapshots().await;
            self.report.damaged.extend(findings);
            for snapshot in found {
                let height = snapshot.certified.header.height;
                let header = match base.as_ref().filter(|_| height == base_height) {
                    Some(base) => Some(base.header.clone()),
                    None => self.new.stored_row(height).await?.map(|row| row.header().clone()),
                };
                if header.as_ref() == Some(&snapshot.certified.header) {
                    self.new.put(snapshot.insert()).await?;
                } else {
                    let problem = "it belongs to no block here";
                    self.report.damaged.push(Finding::at("snapshots", height, problem));
                }
            }
        }
        if base.is_some() && self.new.snapshot_before(tip).await?.is_none() {
            return Err(RepairError::NoState);
        }
        let wanted = tip.saturating_sub(tip.checked_rem(SNAPSHOT_EVERY).unwrap_or_default());
        if wanted <= base_height || self.new.has_snapshot(wanted).await? {
            return Ok(());
        }
        let state = self.replay(wanted).await?;
        let Some(row) = self.new.block_row(wanted).await? else { return Ok(()) };
        let CommittedBlock { block, certificate } = row.committed;
        let certified = CertifiedHeader { header: block.header, certificate };
        self.new.put(SnapshotRow { certified, state }.insert()).await?;
        Ok(())
    }

    /// The bodies that were proposed for the next height; those that do not hold are left behind:
    /// should one be decided, it comes from the other validators.
    async fn proposed(&mut self, tip: u64) {
        let Some(old) = &self.old else { return };
        let (bodies, findings) = old.readable_undecided().await;
        self.report.damaged.extend(findings);
        for body in bodies.into_iter().filter(|body| body.height > tip) {
            // Losing a proposal loses nothing that was decided.
            let _ = self.new.put_body(&body).await;
        }
    }
    /// The receipts for what was erased, and the same erased from what was fetched.
    async fn erasures(&mut self) -> Result<(), RepairError> {
        let Some(old) = self.old.clone() else { return Ok(()) };
        let receipts = match old.erasures(&self.task.genesis.chain_id()).await {
            Ok(receipts) => receipts,
            Err(error) => {
                self.report.damaged.extend(error.finding());
                return Ok(());
            }
        };
        self.new.put_all(receipts.iter().map(ErasureReceipt::insert).collect()).await?;
        self.erased = receipts.iter().map(|receipt| receipt.erasure.party).collect();
        Ok(())
    }
}
