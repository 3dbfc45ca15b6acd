//! Merkle proofs: every leaf proves itself, at its place, in a tree of its size, and nothing else.

use ledger::merkle::{
    head, head_over, leaf, multi_path, path, root, root_from_multi_path, root_from_path,
};
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

/// Every set of leaves of every small tree leads to the root with its multi-proof, which holds no
/// hash that the leaves give anyway; and never for another size, place, leaf or hash.
#[test]
fn every_set_of_leaves_of_every_small_tree_proves_itself_and_nothing_else() {
    for count in 1..9_usize {
        let leaves = leaves(count);
        for set in 1..1_u32 << count {
            let wanted: Vec<usize> = (0..count).filter(|n| set & (1 << n) != 0).collect();
            let beside = multi_path(&leaves, &wanted).unwrap();
            let single: usize = wanted.iter().map(|at| path(&leaves, *at).unwrap().len()).sum();
            assert!(beside.len() <= single, "never longer than single paths");
            let at = |n: &usize| (u64::try_from(*n).unwrap(), leaves[*n]);
            let chosen: Vec<_> = wanted.iter().map(at).collect();
            let head_of_size = |chosen: &[(u64, Digest)], size: u64, beside: &[Digest]| {
                Some(head(size, &root_from_multi_path(chosen, size, beside)?))
            };
            let expected = Some(head_over(leaves.iter().copied()));
            for size in 0..20 {
                let holds = head_of_size(&chosen, size, &beside) == expected;
                assert_eq!(holds, size == u64::try_from(count).unwrap(), "{wanted:?} of {size}");
            }
            let size = u64::try_from(count).unwrap();
            for (n, _) in beside.iter().enumerate() {
                let mut changed = beside.clone();
                changed[n] = leaf(b"other");
                assert_ne!(head_of_size(&chosen, size, &changed), expected);
                changed.remove(n);
                assert_eq!(head_of_size(&chosen, size, &changed), None);
            }
            let longer = [beside.clone(), vec![leaves[0]]].concat();
            assert_eq!(head_of_size(&chosen, size, &longer), None);
            for n in 0..chosen.len() {
                let mut changed = chosen.clone();
                changed[n].1 = leaf(b"other");
                assert_ne!(head_of_size(&changed, size, &beside), expected);
                let mut doubled = chosen.clone();
                doubled.insert(n, chosen[n]);
                assert_eq!(head_of_size(&doubled, size, &beside), None);
                for other in 0..size {
                    let mut moved = chosen.clone();
                    moved[n].0 = other;
                    let holds = head_of_size(&moved, size, &beside) == expected;
                    assert_eq!(holds, other == chosen[n].0);
                }
            }
        }
        assert_eq!(multi_path(&leaves, &[]), None);
        assert_eq!(multi_path(&leaves, &[count]), None);
        assert_eq!(multi_path(&leaves, &[0, 0]), None);
    }
    assert_eq!(root_from_multi_path(&[], 0, &[]), None);
    assert_eq!(root_from_multi_path(&[(0, leaf(b"x"))], u64::MAX, &[]), None);
}

proptest! {
    #[test]
    fn multi_proofs_of_large_trees_lead_to_the_root(
        (count, wanted) in (1..700_usize).prop_flat_map(|count| {
            (Just(count), prop::collection::btree_set(0..count, 1..20))
        }),
    ) {
        let leaves = leaves(count);
        let wanted: Vec<_> = wanted.into_iter().collect();
        let beside = multi_path(&leaves, &wanted).unwrap();
        let chosen: Vec<_> = wanted.iter().map(|at| (*at as u64, leaves[*at])).collect();
        let root_found = root_from_multi_path(&chosen, count as u64, &beside);
        prop_assert_eq!(root_found, Some(root(leaves.iter().copied())));
        // One leaf: the same hashes as its path, in another order.
        let one = multi_path(&leaves, &wanted[..1]).unwrap();
        let mut sorted = (one, path(&leaves, wanted[0]).unwrap());
        sorted.0.sort();
        sorted.1.sort();
        prop_assert_eq!(sorted.0, sorted.1);
    }
}

#[test]
fn a_leaf_is_no_node_and_a_node_is_no_leaf() {
    let two = leaves(2);
    let inner = [two[0].as_bytes().as_slice(), two[1].as_bytes()].concat();
    assert_ne!(leaf(&inner), root(two));
    assert_eq!(root([]), Digest::of(&[]));
}
