//! The state of one operator of a snapshot of ours, in Flink's encodings.

use std::ops::ControlFlow;

use super::carried::is_carried;
use super::counterpart::{self, Classes};
use super::direct;
use super::edits::{Plan, label};
use super::report::{Outcome, StateReport};
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::flink::SnapshotReader as FlinkReader;
use crate::format::flink::header::{KeyedHeader, OperatorHeader, StateInfo, StateType};
use crate::format::flink::keyed::{KeyBytes, write_element, write_map_value};
use crate::format::flink::metadata::{Distribution, Operator};
use crate::format::flink::operator::write_map;
use crate::format::flink::serializer::{Simple, Snapshot, TypeSerializer};
use crate::format::flink::value::fit;
use crate::format::flink::{Layout, Value};
use crate::format::record::{StateKind, StateMeta};
use crate::format::schema::{EVENT_TIME, Schema};
use crate::format::section::Owner;
use crate::key_group::{KeyGroup, KeyGroupRange};
use crate::serializer::{SerializerSnapshot, Value as Dynamic};
use crate::snapshot::{OperatorReader, StateReader};

/// Begins the names of the queues of timers, by what their timestamps count.
const EVENT_TIMERS: &str = "_timer_state/event_";
const PROCESSING_TIMERS: &str = "_timer_state/processing_";

/// Begins the names of all queues of timers.
const TIMERS: &str = "_timer_state/";

/// What types are written as.
#[derive(Clone, Copy)]
pub(super) struct Types<'t> {
    /// Java classes of structs and enums.
    pub(super) classes: &'t Classes,
    /// A snapshot of Flink's whose serializers are taken for operators and states of the same names.
    pub(super) like: Option<&'t FlinkReader>,
}

/// The keyed state of an operator.
pub(super) struct OwnKeyed<'a> {
    key: &'a SerializerSnapshot,
    states: Vec<OwnState<'a>>,
}

struct OwnState<'a> {
    reader: StateReader<'a>,
    meta: &'a StateMeta,
    /// Where the entries go: timers have one for each domain.
    ids: Ids,
}

#[derive(Clone, Copy)]
enum Ids {
    One(u16),
    Timers { event: Option<u16>, processing: Option<u16> },
}

/// Serializers of the parts of an entry.
#[derive(Clone, Copy)]
struct Parts<'h> {
    key: &'h Snapshot,
    namespace: &'h Snapshot,
    user_key: Option<&'h Snapshot>,
    value: &'h Snapshot,
}

impl<'a> OwnKeyed<'a> {
    /// Describes the keyed states of an operator as Flink would. States that have no counterpart are added to `refused`,
    /// unless they are left out anyway.
    pub(super) fn describe(
        operator: OperatorReader<'a>,
        stub: &Operator,
        types: Types<'_>,
        plan: &Plan<'_>,
        refused: &mut Vec<StateReport>,
    ) -> Result<(KeyedHeader, Self)> {
        let stored_key = operator.key().unwrap_or(&SerializerSnapshot::Unit);
        let like = types.like.and_then(|like| like.operator_by_id(operator.description().id));
        let like = like.map(|operator| operator.keyed()).transpose()?;
        let key = match like.as_ref().and_then(|like| like.key()) {
            Some(key) => key.clone(),
            None => counterpart::of(stored_key, types.classes)?,
        };
        let templates = like.as_ref().map(|like| like.states()).unwrap_or_default();
        let mut own = OwnKeyed { key: stored_key, states: Vec::new() };
        let mut states: Vec<StateInfo> = Vec::new();
        for meta in operator.states().iter().filter(|meta| meta.kind.is_keyed()) {
            let kind = if counterpart::opaque_element(&meta.value).is_some() { StateKind::List } else { meta.kind };
            let described = match templates.iter().find(|info| info.name == meta.name && info.kind() == kind) {
                Some(info) => checked_template(info, meta).map(|info| vec![info]),
                None => match queue_template(templates, meta) {
                    Some(timer) => Ok(queues(&meta.name, timer)),
                    None => infos(meta, &key, types.classes),
                },
            };
            let infos = match described {
                Ok(infos) => infos,
                Err(error) if plan.drops_state(stub, &meta.name) => {
                    drop(error);
                    refused.push(report(meta, Outcome::Dropped));
                    continue;
                }
                Err(error) => {
                    refused.push(report(meta, Outcome::Refused(error.message().to_owned())));
                    continue;
                }
            };
            let ids = ids(&infos, states.len())?;
            states.extend(infos);
            own.states.push(OwnState { reader: operator.state(&meta.name)?, meta, ids });
        }
        let header =
            KeyedHeader { compressed: false, key: Some(key), state_count: states.len(), states, unreadable: None };
        Ok((header, own))
    }

