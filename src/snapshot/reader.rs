use std::collections::HashMap;
use std::ops::ControlFlow;
#[cfg(feature = "rocksdb")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::home::Home;
use super::opened::{OpenedDatabases, RowVisit};
use super::rescale::{KeyedShare, KeyedSources};
use super::target::object_path;
use super::trust::Trust;
use crate::codec::{Compression, digest};
use crate::error::{Error, Result};
use crate::format::manifest::{
    KeyedHandle, Manifest, ObjectRef, OperatorSnapshot, OperatorStateContent, OperatorStateHandle, SectionRef,
};
use crate::format::record::StateMeta;
use crate::format::section::{Owner, SectionId, SectionSummary};
use crate::format::{FormatId, canonical};
use crate::ids::{OperatorId, SubtaskIndex};
use crate::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
use crate::serializer::SerializerSnapshot;
use crate::storage::{Blob, ObjectPath, Storage, layout};

/// An opened snapshot: its manifest is read and checked, its objects are opened when they are asked for.
#[derive(Debug)]
pub struct SnapshotReader {
    storage: Arc<dyn Storage>,
    directory: ObjectPath,
    manifest: Manifest,
    trust: Trust,
    databases: OpenedDatabases,
}

impl SnapshotReader {
    /// Opens the snapshot in `directory`.
    pub fn open(storage: Arc<dyn Storage>, directory: ObjectPath) -> Result<Self> {
        let path = layout::manifest(&directory)?;
        let bytes = storage.open(&path).map_err(|error| error.in_file(&path))?;
        let manifest = Manifest::decode(bytes.as_slice()).map_err(|error| error.in_file(&path))?;
        let databases = OpenedDatabases::default();
        Ok(SnapshotReader { storage, directory, manifest, trust: Trust::default(), databases })
    }

    /// A snapshot that was written and is not published: what `manifest` names lies in and beside `directory`.
    pub(crate) fn unpublished(storage: Arc<dyn Storage>, directory: ObjectPath, manifest: Manifest) -> Self {
        let databases = OpenedDatabases::default();
        SnapshotReader { storage, directory, manifest, trust: Trust::default(), databases }
    }

    /// The same, with the snapshot trusted so far. The default is not at all.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// The same, with a local directory in which databases may be fetched and opened: as many bytes as their files have. What
    /// is made there is removed with the reader.
    #[must_use]
    pub fn with_scratch(mut self, directory: impl Into<PathBuf>) -> Self {
        self.databases.scratch = Some(directory.into());
        self
    }

    /// Fails unless the files of databases may be given to RocksDB.
    pub fn check_trust(&self) -> Result<()> {
        match self.trust {
            Trust::Own => Ok(()),
            Trust::Hostile => Err(Error::incompatible(
                "the state is in RocksDB files, which are opened only if they are trusted; if the snapshot is your own, say \
                 so with `trust(Trust::Own)` or --trusted",
            )
            .in_file(&self.directory)),
        }
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the snapshot lies.
    pub fn directory(&self) -> &ObjectPath {
        &self.directory
    }

    /// Where other snapshots can share its objects.
    pub fn home(&self) -> Home {
        Home::of(&self.storage, &self.directory)
    }

    /// The operator with this id, if there is one.
    pub fn operator_by_id(&self, id: OperatorId) -> Option<OperatorReader<'_>> {
        self.manifest.operator(id).map(|operator| OperatorReader { snapshot: self, operator })
    }

    /// The state of the operator with this uid. A missing operator is an error that lists those there are.
    pub fn operator(&self, uid: &str) -> Result<OperatorReader<'_>> {
        match self.operator_by_id(OperatorId::from_uid(uid)) {
            Some(operator) => Ok(operator),
            None => {
                let there: Vec<String> = self.manifest.operators.iter().map(OperatorSnapshot::label).collect();
                Err(Error::not_found(format!(
                    "the snapshot has no operator with uid {uid:?}; it has {}",
                    if there.is_empty() { "none".to_owned() } else { there.join(", ") }
                ))
                .in_file(&self.directory))
            }
        }
    }

    /// All operators, in the order of the manifest.
    pub fn operators(&self) -> impl Iterator<Item = OperatorReader<'_>> {
        self.manifest.operators.iter().map(|operator| OperatorReader { snapshot: self, operator })
    }

    /// Opens an object, whatever its length.
    pub(super) fn open_object(&self, object: &ObjectRef) -> Result<Blob> {
        let path = self.object_path(object)?;
        self.storage.open(&path).map_err(|error| error.in_file(&path))
    }

    /// Opens an object and compares its length with the manifest's.
    pub fn object(&self, object: &ObjectRef) -> Result<Blob> {
        let path = self.object_path(object)?;
        let blob = self.open_object(object)?;
        let length = u64::try_from(blob.as_slice().len()).unwrap_or(u64::MAX);
        if length != object.length {
            return Err(Error::corrupt(format!(
                "the object is {length} bytes long, the manifest says {}; restore another snapshot",
                object.length
            ))
            .in_file(&path)
            .at_offset(length.min(object.length)));
        }
        Ok(blob)
    }

    /// Gives an object a further name at `to`, a local path; `false` where the storage cannot. See
    /// [`Storage::link`](crate::storage::Storage::link) for what that means.
    #[cfg(feature = "rocksdb")]
    pub(super) fn link_object(&self, object: &ObjectRef, to: &Path) -> Result<bool> {
        let path = self.object_path(object)?;
        self.storage.link(&path, to).map_err(|error| error.in_file(&path))
    }

    /// Opens an object and compares its BLAKE3 digest as well. Reads all of it.
    pub fn verified_object(&self, object: &ObjectRef) -> Result<Blob> {
        let blob = self.object(object)?;
        let found = digest(blob.as_slice());
        if found == object.digest {
            return Ok(blob);
        }
        let path = self.object_path(object)?;
        Err(Error::corrupt(format!("the digest is {found}, the manifest says {}", object.digest)).in_file(path))
    }

    /// Where an object of this snapshot lies.
    pub fn object_path(&self, object: &ObjectRef) -> Result<ObjectPath> {
        object_path(&self.directory, object.scope, &object.name)
    }
}

