//! Bounds handshakes and connections per IP address. libp2p's own limits count peers, but a peer
//! id costs an attacker nothing and is known only after the handshake.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::{Endpoint, transport::PortUse};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use crate::config::ip_of;
use crate::limits::{INBOUND_PER_ADDRESS_MAX, PENDING_INBOUND_PER_ADDRESS_MAX};

#[derive(Default)]
pub(crate) struct AddressLimit {
    pending: Census,
    established: Census,
}

/// Why a connection is refused.
#[derive(Debug, thiserror::Error)]
#[error("too many connections from {ip}")]
struct TooManyFromAddress {
    ip: IpAddr,
}

/// Who is connected from where, counted per address.
#[derive(Default)]
struct Census {
    places: BTreeMap<ConnectionId, IpAddr>,
    counts: BTreeMap<IpAddr, u32>,
}

impl Census {
    fn check(&self, ip: IpAddr, limit: u32) -> Result<(), ConnectionDenied> {
        if self.counts.get(&ip).copied().unwrap_or(0) >= limit {
            return Err(ConnectionDenied::new(TooManyFromAddress { ip }));
        }
        Ok(())
    }

    fn enter(&mut self, connection: ConnectionId, ip: IpAddr) {
        if self.places.insert(connection, ip).is_none() {
            *self.counts.entry(ip).or_insert(0) += 1;
        }
    }

    fn leave(&mut self, connection: ConnectionId) {
        let Some(ip) = self.places.remove(&connection) else {
            return;
        };
        if let Some(count) = self.counts.get_mut(&ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&ip);
            }
        }
    }
}

impl NetworkBehaviour for AddressLimit {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if let Some(ip) = ip_of(remote) {
            self.pending.check(ip, PENDING_INBOUND_PER_ADDRESS_MAX)?;
            self.pending.enter(connection, ip);
        }
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.leave(connection);
        if let Some(ip) = ip_of(remote) {
            self.established.check(ip, INBOUND_PER_ADDRESS_MAX)?;
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(opened) if opened.endpoint.is_listener() => {
                if let Some(ip) = ip_of(opened.endpoint.get_remote_address()) {
                    self.established.enter(opened.connection_id, ip);
                }
            }
            FromSwarm::ConnectionClosed(closed) => self.established.leave(closed.connection_id),
            FromSwarm::ListenFailure(failure) => self.pending.leave(failure.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_from_one_address_are_bounded_and_others_get_through() {
        let mut limit = AddressLimit::default();
        let local: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().expect("a multiaddress");
        let crowd: Multiaddr = "/ip4/10.0.0.2/tcp/2".parse().expect("a multiaddress");
        let other: Multiaddr = "/ip4/10.0.0.3/tcp/3".parse().expect("a multiaddress");
        let mut knock = |number: usize, from: &Multiaddr| {
            let id = ConnectionId::new_unchecked(number);
            limit.handle_pending_inbound_connection(id, &local, from).is_ok()
        };
        let admitted = (0..1000).filter(|number| knock(*number, &crowd)).count();
        assert_eq!(u32::try_from(admitted), Ok(PENDING_INBOUND_PER_ADDRESS_MAX));
        assert!(knock(1000, &other));
    }

    #[test]
    fn a_census_that_everyone_left_is_empty() {
        let mut census = Census::default();
        let ip = IpAddr::from([10, 0, 0, 1]);
        for number in 0..3 {
            census.enter(ConnectionId::new_unchecked(number), ip);
        }
        assert!(census.check(ip, 3).is_err() && census.check(ip, 4).is_ok());
        for number in 0..5 {
            census.leave(ConnectionId::new_unchecked(number));
        }
        assert!(census.counts.is_empty() && census.places.is_empty());
    }
}
