//! Takes over the state of a Flink job: imports a savepoint, restores it into Rust types, and goes on.
//!
//! ```text
//! cargo run --example flink_restore [SAVEPOINT]
//! ```

use std::sync::Arc;

use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters};
use millpond::clock::SystemClock;
use millpond::flink::{self, Directory, ImportOptions};
use millpond::format::flink::Roots;
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId};
use millpond::random::SystemRandom;
use millpond::serializer::{I64, Msgpack};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, publish};
use millpond::state::{ReducingDescriptor, ReducingState, ValueDescriptor, ValueState};
use millpond::storage::layout::JobLayout;
use millpond::storage::{CommitOutcome, LocalStorage, MemoryStorage, Storage};
use serde::{Deserialize, Serialize};

/// A savepoint that Flink 1.20 wrote, from RocksDB, with compression.
const SAVEPOINT: &str = "tests/fixtures/flink/1.20.5/A/core-rocksdb-lz-canonical/savepoint";

/// The POJO of the Flink job, as far as this program needs it. Its primitive fields are never null; the other one may be.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Person {
    active: bool,
    id: i64,
    opt: Option<i32>,
    score: f64,
}

const PERSON: ValueDescriptor<Msgpack<Person>> = ValueDescriptor::new("v-pojo", Msgpack::new());
const SUM: ReducingDescriptor<I64> = ReducingDescriptor::new("r-sum", I64, |sum, new| *sum += new);

fn main() -> millpond::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| SAVEPOINT.to_owned());

    // Flink's savepoint, as it lies there. It names its files relative to itself, so there are no other roots.
    let directory = Directory::new(Arc::new(LocalStorage::open(path)?), None);
    let savepoint = flink::SnapshotReader::open(directory, Roots::new())?;

    // The same state in the canonical format, in any storage.
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 30));
    let label = SnapshotLabel {
        job: JobId([1; 16]),
        checkpoint: CheckpointId(1),
        kind: SnapshotKind::Savepoint,
        created_ms: 0,
    };
    let directory = JobLayout::new(label.job).checkpoint(label.checkpoint);
    let target = SnapshotTarget::new(storage.clone(), directory.clone(), Arc::new(SystemRandom));
    let imported = flink::import(&savepoint, label, &target, &ImportOptions::default(), &|_| true)?;
    for note in &imported.notes {
        println!("note: {}", note.message);
    }
    assert!(matches!(publish(&*storage, &directory, &imported.manifest), CommitOutcome::Committed));

    // A Rust operator with the uid of the Flink operator.
    let snapshot = SnapshotReader::open(storage, directory)?;
    let operator = snapshot.operator("a-long")?;
    let parameters = KeyedParameters {
        operator: "a-long".into(),
        max_parallelism: operator.max_parallelism(),
        range: operator.max_parallelism().all_groups(),
        clock: Arc::new(SystemClock),
    };
    let mut backend = KeyedBackend::restore(&BackendConfig::default(), parameters, I64, &operator)?;
    let person = backend.register_value(&PERSON)?;
    let sum = backend.register_reducing(&SUM)?;
    println!("carried along: {} states that this program does not know", backend.carried_states().len());

    // Keys are looked up, and new ones added, where Flink would look for them.
    for key in [-1, 1, 123_456_789] {
        let mut context = backend.key(&key)?;
        match context.value(&person)?.get()? {
            Some(person) => {
                println!("key {key}: {}, active {}, {:?}, score {}", person.id, person.active, person.opt, person.score)
            }
            None => println!("key {key}: nobody"),
        }
        context.reducing(&sum)?.add(1)?;
        println!("key {key}: sum {:?}", context.reducing(&sum)?.get()?.as_deref());
    }
    Ok(())
}
