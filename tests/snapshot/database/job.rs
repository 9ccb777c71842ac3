//! A job in miniature that keeps its state in databases, without a backend, and a model of what it should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use millpond::Result;
use millpond::codec::Writer;
use millpond::format::manifest::{KeyedHandle, Manifest, ObjectRef, SnapshotKind};
use millpond::format::native_rocksdb::{IDENTITY_KEY, Identity, column_family_name, row_key};
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::section::Owner;
use millpond::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use millpond::key_group::{KeyGroupRange, MaxParallelism, Parallelism};
use millpond::random::SeededRandom;
use millpond::serializer::SerializerSnapshot as S;
use millpond::snapshot::database::{ScratchDirectory, StoredTables, assemble, database_options, state_options, store};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, Trust, publish};
use millpond::storage::layout::JobLayout;
use millpond::storage::{CommitOutcome, ObjectPath, Storage};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamilyDescriptor, DB, Options, WriteOptions};

pub(super) const UID: &str = "operator";
pub(super) const JOB: JobId = JobId([7; 16]);

pub(super) fn max() -> MaxParallelism {
    MaxParallelism::new(16).unwrap()
}

pub(super) fn identity() -> Identity {
    Identity { operator: OperatorId::from_uid(UID), max_parallelism: max() }
}

/// A local directory; in memory where the system has a file system there, because databases are synced often.
pub(super) fn local_directory() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// A list, a map and a value state, all under string keys.
pub(super) fn states() -> Vec<StateMeta> {
    let state = |name: &str, kind, user_key, value| StateMeta {
        name: name.to_owned(),
        kind,
        namespace: S::Unit,
        user_key,
        value,
        timed: false,
    };
    vec![
        state("default", StateKind::List, S::Unit, S::U32),
        state("items", StateKind::Map, S::String, S::U64),
        state("last", StateKind::Value, S::Unit, S::String),
    ]
}

/// State, key group and neutral key; neutral value.
pub(super) type Model = BTreeMap<(String, u16, Vec<u8>), Vec<u8>>;

/// A seeded sequence of numbers.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn bytes(encode: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::new();
    encode(&mut out);
    out.into_bytes()
}

/// A database that is open for writing.
pub(super) struct Part {
    pub(super) range: KeyGroupRange,
    db: DB,
    pub(super) stored: StoredTables,
    scratch: ScratchDirectory,
    checkpoints: u64,
}

impl Part {
    fn open(range: KeyGroupRange, scratch: ScratchDirectory, stored: StoredTables) -> Self {
        let mut options = database_options();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let default = ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, Options::default());
        let families = states().into_iter().map(|state| {
            let mut options = state_options(state.kind);
            // Small, so that there are several tables and levels.
            options.set_write_buffer_size(64 << 10);
            options.set_level_zero_file_num_compaction_trigger(2);
            ColumnFamilyDescriptor::new(column_family_name(&state.name), options)
        });
        let db = DB::open_cf_descriptors(&options, scratch.path().join("db"), [default].into_iter().chain(families));
        let part = Part { range, db: db.unwrap(), stored, scratch, checkpoints: 0 };
        part.db.put_opt(IDENTITY_KEY, identity().encode(), &unlogged()).unwrap();
        part
    }

    /// Changes a row at random, in the database and in the model.
    pub(super) fn change(&self, numbers: &mut Numbers, keys: u64, model: &mut Model) {
        let name = format!("key-{}", numbers.below(keys));
        let key = bytes(|out| out.str(&name));
        let group = max().group_of_key(&key);
        if !self.range.contains(group) {
            return;
        }
        let state = &states()[numbers.below(3) as usize];
        let key = match state.kind {
            StateKind::Map => bytes(|out| {
                out.raw(&key);
                out.str(&format!("item-{}", numbers.below(4)));
            }),
            _ => key,
        };
        let row = bytes(|out| row_key(group, &key, out));
        let family = self.db.cf_handle(&column_family_name(&state.name)).unwrap();
        let entry = (state.name.clone(), group.0, key);
        if numbers.below(5) == 0 {
            self.db.delete_cf_opt(family, row, &unlogged()).unwrap();
            model.remove(&entry);
        } else if state.kind == StateKind::List {
            let element = bytes(|out| out.bytes(&(numbers.below(1 << 30) as u32).to_be_bytes()));
            self.db.merge_cf_opt(family, row, &element, &unlogged()).unwrap();
            model.entry(entry).or_default().extend(element);
        } else {
            let value = match state.kind {
                StateKind::Map => bytes(|out| out.u64(numbers.below(1 << 40))),
                _ => bytes(|out| out.str(&format!("value-{}", numbers.below(1 << 40)))),
            };
            self.db.put_cf_opt(family, row, &value, &unlogged()).unwrap();
            model.insert(entry, value);
        }
    }

    pub(super) fn compact(&self) {
        for state in states() {
            let family = self.db.cf_handle(&column_family_name(&state.name)).unwrap();
            self.db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        }
    }

    /// What a backend does in the first phase: flush everything, and a directory with links to all files.
    pub(super) fn checkpoint(&mut self) -> PathBuf {
        let names: Vec<String> = states().iter().map(|state| column_family_name(&state.name)).collect();
        let mut families: Vec<_> = names.iter().map(|name| self.db.cf_handle(name).unwrap()).collect();
        families.push(self.db.cf_handle(rocksdb::DEFAULT_COLUMN_FAMILY_NAME).unwrap());
        self.db.flush_cfs_opt(&families, &rocksdb::FlushOptions::default()).unwrap();
        self.checkpoints += 1;
        let directory = self.scratch.path().join(format!("checkpoint-{}", self.checkpoints));
        Checkpoint::new(&self.db).unwrap().create_checkpoint(&directory).unwrap();
        directory
    }
}

