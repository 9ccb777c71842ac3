//! Keyed state of Flink as neutral pairs of ours.

use std::ops::ControlFlow;

use super::keyed::KeyedReader;
use super::mapping::Mapping;
use super::state::{PROCESSING_TIMERS, domain_of, is_timed, untimed};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::flink::header::{StateInfo, StateType};
use crate::format::flink::keyed::{Parts, PartsContent};
use crate::format::flink::serializer::{Snapshot, TypeSerializer};
use crate::format::flink::value::Stored;
use crate::format::flink::{Content, Found, KeyedEntry, Layout, Value};
use crate::format::record::{StateKind, StateMeta};
use crate::ids::check_name;
use crate::key_group::{KeyGroup, KeyGroupRange};
use crate::serializer::SerializerSnapshot;
use crate::sort::{Place, Sorter};
use crate::state::TimeDomain;

/// Begins the names of the queues of event timers.
const EVENT_TIMERS: &str = "_timer_state/event_";

/// The keyed state of an operator, encoded as it is stored here.
///
/// What the descriptions say is complete once all entries were read: only then it is known where null occurs.
#[derive(Debug)]
pub struct KeyedPairs<'a> {
    reader: KeyedReader<'a>,
    key: Mapping,
    states: Vec<Mapped>,
    /// For every state of Flink: the position of the one of ours.
    targets: Vec<usize>,
}

/// A state of ours.
#[derive(Debug, Clone)]
struct Mapped {
    name: String,
    kind: StateKind,
    namespace: Mapping,
    user_key: Mapping,
    value: Mapping,
    timed: bool,
}

impl<'a> KeyedPairs<'a> {
    /// Prepares the keyed state of an operator. Reads maps whose values may be null, to see whether some are.
    ///
    /// What cannot be read is [`Incompatible`](crate::ErrorKind::Incompatible), with the reason.
    pub fn open(reader: KeyedReader<'a>) -> Result<Self> {
        let label = reader.operator().label();
        Self::prepare(reader).map_err(|error| error.in_operator(label))
    }

    fn prepare(reader: KeyedReader<'a>) -> Result<Self> {
        reader.check_complete()?;
        let key = reader.key().map_or_else(Mapping::unit, Mapping::of);
        let mut states: Vec<Mapped> = Vec::new();
        let mut names = Vec::new();
        for info in reader.states() {
            let mapped = Mapped::of(info, reader.states())?;
            names.push(mapped.name.clone());
            match states.iter().find(|state| state.name == mapped.name) {
                None => states.push(mapped),
                // The queues of event and processing timers of one service.
                Some(known) if known.kind == StateKind::Timer && mapped.kind == StateKind::Timer => {}
                Some(_) => {
                    let message = "two states would have the same name here; rename one of them in Flink";
                    return Err(Error::incompatible(message).in_state(&mapped.name));
                }
            }
        }
        states.sort_by(|a, b| a.name.cmp(&b.name));
        let position = |name: &String| states.iter().position(|state| state.name == *name).unwrap_or_default();
        let targets = names.iter().map(position).collect();
        let mut pairs = KeyedPairs { reader, key, states, targets };
        pairs.find_null_values()?;
        Ok(pairs)
    }

