//! The entries of one state, as tools show them.

use std::ops::ControlFlow;

use super::keyed::{KeyedReader, Spot};
use super::mapping::Mapping;
use super::reader::OperatorReader;
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::flink::header::{StateInfo, StateType};
use crate::format::flink::metadata::Distribution;
use crate::format::flink::serializer::{Simple, Snapshot, TypeSerializer};
use crate::format::flink::{Content, KeyedEntry, Layout, Value};
use crate::format::record::{StateKind, StateMeta};
use crate::format::section::Owner;
use crate::ids::SubtaskIndex;
use crate::key_group::KeyGroupRange;
use crate::serializer::{SerializerSnapshot, Value as Dynamic};
use crate::snapshot::{Entry, TimerPoint};
use crate::state::TimeDomain;

/// Begins the names of the queues of processing timers.
pub(super) const PROCESSING_TIMERS: &str = "_timer_state/processing_";

/// One state of an opened snapshot: walks over its entries, from all subtasks or a part of them.
#[derive(Debug)]
pub struct StateReader<'a> {
    operator: OperatorReader<'a>,
    source: Source<'a>,
    meta: StateMeta,
    key: Option<SerializerSnapshot>,
    groups: KeyGroupRange,
    wanted: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Source<'a> {
    Keyed { reader: Box<KeyedReader<'a>>, position: usize },
    Operator,
}

impl<'a> OperatorReader<'a> {
    /// The state of this name, keyed or of subtasks. A missing one is an error that lists those there are.
    pub fn state(&self, name: &str) -> Result<StateReader<'a>> {
        self.find_state(name, None).map_err(|error| error.in_operator(self.label()))
    }

    /// The state of this name and kind: timers, keyed state and operator state can be called alike.
    pub fn state_of_kind(&self, name: &str, kind: StateKind) -> Result<StateReader<'a>> {
        self.find_state(name, Some(kind)).map_err(|error| error.in_operator(self.label()))
    }

    fn find_state(&self, name: &str, kind: Option<StateKind>) -> Result<StateReader<'a>> {
        let is_it = |state: &StateInfo| state.name == name && kind.is_none_or(|kind| state.kind() == kind);
        let groups = self.max_parallelism().all_groups();
        let reader = self.keyed()?;
        let (operator, wanted) = (*self, None);
        if let Some(position) = reader.states().iter().position(is_it) {
            let meta = reader.states().get(position).map(describe).transpose()?;
            let meta = meta.ok_or_else(|| Error::internal("a state that is not there"))?;
            let key = reader.key().map(|key| Mapping::of(key).description());
            let source = Source::Keyed { reader: Box::new(reader), position };
            return Ok(StateReader { operator, source, meta, key, groups, wanted });
        }
        let mut there: Vec<String> = reader.states().iter().map(|state| state.name.clone()).collect();
        for subtask in self.operator_state()? {
            if let Some(info) = subtask.states().find(|state| is_it(state)) {
                let (source, meta) = (Source::Operator, describe(info)?);
                return Ok(StateReader { operator, source, meta, key: None, groups, wanted });
            }
            there.extend(subtask.states().map(|state| state.name.clone()));
        }
        there.sort();
        there.dedup();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        Err(Error::not_found(format!("the operator has no state {name:?}; it has {there}")))
    }
}

/// What a state looks like with the serializers of ours that would store it, see [`mapping`](super::mapping).
pub(super) fn describe(info: &StateInfo) -> Result<StateMeta> {
    let unit = || SerializerSnapshot::Unit;
    let description = |snapshot: &Snapshot| Mapping::of(untimed(snapshot)).description();
    let (name, kind) = (info.name.clone(), info.kind());
    if matches!(info.state_type, StateType::Operator | StateType::Broadcast) {
        let value = info.value().map_or_else(unit, description);
        let user_key = info.key().map_or_else(unit, description);
        return Ok(StateMeta { name, kind, namespace: unit(), user_key, value, timed: false });
    }
    Ok(match Layout::of(info)? {
        Layout::Queue { element } => {
            let namespace = match &element.serializer {
                TypeSerializer::Timer { namespace, .. } => description(namespace),
                _ => unit(),
            };
            StateMeta { name, kind, namespace, user_key: unit(), value: unit(), timed: false }
        }
        Layout::Value { namespace, value } | Layout::List { namespace, element: value } => {
            let (namespace, timed) = (description(namespace), is_timed(value));
            StateMeta { name, kind, namespace, user_key: unit(), value: description(value), timed }
        }
        Layout::Map { namespace, user_key, user_value } => {
            let (namespace, timed) = (description(namespace), is_timed(user_value));
            let (user_key, value) = (description(user_key), description(user_value));
            StateMeta { name, kind, namespace, user_key, value, timed }
        }
    })
}

/// Whether values carry the moment of their last access.
pub(super) fn is_timed(snapshot: &Snapshot) -> bool {
    matches!(snapshot.serializer, TypeSerializer::Ttl(_))
}

/// The serializer of a value without the moment of its last access.
pub(super) fn untimed(snapshot: &Snapshot) -> &Snapshot {
    match &snapshot.serializer {
        TypeSerializer::Ttl(inner) => inner,
        _ => snapshot,
    }
}

/// Whether namespaces of this serializer are worth showing: there is more than one.
fn has_namespaces(info: &StateInfo) -> bool {
    let namespace = match info.value().map(|value| &value.serializer) {
        Some(TypeSerializer::Timer { namespace, .. }) => Some(&**namespace),
        _ => info.namespace(),
    };
    let single = |snapshot: &Snapshot| {
        matches!(snapshot.serializer, TypeSerializer::Simple(Simple::VoidNamespace | Simple::GlobalWindow))
    };
    namespace.is_some_and(|namespace| !single(namespace))
}

