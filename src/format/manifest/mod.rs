//! The manifest: the one file that makes a snapshot, because it is written last.
//!
//! It says which operators a snapshot has, which states they have and how those are encoded, and for every subtask where
//! its state lies: which objects, and inside them which section for which key group, or which file of a database each
//! is. Small operator state is in the
//! manifest itself. What a manifest names is complete and final; what it does not name does not belong to the snapshot.
//!
//! Vocabulary. An *object* is a named sequence of bytes in a storage; its *scope* says which directory it lies in and how
//! long it lives. A *handle* is one subtask's part of an operator's state.
//!
//! Invariants, checked on reading and on writing:
//!
//! * Operators ascend by id, states by name, subtasks are all there, sections ascend by key group, and nothing occurs
//!   twice.
//! * Key-group ranges are disjoint and inside the max parallelism. If every subtask has keyed state, they cover it.
//! * Every section lies inside its object and inside its subtask's range, and overlaps no other. Of an exclusive object
//!   every byte belongs to a section.
//! * The files of a database are all there is to it: `CURRENT`, one manifest and tables, each one object.
//! * A savepoint has exclusive objects only, so that it can be moved and outlives everything else.
//!
//! The BLAKE3 digest of everything before it ends the file and is compared before the body is looked at. The manifest
//! also has the digest of every object, so that whoever trusts the manifest can trust the snapshot.

mod check;
mod v1;

use crate::codec::{Digest, Reader, Writer, digest};
use crate::error::{Error, ErrorKind, Result};
use crate::format::java_type::JavaType;
use crate::format::native_rocksdb::FileName;
use crate::format::record::StateMeta;
use crate::format::section::{Owner, SectionId, SectionSummary, StateTotals};
use crate::format::{FormatId, Limits, preamble};
use crate::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use crate::key_group::{KeyGroup, KeyGroupRange, MaxParallelism, Parallelism};
use crate::serializer::SerializerSnapshot;

/// Length of the digest that ends a manifest, in bytes.
const DIGEST_BYTES: usize = 32;

/// What a snapshot consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The job run that took the snapshot.
    pub job: JobId,
    /// Number of the snapshot within the job, from 1.
    pub checkpoint: CheckpointId,
    /// Whether the system or the user owns it.
    pub kind: SnapshotKind,
    /// When it was triggered, in milliseconds since 1970-01-01 UTC.
    pub created_ms: i64,
    /// Program and version that wrote it, for people; see [`Manifest::WRITER`].
    pub writer: String,
    /// The operators, ascending by id.
    pub operators: Vec<OperatorSnapshot>,
}

/// Who owns a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SnapshotKind {
    /// Taken for recovery; the system deletes it when newer ones are enough.
    Checkpoint,
    /// Asked for by a user, who alone deletes it; self-contained.
    Savepoint,
}

/// How keys were assigned to key groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum KeyGroupAssignment {
    /// By XXH3-64 of the serialized key, see [`crate::key_group`].
    #[default]
    Xxh3,
    /// By Java's hash code of a key of this type, as Flink does: the state was imported, and stays where Flink put it.
    Flink(JavaType),
}

/// One operator's part of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSnapshot {
    /// Identity by which restore finds the operator.
    pub id: OperatorId,
    /// The uid that the id was derived from; `None` where only the id is known.
    pub uid: Option<String>,
    /// Number of subtasks that took the snapshot.
    pub parallelism: Parallelism,
    /// Number of key groups.
    pub max_parallelism: MaxParallelism,
    /// How keys were assigned to key groups.
    pub assignment: KeyGroupAssignment,
    /// Serializer of the keys; `None` for an operator without keyed state.
    pub key: Option<SerializerSnapshot>,
    /// The states, ascending by name.
    pub states: Vec<StateMeta>,
    /// All subtasks in ascending order.
    pub subtasks: Vec<SubtaskSnapshot>,
}

/// One subtask's part of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtaskSnapshot {
    /// Which subtask, from 0.
    pub index: SubtaskIndex,
    /// Whether it had finished its work when the snapshot was taken.
    pub finished: bool,
    /// Its keyed state. Boxed, so that a subtask without state, of which a manifest may have many, takes little room.
    pub keyed: Option<Box<KeyedHandle>>,
    /// Its operator state.
    pub operator: Option<OperatorStateHandle>,
}

/// Where the keyed state of one subtask lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedHandle {
    /// Format of the sections, or [`NativeRocksDb`](FormatId::NativeRocksDb) for a database.
    pub format: FormatId,
    /// The key groups the subtask had. A database may hold rows of others, which do not belong to the state.
    pub range: KeyGroupRange,
    /// How its keys were assigned to them: as in the whole operator, where it is stored.
    pub assignment: KeyGroupAssignment,
    /// The objects with the sections, each of which has at least one; or the files of a database.
    pub objects: Vec<ObjectRef>,
    /// The sections, one per key group that has entries, ascending; none for a database.
    pub sections: Vec<SectionRef>,
    /// For a database, which of its files each object is, ascending; empty for every other format.
    pub files: Vec<FileName>,
    /// Entries and bytes of each state that has any, ascending by name; empty where nobody counted.
    pub states: Vec<StateTotals>,
}

