//! From Flink to a snapshot of ours and back: the same entries, operator state, coordinators and raw state.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond::ErrorKind;
use millpond::error::Result;
use millpond::flink::export::{Edits, Options, Outcome, Report, StateName, Target, export, rewrite};
use millpond::flink::{self, COORDINATOR_STATE, Directory, ImportOptions, RAW_OPERATOR_STATE, SnapshotReader};
use millpond::format::flink::Roots;
use millpond::format::flink::metadata::{
    Distribution, InlineBytes, Metadata, OperatorStateHandle, PartitionOffsets, Progress, StreamHandle,
};
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId};
use millpond::random::SeededRandom;
use millpond::snapshot::{self, SnapshotLabel, SnapshotTarget, publish};
use millpond::storage::{CommitOutcome, MemoryStorage, ObjectPath, Storage};

use super::read::{self, compare_with};
use crate::format::flink::files;
use crate::format::flink::fixtures::{self, Fixture};

fn fixture(name: &str) -> Fixture {
    fixtures::committed().into_iter().find(|fixture| fixture.name.ends_with(name)).unwrap()
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new(1 << 30))
}

fn path(name: &str) -> ObjectPath {
    ObjectPath::parse(name).unwrap()
}

/// Imports a snapshot of Flink's.
pub(crate) fn imported(source: &SnapshotReader) -> Result<snapshot::SnapshotReader> {
    let storage = memory();
    let target = SnapshotTarget::new(Arc::clone(&storage), path("own"), Arc::new(SeededRandom::new(1)));
    let label = SnapshotLabel {
        job: JobId([5; 16]),
        checkpoint: CheckpointId(1),
        kind: SnapshotKind::Savepoint,
        created_ms: 0,
    };
    let mut options = ImportOptions::default();
    options.drops_records_in_flight = true;
    let imported = flink::import(source, label, &target, &options, &|_| true)?;
    assert!(matches!(publish(&*storage, &path("own"), &imported.manifest), CommitOutcome::Committed));
    snapshot::SnapshotReader::open(storage, path("own"))
}

/// What `write` makes of a target.
fn written(write: impl FnOnce(&Target, &mut Report) -> Result<()>) -> (Result<SnapshotReader>, Report) {
    let storage = memory();
    let target = Target::new(Arc::clone(&storage), path("back"), Arc::new(SeededRandom::new(7)));
    let mut report = Report::default();
    let done = write(&target, &mut report);
    (done.and_then(|()| SnapshotReader::open(Directory::new(storage, Some(path("back"))), Roots::new())), report)
}

/// Those of the repository; with `MILLPOND_FLINK_ALL` in the environment, every fixture there is.
#[test]
fn every_import_goes_back_to_flink_with_the_same_entries() {
    let mut compared = read::Outcome::default();
    let (mut count, mut refused) = (0, BTreeMap::new());
    let all = if std::env::var_os("MILLPOND_FLINK_ALL").is_some() { fixtures::all() } else { fixtures::committed() };
    for fixture in all {
        let source = files::open(&fixture);
        let Ok(own) = imported(&source) else { continue };
        let options = Options { like: Some(&source), ..Options::default() };
        let (back, report) = written(|target, report| export(&own, target, &options, report));
        let back = match back {
            Ok(back) => back,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Incompatible, "{}: {error:?}\n{report}", fixture.name);
                *refused.entry(error.message().to_owned()).or_insert(0) += 1;
                continue;
            }
        };
        let outcome = compare_with(&fixture.name, &back, &fixture.state_json());
        assert!(outcome.not_covered.is_empty(), "{}: {:?}", fixture.name, outcome.not_covered);
        assert_eq!(coordinators(&back), coordinators(&source), "{}", fixture.name);
        assert_eq!(progress(&back), progress(&source), "{}", fixture.name);
        compared.entries += outcome.entries;
        compared.states += outcome.states;
        compared.operator_states += outcome.operator_states;
        count += 1;
    }
    println!("{count} snapshots went to millpond and back: {compared:?}; refused: {refused:?}");
    assert!(refused.is_empty(), "{refused:?}");
    assert!(compared.entries > 1000);
}

