//! Conversion within a fixed limit of memory, by the tool in a process of its own.
//!
//! `MILLPOND_CONVERT_ENTRIES` sets how many entries there are: 10,000,000 for the full test.

#![cfg(all(feature = "cli", target_os = "linux"))]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use millpond::codec::{Compression, Writer};
use millpond::format::FormatId;
use millpond::format::canonical;
use millpond::format::manifest::{KeyGroupAssignment, KeyedHandle, SectionRef, SnapshotKind};
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::section::Owner;
use millpond::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use millpond::key_group::{MaxParallelism, Parallelism};
use millpond::random::SystemRandom;
use millpond::serializer::{Bytes, Serializer, SerializerSnapshot, U64};
use millpond::snapshot::{SnapshotLabel, SnapshotTarget, SubtaskReport, assemble, publish};
use millpond::storage::{CommitOutcome, LocalStorage, ObjectPath, Storage};

/// Memory that the tool may allocate, in KiB: what `ulimit -d` limits. Mapped files are no part of it.
const LIMIT_KIB: u64 = 160 << 10;

const VALUE_BYTES: usize = 50;

/// A value state with this many keys, in canonical form, written without a backend.
fn write_source(base: &Path, entries: u64) {
    let max = MaxParallelism::new(128).unwrap();
    let mut keys: Vec<(u16, u64)> = (0..entries).map(|key| (max.group_of_key(&key.to_be_bytes()).0, key)).collect();
    keys.sort_unstable();
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::create(base).unwrap());
    let directory = ObjectPath::parse("source").unwrap();
    let target = SnapshotTarget::new(Arc::clone(&storage), directory.clone(), Arc::new(SystemRandom));
    let sink = target.new_object().unwrap();
    let mut writer = canonical::writer(sink, OperatorId::from_uid("operator"), Compression::None);
    let mut summaries = Vec::new();
    let mut value = Writer::new();
    for group in keys.chunk_by(|a, b| a.0 == b.0) {
        writer.begin(Owner::KeyGroup(millpond::key_group::KeyGroup(group[0].0))).unwrap();
        writer.begin_state("state", StateKind::Value).unwrap();
        for (_, key) in group {
            value.clear();
            Bytes.write(&vec![*key as u8; VALUE_BYTES], &mut value).unwrap();
            writer.pair(&key.to_be_bytes(), value.as_slice()).unwrap();
        }
        summaries.push(writer.finish().unwrap().unwrap());
    }
    let object = writer.close().unwrap().finish().unwrap().unwrap();
    let sections = summaries.iter().map(|summary| SectionRef::new(summary, 0).unwrap()).collect();
    let (format, range) = (FormatId::Canonical, max.all_groups());
    let (assignment, files, states) = (KeyGroupAssignment::Xxh3, Vec::new(), Vec::new());
    let keyed = KeyedHandle { format, range, assignment, objects: vec![object], sections, files, states };
    let state = StateMeta {
        name: "state".to_owned(),
        kind: StateKind::Value,
        namespace: SerializerSnapshot::Unit,
        user_key: SerializerSnapshot::Unit,
        value: Bytes.snapshot(),
        timed: false,
    };
    let report = SubtaskReport {
        operator: "operator".to_owned(),
        subtask: SubtaskIndex(0),
        parallelism: Parallelism::new(1, max).unwrap(),
        max_parallelism: max,
        key: Some(U64.snapshot()),
        states: vec![state],
        keyed: Some(keyed),
        operator_state: None,
    };
    let (job, checkpoint, kind) = (JobId([1; 16]), CheckpointId(1), SnapshotKind::Savepoint);
    let manifest = assemble(SnapshotLabel { job, checkpoint, kind, created_ms: 0 }, vec![report]).unwrap();
    assert!(matches!(publish(&*storage, &directory, &manifest), CommitOutcome::Committed));
}

/// Runs the tool with its memory limited; gives its report.
fn convert(base: &Path, from: &str, to: &str, arguments: &[&str]) -> serde_json::Value {
    limited("convert", base, from, to, arguments)
}

fn limited(command: &str, base: &Path, from: &str, to: &str, arguments: &[&str]) -> serde_json::Value {
    let run = Command::new("sh")
        .args(["-c", "ulimit -d $0 && exec \"$@\"", &LIMIT_KIB.to_string(), env!("CARGO_BIN_EXE_millpond"), command])
        .args([base.join(from), base.join(to)])
        .args(["--json", "--trusted", "--memory", "16M"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(run.status.success(), "{from} to {to}: {}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

#[test]
fn memory_does_not_grow_with_the_state() {
    let entries = std::env::var("MILLPOND_CONVERT_ENTRIES").map_or(60_000, |count| count.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    write_source(base, entries);
    let steps: [(&str, &str, &[&str]); 5] = [
        ("source", "heap", &["--to", "native-heap"]),
        ("heap", "rehashed", &["--to", "canonical", "--max-parallelism", "300", "--parallelism", "3"]),
        ("rehashed", "rocksdb", &["--to", "native-rocksdb", "--parallelism", "2"]),
        ("rocksdb", "heap-again", &["--to", "native-heap", "--max-parallelism", "128", "--parallelism", "1"]),
        ("heap-again", "canonical", &["--to", "canonical"]),
    ];
    let mut last = serde_json::Value::Null;
    for (from, to, arguments) in steps {
        last = convert(base, from, to, arguments);
        assert_eq!(last["operators"][0]["states"][0]["entries"], entries, "{from} to {to}");
    }
    let again = convert(base, "source", "reference", &["--to", "canonical"]);
    assert_eq!(last["keyed_digest"], again["keyed_digest"]);
    // To Flink with other key groups, back from there, and compared: everything is sorted.
    let report = convert(
        base,
        "source",
        "flink",
        &["--to", "flink-canonical", "--max-parallelism", "300", "--parallelism", "3"],
    );
    assert_eq!(report["operators"][0]["states"][0]["entries"], entries, "{report}");
    let report = convert(base, "flink", "imported", &["--to", "canonical"]);
    assert_eq!(report["operators"][0]["states"][0]["entries"], entries, "{report}");
    let scratch = base.to_str().unwrap();
    let report = limited("diff", base, "source", "imported", &["--scratch", scratch]);
    assert_eq!((&report["equal"], &report["states"][0]["same"]), (&true.into(), &entries.into()), "{report}");
    let left: Vec<_> = std::fs::read_dir(base).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 9, "scratch directories were left behind: {left:?}");
    if entries >= 10_000_000 {
        let state = entries * (8 + 1 + VALUE_BYTES as u64);
        assert!(state > 3 * LIMIT_KIB * 1024, "the state would fit into memory");
    }
}
