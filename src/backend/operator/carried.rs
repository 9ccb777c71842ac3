//! Restored operator state before it is registered.

use std::collections::BTreeMap;
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
use crate::state::Redistribution;

/// One state of all subtasks, as neutral pairs.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    meta: StateMeta,
    /// The entries of each subtask that had any, in subtask order.
    parts: Arc<Vec<Part>>,
    subtask: usize,
    parallelism: usize,
    /// Whether the parallelism is the one the snapshot was taken at.
    unchanged: bool,
}

#[derive(Debug)]
struct Part {
    subtask: usize,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads the operator state of all subtasks.
pub(super) fn read(
    parameters: &OperatorParameters,
    operator: &OperatorReader<'_>,
) -> Result<BTreeMap<String, Carried>> {
    let mut states: BTreeMap<String, (StateMeta, Vec<Part>)> = BTreeMap::new();
    for (subtask, bytes, object) in operator.operator_state()? {
        let owner = Owner::Subtask(SubtaskIndex(subtask));
        let id = SectionId { format: FormatId::Operator, operator: operator.description().id, owner };
        let in_object = |error: Error| error.in_file(&object);
        let mut pairs = PairReader::new();
        for block in SectionReader::new(bytes.as_slice(), 0, id).map_err(in_object)? {
            let block = block.map_err(in_object)?;
            let schema = Schema::find(&SerializerSnapshot::Unit, operator.states(), block.state, block.kind)
                .map_err(|error| in_object(block.locate(error)))?;
            let (_, parts) = states.entry(block.state.to_owned()).or_insert_with(|| (schema.state.clone(), Vec::new()));
            let subtask = usize::try_from(subtask).unwrap_or(usize::MAX);
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
    let to_usize = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let unchanged = operator.description().parallelism == parameters.parallelism;
    let carried = |(name, (meta, parts))| {
        let (subtask, parallelism) = (to_usize(parameters.subtask.0), to_usize(parameters.parallelism.get()));
        (name, Carried { meta, parts: Arc::new(parts), subtask, parallelism, unchanged })
    };
    Ok(states.into_iter().map(carried).collect())
}

impl Carried {
    pub(super) fn meta(&self) -> &StateMeta {
        &self.meta
    }

    /// The elements this subtask gets.
    fn share(&self, redistribution: Redistribution) -> impl Iterator<Item = &(Vec<u8>, Vec<u8>)> {
        let everything = redistribution == Redistribution::Union;
        let all = self.parts.iter().flat_map(|part| part.pairs.iter().map(move |pair| (part.subtask, pair)));
        all.enumerate()
            .filter(move |(index, (subtask, _))| {
                everything
                    || if self.unchanged {
                        *subtask == self.subtask
                    } else {
                        index.checked_rem(self.parallelism) == Some(self.subtask)
                    }
            })
            .map(|(_, (_, pair))| pair)
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
        let Some(part) = self.parts.first() else { return Ok(Entries::default()) };
        let decode = |(key_bytes, value_bytes): &(Vec<u8>, Vec<u8>)| {
            let key = read_whole(key_bytes, |input| key.read(input))?;
            Ok((key, read_whole(value_bytes, |input| value.read_written(&self.meta.value, input))?))
        };
        part.pairs.iter().map(decode).collect::<Result<_>>().map_err(|error: Error| error.in_state(&self.meta.name))
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
            let part = self.parts.first();
            return part.into_iter().flat_map(|part| &part.pairs).try_for_each(|(key, value)| out.pair(key, value));
        }
        self.share(Redistribution::Split).try_for_each(|(key, value)| out.pair(key, value))
    }
}
