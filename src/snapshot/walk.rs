//! The entries of a state, one after the other, with no user type at hand.

use std::ops::ControlFlow;

use super::reader::{KeyedPart, OperatorReader};
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::canonical::PairReader;
use crate::format::native_heap::Entries;
use crate::format::record::{StateKind, StateMeta};
use crate::format::schema::{EVENT_TIME, Schema};
use crate::format::section::{Block, Owner, SectionId, SectionReader};
use crate::ids::SubtaskIndex;
use crate::key_group::{KeyGroup, KeyGroupRange};
use crate::serializer::{SerializerSnapshot, Value};
use crate::state::TimeDomain;

/// One state of an opened snapshot: walks over its entries, from all subtasks or a part of them.
///
/// Memory: a block at a time, and the entry that is shown; blocks that are not compressed are not copied. Sections are
/// read to the end of the state, so the checksums of what lies before and between its blocks are checked on the way.
#[derive(Debug, Clone)]
pub struct StateReader<'a> {
    operator: OperatorReader<'a>,
    state: &'a StateMeta,
    groups: KeyGroupRange,
    key: Option<Vec<u8>>,
}

/// An entry of a state, decoded by the descriptions that lie in the snapshot.
///
/// A part whose description comes from a later version of this crate is [`Value::Opaque`]; if that is part of the key,
/// the whole key is.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key group it is stored in, or the subtask for operator state.
    pub owner: Owner,
    /// The key; `None` for operator state.
    pub key: Option<Value>,
    /// The namespace; `None` where the state has none.
    pub namespace: Option<Value>,
    /// The user key of map and broadcast state.
    pub user_key: Option<Value>,
    /// When a timer fires.
    pub timer: Option<TimerPoint>,
    /// When the value was last touched, in milliseconds since the Unix epoch, for states with time to live: one stamp,
    /// or one for each element of a list. Empty for other states.
    pub stamps: Vec<i64>,
    /// The value, accumulator, map value or element; a [`Value::List`] for list state, [`Value::Unit`] for a timer.
    pub value: Value,
}

/// When a timer fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerPoint {
    /// By which clock.
    pub domain: TimeDomain,
    /// At which moment, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

impl<'a> OperatorReader<'a> {
    /// The state of this name. A missing one is an error that lists those there are.
    pub fn state(&self, name: &str) -> Result<StateReader<'a>> {
        let description = self.description();
        let groups = self.max_parallelism().all_groups();
        match description.state(name) {
            Some(state) => Ok(StateReader { operator: *self, state, groups, key: None }),
            None => {
                let there: Vec<&str> = self.states().iter().map(|state| state.name.as_str()).collect();
                let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                let message = format!("the operator has no state {name:?}; it has {there}");
                Err(Error::not_found(message).in_operator(description.label()))
            }
        }
    }
}

