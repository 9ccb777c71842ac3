//! Parts of files, put together by hand, for the tests of the decoders.

use super::header::{KeyedHeader, StateInfo, StateType};
use super::serializer::{Simple, Snapshot, TypeSerializer};
use crate::key_group::MaxParallelism;

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub(super) fn of(serializer: TypeSerializer) -> Snapshot {
    Snapshot { class: "sample".to_owned(), version: 3, serializer, bytes: Vec::new() }
}

pub(super) fn simple(simple: Simple) -> Snapshot {
    of(TypeSerializer::Simple(simple))
}

pub(super) fn max(count: u32) -> MaxParallelism {
    MaxParallelism::new(count).unwrap()
}

/// A keyed state.
pub(super) fn state(name: &str, kind: &str, namespace: Snapshot, value: Snapshot) -> StateInfo {
    StateInfo {
        name: name.to_owned(),
        state_type: StateType::KeyValue,
        options: vec![("KEYED_STATE_TYPE".to_owned(), kind.to_owned())],
        serializers: vec![("NAMESPACE_SERIALIZER".to_owned(), namespace), ("VALUE_SERIALIZER".to_owned(), value)],
    }
}

/// Header of a file with integer or string keys and a value, a list, a map and a timer state.
pub(super) fn header(key: Simple, namespace: Simple) -> KeyedHeader {
    let boxed = |kind| Box::new(simple(kind));
    let namespace = || simple(namespace);
    let timer = TypeSerializer::Timer { key: boxed(key), namespace: Box::new(namespace()) };
    let states = vec![
        state("value", "VALUE", namespace(), simple(Simple::Int)),
        state("list", "LIST", namespace(), of(TypeSerializer::List(boxed(Simple::Short)))),
        state("map", "MAP", namespace(), of(TypeSerializer::Map(boxed(Simple::String), boxed(Simple::Int)))),
        StateInfo {
            name: "timer".to_owned(),
            state_type: StateType::PriorityQueue,
            options: Vec::new(),
            serializers: vec![("VALUE_SERIALIZER".to_owned(), of(timer))],
        },
    ];
    KeyedHeader { compressed: false, key: Some(simple(key)), state_count: states.len(), states, unreadable: None }
}