    /// Gives the entries of a key group to `visit` as canonical files have them.
    pub(super) fn visit(
        &self,
        header: &KeyedHeader,
        group: KeyGroup,
        visit: &mut super::source::PairVisitor<'_>,
    ) -> Result<()> {
        let groups = KeyGroupRange::new(group, group)?;
        let key = header.key.as_ref().ok_or_else(|| Error::internal("a header without a serializer of keys"))?;
        let mut encoder = Encoder::default();
        // Each domain of timers is a state of its own, whose entries follow one another.
        for is_event in [true, false] {
            for state in self.states.iter().filter(|state| is_event || matches!(state.ids, Ids::Timers { .. })) {
                let target = state.target(header, key, is_event)?;
                let schema = Schema { key: self.key, state: state.meta };
                state.reader.clone().in_groups(groups).pairs(|place, stored_key, stored_value| {
                    let written = encoder.entry(&schema, target, is_event, stored_key, stored_value);
                    if let Some(id) = written.map_err(|error| place.locate(error))? {
                        visit(id, encoder.key.as_slice(), encoder.value.as_slice())?;
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
            }
        }
        Ok(())
    }
}

impl OwnState<'_> {
    /// Where the entries go, or the timers of a domain: the id, and the serializers of the parts. `None` where there is
    /// nothing to go to.
    fn target<'h>(
        &self,
        header: &'h KeyedHeader,
        key: &'h Snapshot,
        is_event: bool,
    ) -> Result<Option<(u16, Parts<'h>)>> {
        let id = match self.ids {
            Ids::One(id) => Some(id),
            Ids::Timers { event, processing } => {
                if is_event {
                    event
                } else {
                    processing
                }
            }
        };
        let Some(id) = id else { return Ok(None) };
        let info = header.state(id).ok_or_else(|| Error::internal("a state that its header does not have"))?;
        Ok(Some((id, Parts::of(key, info)?)))
    }
}

/// Encodes entries as canonical files have them.
#[derive(Default)]
struct Encoder {
    key: Writer,
    value: Writer,
    parts: [Writer; 3],
}

impl Encoder {
    /// Encodes an entry; the id of its state, or `None` where it is a timer of the other domain.
    fn entry(
        &mut self,
        schema: &Schema<'_>,
        target: Option<(u16, Parts<'_>)>,
        is_event: bool,
        stored_key: &[u8],
        stored_value: &[u8],
    ) -> Result<Option<u16>> {
        let parts = schema.split_key(stored_key)?;
        if parts.timer.is_some_and(|(domain, _)| (domain == EVENT_TIME) != is_event) {
            return Ok(None);
        }
        let missing = || Error::incompatible("a timer of the other domain than its state is named after");
        let (id, types) = target.ok_or_else(missing)?;
        self.key.clear();
        self.value.clear();
        let [key, namespace, user_key] = &mut self.parts;
        [&mut *key, &mut *namespace, &mut *user_key].into_iter().for_each(Writer::clear);
        encode(schema.key, parts.key, types.key, key)?;
        encode(&schema.state.namespace, parts.namespace, types.namespace, namespace)?;
        if let Some((_, at_ms)) = parts.timer {
            self.key.ordered_i64(at_ms);
            self.key.raw(key.as_slice());
            self.key.raw(namespace.as_slice());
            return Ok(Some(id));
        }
        if let Some(serializer) = types.user_key {
            encode(&schema.state.user_key, parts.user_key, serializer, user_key)?;
        }
        let bytes = KeyBytes { key: key.as_slice(), namespace: namespace.as_slice(), user_key: user_key.as_slice() };
        bytes.write(types.key, types.namespace, &mut self.key);
        let [scratch, ..] = &mut self.parts;
        value(schema, stored_value, types.value, scratch, &mut self.value)?;
        Ok(Some(id))
    }
}

/// Encodes what belongs to a key.
fn value(schema: &Schema<'_>, stored: &[u8], value: &Snapshot, scratch: &mut Writer, out: &mut Writer) -> Result<()> {
    match schema.state.kind {
        StateKind::List => {
            let mut elements = schema.elements(stored);
            while let Some(element) = elements.next_element()? {
                scratch.clear();
                stamped(element.stamp, scratch);
                encode(&schema.state.value, element.value, value, scratch)?;
                write_element(0, scratch.as_slice(), out);
            }
            Ok(())
        }
        StateKind::Map => {
            let part = schema.split_value(stored)?;
            scratch.clear();
            stamped(part.stamp, scratch);
            if direct::encode(&schema.state.value, part.value, &value.serializer, scratch).is_none() {
                let dynamic = read(&schema.state.value, part.value)?;
                let has_null = matches!(value.serializer, TypeSerializer::Nullable { .. });
                if dynamic == Dynamic::Unit && part.stamp.is_none() && !has_null {
                    write_map_value(None, out);
                    return Ok(());
                }
                scratch.clear();
                stamped(part.stamp, scratch);
                value.write_value(&fit(dynamic, value)?, scratch)?;
            }
            write_map_value(Some(scratch.as_slice()), out);
            Ok(())
        }
        _ => {
            let part = schema.split_value(stored)?;
            stamped(part.stamp, out);
            encode(&schema.state.value, part.value, value, out)
        }
    }
}

fn stamped(stamp: Option<i64>, out: &mut Writer) {
    if let Some(stamp) = stamp {
        out.i64(stamp);
    }
}

/// Decodes bytes, all of which are one value.
fn read(stored: &SerializerSnapshot, bytes: &[u8]) -> Result<Dynamic> {
    let mut input = Reader::new(bytes);
    let value = Dynamic::read(stored, &mut input)?;
    input.finish("value")?;
    Ok(value)
}

fn encode(stored: &SerializerSnapshot, bytes: &[u8], target: &Snapshot, out: &mut Writer) -> Result<()> {
    let start = out.len();
    if direct::encode(stored, bytes, &target.serializer, out).is_some() {
        return Ok(());
    }
    out.truncate(start);
    encode_value(stored, bytes, target, out)
}

/// Encodes a value of any type, through the value.
fn encode_value(stored: &SerializerSnapshot, bytes: &[u8], target: &Snapshot, out: &mut Writer) -> Result<()> {
    target.write_value(&fit(read(stored, bytes)?, target)?, out)
}

impl<'h> Parts<'h> {
    fn of(key: &'h Snapshot, info: &'h StateInfo) -> Result<Self> {
        Ok(match Layout::of(info)? {
            Layout::Queue { element } => match &element.serializer {
                TypeSerializer::Timer { key, namespace } => Parts { key, namespace, user_key: None, value: element },
                _ => return Err(Error::incompatible("a queue that holds no timers")),
            },
            Layout::Value { namespace, value } | Layout::List { namespace, element: value } => {
                Parts { key, namespace, user_key: None, value: untimed(value) }
            }
            Layout::Map { namespace, user_key, user_value } => {
                Parts { key, namespace, user_key: Some(user_key), value: untimed(user_value) }
            }
        })
    }
}

fn untimed(snapshot: &Snapshot) -> &Snapshot {
    match &snapshot.serializer {
        TypeSerializer::Ttl(inner) => inner,
        _ => snapshot,
    }
}

/// A description that came from a snapshot of Flink's, if the state fits it.
fn checked_template(info: &StateInfo, meta: &StateMeta) -> Result<StateInfo> {
    let is_timed = info.value().is_some_and(|value| value.serializer.is_timed());
    // The moments of a list that is carried as a whole are in it.
    if is_timed == meta.timed || counterpart::opaque_element(&meta.value).is_some() {
        return Ok(info.clone());
    }
    Err(Error::incompatible("one of the state and its counterpart has time to live; put it on or take it off first"))
}

fn ids(infos: &[StateInfo], before: usize) -> Result<Ids> {
    let id = |position: usize| {
        let id = u16::try_from(before.saturating_add(position));
        id.map_err(|_| Error::incompatible("more states than a file of Flink's can hold"))
    };
    let of_prefix = |prefix: &str| infos.iter().position(|info| info.name.starts_with(prefix)).map(id).transpose();
    match infos.first() {
        Some(info) if info.state_type == StateType::PriorityQueue => {
            Ok(Ids::Timers { event: of_prefix(EVENT_TIMERS)?, processing: of_prefix(PROCESSING_TIMERS)? })
        }
        _ => Ok(Ids::One(id(0)?)),
    }
}

/// The descriptions of a state: one, or one for each queue of timers.
fn infos(meta: &StateMeta, key: &Snapshot, classes: &Classes) -> Result<Vec<StateInfo>> {
    let namespace = match &meta.namespace {
        SerializerSnapshot::Unit => Snapshot::simple(Simple::VoidNamespace)?,
        namespace => counterpart::of(namespace, classes)?,
    };
    if meta.kind == StateKind::Timer {
        let timer = TypeSerializer::Timer { key: Box::new(key.clone()), namespace: Box::new(namespace) };
        return Ok(queues(&meta.name, &Snapshot::of(timer)?));
    }
    // Values of maps have nulls of their own, unless a moment precedes them.
    let value = match &meta.value {
        SerializerSnapshot::Option(inner) if meta.kind == StateKind::Map && !meta.timed => inner,
        value => value,
    };
    if let Some(element) = counterpart::opaque_element(value) {
        let list = Snapshot::of(TypeSerializer::List(Box::new(element?)))?;
        return Ok(vec![described(&meta.name, "LIST", namespace, list)]);
    }
    let mut value = counterpart::of(value, classes)?;
    if meta.timed {
        value = Snapshot::of(TypeSerializer::Ttl(Box::new(value)))?;
    }
    let (kind, value) = match meta.kind {
        StateKind::List => ("LIST", Snapshot::of(TypeSerializer::List(Box::new(value)))?),
        StateKind::Map => {
            let user_key = Box::new(counterpart::of(&meta.user_key, classes)?);
            ("MAP", Snapshot::of(TypeSerializer::Map(user_key, Box::new(value)))?)
        }
        StateKind::Reducing => ("REDUCING", value),
        StateKind::Aggregating => ("AGGREGATING", value),
        _ => ("VALUE", value),
    };
    Ok(vec![described(&meta.name, kind, namespace, value)])
}

fn described(name: &str, kind: &str, namespace: Snapshot, value: Snapshot) -> StateInfo {
    StateInfo {
        name: name.to_owned(),
        state_type: StateType::KeyValue,
        options: vec![("KEYED_STATE_TYPE".to_owned(), kind.to_owned())],
        serializers: vec![("NAMESPACE_SERIALIZER".to_owned(), namespace), ("VALUE_SERIALIZER".to_owned(), value)],
    }
}

/// The serializer of the timers that a snapshot of Flink's has under the name of a timer state.
fn queue_template<'t>(templates: &'t [StateInfo], meta: &StateMeta) -> Option<&'t Snapshot> {
    let names = queue_names(&meta.name);
    let is_queue = |info: &&StateInfo| info.state_type == StateType::PriorityQueue && names.contains(&info.name);
    templates.iter().find(is_queue).filter(|_| meta.kind == StateKind::Timer)?.value()
}

