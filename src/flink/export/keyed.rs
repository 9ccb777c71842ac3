//! The keyed state of one operator, rewritten as canonical files.

use super::Progress;
use super::edits::{KeyFilter, Plan};
use super::report::{Outcome, StateReport};
use super::savepoint::{FileSink, Target};
use super::source::Part;
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::format::flink::Value;
use crate::format::flink::header::{KeyedHeader, StateInfo};
use crate::format::flink::keyed::{BlockWriter, KeyBytes};
use crate::format::flink::metadata::{
    KeyGroupOffsets, KeyGroupsBody, KeyGroupsHandle, KeyedHandle, Operator, StreamHandle,
};
use crate::format::flink::serializer::Snapshot;
use crate::format::flink::ttl::Stamp;
use crate::key_group::{KeyGroupRange, MaxParallelism};
use crate::serializer::Value as Dynamic;
use crate::sort::Scratch;

/// Bytes of a block that are written at once.
const DRAIN_BYTES: usize = 1 << 20;

/// The states of an operator and what becomes of them.
pub(super) struct States {
    planned: Vec<PlannedState>,
}

struct PlannedState {
    source: StateInfo,
    stamp: Option<Stamp>,
    dropped: bool,
    report: StateReport,
}

/// Where the entries of a state of a part go.
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// Position among the states of the operator.
    planned: usize,
    /// Id in the file that is written; `None` where the state is left out.
    id: Option<u16>,
}

