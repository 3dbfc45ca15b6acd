//! Housekeeping: who is sent away, which links are too many, and which are missing.

use libp2p::PeerId;
use libp2p::swarm::dial_opts::DialOpts;
use tokio::time::Instant;

use super::SwarmTask;
use crate::counters::count;
use crate::limits::{
    CUT_OFF_FOR, CUT_OFF_MAX, DIALS_PER_ROUND, FOREIGN_REMEMBERED, JOIN_TIMEOUT, NEIGHBOURS_WANTED,
    OUTBOUND_KEPT,
};

impl SwarmTask {
    pub(super) fn upkeep(&mut self) {
        let now = Instant::now();
        self.inbox.tidy(now);
        self.let_in_again(now);
        for peer in self.links.peers().copied().collect::<Vec<_>>() {
            self.cut_off_if_graylisted(peer);
        }
        self.close_not_joined(now);
        self.close_surplus();
        self.dial_known();
    }

    /// Closes all connections with a peer and refuses it for a while.
    pub(super) fn cut_off(&mut self, peer: PeerId, reason: &str) {
        if self.refuse_for_a_while(peer) {
            count(&self.counters.cut_off);
            tracing::warn!(%peer, reason, "cut a peer off");
        }
    }

    /// Refuses a peer of another chain; says so once per peer.
    pub(super) fn send_away_foreigner(&mut self, peer: PeerId, chain: &str) {
        count(&self.counters.foreign);
        if self.foreign.len() >= FOREIGN_REMEMBERED {
            self.foreign.clear();
        }
        if self.foreign.insert(peer) {
            // The peer chose these bytes: escaped and cut before they reach a log.
            let theirs: String = chain.escape_default().take(80).collect();
            let own = &self.chain;
            tracing::warn!(%peer, theirs, own, "a peer is of another chain; not talking to it");
        }
        self.refuse_for_a_while(peer);
    }

    /// Returns false if the peer is refused already.
    fn refuse_for_a_while(&mut self, peer: PeerId) -> bool {
        if self.cut_off.contains_key(&peer) {
            return false;
        }
        if self.cut_off.len() >= CUT_OFF_MAX {
            let oldest = self.cut_off.iter().min_by_key(|(_, until)| **until);
            if let Some(oldest) = oldest.map(|(oldest, _)| *oldest) {
                self.let_in(oldest);
            }
        }
        self.cut_off.insert(peer, Instant::now() + CUT_OFF_FOR);
        let behaviour = self.swarm.behaviour_mut();
        behaviour.kademlia.remove_peer(&peer);
        behaviour.blocked.block_peer(peer);
        true
    }

    fn let_in_again(&mut self, now: Instant) {
        let over: Vec<PeerId> = self
            .cut_off
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(peer, _)| *peer)
            .collect();
        for peer in over {
            self.let_in(peer);
        }
    }

    fn let_in(&mut self, peer: PeerId) {
        self.cut_off.remove(&peer);
        self.swarm.behaviour_mut().blocked.unblock_peer(peer);
    }

    fn close_not_joined(&mut self, now: Instant) {
        let Some(since) = now.checked_sub(JOIN_TIMEOUT) else {
            return;
        };
        for connection in self.links.not_joined_since(since) {
            self.swarm.close_connection(connection);
        }
    }

    /// A random walk leaves connections behind. Those that nobody but this node wanted, and that
    /// carry no gossip, are closed down to a modest number, the oldest first.
    fn close_surplus(&mut self) {
        let discovered: Vec<PeerId> =
            self.links.dialled_only().into_iter().filter(|peer| !self.dialer.knows(peer)).collect();
        let surplus = discovered.len().saturating_sub(OUTBOUND_KEPT);
        let in_mesh: Vec<PeerId> =
            self.swarm.behaviour().gossip.all_mesh_peers().copied().collect();
        for peer in discovered.into_iter().filter(|peer| !in_mesh.contains(peer)).take(surplus) {
            // An error means that it is gone already.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Dials a few peers of the routing table while there are fewer neighbours than wanted.
    pub(super) fn dial_known(&mut self) {
        let missing = NEIGHBOURS_WANTED.saturating_sub(self.links.len());
        if missing == 0 {
            return;
        }
        let mut known: Vec<PeerId> = Vec::new();
        for bucket in self.swarm.behaviour_mut().kademlia.kbuckets() {
            known.extend(bucket.iter().map(|entry| entry.node.key.preimage()));
        }
        let unconnected = known.into_iter().filter(|peer| !self.links.is_connected(peer));
        for peer in unconnected.take(missing.min(DIALS_PER_ROUND)).collect::<Vec<_>>() {
            // Its addresses come from the routing table. An error means that it is refused, or
            // being dialled already.
            let options = DialOpts::peer_id(peer).allocate_new_port().build();
            let _ = self.swarm.dial(options);
        }
    }
}
