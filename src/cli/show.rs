//! `millpond show`: the entries of a state.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::section::Owner;
use millpond::ids::OperatorId;
use millpond::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
use millpond::serializer::{SerializerSnapshot, Value};
use millpond::snapshot::{Entry, OperatorReader, SnapshotReader, StateReader};
use millpond::state::TimeDomain;
use millpond::{ErrorKind, flink};
use serde::Serialize;

use super::Outcome;
use super::failure::Failure;
use super::key::{self, Wanted};
use super::open::{Access, Location, Opened};
use super::output::Side::{Left, Right};
use super::output::{Moment, Output, Table, counted, value_text};

/// Entries that are looked at before the widths of columns are fixed.
const ALIGNED_ENTRIES: usize = 200;

const AFTER_HELP: &str = "\
Entries are decoded by the types that lie in the snapshot; no program is needed. Those of keyed state come by key \
group; within one, those of the canonical format are sorted. Operator state comes subtask by subtask.

KEY is written as its type suggests: text and numbers as they are, bytes in hexadecimal, tuples and other composites \
as JSON. Only the key group of the key is read. Keys that only the program can encode (MessagePack) are compared as \
JSON, which reads all key groups.

With --json every entry is one JSON object on a line of its own.

Examples:
  millpond show chk-12 --operator flights --state profile --limit 10
  millpond show chk-12 --operator flights --state destinations --key N14228
  millpond show chk-12 --operator pairs --state delays --key '[\"JFK\", \"LAX\"]' --json
  millpond show chk-12 --operator flights --state timers --key-group 17 | sort -k 4";

/// Show the entries of a state: key, namespace, user key, time of last touch, value.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Directory of the snapshot, or its _metadata file.
    path: PathBuf,
    /// The operator: its uid, or its id in 32 hexadecimal digits.
    #[arg(long, short, value_name = "UID")]
    operator: String,
    /// The state: its name.
    #[arg(long, short, value_name = "NAME")]
    state: String,
    /// Only the entries of this key.
    #[arg(long, short, allow_hyphen_values = true)]
    key: Option<String>,
    /// Only the entries of this key group.
    #[arg(long, value_name = "N", conflicts_with = "key")]
    key_group: Option<u16>,
    /// Stop after so many entries.
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    access: Access,
    /// Print every entry as a JSON object on a line of its own.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let location = Location::find(&arguments.path)?;
    match location.open_any(&arguments.access)? {
        Opened::Millpond(snapshot) => {
            let operator = find_operator(&snapshot, &arguments.operator)?;
            let state = operator.state(&arguments.state).map_err(|error| Failure::misfit(&error))?;
            let (state, shown) = select(&operator, state, arguments)?;
            let mut page = Page::new(state.description(), shown, arguments);
            let walked = state.entries(|entry| Ok(page.entry(&entry)));
            page.finish(walked, &location)
        }
        Opened::Flink(snapshot) => {
            let operator = find_flink_operator(&snapshot, &arguments.operator)?;
            let state = operator.state(&arguments.state);
            let state = state.map_err(|error| match error.kind() {
                ErrorKind::NotFound if error.place().file.is_none() => Failure::misfit(&error),
                _ => location.failure(&error),
            })?;
            let (state, shown) = select_flink(&operator, state, arguments)?;
            let mut page = Page::new(state.description(), shown, arguments);
            let walked = state.entries(|entry| Ok(page.entry(&entry)));
            page.finish(walked, &location)
        }
    }
}

/// What is printed of a state: so many entries, of a key.
struct Page<'a> {
    arguments: &'a Arguments,
    shown: Option<serde_json::Value>,
    printer: Printer,
    failure: Option<Failure>,
    has_more: bool,
}

impl<'a> Page<'a> {
    fn new(state: &StateMeta, shown: Option<serde_json::Value>, arguments: &'a Arguments) -> Self {
        let printer = Printer::new(state, arguments.json);
        Page { arguments, shown, printer, failure: None, has_more: false }
    }

    fn entry(&mut self, entry: &Entry) -> ControlFlow<()> {
        if self.shown.as_ref().is_some_and(|shown| !is_key(entry, shown)) {
            return ControlFlow::Continue(());
        }
        self.has_more = self.printer.printed == self.arguments.limit.unwrap_or(u64::MAX);
        if self.has_more {
            return ControlFlow::Break(());
        }
        match self.printer.entry(entry) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn finish(mut self, walked: millpond::Result<()>, location: &Location) -> Result<Outcome, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        // What came before the damage is shown.
        self.printer.finish()?;
        walked.map_err(|error| location.failure(&error))?;
        if !self.arguments.json {
            say_what_is_missing(self.arguments, self.printer.printed, self.has_more);
        }
        Ok(Outcome::Done)
    }
}

