//! Merkle trees by RFC 6962 (the hashes) and RFC 9162 section 2.1.3 (the proofs), over SHA-256.
//!
//! Leaf = SHA-256(0x00 || bytes), node = SHA-256(0x01 || left || right). Trees are not padded, so a
//! proof carries index *and* tree size. The tree of no leaves is SHA-256 of nothing.
//!
//! A root alone does not fix the size: the path of leaf 0 of 5 leads to the same root when it is
//! read as one of leaf 0 of 6. RFC 6962 signs both in its tree head; [`head`] does that here.

use market::hash::Digest;

/// The hash of a leaf.
pub fn leaf(bytes: &[u8]) -> Digest {
    Digest::of(&[&[0x00], bytes])
}

fn node(left: &Digest, right: &Digest) -> Digest {
    Digest::of(&[&[0x01], left.as_bytes(), right.as_bytes()])
}

/// Root and size of a tree in one hash, so that a proof cannot be read for another size.
pub fn head(size: u64, root: &Digest) -> Digest {
    Digest::of(&[&[0x02], &size.to_be_bytes(), root.as_bytes()])
}

/// The root over leaf hashes.
pub fn root(leaves: impl IntoIterator<Item = Digest>) -> Digest {
    // A stack of complete subtrees, largest first, as binary addition: O(log n) memory.
    let mut stack: Vec<(Digest, u32)> = Vec::new();
    for leaf in leaves {
        let (mut hash, mut level) = (leaf, 0_u32);
        while let Some((left, left_level)) = stack.pop() {
            if left_level != level {
                stack.push((left, left_level));
                break;
            }
            hash = node(&left, &hash);
            level = level.saturating_add(1);
        }
        stack.push((hash, level));
    }
    let mut hashes = stack.into_iter().rev().map(|(hash, _)| hash);
    let Some(last) = hashes.next() else { return Digest::of(&[]) };
    hashes.fold(last, |right, left| node(&left, &right))
}

/// Root and size of the tree over leaf hashes, in one hash.
pub fn head_over(leaves: impl IntoIterator<Item = Digest>) -> Digest {
    let mut size = 0_u64;
    let root = root(leaves.into_iter().inspect(|_| size = size.saturating_add(1)));
    head(size, &root)
}

/// A tree that is kept from one set of leaves to the next, so that only the nodes above changed
/// leaves are hashed again. It says nothing that its leaves do not say: all of them are alike.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptTree {
    /// From the leaves to the root; an odd last node stands on the next level as it is.
    levels: Vec<Vec<Digest>>,
}

impl KeptTree {
    /// The tree over other leaf hashes.
    pub(crate) fn with(&self, leaves: Vec<Digest>) -> Self {
        let mut kept = self.levels.iter().map(Vec::as_slice);
        let (mut levels, mut level) = (Vec::new(), leaves);
        let mut before = kept.next().unwrap_or_default();
        while level.len() > 1 {
            let above = kept.next().unwrap_or_default();
            let next = level.chunks(2).zip(pairs_with_parents(before, above)).map(
                |(pair, (pair_before, parent))| match (pair, parent) {
                    (_, Some(parent)) if pair == pair_before => *parent,
                    ([left, right], _) => node(left, right),
                    ([one, ..], _) => *one,
                    ([], _) => Digest::of(&[]),
                },
            );
            let next = next.collect();
            levels.push(std::mem::replace(&mut level, next));
            before = above;
        }
        levels.push(level);
        Self { levels }
    }

    /// Its root and size in one hash.
    pub(crate) fn head(&self) -> Digest {
        let root = self.levels.last().and_then(|top| top.first());
        let root = root.copied().unwrap_or_else(|| Digest::of(&[]));
        let size = self.levels.first().map_or(0, Vec::len);
        head(u64::try_from(size).unwrap_or(u64::MAX), &root)
    }
}

/// The pairs of a level with the nodes above them, then endless nothing.
fn pairs_with_parents<'a>(
    level: &'a [Digest],
    above: &'a [Digest],
) -> impl Iterator<Item = (&'a [Digest], Option<&'a Digest>)> {
    let pairs = level.chunks(2).chain(std::iter::repeat(&[][..]));
    pairs.zip(above.iter().map(Some).chain(std::iter::repeat(None)))
}

