//! Followers go on with certified blocks that follow, and with nothing else.

use ledger::apply::BlockRefused;
use ledger::block::{BlockHash, MalformedBlock};
use ledger::certificate::CertificateError;
use ledger::follower::{Follower, LightFollower, NotFollowed};
use ledger::results::ServedBlock;
use ledger::salt::BlockSalt;
use market::hash::Digest;
use market::keys::ChainId;

use crate::neighbourhood::{Chain, certify, genesis, minute};

/// Both followers after height 5, and block 6 as a node serves it.
fn at_height_5() -> (Chain, Follower, LightFollower, ServedBlock) {
    let chain = Chain::of_one_traded_quarter();
    let (mut full, mut light) =
        (Follower::at_genesis(&genesis()), LightFollower::at_genesis(&genesis()));
    for height in 1..=5 {
        let served = chain.served(height);
        let executed = full.follow(&served.committed).unwrap();
        assert_eq!(executed, chain.blocks[height - 1]);
        let (block, results) = light.follow(&served).unwrap();
        assert_eq!((block, results), (&served.committed.block, &chain.leaves(height)[..]));
    }
    let served = chain.served(6);
    (chain, full, light, served)
}

/// What both followers say about block 6 after a change; they stay where they were, and go on with
/// the true block.
fn refusals(change: impl FnOnce(&mut ServedBlock)) -> (Option<NotFollowed>, Option<NotFollowed>) {
    let (_, mut full, mut light, good) = at_height_5();
    let mut served = good.clone();
    change(&mut served);
    let refused = (full.follow(&served.committed).err(), light.follow(&served).err());
    let (state, tip) = (full.state().clone(), light.tip());
    if refused.0.is_some() {
        assert_eq!(state.height(), 5);
        full.follow(&good.committed).unwrap();
    }
    if refused.1.is_some() {
        assert_eq!((light.height(), tip), (5, good.committed.block.header.previous));
        light.follow(&good).unwrap();
    }
    refused
}

/// Changes the header and lets a quorum sign it.
fn certified(change: impl FnOnce(&mut ServedBlock)) -> impl FnOnce(&mut ServedBlock) {
    |served| {
        change(served);
        served.committed.certificate = certify(&served.committed.block.header, &[0, 1, 2]);
    }
}

const OTHER: [u8; 32] = [7; 32];

#[test]
fn a_block_of_another_height_is_not_followed() {
    let (chain, mut full, mut light, _) = at_height_5();
    for found in [5, 4] {
        let served = chain.served(found);
        let found = u64::try_from(found).unwrap();
        let wrong = NotFollowed::WrongHeight { found, expected: 6 };
        assert_eq!(full.follow(&served.committed), Err(wrong.clone()));
        assert_eq!(light.follow(&served).unwrap_err(), wrong);
    }
}

#[test]
fn a_block_of_another_chain_is_not_followed() {
    let (full, light) =
        refusals(certified(|s| s.committed.block.header.previous = BlockHash::from_bytes(OTHER)));
    assert!(matches!(full, Some(NotFollowed::Refused(BlockRefused::WrongPrevious { .. }))));
    assert!(matches!(light, Some(NotFollowed::OtherChain(_))));
    let other = ChainId::from_bytes(OTHER);
    let (full, light) = refusals(certified(|s| s.committed.block.header.chain = other));
    assert_eq!(full, Some(NotFollowed::Refused(BlockRefused::OtherCommunity(other))));
    assert!(matches!(light, Some(NotFollowed::OtherChain(_))));
}

#[test]
fn a_certificate_of_another_block_or_height_is_none() {
    let another = |refused: &Option<NotFollowed>| {
        matches!(refused, Some(NotFollowed::CertificateOfAnother { .. }))
    };
    let (full, light) = refusals(|s| {
        s.committed.block.header.time = s.committed.block.header.time.plus_millis(1);
    });
    assert!(another(&full) && another(&light));
    let (full, light) = refusals(|s| s.committed.certificate.height = 5);
    assert!(another(&full) && another(&light));
}

