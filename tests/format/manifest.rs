//! The manifest: what is refused, and what its digest of content depends on.

use millpond::codec::{Compression, digest};
use millpond::format::FormatId;
use millpond::format::manifest::{
    KeyedHandle, Manifest, ObjectRef, ObjectScope, OperatorSnapshot, OperatorStateContent, SectionRef, SnapshotKind,
    SubtaskSnapshot,
};
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::section::StateTotals;
use millpond::ids::{CheckpointId, OperatorId, SubtaskIndex};
use millpond::key_group::{KeyGroup, KeyGroupRange, Parallelism};
use millpond::serializer::SerializerSnapshot;
use millpond::{Error, ErrorKind};

use super::samples::{self, aircraft, manifest};

#[test]
fn what_is_encoded_is_decoded() {
    for kind in [SnapshotKind::Checkpoint, SnapshotKind::Savepoint] {
        let manifest = manifest(kind);
        let bytes = manifest.encode().unwrap();
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        assert_eq!(manifest.objects().count(), 4);
    }
}

#[test]
fn a_section_is_found_by_its_key_group() {
    let manifest = manifest(SnapshotKind::Checkpoint);
    let operator = manifest.operator(aircraft()).unwrap();
    let handle = operator.subtasks[1].keyed.as_ref().unwrap();
    let (section, object) = handle.section(KeyGroup(50)).unwrap();
    assert_eq!((section.length, object.scope), (300, ObjectScope::Shared));
    assert!(handle.section(KeyGroup(51)).is_none());
}