/// What is wanted of the keyed state of one subtask.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyedPart<'a> {
    pub(super) operator: OperatorReader<'a>,
    pub(super) subtask: SubtaskIndex,
    pub(super) handle: &'a KeyedHandle,
    /// Those of its key groups that are wanted.
    pub(super) groups: KeyGroupRange,
}

impl<'a> KeyedPart<'a> {
    pub(super) fn is_database(&self) -> bool {
        self.handle.format == FormatId::NativeRocksDb
    }

    /// What stands for the files of a database in messages.
    pub(super) fn label(&self) -> String {
        format!("{}, database of subtask {}", self.operator.snapshot.directory, self.subtask)
    }

    /// The sections of the key groups; none of a database.
    pub(super) fn sections(&self) -> impl Iterator<Item = Result<SectionBlob>> + use<'a> {
        let (handle, groups, id) = (self.handle, self.groups, self.operator.operator.id);
        let mut objects = OpenedObjects::new(self.operator.snapshot, &handle.objects);
        let wanted = handle.sections.iter().filter(move |section| groups.contains(section.group));
        wanted.map(move |section| objects.section(section, section.id(id, handle.format)))
    }

    /// Gives the rows that the database has of a state in the key groups to `visit`, ascending.
    pub(super) fn rows(&self, state: &StateMeta, visit: RowVisit<'_>) -> Result<ControlFlow<()>> {
        let rows = self.operator.snapshot.databases.rows(self, state, visit);
        rows.map_err(|error| error.in_file(self.label()))
    }
}

/// What a database holds of a key group, as a canonical section; `None` if that is nothing.
fn database_section(database: &KeyedPart<'_>, group: KeyGroup) -> Result<Option<SectionBlob>> {
    let operator = &database.operator;
    let id = SectionId { format: FormatId::Canonical, operator: operator.operator.id, owner: Owner::KeyGroup(group) };
    let one = KeyedPart { groups: KeyGroupRange::new(group, group)?, ..*database };
    let mut out = canonical::writer(Vec::new(), id.operator, Compression::None);
    out.begin(id.owner)?;
    for state in operator.states().iter().filter(|state| state.kind.is_keyed()) {
        out.begin_state(&state.name, state.kind)?;
        let walked = one.rows(state, &mut |_, key, value| {
            out.pair(key, value)?;
            Ok(ControlFlow::Continue(()))
        });
        walked.map(|_| ())?;
    }
    let Some(summary) = out.finish()? else { return Ok(None) };
    let (bytes, object) = (Blob::from(out.close()?), database.label());
    let SectionSummary { offset, checksum, entries, .. } = summary;
    Ok(Some(SectionBlob { id, group, bytes, object, offset, checksum, entries }))
}

/// The state of one operator of an opened snapshot.
#[derive(Debug, Clone, Copy)]
pub struct OperatorReader<'a> {
    snapshot: &'a SnapshotReader,
    operator: &'a OperatorSnapshot,
}

/// One section of keyed state: the bytes, and what the manifest says of them.
#[derive(Debug, Clone)]
pub struct SectionBlob {
    /// What the section must say of itself.
    pub id: SectionId,
    /// Its key group.
    pub group: KeyGroup,
    /// Its bytes.
    pub bytes: Blob,
    /// Path of the object it lies in.
    pub object: String,
    /// Where it begins in the object.
    pub offset: u64,
    /// XXH3-64 of its bytes.
    pub checksum: u64,
    /// Number of entries.
    pub entries: u64,
}

