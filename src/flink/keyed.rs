//! The keyed state of an operator: one model for every kind of handle.

use std::ops::ControlFlow;

use super::changelog::{self, Changelog};
#[cfg(feature = "rocksdb")]
use super::database::DatabaseFiles;
use super::files::Stream;
use super::mapping::java_type;
use super::reader::OperatorReader;
use super::timers::TimerFile;
use crate::error::{Error, Result};
use crate::format::flink::header::{KeyedHeader, StateInfo};
use crate::format::flink::metadata::{IncrementalHandle, KeyedHandle, StreamHandle};
use crate::format::flink::serializer::Snapshot;
use crate::format::flink::value::Form;
use crate::format::flink::{Found, KeyedEntry, KeyedFile};
use crate::format::java_type::JavaType;
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
    managed: Vec<Part<'a>>,
    /// State of the operator's own, such as timers, ascending by key groups.
    raw: Vec<Part<'a>>,
    gaps: Vec<Gap>,
}

/// The keyed state of one subtask behind one handle.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) subtask: SubtaskIndex,
    pub(super) range: KeyGroupRange,
    pub(super) body: Body<'a>,
    /// For every state of the header, its position among those of the operator.
    states: Vec<usize>,
}

/// What a handle leads to.
#[derive(Debug)]
pub(super) enum Body<'a> {
    /// A canonical or native heap file.
    File { stream: Stream, file: KeyedFile<Stream> },
    /// Files of RocksDB.
    #[cfg(feature = "rocksdb")]
    Database(DatabaseFiles<'a>),
    /// State that was written as a whole, and changes since.
    Changelog(Box<Changelog<'a>>),
    /// Raw timers.
    Timers(TimerFile),
    /// State that is there and cannot be read, with the header as far as it is known.
    Closed { header: KeyedHeader, reason: &'a str },
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

impl Body<'_> {
    pub(super) fn header(&self) -> &KeyedHeader {
        match self {
            Body::File { file, .. } => file.header(),
            #[cfg(feature = "rocksdb")]
            Body::Database(database) => database.header(),
            Body::Changelog(log) => log.header(),
            Body::Timers(timers) => timers.header(),
            Body::Closed { header, .. } => header,
        }
    }

    /// Lets go of what was opened, once the last key group of a part was read.
    fn close(&self) {
        match self {
            #[cfg(feature = "rocksdb")]
            Body::Database(database) => database.close(),
            Body::Changelog(log) => log.close(),
            _ => {}
        }
    }

    /// Decodes the entries of a key group that belong to states of which `wanted` is true.
    fn visit_group<F: Form>(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        visit: impl FnMut(u16, KeyedEntry<F>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        match self {
            Body::File { stream, file } => {
                file.visit_group_as(group, wanted, visit).map_err(|error| stream.locate(error))
            }
            #[cfg(feature = "rocksdb")]
            Body::Database(database) => database.visit_group(group, wanted, visit),
            Body::Changelog(log) => log.visit_group(group, wanted, visit),
            Body::Timers(timers) => timers.visit_group(group, wanted, visit),
            Body::Closed { reason, .. } => Err(Error::incompatible(*reason).in_key_group(group.0)),
        }
    }
}

impl Body<'_> {
    /// As [`visit_group`](Self::visit_group), with entries as they are found.
    fn visit_found(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        mut visit: impl FnMut(u16, Found<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        match self {
            Body::File { stream, file } => file.visit_found(group, wanted, visit).map_err(|error| stream.locate(error)),
            #[cfg(feature = "rocksdb")]
            Body::Database(database) => database.visit_found(group, wanted, visit),
            _ => self.visit_group(group, wanted, |id, entry| visit(id, Found::Entry(entry))),
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
        reader.settle_keys()?;
        reader.managed.sort_by_key(|part| part.range.first());
        reader.raw.sort_by_key(|part| part.range.first());
        reader.merge();
        Ok(reader)
    }

    fn managed_part(&self, subtask: SubtaskIndex, handle: &'a KeyedHandle) -> Result<Part<'a>> {
        let max = self.operator.max_parallelism();
        let body = match handle {
            KeyedHandle::KeyGroups(handle) => {
                let stream = self.operator.snapshot().stream(&handle.stream)?;
                let file = KeyedFile::open(handle, max, stream.clone()).map_err(|error| stream.locate(error))?;
                Body::File { stream, file }
            }
            KeyedHandle::Incremental(handle) => self.database(handle)?,
            KeyedHandle::Changelog(handle) => {
                let log = Changelog::open(self.operator.snapshot(), max, handle)?;
                match log.closed() {
                    Some(reason) => Body::Closed { header: log.header().clone(), reason },
                    None => Body::Changelog(Box::new(log)),
                }
            }
        };
        Ok(Part::new(subtask, handle.range(), body))
    }

    #[cfg(feature = "rocksdb")]
    fn database(&self, handle: &'a IncrementalHandle) -> Result<Body<'a>> {
        let (snapshot, max) = (self.operator.snapshot(), self.operator.max_parallelism());
        let header = self.database_header(&handle.meta)?;
        Ok(match snapshot.scratch() {
            Ok(scratch) => Body::Database(DatabaseFiles::new(snapshot, handle, scratch, max, header)),
            Err(reason) => Body::Closed { header, reason },
        })
    }

    #[cfg(not(feature = "rocksdb"))]
    fn database(&self, handle: &'a IncrementalHandle) -> Result<Body<'a>> {
        let reason = "the state is in RocksDB files; build millpond with the feature `rocksdb`";
        Ok(Body::Closed { header: self.database_header(&handle.meta)?, reason })
    }

    /// Lets the subtasks tell each other how keys are serialized, which logs do not say.
    fn settle_keys(&mut self) -> Result<()> {
        let known = self.parts().find_map(|part| part.body.header().key.clone());
        let mut logs = Vec::new();
        for part in &mut self.managed {
            if let Body::Changelog(log) = &mut part.body {
                logs.push(&mut **log);
            }
        }
        changelog::settle_keys(known.as_ref(), &mut logs)
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

    /// The Java type by whose hash codes keys are in their key groups; `None` where the serializer of the keys is not known.
    pub fn key_type(&self) -> Option<JavaType> {
        self.key.as_ref().map(|key| java_type(&key.serializer))
    }

    /// Whether nothing stored says how keys are serialized, as in a changelog without timers that was never materialized, so
    /// that [`key`](Self::key) is the only serializer that explains every change and every key group. Types that are
    /// stored and hashed alike (`Double` and `Long`, `Float` and `Int`) cannot be told apart that way.
    pub fn key_is_inferred(&self) -> bool {
        self.managed.iter().any(|part| matches!(&part.body, Body::Changelog(log) if log.key_is_inferred()))
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

    pub(super) fn parts(&self) -> impl Iterator<Item = &Part<'a>> {
        self.managed.iter().chain(&self.raw)
    }

    /// Checks that everything can be read, as far as the headers tell: no state is missing because of a serializer or of raw
    /// state that nobody knows.
    pub fn check_complete(&self) -> Result<()> {
        let missing = self.parts().find_map(|part| part.body.header().unreadable.as_ref());
        let reason = match (self.gaps.first(), missing) {
            (Some(gap), _) => format!("raw keyed state of subtask {}: {}", gap.subtask, gap.error.message()),
            (None, Some(unreadable)) => format!("the states of a subtask cannot be told: {}", unreadable.reason),
            (None, None) => return Ok(()),
        };
        Err(Error::incompatible(reason).in_operator(self.operator.label()))
    }

    /// Decodes the entries of the key groups in `groups`, in ascending order of key groups, until `visit` breaks or
    /// fails: those of the states of which `wanted` is true, given their position among [`states`](Self::states). A whole map
    /// is handed over as one entry where the file has it as one.
    pub fn visit(
        &self,
        groups: KeyGroupRange,
        wanted: &dyn Fn(usize) -> bool,
        visit: &mut Visitor<'_>,
    ) -> Result<ControlFlow<()>> {
        for group in groups.iter() {
            for part in [&self.managed, &self.raw].into_iter().filter_map(|parts| part_of(parts, group)) {
                let flow = part.visit_group(group, wanted, &mut *visit);
                if flow.map_err(|error| error.in_operator(self.operator.label()))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl KeyedReader<'_> {
    /// As [`visit`](Self::visit), with entries as they are found.
    pub(super) fn visit_found(
        &self,
        groups: KeyGroupRange,
        wanted: &dyn Fn(usize) -> bool,
        mut visit: impl FnMut(usize, Found<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        for group in groups.iter() {
            for part in [&self.managed, &self.raw].into_iter().filter_map(|parts| part_of(parts, group)) {
                let flow = part.visit_found(group, wanted, &mut visit);
                if flow.map_err(|error| error.in_operator(self.operator.label()))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The part that holds a key group.
fn part_of<'p, 'a>(parts: &'p [Part<'a>], group: KeyGroup) -> Option<&'p Part<'a>> {
    let position = parts.partition_point(|part| part.range.last() < group);
    parts.get(position).filter(|part| part.range.contains(group))
}

impl<'a> Part<'a> {
    fn new(subtask: SubtaskIndex, range: KeyGroupRange, body: Body<'a>) -> Self {
        Part { subtask, range, body, states: Vec::new() }
    }

    /// The position among the operator's states of a state of the header.
    fn state(&self, id: u16) -> Option<usize> {
        self.states.get(usize::from(id)).copied()
    }

    pub(super) fn visit_group<F: Form>(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(usize) -> bool,
        mut visit: impl FnMut(Spot, usize, KeyedEntry<F>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        if !self.has_any(wanted) {
            return Ok(ControlFlow::Continue(()));
        }
        let spot = Spot { group, subtask: self.subtask };
        let is_wanted = |id: u16| self.state(id).is_none_or(wanted);
        let flow = self.body.visit_group(group, &is_wanted, |id, entry| match self.state(id) {
            Some(state) => visit(spot, state, entry),
            None => Err(unknown_state()),
        });
        self.leave(group);
        flow
    }

    fn visit_found(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(usize) -> bool,
        mut visit: impl FnMut(usize, Found<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        if !self.has_any(wanted) {
            return Ok(ControlFlow::Continue(()));
        }
        let is_wanted = |id: u16| self.state(id).is_none_or(wanted);
        let flow = self.body.visit_found(group, &is_wanted, |id, found| match self.state(id) {
            Some(state) => visit(state, found),
            None => Err(unknown_state()),
        });
        self.leave(group);
        flow
    }

    /// Whether some state is wanted, or it is not known which states there are.
    fn has_any(&self, wanted: &dyn Fn(usize) -> bool) -> bool {
        self.body.header().unreadable.is_some() || self.states.iter().any(|state| wanted(*state))
    }

    /// Lets go of what was opened behind the last key group.
    fn leave(&self, group: KeyGroup) {
        if group == self.range.last() {
            self.body.close();
        }
    }
}

fn unknown_state() -> Error {
    Error::internal("an entry of a state that its header does not have")
}