/// The queues of a timer state: both of the service that has its name, or the one it is named after.
fn queues(name: &str, timer: &Snapshot) -> Vec<StateInfo> {
    let queue = |name| StateInfo {
        name,
        state_type: StateType::PriorityQueue,
        options: Vec::new(),
        serializers: vec![("VALUE_SERIALIZER".to_owned(), timer.clone())],
    };
    queue_names(name).into_iter().map(queue).collect()
}

fn queue_names(name: &str) -> Vec<String> {
    if name.starts_with(EVENT_TIMERS) || name.starts_with(PROCESSING_TIMERS) {
        vec![name.to_owned()]
    } else {
        // An import puts this in front where another state has the name of the service.
        let service = name.strip_prefix(TIMERS).unwrap_or(name);
        vec![format!("{EVENT_TIMERS}{service}"), format!("{PROCESSING_TIMERS}{service}")]
    }
}

/// A report on a state that is not written.
fn report(meta: &StateMeta, outcome: Outcome) -> StateReport {
    StateReport {
        state: meta.name.clone(),
        written_as: meta.name.clone(),
        kind: meta.kind.to_string(),
        value_type: meta.value.to_string(),
        outcome,
        entries: 0,
        bytes: 0,
    }
}

/// One element of operator state.
pub(super) struct OwnElement {
    pub(super) state: String,
    pub(super) distribution: Distribution,
    pub(super) subtask: u32,
    pub(super) bytes: Vec<u8>,
}

