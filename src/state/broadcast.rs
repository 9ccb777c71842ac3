//! Broadcast state: a map that every subtask keeps identical because all of them see the same broadcast input.

use crate::error::Result;
use crate::serializer::Serializer;

/// Names and types a broadcast state.
#[derive(Debug, Clone)]
pub struct BroadcastDescriptor<K, V> {
    pub(crate) name: &'static str,
    pub(crate) key: K,
    pub(crate) value: V,
}

impl<K: Serializer, V: Serializer> BroadcastDescriptor<K, V> {
    /// A broadcast state of this name.
    pub const fn new(name: &'static str, key: K, value: V) -> Self {
        BroadcastDescriptor { name, key, value }
    }
}

/// The map of this subtask.
pub trait BroadcastState<K, V> {
    /// The value of a key.
    fn get(&self, key: &K) -> Result<Option<&V>>;

    /// Sets the value of a key.
    fn put(&mut self, key: K, value: V) -> Result<()>;

    /// Removes a key.
    fn remove(&mut self, key: &K) -> Result<()>;

    /// All entries, in no particular order.
    fn entries(&self) -> Result<Vec<(&K, &V)>>;

    /// Removes everything.
    fn clear(&mut self) -> Result<()>;
}
