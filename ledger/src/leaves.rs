//! The state's entries, each with the hash of its leaf.
//!
//! A block changes few entries of many. So entries are shared between a state and the one after it
//! until one of the two changes them, and a leaf's hash is computed once and kept until its entry
//! changes. None of that can be seen from outside: equality and canonical bytes are those of the
//! plain `BTreeMap`.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::merkle;

/// The leaf of one entry: a kind, a key and a value.
pub(crate) fn leaf<K: BorshSerialize, V: BorshSerialize>(kind: u8, key: &K, value: &V) -> Digest {
    merkle::leaf(&leaf_bytes(kind, key, value))
}

/// The bytes of that leaf.
pub(crate) fn leaf_bytes<K: BorshSerialize, V: BorshSerialize>(
    kind: u8,
    key: &K,
    value: &V,
) -> Vec<u8> {
    borsh::to_vec(&(kind, key, value)).unwrap_or_default()
}

/// An ordered map whose entries are leaves of one kind.
pub(crate) struct Leaves<const KIND: u8, K, V> {
    entries: Arc<BTreeMap<K, Arc<Entry<V>>>>,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    /// The hash of the leaf, once somebody has asked for it.
    hash: OnceLock<Digest>,
}

impl<V> Entry<V> {
    fn new(value: V) -> Arc<Self> {
        Arc::new(Self { value, hash: OnceLock::new() })
    }
}

impl<const KIND: u8, K: Ord + Clone, V: Clone> Leaves<KIND, K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        Arc::make_mut(&mut self.entries).insert(key, Entry::new(value));
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if self.entries.contains_key(key) {
            Arc::make_mut(&mut self.entries).remove(key);
        }
    }

    /// The value to be changed: from here on its leaf counts as changed. So ask only if it is.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if !self.entries.contains_key(key) {
            return None;
        }
        Arc::make_mut(&mut self.entries).get_mut(key).map(changing)
    }

    /// The value to be changed, made if it is missing. Ask only if it is changed.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let entries = Arc::make_mut(&mut self.entries);
        changing(entries.entry(key).or_insert_with(|| Entry::new(make())))
    }

    /// Drops the entries whose keys are not kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        if !self.entries.keys().all(&keep) {
            Arc::make_mut(&mut self.entries).retain(|key, _| keep(key));
        }
    }

    /// The leaves' hashes, by key.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = Digest>
    where
        K: BorshSerialize,
        V: BorshSerialize,
    {
        self.entries
            .iter()
            .map(|(key, entry)| *entry.hash.get_or_init(|| leaf(KIND, key, &entry.value)))
    }
}

/// A value of its own, with a hash that is not known yet.
fn changing<V: Clone>(entry: &mut Arc<Entry<V>>) -> &mut V {
    let entry = Arc::make_mut(entry);
    entry.hash = OnceLock::new();
    &mut entry.value
}

impl<const KIND: u8, K, V> Default for Leaves<KIND, K, V> {
    fn default() -> Self {
        Self { entries: Arc::default() }
    }
}

impl<const KIND: u8, K, V> Clone for Leaves<KIND, K, V> {
    fn clone(&self) -> Self {
        Self { entries: Arc::clone(&self.entries) }
    }
}

impl<const KIND: u8, K: PartialEq, V: PartialEq> PartialEq for Leaves<KIND, K, V> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entries, &other.entries)
            || (self.entries.len() == other.entries.len()
                && self.entries.iter().zip(other.entries.iter()).all(|(one, another)| {
                    one.0 == another.0
                        && (Arc::ptr_eq(one.1, another.1) || one.1.value == another.1.value)
                }))
    }
}

impl<const KIND: u8, K: Eq, V: Eq> Eq for Leaves<KIND, K, V> {}

impl<const KIND: u8, K: fmt::Debug, V: fmt::Debug> fmt::Debug for Leaves<KIND, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries.iter().map(|(key, entry)| (key, &entry.value))).finish()
    }
}

/// The bytes of the plain map.
impl<const KIND: u8, K: BorshSerialize, V: BorshSerialize> BorshSerialize for Leaves<KIND, K, V> {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        let count = u32::try_from(self.entries.len())
            .map_err(|_| borsh::io::Error::from(borsh::io::ErrorKind::InvalidData))?;
        count.serialize(writer)?;
        for (key, entry) in self.entries.iter() {
            key.serialize(writer)?;
            entry.value.serialize(writer)?;
        }
        Ok(())
    }
}

impl<const KIND: u8, K: BorshDeserialize + Ord, V: BorshDeserialize> BorshDeserialize
    for Leaves<KIND, K, V>
{
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let plain = BTreeMap::<K, V>::deserialize_reader(reader)?;
        let entries = plain.into_iter().map(|(key, value)| (key, Entry::new(value))).collect();
        Ok(Self { entries: Arc::new(entries) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Sample = Leaves<9, u8, Vec<u8>>;

    fn sample() -> Sample {
        let mut leaves = Sample::default();
        for key in 0..5 {
            leaves.insert(key, vec![key]);
        }
        leaves
    }

    fn from_scratch(leaves: &Sample) -> Vec<Digest> {
        leaves.iter().map(|(key, value)| leaf(9, key, value)).collect()
    }

    #[test]
    fn every_change_is_seen_in_the_hashes_and_leaves_the_copy_as_it_was() {
        type Change = fn(&mut Sample);
        let changes: [Change; 7] = [
            |leaves| leaves.insert(2, vec![7]),
            |leaves| leaves.insert(9, vec![]),
            |leaves| leaves.remove(&0),
            |leaves| leaves.get_mut(&3).unwrap().push(1),
            |leaves| leaves.get_or_insert_with(4, Vec::new).push(1),
            |leaves| leaves.get_or_insert_with(8, Vec::new).push(1),
            |leaves| leaves.retain(|key| *key > 1),
        ];
        let before = sample();
        let hashes: Vec<_> = before.hashes().collect();
        assert_eq!(hashes, from_scratch(&before));
        for change in changes {
            let mut after = before.clone();
            assert_eq!(after, before);
            change(&mut after);
            assert_ne!(after, before);
            assert_eq!(after.hashes().collect::<Vec<_>>(), from_scratch(&after));
            assert_eq!(before.hashes().collect::<Vec<_>>(), hashes);
        }
    }

    #[test]
    fn what_is_not_changed_is_shared() {
        let before = sample();
        let mut after = before.clone();
        assert!(after.get_mut(&77).is_none());
        after.remove(&77);
        after.retain(|_| true);
        assert!(Arc::ptr_eq(&before.entries, &after.entries));
        after.get_mut(&3).unwrap().push(1);
        for key in 0..5 {
            let shared = Arc::ptr_eq(&before.entries[&key], &after.entries[&key]);
            assert_eq!(shared, key != 3, "{key}");
        }
    }

    #[test]
    fn its_bytes_are_those_of_the_plain_map() {
        let plain: BTreeMap<u8, Vec<u8>> = (0..5).map(|key| (key, vec![key])).collect();
        let bytes = borsh::to_vec(&plain).unwrap();
        assert_eq!(borsh::to_vec(&sample()).unwrap(), bytes);
        assert_eq!(borsh::from_slice::<Sample>(&bytes).unwrap(), sample());
    }
}