/// Where the operator state of one subtask lies: one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorStateHandle {
    /// The section or its place.
    pub content: OperatorStateContent,
    /// Entries and bytes of each state that has any, ascending by name; empty where nobody counted.
    pub states: Vec<StateTotals>,
}

/// A section of operator state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorStateContent {
    /// The section itself, at most [`Limits::inline_bytes`] long.
    Inline(Vec<u8>),
    /// An object that is the section.
    Object(ObjectRef),
}

/// An object that belongs to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// Where it lies and how long it lives.
    pub scope: ObjectScope,
    /// Its name within the scope: lower-case letters, digits and `.-_`, one path segment, see [`ObjectRef::check_name`].
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
}

/// Which directory an object lies in, and so how long it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ObjectScope {
    /// The snapshot's own directory: it goes with the snapshot.
    Exclusive,
    /// The job's `shared` directory: it goes with the last snapshot that names it.
    Shared,
    /// The job's `taskowned` directory: the job's tasks decide.
    TaskOwned,
}

/// Where a section lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SectionRef {
    /// Key group of the section.
    pub group: KeyGroup,
    /// Position of the object in [`KeyedHandle::objects`].
    pub object: u32,
    /// Offset of the section in the object.
    pub offset: u64,
    /// Length of the section in bytes.
    pub length: u64,
    /// XXH3-64 of the section.
    pub checksum: u64,
    /// Number of entries.
    pub entries: u64,
}

impl Manifest {
    /// What this build writes into [`Manifest::writer`].
    pub const WRITER: &str = concat!("millpond ", env!("CARGO_PKG_VERSION"));

    /// Encodes the manifest in the newest version.
    ///
    /// What could not be read back, for example operators out of order or overlapping key-group ranges, is
    /// [`InvalidInput`](ErrorKind::InvalidInput). Costs about as much as decoding, because that is how it is checked.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Writer::new();
        preamble::write(FormatId::Manifest, &mut out);
        v1::encode(self, &mut out)?;
        let digest = digest(out.as_slice());
        out.raw(&digest.0);
        let bytes = out.into_bytes();
        match Self::decode(&bytes) {
            Ok(decoded) if decoded == *self => Ok(bytes),
            Ok(_) => Err(Error::internal("a manifest changes when it is written and read")),
            Err(error) if error.kind() == ErrorKind::Corrupt => Err(refused(&error)),
            Err(error) => Err(error),
        }
    }

    /// Decodes a manifest of any version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::decode_within(bytes, &Limits::SAFE)
    }

    /// Decodes a manifest of any version within other limits.
    pub fn decode_within(bytes: &[u8], limits: &Limits) -> Result<Self> {
        if bytes.len() > limits.manifest_bytes {
            let message = format!("{} bytes, at most {} are accepted", bytes.len(), limits.manifest_bytes);
            return Err(Error::corrupt(message).in_field("manifest").in_format(FormatId::Manifest.name()));
        }
        let mut input = Reader::new(bytes);
        let decoded = match preamble::read(FormatId::Manifest, &mut input)? {
            1 => body(bytes, input.position()).and_then(|body| v1::decode(body, limits)),
            other => Err(Error::internal(format!("no reader for manifest version {other}"))),
        };
        decoded.map_err(|error| error.in_format(FormatId::Manifest.v1()))
    }

    /// Puts operators, states, subtasks, sections and totals into the order in which they are stored.
    pub fn sort(&mut self) {
        self.operators.sort_by_key(|operator| operator.id);
        for operator in &mut self.operators {
            operator.states.sort_by(|a, b| a.name.cmp(&b.name));
            operator.subtasks.sort_by_key(|subtask| subtask.index);
            for subtask in &mut operator.subtasks {
                if let Some(keyed) = &mut subtask.keyed {
                    keyed.sections.sort_by_key(|section| section.group);
                    keyed.states.sort_by(|a, b| a.name.cmp(&b.name));
                }
                if let Some(operator) = &mut subtask.operator {
                    operator.states.sort_by(|a, b| a.name.cmp(&b.name));
                }
            }
        }
    }

    /// Every object the snapshot names; a shared one as often as it is named.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.operators.iter().flat_map(|operator| &operator.subtasks).flat_map(SubtaskSnapshot::objects)
    }

    /// The operator of this id.
    pub fn operator(&self, id: OperatorId) -> Option<&OperatorSnapshot> {
        self.operators.iter().find(|operator| operator.id == id)
    }

    /// BLAKE3 over what the keyed state is, not where it lies: for every operator its id, max parallelism, serializers
    /// and keyed states, and for every key group the format, length, entry count and XXH3-64 of its section;
    /// for every database its key groups and the names, lengths and BLAKE3 digests of its files.
    ///
    /// For canonical snapshots with the same compression, equal keyed state gives an equal digest at any parallelism.
    /// Unequal digests prove a difference. Equal ones make a difference unlikely, unless somebody wants one: the sections
    /// come in by a checksum that is easily forged. Databases that hold the same usually differ. Operator state is left out, since how it is divided among subtasks
    /// depends on the parallelism.
    pub fn keyed_digest(&self) -> Result<Digest> {
        let mut out = Writer::new();
        v1::encode_keyed_content(self, &mut out)?;
        Ok(digest(out.as_slice()))
    }
}

