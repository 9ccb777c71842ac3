//! Keyed state of the changelog backend: state that was written as a whole once, and logs of what changed since.
//!
//! What is held while key groups are read, from the first to the last: for every change set and every key group in it, where
//! its changes lie; logs that are compressed, expanded; and of one key group what its changes come to. The state that was written as a
//! whole is streamed past these. Only where namespaces were merged, the states in question are held for a key group.

mod key;
mod log;

pub(super) use key::settle_keys;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use super::export::{PairVisitor, Part};
use super::reader::SnapshotReader;
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::format::flink::changelog::{self, Announcement, ChangeSet, Changes, NetChanges, Run, Trial};
use crate::format::flink::header::{KeyedHeader, StateInfo, StateType};
use crate::format::flink::keyed::StateDecoder;
use crate::format::flink::metadata::{ChangelogDelta, ChangelogHandle, KeyedHandle};
use crate::format::flink::serializer::{Snapshot, TypeSerializer};
use crate::format::flink::value::Form;
use crate::format::flink::{KeyedEntry, keyed};
use crate::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
use log::{Extents, Log, place};

/// The state of one subtask behind a handle of the changelog backend.
pub(super) struct Changelog<'a> {
    range: KeyGroupRange,
    max: MaxParallelism,
    header: KeyedHeader,
    key_is_inferred: bool,
    materialized: Vec<Materialized<'a>>,
    closed: Option<&'static str>,
    logs: Vec<Log>,
    sources: Vec<Source<'a>>,
    numbers: Numbers,
    index: Mutex<Option<Arc<Index>>>,
}

/// State that was written as a whole.
struct Materialized<'a> {
    part: Part<'a>,
    /// For every state of its header, the position among those of the log.
    states: Vec<u16>,
}

/// Changes that belong together, in the order of the handle.
enum Source<'a> {
    /// In the metadata.
    Inline(&'a [(Option<u16>, Vec<u8>)]),
    /// In a log, at a position.
    Set { log: usize, position: u64 },
}

/// Which state a number means, from one source on.
#[derive(Default)]
struct Numbers(BTreeMap<u16, Vec<(usize, u16)>>);

/// Where the changes of each key group lie.
#[derive(Default)]
struct Index(BTreeMap<u16, Vec<Span>>);

#[derive(Clone, Copy)]
struct Span {
    /// Position among the sources.
    source: usize,
    /// Where the first change begins: in the bytes of the log, or among the changes in the metadata.
    start: usize,
    end: usize,
    count: usize,
}

impl Numbers {
    /// The state that a number means in a source.
    fn state(&self, number: u16, source: usize) -> Option<u16> {
        let meanings = self.0.get(&number)?;
        let position = meanings.partition_point(|(from, _)| *from <= source).checked_sub(1)?;
        meanings.get(position).map(|(_, state)| *state)
    }

    fn announce(&mut self, number: u16, source: usize, state: u16) {
        let meanings = self.0.entry(number).or_default();
        if meanings.last().is_none_or(|(_, last)| *last != state) {
            meanings.push((source, state));
        }
    }
}

/// States of a log that is being opened.
struct States<'h> {
    header: &'h mut KeyedHeader,
    positions: HashMap<(String, StateType), u16>,
}

impl States<'_> {
    /// The position of a state, which is added if it is not there.
    fn add(&mut self, info: StateInfo) -> Result<u16> {
        let key = (info.name.clone(), info.state_type);
        if let Some(position) = self.positions.get(&key) {
            let known = self.header.states.get(usize::from(*position));
            if known.is_some_and(|known| known.describes_same(&info)) {
                return Ok(*position);
            }
            let message = "the log describes the serializers of the state differently than what was written before; take \
                a canonical savepoint";
            return Err(Error::incompatible(message).in_state(&info.name));
        }
        let position = i16::try_from(self.header.states.len()).ok().and_then(|position| u16::try_from(position).ok());
        let position = position.ok_or_else(|| Error::corrupt("more than 32768 states").in_field("state number"))?;
        if let (None, Some(TypeSerializer::Timer { key, .. })) =
            (&self.header.key, info.value().map(|value| &value.serializer))
        {
            self.header.key = Some((**key).clone());
        }
        self.positions.insert(key, position);
        self.header.states.push(info);
        self.header.state_count = self.header.states.len();
        Ok(position)
    }
}