/// The operator state of an operator: its description and its elements, subtask by subtask.
pub(super) fn elements(
    operator: OperatorReader<'_>,
    stub: &Operator,
    types: Types<'_>,
    plan: &Plan<'_>,
    refused: &mut Vec<StateReport>,
) -> Result<(OperatorHeader, Vec<OwnElement>)> {
    let mut header = OperatorHeader { compressed: false, lists: Vec::new(), broadcasts: Vec::new(), unreadable: None };
    let mut all = Vec::new();
    for meta in operator.states().iter().filter(|meta| !meta.kind.is_keyed() && !is_carried(meta)) {
        let stored = &meta.name;
        let meta = &StateMeta { name: name_in_flink(operator, stored), ..meta.clone() };
        let info = match operator_info(operator, meta, types) {
            Ok(info) => info,
            Err(error) => {
                let dropped = plan.drops_state(stub, &meta.name);
                let outcome = if dropped { Outcome::Dropped } else { Outcome::Refused(error.message().to_owned()) };
                refused.push(report(meta, outcome));
                continue;
            }
        };
        read_elements(operator.state(stored)?, meta, &info, &mut all)
            .map_err(|error| error.in_operator(label(stub)).in_state(&meta.name))?;
        match info.state_type {
            StateType::Broadcast => header.broadcasts.push(info),
            _ => header.lists.push(info),
        }
    }
    Ok((header, all))
}