/// A change to the sample, and the field that the refusal must name.
type Case = (&'static str, fn(&mut Manifest));

fn operator(manifest: &mut Manifest) -> &mut OperatorSnapshot {
    manifest.operators.iter_mut().find(|operator| operator.id == aircraft()).unwrap()
}

fn keyed(manifest: &mut Manifest, subtask: usize) -> &mut KeyedHandle {
    operator(manifest).subtasks[subtask].keyed.as_mut().unwrap()
}

/// The states, without the totals that refer to them.
fn states(manifest: &mut Manifest) -> &mut Vec<StateMeta> {
    let operator = operator(manifest);
    for subtask in &mut operator.subtasks {
        subtask.keyed.iter_mut().for_each(|keyed| keyed.states.clear());
        subtask.operator.iter_mut().for_each(|operator| operator.states.clear());
    }
    &mut operator.states
}

fn section(manifest: &mut Manifest, index: usize) -> &mut SectionRef {
    &mut keyed(manifest, 1).sections[index]
}

fn object(manifest: &mut Manifest, index: usize) -> &mut ObjectRef {
    &mut keyed(manifest, 1).objects[index]
}

fn empty(index: u32) -> SubtaskSnapshot {
    SubtaskSnapshot::empty(SubtaskIndex(index))
}

const HEAD: [Case; 9] = [
    ("checkpoint id", |m| m.checkpoint = CheckpointId(0)),
    ("writer", |m| m.writer.clear()),
    ("writer", |m| m.writer = "line\nbreak".to_owned()),
    ("operator id", |m| m.operators.reverse()),
    ("operator id", |m| {
        let twice = OperatorSnapshot { subtasks: (0..3).map(empty).collect(), ..operator(m).clone() };
        m.operators = vec![twice.clone(), twice];
    }),
    ("uid", |m| operator(m).uid = Some("other".to_owned())),
    ("uid", |m| operator(m).uid = Some(String::new())),
    ("state kind", |m| operator(m).key = None),
    ("object scope", |m| m.kind = SnapshotKind::Savepoint),
];

const STATES: [Case; 8] = [
    ("state name", |m| states(m).swap(0, 1)),
    ("state name", |m| states(m)[1].name = states(m)[0].name.clone()),
    ("state name", |m| states(m)[0].name = "\0".to_owned()),
    ("state name", |m| states(m)[0].name = "a".repeat(4097)),
    ("namespace", |m| state_of(m, StateKind::Broadcast).namespace = SerializerSnapshot::U8),
    ("user key", |m| state_of(m, StateKind::Value).user_key = SerializerSnapshot::U8),
    ("value", |m| state_of(m, StateKind::Timer).value = SerializerSnapshot::U8),
    ("timed", |m| state_of(m, StateKind::OperatorList).timed = true),
];

fn state_of(manifest: &mut Manifest, kind: StateKind) -> &mut StateMeta {
    operator(manifest).states.iter_mut().find(|state| state.kind == kind).unwrap()
}

const SECTIONS: [Case; 15] = [
    ("first key group", |m| keyed(m, 1).range = KeyGroupRange::new(KeyGroup(42), KeyGroup(85)).unwrap()),
    ("last key group", |m| keyed(m, 1).range = KeyGroupRange::new(KeyGroup(43), KeyGroup(128)).unwrap()),
    ("format", |m| keyed(m, 1).format = FormatId::Operator),
    ("key group", |m| section(m, 0).group = KeyGroup(42)),
    ("key group", |m| section(m, 2).group = KeyGroup(86)),
    ("key group", |m| section(m, 1).group = KeyGroup(43)),
    ("object index", |m| section(m, 1).object = 2),
    ("section offset", |m| section(m, 2).offset = 599),
    ("section offset", |m| section(m, 2).offset = 601),
    ("section length", |m| section(m, 2).length = 401),
    ("section length", |m| section(m, 1).length = u64::MAX),
    ("section length", |m| section(m, 1).length = 10),
    ("section length", |m| section(m, 1).entries = 0),
    ("sections", |m| section(m, 2).length = 399),
    ("entries", |m| {
        section(m, 1).entries = u64::MAX;
    }),
];

const OBJECTS: [Case; 9] = [
    ("object name", |m| object(m, 0).name = "../x".to_owned()),
    ("object name", |m| object(m, 0).name = "Abc".to_owned()),
    ("object name", |m| object(m, 0).name = "nul.x".to_owned()),
    ("object name", |m| object(m, 0).name = "-x".to_owned()),
    ("object name", |m| object(m, 0).name = "5d41402abc4b2a76b9719d911017c592".to_owned()),
    ("sections", |m| {
        let unused = ObjectRef { name: "unused".to_owned(), ..object(m, 1).clone() };
        keyed(m, 1).objects.push(unused);
    }),
    ("inline section", |m| {
        operator(m).subtasks[1].operator.as_mut().unwrap().content = OperatorStateContent::Inline(vec![]);
    }),
    ("totals", |m| keyed(m, 1).states = vec![StateTotals { name: "delays".into(), entries: 9, bytes: 1 }]),
    ("state index", |m| keyed(m, 1).states = vec![StateTotals { name: "airlines".into(), entries: 10, bytes: 1 }]),
];

fn refusal(change: fn(&mut Manifest)) -> Error {
    let mut manifest = manifest(SnapshotKind::Checkpoint);
    change(&mut manifest);
    manifest.encode().unwrap_err()
}

#[test]
fn what_could_not_be_read_is_not_written() {
    for (field, change) in HEAD.into_iter().chain(STATES).chain(SECTIONS).chain(OBJECTS) {
        let error = refusal(change);
        assert_eq!((error.kind(), error.place().field), (ErrorKind::InvalidInput, Some(field)), "{error}");
    }
}

#[test]
fn what_has_no_encoding_is_refused() {
    let cases: [fn(&mut Manifest); 4] = [
        |m| operator(m).parallelism = Parallelism::new(2, samples::max()).unwrap(),
        |m| operator(m).subtasks[1].index = SubtaskIndex(2),
        |m| keyed(m, 1).states = vec![StateTotals { name: "nobody".into(), entries: 10, bytes: 1 }],
        |m| {
            operator(m).subtasks.pop();
        },
    ];
    for change in cases {
        let error = refusal(change);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert_eq!(error.place().operator.as_deref(), Some("aircraft"));
    }
}

#[test]
fn key_groups_must_not_be_missing_where_all_subtasks_have_keyed_state() {
    let error = refusal(|m| {
        let operator = operator(m);
        operator.subtasks.pop();
        operator.parallelism = Parallelism::new(2, samples::max()).unwrap();
    });
    assert!(error.message().contains("86 of 128 key groups"), "{error}");
}

#[test]
fn an_object_named_twice_must_be_shared_and_the_same() {
    let mut manifest = manifest(SnapshotKind::Checkpoint);
    let shared = object(&mut manifest, 1).clone();
    let first = keyed(&mut manifest, 0);
    first.states.clear();
    let section = first.sections[0];
    first.objects.push(shared);
    first.sections.push(SectionRef { group: KeyGroup(6), object: 1, offset: 100, length: 200, ..section });
    manifest.encode().unwrap();
    keyed(&mut manifest, 0).objects[1].digest = digest(b"other");
    assert_eq!(manifest.encode().unwrap_err().place().field, Some("object name"));
}

#[test]
fn the_digest_of_the_content_does_not_depend_on_the_parallelism() {
    let one = manifest(SnapshotKind::Savepoint);
    let mut other = one.clone();
    let operator_ = operator(&mut other);
    operator_.parallelism = Parallelism::new(1, samples::max()).unwrap();
    let mut subtasks = std::mem::take(&mut operator_.subtasks).into_iter();
    let mut merged = subtasks.next().unwrap();
    let second = subtasks.next().unwrap().keyed.unwrap();
    let handle = merged.keyed.as_mut().unwrap();
    handle.format = FormatId::NativeHeap;
    handle.range = samples::max().all_groups();
    handle.states.clear();
    handle.objects.extend(second.objects);
    handle.sections.extend(second.sections.into_iter().map(|s| SectionRef { object: s.object + 1, ..s }));
    operator_.subtasks = vec![merged];
    let mut one = one;
    keyed(&mut one, 0).format = FormatId::NativeHeap;
    other.encode().unwrap();
    assert_eq!(one.keyed_digest().unwrap(), other.keyed_digest().unwrap());
    section_of(&mut other).checksum ^= 1;
    assert_ne!(one.keyed_digest().unwrap(), other.keyed_digest().unwrap());
}

fn section_of(manifest: &mut Manifest) -> &mut SectionRef {
    keyed(manifest, 0).sections.first_mut().unwrap()
}

#[test]
fn an_unknown_version_is_refused_before_the_digest_is_looked_at() {
    let mut bytes = manifest(SnapshotKind::Savepoint).encode().unwrap();
    bytes[7] = 9;
    let error = Manifest::decode(&bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.message().contains("version 9") && error.message().contains("is 1"), "{error}");
}

#[test]
fn a_data_section_in_place_of_a_manifest_is_named_as_what_it_is() {
    let (section, _) = samples::canonical_section(Compression::None);
    let error = Manifest::decode(&section).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.message(), "this is canonical data, expected manifest data");
}

