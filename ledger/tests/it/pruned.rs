//! Salts and erasure: what is forgotten cannot be guessed, and every root still verifies.

use std::collections::BTreeSet;

use ledger::block::{Block, MalformedBlock, transactions_root};
use ledger::pruned::{KeptLeaf, PrunedBlock, PrunedError, Traces};
use ledger::results::{ResultLeaf, results_root};
use ledger::salt::Tree;

use crate::neighbourhood::{Chain, minute, party, salt};

fn pruned(chain: &Chain, height: usize) -> PrunedBlock {
    PrunedBlock::of(&chain.served(height).committed.block, &chain.leaves(height))
}

#[test]
fn an_erased_party_is_nowhere_and_every_header_still_verifies() {
    let chain = Chain::of_one_traded_quarter();
    for n in 0..4 {
        let mut erased = 0;
        for height in 1..=6 {
            let mut kept = pruned(&chain, height);
            let before = kept.clone();
            assert_eq!(before.verify(), Ok(()));
            let count = kept.erase(&Traces::of(party(n)));
            erased += count;
            assert_eq!(kept.verify(), Ok(()));
            assert_eq!(PrunedBlock::from_bytes(&kept.to_bytes()), Ok(kept.clone()));
            assert_eq!(kept.erase(&Traces::of(party(n))), 0, "nothing is left to erase");
            assert_eq!((kept == before), count == 0);
            let bytes = kept.to_bytes();
            let named = bytes.windows(16).any(|bytes| bytes == party(n).as_bytes());
            assert!(!named, "party {n} at height {height}");
            let salt = chain.served(height).committed.block.salt;
            assert!(!bytes.windows(32).any(|bytes| bytes == salt.as_bytes()));
            // What is left of others is as it was.
            for (now, before) in kept.results.iter().zip(&before.results) {
                let of_party = before.leaf().is_some_and(|leaf| leaf.concerns(&party(n)));
                assert_eq!(now.leaf().is_none(), of_party);
                assert_eq!(now.hash(), before.hash());
            }
        }
        assert!(erased > 2, "party {n} has left {erased} traces");
    }
}

#[test]
fn a_block_of_hashes_alone_verifies_and_a_changed_one_does_not() {
    let chain = Chain::of_one_traded_quarter();
    let mut kept = pruned(&chain, 6);
    kept.erase_all();
    assert!(kept.results.iter().all(|leaf| matches!(leaf, KeptLeaf::Erased(_))));
    assert_eq!(kept.verify(), Ok(()));
    let mut short = kept.clone();
    short.results.pop();
    assert!(matches!(short.verify(), Err(PrunedError::RootDiffers { name: "results root", .. })));
    let mut forged = pruned(&chain, 6);
    forged.transactions.swap(0, 1);
    assert!(matches!(
        PrunedBlock::from_bytes(&forged.to_bytes()),
        Err(PrunedError::RootDiffers { name: "transactions root", .. })
    ));
}

/// Blocks in which the same is said: not one leaf hash appears twice.
#[test]
fn equal_leaves_have_other_hashes_in_every_place_of_every_block() {
    let leaves = Chain::of_one_traded_quarter().leaves(6);
    let same: Vec<ResultLeaf> = std::iter::repeat_n(leaves[0].clone(), 50).collect();
    let mut seen = BTreeSet::new();
    for height in 0..20 {
        for tree in [Tree::Transactions, Tree::Results] {
            for (leaf, salt) in same.iter().zip(salt(height).leaf_salts(tree)) {
                assert!(seen.insert(leaf.hash(&salt)));
            }
        }
        let (one, other) = (results_root(&same, &salt(height)), results_root(&same, &salt(99)));
        assert_ne!(one, other);
    }
}

#[test]
fn two_bodies_with_different_salts_never_both_fit_one_header() {
    let mut chain = Chain::of_one_traded_quarter();
    chain.block(minute(400), vec![]);
    for height in 1..=7 {
        let block = chain.served(height).committed.block;
        for other in 100..120 {
            let twin = Block { salt: salt(other), ..block.clone() };
            assert!(matches!(twin.check_body(), Err(MalformedBlock::Salt { .. })), "{height}");
            assert!(Block::from_bytes(&twin.to_bytes()).is_err());
            let differs = transactions_root(&block.transactions, &salt(other))
                != block.header.transactions_root;
            assert_eq!(differs, !block.transactions.is_empty());
        }
    }
}
