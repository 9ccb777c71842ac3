//! Incremental checkpoints of Flink's RocksDB backend, rewritten with every edit there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millpond::flink::export::{Edits, Form, KeyFilter, Options, Report, StateName, Target, rewrite};
use millpond::flink::{Directory, SnapshotReader};
use millpond::format::flink::Roots;
use millpond::format::flink::metadata::{KeyedHandle, StreamHandle, Version};
use millpond::format::flink::ttl::Stamp;
use millpond::key_group::MaxParallelism;
use millpond::random::SeededRandom;
use millpond::snapshot::Trust;
use millpond::storage::{LocalStorage, MemoryStorage, ObjectPath, Storage};
use serde_json::Value as Json;

use super::dump;
use super::read::compare_with;
use crate::format::flink::files;
use crate::format::flink::fixtures::{self, Fixture};

/// The second of a chain of checkpoints: some of its files are those of the first.
fn incremental() -> Fixture {
    fixtures::committed().into_iter().find(|fixture| fixture.name.contains("incr-rocksdb")).unwrap()
}

fn rewritten(source: &SnapshotReader, options: &Options<'_>) -> (SnapshotReader, Report) {
    let storage = Arc::new(MemoryStorage::new(1 << 30));
    let directory = ObjectPath::parse("savepoint").unwrap();
    let target = Target::new(storage.clone(), directory.clone(), Arc::new(SeededRandom::new(7)));
    let mut report = Report::default();
    rewrite(source, &target, options, &mut report).unwrap();
    let written = SnapshotReader::open(Directory::new(storage, Some(directory)), Roots::new()).unwrap();
    (written.trust(Trust::Own).with_scratch(std::env::temp_dir()), report)
}

fn edited(edits: Edits) -> Options<'static> {
    Options { edits, ..Options::default() }
}

/// Lines of the states of an operator, without the key groups.
fn lines(snapshot: &SnapshotReader, uid: &str) -> BTreeMap<String, BTreeSet<String>> {
    let id = snapshot.operator(uid).unwrap().description().id.to_string();
    let keyed = dump::dump(snapshot).unwrap().remove(&id).unwrap().keyed;
    let cut = |line: &String| {
        let mut json: Json = serde_json::from_str(line).unwrap();
        json.as_object_mut().unwrap().remove("kg");
        json.to_string()
    };
    keyed.into_iter().map(|((name, _), lines)| (name, lines.iter().map(cut).collect())).collect()
}

fn is_canonical(snapshot: &SnapshotReader) -> bool {
    let subtasks = snapshot.metadata().operators.iter().flat_map(|operator| operator.subtasks());
    let mut states = subtasks.filter_map(|subtask| subtask.state.as_deref());
    states.all(|state| state.managed_keyed.iter().all(|handle| matches!(handle, KeyedHandle::KeyGroups(_))))
}

#[test]
fn a_database_becomes_canonical_with_the_same_entries() {
    let mut count = 0;
    for fixture in fixtures::committed() {
        let is_database = ["rocksdb-native", "incr-rocksdb"].iter().any(|part| fixture.name.contains(part));
        if !is_database {
            continue;
        }
        let (snapshot, report) = rewritten(&files::open(&fixture), &Options::default());
        assert!(is_canonical(&snapshot), "{}", fixture.name);
        let outcome = compare_with(&fixture.name, &snapshot, &fixture.state_json());
        assert!(outcome.not_covered.is_empty(), "{}: {:?}", fixture.name, outcome.not_covered);
        assert_eq!(report.refused().count(), 0, "{report}");
        count += 1;
    }
    println!("{count} databases became canonical savepoints with the entries that their jobs had");
    assert!(count >= 2);
}

#[test]
fn every_version_of_the_metadata_is_written_of_a_database() {
    let fixture = incremental();
    for version in [Version::V3, Version::V4, Version::V5, Version::V6] {
        for form in [Form::Canonical, Form::AsIs] {
            let options = Options { version, form, ..Options::default() };
            let (snapshot, _) = rewritten(&files::open(&fixture), &options);
            assert_eq!((snapshot.metadata().version, is_canonical(&snapshot)), (version, form == Form::Canonical));
            compare_with(&fixture.name, &snapshot, &fixture.state_json());
        }
    }
}