#[test]
fn names_that_are_safe_everywhere_are_accepted() {
    for name in ["5d41402abc4b2a76b9719d911017c592", "a.b-c_d", "0"] {
        ObjectRef::check_name(name).unwrap();
    }
    let long = "a".repeat(256);
    for name in ["", ".", "..", "a/b", "a\\b", "con", "com1.x", "aux", "é", "a:", "a.", " a", "a%2e", long.as_str()] {
        assert_eq!(ObjectRef::check_name(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
    }
}

#[test]
fn uids_give_the_ids() {
    let mut manifest = manifest(SnapshotKind::Savepoint);
    operator(&mut manifest).id = OperatorId::from_uid("b");
    manifest.sort();
    assert_eq!(manifest.encode().unwrap_err().place().field, Some("uid"));
}

#[test]
fn a_database_names_its_files() {
    let manifest = samples::database_manifest();
    assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
    let handle = manifest.operators[0].subtasks[0].keyed.as_ref().unwrap();
    let names: Vec<String> = handle.database_files().map(|(file, _)| file.to_string()).collect();
    assert_eq!(names, ["CURRENT", "MANIFEST-000005", "000007.sst", "1000012.sst"]);
    assert_eq!(manifest.objects().count(), 4);
}

#[test]
fn the_handle_of_a_database_has_files_and_no_sections() {
    let cases: [fn(&mut KeyedHandle); 5] = [
        |handle| handle.files.truncate(3),
        |handle| handle.objects.truncate(3),
        |handle| handle.format = FormatId::Canonical,
        |handle| {
            let other = manifest(SnapshotKind::Checkpoint);
            handle.sections = other.operator(aircraft()).unwrap().subtasks[1].keyed.as_ref().unwrap().sections.clone();
        },
        |handle| handle.files.swap(2, 3),
    ];
    for change in cases {
        let mut manifest = samples::database_manifest();
        change(manifest.operators[0].subtasks[0].keyed.as_mut().unwrap());
        assert_eq!(manifest.encode().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn the_digest_of_the_content_depends_on_the_files_of_a_database() {
    let manifest = samples::database_manifest();
    let mut other = manifest.clone();
    other.operators[0].subtasks[0].keyed.as_mut().unwrap().objects[2].digest = digest(b"other");
    assert_ne!(manifest.keyed_digest().unwrap(), other.keyed_digest().unwrap());
}
