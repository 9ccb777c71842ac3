use std::collections::HashSet;

use millpond::format::FormatId;
use millpond::format::manifest::{
    KeyedHandle, Manifest, ObjectScope, OperatorSnapshot, OperatorStateContent, SectionRef, SubtaskSnapshot,
};
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::section::StateTotals;
use millpond::serializer::SerializerSnapshot;
use serde::Serialize;

use super::super::open::Location;
use super::super::output::Moment;
use super::Counts;

/// Key groups that are named because they are the fullest.
const FULLEST: usize = 5;

#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    pub(super) path: String,
    pub(super) kind: &'static str,
    pub(super) job: String,
    pub(super) checkpoint: u64,
    pub(super) created: String,
    pub(super) created_ms: i64,
    pub(super) writer: String,
    pub(super) objects: Objects,
    pub(super) operators: Vec<Operator>,
}

/// The files of a snapshot beside its manifest, each counted once.
#[derive(Debug, Serialize)]
pub(super) struct Objects {
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) shared_count: u64,
    pub(super) shared_bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Operator {
    pub(super) id: String,
    pub(super) uid: Option<String>,
    pub(super) parallelism: u32,
    pub(super) max_parallelism: u32,
    pub(super) key_type: Option<String>,
    pub(super) key_groups_by: &'static str,
    pub(super) states: Vec<State>,
    pub(super) subtasks: Vec<Subtask>,
    pub(super) key_groups: Option<KeyGroups>,
}

#[derive(Debug, Serialize)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) namespace_type: Option<String>,
    pub(super) user_key_type: Option<String>,
    pub(super) value_type: Option<String>,
    pub(super) ttl: bool,
    /// `None` where nobody counted.
    pub(super) entries: Option<u64>,
    pub(super) bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Subtask {
    pub(super) index: u32,
    pub(super) finished: bool,
    pub(super) format: Option<&'static str>,
    pub(super) first_key_group: Option<u16>,
    pub(super) last_key_group: Option<u16>,
    /// `None` for a database, of which nobody knows without reading it.
    pub(super) keyed_entries: Option<u64>,
    pub(super) keyed_bytes: u64,
    pub(super) operator_state_bytes: u64,
    pub(super) objects: u64,
}

/// How unevenly entries and bytes are divided among key groups, empty ones included.
#[derive(Debug, Serialize)]
pub(super) struct KeyGroups {
    pub(super) count: u64,
    pub(super) empty: u64,
    pub(super) entries: Spread,
    pub(super) bytes: Spread,
    pub(super) fullest: Vec<KeyGroup>,
}

