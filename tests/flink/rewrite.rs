//! Snapshots of Flink's written again as savepoints of Flink's, with and without changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millpond::ErrorKind;
use millpond::error::Result;
use millpond::flink::export::{Edits, Form, KeyFilter, Options, Outcome, Report, StateName, Target, rewrite};
use millpond::flink::{Directory, SnapshotReader};
use millpond::format::flink::Roots;
use millpond::format::flink::metadata::{KeyGroupsBody, KeyedHandle, StreamHandle, Version};
use millpond::format::flink::ttl::Stamp;
use millpond::key_group::MaxParallelism;
use millpond::random::SeededRandom;
use millpond::storage::{MemoryStorage, ObjectPath};
use serde_json::Value as Json;

use super::dump;
use super::read::compare_with;
use crate::format::flink::files;
use crate::format::flink::fixtures::{self, Fixture};

/// Writes a fixture again, into memory.
fn rewritten(fixture: &Fixture, options: &Options<'_>) -> (Result<SnapshotReader>, Report) {
    let source = files::open(fixture);
    let storage = Arc::new(MemoryStorage::new(1 << 30));
    let directory = ObjectPath::parse("savepoint").unwrap();
    let target = Target::new(storage.clone(), directory.clone(), Arc::new(SeededRandom::new(7)));
    let mut report = Report::default();
    let done = rewrite(&source, &target, options, &mut report);
    let opened = done.and_then(|()| SnapshotReader::open(Directory::new(storage, Some(directory)), Roots::new()));
    (opened, report)
}

fn edited(edits: Edits) -> Options<'static> {
    Options { edits, ..Options::default() }
}

fn fixture(name: &str) -> Fixture {
    let found = fixtures::committed().into_iter().find(|fixture| fixture.name.contains(name));
    found.unwrap_or_else(|| panic!("{name} is not in the repository"))
}

/// Lines of a state of an operator.
fn lines(snapshot: &SnapshotReader, state: &str) -> Vec<String> {
    let dumps = dump::dump(snapshot).unwrap();
    let mut lines: Vec<String> = dumps
        .into_values()
        .flat_map(|dump| dump.keyed)
        .filter(|((name, _), _)| name == state)
        .flat_map(|(_, lines)| lines)
        .collect();
    lines.sort_unstable();
    lines
}

/// Whether the snapshot cannot be rewritten, and why.
fn expected_refusal(fixture: &Fixture) -> Option<&'static str> {
    let name = &fixture.name;
    if name.contains("unaligned") {
        Some("unaligned")
    } else if name.contains("kryo-hashmap-native") {
        Some("only be found by its own program")
    } else {
        None
    }
}

#[test]
fn every_snapshot_is_rewritten_or_refused_for_a_reason() {
    let mut compared = super::read::Outcome::default();
    let (mut written, mut refused) = (0, BTreeMap::new());
    for fixture in fixtures::all() {
        let (result, report) = rewritten(&fixture, &Options::default());
        if let Some(reason) = expected_refusal(&fixture) {
            let error = result.map(drop).expect_err(&fixture.name);
            assert_eq!(error.kind(), ErrorKind::Incompatible, "{}: {error}", fixture.name);
            assert!(error.message().contains(reason), "{}: {error}", fixture.name);
            assert!(report.refused().count() > 0, "{}", fixture.name);
            *refused.entry(reason).or_insert(0) += 1;
            continue;
        }
        let snapshot = result.unwrap_or_else(|error| panic!("{}: {error:?}", fixture.name));
        assert_eq!(snapshot.metadata().version, Version::V3);
        let outcome = compare_with(&fixture.name, &snapshot, &fixture.state_json());
        assert!(outcome.not_covered.is_empty(), "{}: {:?}", fixture.name, outcome.not_covered);
        compared.entries += outcome.entries;
        compared.states += outcome.states;
        compared.operator_states += outcome.operator_states;
        written += 1;
    }
    println!("{written} snapshots were rewritten: {compared:?}; refused: {refused:?}");
    assert!(compared.entries > 1000);
}

/// The entries of every keyed state, without their key groups.
fn keyed(expected: &Json) -> BTreeMap<String, u64> {
    let operators = expected["operators"].as_array().unwrap().iter();
    let states = operators.flat_map(|operator| operator["keyed_states"].as_array().into_iter().flatten());
    states
        .map(|state| (state["name"].to_string() + &state["kind"].to_string(), state["count"].as_u64().unwrap()))
        .collect()
}