#[test]
fn a_certificate_without_a_quorum_is_none() {
    let (full, light) = refusals(|s| s.committed.certificate.signatures.truncate(2));
    let none = NotFollowed::Certificate(CertificateError::NoQuorum { have: 2, total: 4 });
    assert_eq!((full, light), (Some(none.clone()), Some(none)));
    let (full, light) = refusals(|s| s.committed.certificate.round += 1);
    let bad = |refused: Option<NotFollowed>| {
        matches!(refused, Some(NotFollowed::Certificate(CertificateError::BadVote { .. })))
    };
    assert!(bad(full) && bad(light));
}

#[test]
fn a_body_that_the_header_does_not_cover_is_not_followed() {
    let (full, light) = refusals(|s| drop(s.committed.block.transactions.pop()));
    let root = |name| matches!(name, "transactions root");
    assert!(matches!(
        full,
        Some(NotFollowed::Refused(BlockRefused::RootDiffers { name, .. })) if root(name)
    ));
    assert!(matches!(light, Some(NotFollowed::Body(_))));
}

#[test]
fn results_that_the_header_does_not_cover_are_not_followed() {
    let wrong = |refused| matches!(refused, Some(NotFollowed::Results { .. }));
    let leaves = |s: &mut ServedBlock| s.results.take().unwrap();
    assert!(wrong(refusals(|s| s.results = Some(leaves(s)[1..].to_vec())).1));
    assert!(wrong(refusals(|s| s.results = Some(Vec::new())).1));
    assert!(wrong(
        refusals(|s| {
            let mut swapped = leaves(s);
            swapped.swap(0, 1);
            s.results = Some(swapped);
        })
        .1
    ));
    // Without results there is nothing to check, and nothing is handed out.
    let (_, _, mut light, mut served) = at_height_5();
    served.results = None;
    assert_eq!(light.follow(&served).unwrap().1, []);
}

/// A quorum may sign what does not follow; whoever recomputes does not believe it.
#[test]
fn a_full_follower_refuses_what_a_quorum_signed_but_did_not_compute() {
    let (full, light) = refusals(certified(|s| {
        s.committed.block.header.state_root = Digest::from_bytes(OTHER);
    }));
    assert!(matches!(
        full,
        Some(NotFollowed::Refused(BlockRefused::RootDiffers { name: "state root", .. }))
    ));
    assert_eq!(light, None, "a light follower trusts a quorum to compute");
}

#[test]
fn a_light_follower_stops_where_the_validators_change() {
    let (full, light) = refusals(certified(|s| {
        s.committed.block.header.next_validators = Digest::from_bytes(OTHER);
    }));
    assert!(full.is_some());
    assert_eq!(light, Some(NotFollowed::UnknownValidators(7)));
}

#[test]
fn followers_go_on_from_what_they_kept() {
    let (mut chain, full, light, served) = at_height_5();
    let mut full = Follower::resume(full.state().clone());
    let mut light = LightFollower::resume(&genesis(), light.height(), light.tip());
    full.follow(&served.committed).unwrap();
    light.follow(&served).unwrap();
    chain.block(minute(400), vec![]);
    full.follow(&chain.served(7).committed).unwrap();
    assert_eq!(full.state(), &chain.state);
    light.follow(&chain.served(7)).unwrap();
    assert_eq!(light.tip(), chain.state.tip());
}

#[test]
fn a_light_follower_takes_a_block_of_nothing_by_its_header_alone() {
    let (mut chain, _, mut light, served) = at_height_5();
    let said = &served.committed;
    let refused = light.follow_header(&said.block.header, &said.certificate).unwrap_err();
    assert_eq!(refused, NotFollowed::BodyMissing(said.block.hash()));
    light.follow(&served).unwrap();
    chain.block(minute(400), vec![]);
    let bare = chain.served(7).committed;
    let uncertified = certify(&bare.block.header, &[0, 1]);
    assert!(light.follow_header(&bare.block.header, &uncertified).is_err());
    light.follow_header(&bare.block.header, &bare.certificate).unwrap();
    assert_eq!((light.height(), light.tip()), (7, chain.state.tip()));
}

#[test]
fn a_body_with_another_salt_is_not_followed() {
    let (full, light) = refusals(|s| s.committed.block.salt = BlockSalt::from_bytes(OTHER));
    assert!(matches!(
        full,
        Some(NotFollowed::Refused(BlockRefused::RootDiffers { name: "salt commitment", .. }))
    ));
    assert!(matches!(light, Some(NotFollowed::Body(MalformedBlock::Salt { .. }))));
}
