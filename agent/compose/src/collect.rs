//! Maps from iterators.

use std::collections::BTreeMap;

/// Collects pairs into a map, one by one.
pub trait IntoMap<K, V>: Iterator<Item = (K, V)> + Sized {
    /// As `collect`, and the last of equal keys stays.
    ///
    /// The standard library sorts the pairs first, which pays for large maps; but every place in the code brings a
    /// sorting routine of its own, 5 KB each, and the maps of a project are small.
    fn into_map(self) -> BTreeMap<K, V>
    where
        K: Ord,
    {
        let mut map = BTreeMap::new();
        for (key, value) in self {
            map.insert(key, value);
        }
        map
    }
}

impl<K, V, I: Iterator<Item = (K, V)>> IntoMap<K, V> for I {}
