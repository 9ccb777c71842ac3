//! A job that moves from Apache Flink to Rust and back.
//!
//! A savepoint that Flink 1.20 wrote is converted to millpond's canonical format; its operator `a-long` is restored at
//! another parallelism into types of this program; every key is worked on; and the state is written back as a savepoint
//! that Flink restores, with the serializers that the Flink job declared.
//!
//! usage: flink SAVEPOINT WORK, where WORK is a directory that is there and empty. `make demo` runs it.

use std::process::ExitCode;
use std::sync::Arc;

use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat};
use millpond::clock::{Clock, SystemClock};
use millpond::flink::export::{self, Options, Report, Target};
use millpond::flink::{self, Directory, ImportOptions};
use millpond::format::flink::Roots;
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::{KeyGroupRange, MaxParallelism, Parallelism};
use millpond::random::{RandomSource, SystemRandom};
use millpond::serializer::{I64, Msgpack, Serializer};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, assemble, publish};
use millpond::state::{ReducingDescriptor, ReducingState, ValueDescriptor};
use millpond::storage::{CommitOutcome, LocalStorage, ObjectPath, Storage};
use millpond::{Error, Result};
use serde::{Deserialize, Serialize};

/// The operator of the Flink job that goes on here.
const OPERATOR: &str = "a-long";

/// Subtasks here; there were three in Flink.
const PARALLELISM: u32 = 2;

/// The POJO of the Flink job, as far as this program looks at it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Person {
    active: bool,
    id: i64,
    opt: Option<i32>,
    score: f64,
}

const PERSON: ValueDescriptor<Msgpack<Person>> = ValueDescriptor::new("v-pojo", Msgpack::new());
const SUM: ReducingDescriptor<I64> = ReducingDescriptor::new("r-sum", I64, |sum, new| *sum += new);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [savepoint, work] = arguments.as_slice() else {
        eprintln!("usage: flink SAVEPOINT WORK");
        return ExitCode::from(2);
    };
    match run(savepoint, work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flink: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(savepoint: &str, work: &str) -> Result<()> {
    let savepoint: Arc<dyn Storage> = Arc::new(LocalStorage::open(savepoint)?);
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::create(work)?);
    let random: Arc<dyn RandomSource> = Arc::new(SystemRandom);
    let job = JobId(random.next_u128()?.to_be_bytes());
    let flink = flink::SnapshotReader::open(Directory::new(savepoint, None), Roots::new())?;

    println!("1. Flink's savepoint becomes one of millpond's");
    let imported = ObjectPath::parse("imported")?;
    let target = SnapshotTarget::new(Arc::clone(&storage), imported.clone(), Arc::clone(&random));
    let manifest = flink::import(&flink, label(job, 1), &target, &ImportOptions::default(), &|_| true)?.manifest;
    commit(publish(&*storage, &imported, &manifest))?;
    println!("   {} operators, in {work}/imported", manifest.operators.len());

    println!("2. Operator {OPERATOR} goes on in Rust, in {PARALLELISM} subtasks");
    let source = SnapshotReader::open(Arc::clone(&storage), imported)?;
    let continued = ObjectPath::parse("continued")?;
    let target = SnapshotTarget::new(Arc::clone(&storage), continued.clone(), Arc::clone(&random));
    let mut seen = Seen::default();
    let mut reports = Vec::new();
    for index in 0..PARALLELISM {
        reports.push(subtask(index, &source, &target, &mut seen)?);
    }
    let manifest = assemble(label(job, 2), reports)?;
    commit(publish(&*storage, &continued, &manifest))?;
    println!(
        "   {} people, of whom {} are active; {} sums added up to {}",
        seen.people, seen.active, seen.sums, seen.total
    );
    println!("   every sum grew by one; a savepoint is in {work}/continued");

    println!("3. The state goes back to Flink, with the types that its job declared");
    let source = SnapshotReader::open(Arc::clone(&storage), continued)?;
    let back = ObjectPath::parse("for-flink")?;
    let target = Target::new(Arc::clone(&storage), back.clone(), random);
    let mut report = Report::default();
    let options = Options { like: Some(&flink), ..Options::default() };
    export::export(&source, &target, &options, &mut report)?;
    println!("   {}", report.to_string().replace('\n', "\n   "));
    compare(&flink, &flink::SnapshotReader::open(Directory::new(storage, Some(back)), Roots::new())?)?;
    println!("   read back: the same keys and states as before, in {work}/for-flink");
    Ok(())
}