fn find_flink_operator<'s>(
    snapshot: &'s flink::SnapshotReader,
    name: &str,
) -> Result<flink::OperatorReader<'s>, Failure> {
    snapshot.operator(name).or_else(|error| {
        let id = name.parse::<OperatorId>().ok();
        id.and_then(|id| snapshot.operator_by_id(id)).ok_or_else(|| Failure::misfit(&error))
    })
}

/// The part of a Flink state that is asked for, and what keys must look like where that cannot be told by encodings.
fn select_flink<'s>(
    operator: &flink::OperatorReader<'_>,
    state: flink::StateReader<'s>,
    arguments: &Arguments,
) -> Result<(flink::StateReader<'s>, Option<serde_json::Value>), Failure> {
    if let Some(number) = arguments.key_group {
        return Ok((state.in_groups(one_group(number, operator.max_parallelism())?), None));
    }
    let Some(text) = &arguments.key else { return Ok((state, None)) };
    match key::parse(text, key_of(state.key(), state.description())?).map_err(Failure::usage)? {
        Wanted::Encoded(bytes) => Ok((state.of_key(&bytes), None)),
        Wanted::Shown(json) => Ok((state, Some(json))),
    }
}

/// The range of a key group that a user asks for.
fn one_group(number: u16, max: MaxParallelism) -> Result<KeyGroupRange, Failure> {
    let group = KeyGroup(number);
    if !max.all_groups().contains(group) {
        return Err(Failure::usage(format!("key group {number} does not exist, the operator has {max} of them")));
    }
    KeyGroupRange::new(group, group).map_err(|error| Failure::misfit(&error))
}

/// The type of the keys of a state that has some.
fn key_of<'k>(key: Option<&'k SerializerSnapshot>, state: &StateMeta) -> Result<&'k SerializerSnapshot, Failure> {
    let StateMeta { name, kind, .. } = state;
    key.filter(|_| kind.is_keyed())
        .ok_or_else(|| Failure::usage(format!("state {name:?} is {kind} state, which has no keys; leave --key out")))
}

fn find_operator<'s>(snapshot: &'s SnapshotReader, name: &str) -> Result<OperatorReader<'s>, Failure> {
    snapshot.operator(name).or_else(|error| {
        let id = name.parse::<OperatorId>().ok();
        id.and_then(|id| snapshot.operator_by_id(id)).ok_or_else(|| Failure::misfit(&error))
    })
}

/// The part of the state that is asked for, and what keys must look like where that part is too large.
fn select<'s>(
    operator: &OperatorReader<'_>,
    state: StateReader<'s>,
    arguments: &Arguments,
) -> Result<(StateReader<'s>, Option<serde_json::Value>), Failure> {
    if let Some(number) = arguments.key_group {
        return Ok((state.in_groups(one_group(number, operator.max_parallelism())?), None));
    }
    let Some(text) = &arguments.key else { return Ok((state, None)) };
    let key = key_of(operator.key(), state.description())?;
    match key::parse(text, key).map_err(Failure::usage)? {
        Wanted::Encoded(bytes) => Ok((state.of_key(&bytes).map_err(|error| Failure::misfit(&error))?, None)),
        Wanted::Shown(json) => Ok((state, Some(json))),
    }
}

fn is_key(entry: &Entry, shown: &serde_json::Value) -> bool {
    entry.key.as_ref().and_then(|key| serde_json::to_value(key).ok()).as_ref() == Some(shown)
}

/// Tells a person who might believe to have seen everything, or nothing.
fn say_what_is_missing(arguments: &Arguments, printed: u64, has_more: bool) {
    // The entries are out; nobody needs to be told that the note is not.
    let mut err = io::stderr().lock();
    if has_more {
        let _ = writeln!(err, "millpond: stopped after {}, there are more", counted(printed, "entry", "entries"));
    } else if printed == 0 {
        let what = match (&arguments.key, arguments.key_group) {
            (Some(key), _) => format!("for key {key:?}"),
            (None, Some(group)) => format!("in key group {group}"),
            (None, None) => "at all".to_owned(),
        };
        let _ = writeln!(err, "millpond: state {:?} has no entries {what}", arguments.state);
    }
}

/// Prints entries as they come.
struct Printer {
    out: Output,
    json: bool,
    columns: Columns,
    table: Table,
    has_head: bool,
    printed: u64,
}

/// Which columns a state has.
struct Columns {
    kind: StateKind,
    is_keyed: bool,
    has_namespace: bool,
    has_user_key: bool,
    is_timer: bool,
    is_timed: bool,
}

/// An entry as JSON.
#[derive(Serialize)]
pub(super) struct Line<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key_group: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtask: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'e Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'e Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_key: Option<&'e Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timer: Option<TimerLine>,
    #[serde(skip_serializing_if = "<[i64]>::is_empty")]
    touched_ms: &'e [i64],
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'e Value>,
}

