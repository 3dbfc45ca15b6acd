//! Where validators listen for each other.

use borsh::{BorshDeserialize, BorshSerialize};
use market::keys::PublicKey;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where a validator listens for the others.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Endpoint {
    /// The validator's key.
    pub key: PublicKey,
    /// `/ip4/ADDRESS/tcp/PORT/p2p/PEER-ID`, or the same with `ip6`. No names: whoever answers for a
    /// name would decide who is let in.
    pub address: String,
}

/// What the identifier of a libp2p peer with an Ed25519 key begins with: the identity "hash" of 36
/// bytes, a key of type 1, 32 bytes of it.
const ED25519_PEER: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

impl Endpoint {
    /// Whether every validator can use the address. One that nobody can use would cut its validator
    /// off, and enough of them would stop the chain.
    pub fn is_usable(&self) -> bool {
        match self.address.split('/').collect::<Vec<_>>().as_slice() {
            ["", "ip4", ip, "tcp", port, "p2p", peer] => {
                same::<Ipv4Addr>(ip) && is_port(port) && is_peer(peer)
            }
            ["", "ip6", ip, "tcp", port, "p2p", peer] => {
                same::<Ipv6Addr>(ip) && is_port(port) && is_peer(peer)
            }
            _ => false,
        }
    }
}

/// Whether a text is the one spelling of a value.
fn same<T: std::str::FromStr + ToString>(text: &str) -> bool {
    text.parse::<T>().is_ok_and(|value| value.to_string() == text)
}

fn is_port(text: &str) -> bool {
    same::<u16>(text) && text != "0"
}

fn is_peer(text: &str) -> bool {
    let bytes = bs58::decode(text).into_vec();
    bytes.is_ok_and(|bytes| bytes.len() == 38 && bytes.starts_with(&ED25519_PEER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable(address: &str) -> bool {
        let key = PublicKey::from_bytes([1; 32]);
        Endpoint { key, address: address.to_owned() }.is_usable()
    }

    #[test]
    fn an_address_has_an_ip_a_port_and_a_peer_and_nothing_else() {
        let peer = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
        assert!(usable(&format!("/ip4/10.0.0.1/tcp/7400/p2p/{peer}")));
        assert!(usable(&format!("/ip6/::1/tcp/7400/p2p/{peer}")));
        for wrong in [
            String::new(),
            "10.0.0.1:7400".to_owned(),
            "/ip4/10.0.0.1/tcp/7400".to_owned(),
            format!("/ip4/10.0.0.1/tcp/0/p2p/{peer}"),
            format!("/ip4/10.0.0.1/tcp/07400/p2p/{peer}"),
            format!("/ip4/10.0.0.1/tcp/70000/p2p/{peer}"),
            format!("/ip4/10.0.0.256/tcp/7400/p2p/{peer}"),
            format!("/ip6/10.0.0.1/tcp/7400/p2p/{peer}"),
            format!("/ip4/10.0.0.1/udp/7400/p2p/{peer}"),
            format!("/dns4/node.example/tcp/7400/p2p/{peer}"),
            format!("/ip4/10.0.0.1/tcp/7400/p2p/{peer}/"),
            "/ip4/10.0.0.1/tcp/7400/p2p/nobody".to_owned(),
            "/ip4/10.0.0.1/tcp/7400/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".to_owned(),
        ] {
            assert!(!usable(&wrong), "{wrong}");
        }
    }
}