fn label(job: JobId, checkpoint: u64) -> SnapshotLabel {
    let created_ms = SystemClock.now_ms();
    SnapshotLabel { job, checkpoint: CheckpointId(checkpoint), kind: SnapshotKind::Savepoint, created_ms }
}

fn commit(outcome: CommitOutcome) -> Result<()> {
    match outcome {
        CommitOutcome::Committed => Ok(()),
        CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => Err(error),
    }
}

/// What the subtasks found.
#[derive(Debug, Default)]
struct Seen {
    people: u64,
    active: u64,
    sums: u64,
    total: i64,
}

/// Restores one subtask, works on every key, and takes its part of a savepoint.
fn subtask(index: u32, source: &SnapshotReader, target: &SnapshotTarget, seen: &mut Seen) -> Result<SubtaskReport> {
    let operator = source.operator(OPERATOR)?;
    let max_parallelism: MaxParallelism = operator.max_parallelism();
    let parallelism = Parallelism::new(PARALLELISM, max_parallelism)?;
    let parameters = KeyedParameters {
        operator: OPERATOR.to_owned(),
        max_parallelism,
        range: KeyGroupRange::of_subtask(index, parallelism, max_parallelism)?,
        clock: Arc::new(SystemClock),
    };
    // One backend to look with, and one to work with, which carries what it does not register as it is.
    let mut people = KeyedBackend::restore(&BackendConfig::default(), parameters.clone(), I64, &operator)?;
    let person = people.register_value(&PERSON)?;
    let mut backend = KeyedBackend::restore(&BackendConfig::default(), parameters, I64, &operator)?;
    let sum = backend.register_reducing(&SUM)?;
    let mut keys = Vec::new();
    people.for_each_value(&person, |key, _, person: &Person| {
        seen.people += 1;
        seen.active += u64::from(person.active);
        keys.push(*key);
    })?;
    for key in keys {
        let mut context = backend.key(&key)?;
        let mut state = context.reducing(&sum)?;
        if let Some(before) = state.get()?.as_deref().copied() {
            seen.sums += 1;
            seen.total += before;
            state.add(1)?;
        }
    }
    let snapshot = backend.snapshot()?;
    Ok(SubtaskReport {
        operator: OPERATOR.to_owned(),
        subtask: SubtaskIndex(index),
        parallelism,
        max_parallelism,
        key: Some(I64.snapshot()),
        states: snapshot.states(),
        keyed: snapshot.write(target, KeyedSnapshotFormat::Canonical, &|| true)?,
        operator_state: None,
    })
}

/// Compares the number of entries of every state of the operator in two savepoints of Flink's.
fn compare(before: &flink::SnapshotReader, after: &flink::SnapshotReader) -> Result<()> {
    let (before, after) = (before.operator(OPERATOR)?, after.operator(OPERATOR)?);
    for state in before.keyed()?.states() {
        let count = |operator: &flink::OperatorReader<'_>| -> Result<u64> {
            let mut entries = 0;
            operator.state(&state.name)?.entries(|_| {
                entries += 1;
                Ok(std::ops::ControlFlow::Continue(()))
            })?;
            Ok(entries)
        };
        let (before, after) = (count(&before)?, count(&after)?);
        if before != after {
            return Err(Error::internal(format!("state {} had {before} entries and has {after}", state.name)));
        }
    }
    Ok(())
}