#[test]
fn a_database_is_edited_on_the_way() {
    let source = files::open(&incremental());
    let before = lines(&source, "a-incr");
    let name = StateName::parse;
    let max = MaxParallelism::new(300).unwrap();
    let edits = Edits {
        parallelism: Some(3),
        max_parallelism: Some(max),
        rename_operators: vec![("a-incr".into(), "b-incr".into())],
        drop_operators: vec!["a-incr-small".into()],
        rename_states: vec![(name("a-incr/frozen"), "thawed".into())],
        drop_states: vec![name("a-incr/big")],
        stamps: vec![(name("a-incr/m"), Stamp::Put(1234))],
        ..Edits::default()
    };
    let options = Options { compressed: true, edits, ..Options::default() };
    let (snapshot, report) = rewritten(&source, &options);
    let after = lines(&snapshot, "b-incr");
    assert!(snapshot.operator("a-incr-small").is_err() && snapshot.operator("a-incr").is_err());
    let description = snapshot.operator("b-incr").unwrap().description();
    assert_eq!((description.parallelism.get(), description.max_parallelism), (3, max));
    assert!(!after.contains_key("big") && !after.contains_key("frozen"));
    assert_eq!((&after["thawed"], &after["l"]), (&before["frozen"], &before["l"]));
    let timers = "_timer_state/event_user-timers";
    assert!(!before[timers].is_empty());
    assert_eq!(after[timers], before[timers]);
    assert_eq!(after["m"].len(), before["m"].len());
    // A null has no moment.
    let is_stamped = |line: &String| line.contains("{\"$ttl\":1234,") || line.ends_with("\"v\":null}");
    assert!(after["m"].iter().all(is_stamped) && after["m"].iter().any(|line| line.contains("$ttl")), "{report}");
    // The other way round, from what was written.
    let edits = Edits {
        max_parallelism: Some(source.operator("a-incr").unwrap().max_parallelism()),
        rename_operators: vec![("b-incr".into(), "a-incr".into())],
        rename_states: vec![(name("b-incr/thawed"), "frozen".into())],
        stamps: vec![(name("b-incr/m"), Stamp::Strip)],
        ..Edits::default()
    };
    let (again, _) = rewritten(&snapshot, &edited(edits));
    let mut expected = before;
    expected.remove("big");
    assert_eq!(lines(&again, "a-incr"), expected);
}

#[test]
fn keys_of_a_database_are_filtered() {
    let source = files::open(&incremental());
    let before = lines(&source, "a-incr");
    let is_ten = |line: &&String| serde_json::from_str::<Json>(line).unwrap()["k"] == 10;
    for (keys, keeps) in [
        (KeyFilter::Only(BTreeSet::from(["10".to_owned()])), true),
        (KeyFilter::Except(BTreeSet::from(["10".to_owned()])), false),
    ] {
        let (snapshot, _) = rewritten(&source, &edited(Edits { keys, ..Edits::default() }));
        let after = lines(&snapshot, "a-incr");
        for (state, lines) in &before {
            let expected: BTreeSet<String> = lines.iter().filter(|line| is_ten(line) == keeps).cloned().collect();
            assert_eq!(after[state], expected, "{state}");
        }
        assert!(!after["big"].is_empty());
    }
}

#[test]
fn files_of_a_database_are_copied_or_named_by_another_path() {
    let fixture = incremental();
    let source = files::open(&fixture);
    let (whole, _) = rewritten(&source, &Options { form: Form::AsIs, ..Options::default() });
    let absolute = |snapshot: &SnapshotReader| {
        let streams: Vec<StreamHandle> = snapshot
            .operators()
            .flat_map(|operator| operator.streams().map(|s| s.handle.clone()).collect::<Vec<_>>())
            .collect();
        streams.into_iter().filter(|handle| matches!(handle, StreamHandle::File { .. })).count()
    };
    assert!(absolute(&source) > 0 && absolute(&whole) == 0, "self-contained");
    assert_eq!(lines(&whole, "a-incr"), lines(&source, "a-incr"));
    let origin = fixture.expected_json()["origin"].as_str().unwrap().to_owned();
    let moved = vec![(origin, "file:/elsewhere".to_owned())];
    let (moved, _) = rewritten(&source, &Options { form: Form::AsIs, moved, ..Options::default() });
    assert_eq!(absolute(&moved), absolute(&source));
    let mut roots = Roots::new();
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(&fixture.directory).unwrap());
    roots.map("file:/elsewhere", Directory::new(storage, None)).unwrap();
    let moved = SnapshotReader::open(moved.directory().clone(), roots).unwrap();
    let moved = moved.trust(Trust::Own).with_scratch(std::env::temp_dir());
    assert_eq!(lines(&moved, "a-incr"), lines(&source, "a-incr"));
}
