//! Snapshots whose state is in RocksDB databases.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond::backend::rocksdb::{Config, MemoryBudget};
use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat};
use millpond::clock::ManualClock;
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, SubtaskIndex};
use millpond::key_group::Parallelism;
use millpond::random::SeededRandom;
use millpond::serializer::{Serializer, Str, U64};
use millpond::snapshot::{SnapshotLabel, SnapshotTarget, SubtaskReport, assemble, publish};
use millpond::state::{ValueDescriptor, ValueState};
use millpond::storage::{CommitOutcome, LocalStorage, ObjectPath, Storage};
use serde_json::json;

use super::{millpond, sample};

const KEYS: u64 = 50;

/// A checkpoint of one state, `visits`, of the operator `pages`.
fn write(base: &Path) -> PathBuf {
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(base).unwrap());
    let directory = ObjectPath::parse("chk-1").unwrap();
    let target = SnapshotTarget::new(Arc::clone(&storage), directory.clone(), Arc::new(SeededRandom::new(1)));
    let range = sample::max().all_groups();
    let clock = Arc::new(ManualClock::new(0));
    let parameters = KeyedParameters { operator: "pages".to_owned(), max_parallelism: sample::max(), range, clock };
    let local = tempfile::tempdir().unwrap();
    let config = Config::in_directory(local.path()).with_memory(MemoryBudget::new(16 << 20));
    let mut backend = KeyedBackend::new(&BackendConfig::rocksdb(config), parameters, Str).unwrap();
    let visits = backend.register_value(&ValueDescriptor::new("visits", U64)).unwrap();
    for number in 0..KEYS {
        let key = format!("page-{number:02}");
        backend.key(&key).unwrap().value(&visits).unwrap().set(number).unwrap();
    }
    let snapshot = backend.snapshot().unwrap();
    let report = SubtaskReport {
        operator: "pages".to_owned(),
        subtask: SubtaskIndex(0),
        parallelism: Parallelism::new(1, sample::max()).unwrap(),
        max_parallelism: sample::max(),
        key: Some(Str.snapshot()),
        states: snapshot.states(),
        keyed: snapshot.write(&target, KeyedSnapshotFormat::Native, &|| true).unwrap(),
        operator_state: None,
    };
    let checkpoint = CheckpointId(1);
    let label = SnapshotLabel { job: sample::JOB, checkpoint, kind: SnapshotKind::Checkpoint, created_ms: 0 };
    let published = publish(&*storage, &directory, &assemble(label, vec![report]).unwrap());
    assert!(matches!(published, CommitOutcome::Committed));
    base.join("chk-1")
}

#[test]
fn entries_are_shown_and_counted_once_the_snapshot_is_trusted() {
    let base = tempfile::tempdir().unwrap();
    let directory = write(base.path());
    let path = directory.to_str().unwrap();
    let show = ["show", path, "--operator", "pages", "--state", "visits", "--json"];
    let refused = millpond(&show);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("--trusted"), "{}", refused.stderr);
    let shown = millpond(&[&show[..], &["--trusted"]].concat());
    assert_eq!((shown.code, shown.json_lines().len() as u64), (0, KEYS), "{}", shown.stderr);
    let one = millpond(&[&show[..], &["--trusted", "--key", "page-07"]].concat()).json_lines();
    assert_eq!((one.len(), &one[0]["value"]), (1, &json!(7)), "{one:?}");
    let inspected = millpond(&["inspect", path, "--json"]).json();
    let subtask = &inspected["operators"][0]["subtasks"][0];
    assert_eq!(subtask["format"], json!("native-rocksdb"));
    assert!(subtask["keyed_bytes"].as_u64().unwrap() > 0 && subtask["keyed_entries"].is_null(), "{subtask}");
    assert!(inspected["operators"][0]["key_groups"].is_null(), "what is not known is not shown as nothing");
    assert!(millpond(&["inspect", path]).output().contains('?'));
    let counted = millpond(&["inspect", path, "--count", "--trusted", "--json"]).json();
    assert_eq!(counted["operators"][0]["states"][0]["entries"], json!(KEYS));
}

#[test]
fn files_are_checked_without_trust_and_rows_with_it() {
    let base = tempfile::tempdir().unwrap();
    let directory = write(base.path());
    let path = directory.to_str().unwrap();
    let unread = millpond(&["verify", path, "--json"]);
    assert_eq!((unread.code, &unread.json()["unread"], &unread.json()["damaged"]), (3, &json!(1), &json!(0)));
    let intact = millpond(&["verify", path, "--trusted", "--json"]);
    assert_eq!((intact.code, &intact.json()["entries"], &intact.json()["databases"]), (0, &json!(KEYS), &json!(1)));
    let files = sample::files(&directory);
    let is_table = |file: &&PathBuf| !file.ends_with("_metadata") && std::fs::metadata(file).unwrap().len() > 900;
    let table = files.iter().find(is_table).unwrap();
    sample::flip(table, 100);
    let damaged = millpond(&["verify", path, "--json"]);
    assert_eq!(damaged.code, 1);
    assert_eq!(damaged.json()["findings"][0]["file"], json!(table.canonicalize().unwrap()));
}
