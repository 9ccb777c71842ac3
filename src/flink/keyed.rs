//! The keyed state of an operator: one model for every kind of handle.

use std::ops::ControlFlow;

use super::files::Stream;
use super::reader::OperatorReader;
use super::timers::TimerFile;
use crate::error::{Error, Result};
use crate::format::flink::header::{KeyedHeader, StateInfo};
use crate::format::flink::metadata::{KeyedHandle, StreamHandle};
use crate::format::flink::serializer::Snapshot;
use crate::format::flink::{EntryVisitor, KeyedEntry, KeyedFile};
use crate::ids::SubtaskIndex;
use crate::key_group::{KeyGroup, KeyGroupRange};

/// The keyed state of all subtasks of an operator, opened.
///
/// Its states are those of all subtasks, each once, ascending by name.
#[derive(Debug)]
pub struct KeyedReader<'a> {
    operator: OperatorReader<'a>,
    key: Option<Snapshot>,
    states: Vec<StateInfo>,
    /// State of backends, ascending by key groups.
    managed: Vec<Part>,
    /// State of the operator's own, such as timers, ascending by key groups.
    raw: Vec<Part>,
    gaps: Vec<Gap>,
}

/// The keyed state of one subtask behind one handle.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) subtask: SubtaskIndex,
    pub(super) range: KeyGroupRange,
    pub(super) body: Body,
    /// For every state of the header, its position among those of the operator.
    states: Vec<usize>,
}

/// What a handle leads to.
#[derive(Debug)]
pub(super) enum Body {
    /// A canonical or native heap file.
    File { stream: Stream, file: KeyedFile<Stream> },
    /// Raw timers.
    Timers(TimerFile),
    /// State that is there and cannot be read, with the header as far as it is known.
    Closed { header: KeyedHeader, reason: String },
}

/// Keyed state of a subtask of which not even the states are known.
#[derive(Debug)]
pub struct Gap {
    /// The subtask.
    pub subtask: SubtaskIndex,
    /// Why it cannot be read.
    pub error: Error,
}

/// Where an entry was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The key group.
    pub group: KeyGroup,
    /// The subtask.
    pub subtask: SubtaskIndex,
}

/// Takes the place of an entry, the position of its state among those of the operator, and the entry.
pub type Visitor<'v> = dyn FnMut(Spot, usize, KeyedEntry) -> Result<ControlFlow<()>> + 'v;

impl Body {
    pub(super) fn header(&self) -> &KeyedHeader {
        match self {
            Body::File { file, .. } => file.header(),
            Body::Timers(timers) => timers.header(),
            Body::Closed { header, .. } => header,
        }
    }

    /// Decodes the entries of a key group that belong to states of which `wanted` is true.
    fn visit_group(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        visit: &mut EntryVisitor<'_>,
    ) -> Result<ControlFlow<()>> {
        match self {
            Body::File { stream, file } => file.visit_group(group, wanted, visit).map_err(|error| stream.locate(error)),
            Body::Timers(timers) => timers.visit_group(group, wanted, visit),
            Body::Closed { reason, .. } => Err(Error::incompatible(reason.clone()).in_key_group(group.0)),
        }
    }
}

impl<'a> KeyedReader<'a> {
    pub(super) fn open(operator: OperatorReader<'a>) -> Result<Self> {
        let mut reader = KeyedReader {
            operator,
            key: None,
            states: Vec::new(),
            managed: Vec::new(),
            raw: Vec::new(),
            gaps: Vec::new(),
        };
        for subtask in operator.description().subtasks() {
            let Some(state) = &subtask.state else { continue };
            if let Some(handle) = &state.managed_keyed {
                let part = reader.managed_part(subtask.index, handle)?;
                reader.managed.push(part);
            }
            match &state.raw_keyed {
                Some(KeyedHandle::KeyGroups(handle)) => {
                    let stream = operator.snapshot().stream(&handle.stream)?;
                    match TimerFile::open(handle, operator.max_parallelism(), stream) {
                        Ok(timers) => {
                            reader.raw.push(Part::new(subtask.index, handle.offsets.range(), Body::Timers(timers)))
                        }
                        Err(error) if error.kind() == crate::ErrorKind::Incompatible => {
                            reader.gaps.push(Gap { subtask: subtask.index, error });
                        }
                        Err(error) => return Err(error),
                    }
                }
                Some(_) => return Err(Error::corrupt("raw keyed state behind a handle of a database")),
                None => {}
            }
        }
        reader.managed.sort_by_key(|part| part.range.first());
        reader.raw.sort_by_key(|part| part.range.first());
        reader.merge();
        Ok(reader)
    }

