//! Follows the chain: checks certificates, fetches what is missing, and keeps what concerns this
//! household. Answers never come back to whoever sent an order; they stand in the next block.

use ledger::block::{BlockHash, Header};
use ledger::certificate::CommitCertificate;
use ledger::follower::{LightFollower, NotFollowed};
use ledger::genesis::Genesis;
use ledger::results::{ClearingSummary, ResultLeaf, ServedBlock};
use ledger::transaction::Transaction;
use market::answer::Answer;
use market::gate::GateIndex;
use market::member::PartyId;
use market::price::Price;
use market::time::{DeliveryPeriod, Timestamp};
use market::zone::ZoneId;
use mesh::{BlockRequest, Mesh, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::outbox::{
    BlockEffects, ChainPosition, Fill, Outbox, OutboxError, OwnTransaction, Totals,
};
use crate::signer::sequence_of;

/// How many blocks are asked for at once.
const BLOCKS_PER_FETCH: u16 = 16;
/// How long until a certified block that no neighbour has served is asked for again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Without an announcement for this long, a neighbour is asked whether there is more.
const ASK_AFTER: Duration = Duration::from_secs(5);
/// How long a neighbour that served something unsound is not asked.
const SHUN_FOR: Duration = Duration::from_secs(60);
/// How long a neighbour that did not answer is not asked.
const REST_FOR: Duration = Duration::from_secs(5);
/// After this many blocks that do not concern the household the height is kept all the same.
const KEEP_EVERY: u64 = 64;

/// A verified announcement of a committed block.
#[derive(Debug)]
pub(crate) struct Announcement {
    pub(crate) header: Header,
    pub(crate) certificate: CommitCertificate,
    pub(crate) from: PeerId,
}

/// What a followed block brought.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) height: u64,
    pub(crate) time: Timestamp,
    pub(crate) effects: Option<BlockEffects>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) auctions: Vec<Auction>,
    /// All settlements so far, if this block changed them.
    pub(crate) totals: Option<Totals>,
}

/// What a gate decided in the household's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Auction {
    pub(crate) period: DeliveryPeriod,
    pub(crate) gate: GateIndex,
    pub(crate) price: Option<Price>,
}

/// The follower of one household.
pub(crate) struct Follow {
    pub(crate) mesh: Mesh,
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) outbox: Outbox,
    pub(crate) party: PartyId,
    pub(crate) zone: ZoneId,
    pub(crate) announcements: mpsc::Receiver<Announcement>,
    pub(crate) followed: mpsc::Sender<Followed>,
}

/// What asking one neighbour came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// Blocks that were followed, and it says that it has more.
    Some,
    /// All that it has, by its own word.
    All,
}

/// Why the follower does not get any further now.
enum Stopped {
    /// Nothing says that there is more to fetch.
    UpToDate,
    /// A newer block is certified, but no neighbour that can be asked serves it.
    Behind,
    /// The neighbour served something unsound, kept what it says it has, or did not answer: it is
    /// not asked for a while.
    Peer(PeerId, Duration),
    /// The outbox failed; the block is followed again later.
    Outbox(OutboxError),
    /// The validators change: a light follower cannot go on.
    Validators(NotFollowed),
    /// Nobody listens any more.
    Ended,
}

impl Follow {
    /// Follows until `shutdown`.
    pub(crate) async fn run(self, from: Option<ChainPosition>, shutdown: CancellationToken) {
        let follower = match from {
            None => LightFollower::at_genesis(&self.genesis),
            Some(ChainPosition { height, tip }) => {
                LightFollower::resume(&self.genesis, height, BlockHash::from_bytes(tip))
            }
        };
        let following = Following {
            follow: self,
            kept_height: follower.height(),
            follower,
            announced: 0,
            missed: 0,
            shunned: BTreeMap::new(),
            turn: 0,
        };
        shutdown.run_until_cancelled_owned(following.run()).await;
    }
}

struct Following {
    follow: Follow,
    follower: LightFollower,
    /// The height in the outbox.
    kept_height: u64,
    /// The highest height that a certificate has proved.
    announced: u64,
    /// The last height that was told to be certified and served by nobody.
    missed: u64,
    shunned: BTreeMap<PeerId, Instant>,
    /// Whose turn it is among equals.
    turn: usize,
}