/// The objects of one handle, opened as their sections come up.
struct OpenedObjects<'a> {
    snapshot: &'a SnapshotReader,
    objects: &'a [ObjectRef],
    opened: HashMap<u32, (Blob, String)>,
}

impl<'a> OpenedObjects<'a> {
    fn new(snapshot: &'a SnapshotReader, objects: &'a [ObjectRef]) -> Self {
        OpenedObjects { snapshot, objects, opened: HashMap::new() }
    }

    fn section(&mut self, section: &SectionRef, id: SectionId) -> Result<SectionBlob> {
        let (blob, object) = self.open(section.object)?;
        let end = section.offset.saturating_add(section.length);
        let bytes = blob.slice(section.offset..end).map_err(|error| error.in_file(&object))?;
        let SectionRef { group, object: _, offset, length: _, checksum, entries } = *section;
        Ok(SectionBlob { id, group, bytes, object, offset, checksum, entries })
    }

    fn open(&mut self, position: u32) -> Result<(Blob, String)> {
        if let Some(opened) = self.opened.get(&position) {
            return Ok(opened.clone());
        }
        let object = usize::try_from(position).ok().and_then(|position| self.objects.get(position));
        let object =
            object.ok_or_else(|| Error::internal("a section names an object that its handle does not have"))?;
        let opened = (self.snapshot.object(object)?, self.snapshot.object_path(object)?.to_string());
        self.opened.insert(position, opened.clone());
        Ok(opened)
    }
}

impl<'a> OperatorReader<'a> {
    /// What the manifest says of the operator.
    pub fn description(&self) -> &'a OperatorSnapshot {
        self.operator
    }

    /// The snapshot it belongs to.
    pub fn snapshot(&self) -> &'a SnapshotReader {
        self.snapshot
    }

    /// Max parallelism the snapshot was taken with.
    pub fn max_parallelism(&self) -> MaxParallelism {
        self.operator.max_parallelism
    }

    /// Serializer of the keys, if the operator has keyed state.
    pub fn key(&self) -> Option<&'a SerializerSnapshot> {
        self.operator.key.as_ref()
    }

    /// Descriptions of all states, sorted by name.
    pub fn states(&self) -> &'a [StateMeta] {
        &self.operator.states
    }

    /// The sections of the key groups in `range`, from whichever subtasks wrote them. Objects are opened (mapped, on a local
    /// file system) when their first section comes up; no byte of a section outside the range is read.
    ///
    /// A database is read as canonical sections, made when they come up: each is in memory as a whole. To walk over more than fits
    /// there, use [`state`](Self::state).
    pub fn sections(&self, range: KeyGroupRange) -> impl Iterator<Item = Result<SectionBlob>> + 'a {
        let (parts, refused) = match self.keyed_parts(range) {
            Ok(parts) => (parts, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        let sections = parts.into_iter().flat_map(|part| {
            let groups = if part.is_database() { Some(part.groups) } else { None };
            let made = groups.into_iter().flat_map(KeyGroupRange::iter);
            made.filter_map(move |group| database_section(&part, group).transpose()).chain(part.sections())
        });
        refused.into_iter().chain(sections)
    }

    /// What a subtask with the key groups in `range` restores, ascending by key group.
    pub(super) fn keyed_parts(&self, range: KeyGroupRange) -> Result<Vec<KeyedPart<'a>>> {
        let subtasks = self.operator.subtasks.iter();
        let handles: Vec<(SubtaskIndex, &KeyedHandle)> =
            subtasks.filter_map(|subtask| Some((subtask.index, subtask.keyed.as_deref()?))).collect();
        let sources = KeyedSources::new(self.operator.max_parallelism, handles.iter().map(|(_, handle)| handle.range))
            .map_err(|error| error.in_operator(self.operator.label()))?;
        let part = |KeyedShare { source, groups }| {
            let (subtask, handle) = *handles.get(source)?;
            Some(KeyedPart { operator: *self, subtask, handle, groups })
        };
        Ok(sources.shares_of(range).filter_map(part).collect())
    }

    /// The operator state that each subtask wrote, in subtask order: its index, the section's bytes and its object's path.
    pub fn operator_state(&self) -> Result<Vec<(u32, Blob, String)>> {
        let mut parts = Vec::new();
        for subtask in &self.operator.subtasks {
            let (bytes, object) = match &subtask.operator {
                None => continue,
                Some(OperatorStateHandle { content: OperatorStateContent::Inline(bytes), .. }) => {
                    (Blob::from(bytes.clone()), layout::manifest(&self.snapshot.directory)?.to_string())
                }
                Some(OperatorStateHandle { content: OperatorStateContent::Object(object), .. }) => {
                    (self.snapshot.object(object)?, self.snapshot.object_path(object)?.to_string())
                }
            };
            parts.push((subtask.index.0, bytes, object));
        }
        Ok(parts)
    }
}