#[test]
fn parallelism_and_max_parallelism_change() {
    let mut compared = 0;
    for fixture in fixtures::all() {
        if expected_refusal(&fixture).is_some() || !fixture.name.contains("canonical") {
            continue;
        }
        let edits = Edits { parallelism: Some(5), ..Edits::default() };
        let (snapshot, _) = rewritten(&fixture, &edited(edits));
        if fixture.name.contains("finished") {
            // Some of its operators had finished only in part, or not at all.
            continue;
        }
        let snapshot = snapshot.unwrap_or_else(|error| panic!("{}: {error:?}", fixture.name));
        for operator in snapshot.metadata().operators.iter().filter(|operator| !operator.subtasks().is_empty()) {
            assert_eq!((operator.parallelism.get(), operator.subtasks().len()), (5, 5), "{}", fixture.name);
        }
        let mut expected = fixture.state_json();
        for operator in expected["operators"].as_array_mut().unwrap() {
            operator["operator_states"] = Json::Array(Vec::new());
        }
        let dumps = dump::dump(&snapshot).unwrap();
        assert!(!dumps.is_empty() && !keyed(&expected).is_empty());
        compared += 1;
    }
    println!("{compared} snapshots were rewritten at parallelism 5");
    assert!(compared > 0);
}

#[test]
fn keys_are_hashed_anew_where_their_hash_is_known() {
    let fixture = fixture("core-rocksdb-lz-canonical");
    let max = MaxParallelism::new(300).unwrap();
    let edits = Edits { max_parallelism: Some(max), ..Edits::default() };
    let (snapshot, report) = rewritten(&fixture, &edited(edits));
    let snapshot = snapshot.unwrap();
    assert!(snapshot.metadata().operators.iter().all(|operator| operator.max_parallelism == max));
    // The read-back has compared every key with its key group.
    let before = dump::dump(&files::open(&fixture)).unwrap();
    let after = dump::dump(&snapshot).unwrap();
    let without_group = |lines: &[String]| {
        let cut = |line: &String| {
            let mut json: Json = serde_json::from_str(line).unwrap();
            json.as_object_mut().unwrap().remove("kg");
            json.to_string()
        };
        lines.iter().map(cut).collect::<BTreeSet<String>>()
    };
    let mut entries = 0;
    for (operator, dump) in &before {
        for (state, lines) in &dump.keyed {
            let theirs = after[operator].keyed.get(state).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(without_group(lines), without_group(theirs), "{state:?}");
            entries += u64::try_from(lines.len()).unwrap();
        }
    }
    let mut states = report.operators.iter().flat_map(|operator| &operator.states);
    assert!(states.all(|state| state.outcome == Outcome::Converted || state.kind == "coordinator"), "{report}");
    assert!(entries > 500, "{entries}");
}

/// Reading back compares every key with its key group.
#[test]
fn sql_keys_are_hashed_anew() {
    let max = MaxParallelism::new(1000).unwrap();
    let edits = Edits { max_parallelism: Some(max), parallelism: Some(4), ..Edits::default() };
    let (snapshot, report) = rewritten(&fixture("2.3.0/sql-hashmap-canonical"), &edited(edits));
    assert!(snapshot.unwrap().metadata().operators.iter().all(|operator| operator.max_parallelism == max));
    assert!(report.entries() > 150, "{report}");
}

#[test]
fn operators_and_states_are_renamed_and_left_out() {
    let fixture = fixture("core-rocksdb-lz-canonical");
    let state = |text: &str| StateName::parse(text);
    let names = lines_by_state(&files::open(&fixture));
    let (dropped, renamed) = {
        let mut names = names.keys().filter(|name| !name.starts_with("_timer")).cloned();
        (names.next().unwrap(), names.next().unwrap())
    };
    let edits = Edits {
        rename_operators: vec![("a-long".into(), "b-long".into())],
        rename_states: vec![(state(&format!("a-long/{renamed}")), "other".into())],
        drop_states: vec![StateName { operator: None, state: dropped.clone() }],
        ..Edits::default()
    };
    let (snapshot, report) = rewritten(&fixture, &edited(edits));
    let snapshot = snapshot.unwrap();
    assert!(snapshot.operator("b-long").is_ok() && snapshot.operator("a-long").is_err());
    let after = lines_by_state(&snapshot);
    assert!(!after.contains_key(&dropped));
    assert_eq!(after["other"], names[&renamed]);
    assert!(report.to_string().contains(" as b-long: parallelism 3 of 128"), "{report}");
    for edits in [
        Edits { drop_operators: vec!["nobody".into()], ..Edits::default() },
        Edits { drop_states: vec![state("nothing")], ..Edits::default() },
        Edits { stamps: vec![(state("nothing"), Stamp::Strip)], ..Edits::default() },
    ] {
        assert_eq!(rewritten(&fixture, &edited(edits)).0.unwrap_err().kind(), ErrorKind::NotFound);
    }
    let both = Edits { rename_operators: vec![("a-long".into(), "a-ttl".into())], ..Edits::default() };
    assert_eq!(rewritten(&fixture, &edited(both)).0.unwrap_err().kind(), ErrorKind::InvalidInput);
    let drop = Edits { drop_operators: vec!["a-long".into()], ..Edits::default() };
    assert!(rewritten(&fixture, &edited(drop)).0.unwrap().operator("a-long").is_err());
}