    fn managed_part(&self, subtask: SubtaskIndex, handle: &KeyedHandle) -> Result<Part> {
        let max = self.operator.max_parallelism();
        let body = match handle {
            KeyedHandle::KeyGroups(handle) => {
                let stream = self.operator.snapshot().stream(&handle.stream)?;
                let file = KeyedFile::open(handle, max, stream.clone()).map_err(|error| stream.locate(error))?;
                Body::File { stream, file }
            }
            KeyedHandle::Incremental(handle) => Body::Closed {
                header: self.database_header(&handle.meta)?,
                reason: "the state lies in files of RocksDB, which are not opened".to_owned(),
            },
            KeyedHandle::Changelog(_) => Body::Closed {
                header: KeyedHeader::empty(),
                reason: "the state lies in a changelog; take a canonical savepoint".to_owned(),
            },
        };
        Ok(Part::new(subtask, handle.range(), body))
    }

    /// The header that accompanies the files of a database.
    fn database_header(&self, meta: &StreamHandle) -> Result<KeyedHeader> {
        let stream = self.operator.snapshot().stream(meta)?;
        KeyedHeader::read_all(stream.as_ref()).map_err(|error| stream.locate(error))
    }

    /// Puts the states of all parts together.
    fn merge(&mut self) {
        let known = |states: &[StateInfo], info: &StateInfo| {
            states.iter().position(|state| state.name == info.name && state.state_type == info.state_type)
        };
        for part in self.managed.iter().chain(&self.raw) {
            let header = part.body.header();
            for info in &header.states {
                if known(&self.states, info).is_none() {
                    self.states.push(info.clone());
                }
            }
            self.key = self.key.take().or_else(|| header.key.clone());
        }
        self.states.sort_by(|a, b| (&a.name, a.state_type).cmp(&(&b.name, b.state_type)));
        let states = &self.states;
        for part in self.managed.iter_mut().chain(&mut self.raw) {
            let infos = &part.body.header().states;
            part.states = infos.iter().filter_map(|info| known(states, info)).collect();
        }
    }

    /// The operator.
    pub fn operator(&self) -> OperatorReader<'a> {
        self.operator
    }

    /// Serializer of the keys; `None` where there is no keyed state or its serializer is not known.
    pub fn key(&self) -> Option<&Snapshot> {
        self.key.as_ref()
    }

    /// The states of all subtasks, ascending by name; a queue of timers may have the name of another state.
    pub fn states(&self) -> &[StateInfo] {
        &self.states
    }

    /// Keyed state of which not even the states are known.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Why states of some subtask are missing, where a header could not be read to its end.
    pub fn unreadable(&self) -> impl Iterator<Item = (SubtaskIndex, String)> {
        self.parts().filter_map(|part| Some((part.subtask, part.body.header().unreadable.as_ref()?.to_string())))
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.managed.iter().chain(&self.raw)
    }

    /// Decodes the entries of the key groups in `groups`, in ascending order of key groups, until `visit` breaks or
    /// fails: those of one state, given by its position among [`states`](Self::states), or of all. A whole map is handed
    /// over as one entry where the file has it as one.
    pub fn visit(
        &self,
        groups: KeyGroupRange,
        state: Option<usize>,
        visit: &mut Visitor<'_>,
    ) -> Result<ControlFlow<()>> {
        if let Some(gap) = self.gaps.first().filter(|_| state.is_none()) {
            return Err(Error::incompatible(gap.error.message()).in_operator(self.operator.label()));
        }
        for group in groups.iter() {
            for part in [&self.managed, &self.raw].into_iter().filter_map(|parts| part_of(parts, group)) {
                let flow = part.visit_group(group, state, visit);
                if flow.map_err(|error| error.in_operator(self.operator.label()))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The part that holds a key group.
fn part_of(parts: &[Part], group: KeyGroup) -> Option<&Part> {
    let position = parts.partition_point(|part| part.range.last() < group);
    parts.get(position).filter(|part| part.range.contains(group))
}

impl Part {
    fn new(subtask: SubtaskIndex, range: KeyGroupRange, body: Body) -> Self {
        Part { subtask, range, body, states: Vec::new() }
    }

    /// The position among the operator's states of a state of the header.
    fn state(&self, id: u16) -> Option<usize> {
        self.states.get(usize::from(id)).copied()
    }

    pub(super) fn visit_group(
        &self,
        group: KeyGroup,
        state: Option<usize>,
        visit: &mut Visitor<'_>,
    ) -> Result<ControlFlow<()>> {
        let is_complete = self.body.header().unreadable.is_none();
        if is_complete && state.is_some_and(|state| !self.states.contains(&state)) {
            return Ok(ControlFlow::Continue(()));
        }
        let spot = Spot { group, subtask: self.subtask };
        let wanted = |id: u16| state.is_none_or(|state| self.state(id) == Some(state));
        self.body.visit_group(group, &wanted, &mut |id, entry| match self.state(id) {
            Some(state) => visit(spot, state, entry),
            None => Err(Error::internal("an entry of a state that its header does not have")),
        })
    }
}
