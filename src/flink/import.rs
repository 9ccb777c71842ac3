//! From a snapshot of Flink's to one of ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mapping::Mapping;
use super::pairs::{KeyedPairs, SortedGroup};
use super::reader::{OperatorReader, SnapshotReader};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::canonical;
use crate::format::flink::Value;
use crate::format::flink::header::StateInfo;
use crate::format::flink::metadata::{Distribution, Operator, PartitionOffsets, Progress};
use crate::format::flink::serializer::{Simple, Snapshot, TypeSerializer};
use crate::format::java_type::JavaType;
use crate::format::manifest::{
    KeyGroupAssignment, KeyedHandle, Manifest, OperatorSnapshot, OperatorStateContent, OperatorStateHandle, SectionRef,
    SubtaskSnapshot,
};
use crate::format::operator;
use crate::format::record::{StateKind, StateMeta};
use crate::format::section::{Owner, Sink, StateTotals};
use crate::ids::{CheckpointId, OperatorId, SubtaskIndex};
use crate::key_group::KeyGroupRange;
use crate::serializer::SerializerSnapshot;
use crate::snapshot::{SnapshotLabel, SnapshotTarget};

/// Operator state up to this length becomes part of the manifest.
const INLINE_BYTES: usize = 1024;

/// Name of the operator state that carries the state of the operator's coordinator.
pub const COORDINATOR_STATE: &str = "flink/coordinator";

/// Name of the operator state that carries raw operator state.
pub const RAW_OPERATOR_STATE: &str = "flink/raw-operator";

/// How a snapshot is imported.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Leaves out records in flight, which a checkpoint that was not aligned has. Without it they are an error: their
    /// effects would be lost.
    pub drops_records_in_flight: bool,
}

/// What an import came to.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The manifest, to be published.
    pub manifest: Manifest,
    /// What is not as it was in Flink, for people.
    pub notes: Vec<Note>,
}

/// Something that is not as it was in Flink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The operator; `None` for the whole snapshot.
    pub operator: Option<String>,
    /// The state, as it is called here.
    pub state: Option<String>,
    /// What is different.
    pub message: String,
}

/// Writes the state of a snapshot of Flink's to `target` in the canonical format, and returns the manifest that makes it a
/// snapshot, which the caller [publishes](crate::snapshot::publish).
///
/// Values keep their meaning as [`mapping`](super::mapping) says; keys stay in their key groups, and the manifest records
/// that Java's hash codes put them there. Operators keep id, parallelism and max parallelism. Timers of a service become one
/// state with the service's name; state of coordinators and raw operator state become operator state in lists, see
/// [`COORDINATOR_STATE`] and [`RAW_OPERATOR_STATE`].
///
/// What cannot be read or has no counterpart is an error that names operator and state; nothing is left out silently.
/// Before each key group `keep_going` is asked, with the share of the work that is done, from 0 to 1; it ends the work with
/// [`Aborted`](crate::ErrorKind::Aborted) when it says no. Memory: the entries of one key group.
pub fn import(
    snapshot: &SnapshotReader,
    label: SnapshotLabel,
    target: &SnapshotTarget,
    options: &ImportOptions,
    keep_going: &dyn Fn(f64) -> bool,
) -> Result<Imported> {
    let mut notes = Vec::new();
    for master in &snapshot.metadata().master_states {
        let message = format!("the state of hook {:?} of the job master is left out", master.name);
        notes.push(Note { operator: None, state: None, message });
    }
    let count = snapshot.metadata().operators.len();
    let mut operators = Vec::with_capacity(count);
    for (position, operator) in snapshot.operators().enumerate() {
        let share = |part: f64| keep_going((as_share(position) + part) / as_share(count.max(1)));
        let mut import = OperatorImport { operator, target, options, notes: &mut notes };
        operators.push(import.run(&share).map_err(|error| error.in_operator(operator.label()))?);
    }
    let SnapshotLabel { job, checkpoint, kind, created_ms } = label;
    let checkpoint = if checkpoint.0 == 0 { CheckpointId(1) } else { checkpoint };
    let mut manifest = Manifest { job, checkpoint, kind, created_ms, writer: Manifest::WRITER.to_owned(), operators };
    manifest.sort();
    Ok(Imported { manifest, notes })
}

/// A small number as a float.
fn as_share(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}

struct OperatorImport<'i, 'a> {
    operator: OperatorReader<'a>,
    target: &'i SnapshotTarget,
    options: &'i ImportOptions,
    notes: &'i mut Vec<Note>,
}

/// A neutral key, which lists do not have, and a value.
type Pair = (Vec<u8>, Vec<u8>);

