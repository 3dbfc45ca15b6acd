//! Keeps the bootstrap addresses connected: dials each for ever, with a pause that doubles from
//! 0.5 s to 10 s, less a jitter. Pure: time and the outcome of dials are handed in.

use std::time::Duration;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::config::split_address;
use crate::limits::{REDIAL_FIRST, REDIAL_MAX};

pub(crate) struct Dialer {
    local: PeerId,
    targets: Vec<Target>,
}

struct Target {
    address: Multiaddr,
    /// The peer named in the configuration, else the one last reached at the address.
    peer: Option<PeerId>,
    named: bool,
    state: State,
    attempt: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting(Instant),
    Dialling(ConnectionId),
    Connected,
    /// The address is this node's own: never dialled again.
    Own,
}

/// A dial to make now. Every one is followed by [`Dialer::dialling`] or [`Dialer::refused`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dial {
    pub(crate) target: usize,
    pub(crate) address: Multiaddr,
    /// Dial only this peer; `None` to take whoever answers.
    pub(crate) peer: Option<PeerId>,
}

impl Dialer {
    pub(crate) fn new(local: PeerId, bootstrap: &[Multiaddr], now: Instant) -> Dialer {
        let targets = bootstrap
            .iter()
            .filter_map(split_address)
            .map(|(address, peer)| {
                let own = peer == Some(local);
                let state = if own { State::Own } else { State::Waiting(now) };
                Target { address, peer, named: peer.is_some(), state, attempt: 0 }
            })
            .collect();
        Dialer { local, targets }
    }

    /// When the next dial is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.targets.iter().filter_map(Target::due).min()
    }

    pub(crate) fn due(&self, now: Instant) -> Vec<Dial> {
        self.targets
            .iter()
            .enumerate()
            .filter(|(_, target)| target.due().is_some_and(|due| due <= now))
            .map(|(index, target)| Dial {
                target: index,
                address: target.address.clone(),
                peer: target.peer.filter(|_| target.named),
            })
            .collect()
    }

    pub(crate) fn dialling(&mut self, target: usize, connection: ConnectionId) {
        if let Some(target) = self.targets.get_mut(target) {
            target.state = State::Dialling(connection);
        }
    }

    /// The swarm did not even try.
    pub(crate) fn refused(&mut self, target: usize, now: Instant) {
        let local = self.local;
        if let Some(target) = self.targets.get_mut(target) {
            target.wait(local, now);
        }
    }

    /// Returns the address if this was the first failure in a row, worth a line in the log.
    pub(crate) fn failed(&mut self, connection: ConnectionId, now: Instant) -> Option<&Multiaddr> {
        let local = self.local;
        let target = self.dialled_by(connection)?;
        target.wait(local, now);
        (target.attempt == 1).then_some(&target.address)
    }

    /// The dial reached this very node.
    pub(crate) fn is_own(&mut self, connection: ConnectionId) {
        if let Some(target) = self.dialled_by(connection) {
            target.state = State::Own;
        }
    }

    pub(crate) fn connected(&mut self, peer: PeerId, connection: ConnectionId) {
        for target in &mut self.targets {
            if target.state == State::Dialling(connection) {
                target.peer = Some(peer);
                target.state = State::Connected;
            } else if target.peer == Some(peer) && matches!(target.state, State::Waiting(_)) {
                target.state = State::Connected;
            }
        }
    }

    /// The peer turned out to be of this chain: its next loss starts with the shortest pause. A
    /// mere connection does not count, or a peer that hangs up at once would be dialled in a rush.
    pub(crate) fn joined(&mut self, peer: PeerId) {
        for target in self.targets.iter_mut().filter(|target| target.peer == Some(peer)) {
            target.attempt = 0;
        }
    }

    /// The last connection with the peer is gone.
    pub(crate) fn disconnected(&mut self, peer: PeerId, now: Instant) {
        let local = self.local;
        for target in &mut self.targets {
            if target.peer == Some(peer) && target.state == State::Connected {
                target.wait(local, now);
            }
        }
    }

    /// Whether the peer stands behind a bootstrap address.
    pub(crate) fn knows(&self, peer: &PeerId) -> bool {
        self.targets.iter().any(|target| target.peer == Some(*peer))
    }

    fn dialled_by(&mut self, connection: ConnectionId) -> Option<&mut Target> {
        self.targets.iter_mut().find(|target| target.state == State::Dialling(connection))
    }
}