/// State of coordinators by operator.
fn coordinators(snapshot: &SnapshotReader) -> BTreeMap<String, Vec<u8>> {
    let operators = snapshot.metadata().operators.iter();
    operators
        .filter_map(|operator| Some((operator.id.to_string(), operator.coordinator.as_ref()?.bytes.clone())))
        .collect()
}

/// Which operators have finished, and which of their subtasks.
fn progress(snapshot: &SnapshotReader) -> Vec<(String, bool, Vec<u32>)> {
    let operators = snapshot.metadata().operators.iter();
    let mut all: Vec<(String, bool, Vec<u32>)> = operators
        .map(|operator| {
            let finished = operator.subtasks().iter().filter(|subtask| subtask.state.is_none());
            let finished = finished.map(|subtask| subtask.index.0).collect();
            (operator.id.to_string(), operator.progress == Progress::Finished, finished)
        })
        .collect();
    all.sort();
    all
}

/// A fixture with raw operator state added to the subtasks of its first operator that has any.
fn with_raw_state() -> SnapshotReader {
    let fixture = fixture("core-rocksdb-lz-canonical");
    let mut metadata = Metadata::decode(&fixture.metadata_bytes()).unwrap();
    let mut added = 0u8;
    for operator in &mut metadata.operators {
        let Progress::Running(subtasks) = &mut operator.progress else { continue };
        for state in subtasks.iter_mut().filter_map(|subtask| subtask.state.as_mut()) {
            added += 1;
            let stream = StreamHandle::Inline(InlineBytes {
                name: format!("raw-{added}"),
                bytes: vec![added; usize::from(added) * 3],
            });
            let offsets = vec![0, 1];
            let distribution = Distribution::Split;
            let states = vec![PartitionOffsets { name: "_default_".to_owned(), distribution, offsets }];
            state.raw_operator = Some(OperatorStateHandle { states, stream, merging: None });
        }
    }
    assert!(added > 3, "{added}");
    let storage = memory();
    let manifest = millpond::storage::layout::manifest(&path("source")).unwrap();
    assert!(matches!(storage.commit(&manifest, &metadata.encode().unwrap()), CommitOutcome::Committed));
    SnapshotReader::open(Directory::new(storage, Some(path("source"))), Roots::new()).unwrap()
}

type Partitions = BTreeMap<String, Vec<(u32, Vec<u8>)>>;

/// Raw operator state: partitions by operator, with their subtasks.
fn raw(snapshot: &SnapshotReader) -> Partitions {
    let mut found = Partitions::new();
    for operator in &snapshot.metadata().operators {
        for subtask in operator.subtasks() {
            let Some(handle) = subtask.state.as_ref().and_then(|state| state.raw_operator.as_ref()) else { continue };
            let stream = snapshot.stream(&handle.stream).unwrap();
            for state in &handle.states {
                assert_eq!((state.name.as_str(), state.distribution), ("_default_", Distribution::Split));
                let ends = state.offsets.iter().skip(1).copied().chain([handle.stream.size()]);
                for (start, end) in state.offsets.iter().zip(ends) {
                    let bytes =
                        stream.as_ref()[usize::try_from(*start).unwrap()..usize::try_from(end).unwrap()].to_vec();
                    found.entry(operator.id.to_string()).or_default().push((subtask.index.0, bytes));
                }
            }
        }
    }
    found
}

/// The same without who has them.
fn bags(partitions: &Partitions) -> BTreeMap<&String, Vec<&Vec<u8>>> {
    partitions
        .iter()
        .map(|(operator, partitions)| {
            let mut bag: Vec<&Vec<u8>> = partitions.iter().map(|(_, bytes)| bytes).collect();
            bag.sort();
            (operator, bag)
        })
        .collect()
}

