//! Chain files: a whole chain, recomputed from the genesis, or the height at which it breaks.

use ledger::chain_file::{ChainFile, ChainFileError, write};
use ledger::genesis::Genesis;

use crate::neighbourhood::{Chain, genesis};
use crate::street::street;

fn file(chain: &Chain) -> Vec<u8> {
    let mut bytes = Vec::new();
    let blocks = (1..=chain.blocks.len()).map(|height| chain.served(height));
    write(&mut bytes, chain.state.chain(), blocks).expect("into memory");
    bytes
}

/// Where a file may end: after its beginning, and after each block.
fn ends(chain: &Chain) -> Vec<usize> {
    let mut ends = vec![49];
    for height in 1..=chain.blocks.len() {
        let length = borsh::to_vec(&chain.served(height)).expect("in memory").len();
        ends.push(ends[height - 1] + 4 + length);
    }
    ends
}

/// How many blocks follow, and what ends it.
fn check(bytes: &[u8], genesis: &Genesis) -> Result<usize, ChainFileError> {
    let mut count = 0;
    for header in ChainFile::open(bytes, genesis)? {
        header?;
        count += 1;
    }
    Ok(count)
}

#[test]
fn a_chain_file_is_recomputed_to_its_end() {
    let (genesis, chain) = street();
    let bytes = file(&chain);
    let mut reader = ChainFile::open(&bytes[..], &genesis).unwrap();
    let heights: Vec<_> = reader.by_ref().map(|header| header.unwrap().height).collect();
    assert_eq!(heights, (1..=13).collect::<Vec<u64>>());
    assert_eq!(reader.follower().state(), &chain.state);
    assert!(reader.next().is_none());
}

#[test]
fn no_byte_of_a_chain_file_can_change_unnoticed_and_the_height_is_named() {
    let chain = Chain::of_one_traded_quarter();
    let bytes = file(&chain);
    let mut named = std::collections::BTreeSet::new();
    for at in (0..bytes.len()).step_by(13) {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        match check(&changed, &genesis()) {
            Ok(_) => panic!("byte {at} changed unnoticed"),
            Err(
                ChainFileError::Unreadable { height } | ChainFileError::NotFollowed { height, .. },
            ) => {
                named.insert(height);
            }
            Err(_) => assert!(at < 49, "only the first bytes say whose file it is"),
        }
    }
    assert_eq!(named, (1..=6).collect());
}

#[test]
fn a_chain_file_that_is_cut_off_within_a_block_is_noticed() {
    let chain = Chain::of_one_traded_quarter();
    let bytes = file(&chain);
    let mut whole = 0;
    let ends = ends(&chain);
    for length in (49..bytes.len()).filter(|at| at % 17 == 0 || ends.contains(at)) {
        match check(&bytes[..length], &genesis()) {
            Ok(count) => {
                assert_eq!(ends.get(count), Some(&length));
                whole += 1;
            }
            Err(error) => assert!(matches!(error, ChainFileError::Unreadable { .. }), "{error}"),
        }
    }
    assert_eq!(whole, 6, "a file may end between blocks alone");
    for length in 0..49 {
        let error = check(&bytes[..length], &genesis()).unwrap_err();
        assert!(matches!(error, ChainFileError::NoChainFile), "{length}");
    }
    let other = Genesis { name: "Shady Street".to_owned(), ..genesis() };
    assert!(matches!(check(&bytes, &other), Err(ChainFileError::OtherCommunity { .. })));
}
