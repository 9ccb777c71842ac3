//! Everything that a snapshot holds, as far as the decoders go, in the form of the ground truth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use millpond::codec::Reader;
use millpond::error::{ErrorKind, Result};
use millpond::format::flink::header::{KeyedHeader, KeyedKind, OperatorHeader, StateInfo, StateType};
use millpond::format::flink::metadata::{
    Distribution, KeyGroupsBody, KeyGroupsHandle, KeyedHandle, Metadata, Operator, OperatorStateHandle, StreamHandle,
};
use millpond::format::flink::timer::{Domain, RawTimers};
use millpond::format::flink::{Content, KeyedEntry, KeyedFile, Value, heap, operator};
use millpond::key_group::KeyGroup;

use super::fixtures::{self, Fixture};
use super::text;

/// State name and kind, as the ground truth calls it.
pub(crate) type StateKey = (String, &'static str);

/// What was found in the keyed and operator state of an operator.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    /// Lines of entries, in the order of the files.
    pub(crate) keyed: BTreeMap<StateKey, Vec<String>>,
    /// Elements by state and subtask.
    pub(crate) operator: BTreeMap<String, BTreeMap<u32, Vec<String>>>,
    /// Why keyed state (other than raw timers) is missing.
    pub(crate) not_covered: BTreeSet<String>,
}

/// Finds the bytes of handles.
pub(crate) struct Files<'a> {
    directory: &'a Path,
    snapshot: std::path::PathBuf,
    origin: String,
}

impl<'a> Files<'a> {
    pub(crate) fn of(fixture: &'a Fixture) -> Self {
        let expected = fixture.expected_json();
        let origin = expected["origin"].as_str().unwrap().trim_end_matches('/').replace("file:///", "file:/");
        Files { directory: &fixture.directory, snapshot: fixture.snapshot(), origin }
    }

    pub(crate) fn read(&self, handle: &StreamHandle) -> Vec<u8> {
        let bytes = match handle.plain() {
            StreamHandle::Inline(inline) => inline.bytes.clone(),
            StreamHandle::Relative { path, .. } => fixtures::read(&self.snapshot.join(path)),
            StreamHandle::File { uri, .. } => self.absolute(uri),
            StreamHandle::Segment(segment) => {
                let start = usize::try_from(segment.start).unwrap();
                let end = start + usize::try_from(segment.size).unwrap();
                self.absolute(&segment.uri)[start..end].to_vec()
            }
            StreamHandle::EmptySegment => Vec::new(),
            StreamHandle::KeyGroups { .. } => unreachable!("a plain handle"),
        };
        assert_eq!(u64::try_from(bytes.len()).unwrap(), handle.size(), "{handle:?}");
        bytes
    }

    fn absolute(&self, uri: &str) -> Vec<u8> {
        let uri = uri.replace("file:///", "file:/");
        let path = uri.strip_prefix(&self.origin).unwrap_or_else(|| panic!("{uri} is not below {}", self.origin));
        fixtures::read(&self.directory.join(path.trim_start_matches('/')))
    }
}

pub(crate) fn dump(metadata: &Metadata, files: &Files<'_>) -> Result<BTreeMap<String, Dump>> {
    let mut dumps = BTreeMap::new();
    for operator in &metadata.operators {
        let mut dump = Dump::default();
        for subtask in operator.subtasks() {
            let Some(state) = &subtask.state else { continue };
            if let Some(handle) = &state.managed_keyed {
                dump.keyed_state(operator, handle, files)?;
            }
            if let Some(handle) = &state.raw_keyed {
                dump.raw_timers(operator, handle, files)?;
            }
            if let Some(handle) = &state.managed_operator {
                dump.operator_state(subtask.index.0, handle, files)?;
            }
        }
        dumps.insert(operator.id.to_string(), dump);
    }
    Ok(dumps)
}

impl Dump {
    fn keyed_state(&mut self, operator: &Operator, handle: &KeyedHandle, files: &Files<'_>) -> Result<()> {
        match handle {
            KeyedHandle::KeyGroups(handle) => self.key_groups(operator, handle, files),
            KeyedHandle::Incremental(handle) => {
                // The entries need RocksDB; the header does not.
                let bytes = files.read(&handle.meta);
                let mut input = Reader::new(&bytes);
                let header = KeyedHeader::read(&mut input)?;
                assert_eq!(header.unreadable, None);
                input.finish("database metadata")?;
                header.states.iter().for_each(|state| self.register(state));
                self.not_covered.insert("RocksDB".to_owned());
                Ok(())
            }
            KeyedHandle::Changelog(_) => {
                self.not_covered.insert("changelog".to_owned());
                Ok(())
            }
        }
    }