impl States {
    /// What becomes of the states of all parts.
    pub(super) fn plan(parts: &[Part<'_>], plan: &Plan<'_>, operator: &Operator) -> Self {
        let mut states = States { planned: Vec::new() };
        for state in parts.iter().flat_map(|part| &part.header.states) {
            if states.position(state).is_none() {
                states.planned.push(PlannedState::of(state, plan, operator));
            }
        }
        states
    }

    fn position(&self, state: &StateInfo) -> Option<usize> {
        let same =
            |planned: &PlannedState| planned.source.name == state.name && planned.source.state_type == state.state_type;
        self.planned.iter().position(same)
    }

    /// What became of the states.
    pub(super) fn into_reports(self) -> Vec<StateReport> {
        self.planned.into_iter().map(|planned| planned.report).collect()
    }

    /// The header of a file with the states of these parts, and for each part where its states go.
    pub(super) fn merge(&self, parts: &[&Part<'_>], compressed: bool) -> Result<(KeyedHeader, Vec<Vec<Route>>)> {
        let mut header = KeyedHeader { compressed, key: None, state_count: 0, states: Vec::new(), unreadable: None };
        let mut sources: Vec<&StateInfo> = Vec::new();
        let mut routes = Vec::new();
        for part in parts {
            check_readable(&part.header)?;
            same_key(&mut header.key, part.header.key.as_ref())?;
            let mut of_part = Vec::new();
            for state in &part.header.states {
                let planned = self.position(state).ok_or_else(|| Error::internal("a state that was not planned"))?;
                let Some(plan) = self.planned.get(planned).filter(|plan| !plan.dropped) else {
                    of_part.push(Route { planned, id: None });
                    continue;
                };
                let same = |other: &&StateInfo| other.name == state.name && other.state_type == state.state_type;
                let position = match sources.iter().position(same) {
                    Some(position) => {
                        same_state(sources.get(position).copied(), state)?;
                        position
                    }
                    None => {
                        sources.push(state);
                        header.states.push(plan.described(state)?);
                        sources.len().saturating_sub(1)
                    }
                };
                of_part.push(Route { planned, id: u16::try_from(position).ok() });
            }
            routes.push(of_part);
        }
        header.state_count = header.states.len();
        Ok((header, routes))
    }
}

impl PlannedState {
    fn of(state: &StateInfo, plan: &Plan<'_>, operator: &Operator) -> Self {
        let value = state.value();
        let dropped = plan.drops_state(operator, &state.name);
        let outcome = match value.and_then(|value| value.serializer.opaque_part()) {
            _ if dropped => Outcome::Dropped,
            Some(class) => Outcome::Carried(class.to_owned()),
            None => Outcome::Converted,
        };
        let report = StateReport {
            state: state.name.clone(),
            written_as: plan.state_name(operator, &state.name),
            kind: state.kind().to_string(),
            value_type: value.map_or("an unknown type", |value| value.serializer.name()).to_owned(),
            outcome,
            entries: 0,
            bytes: 0,
        };
        PlannedState { source: state.clone(), stamp: plan.stamp(operator, &state.name), dropped, report }
    }

    /// The description of the state as it is written.
    fn described(&self, state: &StateInfo) -> Result<StateInfo> {
        let mut described = match self.stamp {
            Some(stamp) => stamp.describe(state)?,
            None => state.clone(),
        };
        described.name.clone_from(&self.report.written_as);
        Ok(described)
    }
}

fn check_readable(header: &KeyedHeader) -> Result<()> {
    match &header.unreadable {
        None => Ok(()),
        Some(reason) => Err(Error::incompatible(format!("the states could not be read from their header: {reason}"))),
    }
}

fn same_key(key: &mut Option<Snapshot>, other: Option<&Snapshot>) -> Result<()> {
    match (&*key, other) {
        (_, None) => Ok(()),
        (None, Some(other)) => {
            *key = Some(other.clone());
            Ok(())
        }
        (Some(key), Some(other)) if key.bytes == other.bytes => Ok(()),
        _ => Err(Error::incompatible(
            "subtasks describe the serializer of keys differently; keep the parallelism, so that they are not merged",
        )),
    }
}

fn same_state(one: Option<&StateInfo>, other: &StateInfo) -> Result<()> {
    if one.is_none_or(|one| one.describes_same(other)) {
        return Ok(());
    }
    let message = "subtasks describe the serializers of the state differently; keep the parallelism, so that they are \
        not merged";
    Err(Error::incompatible(message).in_state(&other.name))
}

/// What is asked of the files.
pub(super) struct Layout<'t> {
    pub(super) target: &'t Target,
    pub(super) compressed: bool,
    /// Ranges of the subtasks that are written.
    pub(super) ranges: Vec<KeyGroupRange>,
    pub(super) max: MaxParallelism,
    pub(super) keys: &'t KeyFilter,
    /// Where what does not fit into memory is sorted.
    pub(super) scratch: Option<Scratch>,
    /// Memory for sorting, in bytes.
    pub(super) memory_bytes: usize,
    pub(super) progress: &'t dyn Fn(Progress),
}

/// Writes the files of every subtask. Key groups stay what they are.
pub(super) fn write(parts: &[Part<'_>], states: &mut States, layout: &Layout<'_>) -> Result<Vec<Option<KeyedHandle>>> {
    let mut handles = Vec::new();
    for range in &layout.ranges {
        let meeting: Vec<&Part<'_>> = parts.iter().filter(|part| part.range.intersect(*range).is_some()).collect();
        let (header, routes) = states.merge(&meeting, layout.compressed)?;
        if header.states.is_empty() {
            handles.push(None);
            continue;
        }
        let mut file = File::new(layout, &header, *range)?;
        let mut filter = Transform::new(layout.keys);
        for group in range.iter() {
            let mut block = BlockWriter::new(&header, group, layout.max)?;
            for (part, routes) in meeting.iter().zip(&routes).filter(|(part, _)| part.range.contains(group)) {
                part.visit(group, &mut |id, key, value| {
                    let Some((route, value)) = filter.entry(part, states, routes, id, key, value)? else {
                        return Ok(());
                    };
                    block.entry(route, key, value)?;
                    file.drain(&mut block)
                })
                .map_err(|error| error.in_key_group(group.0))?;
            }
            file.end_group(block)?;
        }
        handles.push(Some(file.finish()?));
    }
    Ok(handles)
}

/// Decides what becomes of an entry.
pub(super) struct Transform<'k> {
    keys: &'k KeyFilter,
    value: Writer,
}

impl<'k> Transform<'k> {
    pub(super) fn new(keys: &'k KeyFilter) -> Self {
        Transform { keys, value: Writer::new() }
    }