/// The name of an operator state: an import puts `operator/` in front where a keyed state has it.
fn name_in_flink(operator: OperatorReader<'_>, name: &str) -> String {
    let is_keyed = |name: &&str| operator.states().iter().any(|meta| meta.kind.is_keyed() && meta.name == **name);
    name.strip_prefix("operator/").filter(is_keyed).unwrap_or(name).to_owned()
}

fn operator_info(operator: OperatorReader<'_>, meta: &StateMeta, types: Types<'_>) -> Result<StateInfo> {
    if let Some(like) = types.like.and_then(|like| like.operator_by_id(operator.description().id)) {
        for subtask in like.operator_state()? {
            if let Some(info) = subtask.states().find(|info| info.name == meta.name && info.kind() == meta.kind) {
                return Ok(info.clone());
            }
        }
    }
    let value = ("VALUE_SERIALIZER".to_owned(), counterpart::of(&meta.value, types.classes)?);
    let (state_type, mode, serializers) = match meta.kind {
        StateKind::Broadcast => {
            let key = ("KEY_SERIALIZER".to_owned(), counterpart::of(&meta.user_key, types.classes)?);
            (StateType::Broadcast, "BROADCAST", vec![key, value])
        }
        StateKind::OperatorUnion => (StateType::Operator, "UNION", vec![value]),
        _ => (StateType::Operator, "SPLIT_DISTRIBUTE", vec![value]),
    };
    let options = vec![("OPERATOR_STATE_DISTRIBUTION_MODE".to_owned(), mode.to_owned())];
    Ok(StateInfo { name: meta.name.clone(), state_type, options, serializers })
}