    fn register(&mut self, state: &StateInfo) {
        self.keyed.entry(state_key(state)).or_default();
    }

    fn key_groups(&mut self, operator: &Operator, handle: &KeyGroupsHandle, files: &Files<'_>) -> Result<()> {
        let bytes = files.read(&handle.stream);
        let file = KeyedFile::open(handle, operator.max_parallelism, &bytes)?;
        assert_eq!(file.header().unreadable, None);
        file.header().states.iter().for_each(|state| self.register(state));
        assert_eq!(heap::is_native(&handle.offsets, &bytes), handle.body == KeyGroupsBody::Native);
        assert_eq!(file.is_native(), handle.body == KeyGroupsBody::Native);
        let visited = file.visit(|group, state_id, entry| {
            self.add(file.header().state(state_id).unwrap(), entry, group);
            Ok(())
        });
        match visited {
            Err(error) if error.kind() == ErrorKind::Incompatible => {
                self.not_covered.insert(error.message().to_owned());
                Ok(())
            }
            visited => visited,
        }
    }

    fn add(&mut self, state: &StateInfo, entry: KeyedEntry, group: KeyGroup) {
        let lines = self.keyed.entry(state_key(state)).or_default();
        lines.extend(entry.flatten().iter().map(|entry| text::entry(entry, group.0)));
    }

    fn raw_timers(&mut self, operator: &Operator, handle: &KeyedHandle, files: &Files<'_>) -> Result<()> {
        let KeyedHandle::KeyGroups(handle) = handle else { panic!("{handle:?}") };
        let bytes = files.read(&handle.stream);
        for (group, start, end) in handle.offsets.extents(handle.stream.size()) {
            let block = &bytes[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
            for timer in RawTimers::open(group, operator.max_parallelism, block, start)? {
                let timer = timer?;
                let (domain, kind) = match timer.domain {
                    Domain::Event => ("event", "event-timers"),
                    Domain::Processing => ("processing", "processing-timers"),
                };
                let content = Content::Timer { timestamp: timer.timestamp };
                let entry = KeyedEntry { key: timer.key, namespace: timer.namespace, content };
                let name = format!("_timer_state/{domain}_{}", timer.service);
                self.keyed.entry((name, kind)).or_default().push(text::entry(&entry, group.0));
            }
        }
        Ok(())
    }

    fn operator_state(&mut self, subtask: u32, handle: &OperatorStateHandle, files: &Files<'_>) -> Result<()> {
        let bytes = files.read(&handle.stream);
        if bytes.is_empty() {
            assert!(handle.states.is_empty(), "{handle:?}");
            return Ok(());
        }
        let header = OperatorHeader::read(&mut Reader::new(&bytes))?;
        assert_eq!(header.unreadable, None);
        for state in header.lists.iter().chain(&header.broadcasts) {
            self.operator.entry(state.name.clone()).or_default().entry(subtask).or_default();
        }
        for element in operator::elements(&header, &handle.states, &bytes) {
            let element = element?;
            let elements = self.operator.entry(element.state.to_owned()).or_default().entry(subtask).or_default();
            match (element.distribution, &element.value) {
                (Distribution::Broadcast, Value::Map(entries)) => elements.push(text::pairs(entries)),
                (_, value) => elements.push(text::value(value)),
            }
        }
        Ok(())
    }
}

fn state_key(state: &StateInfo) -> StateKey {
    let kind = match (state.state_type, state.keyed_kind()) {
        (StateType::PriorityQueue, _) if state.name.starts_with("_timer_state/event_") => "event-timers",
        (StateType::PriorityQueue, _) => "processing-timers",
        (_, KeyedKind::List) => "list",
        (_, KeyedKind::Map) => "map",
        (_, KeyedKind::Reducing) => "reducing",
        (_, KeyedKind::Aggregating) => "aggregating",
        _ => "value",
    };
    (state.name.clone(), kind)
}
