use super::header::{KeyedKind, StateInfo, StateType};
use super::key_group::Placement;
use super::serializer::{Snapshot, TypeSerializer};
use super::value::{Form, Value};
use crate::codec::Reader;
use crate::error::{Error, Result};

/// One entry of keyed state. `V` is what values were decoded to.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyedEntry<V = Value> {
    /// Key.
    pub key: V,
    /// Namespace, [`Value::Null`] where there are none.
    pub namespace: V,
    /// What is stored for the two.
    pub content: Content<V>,
}

/// What an entry of keyed state stores for its key and namespace.
#[derive(Debug, Clone, PartialEq)]
pub enum Content<V = Value> {
    /// A value or a whole list.
    Value(V),
    /// A whole map, as native heap files have it.
    Map(Vec<(V, V)>),
    /// One entry of a map.
    MapEntry {
        /// The user's key.
        user_key: V,
        /// The user's value.
        value: V,
    },
    /// A timer.
    Timer {
        /// When it fires, in milliseconds.
        timestamp: i64,
    },
}

impl KeyedEntry {
    /// The entry itself or, for a whole map, one entry for each of its keys: the same entries whichever kind of file
    /// they come from.
    pub fn flatten(self) -> Vec<KeyedEntry> {
        let KeyedEntry { key, namespace, content } = self;
        match content {
            Content::Map(entries) => entries
                .into_iter()
                .map(|(user_key, value)| KeyedEntry {
                    key: key.clone(),
                    namespace: namespace.clone(),
                    content: Content::MapEntry { user_key, value },
                })
                .collect(),
            content => vec![KeyedEntry { key, namespace, content }],
        }
    }
}

/// Reads a timer.
pub(super) fn read_timer<F: Form>(
    serializer: &Snapshot,
    placement: Placement,
    input: &mut Reader<'_>,
) -> Result<KeyedEntry<F>> {
    let TypeSerializer::Timer { key, namespace } = &serializer.serializer else {
        let message = format!("a queue whose elements are no timers but serialized by {}", serializer.class);
        return Err(Error::incompatible(message).at_offset(input.offset()));
    };
    let timestamp = input.ordered_i64("timer timestamp")?;
    let key = placement.read_key(key, input)?;
    Ok(KeyedEntry { key, namespace: namespace.read_as(input)?, content: Content::Timer { timestamp } })
}

/// How the entries of a state are laid out in canonical files and in RocksDB, and their serializers.
#[derive(Debug, Clone, Copy)]
pub enum Layout<'a> {
    /// One value.
    Value {
        /// Serializer of the namespace.
        namespace: &'a Snapshot,
        /// Serializer of the value.
        value: &'a Snapshot,
    },
    /// A list.
    List {
        /// Serializer of the namespace.
        namespace: &'a Snapshot,
        /// Serializer of the elements.
        element: &'a Snapshot,
    },
    /// A map, entry by entry.
    Map {
        /// Serializer of the namespace.
        namespace: &'a Snapshot,
        /// Serializer of the user's keys.
        user_key: &'a Snapshot,
        /// Serializer of the user's values.
        user_value: &'a Snapshot,
    },
    /// A queue of timers.
    Queue {
        /// Serializer of the timers.
        element: &'a Snapshot,
    },
}

impl<'a> Layout<'a> {
    /// The layout of a state. A state whose serializers are missing is
    /// [`Incompatible`](crate::ErrorKind::Incompatible).
    pub fn of(state: &'a StateInfo) -> Result<Self> {
        let missing = || Error::incompatible("the serializers of the state could not be read").in_state(&state.name);
        let value = state.value().ok_or_else(missing)?;
        if state.state_type == StateType::PriorityQueue {
            return Ok(Layout::Queue { element: value });
        }
        let namespace = state.namespace().ok_or_else(missing)?;
        let second_api = state.state_type == StateType::KeyValueV2;
        match (state.keyed_kind(), &value.serializer) {
            (KeyedKind::List, _) if second_api => Ok(Layout::List { namespace, element: value }),
            (KeyedKind::List, TypeSerializer::List(element)) => Ok(Layout::List { namespace, element }),
            (KeyedKind::Map, _) if second_api => {
                let user_key = state.serializer("USER_KEY_SERIALIZER").ok_or_else(missing)?;
                Ok(Layout::Map { namespace, user_key, user_value: value })
            }
            (KeyedKind::Map, TypeSerializer::Map(user_key, user_value)) => {
                Ok(Layout::Map { namespace, user_key, user_value })
            }
            (kind @ (KeyedKind::List | KeyedKind::Map), _) => {
                let message = format!("{kind:?} state with serializer snapshot {}", value.class);
                Err(Error::incompatible(message).in_state(&state.name))
            }
            _ => Ok(Layout::Value { namespace, value }),
        }
    }
}