#[test]
fn coordinators_and_raw_state_become_again_what_they_were() {
    let source = with_raw_state();
    assert!(!coordinators(&source).is_empty());
    let own = imported(&source).unwrap();
    let options = Options { like: Some(&source), ..Options::default() };
    let (back, report) = written(|target, report| export(&own, target, &options, report));
    let back = back.unwrap();
    assert_eq!(coordinators(&back), coordinators(&source));
    assert_eq!(raw(&back), raw(&source));
    let carried: Vec<&str> = report
        .operators
        .iter()
        .flat_map(|operator| &operator.states)
        .filter(|state| matches!(state.outcome, Outcome::Carried(_)))
        .map(|state| state.kind.as_str())
        .collect();
    assert!(carried.contains(&"coordinator") && carried.contains(&"raw-operator"), "{report}");
    for state in back.operators().flat_map(|operator| operator.operator_state().unwrap()) {
        assert!(state.states().all(|info| !info.name.starts_with("flink/")), "it is no list state");
    }
    let edits = Edits { parallelism: Some(5), ..Edits::default() };
    let options = Options { like: Some(&source), edits, ..Options::default() };
    let (wider, _) = written(|target, report| export(&own, target, &options, report));
    let (rewritten, report) = written(|target, report| rewrite(&source, target, &options, report));
    let (wider, rewritten) = (wider.unwrap(), rewritten.unwrap());
    assert_eq!(bags(&raw(&wider)), bags(&raw(&source)));
    assert_eq!(raw(&wider), raw(&rewritten), "dealt out alike");
    assert_eq!(coordinators(&rewritten), coordinators(&source));
    assert!(report.to_string().contains("raw-operator flink/raw-operator of bytes: carried"), "{report}");
}

/// A user's own operator wrote three partitions with text and an empty one in each of two subtasks.
#[test]
fn raw_operator_state_of_a_real_job_goes_there_and_back() {
    let source = files::open(&fixture("wrawo-hashmap-native"));
    let partitions = raw(&source);
    let [(_, stored)] = partitions.iter().collect::<Vec<_>>()[..] else { panic!("{partitions:?}") };
    let texts: Vec<(u32, String)> =
        stored.iter().map(|(subtask, bytes)| (*subtask, String::from_utf8(bytes.clone()).unwrap())).collect();
    assert_eq!(texts.len(), 8);
    for (subtask, texts) in texts.chunks(4).enumerate() {
        for (position, (of, text)) in texts.iter().enumerate() {
            assert_eq!(usize::try_from(*of).unwrap(), subtask);
            assert!(if position < 3 {
                text.starts_with(&format!("partition {position} of "))
            } else {
                text.is_empty()
            });
        }
    }
    let own = imported(&source).unwrap();
    let options = Options { like: Some(&source), ..Options::default() };
    let (back, _) = written(|target, report| export(&own, target, &options, report));
    let (again, _) = written(|target, report| rewrite(&source, target, &Options::default(), report));
    assert_eq!(raw(&back.unwrap()), partitions);
    assert_eq!(raw(&again.unwrap()), partitions);
}

#[test]
fn carried_state_can_be_left_out_by_name() {
    let source = with_raw_state();
    let own = imported(&source).unwrap();
    let all = |state: &str| StateName { operator: None, state: state.to_owned() };
    let edits = || Edits { drop_states: vec![all(COORDINATOR_STATE), all(RAW_OPERATOR_STATE)], ..Edits::default() };
    let options = Options { like: Some(&source), edits: edits(), ..Options::default() };
    let (back, _) = written(|target, report| export(&own, target, &options, report));
    let (rewritten, _) = written(|target, report| rewrite(&source, target, &options, report));
    for snapshot in [back.unwrap(), rewritten.unwrap()] {
        assert!(coordinators(&snapshot).is_empty() && raw(&snapshot).is_empty());
    }
}
