//! Taking a snapshot: the short phase on the processing thread, and the long one on any other.

use super::KeyedBackend;
use super::database::CheckpointDirectory;
use super::expiry::{Liveness, is_live};
use super::sweep::keep_live;
use crate::backend::ledger::Lineage;
use crate::backend::sections::write_groups;
use crate::backend::{Key, KeyedSnapshotFormat, SnapshotVersion};
use crate::codec::Writer;
use crate::error::Result;
use crate::format::canonical::PairWriter;
use crate::format::manifest::{KeyGroupAssignment, KeyedHandle};
use crate::format::native_rocksdb::{Identity, column_family_name};
use crate::format::record::{StateKind, StateMeta};
use crate::format::{FormatId, canonical};
use crate::key_group::{KeyGroup, KeyGroupRange};
use crate::serializer::Serializer;
use crate::snapshot::database::{Database, Rows, StoredTables, store, table_bytes};
use crate::snapshot::{ObjectSink, SnapshotTarget};

/// Tables of more bytes are taken to hold entries.
const EMPTY_BYTES: u64 = 1 << 20;

/// The state of a backend at one moment, to be written on whatever thread.
///
/// It is a directory of links to the database's files. Dropping it removes the directory, and so lets the database remove files
/// that it has replaced meanwhile.
pub struct Snapshot {
    identity: Identity,
    range: KeyGroupRange,
    /// Sorted by name.
    states: Vec<Frozen>,
    checkpoint: CheckpointDirectory,
    lineage: Lineage<StoredTables>,
    assignment: KeyGroupAssignment,
}

/// One state of a snapshot.
struct Frozen {
    meta: StateMeta,
    /// By which rule values are left out of canonical snapshots.
    liveness: Option<Liveness>,
}

impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// Takes a snapshot: writes what is in memory to files and links all files. Costs a flush of what was written since the
    /// last one, at most the write buffers, and a step per file.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        let now_ms = self.now_ms();
        let mut states: Vec<Frozen> =
            self.carried.values().map(|carried| Frozen { meta: carried.meta.clone(), liveness: None }).collect();
        for state in &self.states {
            let filtered = state.rule.0.is_some_and(|ttl| ttl.cleanup.in_snapshots);
            let liveness = filtered.then(|| state.rule.liveness(now_ms));
            states.push(Frozen { meta: state.meta.clone(), liveness });
        }
        states.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
        self.states.iter().try_for_each(|state| state.rows_in(&self.database)?.settle())?;
        let families: Vec<String> = states.iter().map(|state| column_family_name(&state.meta.name)).collect();
        let checkpoint = self
            .database
            .checkpoint(families.iter().map(String::as_str))
            .map_err(|error| error.in_operator(&self.parameters.operator))?;
        let (identity, lineage) = (self.database.identity(), self.ledger.take());
        let (range, foreign) = (self.parameters.range, self.foreign.as_ref());
        let assignment = foreign.map(|foreign| foreign.assignment().clone()).unwrap_or_default();
        Ok(Snapshot { identity, range, states, checkpoint, lineage, assignment })
    }

    /// The checkpoint of a snapshot completed: incremental snapshots taken from now on may refer to what it wrote.
    ///
    /// Of several, the newest counts. Versions that come late, twice, or from elsewhere do no harm.
    pub fn confirm(&mut self, version: SnapshotVersion) {
        self.ledger.confirm(version);
    }

    /// The checkpoint of a snapshot was aborted: nothing will refer to what it wrote.
    pub fn reject(&mut self, version: SnapshotVersion) {
        self.ledger.reject(version);
    }
}

impl Snapshot {
    /// By what the backend is told later what became of the checkpoint.
    pub fn version(&self) -> SnapshotVersion {
        self.lineage.version()
    }

    /// Descriptions of the states, sorted by name, for the manifest.
    pub fn states(&self) -> Vec<StateMeta> {
        self.descriptions()
    }