    /// The id and the value of an entry as they are written; `None` where it is left out.
    pub(super) fn entry<'a>(
        &'a mut self,
        part: &Part<'_>,
        states: &mut States,
        routes: &[Route],
        id: u16,
        key: &[u8],
        value: &'a [u8],
    ) -> Result<Option<(u16, &'a [u8])>> {
        let unknown = || Error::internal("an entry of a state that its header does not have");
        let route = routes.get(usize::from(id)).ok_or_else(unknown)?;
        let planned = states.planned.get_mut(route.planned).ok_or_else(unknown)?;
        let Some(target) = route.id else { return Ok(None) };
        if *self.keys != KeyFilter::All && !self.keys.keeps(&key_text(part, id, key)?) {
            return Ok(None);
        }
        let value = match planned.stamp {
            None => value,
            Some(stamp) => {
                self.value.clear();
                stamp.apply(&planned.source, value, &mut self.value)?;
                self.value.as_slice()
            }
        };
        let bytes = length(key).saturating_add(length(value));
        planned.report.entries = planned.report.entries.saturating_add(1);
        planned.report.bytes = planned.report.bytes.saturating_add(bytes);
        Ok(Some((target, value)))
    }
}

pub(super) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The key of an entry as its serializer wrote it, and its value.
pub(super) fn key_of<'k>(part: &Part<'_>, id: u16, key: &'k [u8]) -> Result<(&'k [u8], Value)> {
    let bytes = KeyBytes::read(&part.header, id, key)?.key;
    let serializer =
        part.header.key.as_ref().ok_or_else(|| Error::incompatible("the key's serializer is not known"))?;
    Ok((bytes, serializer.read_whole(&mut Reader::new(bytes))?))
}

fn key_text(part: &Part<'_>, id: u16, key: &[u8]) -> Result<String> {
    let (_, value) = key_of(part, id, key)?;
    Ok(match Dynamic::from(value) {
        Dynamic::String(text) => text,
        other => other.to_string(),
    })
}

/// A canonical file that is being written.
pub(super) struct File<'t> {
    sink: FileSink<'t>,
    pub(super) range: KeyGroupRange,
    offsets: Vec<Option<u64>>,
    /// Where the key group that is being written begins.
    start: u64,
    progress: &'t dyn Fn(Progress),
}

impl<'t> File<'t> {
    pub(super) fn new(layout: &Layout<'t>, header: &KeyedHeader, range: KeyGroupRange) -> Result<Self> {
        let mut sink = layout.target.file()?;
        let mut out = Writer::new();
        header.write(&mut out)?;
        sink.write(out.as_slice())?;
        let start = sink.position();
        Ok(File { sink, range, offsets: Vec::new(), start, progress: layout.progress })
    }

    /// Writes what is ready of a large block.
    pub(super) fn drain(&mut self, block: &mut BlockWriter) -> Result<()> {
        if block.ready() >= DRAIN_BYTES { self.write(&block.take()) } else { Ok(()) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        (self.progress)(Progress::Written(length(bytes)));
        self.sink.write(bytes)
    }

    pub(super) fn end_group(&mut self, block: BlockWriter) -> Result<()> {
        match block.finish()? {
            None => self.offsets.push(None),
            Some(bytes) => {
                self.write(&bytes)?;
                self.offsets.push(Some(self.start));
            }
        }
        self.start = self.sink.position();
        Ok(())
    }

    pub(super) fn finish(self) -> Result<KeyedHandle> {
        let offsets = KeyGroupOffsets::new(self.range, self.offsets)?;
        let stream: StreamHandle = self.sink.finish()?;
        Ok(KeyedHandle::KeyGroups(KeyGroupsHandle { body: KeyGroupsBody::Canonical, offsets, stream, id: None }))
    }
}
