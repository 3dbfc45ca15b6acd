//! What a role hands to [`crate::Mesh::start`], and which addresses it may name.

use std::io;
use std::net::{IpAddr, TcpListener};

use libp2p::Multiaddr;
use libp2p::PeerId;
use libp2p::multiaddr::Protocol;

use crate::error::MeshError;
use crate::key::TransportKey;

/// How one process takes part in the mesh.
#[derive(Debug, Clone)]
pub struct MeshConfig {
    /// The key whose public half is this node's [`PeerId`]. Used for transport alone.
    pub transport_key: TransportKey,
    /// The chain this node is for (hash of its genesis). Peers of another chain are refused.
    pub chain_id: [u8; 32],
    /// Where to listen: `/ip4|ip6/../tcp/..`, port 0 for any. May be empty.
    pub listen: Vec<Multiaddr>,
    /// Where to join: `/ip4|ip6/../tcp/..[/p2p/..]`. Dialled for ever, whenever not connected.
    /// Without `/p2p` whoever answers there is taken. The node's own address may be among them.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether to find peers on the local network by multicast DNS.
    pub mdns: bool,
    /// Whether to answer block requests. A node without blocks leaves it off, and others see in
    /// [`crate::PeerStatus::serves_blocks`] that they need not ask.
    pub serve_blocks: bool,
}

impl MeshConfig {
    /// Checks that every address is one this node can use without asking a name server.
    pub(crate) fn check(&self) -> Result<(), MeshError> {
        for address in self.listen.iter().chain(&self.bootstrap) {
            if split_address(address).is_none() {
                return Err(MeshError::AddressNotIpTcp { address: address.clone() });
            }
        }
        Ok(())
    }
}

/// Splits `/ip4|ip6/../tcp/..[/p2p/..]` into the part to dial and the peer expected there.
/// `None` for any other shape: names are never resolved (a resolver is attack surface).
pub(crate) fn split_address(address: &Multiaddr) -> Option<(Multiaddr, Option<PeerId>)> {
    let mut parts = address.iter();
    let ip = parts.next().filter(|part| matches!(part, Protocol::Ip4(_) | Protocol::Ip6(_)))?;
    let tcp = parts.next().filter(|part| matches!(part, Protocol::Tcp(_)))?;
    let peer = match parts.next() {
        None => None,
        Some(Protocol::P2p(peer)) => Some(peer),
        Some(_) => return None,
    };
    if parts.next().is_some() {
        return None;
    }
    Some((Multiaddr::empty().with(ip).with(tcp), peer))
}

/// The IP address that a multiaddress starts with.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    }
}

/// Fails if another socket listens on the address. libp2p sets `SO_REUSEPORT`, with which a second
/// process of the same user would silently share the port and take half of the connections.
pub(crate) fn check_free(address: &Multiaddr) -> io::Result<()> {
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    match (ip_of(address), port) {
        (Some(ip), Some(port)) => TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

/// The part to dial of an address that a peer claims for itself. `None` where dialling makes no
/// sense: an unspecified IP address or port 0, and a loopback address unless the peer was met
/// on the loopback (`near`), where it would lead to some other process of this machine.
pub(crate) fn dialable(address: &Multiaddr, near: bool) -> Option<Multiaddr> {
    let (address, _) = split_address(address)?;
    let ip = ip_of(&address)?;
    let port_zero = address.iter().any(|part| part == Protocol::Tcp(0));
    if ip.is_unspecified() || port_zero || (ip.is_loopback() && !near) {
        return None;
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddress")
    }

    #[test]
    fn only_ip_and_tcp_addresses_are_taken() {
        let peer = PeerId::random();
        let plain = address("/ip4/10.0.0.1/tcp/4001");
        assert_eq!(split_address(&plain), Some((plain.clone(), None)));
        assert_eq!(
            split_address(&plain.clone().with(Protocol::P2p(peer))),
            Some((plain, Some(peer)))
        );
        for refused in [
            "/dns4/example.invalid/tcp/4001",
            "/ip4/10.0.0.1/udp/4001/quic-v1",
            "/ip4/10.0.0.1",
            "/ip4/10.0.0.1/tcp/4001/ws",
            "/memory/1",
        ] {
            assert_eq!(split_address(&address(refused)), None, "{refused}");
        }
    }

    #[test]
    fn loopback_is_dialled_only_for_a_peer_met_there() {
        let loopback = address("/ip4/127.0.0.1/tcp/4001");
        assert_eq!(dialable(&loopback, false), None);
        assert_eq!(dialable(&loopback, true), Some(loopback));
        assert_eq!(dialable(&address("/ip4/0.0.0.0/tcp/4001"), true), None);
        assert_eq!(dialable(&address("/ip4/10.0.0.1/tcp/0"), true), None);
    }
}