/// Operator state of the operator, by subtask.
#[derive(Default)]
struct Lists {
    /// Descriptions by name.
    states: BTreeMap<String, ListState>,
    /// Elements by subtask and state.
    elements: BTreeMap<u32, BTreeMap<String, Vec<Pair>>>,
}

struct ListState {
    kind: StateKind,
    key: Mapping,
    value: Mapping,
}

impl OperatorImport<'_, '_> {
    fn note(&mut self, state: Option<&str>, message: String) {
        let operator = Some(self.operator.label());
        self.notes.push(Note { operator, state: state.map(str::to_owned), message });
    }

    fn run(&mut self, share: &dyn Fn(f64) -> bool) -> Result<OperatorSnapshot> {
        let Operator { id, uid, parallelism, max_parallelism, progress, .. } = self.operator.description();
        let mut pairs = KeyedPairs::open(self.operator.keyed()?)?;
        let mut lists = self.lists(&pairs)?;
        self.refuse_records_in_flight()?;
        let (count, mut subtasks) = (parallelism.get(), Vec::new());
        for index in (0..count).map(SubtaskIndex) {
            let range = KeyGroupRange::of_subtask(index.0, *parallelism, *max_parallelism)?;
            let part = |part: f64| share((f64::from(index.0) + part) / f64::from(count));
            let keyed = if pairs.key().is_some() { self.keyed(&mut pairs, range, &part)? } else { None };
            let operator = lists.write(index, *id, self.target)?;
            let finished = match progress {
                Progress::Finished => true,
                Progress::Running(subtasks) => {
                    subtasks.iter().any(|subtask| subtask.index == index && subtask.state.is_none())
                }
            };
            subtasks.push(SubtaskSnapshot { index, finished, keyed, operator });
        }
        self.note_descriptions(&pairs);
        let mut states = pairs.states();
        states.extend(lists.descriptions());
        states.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(OperatorSnapshot {
            id: *id,
            uid: uid.clone().filter(|uid| OperatorId::from_uid(uid) == *id),
            parallelism: *parallelism,
            max_parallelism: *max_parallelism,
            assignment: assignment(&pairs),
            key: pairs.key(),
            states,
            subtasks,
        })
    }

    fn refuse_records_in_flight(&mut self) -> Result<()> {
        let bytes: u64 = self.operator.channels().map(|(_, _, handle)| handle.size).sum();
        if bytes == 0 {
            return Ok(());
        }
        if !self.options.drops_records_in_flight {
            let message = format!(
                "{bytes} bytes of records in flight cannot be taken over, since their types are not in the snapshot; take a \
                 savepoint, or leave the records out if their loss does not matter"
            );
            return Err(Error::incompatible(message));
        }
        self.note(None, format!("{bytes} bytes of records in flight are left out"));
        Ok(())
    }

    /// Tells what a description does not show by itself.
    fn note_descriptions(&mut self, pairs: &KeyedPairs<'_>) {
        let opaque = |snapshot: &SerializerSnapshot| matches!(snapshot, SerializerSnapshot::Custom { .. });
        for state in pairs.states() {
            if [&state.value, &state.user_key, &state.namespace].into_iter().any(opaque) {
                let message = format!("values are carried as opaque bytes: {}", state.value);
                self.note(Some(&state.name), message);
            }
        }
        let key = pairs.reader().key().map(|key| java_type(&key.serializer));
        if let Some(class) = key.as_ref().and_then(JavaType::unknown_class) {
            let message = format!("the hash code of keys depends on {class}, so that no backend can look keys up");
            self.note(None, message);
        }
    }

    /// Writes the key groups of a subtask.
    fn keyed(
        &self,
        pairs: &mut KeyedPairs<'_>,
        range: KeyGroupRange,
        share: &dyn Fn(f64) -> bool,
    ) -> Result<Option<KeyedHandle>> {
        let id = self.operator.description().id;
        let mut writer = canonical::writer(self.target.new_object()?, id, self.target.compression());
        let (mut sections, mut totals) = (Vec::new(), BTreeMap::<Arc<str>, StateTotals>::new());
        let mut sorted = SortedGroup::default();
        for (position, group) in range.iter().enumerate() {
            if !share(as_share(position) / as_share(range.len())) {
                return Err(Error::aborted("the import was ended"));
            }
            pairs.read_group(group, &mut sorted)?;
            writer.begin(Owner::KeyGroup(group))?;
            let mut current = None;
            for (state, key, value) in sorted.iter() {
                if current != Some(state) {
                    let (name, kind) =
                        pairs.state(state).ok_or_else(|| Error::internal("a state that is not there"))?;
                    writer.begin_state(name, kind)?;
                    current = Some(state);
                }
                writer.pair(key, value)?;
            }
            let Some(summary) = writer.finish()? else { continue };
            sections.push(SectionRef::new(&summary, 0)?);
            for StateTotals { name, entries, bytes } in summary.states {
                let total = totals.entry(name.clone()).or_insert(StateTotals { name, entries: 0, bytes: 0 });
                total.entries = total.entries.saturating_add(entries);
                total.bytes = total.bytes.saturating_add(bytes);
            }
        }
        let Some(object) = writer.close()?.finish()? else { return Ok(None) };
        let states = totals.into_values().collect();
        let (format, assignment, objects) = (FormatId::Canonical, assignment(pairs), vec![object]);
        Ok(Some(KeyedHandle { format, range, assignment, objects, sections, files: Vec::new(), states }))
    }

