//! The operator state of an operator on its way, by subtask.

use std::collections::BTreeMap;

use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::flink::mapping::Mapping;
use crate::format::flink::Value;
use crate::format::flink::header::StateInfo;
use crate::format::flink::metadata::Distribution;
use crate::format::manifest::OperatorStateHandle;
use crate::format::operator;
use crate::format::record::{StateKind, StateMeta};
use crate::format::section::Owner;
use crate::ids::{OperatorId, SubtaskIndex};
use crate::serializer::SerializerSnapshot;
use crate::snapshot::SnapshotTarget;

/// Operator state up to this length becomes part of the manifest.
const INLINE_BYTES: usize = 1024;

/// A neutral key, which lists do not have, and a value.
type Pair = (Vec<u8>, Vec<u8>);

/// Operator state of the operator, by subtask.
#[derive(Default)]
pub(super) struct Lists {
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

impl Lists {
    pub(super) fn register(&mut self, name: &str, info: &StateInfo) {
        let mapping = |snapshot: Option<&_>| snapshot.map_or_else(Mapping::unit, Mapping::of);
        self.states.entry(name.to_owned()).or_insert_with(|| ListState {
            kind: info.kind(),
            key: mapping(info.key()),
            value: mapping(info.value()),
        });
    }

    pub(super) fn add(
        &mut self,
        subtask: SubtaskIndex,
        name: &str,
        distribution: Distribution,
        value: Value,
    ) -> Result<()> {
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
    pub(super) fn add_bytes(&mut self, subtask: SubtaskIndex, name: &str, bytes: &[u8]) {
        let value = Mapping::Plain { kind: SerializerSnapshot::Bytes, odd_text: false };
        let state = ListState { kind: StateKind::OperatorList, key: Mapping::unit(), value };
        self.states.entry(name.to_owned()).or_insert(state);
        let mut out = Writer::new();
        out.bytes(bytes);
        let stored = self.elements.entry(subtask.0).or_default().entry(name.to_owned()).or_default();
        stored.push((Vec::new(), out.into_bytes()));
    }

    /// Whether there is a state of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.states.contains_key(name)
    }

    pub(super) fn descriptions(&self) -> impl Iterator<Item = StateMeta> {
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
    pub(super) fn write(
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
        let content = target.operator_state(bytes, INLINE_BYTES)?;
        Ok(Some(OperatorStateHandle { content, states: summary.states }))
    }
}