    /// Makes the values of maps optional where one is null, if their serializer here has no null.
    fn find_null_values(&mut self) -> Result<()> {
        let doubtful = |state: &Mapped| state.kind == StateKind::Map && state.value.refuses_null();
        if !self.states.iter().any(doubtful) {
            return Ok(());
        }
        let mut is_null = vec![false; self.states.len()];
        let (states, targets) = (&self.states, &self.targets);
        let target = |position: usize| targets.get(position).copied().unwrap_or_default();
        let wanted = |position: usize| states.get(target(position)).is_some_and(doubtful);
        let all = self.reader.operator().max_parallelism().all_groups();
        let _ = self.reader.visit_found(all, &wanted, |position, found| {
            let has_null = match found {
                Found::Stored(entry) => match entry.map_value()? {
                    None => true,
                    Some(value) => !value.is_never_null() && null_within(&value.value()?),
                },
                Found::Entry(KeyedEntry { content: Content::Map(entries), .. }) => {
                    entries.iter().any(|(_, value)| null_within(value))
                }
                Found::Entry(KeyedEntry { content: Content::MapEntry { value, .. }, .. }) => null_within(&value),
                _ => false,
            };
            if let Some(null) = is_null.get_mut(target(position)) {
                *null |= has_null;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for (state, null) in self.states.iter_mut().zip(is_null) {
            if null {
                state.value = state.value.clone().optional();
            }
        }
        Ok(())
    }

    /// Gives the entries of a key group to `sorter`, with positions of the states of ours.
    pub fn read_group(&mut self, group: KeyGroup, sorter: &mut Sorter<'_>) -> Result<()> {
        let KeyedPairs { reader, key, states, targets } = self;
        let range = KeyGroupRange::new(group, group)?;
        let mut encoder = Encoder { key, key_bytes: Writer::new(), value_bytes: Writer::new(), element: Writer::new() };
        let _ = reader.visit_found(range, &|_| true, |position, found| {
            let target = targets.get(position).copied().unwrap_or_default();
            let (Some(state), Some(info)) = (states.get_mut(target), reader.states().get(position)) else {
                return Err(Error::internal("an entry of a state that is not there"));
            };
            let id =
                u16::try_from(target).map_err(|_| Error::incompatible("more states than a snapshot here can have"))?;
            let place = Place { group, state: id };
            let mut push = |key: &[u8], value: &[u8]| sorter.push(place, key, value);
            match found {
                Found::Stored(entry) => encoder.parts(state, domain_of(info), entry.parts()?, &mut push),
                Found::Entry(entry) => encoder.entry(state, domain_of(info), entry, &mut push),
            }
            .map_err(|error| error.in_state(&state.name))?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }

    /// What describes the keys that were read so far; `None` if there are no states.
    pub fn key(&self) -> Option<SerializerSnapshot> {
        (!self.states.is_empty()).then(|| self.key.description())
    }

    /// What describes the entries that were read so far, ascending by name.
    pub fn states(&self) -> Vec<StateMeta> {
        self.states.iter().map(Mapped::description).collect()
    }

    /// Name and kind of a state.
    pub(super) fn state(&self, position: usize) -> Option<(&str, StateKind)> {
        self.states.get(position).map(|state| (state.name.as_str(), state.kind))
    }

    /// What it was read from.
    pub fn reader(&self) -> &KeyedReader<'a> {
        &self.reader
    }
}

fn null_within(value: &Value) -> bool {
    match value {
        Value::Timed { value, .. } => **value == Value::Null,
        value => *value == Value::Null,
    }
}

impl Mapped {
    fn of(info: &StateInfo, all: &[StateInfo]) -> Result<Self> {
        let unit = Mapping::unit;
        let mapping = |snapshot: &Snapshot| Mapping::of(untimed(snapshot));
        let (name, kind) = (info.name.clone(), info.kind());
        check_name("the name of the state", &name).map_err(|error| {
            let message = format!("{}, as names here cannot be; rename the state in Flink first", error.message());
            Error::incompatible(message).in_state(&name)
        })?;
        Ok(match Layout::of(info)? {
            Layout::Queue { element } => {
                let TypeSerializer::Timer { namespace, .. } = &element.serializer else {
                    let message = format!("a queue of {element}, which are no timers");
                    return Err(Error::incompatible(message).in_state(&info.name));
                };
                let (name, namespace) = (timer_name(&name, all), mapping(namespace));
                Mapped { name, kind, namespace, user_key: unit(), value: unit(), timed: false }
            }
            Layout::List { namespace, element } if !element.has_known_end() => {
                // The elements cannot be told apart: the list is one value, with the times of last access in it.
                let value = Mapping::of_list(element);
                let (kind, namespace) = (StateKind::Value, mapping(namespace));
                Mapped { name, kind, namespace, user_key: unit(), value, timed: false }
            }
            Layout::Value { namespace, value } | Layout::List { namespace, element: value } => {
                let (timed, namespace) = (is_timed(value), mapping(namespace));
                Mapped { name, kind, namespace, user_key: unit(), value: mapping(value), timed }
            }
            Layout::Map { namespace, user_key, user_value } => {
                let (timed, namespace) = (is_timed(user_value), mapping(namespace));
                let (user_key, value) = (mapping(user_key), mapping(user_value));
                Mapped { name, kind, namespace, user_key, value, timed }
            }
        })
    }

    fn description(&self) -> StateMeta {
        let Mapped { name, kind, namespace, user_key, value, timed } = self;
        StateMeta {
            name: name.clone(),
            kind: *kind,
            namespace: namespace.description(),
            user_key: user_key.description(),
            value: value.description(),
            timed: *timed,
        }
    }
}

/// The name of the timers of a queue: that of the service, unless another state has it.
fn timer_name(queue: &str, all: &[StateInfo]) -> String {
    let service = queue.strip_prefix(EVENT_TIMERS).or_else(|| queue.strip_prefix(PROCESSING_TIMERS));
    match service {
        None => queue.to_owned(),
        Some(service) => {
            let is_taken =
                all.iter().any(|state| state.state_type != StateType::PriorityQueue && state.name == service);
            if is_taken { format!("_timer_state/{service}") } else { service.to_owned() }
        }
    }
}

/// Encodes entries.
struct Encoder<'m> {
    key: &'m mut Mapping,
    key_bytes: Writer,
    value_bytes: Writer,
    element: Writer,
}

/// Takes the key and the value of a pair.
type PairVisitor<'v> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'v;

impl Encoder<'_> {
    /// As [`entry`](Self::entry), for an entry that is not decoded.
    fn parts(
        &mut self,
        state: &mut Mapped,
        domain: Option<TimeDomain>,
        parts: Parts<'_>,
        visit: &mut PairVisitor<'_>,
    ) -> Result<()> {
        let Parts { key, namespace, content } = parts;
        self.key_bytes.clear();
        self.value_bytes.clear();
        if let PartsContent::Timer { timestamp } = content {
            self.key_bytes.u8(domain.unwrap_or(TimeDomain::Event).tag());
            self.key_bytes.ordered_i64(timestamp);
        }
        self.key.transcode(key, &mut self.key_bytes)?;
        state.namespace.transcode(namespace, &mut self.key_bytes)?;
        match content {
            PartsContent::Timer { .. } => {}
            PartsContent::Value(value) => stamped_parts(state, value, &mut self.value_bytes)?,
            PartsContent::List(elements) if state.kind == StateKind::List => {
                if elements.is_empty() {
                    return Ok(());
                }
                let Encoder { element: bytes, value_bytes, .. } = self;
                elements.for_each(|element| {
                    bytes.clear();
                    stamped_parts(state, element, bytes)?;
                    value_bytes.bytes(bytes.as_slice());
                    Ok(())
                })?;
            }
            PartsContent::List(elements) => stamped(state, &elements.value()?, &mut self.value_bytes)?,
            PartsContent::MapEntry { user_key, value } => {
                state.user_key.transcode(user_key, &mut self.key_bytes)?;
                match value {
                    Some(value) => stamped_parts(state, value, &mut self.value_bytes)?,
                    None => stamped(state, &Value::Null, &mut self.value_bytes)?,
                }
            }
        }
        visit(self.key_bytes.as_slice(), self.value_bytes.as_slice())
    }

    fn entry(
        &mut self,
        state: &mut Mapped,
        domain: Option<TimeDomain>,
        entry: KeyedEntry,
        visit: &mut PairVisitor<'_>,
    ) -> Result<()> {
        let KeyedEntry { key, namespace, content } = entry;
        self.key_bytes.clear();
        self.value_bytes.clear();
        if let Content::Timer { timestamp } = &content {
            self.key_bytes.u8(domain.unwrap_or(TimeDomain::Event).tag());
            self.key_bytes.ordered_i64(*timestamp);
        }
        self.key.encode(&key, &mut self.key_bytes)?;
        state.namespace.encode(&namespace, &mut self.key_bytes)?;
        match content {
            Content::Timer { .. } => {}
            Content::Value(Value::List(elements)) if state.kind == StateKind::List => {
                if elements.is_empty() {
                    return Ok(());
                }
                elements.iter().try_for_each(|element| self.element(state, element))?;
            }
            Content::Value(value) => stamped(state, &value, &mut self.value_bytes)?,
            Content::MapEntry { user_key, value } => {
                state.user_key.encode(&user_key, &mut self.key_bytes)?;
                stamped(state, &value, &mut self.value_bytes)?;
            }
            Content::Map(entries) => return self.map(state, &entries, visit),
        }
        visit(self.key_bytes.as_slice(), self.value_bytes.as_slice())
    }

    fn element(&mut self, state: &mut Mapped, element: &Value) -> Result<()> {
        self.element.clear();
        stamped(state, element, &mut self.element)?;
        self.value_bytes.bytes(self.element.as_slice());
        Ok(())
    }

    fn map(&mut self, state: &mut Mapped, entries: &[(Value, Value)], visit: &mut PairVisitor<'_>) -> Result<()> {
        let prefix = self.key_bytes.len();
        for (user_key, value) in entries {
            self.key_bytes.truncate(prefix);
            self.value_bytes.clear();
            state.user_key.encode(user_key, &mut self.key_bytes)?;
            stamped(state, value, &mut self.value_bytes)?;
            visit(self.key_bytes.as_slice(), self.value_bytes.as_slice())?;
        }
        Ok(())
    }
}

/// As [`stamped`], for a value that is not decoded.
fn stamped_parts(state: &mut Mapped, value: Stored<'_>, out: &mut Writer) -> Result<()> {
    if !state.timed {
        return state.value.transcode(value, out);
    }
    match value.untimed()? {
        (Some(last_access), value) => {
            out.ordered_i64(last_access);
            state.value.transcode(value, out)
        }
        (None, value) => stamped(state, &value.value()?, out),
    }
}

/// Appends a value, behind the moment of its last access if the state is timed.
fn stamped(state: &mut Mapped, value: &Value, out: &mut Writer) -> Result<()> {
    match value {
        Value::Timed { last_access, value } if state.timed => {
            out.ordered_i64(*last_access);
            state.value.encode(value, out)
        }
        _ if state.timed => {
            Err(Error::incompatible("a value without the moment of its last access, which others have"))
        }
        value => state.value.encode(value, out),
    }
}
