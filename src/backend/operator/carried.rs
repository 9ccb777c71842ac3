//! Restored operator state before it is registered.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::OperatorParameters;
use super::states::{Entries, Frozen};
use crate::backend::Key;
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::operator::{PairReader, PairWriter};
use crate::format::record::{StateKind, StateMeta};
use crate::format::schema::Schema;
use crate::format::section::{Owner, SectionId, SectionReader};
use crate::ids::SubtaskIndex;
use crate::serializer::{Serializer, SerializerSnapshot};
use crate::snapshot::OperatorReader;
use crate::snapshot::rescale::{ListShare, ListSource, Rescale};
use crate::state::Redistribution;

/// One state of all subtasks, as neutral pairs, and what of it this subtask gets.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    meta: StateMeta,
    /// The entries of each subtask that had any.
    parts: Arc<Vec<Part>>,
    /// What a split gives this subtask, in order.
    split: Vec<ListShare>,
    /// Positions of the parts in the order in which a union reads them.
    union: Vec<usize>,
    /// Position of the part that broadcast state is taken from.
    broadcast: Option<usize>,
}

#[derive(Debug)]
struct Part {
    subtask: SubtaskIndex,
    pairs: Vec<Pair>,
}

/// A neutral key and value.
type Pair = (Vec<u8>, Vec<u8>);

/// Reads the operator state of all subtasks.
pub(super) fn read(
    parameters: &OperatorParameters,
    operator: &OperatorReader<'_>,
) -> Result<BTreeMap<String, Carried>> {
    let mut states: BTreeMap<String, (StateMeta, Vec<Part>)> = BTreeMap::new();
    for (subtask, bytes, object) in operator.operator_state()? {
        let subtask = SubtaskIndex(subtask);
        let owner = Owner::Subtask(subtask);
        let id = SectionId { format: FormatId::Operator, operator: operator.description().id, owner };
        let in_object = |error: Error| error.in_file(&object);
        let mut pairs = PairReader::new();
        for block in SectionReader::new(bytes.as_slice(), 0, id).map_err(in_object)? {
            let block = block.map_err(in_object)?;
            let schema = Schema::find(&SerializerSnapshot::Unit, operator.states(), block.state, block.kind)
                .map_err(|error| in_object(block.locate(error)))?;
            let (_, parts) = states.entry(block.state.to_owned()).or_insert_with(|| (schema.state.clone(), Vec::new()));
            if parts.last().is_none_or(|part| part.subtask != subtask) {
                parts.push(Part { subtask, pairs: Vec::new() });
            }
            for pair in pairs.pairs(&block) {
                let (key, value) = pair.map_err(in_object)?;
                if let Some(part) = parts.last_mut() {
                    part.pairs.push((key.to_vec(), value.to_vec()));
                }
            }
        }
    }
    let rescale = Rescale::of_subtasks(operator.description().parallelism, parameters.parallelism)?;
    let carried = |(name, (meta, parts)): (String, (StateMeta, Vec<Part>))| {
        let position = operator.states().iter().position(|state| state.name == name);
        let turn = u32::try_from(position.unwrap_or_default()).unwrap_or(u32::MAX);
        let carried = Carried::plan(meta, parts, &rescale, parameters.subtask, turn);
        Ok((name, carried?))
    };
    states.into_iter().map(carried).collect()
}

impl Carried {
    /// `turn` is the position of the state within its operator, as the conversion counts it.
    fn plan(meta: StateMeta, parts: Vec<Part>, rescale: &Rescale, subtask: SubtaskIndex, turn: u32) -> Result<Self> {
        let elements = |part: &Part| u64::try_from(part.pairs.len()).unwrap_or(u64::MAX);
        let lists: Vec<ListSource> =
            parts.iter().map(|part| ListSource { subtask: part.subtask, elements: elements(part) }).collect();
        let subtasks: Vec<SubtaskIndex> = parts.iter().map(|part| part.subtask).collect();
        let planned = || -> Result<_> {
            let split = rescale.list_of(subtask, &lists, turn)?;
            Ok((split, rescale.union(&subtasks)?, rescale.broadcast(&subtasks, subtask)?))
        };
        let (split, union, broadcast) = planned().map_err(|error| error.in_state(&meta.name))?;
        Ok(Carried { meta, parts: Arc::new(parts), split, union, broadcast })
    }

    pub(super) fn meta(&self) -> &StateMeta {
        &self.meta
    }

    /// The pairs of a part, from one position to another.
    fn pairs(&self, part: usize, elements: Range<u64>) -> &[Pair] {
        let position = |element: u64| usize::try_from(element).unwrap_or(usize::MAX);
        let pairs = self.parts.get(part).map(|part| part.pairs.as_slice()).unwrap_or_default();
        let end = position(elements.end).min(pairs.len());
        pairs.get(position(elements.start)..end).unwrap_or_default()
    }

    /// The elements this subtask gets.
    fn share(&self, redistribution: Redistribution) -> impl Iterator<Item = &Pair> {
        let (split, union) = match redistribution {
            Redistribution::Split => (self.split.as_slice(), [].as_slice()),
            Redistribution::Union => ([].as_slice(), self.union.as_slice()),
        };
        let split = split.iter().map(|share| (share.source, share.elements.clone()));
        let whole = union.iter().map(|part| (*part, 0..u64::MAX));
        split.chain(whole).flat_map(|(part, elements)| self.pairs(part, elements))
    }

    /// The entries of broadcast state.
    fn copy(&self) -> &[Pair] {
        self.broadcast.map(|part| self.pairs(part, 0..u64::MAX)).unwrap_or_default()
    }

    pub(super) fn decode_list<S: Serializer>(
        &self,
        redistribution: Redistribution,
        element: &S,
    ) -> Result<Vec<S::Value>> {
        self.share(redistribution)
            .map(|(_, value)| read_whole(value, |input| element.read_written(&self.meta.value, input)))
            .collect::<Result<_>>()
            .map_err(|error| error.in_state(&self.meta.name))
    }

    pub(super) fn decode_map<K, V>(&self, key: &K, value: &V) -> Result<Entries<K::Value, V::Value>>
    where
        K: Serializer<Value: Key>,
        V: Serializer,
    {
        let decode = |(key_bytes, value_bytes): &Pair| {
            let key = read_whole(key_bytes, |input| key.read(input))?;
            Ok((key, read_whole(value_bytes, |input| value.read_written(&self.meta.value, input))?))
        };
        self.copy().iter().map(decode).collect::<Result<_>>().map_err(|error: Error| error.in_state(&self.meta.name))
    }
}

fn read_whole<T>(bytes: &[u8], read: impl FnOnce(&mut Reader<'_>) -> Result<T>) -> Result<T> {
    let mut input = Reader::new(bytes);
    let value = read(&mut input)?;
    input.finish("element")?;
    Ok(value)
}

impl Frozen for Carried {
    fn meta(&self) -> &StateMeta {
        &self.meta
    }

    fn write(&self, out: &mut PairWriter<Vec<u8>>) -> Result<()> {
        out.begin_state(&self.meta.name, self.meta.kind)?;
        if self.meta.kind == StateKind::Broadcast {
            return self.copy().iter().try_for_each(|(key, value)| out.pair(key, value));
        }
        self.share(Redistribution::Split).try_for_each(|(key, value)| out.pair(key, value))
    }
}
