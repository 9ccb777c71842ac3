use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use crate::backend::{Data, Key};
use crate::codec::Writer;
use crate::error::Result;
use crate::format::operator::PairWriter;
use crate::format::record::StateMeta;
use crate::serializer::Serializer;
use crate::state::{BroadcastState, OperatorListState};

type SharedSerializer<V> = Arc<dyn Serializer<Value = V>>;

/// The entries of a broadcast state.
pub(super) type Entries<K, V> = HashMap<K, V>;

/// A registered state with its types forgotten.
pub(super) trait State: Any + Send {
    fn meta(&self) -> &StateMeta;
    fn freeze(&self) -> Box<dyn Frozen>;
}

/// A state as a snapshot holds it.
pub(super) trait Frozen: Send {
    fn meta(&self) -> &StateMeta;
    fn write(&self, out: &mut PairWriter<Vec<u8>>) -> Result<()>;
}

/// A list with its types.
#[derive(Clone)]
pub(super) struct ListState<T> {
    meta: StateMeta,
    element: SharedSerializer<T>,
    elements: Arc<Vec<T>>,
}

impl<T> ListState<T> {
    pub(super) fn new(meta: StateMeta, element: SharedSerializer<T>, elements: Vec<T>) -> Self {
        ListState { meta, element, elements: Arc::new(elements) }
    }
}

impl<T: Data> State for ListState<T> {
    fn meta(&self) -> &StateMeta {
        &self.meta
    }

    fn freeze(&self) -> Box<dyn Frozen> {
        Box::new(self.clone())
    }
}

impl<T: Data> Frozen for ListState<T> {
    fn meta(&self) -> &StateMeta {
        &self.meta
    }

    fn write(&self, out: &mut PairWriter<Vec<u8>>) -> Result<()> {
        out.begin_state(&self.meta.name, self.meta.kind)?;
        self.elements.iter().try_for_each(|element| out.pair_with(&[], |value| self.element.write(element, value)))
    }
}

/// The list of a subtask.
pub struct OperatorList<'a, T>(pub(super) &'a mut ListState<T>);

impl<T: Clone> OperatorListState<T> for OperatorList<'_, T> {
    fn get(&self) -> Result<&[T]> {
        Ok(&self.0.elements)
    }

    fn add(&mut self, element: T) -> Result<()> {
        Arc::make_mut(&mut self.0.elements).push(element);
        Ok(())
    }

    fn set(&mut self, elements: Vec<T>) -> Result<()> {
        self.0.elements = Arc::new(elements);
        Ok(())
    }

    fn clear(&mut self) -> Result<()> {
        self.set(Vec::new())
    }
}

/// A broadcast state with its types.
#[derive(Clone)]
pub(super) struct MapState<K, V> {
    meta: StateMeta,
    key: SharedSerializer<K>,
    value: SharedSerializer<V>,
    entries: Arc<Entries<K, V>>,
}

impl<K, V> MapState<K, V> {
    pub(super) fn new(
        meta: StateMeta,
        key: SharedSerializer<K>,
        value: SharedSerializer<V>,
        entries: Entries<K, V>,
    ) -> Self {
        MapState { meta, key, value, entries: Arc::new(entries) }
    }
}

impl<K, V> State for MapState<K, V>
where
    K: Key,
    V: Data,
{
    fn meta(&self) -> &StateMeta {
        &self.meta
    }

    fn freeze(&self) -> Box<dyn Frozen> {
        Box::new(self.clone())
    }
}

impl<K, V> Frozen for MapState<K, V>
where
    K: Key,
    V: Data,
{
    fn meta(&self) -> &StateMeta {
        &self.meta
    }

    fn write(&self, out: &mut PairWriter<Vec<u8>>) -> Result<()> {
        let mut sorted = Vec::with_capacity(self.entries.len());
        for (key, value) in self.entries.iter() {
            let mut bytes = Writer::new();
            self.key.write(key, &mut bytes)?;
            sorted.push((bytes.into_bytes(), value));
        }
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        out.begin_state(&self.meta.name, self.meta.kind)?;
        sorted.iter().try_for_each(|(key, value)| out.pair_with(key, |out| self.value.write(value, out)))
    }
}

/// The broadcast state of a subtask.
pub struct Broadcast<'a, K, V>(pub(super) &'a mut MapState<K, V>);

impl<K: Key, V: Clone> BroadcastState<K, V> for Broadcast<'_, K, V> {
    fn get(&self, key: &K) -> Result<Option<&V>> {
        Ok(self.0.entries.get(key))
    }

    fn put(&mut self, key: K, value: V) -> Result<()> {
        Arc::make_mut(&mut self.0.entries).insert(key, value);
        Ok(())
    }

    fn remove(&mut self, key: &K) -> Result<()> {
        Arc::make_mut(&mut self.0.entries).remove(key);
        Ok(())
    }

    fn entries(&self) -> Result<Vec<(&K, &V)>> {
        Ok(self.0.entries.iter().collect())
    }

    fn clear(&mut self) -> Result<()> {
        self.0.entries = Arc::default();
        Ok(())
    }
}
