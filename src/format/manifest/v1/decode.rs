use std::sync::Arc;

use super::{FINISHED, INLINE, KEYED, OBJECT, OPERATOR};
use crate::codec::{Digest, Reader};
use crate::error::{Error, Result};
use crate::format::manifest::check::{self, Ranges, Seen, Tiling};
use crate::format::manifest::{
    KeyGroupAssignment, KeyedHandle, Manifest, ObjectRef, ObjectScope, OperatorSnapshot, OperatorStateContent,
    OperatorStateHandle, SectionRef, SnapshotKind, SubtaskSnapshot,
};
use crate::format::native_rocksdb::{FileName, check_files};
use crate::format::record::{StateKind, StateMeta};
use crate::format::section::StateTotals;
use crate::format::{FormatId, Limits};
use crate::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use crate::key_group::{KeyGroup, KeyGroupRange, MaxParallelism, Parallelism};
use crate::serializer::SerializerSnapshot;

/// Fewest bytes of an operator: id, no uid, parallelism, max parallelism, assignment, no key, no states, one subtask.
const MIN_OPERATOR_BYTES: usize = 16 + 1 + 4 + 4 + 1 + 1 + 1 + 1;
/// Fewest bytes of a state: name, kind, timed, three serializers.
const MIN_STATE_BYTES: usize = 2 + 1 + 1 + 9;
/// Fewest bytes of an object: scope, name, length, digest.
const MIN_OBJECT_BYTES: usize = 1 + 2 + 1 + 32;
/// Fewest bytes of a file: its name, and an object.
const MIN_FILE_BYTES: usize = 1 + 7 + MIN_OBJECT_BYTES;
/// Fewest bytes of a section: group, object, offset, length, checksum, entries.
const MIN_SECTION_BYTES: usize = 2 + 1 + 1 + 1 + 8 + 1;
/// Bytes of the shortest possible section.
const MIN_SECTION_LENGTH: u64 = 30 + 8 + 18 + 8;

/// Reads the body.
pub(in crate::format::manifest) fn decode(input: Reader<'_>, limits: &Limits) -> Result<Manifest> {
    let mut decoder = Decoder {
        input,
        limits,
        seen: Seen::default(),
        kind: SnapshotKind::Checkpoint,
        subtasks: 0,
        names: Vec::new(),
    };
    let manifest = decoder.manifest()?;
    decoder.input.finish("body")?;
    Ok(manifest)
}

struct Decoder<'a> {
    input: Reader<'a>,
    limits: &'a Limits,
    seen: Seen,
    kind: SnapshotKind,
    /// Subtasks so far, of all operators.
    subtasks: usize,
    /// Names of the states of the operator that is being read.
    names: Vec<Arc<str>>,
}