    /// Writes the snapshot; `keep_going` is asked again and again and ends the work with
    /// [`Aborted`](crate::ErrorKind::Aborted) when it says no. `None` if there is no entry at all.
    ///
    /// In the native formats the database is stored file by file, on as many threads as the target says, with values that
    /// are expired and not cleaned up yet.
    pub fn write(
        self,
        target: &SnapshotTarget,
        format: KeyedSnapshotFormat,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Option<KeyedHandle>> {
        let assignment = self.assignment.clone();
        let handle = self.write_as(target, format, keep_going)?;
        Ok(handle.map(|handle| handle.assigned_by(assignment)))
    }

    fn write_as(
        self,
        target: &SnapshotTarget,
        format: KeyedSnapshotFormat,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Option<KeyedHandle>> {
        match format {
            KeyedSnapshotFormat::Canonical => self.write_canonical(target, keep_going),
            _ if self.is_empty()? => Ok(None),
            KeyedSnapshotFormat::Native => {
                store(self.checkpoint.path(), self.range, target, None, keep_going).map(Some)
            }
            KeyedSnapshotFormat::Incremental => self.write_incremental(target, keep_going).map(Some),
        }
    }

    /// Whether there is no row in the range. Rows that were deleted are skipped, so this is not asked of a database that has
    /// much in its files.
    fn is_empty(&self) -> Result<bool> {
        if table_bytes(self.checkpoint.path())? > EMPTY_BYTES {
            return Ok(false);
        }
        let database = Database::open(self.checkpoint.path(), &self.identity, &self.descriptions())?;
        for state in &self.states {
            if database.rows(&state.meta.name, self.range).next_row()?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn descriptions(&self) -> Vec<StateMeta> {
        self.states.iter().map(|state| state.meta.clone()).collect()
    }

    /// Stores the tables that the base does not have, for others to refer to, and what goes with this snapshot.
    fn write_incremental(&self, target: &SnapshotTarget, keep_going: &dyn Fn() -> bool) -> Result<KeyedHandle> {
        let (home, nothing) = (target.home(), StoredTables::default());
        let stored = self.lineage.base(&home).map_or(&nothing, |base| &base.written);
        let handle = store(self.checkpoint.path(), self.range, target, Some(stored), keep_going)?;
        self.lineage.record(home, StoredTables::of(&handle));
        Ok(handle)
    }

    fn write_canonical(self, target: &SnapshotTarget, keep_going: &dyn Fn() -> bool) -> Result<Option<KeyedHandle>> {
        let descriptions = self.descriptions();
        let Snapshot { identity, range, states, checkpoint, .. } = self;
        let database = Database::open(checkpoint.path(), &identity, &descriptions)?;
        let mut walks: Vec<Walk<'_>> = states.iter().map(|state| Walk::new(state, &database, range)).collect();
        let writer = canonical::writer(target.new_object()?, identity.operator, target.compression());
        write_groups(writer, FormatId::Canonical, range, keep_going, |writer, group| {
            walks
                .iter_mut()
                .try_for_each(|walk| walk.write(group, writer).map_err(|error| error.in_state(&walk.state.meta.name)))
        })
    }
}

/// The rows of one state, group after group.
struct Walk<'d> {
    state: &'d Frozen,
    rows: Rows<'d>,
    /// The first row of a later group, which was read to see that a group is over.
    ahead: Option<(KeyGroup, Vec<u8>, Vec<u8>)>,
    live: Writer,
}

impl<'d> Walk<'d> {
    fn new(state: &'d Frozen, database: &'d Database, range: KeyGroupRange) -> Self {
        Walk { state, rows: database.rows(&state.meta.name, range), ahead: None, live: Writer::new() }
    }

    /// Writes the entries of one group.
    fn write(&mut self, group: KeyGroup, out: &mut PairWriter<ObjectSink>) -> Result<()> {
        let Walk { state, rows, ahead, live } = self;
        let mut is_begun = false;
        match ahead.take() {
            Some((of, key, value)) if of == group => write_entry(state, &key, &value, live, &mut is_begun, out)?,
            Some(later) => {
                *ahead = Some(later);
                return Ok(());
            }
            None => {}
        }
        while let Some(row) = rows.next_row()? {
            if row.group != group {
                *ahead = Some((row.group, row.key.to_vec(), row.value.to_vec()));
                return Ok(());
            }
            write_entry(state, row.key, row.value, live, &mut is_begun, out)?;
        }
        Ok(())
    }
}

/// Writes an entry, or what is live of it.
fn write_entry(
    state: &Frozen,
    key: &[u8],
    value: &[u8],
    live: &mut Writer,
    is_begun: &mut bool,
    out: &mut PairWriter<ObjectSink>,
) -> Result<()> {
    let mut value = value;
    if let Some(liveness) = &state.liveness {
        if is_live(state.meta.kind, value, liveness) == Some(false) {
            return Ok(());
        }
        if state.meta.kind == StateKind::List {
            live.clear();
            keep_live(value, liveness, live)?;
            value = live.as_slice();
        }
    }
    if !*is_begun {
        *is_begun = true;
        out.begin_state(&state.meta.name, state.meta.kind)?;
    }
    out.pair(key, value)
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("identity", &self.identity).field("range", &self.range).finish_non_exhaustive()
    }
}
