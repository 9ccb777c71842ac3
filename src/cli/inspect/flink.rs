//! What a snapshot of Apache Flink consists of.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::ops::ControlFlow;

use millpond::flink::{Direction, OperatorReader, SnapshotReader};
use millpond::format::flink::header::{StateInfo, StateType};
use millpond::format::flink::metadata::{
    self, Distribution, KeyGroupsBody, KeyedHandle, Progress as Progressed, Purpose, StreamHandle,
};
use millpond::format::flink::{SnapshotType, Value};
use serde::Serialize;

use super::super::Outcome;
use super::super::failure::Failure;
use super::super::open::Location;
use super::super::output::Side::{Left, Right};
use super::super::output::{Bytes, Count, Output, Table, counted, sentence};
use super::super::progress::Progress;

/// Subtasks that are listed one by one.
const SUBTASKS_LISTED: usize = 32;

#[derive(Debug, Serialize)]
struct Snapshot {
    path: String,
    system: &'static str,
    metadata_version: u32,
    kind: String,
    checkpoint: u64,
    metadata_bytes: u64,
    files: Files,
    operators: Vec<Operator>,
}

#[derive(Debug, Serialize)]
struct Files {
    count: u64,
    bytes: u64,
    /// Named by absolute URIs.
    absolute_count: u64,
    inline_count: u64,
    inline_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Operator {
    id: String,
    uid: Option<String>,
    name: Option<String>,
    parallelism: u32,
    max_parallelism: u32,
    finished: bool,
    coordinator_bytes: Option<u64>,
    key_type: Option<String>,
    /// Nothing stored says what the keys are: it was found out by their hash codes.
    key_type_inferred: bool,
    states: Vec<State>,
    /// Why states are missing from the list.
    unreadable: Vec<String>,
    subtasks: Vec<Subtask>,
}

#[derive(Debug, Serialize)]
struct State {
    name: String,
    kind: &'static str,
    namespace_type: Option<String>,
    value_type: String,
    ttl: bool,
    entries: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Subtask {
    index: u32,
    finished: bool,
    format: Option<&'static str>,
    first_key_group: Option<u16>,
    last_key_group: Option<u16>,
    keyed_bytes: u64,
    raw_keyed_bytes: u64,
    operator_state_bytes: u64,
    raw_operator_state_bytes: u64,
    input_channel_bytes: u64,
    output_channel_bytes: u64,
}

pub(super) fn run(location: &Location, snapshot: &SnapshotReader, count: bool, json: bool) -> Result<Outcome, Failure> {
    let report = report(location, snapshot, count).map_err(|error| location.failure(&error))?;
    let mut out = Output::new();
    if json {
        out.json(&report)?;
    } else {
        print(&report, &mut out)?;
    }
    Ok(Outcome::Done)
}

fn report(location: &Location, snapshot: &SnapshotReader, count: bool) -> millpond::Result<Snapshot> {
    let metadata = snapshot.metadata();
    let kind = match metadata.checkpoint_properties()?.map(|properties| properties.snapshot_type) {
        Some(SnapshotType::Savepoint { format, .. }) => format!("{} savepoint", format.to_lowercase()),
        Some(SnapshotType::Checkpoint { .. }) => "checkpoint".to_owned(),
        None => "snapshot".to_owned(),
    };
    let progress = Progress::new(count);
    let mut operators = Vec::new();
    let total = metadata.operators.len() as u64;
    for (position, operator) in snapshot.operators().enumerate() {
        progress.set(position as u64, total);
        operators.push(report_operator(operator, count)?);
    }
    operators.sort_by(|a, b| (&a.uid, &a.name, &a.id).cmp(&(&b.uid, &b.name, &b.id)));
    Ok(Snapshot {
        path: location.path.display().to_string(),
        system: "Apache Flink",
        metadata_version: metadata.version.number(),
        kind,
        checkpoint: metadata.checkpoint_id,
        metadata_bytes: snapshot.metadata_bytes(),
        files: files(snapshot),
        operators,
    })
}

fn files(snapshot: &SnapshotReader) -> Files {
    let mut files = Files { count: 0, bytes: 0, absolute_count: 0, inline_count: 0, inline_bytes: 0 };
    let mut seen = HashSet::new();
    for operator in snapshot.operators() {
        for stream in operator.streams() {
            let (name, bytes) = match stream.handle.plain() {
                StreamHandle::Inline(inline) => {
                    files.inline_count += 1;
                    files.inline_bytes += inline.bytes.len() as u64;
                    continue;
                }
                StreamHandle::Relative { path, size } => (path, *size),
                StreamHandle::File { uri, size } => (uri, *size),
                StreamHandle::Segment(segment) => (&segment.uri, segment.size),
                StreamHandle::EmptySegment | StreamHandle::KeyGroups { .. } => continue,
            };
            files.bytes += bytes;
            if seen.insert(name) {
                files.count += 1;
                files.absolute_count += u64::from(!matches!(stream.handle.plain(), StreamHandle::Relative { .. }));
            }
        }
    }
    files
}

fn report_operator(operator: OperatorReader<'_>, count: bool) -> millpond::Result<Operator> {
    let metadata::Operator { name, uid, id, parallelism, max_parallelism, coordinator, progress } =
        operator.description();
    let keyed = operator.keyed()?;
    let mut entries = vec![0; keyed.states().len()];
    if count {
        let _ = keyed.visit(max_parallelism.all_groups(), &|_| true, &mut |_, state, entry| {
            if let Some(count) = entries.get_mut(state) {
                *count += entry.flatten().len() as u64;
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let counts = entries.into_iter().map(|entries| count.then_some(entries));
    let mut states: Vec<State> = keyed.states().iter().zip(counts).map(|(info, count)| state(info, count)).collect();
    let mut unreadable: Vec<String> =
        keyed.unreadable().map(|(subtask, reason)| format!("keyed state of subtask {subtask}: {reason}")).collect();
    unreadable.extend(
        keyed.gaps().iter().map(|gap| format!("raw keyed state of subtask {}: {}", gap.subtask, gap.error.message())),
    );
    let mut operator_states: BTreeMap<String, State> = BTreeMap::new();
    for subtask in operator.operator_state()? {
        for info in subtask.states() {
            operator_states.entry(info.name.clone()).or_insert_with(|| state(info, count.then_some(0)));
        }
        for element in subtask.elements().filter(|_| count) {
            let element = element?;
            if let Some(State { entries: Some(entries), .. }) = operator_states.get_mut(element.state) {
                *entries += match (element.distribution, &element.value) {
                    (Distribution::Broadcast, Value::Map(all)) => all.len() as u64,
                    _ => 1,
                };
            }
        }
        let missing = subtask.header().unreadable.as_ref();
        unreadable.extend(missing.map(|reason| format!("operator state of subtask {}: {reason}", subtask.subtask)));
    }
    states.extend(operator_states.into_values());
    Ok(Operator {
        id: id.to_string(),
        uid: uid.clone(),
        name: name.clone(),
        parallelism: parallelism.get(),
        max_parallelism: max_parallelism.get(),
        finished: matches!(progress, Progressed::Finished),
        coordinator_bytes: coordinator.as_ref().map(|inline| inline.bytes.len() as u64),
        key_type: keyed.key().map(ToString::to_string),
        key_type_inferred: keyed.key_is_inferred(),
        states,
        unreadable,
        subtasks: operator.description().subtasks().iter().map(|task| subtask(operator, task)).collect(),
    })
}

fn state(info: &StateInfo, entries: Option<u64>) -> State {
    let shown = |snapshot: &millpond::format::flink::serializer::Snapshot| snapshot.to_string();
    let value = info.value();
    State {
        name: info.name.clone(),
        kind: info.kind().name(),
        namespace_type: info.namespace().map(shown).filter(|name| name != "VoidNamespace"),
        value_type: match (info.state_type, info.key(), value) {
            (StateType::Broadcast, Some(key), Some(value)) => format!("Map<{key}, {value}>"),
            (_, _, Some(value)) => value.to_string(),
            (_, _, None) => "unknown".to_owned(),
        },
        ttl: value.is_some_and(|value| value.serializer.is_timed()),
        entries,
    }
}

fn subtask(operator: OperatorReader<'_>, subtask: &metadata::Subtask) -> Subtask {
    let state = subtask.state.as_deref();
    let keyed = state.and_then(|state| state.managed_keyed.as_ref());
    let bytes = |purpose: &[Purpose]| {
        let streams = operator.streams().filter(|stream| stream.subtask == subtask.index);
        streams.filter(|stream| purpose.contains(&stream.purpose)).map(|stream| stream.handle.size()).sum()
    };
    let in_flight = |wanted: Direction| {
        let handles =
            operator.channels().filter(|(index, direction, _)| (*index, *direction) == (subtask.index, wanted));
        handles.map(|(_, _, handle)| handle.size).sum()
    };
    Subtask {
        index: subtask.index.0,
        finished: subtask.state.is_none(),
        format: keyed.map(format_name),
        first_key_group: keyed.map(|handle| handle.range().first().0),
        last_key_group: keyed.map(|handle| handle.range().last().0),
        keyed_bytes: bytes(&[Purpose::Keyed, Purpose::Changelog]),
        raw_keyed_bytes: bytes(&[Purpose::RawKeyed]),
        operator_state_bytes: bytes(&[Purpose::Operator]),
        raw_operator_state_bytes: bytes(&[Purpose::RawOperator]),
        input_channel_bytes: in_flight(Direction::Input),
        output_channel_bytes: in_flight(Direction::Output),
    }
}

fn format_name(handle: &KeyedHandle) -> &'static str {
    match handle {
        KeyedHandle::KeyGroups(handle) => match handle.body {
            KeyGroupsBody::Canonical => "canonical",
            KeyGroupsBody::Native => "native-heap",
            KeyGroupsBody::Unspecified => "unspecified",
        },
        KeyedHandle::Incremental(_) => "rocksdb",
        KeyedHandle::Changelog(_) => "changelog",
    }
}

fn print(snapshot: &Snapshot, out: &mut Output) -> io::Result<()> {
    out.bold(&format!("{} of Apache Flink {}", snapshot.kind, snapshot.path))?;
    let Files { count, bytes, absolute_count, inline_count, inline_bytes } = snapshot.files;
    let mut files = format!("{} in {}", Bytes(bytes), counted(count, "file", "files"));
    if absolute_count > 0 {
        files.push_str(&format!(", of which {} named by absolute URIs", Count(absolute_count)));
    }
    writeln!(out, "  checkpoint  {}", snapshot.checkpoint)?;
    writeln!(out, "  metadata    version {}, {}", snapshot.metadata_version, Bytes(snapshot.metadata_bytes))?;
    writeln!(out, "  state       {files}")?;
    writeln!(out, "  inline      {} in {}", Bytes(inline_bytes), counted(inline_count, "part", "parts"))?;
    if snapshot.operators.is_empty() {
        writeln!(out, "\nThe snapshot has no operators.")?;
    }
    for operator in &snapshot.operators {
        writeln!(out)?;
        print_operator(operator, out)?;
    }
    out.flush()
}

fn print_operator(operator: &Operator, out: &mut Output) -> io::Result<()> {
    let Operator { id, uid, name, parallelism, max_parallelism, finished, coordinator_bytes, key_type, .. } = operator;
    match uid.as_ref().or(name.as_ref()) {
        Some(label) => out.bold(&format!("operator {}", label.escape_debug()))?,
        None => out.bold(&format!("operator {id}"))?,
    }
    writeln!(out, "  id           {id}")?;
    if let (Some(_), Some(name)) = (uid, name) {
        writeln!(out, "  name         {}", name.escape_debug())?;
    }
    writeln!(out, "  parallelism  {parallelism} of at most {max_parallelism}")?;
    if *finished {
        writeln!(out, "  finished     all subtasks")?;
    }
    if let Some(bytes) = coordinator_bytes {
        writeln!(out, "  coordinator  {}", Bytes(*bytes))?;
    }
    if let Some(key) = key_type {
        let how = if operator.key_type_inferred { ", found by hash codes: the log does not say" } else { "" };
        writeln!(out, "  key          {key}{how}")?;
    }
    for reason in &operator.unreadable {
        writeln!(out, "  not read     {}", sentence(reason))?;
    }
    if !operator.states.is_empty() {
        writeln!(out)?;
        print_states(&operator.states, out)?;
    }
    if operator.subtasks.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    print_subtasks(&operator.subtasks, out)
}

fn print_states(states: &[State], out: &mut Output) -> io::Result<()> {
    let mut table = Table::new("  ", vec![("STATE", Left), ("KIND", Left), ("ENTRIES", Right), ("TYPE", Left)]);
    for State { name, kind, namespace_type, value_type, ttl, entries } in states {
        let mut shown = value_type.clone();
        if let Some(namespace) = namespace_type {
            shown.push_str(&format!(", per {namespace}"));
        }
        if *ttl {
            shown.push_str(", with ttl");
        }
        let entries = entries.map_or_else(|| "?".to_owned(), |entries| Count(entries).to_string());
        table.row(vec![name.escape_debug().to_string(), (*kind).to_owned(), entries, shown]);
    }
    table.print_head(out)?;
    table.print_rows(out)
}

fn print_subtasks(subtasks: &[Subtask], out: &mut Output) -> io::Result<()> {
    let columns = vec![
        ("SUBTASK", Right),
        ("FORMAT", Left),
        ("KEY GROUPS", Left),
        ("KEYED", Right),
        ("RAW", Right),
        ("OPERATOR STATE", Right),
        ("IN FLIGHT", Right),
    ];
    let mut table = Table::new("  ", columns);
    for subtask in subtasks.iter().take(SUBTASKS_LISTED) {
        let groups = match (subtask.first_key_group, subtask.last_key_group) {
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => "-".to_owned(),
        };
        let format = if subtask.finished { "finished" } else { subtask.format.unwrap_or("-") };
        let raw = subtask.raw_keyed_bytes + subtask.raw_operator_state_bytes;
        table.row(vec![
            subtask.index.to_string(),
            format.to_owned(),
            groups,
            Bytes(subtask.keyed_bytes).to_string(),
            Bytes(raw).to_string(),
            Bytes(subtask.operator_state_bytes).to_string(),
            Bytes(subtask.input_channel_bytes + subtask.output_channel_bytes).to_string(),
        ]);
    }
    table.print_head(out)?;
    table.print_rows(out)?;
    match subtasks.len().checked_sub(SUBTASKS_LISTED) {
        Some(more @ 1..) => writeln!(out, "  and {}", counted(more as u64, "more subtask", "more subtasks")),
        _ => Ok(()),
    }
}