impl PartialEq for KeptTree {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for KeptTree {}

/// The hashes beside the way from leaf `index` to the root, from the bottom up; `None` if there is
/// no such leaf.
pub fn path(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    // The largest power of two below the number of leaves.
    let split =
        leaves.len().checked_sub(1)?.checked_ilog2().and_then(|n| 1_usize.checked_shl(n))?;
    let (left, right) = leaves.split_at_checked(split)?;
    let (mut inside, beside) = match index.checked_sub(split) {
        None => (path(left, index)?, root(right.iter().copied())),
        Some(index) => (path(right, index)?, root(left.iter().copied())),
    };
    inside.push(beside);
    Some(inside)
}

/// The hashes beside the ways from several leaves to the root, each once: those that cannot be
/// computed from the leaves, from left to right. `wanted` rises strictly. `None` if it does not, or
/// names nothing, or a leaf that is not there.
pub fn multi_path(leaves: &[Digest], wanted: &[usize]) -> Option<Vec<Digest>> {
    let rises = wanted.windows(2).all(|two| matches!(two, [one, next] if one < next));
    if !rises || *wanted.last()? >= leaves.len() {
        return None;
    }
    let mut beside = Vec::new();
    collect_beside(leaves, 0, wanted, &mut beside)?;
    Some(beside)
}

/// The part of [`multi_path`] under one node, whose first leaf has the number `first`.
fn collect_beside(
    leaves: &[Digest],
    first: usize,
    wanted: &[usize],
    beside: &mut Vec<Digest>,
) -> Option<()> {
    if wanted.is_empty() {
        beside.push(root(leaves.iter().copied()));
        return Some(());
    }
    if leaves.len() <= 1 {
        return Some(());
    }
    let split = usize::try_from(split(u64::try_from(leaves.len()).ok()?)?).ok()?;
    let (left, right) = leaves.split_at_checked(split)?;
    let middle = first.checked_add(split)?;
    let (wanted_left, wanted_right) =
        wanted.split_at_checked(wanted.partition_point(|index| *index < middle))?;
    collect_beside(left, first, wanted_left, beside)?;
    collect_beside(right, middle, wanted_right, beside)
}

/// The largest power of two below a size above 1: where RFC 6962 splits a tree.
fn split(size: u64) -> Option<u64> {
    1_u64.checked_shl(size.checked_sub(1)?.checked_ilog2()?)
}

/// The root that several leaves, by number, and the hashes of their [`multi_path`] lead to; `None`
/// unless the numbers rise strictly below the size, and the hashes are exactly as many as needed.
pub fn root_from_multi_path(
    leaves: &[(u64, Digest)],
    size: u64,
    beside: &[Digest],
) -> Option<Digest> {
    let rises = leaves.windows(2).all(|two| matches!(two, [one, next] if one.0 < next.0));
    if !rises || leaves.last()?.0 >= size {
        return None;
    }
    let mut beside = beside.iter().copied();
    let root = root_of_part(leaves, 0, size, &mut beside)?;
    beside.next().is_none().then_some(root)
}

/// The hash of one node, over `size` leaves from the number `first` on. As deep as the size has
/// bits at most.
fn root_of_part(
    leaves: &[(u64, Digest)],
    first: u64,
    size: u64,
    beside: &mut impl Iterator<Item = Digest>,
) -> Option<Digest> {
    match leaves {
        [] => return beside.next(),
        [(_, one)] if size == 1 => return Some(*one),
        _ => {}
    }
    let split = split(size)?;
    let middle = first.checked_add(split)?;
    let (left, right) =
        leaves.split_at_checked(leaves.partition_point(|(index, _)| *index < middle))?;
    let left = root_of_part(left, first, split, beside)?;
    let right = root_of_part(right, middle, size.checked_sub(split)?, beside)?;
    Some(node(&left, &right))
}

/// The root that a leaf and its path lead to (RFC 9162 section 2.1.3.2); `None` if the path does
/// not fit index and size.
pub fn root_from_path(leaf: Digest, index: u64, size: u64, path: &[Digest]) -> Option<Digest> {
    if index >= size {
        return None;
    }
    let (mut at, mut last) = (index, size.checked_sub(1)?);
    let mut hash = leaf;
    for beside in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(beside, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1_u32;
                last >>= 1_u32;
            }
        } else {
            hash = node(&hash, beside);
        }
        at >>= 1_u32;
        last >>= 1_u32;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    /// The definition of RFC 6962 section 2.1, word for word.
    fn root_by_definition(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(&[]),
            [one] => *one,
            many => {
                let mut split = 1;
                while split * 2 < many.len() {
                    split *= 2;
                }
                node(&root_by_definition(&many[..split]), &root_by_definition(&many[split..]))
            }
        }
    }

    #[test]
    fn roots_follow_the_definition() {
        for count in 0..70 {
            let leaves = leaves(count);
            assert_eq!(root(leaves.iter().copied()), root_by_definition(&leaves), "{count}");
        }
    }

    #[test]
    fn a_kept_tree_has_the_root_of_a_new_one_whatever_it_was_before() {
        let mut tree = KeptTree::default();
        let mut leaves = Vec::new();
        // xorshift: the same changes on every run.
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for step in 0..2_000_u64 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = usize::try_from(random >> 8).unwrap() % (leaves.len() + 1);
            let new = leaf(&step.to_be_bytes());
            match random % 8 {
                0..=2 => leaves.insert(at, new),
                3 | 4 if at < leaves.len() => drop(leaves.remove(at)),
                5 if at < leaves.len() => leaves[at] = new,
                6 if step % 97 == 0 => leaves.truncate(at),
                _ => {}
            }
            tree = tree.with(leaves.clone());
            assert_eq!(tree.head(), head_over(leaves.iter().copied()), "{step}");
        }
        assert!(leaves.len() > 20, "the tree has grown");
    }

    #[test]
    fn every_leaf_of_every_tree_up_to_39_proves_itself_and_nothing_else() {
        for count in 1..40_usize {
            let leaves = leaves(count);
            let expected = root_by_definition(&leaves);
            for (index, leaf) in leaves.iter().enumerate() {
                let path = path(&leaves, index).unwrap();
                let (at, size) = (index as u64, count as u64);
                assert_eq!(root_from_path(*leaf, at, size, &path), Some(expected));
                for other in (0..size).filter(|other| *other != at) {
                    assert_ne!(root_from_path(*leaf, other, size, &path), Some(expected));
                }
                let mut longer = path.clone();
                longer.push(*leaf);
                assert_ne!(root_from_path(*leaf, at, size, &longer), Some(expected));
                if let Some((_, shorter)) = path.split_last() {
                    assert_ne!(root_from_path(*leaf, at, size, shorter), Some(expected));
                }
            }
        }
    }
}