fn unlogged() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

/// All subtasks, and where they write.
pub(super) struct Job {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) random: Arc<SeededRandom>,
    // Closed before their directory goes: RocksDB waits a second where it cannot write.
    pub(super) parts: Vec<Part>,
    pub(super) local: tempfile::TempDir,
    pub(super) model: Model,
    pub(super) threads: usize,
    /// The checkpoint that the next increment refers to: it must not go before that one has completed.
    pub(super) base: Option<u64>,
}

impl Job {
    pub(super) fn new(storage: Arc<dyn Storage>, seed: u64, parallelism: u32) -> Self {
        let local = local_directory();
        let random = Arc::new(SeededRandom::new(seed));
        let mut job = Job { storage, random, local, parts: Vec::new(), model: Model::new(), threads: 1, base: None };
        job.begin(parallelism);
        job
    }

    fn ranges(parallelism: u32) -> Vec<KeyGroupRange> {
        let parallelism = Parallelism::new(parallelism, max()).unwrap();
        (0..parallelism.get()).map(|index| KeyGroupRange::of_subtask(index, parallelism, max()).unwrap()).collect()
    }

    fn scratch(&self) -> ScratchDirectory {
        ScratchDirectory::create_in(self.local.path(), "part").unwrap()
    }

    /// Begins anew, with nothing.
    pub(super) fn begin(&mut self, parallelism: u32) {
        self.model.clear();
        self.base = None;
        self.parts = Self::ranges(parallelism)
            .into_iter()
            .map(|range| Part::open(range, self.scratch(), StoredTables::default()))
            .collect();
    }

    /// Goes on from a checkpoint, from storage alone.
    pub(super) fn restore(&mut self, id: u64, parallelism: u32, model: Model) -> Result<()> {
        self.parts.clear();
        let snapshot = self.open(id)?;
        let operator = snapshot.operator(UID)?;
        for range in Self::ranges(parallelism) {
            let scratch = self.scratch();
            let directory = scratch.make("db")?;
            let assembled = assemble(&operator, range, &directory, self.local.path(), self.threads, &|| true)?;
            let stored = assembled.map(|assembled| assembled.stored).unwrap_or_default();
            self.parts.push(Part::open(range, scratch, stored));
        }
        (self.model, self.base) = (model, Some(id));
        Ok(())
    }

    pub(super) fn change(&mut self, numbers: &mut Numbers, count: u64, keys: u64) {
        for _ in 0..count {
            let at = numbers.0;
            for part in &self.parts {
                // Every part draws the same numbers; the one that owns the key makes the change.
                numbers.0 = at;
                part.change(numbers, keys, &mut self.model);
            }
            numbers.0 = at.wrapping_add(0x9E37_79B9_7F4A_7C15);
        }
    }

