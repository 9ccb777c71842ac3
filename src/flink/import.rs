//! From a snapshot of Flink's to one of ours.

mod lists;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use lists::Lists;

use super::mapping::java_type;
use super::pairs::KeyedPairs;
use super::raw::{self, Partition};
use super::reader::{OperatorReader, SnapshotReader};
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::canonical;
use crate::format::flink::metadata::{Distribution, Operator, Progress};
use crate::format::java_type::JavaType;
use crate::format::manifest::{
    KeyGroupAssignment, KeyedHandle, Manifest, OperatorSnapshot, SectionRef, SubtaskSnapshot,
};
use crate::format::section::{Owner, StateTotals};
use crate::ids::{CheckpointId, OperatorId, SubtaskIndex};
use crate::key_group::KeyGroupRange;
use crate::serializer::SerializerSnapshot;
use crate::snapshot::{SnapshotLabel, SnapshotTarget};
use crate::sort::{Scratch, Sorter};

/// Name of the operator state that carries the state of the operator's coordinator: one element, its bytes. An
/// [`export`](super::export::export) gives it back as what it was.
pub const COORDINATOR_STATE: &str = "flink/coordinator";

/// Name of the operator state that carries raw operator state: an element for each partition. An
/// [`export`](super::export::export) gives it back as what it was.
pub const RAW_OPERATOR_STATE: &str = "flink/raw-operator";

/// How a snapshot is imported.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Leaves out records in flight, which a checkpoint that was not aligned has. Without it they are an error: their
    /// effects would be lost.
    pub drops_records_in_flight: bool,
    /// Where what does not fit into memory while a key group is sorted goes. Without a directory it stays in memory.
    pub scratch: Option<PathBuf>,
    /// Memory for sorting, in bytes.
    pub memory_bytes: usize,
}

impl Default for ImportOptions {
    /// Nothing is left out; 64 MiB and no directory.
    fn default() -> Self {
        ImportOptions { drops_records_in_flight: false, scratch: None, memory_bytes: 64 << 20 }
    }
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
/// [`Aborted`](crate::ErrorKind::Aborted) when it says no. Memory: [`ImportOptions::memory_bytes`] for sorting, the largest
/// entry, and the operator state of an operator.
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
    let scratch = options.scratch.as_ref().map(Scratch::later_in);
    let count = snapshot.metadata().operators.len();
    let mut operators = Vec::with_capacity(count);
    for (position, operator) in snapshot.operators().enumerate() {
        let share = |part: f64| keep_going((as_share(position) + part) / as_share(count.max(1)));
        let mut import = OperatorImport { operator, target, options, scratch: scratch.as_ref(), notes: &mut notes };
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
    scratch: Option<&'i Scratch>,
    notes: &'i mut Vec<Note>,
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
        let mut sorter = Sorter::new(self.scratch, self.options.memory_bytes);
        for index in (0..count).map(SubtaskIndex) {
            let range = KeyGroupRange::of_subtask(index.0, *parallelism, *max_parallelism)?;
            let part = |part: f64| share((f64::from(index.0) + part) / f64::from(count));
            let keyed = if pairs.key().is_some() { self.keyed(&mut pairs, &mut sorter, range, &part)? } else { None };
            let operator = lists.write(index, *id, self.target)?;
            let finished = match progress {
                Progress::Finished => true,
                Progress::Running(subtasks) => {
                    subtasks.iter().any(|subtask| subtask.index == index && subtask.state.is_none())
                }
            };
            subtasks.push(SubtaskSnapshot { index, finished, keyed: keyed.map(Box::new), operator });
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
        sorter: &mut Sorter<'_>,
        range: KeyGroupRange,
        share: &dyn Fn(f64) -> bool,
    ) -> Result<Option<KeyedHandle>> {
        let id = self.operator.description().id;
        let mut writer = canonical::writer(self.target.new_object()?, id, self.target.compression());
        let (mut sections, mut totals) = (Vec::new(), BTreeMap::<Arc<str>, StateTotals>::new());
        for (position, group) in range.iter().enumerate() {
            if !share(as_share(position) / as_share(range.len())) {
                return Err(Error::aborted("the import was ended"));
            }
            pairs.read_group(group, sorter)?;
            writer.begin(Owner::KeyGroup(group))?;
            let mut current = None;
            sorter.drain(&mut |place, key, value| {
                if current != Some(place.state) {
                    let found = pairs.state(usize::from(place.state));
                    let (name, kind) = found.ok_or_else(|| Error::internal("a state that is not there"))?;
                    writer.begin_state(name, kind)?;
                    current = Some(place.state);
                }
                writer.pair(key, value)
            })?;
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
        for partition in raw::partitions(self.operator.snapshot(), self.operator.description())? {
            let Partition { subtask, name, distribution, bytes } = partition;
            if (name.as_str(), distribution) != (raw::DEFAULT_NAME, Distribution::Split) {
                let message =
                    format!("raw operator state {name:?} is not dealt out element by element, as Flink's own is");
                return Err(Error::incompatible(message).in_state(RAW_OPERATOR_STATE));
            }
            lists.add_bytes(subtask, RAW_OPERATOR_STATE, &bytes);
        }
        if lists.has(RAW_OPERATOR_STATE) {
            self.note(Some(RAW_OPERATOR_STATE), "raw operator state, carried as bytes".to_owned());
        }
        Ok(())
    }
}

/// How Flink assigned the keys.
fn assignment(pairs: &KeyedPairs<'_>) -> KeyGroupAssignment {
    let key = pairs.reader().key().map(|key| java_type(&key.serializer));
    key.map_or(KeyGroupAssignment::Xxh3, KeyGroupAssignment::Flink)
}