impl Decoder<'_> {
    fn manifest(&mut self) -> Result<Manifest> {
        let job = JobId(self.array("job id")?);
        let at = self.input.clone();
        let checkpoint = CheckpointId(self.input.u64("checkpoint id")?);
        if checkpoint.0 == 0 {
            return Err(at.corrupt("checkpoint id", "is 0, the first one is 1"));
        }
        self.kind = self.tag("snapshot kind", SnapshotKind::from_tag)?;
        let created_ms = self.input.i64("created")?;
        let writer = self.name("writer")?;
        let count = self.count(MIN_OPERATOR_BYTES, self.limits.operators, "operators")?;
        let mut operators: Vec<OperatorSnapshot> = Vec::new();
        for _ in 0..count {
            let at = self.input.clone();
            let operator = self.operator()?;
            if operators.last().is_some_and(|last| last.id >= operator.id) {
                return Err(at.corrupt("operator id", "operators must ascend strictly").in_operator(operator.label()));
            }
            operators.push(operator);
        }
        Ok(Manifest { job, checkpoint, kind: self.kind, created_ms, writer, operators })
    }

    fn operator(&mut self) -> Result<OperatorSnapshot> {
        let id = OperatorId(self.array("operator id")?);
        let at = self.input.clone();
        let uid = if self.input.bool("uid")? { Some(self.name("uid")?) } else { None };
        if let Some(uid) = &uid
            && OperatorId::from_uid(uid) != id
        {
            return Err(at.corrupt("uid", format!("uid {uid:?} does not give the id {id}")));
        }
        let label = uid.clone().unwrap_or_else(|| id.to_string());
        self.operator_body(id, uid).map_err(|error| error.in_operator(label))
    }

    fn operator_body(&mut self, id: OperatorId, uid: Option<String>) -> Result<OperatorSnapshot> {
        let at = self.input.clone();
        let parallelism = self.input.u32("parallelism")?;
        let max_at = self.input.clone();
        let max = self.input.u32("max parallelism")?;
        let max_parallelism = MaxParallelism::new(max).map_err(|error| refuse(&max_at, "max parallelism", &error))?;
        let parallelism =
            Parallelism::new(parallelism, max_parallelism).map_err(|error| refuse(&at, "parallelism", &error))?;
        let assignment = KeyGroupAssignment::decode(&mut self.input)?;
        let key = match self.input.bool("key serializer")? {
            true => Some(SerializerSnapshot::decode(&mut self.input)?),
            false => None,
        };
        let count = self.count(MIN_STATE_BYTES, self.limits.states, "states")?;
        let mut states: Vec<StateMeta> = Vec::new();
        for _ in 0..count {
            let at = self.input.clone();
            let state = self.state()?;
            check::state(&state, key.is_some(), states.last(), &at).map_err(|error| error.in_state(&state.name))?;
            states.push(state);
        }
        let operator =
            OperatorSnapshot { id, uid, parallelism, max_parallelism, assignment, key, states, subtasks: Vec::new() };
        let subtasks = self.subtasks(&operator)?;
        Ok(OperatorSnapshot { subtasks, ..operator })
    }

    fn state(&mut self) -> Result<StateMeta> {
        let name = self.name("state name")?;
        let kind = self.tag("state kind", StateKind::from_tag)?;
        let timed = self.input.bool("timed")?;
        let mut serializer = || SerializerSnapshot::decode(&mut self.input).map_err(|error| error.in_state(&name));
        let (namespace, user_key, value) = (serializer()?, serializer()?, serializer()?);
        Ok(StateMeta { name, kind, namespace, user_key, value, timed })
    }

    fn subtasks(&mut self, operator: &OperatorSnapshot) -> Result<Vec<SubtaskSnapshot>> {
        let count = operator.parallelism.get();
        self.subtasks = self.subtasks.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        if self.subtasks > self.limits.subtasks {
            let message = format!("{} subtasks so far, at most {} are accepted", self.subtasks, self.limits.subtasks);
            return Err(self.input.corrupt("parallelism", message));
        }
        self.names = operator.states.iter().map(|state| Arc::from(state.name.as_str())).collect();
        let mut ranges = Ranges::new(operator.max_parallelism);
        let mut subtasks = Vec::new();
        for index in 0..count {
            let at = self.input.clone();
            let flags = self.input.u8("subtask flags")?;
            if flags & !(FINISHED | KEYED | OPERATOR) != 0 {
                return Err(at.corrupt("subtask flags", format!("is {flags}, expected 0 to 7")));
            }
            let keyed = if flags & KEYED == 0 { None } else { Some(Box::new(self.keyed(operator, &mut ranges)?)) };
            let has_operator_state = flags & OPERATOR != 0;
            let operator = if has_operator_state { Some(self.operator_state(operator)?) } else { None };
            let finished = flags & FINISHED != 0;
            subtasks.push(SubtaskSnapshot { index: SubtaskIndex(index), finished, keyed, operator });
        }
        if subtasks.iter().all(|subtask| subtask.keyed.is_some()) {
            ranges.check_complete(&self.input)?;
        }
        Ok(subtasks)
    }

    fn keyed(&mut self, operator: &OperatorSnapshot, ranges: &mut Ranges) -> Result<KeyedHandle> {
        let at = self.input.clone();
        if operator.key.is_none() {
            return Err(at.corrupt("subtask flags", "keyed state of an operator without a key serializer"));
        }
        let format = self.tag("format", FormatId::from_tag)?;
        if !matches!(format, FormatId::Canonical | FormatId::NativeHeap | FormatId::NativeRocksDb) {
            return Err(at.corrupt("format", format!("keyed state cannot be in {format} format")));
        }
        let at = self.input.clone();
        let first = KeyGroup(self.input.u16("first key group")?);
        let last = KeyGroup(self.input.u16("last key group")?);
        let range = KeyGroupRange::new(first, last).map_err(|error| refuse(&at, "first key group", &error))?;
        ranges.add(range, &at)?;
        if format == FormatId::NativeRocksDb {
            return self.database(operator, range);
        }
        let count = self.count(MIN_OBJECT_BYTES, range.len(), "objects")?;
        let mut objects = Vec::new();
        for _ in 0..count {
            objects.push(self.object()?);
        }
        let at = self.input.clone();
        let (sections, entries) = self.sections(range, &objects)?;
        let states = self.totals(&operator.states, true, Some(entries), &at)?;
        let assignment = operator.assignment.clone();
        Ok(KeyedHandle { format, range, assignment, objects, sections, files: Vec::new(), states })
    }

    fn database(&mut self, operator: &OperatorSnapshot, range: KeyGroupRange) -> Result<KeyedHandle> {
        let start = self.input.clone();
        let count = self.count(MIN_FILE_BYTES, self.limits.objects, "files")?;
        let (mut files, mut objects) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let at = self.input.clone();
            files
                .push(FileName::parse(self.input.str("file name")?).map_err(|error| refuse(&at, "file name", &error))?);
            objects.push(self.object()?);
        }
        check_files(&files).map_err(|error| refuse(&start, "files", &error))?;
        let at = self.input.clone();
        let states = self.totals(&operator.states, true, None, &at)?;
        let (format, assignment) = (FormatId::NativeRocksDb, operator.assignment.clone());
        Ok(KeyedHandle { format, range, assignment, objects, sections: Vec::new(), files, states })
    }

    fn sections(&mut self, range: KeyGroupRange, objects: &[ObjectRef]) -> Result<(Vec<SectionRef>, u64)> {
        let at = self.input.clone();
        let count = self.count(MIN_SECTION_BYTES, range.len(), "sections")?;
        let mut tiling = Tiling::new(objects);
        let mut sections: Vec<SectionRef> = Vec::with_capacity(count);
        let mut total = 0u64;
        for _ in 0..count {
            let at = self.input.clone();
            let section = self.section()?;
            if !range.contains(section.group) || sections.last().is_some_and(|last| last.group >= section.group) {
                let message = format!("{} is out of order or outside of {range}", section.group);
                return Err(at.corrupt("key group", message).in_key_group(section.group.0));
            }
            tiling.add(&section, &at).map_err(|error| error.in_key_group(section.group.0))?;
            total = total.checked_add(section.entries).ok_or_else(|| at.corrupt("entries", "the sum is too large"))?;
            sections.push(section);
        }
        tiling.finish(&at)?;
        Ok((sections, total))
    }

    fn section(&mut self) -> Result<SectionRef> {
        let at = self.input.clone();
        let group = KeyGroup(self.input.u16("key group")?);
        let object = self.input.varint("object index")?;
        let object = u32::try_from(object).map_err(|_| at.corrupt("object index", format!("is {object}")))?;
        let offset = self.input.varint("section offset")?;
        let length = self.input.varint("section length")?;
        let checksum = self.input.u64("section checksum")?;
        let entries = self.input.varint("entries")?;
        if length < MIN_SECTION_LENGTH || entries == 0 {
            return Err(at.corrupt("section length", format!("{entries} entries in a section of {length} bytes")));
        }
        Ok(SectionRef { group, object, offset, length, checksum, entries })
    }

    fn object(&mut self) -> Result<ObjectRef> {
        let at = self.input.clone();
        let scope = self.tag("object scope", ObjectScope::from_tag)?;
        let name = self.name("object name")?;
        ObjectRef::check_name(&name).map_err(|error| refuse(&at, "object name", &error))?;
        let length = self.input.varint("object length")?;
        let digest = Digest(self.array("object digest")?);
        let object = ObjectRef { scope, name, length, digest };
        self.seen.add(&object, self.kind, self.limits, &at)?;
        Ok(object)
    }

    fn operator_state(&mut self, operator: &OperatorSnapshot) -> Result<OperatorStateHandle> {
        let at = self.input.clone();
        let content = match self.input.u8("operator state")? {
            INLINE => {
                let section = self.input.bytes("inline section")?;
                if section.is_empty() || section.len() > self.limits.inline_bytes {
                    let message = format!("{} bytes, 1 to {} are accepted", section.len(), self.limits.inline_bytes);
                    return Err(at.corrupt("inline section", message));
                }
                OperatorStateContent::Inline(section.to_vec())
            }
            OBJECT => OperatorStateContent::Object(self.object()?),
            other => return Err(at.corrupt("operator state", format!("is {other}, expected 1 or 2"))),
        };
        let states = self.totals(&operator.states, false, None, &at)?;
        Ok(OperatorStateHandle { content, states })
    }

    /// Reads the totals of keyed or of operator states; those of keyed states must add up to the entries of the sections.
    fn totals(
        &mut self,
        states: &[StateMeta],
        keyed: bool,
        entries: Option<u64>,
        at: &Reader<'_>,
    ) -> Result<Vec<StateTotals>> {
        let count = self.count(3, states.len(), "totals")?;
        let mut totals: Vec<StateTotals> = Vec::new();
        let mut next = 0usize;
        let mut sum = 0u64;
        for _ in 0..count {
            let at = self.input.clone();
            let position = self.input.varint("state index")?;
            let position = usize::try_from(position).unwrap_or(usize::MAX);
            let state = states.get(position).filter(|state| position >= next && state.kind.is_keyed() == keyed);
            let (Some(state), Some(name)) = (state, self.names.get(position)) else {
                return Err(at.corrupt("state index", format!("{position} is not the next state")));
            };
            let name = Arc::clone(name);
            let (entries, bytes) = (self.input.varint("state entries")?, self.input.varint("state bytes")?);
            if entries == 0 {
                return Err(at.corrupt("state entries", "is 0").in_state(&state.name));
            }
            sum = sum.saturating_add(entries);
            next = position.saturating_add(1);
            totals.push(StateTotals { name, entries, bytes });
        }
        match entries {
            Some(entries) if !totals.is_empty() && sum != entries => {
                Err(at.corrupt("totals", format!("the states have {sum} entries, the sections {entries}")))
            }
            _ => Ok(totals),
        }
    }

    fn count(&mut self, min_bytes: usize, most: usize, field: &'static str) -> Result<usize> {
        let at = self.input.clone();
        let count = self.input.count(min_bytes, field)?;
        if count <= most {
            Ok(count)
        } else {
            Err(at.corrupt(field, format!("count is {count}, at most {most} are accepted")))
        }
    }

    fn name(&mut self, field: &'static str) -> Result<String> {
        let at = self.input.clone();
        let name = self.input.str(field)?;
        crate::ids::check_name(field, name).map_err(|error| refuse(&at, field, &error))?;
        if name.len() <= self.limits.name_bytes {
            return Ok(name.to_owned());
        }
        Err(at.corrupt(field, format!("{} bytes, at most {} are accepted", name.len(), self.limits.name_bytes)))
    }

    /// Reads a tag. One that is not known is from a later version of this crate, since the digest was right.
    fn tag<T>(&mut self, field: &'static str, from_tag: impl FnOnce(u8) -> Option<T>) -> Result<T> {
        let at = self.input.offset();
        let tag = self.input.u8(field)?;
        from_tag(tag).ok_or_else(|| {
            Error::incompatible(format!("{field} {tag} is unknown to this build; use a newer millpond"))
                .at_offset(at)
                .in_field(field)
        })
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N]> {
        let at = self.input.clone();
        let bytes = self.input.raw(N, field)?;
        <[u8; N]>::try_from(bytes).map_err(|error| at.corrupt(field, "is too short").because(error))
    }
}

/// The same complaint about stored bytes.
fn refuse(at: &Reader<'_>, field: &'static str, error: &Error) -> Error {
    at.corrupt(field, error.message())
}