impl<'a> Changelog<'a> {
    /// Opens what a handle leads to: reads the headers of what was written as a whole and the announcements of logs.
    pub(super) fn open(snapshot: &'a SnapshotReader, max: MaxParallelism, handle: &'a ChangelogHandle) -> Result<Self> {
        let mut log = Changelog {
            range: handle.range,
            max,
            header: KeyedHeader::empty(),
            key_is_inferred: false,
            materialized: Vec::new(),
            closed: None,
            logs: Vec::new(),
            sources: Vec::new(),
            numbers: Numbers::default(),
            index: Mutex::default(),
        };
        let mut header = KeyedHeader::empty();
        let mut states = States { header: &mut header, positions: HashMap::new() };
        for handle in &handle.materialized {
            log.add_materialized(snapshot, handle, &mut states)?;
        }
        log.add_sources(snapshot, &handle.changes)?;
        log.read_announcements(&mut states)?;
        log.header = header;
        Ok(log)
    }

    fn add_materialized(
        &mut self,
        snapshot: &'a SnapshotReader,
        handle: &'a KeyedHandle,
        states: &mut States<'_>,
    ) -> Result<()> {
        let (header, part) = match (handle, closed_files(snapshot)) {
            (KeyedHandle::Incremental(files), Some(reason)) => {
                self.closed = Some(reason);
                let stream = snapshot.stream(&files.meta)?;
                (KeyedHeader::read_all(stream.as_ref()).map_err(|error| stream.locate(error))?, None)
            }
            _ => {
                let part = Part::managed(snapshot, self.max, handle)?;
                (part.header.clone(), Some(part))
            }
        };
        if states.header.key.is_none() {
            states.header.key.clone_from(&header.key);
        }
        let mut positions = Vec::new();
        for info in header.states {
            positions.push(states.add(info)?);
        }
        if states.header.unreadable.is_none() {
            states.header.unreadable = header.unreadable;
        }
        self.materialized.extend(part.map(|part| Materialized { part, states: positions }));
        Ok(())
    }

    fn add_sources(&mut self, snapshot: &SnapshotReader, deltas: &'a [ChangelogDelta]) -> Result<()> {
        let mut known: HashMap<(String, u64), usize> = HashMap::new();
        for delta in deltas {
            match delta {
                ChangelogDelta::Inline { changes, .. } => self.sources.push(Source::Inline(changes)),
                ChangelogDelta::Stream { parts, .. } => {
                    for (position, handle) in parts {
                        let log = match place(handle).and_then(|place| known.get(&place).copied()) {
                            Some(log) => log,
                            None => {
                                self.logs.push(Log::new(snapshot.log(handle)?, handle.size()));
                                let log = self.logs.len().saturating_sub(1);
                                known.extend(place(handle).map(|place| (place, log)));
                                log
                            }
                        };
                        self.sources.push(Source::Set { log, position: *position });
                    }
                }
            }
        }
        Ok(())
    }