impl<'e> Line<'e> {
    /// The whole entry of a state of this kind.
    pub(super) fn of(entry: &'e Entry, kind: StateKind) -> Self {
        let (key_group, subtask) = match entry.owner {
            Owner::KeyGroup(group) => (Some(group.0), None),
            Owner::Subtask(subtask) => (None, Some(subtask.0)),
        };
        let value = (kind != StateKind::Timer).then_some(&entry.value);
        Line { key_group, subtask, touched_ms: &entry.stamps, value, ..Self::key_of(entry) }
    }

    /// What tells the entry from the others of its state.
    pub(super) fn key_of(entry: &'e Entry) -> Self {
        Line {
            key_group: None,
            subtask: None,
            key: entry.key.as_ref(),
            namespace: entry.namespace.as_ref(),
            user_key: entry.user_key.as_ref(),
            timer: entry.timer.map(|timer| TimerLine { domain: domain_name(timer.domain), at_ms: timer.at_ms }),
            touched_ms: &[],
            value: None,
        }
    }
}

#[derive(Serialize)]
struct TimerLine {
    domain: &'static str,
    at_ms: i64,
}

/// How a clock of timers is called.
pub(super) fn domain_name(domain: TimeDomain) -> &'static str {
    match domain {
        TimeDomain::Event => "event",
        TimeDomain::Processing => "processing",
    }
}

impl Columns {
    fn new(state: &StateMeta) -> Self {
        Columns {
            kind: state.kind,
            is_keyed: state.kind.is_keyed(),
            has_namespace: state.kind.is_keyed() && state.namespace != SerializerSnapshot::Unit,
            has_user_key: matches!(state.kind, StateKind::Map | StateKind::Broadcast),
            is_timer: state.kind == StateKind::Timer,
            is_timed: state.timed,
        }
    }

    fn table(&self) -> Table {
        let mut columns = if self.is_keyed { vec![("GROUP", Right), ("KEY", Left)] } else { vec![("SUBTASK", Right)] };
        let optional = [
            (self.has_namespace, "NAMESPACE"),
            (self.has_user_key, "USER KEY"),
            (self.is_timer, "TIME"),
            (self.is_timer, "FIRES AT"),
            (self.is_timed, "TOUCHED"),
            (!self.is_timer, "VALUE"),
        ];
        columns.extend(optional.into_iter().filter(|(there, _)| *there).map(|(_, name)| (name, Left)));
        Table::new("", columns)
    }

    fn row(&self, entry: &Entry) -> Vec<String> {
        let text = |value: &Option<Value>| value.as_ref().map(value_text).unwrap_or_default();
        let mut row = match entry.owner {
            Owner::KeyGroup(group) => vec![group.to_string(), text(&entry.key)],
            Owner::Subtask(subtask) => vec![subtask.to_string()],
        };
        if self.has_namespace {
            row.push(text(&entry.namespace));
        }
        if self.has_user_key {
            row.push(text(&entry.user_key));
        }
        if self.is_timer {
            row.push(entry.timer.map(|timer| domain_name(timer.domain).to_owned()).unwrap_or_default());
            row.push(entry.timer.map(|timer| Moment(timer.at_ms).to_string()).unwrap_or_default());
        }
        if self.is_timed {
            row.push(touched(&entry.stamps));
        }
        if !self.is_timer {
            row.push(value_text(&entry.value));
        }
        row
    }
}

/// When a value, or the elements of a list, were last touched.
fn touched(stamps: &[i64]) -> String {
    match (stamps.iter().min(), stamps.iter().max()) {
        (Some(first), Some(last)) if first != last => format!("{} to {}", Moment(*first), Moment(*last)),
        (Some(only), _) => Moment(*only).to_string(),
        _ => String::new(),
    }
}

impl Printer {
    fn new(state: &StateMeta, json: bool) -> Self {
        let columns = Columns::new(state);
        Printer { out: Output::new(), json, table: columns.table(), columns, has_head: false, printed: 0 }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.printed += 1;
        if self.json {
            return self.line(entry);
        }
        self.table.row(self.columns.row(entry));
        if self.has_head || self.table.len() >= ALIGNED_ENTRIES {
            self.rows()?;
        }
        Ok(())
    }

    fn rows(&mut self) -> Result<(), Failure> {
        if !self.has_head {
            self.has_head = true;
            self.table.print_head(&mut self.out)?;
        }
        Ok(self.table.print_rows(&mut self.out)?)
    }

    fn line(&mut self, entry: &Entry) -> Result<(), Failure> {
        let line = Line::of(entry, self.columns.kind);
        serde_json::to_writer(&mut self.out, &line)?;
        Ok(writeln!(self.out)?)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if !self.json && self.printed > 0 {
            self.rows()?;
        }
        Ok(self.out.flush()?)
    }
}
