//! Who is connected: when to start the first height, when to wake, what to report.

use std::collections::BTreeMap;
use std::time::Duration;

use arc_malachitebft_app_channel::app::engine::host::HeightParams;
use arc_malachitebft_app_channel::{NetworkRequest, Reply};
use tokio::time::Instant;

use super::ConsensusError;
use super::application::Application;
use super::context::{Chain, Height};
use super::driver::{Driver, send};
use super::status::Phase;

/// How often to look before the first height, when every moment counts.
const OPENING_INTERVAL: Duration = Duration::from_millis(100);
/// How often to look afterwards.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a quorum waits for the rest before the first height: one of them may propose it.
const STRAGGLERS: Duration = Duration::from_millis(1500);
/// How long the engine's network may take to say who is there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The start of the first height of this process.
pub(super) struct Opening {
    reply: Option<Reply<(Height, HeightParams<Chain>)>>,
    deadline: Instant,
    quorum_since: Option<Instant>,
}

/// Who is there.
struct Company {
    peers: usize,
    validators: usize,
    has_quorum: bool,
    is_complete: bool,
}

impl Opening {
    pub(super) fn new(quorum_wait_ms: u64) -> Self {
        let deadline = Instant::now() + Duration::from_millis(quorum_wait_ms);
        Self { reply: None, deadline, quorum_since: None }
    }

    fn is_due(&mut self, company: &Company) -> bool {
        let now = Instant::now();
        if !company.has_quorum {
            self.quorum_since = None;
        }
        let since = if company.has_quorum { *self.quorum_since.get_or_insert(now) } else { now };
        company.is_complete || now.duration_since(since) >= STRAGGLERS || now >= self.deadline
    }
}

impl<A: Application> Driver<A> {
    /// The engine is ready for its first height.
    pub(super) async fn open(
        &mut self,
        reply: Reply<(Height, HeightParams<Chain>)>,
    ) -> Result<(), ConsensusError> {
        match &mut self.opening {
            Some(opening) => opening.reply = Some(reply),
            // The engine asks once; if it asked again, it would be by a restart of its own.
            None => send(reply, (Height(self.next_height()), self.height_params()?)),
        }
        self.look_around().await
    }

    pub(super) fn look_interval(&self) -> Duration {
        if self.opening.is_some() { OPENING_INTERVAL } else { INTERVAL }
    }

    /// Looks who is connected and does what follows from it.
    pub(super) async fn look_around(&mut self) -> Result<(), ConsensusError> {
        self.follow_membership().await?;
        let Some(company) = self.company().await? else { return Ok(()) };
        let (before, now) = self.publish_company(&company);
        if before != now {
            let (connected, count) = (company.validators, self.seats()?.len());
            match (before.1, now.1) {
                (_, true) => tracing::info!(connected, count, "validators connected"),
                (true, false) => tracing::warn!(connected, count, "the quorum is lost"),
                (false, false) => tracing::info!(connected, count, "no quorum connected yet"),
            }
        }
        self.open_if_due(&company)?;
        if !before.1 && now.1 {
            // Whoever was cut off cannot know what it missed while nothing is being decided.
            self.start_next("the quorum is back")?;
        }
        Ok(())
    }

    fn open_if_due(&mut self, company: &Company) -> Result<(), ConsensusError> {
        let height = Height(self.next_height());
        let params = self.height_params()?;
        let Some(opening) = &mut self.opening else { return Ok(()) };
        if opening.reply.is_none() || !opening.is_due(company) {
            return Ok(());
        }
        let opened = self.opening.take().and_then(|opening| opening.reply);
        if let Some(reply) = opened {
            tracing::info!(%height, connected = company.validators, "consensus starts");
            self.status.send_modify(|status| status.phase = Phase::Deciding);
            send(reply, (height, params));
        }
        Ok(())
    }

    /// `None` if the engine's network does not answer just now.
    async fn company(&self) -> Result<Option<Company>, ConsensusError> {
        let answer = NetworkRequest::dump_state(&self.network_requests);
        let Ok(Ok(Some(state))) = tokio::time::timeout(ANSWER_TIMEOUT, answer).await else {
            return Ok(None);
        };
        let seats = self.seats()?;
        let mut absent: BTreeMap<&[u8], u64> = seats.powers();
        let total = absent.len();
        let (mut power, mut unproved) = (0_u64, 0);
        let own = seats.seat(&self.voter).map(|seat| seat.key);
        let own = own.as_ref().map(|key| key.as_bytes().as_slice());
        let peers = state.peers.values().map(|peer| peer.consensus_public_key.as_deref());
        for key in peers.chain(own.map(Some)) {
            match key {
                // The engine has verified that the key and the connection belong together.
                Some(key) => power = power.saturating_add(absent.remove(key).unwrap_or(0)),
                None => unproved += 1,
            }
        }
        // The engine loses a proof that comes while it starts. The peer is on the allow list, so
        // it is a validator; it counts as the weakest that it can be.
        let mut weakest: Vec<_> = absent.into_values().collect();
        weakest.sort_unstable();
        let absent = weakest.split_off(unproved.min(weakest.len()));
        power = weakest.into_iter().fold(power, u64::saturating_add);
        Ok(Some(Company {
            peers: state.peers.len(),
            validators: total.saturating_sub(absent.len()),
            has_quorum: seats.is_quorum(power),
            is_complete: absent.is_empty(),
        }))
    }

    /// Publishes, and gives (validators connected, quorum) as they were and as they are.
    fn publish_company(&self, company: &Company) -> ((usize, bool), (usize, bool)) {
        let mut before = (0, false);
        let now = (company.validators, company.has_quorum);
        self.status.send_if_modified(|status| {
            before = (status.validators_connected, status.has_quorum);
            let peers = std::mem::replace(&mut status.peers_connected, company.peers);
            (status.validators_connected, status.has_quorum) = now;
            before != now || peers != company.peers
        });
        (before, now)
    }
}