impl Target {
    fn due(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(due) => Some(due),
            State::Dialling(_) | State::Connected | State::Own => None,
        }
    }

    fn wait(&mut self, local: PeerId, now: Instant) {
        let pause = REDIAL_FIRST.saturating_mul(2_u32.saturating_pow(self.attempt)).min(REDIAL_MAX);
        let pause = pause.mul_f64(jitter(local, &self.address, self.attempt));
        self.state = State::Waiting(now + pause.max(Duration::from_millis(1)));
        self.attempt = self.attempt.saturating_add(1);
    }
}

/// A factor in 0.5..1.0, different for each node, address and attempt, so that a community does
/// not knock in step at a validator that comes back. A hash, because it needs no randomness.
fn jitter(local: PeerId, address: &Multiaddr, attempt: u32) -> f64 {
    let mut hash = Sha256::new();
    hash.update(local.to_bytes());
    hash.update(address.to_vec());
    hash.update(attempt.to_be_bytes());
    let byte = hash.finalize().first().copied().unwrap_or(0);
    0.5 + f64::from(byte) / 512.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Multiaddr {
        "/ip4/127.0.0.1/tcp/4001".parse().expect("a multiaddress")
    }

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn only_due(dialer: &Dialer, now: Instant) -> Dial {
        let mut due = dialer.due(now);
        assert_eq!(due.len(), 1);
        due.remove(0)
    }

    #[test]
    fn the_pause_doubles_up_to_ten_seconds_and_never_ends() {
        let mut now = Instant::now();
        let mut dialer = Dialer::new(PeerId::random(), &[address()], now);
        let mut pauses = Vec::new();
        for number in 0..12 {
            let dial = only_due(&dialer, now);
            dialer.dialling(dial.target, connection(number));
            assert_eq!(dialer.next_due(), None);
            assert_eq!(dialer.failed(connection(number), now).is_some(), number == 0);
            let due = dialer.next_due().expect("dialled again");
            pauses.push(due - now);
            now = due;
        }
        for (attempt, pause) in pauses.iter().enumerate() {
            let full = REDIAL_FIRST.saturating_mul(1 << attempt).min(REDIAL_MAX);
            assert!(*pause <= full && *pause >= full / 2, "{attempt}: {pause:?}");
        }
    }

    #[test]
    fn a_lost_peer_is_dialled_again_at_the_address_where_it_was_reached() {
        let now = Instant::now();
        let mut dialer = Dialer::new(PeerId::random(), &[address()], now);
        let peer = PeerId::random();
        dialer.dialling(0, connection(1));
        dialer.connected(peer, connection(1));
        dialer.joined(peer);
        assert!(dialer.knows(&peer));
        assert_eq!(dialer.next_due(), None);
        dialer.disconnected(peer, now);
        let due = dialer.next_due().expect("dialled again");
        assert!(due <= now + REDIAL_FIRST);
        // No peer was named, so whoever is at the address by then will do.
        assert_eq!(only_due(&dialer, due).peer, None);
    }

    #[test]
    fn a_peer_that_hangs_up_before_it_joins_is_not_dialled_in_a_rush() {
        let mut now = Instant::now();
        let mut dialer = Dialer::new(PeerId::random(), &[address()], now);
        let peer = PeerId::random();
        for number in 0..8 {
            dialer.dialling(0, connection(number));
            dialer.connected(peer, connection(number));
            dialer.disconnected(peer, now);
            now = dialer.next_due().expect("dialled again");
        }
        dialer.dialling(0, connection(9));
        dialer.connected(peer, connection(9));
        dialer.disconnected(peer, now);
        assert!(dialer.next_due().expect("dialled again") - now >= REDIAL_MAX / 2);
    }

    #[test]
    fn the_own_address_is_left_alone() {
        let (local, now) = (PeerId::random(), Instant::now());
        let named = address().with(libp2p::multiaddr::Protocol::P2p(local));
        let mut dialer = Dialer::new(local, &[named, address()], now);
        assert_eq!(only_due(&dialer, now).target, 1);
        dialer.dialling(1, connection(1));
        dialer.is_own(connection(1));
        assert_eq!(dialer.next_due(), None);
    }

    #[test]
    fn a_named_peer_that_connected_by_itself_is_not_dialled() {
        let (peer, now) = (PeerId::random(), Instant::now());
        let named = address().with(libp2p::multiaddr::Protocol::P2p(peer));
        let mut dialer = Dialer::new(PeerId::random(), &[named], now);
        assert_eq!(only_due(&dialer, now).peer, Some(peer));
        dialer.connected(peer, connection(5));
        assert_eq!(dialer.next_due(), None);
        dialer.disconnected(peer, now);
        assert!(dialer.next_due().is_some());
    }
}
