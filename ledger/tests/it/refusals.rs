//! Tampered blocks: whatever is changed, every node refuses the block and says why.

use std::sync::LazyLock;

use ledger::apply::{BlockRefused, apply};
use ledger::block::{BLOCK_BYTES_MAX, Block, BlockHash, MalformedBlock, transactions_root};
use ledger::draft::{Draft, DraftError};
use ledger::state::State;
use market::admission::Rejection;
use market::hash::Digest;
use market::keys::ChainId;
use market::order::Side;
use proptest::prelude::*;

use crate::neighbourhood::{Chain, genesis, minute, order, quarter, reading};

/// A state and a good block after it, with an order, a reading, postings and a clearing.
fn good() -> (State, Block) {
    let mut chain = Chain::of_one_traded_quarter();
    let before = chain.state.clone();
    let said = vec![
        order(0, quarter(40), Side::Buy, &[(300_000, 1_000)], 1),
        reading(0, quarter(20), (960, 0), 2),
    ];
    let block = chain.block(minute(400), said).block.clone();
    (before, block)
}

static GOOD: LazyLock<(State, Block)> = LazyLock::new(good);

/// Why the good block is refused after a change.
fn refusal(change: impl FnOnce(&mut Block)) -> BlockRefused {
    let (state, mut block) = good();
    assert!(apply(&state, &block).is_ok());
    change(&mut block);
    apply(&state, &block).unwrap_err()
}

const OTHER: [u8; 32] = [7; 32];

#[test]
fn a_block_of_an_unknown_version_is_refused() {
    assert_eq!(refusal(|block| block.header.version = 1), BlockRefused::UnknownVersion(1));
}

#[test]
fn a_block_of_another_community_is_refused() {
    let other = ChainId::from_bytes(OTHER);
    assert_eq!(refusal(|block| block.header.chain = other), BlockRefused::OtherCommunity(other));
}

#[test]
fn a_block_of_another_height_is_refused() {
    for found in [0, 6, 8, u64::MAX] {
        let refused = refusal(|block| block.header.height = found);
        assert_eq!(refused, BlockRefused::WrongHeight { found, expected: 7 });
    }
}

#[test]
fn a_block_on_another_block_is_refused() {
    let found = BlockHash::from_bytes(OTHER);
    let refused = refusal(|block| block.header.previous = found);
    let expected = good().0.tip();
    assert_eq!(refused, BlockRefused::WrongPrevious { found, expected });
}

#[test]
fn a_block_whose_time_does_not_rise_is_refused() {
    let previous = good().0.time();
    for time in [previous, previous.plus_millis(-1)] {
        let refused = refusal(|block| block.header.time = time);
        let not_rising = DraftError::TimeNotRising { time, previous };
        assert_eq!(refused, BlockRefused::Draft(not_rising.clone()));
        assert_eq!(
            Draft::open(&good().0, time, crate::neighbourhood::salt(1)).unwrap_err(),
            not_rising
        );
    }
}

#[test]
fn a_block_with_a_transaction_that_does_not_count_is_refused_naming_it() {
    let replayed = refusal(|block| {
        let first = block.transactions[0].clone();
        block.transactions.push(first);
        block.header.transactions_root = transactions_root(&block.transactions, &block.salt);
    });
    let rejection = Rejection::SequenceReplayed { given: 1, known: 1 }.into();
    assert_eq!(replayed, BlockRefused::Transaction { index: 2, rejection });
}

#[test]
fn a_block_that_leaves_out_adds_or_swaps_transactions_is_refused() {
    let root = |refused: BlockRefused| {
        matches!(refused, BlockRefused::RootDiffers { name: "transactions root", .. })
    };
    assert!(root(refusal(|block| drop(block.transactions.pop()))));
    assert!(root(refusal(|block| block.transactions.swap(0, 1))));
    assert!(root(refusal(|block| {
        block.transactions.push(reading(1, quarter(20), (1, 1), 2));
    })));
    // The same with a header that covers its body: the results and the state differ.
    let refused = refusal(|block| {
        block.transactions.pop();
        block.header.transactions_root = transactions_root(&block.transactions, &block.salt);
    });
    assert!(matches!(refused, BlockRefused::RootDiffers { name: "results root", .. }));
}

#[test]
fn a_block_with_a_wrong_root_is_refused_naming_the_root() {
    let other = Digest::from_bytes(OTHER);
    type Root = fn(&mut Block) -> &mut Digest;
    let changes: [(&str, Root); 4] = [
        ("transactions root", |block| &mut block.header.transactions_root),
        ("results root", |block| &mut block.header.results_root),
        ("state root", |block| &mut block.header.state_root),
        ("validator set", |block| &mut block.header.next_validators),
    ];
    for (expected, root) in changes {
        match refusal(|block| *root(block) = other) {
            BlockRefused::RootDiffers { name, found, computed } => {
                assert_eq!((name, found), (expected, other));
                assert_ne!(computed, other);
            }
            refused => panic!("{expected}: {refused}"),
        }
    }
}

#[test]
fn a_later_time_alone_gives_another_state() {
    let refused = refusal(|block| block.header.time = block.header.time.plus_millis(1));
    assert!(matches!(refused, BlockRefused::RootDiffers { name: "state root", .. }));
}

#[test]
fn a_block_for_another_state_is_refused() {
    let (_, block) = good();
    let refused = apply(&State::at_genesis(&genesis()), &block).unwrap_err();
    assert_eq!(refused, BlockRefused::WrongHeight { found: 7, expected: 1 });
}

#[test]
fn bytes_that_are_no_block_are_refused_naming_their_number() {
    let (_, block) = good();
    let bytes = block.to_bytes();
    for cut in 0..bytes.len() {
        assert_eq!(Block::from_bytes(&bytes[..cut]), Err(MalformedBlock::Undecodable(cut)));
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(Block::from_bytes(&longer), Err(MalformedBlock::Undecodable(longer.len())));
    let huge = vec![0; BLOCK_BYTES_MAX + 1];
    assert_eq!(Block::from_bytes(&huge), Err(MalformedBlock::TooLarge(BLOCK_BYTES_MAX + 1)));
    let mut uncovered = block;
    uncovered.transactions.pop();
    let refused = Block::from_bytes(&uncovered.to_bytes());
    assert!(matches!(refused, Err(MalformedBlock::TransactionsRoot { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bit_of_a_block_can_flip_unnoticed(at in any::<prop::sample::Index>()) {
        let (state, block) = &*GOOD;
        let mut bytes = block.to_bytes();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(flipped) = Block::from_bytes(&bytes) {
            prop_assert!(apply(state, &flipped).is_err(), "bit {}", bit);
        }
        // Nor one in a body whose header was made to cover it again.
        if let Ok(mut flipped) = borsh::from_slice::<Block>(&bytes) {
            let root = transactions_root(&flipped.transactions, &flipped.salt);
            flipped.header.transactions_root = root;
            let applied = apply(state, &flipped);
            prop_assert!(applied.is_err() || flipped == *block, "bit {}", bit);
        }
    }
}