    pub(super) fn directory(id: u64) -> ObjectPath {
        JobLayout::new(JOB).checkpoint(CheckpointId(id))
    }

    pub(super) fn target(&self, id: u64) -> SnapshotTarget {
        let random = Arc::clone(&self.random);
        SnapshotTarget::new(Arc::clone(&self.storage), Self::directory(id), random).with_threads(self.threads)
    }

    /// Stores the state of every subtask.
    pub(super) fn store(
        &mut self,
        id: u64,
        incremental: bool,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<KeyedHandle>> {
        let target = self.target(id);
        let mut handles = Vec::new();
        for part in &mut self.parts {
            let directory = part.checkpoint();
            let stored = incremental.then_some(&part.stored);
            handles.push(store(&directory, part.range, &target, stored, keep_going)?);
        }
        Ok(handles)
    }

    /// Publishes what was stored, after which the subtasks may refer to it.
    pub(super) fn publish(&mut self, id: u64, handles: Vec<KeyedHandle>) -> Result<Manifest> {
        for (part, handle) in self.parts.iter_mut().zip(&handles) {
            part.stored = StoredTables::of(handle);
        }
        self.base = Some(id);
        publish_handles(&*self.storage, id, handles)
    }

    pub(super) fn checkpoint(&mut self, id: u64) -> Result<Manifest> {
        let handles = self.store(id, true, &|| true)?;
        self.publish(id, handles)
    }

    pub(super) fn open(&self, id: u64) -> Result<SnapshotReader> {
        let reader = SnapshotReader::open(Arc::clone(&self.storage), Self::directory(id))?;
        Ok(reader.trust(Trust::Own).with_scratch(self.local.path()))
    }

    /// Everything a checkpoint holds, by a walk over it.
    pub(super) fn content(&self, id: u64) -> Result<Model> {
        content(&self.open(id)?)
    }
}

pub(super) fn content(snapshot: &SnapshotReader) -> Result<Model> {
    let operator = snapshot.operator(UID)?;
    let mut model = Model::new();
    for state in states() {
        operator.state(&state.name)?.pairs(|place, key, value| {
            let Owner::KeyGroup(group) = place.owner else { panic!("{}", place.owner) };
            assert!(model.insert((state.name.clone(), group.0, key.to_vec()), value.to_vec()).is_none());
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(model)
}

/// Publishes a checkpoint of one operator whose subtasks have these handles.
pub(super) fn publish_handles(storage: &dyn Storage, id: u64, handles: Vec<KeyedHandle>) -> Result<Manifest> {
    let parallelism = Parallelism::new(handles.len() as u32, max())?;
    let report = |(index, handle)| SubtaskReport {
        operator: UID.to_owned(),
        subtask: SubtaskIndex(index),
        parallelism,
        max_parallelism: max(),
        key: Some(S::String),
        states: states(),
        keyed: Some(handle),
        operator_state: None,
    };
    let reports = (0..).zip(handles).map(report).collect();
    let checkpoint = CheckpointId(id);
    let label = SnapshotLabel { job: JOB, checkpoint, kind: SnapshotKind::Checkpoint, created_ms: 1_000 };
    let manifest = millpond::snapshot::assemble(label, reports)?;
    match publish(storage, &Job::directory(id), &manifest) {
        CommitOutcome::Committed => Ok(manifest),
        CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => Err(error),
    }
}

/// Where an object of a checkpoint lies.
pub(super) fn path_of(id: u64, object: &ObjectRef) -> ObjectPath {
    use millpond::format::manifest::ObjectScope;
    let directory = match object.scope {
        ObjectScope::Exclusive => Job::directory(id),
        ObjectScope::Shared => JobLayout::new(JOB).shared(),
        other => panic!("{other:?}"),
    };
    directory.join(&object.name).unwrap()
}

/// Deletes what none of these checkpoints names.
pub(super) fn collect(storage: &dyn Storage, retained: &BTreeMap<u64, Manifest>) {
    let mut named: BTreeSet<ObjectPath> = BTreeSet::new();
    for (id, manifest) in retained {
        named.extend(manifest.objects().map(|object| path_of(*id, object)));
        named.insert(Job::directory(*id).join("_metadata").unwrap());
    }
    for object in storage.list(None).unwrap() {
        if !named.contains(&object.path) {
            storage.delete(&object.path).unwrap();
        }
    }
}