impl<'a> StateReader<'a> {
    /// What the manifest says of the state.
    pub fn description(&self) -> &'a StateMeta {
        self.state
    }

    /// Only the entries of these key groups; the others are not read. Without effect on operator state.
    #[must_use]
    pub fn in_groups(mut self, groups: KeyGroupRange) -> Self {
        self.groups = groups;
        self
    }

    /// Only the entries of the key with this encoding; only its key group is read, where it can be told.
    ///
    /// Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) for operator state, which has no keys.
    pub fn of_key(mut self, encoded: &[u8]) -> Result<Self> {
        if !self.state.kind.is_keyed() {
            let message = format!("{} state has no keys", self.state.kind);
            return Err(Error::invalid_input(message).in_state(&self.state.name));
        }
        let (description, max) = (self.operator.description(), self.operator.max_parallelism());
        let key = self.operator.key().unwrap_or(&SerializerSnapshot::Unit);
        self.groups = match description.assignment.key_group(key, encoded, max)? {
            Some(group) => KeyGroupRange::new(group, group)?,
            None => max.all_groups(),
        };
        self.key = Some(encoded.to_vec());
        Ok(self)
    }

    /// The key groups that are read.
    pub fn groups(&self) -> KeyGroupRange {
        self.groups
    }

    /// Gives every entry to `visit`, until that breaks or fails.
    ///
    /// Key groups ascend. Within one, entries ascend by the bytes of key, namespace and user key in the canonical
    /// format, and have no order in the native heap format. Operator state comes subtask by subtask.
    pub fn entries(&self, mut visit: impl FnMut(Entry) -> Result<ControlFlow<()>>) -> Result<()> {
        let schema = self.schema();
        self.pairs(|place, key, value| {
            visit(decode(&schema, place.owner, key, value).map_err(|error| place.locate(error))?)
        })
    }

    /// Gives every entry to `visit` as it is stored: its place, and key and value as the table at [`StateMeta`] has them.
    pub fn pairs(&self, mut visit: impl FnMut(&EntryPlace<'_>, &[u8], &[u8]) -> Result<ControlFlow<()>>) -> Result<()> {
        self.walk(&mut visit)
            .map(|_| ())
            .map_err(|error| error.in_operator(self.operator.description().label()).in_state(&self.state.name))
    }

    fn schema(&self) -> Schema<'a> {
        Schema { key: self.operator.key().unwrap_or(&SerializerSnapshot::Unit), state: self.state }
    }

    fn walk(&self, visit: Visit<'_>) -> Result<ControlFlow<()>> {
        if !self.state.kind.is_keyed() {
            return self.walk_operator_state(visit);
        }
        let schema = self.schema();
        let wanted = self.key.as_deref();
        let mut filtered = |place: &EntryPlace<'_>, key: &[u8], value: &[u8]| match wanted {
            Some(wanted) if schema.split_key(key).map_err(|error| place.locate(error))?.key != wanted => {
                Ok(ControlFlow::Continue(()))
            }
            _ => visit(place, key, value),
        };
        for part in self.operator.keyed_parts(self.groups)? {
            let flow = match part.is_database() {
                true => part.rows(self.state, &mut |group, key, value| filtered(&EntryPlace::row(group), key, value)),
                false => self.walk_sections(&part, &mut filtered),
            }?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn walk_sections(&self, part: &KeyedPart<'_>, visit: Visit<'_>) -> Result<ControlFlow<()>> {
        for section in part.sections() {
            let section = section?;
            let flow = SectionReader::new(section.bytes.as_slice(), section.offset, section.id)
                .and_then(|reader| self.walk_section(reader, &mut *visit))
                .map_err(|error| error.in_file(&section.object))?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn walk_operator_state(&self, visit: Visit<'_>) -> Result<ControlFlow<()>> {
        for (subtask, bytes, object) in self.operator.operator_state()? {
            let owner = Owner::Subtask(SubtaskIndex(subtask));
            let id = SectionId { format: FormatId::Operator, operator: self.operator.description().id, owner };
            let flow = SectionReader::new(bytes.as_slice(), 0, id)
                .and_then(|reader| self.walk_section(reader, &mut *visit))
                .map_err(|error| error.in_file(&object))?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn walk_section(&self, reader: SectionReader<'_>, visit: Visit<'_>) -> Result<ControlFlow<()>> {
        let mut order = PairReader::new();
        for block in reader {
            let block = block?;
            if block.state < self.state.name.as_str() {
                continue;
            }
            if block.state > self.state.name.as_str() {
                break;
            }
            let states = std::slice::from_ref(self.state);
            let schema = Schema::find(self.schema().key, states, block.state, block.kind)
                .map_err(|error| block.locate(error))?;
            let place = EntryPlace::block(&block);
            if block_pairs(&block, schema, &mut order, &mut |key, value| visit(&place, key, value))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Takes the place of an entry, a key and a value.
type Visit<'v> = &'v mut dyn FnMut(&EntryPlace<'_>, &[u8], &[u8]) -> Result<ControlFlow<()>>;

/// Where an entry lies.
#[derive(Debug, Clone, Copy)]
pub struct EntryPlace<'p> {
    /// The key group it is stored in, or the subtask for operator state.
    pub owner: Owner,
    /// The block it is in, where it is in one.
    block: Option<&'p Block<'p>>,
}

impl<'p> EntryPlace<'p> {
    fn block(block: &'p Block<'p>) -> Self {
        EntryPlace { owner: block.section.owner, block: Some(block) }
    }

    fn row(group: KeyGroup) -> Self {
        EntryPlace { owner: Owner::KeyGroup(group), block: None }
    }

    /// Says of an error in the key or value of the entry where that is. The offset becomes that of the block.
    pub fn locate(&self, error: Error) -> Error {
        match (self.block, self.owner) {
            (Some(block), _) => block.locate(error.moved_to(block.offset)),
            (None, Owner::KeyGroup(group)) => error.in_key_group(group.0).in_format(FormatId::NativeRocksDb.v1()),
            (None, Owner::Subtask(_)) => error.in_format(FormatId::NativeRocksDb.v1()),
        }
    }
}

/// Takes a key and a value.
pub(super) type PairVisit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>;

/// Gives every entry of a block, of whatever format, to `visit` as a neutral pair.
pub(super) fn block_pairs(
    block: &Block<'_>,
    schema: Schema<'_>,
    order: &mut PairReader,
    visit: PairVisit<'_>,
) -> Result<ControlFlow<()>> {
    if block.section.format == FormatId::NativeHeap {
        let mut entries = Entries::new(block, schema);
        while let Some((key, value)) = entries.next_pair()? {
            if visit(key, value)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        return Ok(ControlFlow::Continue(()));
    }
    for pair in order.pairs(block) {
        let (key, value) = pair?;
        if visit(key, value)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Decodes an entry; offsets of errors are those inside its key or value.
fn decode(schema: &Schema<'_>, owner: Owner, key: &[u8], value: &[u8]) -> Result<Entry> {
    let StateMeta { kind, namespace, user_key, .. } = schema.state;
    let has_namespace = kind.is_keyed() && *namespace != SerializerSnapshot::Unit;
    let has_user_key = matches!(kind, StateKind::Map | StateKind::Broadcast);
    let mut entry = Entry {
        owner,
        key: None,
        namespace: None,
        user_key: None,
        timer: None,
        stamps: Vec::new(),
        value: Value::Unit,
    };
    if schema.key.is_opaque() || namespace.is_opaque() || user_key.is_opaque() {
        entry.key = Some(Value::Opaque { type_name: "key of an unknown type".to_owned(), bytes: key.to_vec() });
    } else {
        let parts = schema.split_key(key)?;
        entry.timer = parts.timer.map(|(domain, at_ms)| {
            let domain = if domain == EVENT_TIME { TimeDomain::Event } else { TimeDomain::Processing };
            TimerPoint { domain, at_ms }
        });
        entry.key = if kind.is_keyed() { Some(show(schema.key, parts.key)?) } else { None };
        entry.namespace = if has_namespace { Some(show(namespace, parts.namespace)?) } else { None };
        entry.user_key = if has_user_key { Some(show(user_key, parts.user_key)?) } else { None };
    }
    decode_value(schema, value, &mut entry)?;
    Ok(entry)
}

fn decode_value(schema: &Schema<'_>, value: &[u8], entry: &mut Entry) -> Result<()> {
    let state = schema.state;
    match state.kind {
        StateKind::Timer => {}
        StateKind::List => {
            let mut elements = schema.elements(value);
            let mut values = Vec::new();
            while let Some(element) = elements.next_element()? {
                entry.stamps.extend(element.stamp);
                values.push(show(&state.value, element.value)?);
            }
            entry.value = Value::List(values);
        }
        _ => {
            let mut input = Reader::new(value);
            if state.timed {
                entry.stamps.push(input.ordered_i64("stamp")?);
            }
            entry.value = show(&state.value, input.rest())?;
        }
    }
    Ok(())
}

/// Decodes `bytes`, all of which are one value.
fn show(serializer: &SerializerSnapshot, bytes: &[u8]) -> Result<Value> {
    if serializer.is_opaque() {
        return Ok(Value::Opaque { type_name: serializer.to_string(), bytes: bytes.to_vec() });
    }
    let mut input = Reader::new(bytes);
    let value = Value::read(serializer, &mut input)?;
    input.finish("value")?;
    Ok(value)
}