impl Following {
    async fn run(mut self) {
        loop {
            let pause = if self.is_behind() { ASK_AGAIN_AFTER } else { ASK_AFTER };
            let heard = tokio::select! {
                announcement = self.follow.announcements.recv() => match announcement {
                    Some(announcement) => Some(announcement),
                    None => return,
                },
                () = sleep(pause) => None,
            };
            let stopped = match heard {
                Some(announcement) => self.hear(announcement).await,
                None => self.catch_up(None).await,
            };
            match stopped {
                Stopped::UpToDate => {}
                Stopped::Behind => self.tell_behind(),
                Stopped::Peer(peer, pause) => self.shun(peer, pause),
                Stopped::Outbox(error) => {
                    tracing::error!(%error, "cannot keep a block; trying again");
                    // What was followed in memory but not kept is followed again from the disk.
                    sleep(ASK_AFTER).await;
                }
                Stopped::Validators(error) => {
                    tracing::error!(%error, "cannot follow the chain any further");
                    sleep(SHUN_FOR).await;
                }
                Stopped::Ended => return,
            }
        }
    }

    /// Whether a block is certified that has not been followed.
    fn is_behind(&self) -> bool {
        self.announced > self.follower.height()
    }

    /// Says once for each height that it is missing.
    fn tell_behind(&mut self) {
        let height = self.follower.height();
        if std::mem::replace(&mut self.missed, height.saturating_add(1)) <= height {
            tracing::warn!(
                height,
                announced = self.announced,
                "a newer block is certified, but no neighbour serves it; asking again and again"
            );
        }
    }

    fn shun(&mut self, peer: PeerId, pause: Duration) {
        self.shunned.insert(peer, Instant::now() + pause);
    }

    async fn hear(&mut self, announcement: Announcement) -> Stopped {
        let Announcement { header, certificate, from } = announcement;
        if header.height <= self.follower.height() {
            return Stopped::UpToDate;
        }
        self.announced = self.announced.max(header.height);
        // A block in which nothing was said and nothing decided is known by its header.
        let next = header.height == self.follower.height().saturating_add(1);
        if header.is_of_nothing() && next {
            return match self.take_header(&header, &certificate, from).await {
                Ok(()) => Stopped::UpToDate,
                Err(stopped) => stopped,
            };
        }
        self.catch_up(Some(from)).await
    }

    /// Fetches until a neighbour has nothing more and nothing says that there is more. Whoever does
    /// not serve what is certified is passed over.
    async fn catch_up(&mut self, preferred: Option<PeerId>) -> Stopped {
        let mut exhausted = BTreeSet::new();
        loop {
            let Some(peer) = self.choose(preferred, &exhausted) else {
                return if self.is_behind() { Stopped::Behind } else { Stopped::UpToDate };
            };
            match self.ask(peer).await {
                Ok(Served::Some) => {}
                Ok(Served::All) if self.is_behind() => {
                    exhausted.insert(peer);
                }
                Ok(Served::All) => return Stopped::UpToDate,
                Err(Stopped::Peer(peer, pause)) => self.shun(peer, pause),
                Err(stopped) => return stopped,
            }
        }
    }