/// The bytes between preamble and digest, once the digest is found right.
fn body(bytes: &[u8], start: usize) -> Result<Reader<'_>> {
    let end = bytes.len().saturating_sub(DIGEST_BYTES);
    let (Some(covered), Some(stored)) = (bytes.get(..end), bytes.get(end..)) else { return Err(too_short(bytes)) };
    let Some(body) = covered.get(start..) else { return Err(too_short(bytes)) };
    let computed = digest(covered);
    if stored != computed.0 {
        return Err(Error::corrupt(format!("the bytes give digest {computed}, another one is stored"))
            .at_offset(u64::try_from(end).unwrap_or(u64::MAX))
            .in_field("digest"));
    }
    Ok(Reader::with_base(body, u64::try_from(start).unwrap_or(u64::MAX)))
}

fn too_short(bytes: &[u8]) -> Error {
    Error::corrupt(format!("{} bytes are too few for a manifest", bytes.len()))
        .at_offset(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
        .in_field("digest")
}

/// A manifest that could be written but not read is the caller's mistake.
fn refused(error: &Error) -> Error {
    let mut refused = Error::invalid_input(format!("the manifest is not valid: {}", error.message()));
    if let Some(field) = error.place().field {
        refused = refused.in_field(field);
    }
    match &error.place().operator {
        Some(operator) => refused.in_operator(operator),
        None => refused,
    }
}

impl OperatorSnapshot {
    /// The uid, or the id where there is none: how messages name the operator.
    pub fn label(&self) -> String {
        self.uid.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// The state of this name.
    pub fn state(&self, name: &str) -> Option<&StateMeta> {
        self.states.iter().find(|state| state.name == name)
    }
}

impl SubtaskSnapshot {
    /// A subtask without state.
    pub fn empty(index: SubtaskIndex) -> Self {
        SubtaskSnapshot { index, finished: false, keyed: None, operator: None }
    }

    /// Every object of the subtask.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        let keyed = self.keyed.iter().flat_map(|keyed| &keyed.objects);
        let operator = self.operator.iter().filter_map(|operator| match &operator.content {
            OperatorStateContent::Object(object) => Some(object),
            OperatorStateContent::Inline(_) => None,
        });
        keyed.chain(operator)
    }
}

impl KeyedHandle {
    /// The same for keys that were assigned in another way.
    #[must_use]
    pub fn assigned_by(self, assignment: KeyGroupAssignment) -> Self {
        KeyedHandle { assignment, ..self }
    }

    /// The files of a database, with their objects, ascending; nothing for any other format.
    pub fn database_files(&self) -> impl Iterator<Item = (FileName, &ObjectRef)> {
        self.files.iter().copied().zip(&self.objects)
    }

    /// The section of a key group, and the object it lies in; `None` if the group has no entries.
    pub fn section(&self, group: KeyGroup) -> Option<(&SectionRef, &ObjectRef)> {
        let position = self.sections.binary_search_by_key(&group, |section| section.group).ok()?;
        let section = self.sections.get(position)?;
        Some((section, self.objects.get(usize::try_from(section.object).ok()?)?))
    }
}

impl SectionRef {
    /// The reference to a section that was written at the same offset of the object at position `object`.
    pub fn new(summary: &SectionSummary, object: u32) -> Result<Self> {
        let SectionSummary { owner, offset, length, checksum, entries, states: _ } = summary;
        let Owner::KeyGroup(group) = *owner else {
            return Err(Error::internal(format!("the section of {owner} is not of a key group")));
        };
        Ok(SectionRef { group, object, offset: *offset, length: *length, checksum: *checksum, entries: *entries })
    }

    /// What the header of the section must say.
    pub fn id(&self, operator: OperatorId, format: FormatId) -> SectionId {
        SectionId { format, operator, owner: Owner::KeyGroup(self.group) }
    }
}