fn lines_by_state(snapshot: &SnapshotReader) -> BTreeMap<String, Vec<String>> {
    let id = |uid: &str| snapshot.operator(uid).ok().map(|operator| operator.description().id.to_string());
    let wanted = id("a-long").or_else(|| id("b-long")).unwrap();
    let dump = dump::dump(snapshot).unwrap().remove(&wanted).unwrap();
    let sorted = |mut lines: Vec<String>| {
        lines.sort_unstable();
        lines
    };
    dump.keyed.into_iter().map(|((name, _), lines)| (name, sorted(lines))).collect()
}

#[test]
fn keys_are_filtered_and_time_to_live_put_on_and_taken_off() {
    let fixture = fixture("mapnull-rocksdb-canonical");
    let source = files::open(&fixture);
    let name =
        dump::dump(&source).unwrap().into_values().flat_map(|dump| dump.keyed).find(|(_, lines)| lines.len() > 3);
    let ((state, _), all) = name.unwrap();
    let key = |line: &String| serde_json::from_str::<Json>(line).unwrap()["k"].clone();
    let text = |json: &Json| json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    let kept = text(&key(&all[0]));
    for (filter, keeps) in [
        (KeyFilter::Only(BTreeSet::from([kept.clone()])), true),
        (KeyFilter::Except(BTreeSet::from([kept.clone()])), false),
    ] {
        let (snapshot, _) = rewritten(&fixture, &edited(Edits { keys: filter, ..Edits::default() }));
        let found = lines(&snapshot.unwrap(), &state);
        let mut wanted: Vec<String> = all.iter().filter(|line| (text(&key(line)) == kept) == keeps).cloned().collect();
        wanted.sort_unstable();
        assert_eq!(found, wanted);
    }
    let put = Edits { stamps: vec![(StateName::parse(&state), Stamp::Put(1234))], ..Edits::default() };
    let (snapshot, _) = rewritten(&fixture, &edited(put));
    let stamped = lines(&snapshot.unwrap(), &state);
    assert_eq!(stamped.len(), all.len());
    assert!(stamped.iter().any(|line| line.contains("{\"$ttl\":1234")), "{stamped:?}");
}

#[test]
fn files_are_copied_as_they_are_and_every_version_is_written() {
    for fixture in fixtures::committed() {
        for version in [Version::V3, Version::V4, Version::V5, Version::V6] {
            let options = Options { form: Form::AsIs, version, ..Options::default() };
            let (snapshot, _) = rewritten(&fixture, &options);
            let snapshot = snapshot.unwrap_or_else(|error| panic!("{} {version}: {error:?}", fixture.name));
            assert_eq!(snapshot.metadata().version, version);
            compare_with(&fixture.name, &snapshot, &fixture.state_json());
            let absolute = snapshot.operators().flat_map(|operator| operator.streams().collect::<Vec<_>>());
            assert!(absolute.into_iter().all(|stream| !matches!(stream.handle, StreamHandle::File { .. })));
        }
        let edits = Edits { parallelism: Some(1), ..Edits::default() };
        let options = Options { form: Form::AsIs, edits, ..Options::default() };
        assert_eq!(rewritten(&fixture, &options).0.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn state_is_compressed_and_expanded() {
    for fixture in fixtures::committed() {
        if expected_refusal(&fixture).is_some() {
            continue;
        }
        for compressed in [true, false] {
            let options = Options { compressed, ..Options::default() };
            let snapshot = rewritten(&fixture, &options).0.unwrap();
            compare_with(&fixture.name, &snapshot, &fixture.state_json());
            let handles = snapshot.metadata().operators.iter().flat_map(|operator| operator.subtasks());
            for state in handles.filter_map(|subtask| subtask.state.as_deref()) {
                let Some(KeyedHandle::KeyGroups(handle)) = &state.managed_keyed else { continue };
                assert_eq!(handle.body, KeyGroupsBody::Canonical);
                assert_eq!(snapshot.stream(&handle.stream).unwrap().as_ref()[4], u8::from(compressed));
            }
        }
    }
}