    fn read_announcements(&mut self, states: &mut States<'_>) -> Result<()> {
        let mut extents = Extents::default();
        let (logs, numbers) = (&self.logs, &mut self.numbers);
        for (index, source) in self.sources.iter().enumerate() {
            let mut announce = |change: Reader<'_>| {
                let Announcement { number, state, unreadable } = Announcement::read(change)?;
                let position = states.add(state)?;
                if states.header.unreadable.is_none() {
                    states.header.unreadable = unreadable;
                }
                numbers.announce(number, index, position);
                Ok(())
            };
            match source {
                Source::Inline(changes) => {
                    for (_, change) in changes.iter().filter(|(group, _)| group.is_none()) {
                        announce(Reader::new(change))?;
                    }
                }
                Source::Set { log, position } => {
                    let Some(file) = logs.get(*log) else { continue };
                    let (bytes, base) = file.bytes()?;
                    let mut read = || {
                        let mut set = ChangeSet::open(bytes.as_slice(), base, *position)?;
                        if let Some(Run { group: None, mut changes }) = set.next_run()? {
                            changes.try_for_each(|change| announce(change?))?;
                        }
                        extents.add(*log, *position, set.position())
                    };
                    read().map_err(|error| file.locate(error, base))?;
                }
            }
        }
        Ok(())
    }

    /// The states, and the serializer of keys if it is known.
    pub(super) fn header(&self) -> &KeyedHeader {
        &self.header
    }

    /// Why what was written as a whole may not be opened.
    pub(super) fn closed(&self) -> Option<&'static str> {
        self.closed
    }

    /// Gives the log what nothing stored in it says.
    fn set_key(&mut self, key: Option<&Snapshot>, inferred: bool) {
        self.header.key = key.cloned();
        self.key_is_inferred = inferred && key.is_some();
    }

    /// Whether nothing stored says how keys are serialized, and it was [found out](settle_keys).
    pub(super) fn key_is_inferred(&self) -> bool {
        self.key_is_inferred
    }

    /// Bytes of what was written as a whole and of the logs.
    pub(super) fn bytes(&self) -> u64 {
        let materialized = self.materialized.iter().map(|materialized| materialized.part.bytes());
        let logs = self.logs.iter().map(Log::length);
        materialized.chain(logs).fold(0, u64::saturating_add)
    }

    fn index(&self) -> Result<Arc<Index>> {
        let mut held = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*held {
            return Ok(Arc::clone(index));
        }
        let mut index = Index::default();
        let mut extents = Extents::default();
        for (number, source) in self.sources.iter().enumerate() {
            match source {
                Source::Inline(changes) => {
                    for (start, (group, _)) in changes.iter().enumerate() {
                        let Some(group) = group.filter(|group| self.range.contains(KeyGroup(*group))) else { continue };
                        let span = Span { source: number, start, end: start.saturating_add(1), count: 1 };
                        index.0.entry(group).or_default().push(span);
                    }
                }
                Source::Set { log, position } => {
                    let Some(file) = self.logs.get(*log) else { continue };
                    let (bytes, base) = file.bytes()?;
                    let mut read = || {
                        let mut set = ChangeSet::open(bytes.as_slice(), base, *position)?;
                        while let Some(Run { group, changes }) = set.next_run()? {
                            let start = usize::try_from(changes.offset().saturating_sub(base)).unwrap_or(usize::MAX);
                            let end = usize::try_from(*position).unwrap_or(usize::MAX).saturating_add(set.position());
                            let Some(group) = group.filter(|group| self.range.contains(*group)) else { continue };
                            let span = Span { source: number, start, end, count: changes.count_left() };
                            index.0.entry(group.0).or_default().push(span);
                        }
                        extents.add(*log, *position, set.position())
                    };
                    read().map_err(|error| file.locate(error, base))?;
                }
            }
        }
        let index = Arc::new(index);
        *held = Some(Arc::clone(&index));
        Ok(index)
    }

    /// Lets go of what is held, once the last key group was read.
    pub(super) fn close(&self) {
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.logs.iter().for_each(Log::close);
        self.materialized.iter().for_each(|materialized| materialized.part.close());
    }

    /// Gives every change of a key group to `visit`, with the position of its state.
    fn visit_changes(&self, group: KeyGroup, visit: &mut dyn FnMut(u16, Reader<'_>, bool) -> Result<()>) -> Result<()> {
        let index = self.index()?;
        for span in index.0.get(&group.0).into_iter().flatten() {
            let mut one = |change: Reader<'_>| {
                let (number, merges) = changelog::head(&change)?;
                let state = self.numbers.state(number, span.source).ok_or_else(|| {
                    change.corrupt("state number", format!("is {number}, which no announcement before it explains"))
                })?;
                visit(state, change, merges)
            };
            match self.sources.get(span.source) {
                Some(Source::Inline(changes)) => {
                    for (_, change) in changes.get(span.start..span.end).unwrap_or_default() {
                        one(Reader::new(change)).map_err(|error| error.in_key_group(group.0))?;
                    }
                }
                Some(Source::Set { log, .. }) => {
                    let Some(file) = self.logs.get(*log) else { continue };
                    let (bytes, base) = file.bytes()?;
                    let run = bytes.as_slice().get(span.start..span.end).unwrap_or_default();
                    let offset = base.saturating_add(u64::try_from(span.start).unwrap_or(u64::MAX));
                    for change in Changes::again(run, offset, span.count) {
                        let done = change.and_then(&mut one);
                        done.map_err(|error| file.locate(error.in_key_group(group.0), base))?;
                    }
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Gives every entry from before of a key group to `visit`.
    fn visit_materialized(&self, group: KeyGroup, visit: &mut PairVisitor<'_>) -> Result<()> {
        for Materialized { part, states } in &self.materialized {
            if part.range.contains(group) {
                part.visit(group, &mut |id, key, value| match states.get(usize::from(id)) {
                    Some(state) => visit(*state, key, value),
                    None => Err(Error::incompatible("the state could not be read from its header")),
                })?;
            }
        }
        Ok(())
    }

    /// Gives the entries of a key group that belong to states of which `wanted` is true to `visit` in the form of canonical
    /// files: a state's position in the header, the composite key without the key group in front, and the value.
    pub(super) fn visit_stored(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        visit: &mut PairVisitor<'_>,
    ) -> Result<()> {
        let mut net = NetChanges::new(&self.header, group, self.max, Trial::No);
        let mut merging = vec![false; self.header.states.len()];
        let mut is_changed = false;
        self.visit_changes(group, &mut |state, _, merges| {
            is_changed |= wanted(state);
            if let Some(merging) = merging.get_mut(usize::from(state)).filter(|_| merges && wanted(state)) {
                *merging = true;
            }
            Ok(())
        })?;
        if merging.contains(&true) {
            let is_merging = |state: u16| merging.get(usize::from(state)).copied().unwrap_or(false);
            self.visit_materialized(group, &mut |state, key, value| {
                if is_merging(state) {
                    net.load(state, key, value);
                }
                Ok(())
            })?;
            (0u16..).zip(&merging).filter(|(_, merging)| **merging).for_each(|(state, _)| net.set_loaded(state));
        }
        if is_changed {
            self.visit_changes(group, &mut |state, change, _| match wanted(state) {
                true => net.apply(state, change),
                false => Ok(()),
            })?;
        }
        self.visit_materialized(group, &mut |state, key, value| match wanted(state) {
            true => net.over(state, key, value, visit),
            false => Ok(()),
        })?;
        net.rest(visit)
    }

    /// Decodes the entries of a key group that belong to states of which `wanted` is true.
    pub(super) fn visit_group<F: Form>(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        mut visit: impl FnMut(u16, KeyedEntry<F>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        let mut flow = ControlFlow::Continue(());
        self.visit_stored(group, wanted, &mut |id, key, value| {
            if flow.is_continue() {
                let entry = keyed::Entry::of_pair(id, group, self.max, key, value);
                let decoded = StateDecoder::of(&self.header, id).and_then(|decoder| decoder.decode(&entry));
                flow = visit(id, decoded.map_err(|error| error.in_key_group(group.0))?)?;
            }
            Ok(())
        })?;
        match &self.header.unreadable {
            Some(unreadable) if flow.is_continue() => {
                Err(Error::incompatible(format!("states are missing: {}", unreadable.reason)))
            }
            _ => Ok(flow),
        }
    }
}

#[cfg(feature = "rocksdb")]
fn closed_files(snapshot: &SnapshotReader) -> Option<&'static str> {
    snapshot.scratch().err()
}

#[cfg(not(feature = "rocksdb"))]
fn closed_files(_snapshot: &SnapshotReader) -> Option<&'static str> {
    Some("the state is in RocksDB files; build millpond with the feature `rocksdb`")
}

impl fmt::Debug for Changelog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changelog").field("range", &self.range).field("logs", &self.logs.len()).finish_non_exhaustive()
    }
}