    /// Asks one neighbour for the next blocks and follows them.
    async fn ask(&mut self, peer: PeerId) -> Result<Served, Stopped> {
        let from_height = self.follower.height().saturating_add(1);
        let request = BlockRequest { from_height, count_max: BLOCKS_PER_FETCH, with_results: true };
        let response = match self.follow.mesh.fetch(peer, request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%peer, %error, "a neighbour did not serve blocks");
                return Err(Stopped::Peer(peer, REST_FOR));
            }
        };
        let tip_height = response.tip_height;
        if response.blocks.is_empty() && tip_height >= from_height {
            tracing::warn!(
                %peer, wanted = from_height, tip_height,
                "a neighbour says that it has blocks, but serves none; others are asked"
            );
            return Err(Stopped::Peer(peer, REST_FOR));
        }
        for bytes in &response.blocks {
            let Ok(served) = borsh::from_slice::<ServedBlock>(bytes) else {
                tracing::warn!(%peer, "a neighbour served bytes that are no block");
                return Err(Stopped::Peer(peer, SHUN_FOR));
            };
            self.take(&served, peer).await?;
        }
        Ok(if tip_height > self.follower.height() { Served::Some } else { Served::All })
    }

    /// A neighbour that serves blocks and has not served all it has: the preferred one, or
    /// another, in turns.
    fn choose(
        &mut self,
        preferred: Option<PeerId>,
        exhausted: &BTreeSet<PeerId>,
    ) -> Option<PeerId> {
        let now = Instant::now();
        self.shunned.retain(|_, until| *until > now);
        let peers = self.follow.mesh.peers();
        let mut serving = peers
            .iter()
            .filter(|status| status.serves_blocks && !self.shunned.contains_key(&status.peer))
            .map(|status| status.peer)
            .filter(|peer| !exhausted.contains(peer));
        if let Some(preferred) = preferred
            && serving.clone().any(|peer| peer == preferred)
        {
            return Some(preferred);
        }
        let count = serving.clone().count();
        self.turn = self.turn.wrapping_add(1);
        serving.nth(self.turn.checked_rem(count)?)
    }

    /// Verifies the next block and keeps what concerns the household.
    async fn take(&mut self, served: &ServedBlock, peer: PeerId) -> Result<(), Stopped> {
        let before = self.follower.clone();
        if served.results.is_none() {
            tracing::warn!(%peer, "a neighbour served a block without its results");
            return Err(Stopped::Peer(peer, SHUN_FOR));
        }
        let (block, leaves) =
            self.follower.follow(served).map_err(|error| not_followed(error, peer))?;
        self.keep(before, block.header.time, &block.transactions, leaves).await
    }

    /// Verifies the next block, in which nothing was said and nothing decided, by its header.
    async fn take_header(
        &mut self,
        header: &Header,
        certificate: &CommitCertificate,
        peer: PeerId,
    ) -> Result<(), Stopped> {
        let before = self.follower.clone();
        let followed = self.follower.follow_header(header, certificate);
        followed.map_err(|error| not_followed(error, peer))?;
        self.keep(before, header.time, &[], &[]).await
    }

    /// Keeps what concerns the household of a block that was followed. If that fails, the block
    /// is followed again: the follower stands `before` it then.
    async fn keep(
        &mut self,
        before: LightFollower,
        time: Timestamp,
        transactions: &[Transaction],
        leaves: &[ResultLeaf],
    ) -> Result<(), Stopped> {
        let position =
            ChainPosition { height: self.follower.height(), tip: *self.follower.tip().as_bytes() };
        let (effects, answers) = concerning(self.follow.party, transactions, leaves, position);
        let concerns =
            !(effects.own.is_empty() && effects.fills.is_empty() && effects.settled.is_empty());
        let due = position.height.saturating_sub(self.kept_height) >= KEEP_EVERY;
        let mut totals = None;
        if concerns || due {
            let rules = &self.follow.genesis.rules;
            match self.follow.outbox.keep_block(&effects, rules).await {
                Ok(kept) => totals = Some(kept).filter(|_| !effects.settled.is_empty()),
                Err(error) => {
                    self.follower = before;
                    return Err(Stopped::Outbox(error));
                }
            }
            self.kept_height = position.height;
        }
        let followed = Followed {
            height: position.height,
            time,
            effects: concerns.then_some(effects),
            answers,
            auctions: auctions(self.follow.zone, leaves),
            totals,
        };
        self.follow.followed.send(followed).await.map_err(|_| Stopped::Ended)
    }
}

/// The gates that a block closed, as seen from a zone.
fn auctions(zone: ZoneId, leaves: &[ResultLeaf]) -> Vec<Auction> {
    let summaries = leaves.iter().filter_map(|leaf| match leaf {
        ResultLeaf::Clearing(summary) => Some(summary),
        _ => None,
    });
    let seen = |summary: &ClearingSummary| {
        let here = summary.zones.iter().find(|result| result.zone == zone);
        let price = here.and_then(|result| result.price);
        Auction { period: summary.period, gate: summary.gate, price }
    };
    summaries.map(seen).collect()
}

/// What it means that a neighbour's block is not followed.
fn not_followed(error: NotFollowed, peer: PeerId) -> Stopped {
    if let NotFollowed::UnknownValidators(_) = error {
        return Stopped::Validators(error);
    }
    tracing::warn!(%peer, %error, "a neighbour served a block that does not hold");
    Stopped::Peer(peer, SHUN_FOR)
}

/// What a block means to one party.
fn concerning(
    party: PartyId,
    transactions: &[Transaction],
    leaves: &[ResultLeaf],
    position: ChainPosition,
) -> (BlockEffects, Vec<Answer>) {
    let own = transactions.iter().filter_map(|transaction| {
        let (key, author, sequence) = sequence_of(transaction)?;
        (author == party).then(|| OwnTransaction { hash: transaction.hash(), key, sequence })
    });
    let mut effects =
        BlockEffects { position, own: own.collect(), fills: Vec::new(), settled: Vec::new() };
    let mut answers = Vec::new();
    for leaf in leaves.iter().filter(|leaf| leaf.concerns(&party)) {
        match leaf {
            ResultLeaf::Answer(answer) => {
                effects.fills.push(Fill {
                    period: answer.period,
                    side: answer.side,
                    gate: answer.gate.0,
                    filled_wh: answer.filled.wh(),
                });
                answers.push(answer.clone());
            }
            ResultLeaf::Settled(settled) => effects.settled.push(settled.clone()),
            // A trade is told by its answer, a posting and a certificate by the settlement.
            ResultLeaf::Trade(_)
            | ResultLeaf::Posting(_)
            | ResultLeaf::Clearing(_)
            | ResultLeaf::CommunitySettled(_)
            | ResultLeaf::Certificate(_) => {}
        }
    }
    (effects, answers)
}
