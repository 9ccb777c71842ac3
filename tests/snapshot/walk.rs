use std::ops::ControlFlow;
use std::sync::Arc;

use millpond::ErrorKind;
use millpond::format::section::Owner;
use millpond::key_group::KeyGroup;
use millpond::serializer::{SerializerSnapshot, Value};
use millpond::snapshot::{Entry, SnapshotReader, StateReader};

use super::forge::{self, UID, keys_of, range, sound, store};

fn entries(state: &StateReader<'_>) -> Vec<Entry> {
    let mut entries = Vec::new();
    state
        .entries(|entry| {
            entries.push(entry);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    entries
}

fn open(groups: &[(u16, Vec<forge::Pair>)]) -> SnapshotReader {
    let storage = forge::storage();
    let directory = store(&storage, groups, |_| {});
    SnapshotReader::open(storage, directory).unwrap()
}

#[test]
fn entries_come_by_group_and_key_and_can_be_narrowed_down() {
    let snapshot = open(&sound());
    let operator = snapshot.operator(UID).unwrap();
    let all = entries(&operator.state("b").unwrap());
    assert_eq!(all.len(), 24);
    let groups: Vec<Owner> = all.iter().map(|entry| entry.owner).collect();
    assert!(groups.is_sorted());
    assert!(
        all.iter().all(|entry| entry.value == Value::U64(7) && entry.namespace.is_none() && entry.stamps.is_empty())
    );
    let some = entries(&operator.state("b").unwrap().in_groups(range(2, 3)));
    assert_eq!(some, all[6..12]);
    let key = &keys_of(5)[1];
    let one = operator.state("a").unwrap().of_key(key).unwrap();
    assert_eq!(one.groups(), range(5, 5));
    let found = entries(&one);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].owner, &found[0].value), (Owner::KeyGroup(KeyGroup(5)), &Value::String("value".to_owned())));
    assert!(entries(&operator.state("a").unwrap().of_key(&forge::text("nobody")).unwrap()).is_empty());
}

#[test]
fn a_visitor_ends_the_walk_when_it_breaks_and_when_it_fails() {
    let snapshot = open(&sound());
    let state = snapshot.operator(UID).unwrap().state("a").unwrap();
    let mut seen = 0;
    let visit = |_| {
        seen += 1;
        Ok(if seen == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    state.entries(visit).unwrap();
    assert_eq!(seen, 5);
    let error = state.entries(|_| Err(millpond::Error::aborted("enough"))).unwrap_err();
    assert_eq!((error.kind(), error.place().state.as_deref()), (ErrorKind::Aborted, Some("a")));
}

#[test]
fn an_undecodable_entry_is_an_error_with_its_place() {
    let mut groups = sound();
    groups[4].1[2].2 = vec![2, 0xC3, 0x28];
    let snapshot = open(&groups);
    let state = snapshot.operator(UID).unwrap().state("a").unwrap();
    let mut seen = 0;
    let visit = |_| {
        seen += 1;
        Ok(ControlFlow::Continue(()))
    };
    let error = state.entries(visit).unwrap_err();
    assert_eq!(seen, 14);
    assert_eq!((error.kind(), error.place().key_group), (ErrorKind::Corrupt, Some(4)));
    assert!(error.place().file.is_some() && error.place().offset.is_some(), "{error}");
    assert_eq!(error.place().operator.as_deref(), Some(UID));
}

#[test]
fn parts_of_an_unknown_type_are_shown_as_bytes() {
    let storage = forge::storage();
    let unknown = || SerializerSnapshot::Unknown { tag: 99, version: 1, payload: Vec::new() };
    let directory = store(&storage, &sound(), |manifest| {
        manifest.operators[0].key = Some(unknown());
        manifest.operators[0].states[1].value = unknown();
    });
    let snapshot = SnapshotReader::open(Arc::clone(&storage), directory).unwrap();
    let first = entries(&snapshot.operator(UID).unwrap().state("b").unwrap()).remove(0);
    assert!(matches!(&first.key, Some(Value::Opaque { bytes, .. }) if *bytes == keys_of(0)[0]), "{first:?}");
    assert!(matches!(&first.value, Value::Opaque { bytes, .. } if *bytes == [0, 0, 0, 7]), "{first:?}");
}

#[test]
fn a_missing_state_is_answered_with_those_there_are() {
    let snapshot = open(&sound());
    let error = snapshot.operator(UID).unwrap().state("c").unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "the operator has no state \"c\"; it has a, b"));
}
