//! Finding each other, and finding each other again.

use mesh::{Mesh, MeshError, Multiaddr, Topic, TransportKey};
use tokio_util::sync::CancellationToken;

use crate::node::{CHAIN, Node, Role, config, eventually, loopback};

#[tokio::test]
async fn two_nodes_with_one_bootstrap_peer_find_each_other() {
    let bootstrap = Node::start(&[]).await;
    let one = Node::start(&[bootstrap.address()]).await;
    let other = Node::start(&[bootstrap.address()]).await;
    eventually("they are neighbours", || one.knows(&other) && other.knows(&one)).await;

    // So the bootstrap peer is not needed any more.
    bootstrap.stop().await;
    let mut other = other;
    one.says(Topic::Readings, b"still here").await;
    assert_eq!(other.hears().await, (Topic::Readings, b"still here".to_vec()));
}

#[tokio::test]
async fn a_bootstrap_peer_that_comes_back_is_found_again() {
    let mut settings = config(&[]);
    settings.transport_key = TransportKey::from_seed([5; 32]);
    let first = Node::with(settings.clone(), Role::default()).await;
    let address = first.address();
    let named: Multiaddr =
        format!("{address}/p2p/{}", first.mesh.peer_id()).parse().expect("a multiaddress");
    let by_address = Node::start(std::slice::from_ref(&address)).await;
    let by_name = Node::start(&[named]).await;
    eventually("both are joined", || by_address.knows(&first) && by_name.knows(&first)).await;

    settings.listen = vec![address];
    let gone = first.mesh.peer_id();
    first.stop().await;
    eventually("both have noticed", || {
        let mut left = by_address.mesh.peers();
        left.extend(by_name.mesh.peers());
        left.iter().all(|status| status.peer != gone)
    })
    .await;
    let mut again = Node::with(settings.clone(), Role::default()).await;
    eventually("both are joined again", || by_address.knows(&again) && by_name.knows(&again)).await;
    by_name.says(Topic::Orders, b"welcome back").await;
    assert_eq!(again.hears().await, (Topic::Orders, b"welcome back".to_vec()));

    // With another key it is another peer: taken by address, not by name.
    again.stop().await;
    settings.transport_key = TransportKey::from_seed([6; 32]);
    let renamed = Node::with(settings, Role::default()).await;
    eventually("it is taken at its address", || by_address.knows(&renamed)).await;
}

#[tokio::test]
async fn a_bootstrap_address_may_be_the_nodes_own_or_come_up_late() {
    let reserved = Node::start(&[]).await;
    let address = reserved.address();
    reserved.stop().await;

    let early = Node::start(std::slice::from_ref(&address)).await;
    let mut settings = config(std::slice::from_ref(&address));
    settings.listen = vec![address];
    let late = Node::with(settings, Role::default()).await;
    eventually("the early one finds the late one", || early.knows(&late)).await;
    assert!(!late.knows(&late));
}

#[tokio::test]
async fn a_peer_of_another_chain_is_sent_away_and_hears_nothing() {
    let ours = Node::start(&[]).await;
    let mut settings = config(&[ours.address()]);
    settings.chain_id = [0xcd; 32];
    let mut theirs = Node::with(settings, Role::default()).await;
    eventually("one of them notices", || {
        ours.mesh.counters().snapshot().foreign + theirs.mesh.counters().snapshot().foreign > 0
    })
    .await;
    eventually("they part", || ours.mesh.counters().snapshot().connections == 0).await;
    assert!(!ours.knows(&theirs) && !theirs.knows(&ours));
    let error = ours.mesh.publish(Topic::Orders, b"secret".to_vec()).await;
    assert!(matches!(error, Err(MeshError::NoPeers { .. })));

    // Others of the chain are served as ever.
    let mut member = Node::start(&[ours.address()]).await;
    ours.says(Topic::Orders, b"for members").await;
    assert_eq!(member.hears().await.1, b"for members");
    assert!(theirs.heard.try_recv().is_err());
}

#[tokio::test]
async fn addresses_that_cannot_be_used_have_names() {
    let start = |listen: Vec<Multiaddr>, bootstrap: Vec<Multiaddr>| {
        let mut settings = config(&bootstrap);
        settings.listen = listen;
        settings.chain_id = CHAIN;
        Mesh::start(settings, CancellationToken::new())
    };
    let dns: Multiaddr = "/dns4/example.invalid/tcp/1".parse().expect("a multiaddress");
    let refused = start(vec![loopback()], vec![dns.clone()]).await;
    assert!(matches!(refused, Err(MeshError::AddressNotIpTcp { address }) if address == dns));

    let taken = Node::start(&[]).await;
    let refused = start(vec![taken.address()], Vec::new()).await;
    assert!(
        matches!(refused, Err(MeshError::Listen { address, .. }) if address == taken.address())
    );
}