fn read_elements(reader: StateReader<'_>, meta: &StateMeta, info: &StateInfo, all: &mut Vec<OwnElement>) -> Result<()> {
    let value = info.value().ok_or_else(|| Error::internal("a state without a serializer"))?;
    let mut maps: Vec<(u32, Vec<(Value, Value)>)> = Vec::new();
    reader.pairs(|place, key, stored| {
        let Owner::Subtask(subtask) = place.owner else { return Err(Error::internal("operator state of a key group")) };
        let converted = fit(read(&meta.value, stored)?, value)?;
        if meta.kind == StateKind::Broadcast {
            let key_type = info.key().ok_or_else(|| Error::internal("broadcast state without a serializer of keys"))?;
            let entry = (fit(read(&meta.user_key, key)?, key_type)?, converted);
            match maps.last_mut().filter(|(owner, _)| *owner == subtask.0) {
                Some((_, entries)) => entries.push(entry),
                None => maps.push((subtask.0, vec![entry])),
            }
            return Ok(ControlFlow::Continue(()));
        }
        let mut out = Writer::new();
        value.write_value(&converted, &mut out)?;
        let distribution =
            if meta.kind == StateKind::OperatorUnion { Distribution::Union } else { Distribution::Split };
        let (state, bytes) = (meta.name.clone(), out.into_bytes());
        all.push(OwnElement { state, distribution, subtask: subtask.0, bytes });
        Ok(ControlFlow::Continue(()))
    })?;
    for (subtask, entries) in maps {
        let mut out = Writer::new();
        let key = info.key().ok_or_else(|| Error::internal("broadcast state without a serializer of keys"))?;
        write_map(key, value, &entries, &mut out)?;
        let (state, bytes) = (meta.name.clone(), out.into_bytes());
        all.push(OwnElement { state, distribution: Distribution::Broadcast, subtask, bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{RandomSource, SeededRandom};

    /// With and without a value between them, whole, damaged, and for types that do not belong together.
    #[test]
    fn what_is_encoded_directly_is_what_the_value_gives() {
        let stored = [
            (SerializerSnapshot::I64, vec![0x80, 0, 0, 0, 0, 0, 0, 7]),
            (SerializerSnapshot::I32, vec![0x7F, 0xFF, 0xFF, 0xFE]),
            (SerializerSnapshot::F64, vec![0x7F, 0xF8, 0, 0, 0, 0, 0, 1]),
            (SerializerSnapshot::Bool, vec![1]),
            (SerializerSnapshot::Unit, vec![]),
            (SerializerSnapshot::String, vec![3, b'a', b'b', b'c']),
            (SerializerSnapshot::String, vec![2, 0xC3, 0xA4]),
            (SerializerSnapshot::String, [vec![200, 1], vec![b'x'; 200]].concat()),
            (SerializerSnapshot::Bytes, vec![1, 9]),
        ];
        let random = SeededRandom::new(1);
        let mut direct = 0;
        for (stored, bytes) in stored {
            for simple in Simple::ALL {
                let target = Snapshot::simple(*simple).unwrap();
                for round in 0..40 {
                    let mut bytes = bytes.clone();
                    let drawn = random.next_u128().unwrap() as usize;
                    match (round, drawn % 3) {
                        (0, _) => {}
                        (_, 0) => bytes.truncate(drawn / 3 % (bytes.len() + 1)),
                        (_, 1) => bytes.push(0),
                        _ => bytes
                            .iter_mut()
                            .for_each(|byte| *byte ^= u8::from(drawn.is_multiple_of(5)) << (drawn / 15 % 8)),
                    }
                    let (mut one, mut other) = (Writer::new(), Writer::new());
                    let first = encode(&stored, &bytes, &target, &mut one).map_err(|error| error.to_string());
                    let second = encode_value(&stored, &bytes, &target, &mut other).map_err(|error| error.to_string());
                    assert_eq!(first, second, "{stored} as {simple:?}: {bytes:02x?}");
                    if first.is_ok() {
                        assert_eq!(one.as_slice(), other.as_slice(), "{stored} as {simple:?}: {bytes:02x?}");
                    }
                    let short = super::direct::encode(&stored, &bytes, &target.serializer, &mut Writer::new());
                    direct += usize::from(short.is_some());
                }
            }
        }
        assert!(direct > 50, "{direct}");
    }
}
