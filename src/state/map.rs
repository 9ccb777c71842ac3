//! A map per key and namespace.

use std::borrow::Cow;

use super::ttl::Ttl;
use crate::error::Result;
use crate::serializer::{Serializer, Unit};

/// Names and types a map state.
#[derive(Debug, Clone)]
pub struct MapDescriptor<K, V, N = Unit> {
    pub(crate) name: &'static str,
    pub(crate) user_key: K,
    pub(crate) value: V,
    pub(crate) namespace: N,
    pub(crate) ttl: Option<Ttl>,
}

impl<K: Serializer, V: Serializer> MapDescriptor<K, V> {
    /// A map state without namespaces and without time to live.
    pub const fn new(name: &'static str, user_key: K, value: V) -> Self {
        MapDescriptor { name, user_key, value, namespace: Unit, ttl: None }
    }
}

impl<K: Serializer, V: Serializer, N: Serializer> MapDescriptor<K, V, N> {
    /// A map state with one map per namespace.
    pub const fn in_namespaces(name: &'static str, user_key: K, value: V, namespace: N) -> Self {
        MapDescriptor { name, user_key, value, namespace, ttl: None }
    }

    /// The same state, with entries that expire one by one.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Ttl) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// Iterator over the entries of a map, in no particular order. After an error it is at its end.
pub type Entries<'a, K, V> = Box<dyn Iterator<Item = Result<(Cow<'a, K>, Cow<'a, V>)>> + 'a>;

/// The map of one key and namespace. An empty map and no map are the same.
pub trait MapState<K: Clone, V: Clone> {
    /// The value of a user key.
    fn get(&mut self, user_key: &K) -> Result<Option<Cow<'_, V>>>;

    /// Sets the value of a user key.
    fn put(&mut self, user_key: K, value: V) -> Result<()>;

    /// Changes the value of a user key in place; `None` removes it.
    fn update(&mut self, user_key: K, change: impl FnOnce(&mut Option<V>)) -> Result<()>;

    /// Removes a user key.
    fn remove(&mut self, user_key: &K) -> Result<()>;

    /// Whether the user key has a value. As [`get`](Self::get), but never counts as touching it.
    fn contains(&mut self, user_key: &K) -> Result<bool>;

    /// Whether no user key has a value.
    fn is_empty(&mut self) -> Result<bool>;

    /// All entries.
    fn entries(&mut self) -> Result<Entries<'_, K, V>>;

    /// Removes the map.
    fn clear(&mut self) -> Result<()>;
}