#[derive(Debug, Serialize)]
pub(super) struct Spread {
    pub(super) min: u64,
    pub(super) median: u64,
    pub(super) max: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct KeyGroup {
    pub(super) key_group: u16,
    pub(super) subtask: u32,
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

impl Snapshot {
    pub(super) fn new(location: &Location, manifest: &Manifest, counts: Option<&Counts>) -> Self {
        let Manifest { job, checkpoint, kind, created_ms, writer, operators } = manifest;
        let mut operators: Vec<Operator> = operators.iter().map(|operator| Operator::new(operator, counts)).collect();
        operators.sort_by(|a, b| (&a.uid, &a.id).cmp(&(&b.uid, &b.id)));
        Snapshot {
            path: location.path.display().to_string(),
            kind: kind.name(),
            job: job.to_string(),
            checkpoint: checkpoint.0,
            created: Moment(*created_ms).to_string(),
            created_ms: *created_ms,
            writer: writer.clone(),
            objects: Objects::new(manifest),
            operators,
        }
    }
}

impl Objects {
    fn new(manifest: &Manifest) -> Self {
        let mut objects = Objects { count: 0, bytes: 0, shared_count: 0, shared_bytes: 0 };
        let mut seen = HashSet::new();
        for object in manifest.objects() {
            if !seen.insert((object.scope, &object.name)) {
                continue;
            }
            objects.count += 1;
            objects.bytes += object.length;
            if object.scope != ObjectScope::Exclusive {
                objects.shared_count += 1;
                objects.shared_bytes += object.length;
            }
        }
        objects
    }
}

impl Operator {
    fn new(operator: &OperatorSnapshot, counts: Option<&Counts>) -> Self {
        let OperatorSnapshot { id, uid, parallelism, max_parallelism, assignment, key, states, subtasks } = operator;
        let has_database = subtasks.iter().filter_map(|subtask| subtask.keyed.as_deref()).any(is_database);
        Operator {
            id: id.to_string(),
            uid: uid.clone(),
            parallelism: parallelism.get(),
            max_parallelism: max_parallelism.get(),
            key_type: key.as_ref().map(ToString::to_string),
            key_groups_by: assignment.name(),
            states: states.iter().map(|state| State::new(operator, state, counts)).collect(),
            subtasks: subtasks.iter().map(Subtask::new).collect(),
            key_groups: key.as_ref().filter(|_| !has_database).map(|_| KeyGroups::new(operator)),
        }
    }
}

impl State {
    fn new(operator: &OperatorSnapshot, state: &StateMeta, counts: Option<&Counts>) -> Self {
        let StateMeta { name, kind, namespace, user_key, value, timed } = state;
        let shown = |serializer: &SerializerSnapshot, there: bool| there.then(|| serializer.to_string());
        let total = match counts {
            Some(counts) => Some(counts.get(&(operator.id.to_string(), name.clone())).copied().unwrap_or_default()),
            None => total(operator, state),
        };
        State {
            name: name.clone(),
            kind: kind.name(),
            namespace_type: shown(namespace, *namespace != SerializerSnapshot::Unit),
            user_key_type: shown(user_key, matches!(kind, StateKind::Map | StateKind::Broadcast)),
            value_type: shown(value, *kind != StateKind::Timer),
            ttl: *timed,
            entries: total.map(|(entries, _)| entries),
            bytes: total.map(|(_, bytes)| bytes),
        }
    }
}

/// What the manifest says of a state, or `None` if some subtask did not count.
fn total(operator: &OperatorSnapshot, state: &StateMeta) -> Option<(u64, u64)> {
    let (mut entries, mut bytes) = (0, 0);
    for subtask in &operator.subtasks {
        let totals: &[StateTotals] = match (state.kind.is_keyed(), &subtask.keyed, &subtask.operator) {
            (true, Some(handle), _) => &handle.states,
            (false, _, Some(handle)) => &handle.states,
            _ => continue,
        };
        if totals.is_empty() {
            return None;
        }
        for total in totals.iter().filter(|total| *total.name == *state.name) {
            entries += total.entries;
            bytes += total.bytes;
        }
    }
    Some((entries, bytes))
}

/// Whether the state is in a database, whose files are not divided by key group.
fn is_database(handle: &KeyedHandle) -> bool {
    handle.format == FormatId::NativeRocksDb
}

impl Subtask {
    fn new(subtask: &SubtaskSnapshot) -> Self {
        let SubtaskSnapshot { index, finished, keyed, operator } = subtask;
        let sections: &[SectionRef] = keyed.as_ref().map(|handle| handle.sections.as_slice()).unwrap_or_default();
        let database =
            keyed.iter().flat_map(|handle| handle.database_files()).map(|(_, object)| object.length).sum::<u64>();
        Subtask {
            index: index.0,
            finished: *finished,
            format: keyed.as_ref().map(|handle| handle.format.name()),
            first_key_group: keyed.as_ref().map(|handle| handle.range.first().0),
            last_key_group: keyed.as_ref().map(|handle| handle.range.last().0),
            keyed_entries: (!keyed.as_deref().is_some_and(is_database))
                .then(|| sections.iter().map(|section| section.entries).sum()),
            keyed_bytes: sections.iter().map(|section| section.length).sum::<u64>() + database,
            operator_state_bytes: operator.as_ref().map_or(0, |handle| match &handle.content {
                OperatorStateContent::Inline(bytes) => bytes.len() as u64,
                OperatorStateContent::Object(object) => object.length,
            }),
            objects: subtask.objects().count() as u64,
        }
    }
}

impl KeyGroups {
    fn new(operator: &OperatorSnapshot) -> Self {
        let mut groups: Vec<KeyGroup> = Vec::new();
        for subtask in &operator.subtasks {
            let sections = subtask.keyed.iter().flat_map(|handle| &handle.sections);
            groups.extend(sections.map(|section| KeyGroup {
                key_group: section.group.0,
                subtask: subtask.index.0,
                entries: section.entries,
                bytes: section.length,
            }));
        }
        let count = u64::from(operator.max_parallelism.get());
        let empty = count.saturating_sub(groups.len() as u64);
        let entries = Spread::new(groups.iter().map(|group| group.entries), empty);
        let bytes = Spread::new(groups.iter().map(|group| group.bytes), empty);
        groups.sort_by(|a, b| (b.entries, b.bytes, a.key_group).cmp(&(a.entries, a.bytes, b.key_group)));
        groups.truncate(FULLEST);
        KeyGroups { count, empty, entries, bytes, fullest: groups }
    }
}

impl Spread {
    /// The spread of these numbers and so many zeros.
    fn new(numbers: impl Iterator<Item = u64>, zeros: u64) -> Self {
        let mut sorted: Vec<u64> = numbers.chain((0..zeros).map(|_| 0)).collect();
        sorted.sort_unstable();
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        Spread { min: at(0), median: at(sorted.len() / 2), max: at(sorted.len().saturating_sub(1)) }
    }
}