impl StateReader<'_> {
    /// What the state would be here.
    pub fn description(&self) -> &StateMeta {
        &self.meta
    }

    /// What the key would be stored by here; `None` for operator state.
    pub fn key(&self) -> Option<&SerializerSnapshot> {
        self.key.as_ref()
    }

    /// Only the entries of these key groups; the others are not read. Without effect on operator state.
    #[must_use]
    pub fn in_groups(mut self, groups: KeyGroupRange) -> Self {
        self.groups = groups;
        self
    }

    /// Only the entries of the key that would have this encoding here. All key groups are read.
    #[must_use]
    pub fn of_key(mut self, encoded: &[u8]) -> Self {
        self.wanted = Some(encoded.to_vec());
        self
    }

    /// Gives every entry to `visit`, until that breaks or fails. Key groups ascend, operator state comes subtask by
    /// subtask; within these the order is that of the file.
    pub fn entries(&self, visit: impl FnMut(Entry) -> Result<ControlFlow<()>>) -> Result<()> {
        self.entries_in(self.groups, visit)
    }

    /// As [`entries`](Self::entries), of these key groups only. What was opened stays open from one call to the next.
    pub fn entries_in(
        &self,
        groups: KeyGroupRange,
        mut visit: impl FnMut(Entry) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let walked = match &self.source {
            Source::Keyed { reader, position } => self.keyed_entries(reader, *position, groups, &mut visit),
            Source::Operator => self.elements(&mut visit),
        };
        walked.map_err(|error| error.in_operator(self.operator.label()).in_state(&self.meta.name))
    }

    fn keyed_entries(
        &self,
        reader: &KeyedReader<'_>,
        position: usize,
        groups: KeyGroupRange,
        visit: &mut dyn FnMut(Entry) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let Some(info) = reader.states().get(position) else { return Ok(()) };
        let shown = Shown { domain: domain_of(info), has_namespaces: has_namespaces(info) };
        let mut key = self.wanted.as_ref().and(reader.key()).map(Mapping::of);
        let mut scratch = Writer::new();
        let (ControlFlow::Continue(()) | ControlFlow::Break(())) =
            reader.visit(groups, &|state| state == position, &mut |spot, _, entry| {
                if let (Some(key), Some(wanted)) = (&mut key, &self.wanted) {
                    scratch.clear();
                    key.encode(&entry.key, &mut scratch)?;
                    if scratch.as_slice() != wanted.as_slice() {
                        return Ok(ControlFlow::Continue(()));
                    }
                }
                for entry in entry.flatten() {
                    if visit(shown.entry(spot, entry))?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
        Ok(())
    }

    fn elements(&self, visit: &mut dyn FnMut(Entry) -> Result<ControlFlow<()>>) -> Result<()> {
        for subtask in self.operator.operator_state()? {
            for element in subtask.elements() {
                let element = element?;
                if element.state != self.meta.name {
                    continue;
                }
                let entries = match (element.distribution, element.value) {
                    (Distribution::Broadcast, Value::Map(entries)) => {
                        entries.into_iter().map(|(key, value)| (Some(key), value)).collect()
                    }
                    (_, value) => vec![(None, value)],
                };
                for (user_key, value) in entries {
                    if visit(of_subtask(subtask.subtask, user_key, value))?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

/// The clock that the timers of a queue go by, as its name says.
pub(super) fn domain_of(info: &StateInfo) -> Option<TimeDomain> {
    if info.state_type != StateType::PriorityQueue {
        return None;
    }
    let is_processing = info.name.starts_with(PROCESSING_TIMERS);
    Some(if is_processing { TimeDomain::Processing } else { TimeDomain::Event })
}

fn of_subtask(subtask: SubtaskIndex, user_key: Option<Value>, value: Value) -> Entry {
    Entry {
        owner: Owner::Subtask(subtask),
        key: None,
        namespace: None,
        user_key: user_key.map(Dynamic::from),
        timer: None,
        stamps: Vec::new(),
        value: value.into(),
    }
}

/// What is shown of the entries of a state.
struct Shown {
    domain: Option<TimeDomain>,
    has_namespaces: bool,
}

impl Shown {
    fn entry(&self, spot: Spot, entry: KeyedEntry) -> Entry {
        let KeyedEntry { key, namespace, content } = entry;
        let mut shown = Entry {
            owner: Owner::KeyGroup(spot.group),
            key: Some(key.into()),
            namespace: self.has_namespaces.then(|| namespace.into()),
            user_key: None,
            timer: None,
            stamps: Vec::new(),
            value: Dynamic::Unit,
        };
        match content {
            Content::Timer { timestamp } => {
                let domain = self.domain.unwrap_or(TimeDomain::Event);
                shown.timer = Some(TimerPoint { domain, at_ms: timestamp });
            }
            Content::MapEntry { user_key, value } => {
                shown.user_key = Some(user_key.into());
                shown.value = untouched(value, &mut shown.stamps).into();
            }
            Content::Value(Value::List(elements)) => {
                let elements = elements.into_iter().map(|element| untouched(element, &mut shown.stamps).into());
                shown.value = Dynamic::List(elements.collect());
            }
            Content::Value(value) => shown.value = untouched(value, &mut shown.stamps).into(),
            Content::Map(_) => {}
        }
        shown
    }
}

/// The value without the moment of its last access, which goes into `stamps`.
pub(super) fn untouched(value: Value, stamps: &mut Vec<i64>) -> Value {
    match value {
        Value::Timed { last_access, value } => {
            stamps.push(last_access);
            *value
        }
        value => value,
    }
}
