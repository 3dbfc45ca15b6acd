//! Merkle proofs: every leaf proves itself, at its place, in a tree of its size, and nothing else.

use ledger::merkle::{head, leaf, path, root, root_from_path};
use market::hash::Digest;
use proptest::prelude::*;

fn leaves(count: usize) -> Vec<Digest> {
    (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
}

fn proven(leaf: Digest, index: usize, size: usize, path: &[Digest]) -> Option<Digest> {
    let (index, size) = (u64::try_from(index).unwrap(), u64::try_from(size).unwrap());
    Some(head(size, &root_from_path(leaf, index, size, path)?))
}

fn head_of(leaves: &[Digest]) -> Digest {
    head(u64::try_from(leaves.len()).unwrap(), &root(leaves.iter().copied()))
}

/// The path alone would fit another size (0 of 5 is also 0 of 6); the head does not.
#[test]
fn a_proof_holds_for_its_index_and_its_size_alone() {
    for count in 1..20 {
        let leaves = leaves(count);
        for (at, leaf) in leaves.iter().enumerate() {
            let path = path(&leaves, at).unwrap();
            for size in 0..32 {
                for index in 0..size {
                    let holds = proven(*leaf, index, size, &path) == Some(head_of(&leaves));
                    assert_eq!(holds, (index, size) == (at, count), "{at} of {count}");
                }
            }
        }
        assert_eq!(path(&leaves, count), None);
    }
}

proptest! {
    #[test]
    fn a_proof_breaks_with_any_bit_of_leaf_or_path(
        (count, at) in (1..300_usize).prop_flat_map(|count| (Just(count), 0..count)),
        flip in any::<prop::sample::Index>(),
    ) {
        let leaves = leaves(count);
        let path = path(&leaves, at).unwrap();
        prop_assert_eq!(proven(leaves[at], at, count, &path), Some(head_of(&leaves)));
        let mut hashes: Vec<[u8; 32]> =
            std::iter::once(&leaves[at]).chain(&path).map(|hash| *hash.as_bytes()).collect();
        let bit = flip.index(hashes.len() * 256);
        hashes[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
        let flipped: Vec<_> = hashes.into_iter().map(Digest::from_bytes).collect();
        prop_assert_ne!(proven(flipped[0], at, count, &flipped[1..]), Some(head_of(&leaves)));
    }
}

#[test]
fn a_leaf_is_no_node_and_a_node_is_no_leaf() {
    let two = leaves(2);
    let inner = [two[0].as_bytes().as_slice(), two[1].as_bytes()].concat();
    assert_ne!(leaf(&inner), root(two));
    assert_eq!(root([]), Digest::of(&[]));
}