    /// Collects the operator state of all subtasks.
    fn lists(&mut self, pairs: &KeyedPairs<'_>) -> Result<Lists> {
        let keyed: Vec<String> = pairs.states().into_iter().map(|state| state.name).collect();
        let name_of = |name: &str| {
            let is_taken = keyed.iter().any(|keyed| keyed == name);
            if is_taken { format!("operator/{name}") } else { name.to_owned() }
        };
        let mut lists = Lists::default();
        for subtask in self.operator.operator_state()? {
            if let Some(unreadable) = &subtask.header().unreadable {
                return Err(Error::incompatible(format!("operator state cannot be read: {unreadable}")));
            }
            for info in subtask.states() {
                lists.register(&name_of(&info.name), info);
            }
            for element in subtask.elements() {
                let element = element?;
                let name = name_of(element.state);
                lists
                    .add(subtask.subtask, &name, element.distribution, element.value)
                    .map_err(|e| e.in_state(&name))?;
            }
        }
        self.raw_operator_state(&mut lists)?;
        if let Some(coordinator) = &self.operator.description().coordinator {
            lists.add_bytes(SubtaskIndex(0), COORDINATOR_STATE, &coordinator.bytes);
            self.note(Some(COORDINATOR_STATE), "the state of the operator's coordinator, carried as bytes".to_owned());
        }
        Ok(lists)
    }

    fn raw_operator_state(&mut self, lists: &mut Lists) -> Result<()> {
        for subtask in self.operator.description().subtasks() {
            let Some(handle) = subtask.state.as_ref().and_then(|state| state.raw_operator.as_ref()) else { continue };
            let stream = self.operator.snapshot().stream(&handle.stream)?;
            let bytes = stream.as_ref();
            for PartitionOffsets { offsets, .. } in &handle.states {
                let ends = offsets.iter().skip(1).copied().chain([handle.stream.size()]);
                for (start, end) in offsets.iter().zip(ends) {
                    let range = usize::try_from(*start).ok().zip(usize::try_from(end).ok());
                    let element = range.and_then(|(start, end)| bytes.get(start..end)).ok_or_else(|| {
                        Error::corrupt("partitions do not ascend").at_offset(*start).in_file(stream.file())
                    })?;
                    lists.add_bytes(subtask.index, RAW_OPERATOR_STATE, element);
                }
            }
            self.note(Some(RAW_OPERATOR_STATE), format!("raw state of subtask {}, carried as bytes", subtask.index));
        }
        Ok(())
    }
}

impl Lists {
    fn register(&mut self, name: &str, info: &StateInfo) {
        let mapping = |snapshot: Option<&_>| snapshot.map_or_else(Mapping::unit, Mapping::of);
        self.states.entry(name.to_owned()).or_insert_with(|| ListState {
            kind: info.kind(),
            key: mapping(info.key()),
            value: mapping(info.value()),
        });
    }

    fn add(&mut self, subtask: SubtaskIndex, name: &str, distribution: Distribution, value: Value) -> Result<()> {
        let state = self.states.get_mut(name).ok_or_else(|| Error::internal("a state that is not registered"))?;
        let mut out = Writer::new();
        if distribution == Distribution::Broadcast {
            // Every subtask has the same map; the first one's is kept.
            let is_known = self.elements.values().any(|states| states.contains_key(name));
            let Value::Map(entries) = value else {
                return Err(Error::incompatible("a broadcast map that cannot be read"));
            };
            if is_known {
                return Ok(());
            }
            let stored = self.elements.entry(0).or_default().entry(name.to_owned()).or_default();
            for (key, value) in &entries {
                let mut key_bytes = Writer::new();
                out.clear();
                state.key.encode(key, &mut key_bytes)?;
                state.value.encode(value, &mut out)?;
                stored.push((key_bytes.into_bytes(), out.as_slice().to_vec()));
            }
            stored.sort();
            return Ok(());
        }
        state.value.encode(&value, &mut out)?;
        let stored = self.elements.entry(subtask.0).or_default().entry(name.to_owned()).or_default();
        stored.push((Vec::new(), out.into_bytes()));
        Ok(())
    }

    /// Adds an element that is nothing but bytes.
    fn add_bytes(&mut self, subtask: SubtaskIndex, name: &str, bytes: &[u8]) {
        let value = Mapping::Plain { kind: SerializerSnapshot::Bytes, odd_text: false };
        let state = ListState { kind: StateKind::OperatorList, key: Mapping::unit(), value };
        self.states.entry(name.to_owned()).or_insert(state);
        let mut out = Writer::new();
        out.bytes(bytes);
        let stored = self.elements.entry(subtask.0).or_default().entry(name.to_owned()).or_default();
        stored.push((Vec::new(), out.into_bytes()));
    }

    fn descriptions(&self) -> impl Iterator<Item = StateMeta> {
        self.states.iter().map(|(name, state)| StateMeta {
            name: name.clone(),
            kind: state.kind,
            namespace: SerializerSnapshot::Unit,
            user_key: state.key.description(),
            value: state.value.description(),
            timed: false,
        })
    }

    /// Writes the state of a subtask: part of the handle if it is small, else an object.
    fn write(
        &mut self,
        subtask: SubtaskIndex,
        id: OperatorId,
        target: &SnapshotTarget,
    ) -> Result<Option<OperatorStateHandle>> {
        let Some(states) = self.elements.remove(&subtask.0) else { return Ok(None) };
        let mut writer = operator::writer(Vec::new(), id, target.compression());
        writer.begin(Owner::Subtask(subtask))?;
        for (name, elements) in &states {
            let kind = self.states.get(name).map_or(StateKind::OperatorList, |state| state.kind);
            writer.begin_state(name, kind)?;
            for (key, value) in elements {
                writer.pair(key, value).map_err(|error| error.in_state(name))?;
            }
        }
        let Some(summary) = writer.finish()? else { return Ok(None) };
        let bytes = writer.close()?;
        let content = if bytes.len() <= INLINE_BYTES {
            OperatorStateContent::Inline(bytes)
        } else {
            let mut sink = target.new_object()?;
            sink.write(&bytes)?;
            let Some(object) = sink.finish()? else { return Ok(None) };
            OperatorStateContent::Object(object)
        };
        Ok(Some(OperatorStateHandle { content, states: summary.states }))
    }
}

/// How Flink assigned the keys.
fn assignment(pairs: &KeyedPairs<'_>) -> KeyGroupAssignment {
    let key = pairs.reader().key().map(|key| java_type(&key.serializer));
    key.map_or(KeyGroupAssignment::Xxh3, KeyGroupAssignment::Flink)
}

/// The Java type whose hash code decides the key groups of keys of this serializer.
pub(super) fn java_type(serializer: &TypeSerializer) -> JavaType {
    let class = || JavaType::Class(serializer.to_string());
    let all = |fields: &[Snapshot]| fields.iter().map(|field| java_type(&field.serializer)).collect();
    let boxed = |snapshot: &Snapshot| Box::new(java_type(&snapshot.serializer));
    match serializer {
        TypeSerializer::Simple(simple) => simple_java_type(*simple).unwrap_or_else(class),
        TypeSerializer::Tuple { fields, .. } if !fields.is_empty() => JavaType::Tuple(all(fields)),
        TypeSerializer::Row { fields, .. } => JavaType::Row(all(fields)),
        TypeSerializer::List(element) => JavaType::List(boxed(element)),
        TypeSerializer::Map(key, value) => JavaType::Map(boxed(key), boxed(value)),
        TypeSerializer::Nullable { inner, .. } => java_type(&inner.serializer),
        _ => class(),
    }
}

fn simple_java_type(simple: Simple) -> Option<JavaType> {
    Some(match simple {
        Simple::Boolean => JavaType::Boolean,
        Simple::Byte => JavaType::Byte,
        Simple::Short => JavaType::Short,
        Simple::Int => JavaType::Int,
        Simple::Long => JavaType::Long,
        Simple::Char => JavaType::Char,
        Simple::Float => JavaType::Float,
        Simple::Double => JavaType::Double,
        Simple::String | Simple::StringValue => JavaType::String,
        Simple::BigInt => JavaType::BigInteger,
        Simple::BigDec => JavaType::BigDecimal,
        Simple::Date | Simple::SqlDate | Simple::SqlTime => JavaType::Date,
        Simple::SqlTimestamp => JavaType::Timestamp,
        Simple::Instant => JavaType::Instant,
        Simple::LocalDate => JavaType::LocalDate,
        Simple::LocalTime => JavaType::LocalTime,
        Simple::LocalDateTime => JavaType::LocalDateTime,
        _ => return None,
    })
}
