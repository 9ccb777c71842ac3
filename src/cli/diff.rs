//! `millpond diff`: what is different between two snapshots.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use millpond::Error;
use millpond::format::record::StateKind;
use millpond::key_group::{KeyGroup, KeyGroupRange};
use millpond::snapshot::Entry;
use millpond::sort::{Place, Scratch, Sorter};
use serde::Serialize;

use super::Outcome;
use super::convert::bytes;
use super::failure::Failure;
use super::open::{Access, Location, Opened};
use super::output::Side::{Left, Right};
use super::output::{Count, Output, Table};
use super::show::Line;
use super::states::{Reader, State, States, Wanted};

const AFTER_HELP: &str = "\
Entries are compared as they are shown: by operator, state, key, namespace and user key, and for timers the moment. The \
format does not matter: a canonical snapshot and one of a backend's own with the same state have no difference. Snapshots \
of millpond and of Apache Flink can be compared with each other: Flink's two queues of timers are one state then, rows and tuples are \
shown differently, and what an import carries as state named flink/... has no counterpart.

Elements of operator lists have no keys: they are compared as a bag, whatever subtasks they are in. Broadcast state, of which every \
subtask has all, is compared as one.

Keyed state is read key group by key group where both snapshots put keys into key groups alike, otherwise state by state: \
another max parallelism or hash of the keys is no difference. Memory does not grow with the state: what does not fit into \
--memory is sorted in files in --scratch.

Exit codes: 0 no difference, 1 differences (or damage, which is an error), 2 wrong arguments, 3 cannot be read.

Examples:
  millpond diff chk-12 chk-13
  millpond diff savepoint-a savepoint-b --operator flights --entries 5 --json";

/// Compare two snapshots entry by entry: what was added, removed, changed, per state.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The older snapshot.
    old: PathBuf,
    /// The newer snapshot.
    new: PathBuf,
    /// Only the states of this operator: its uid, or its id in 32 hexadecimal digits.
    #[arg(long, short, value_name = "UID")]
    operator: Option<String>,
    /// Only the state of this name.
    #[arg(long, short, value_name = "NAME")]
    state: Option<String>,
    /// Print so many different entries of each state.
    #[arg(long, value_name = "N", default_value_t = 0)]
    entries: usize,
    /// Memory for sorting, for example 67108864 or 64M.
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = bytes)]
    memory: usize,
    /// Directory for temporary files; that of the system without.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
    /// Print one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    equal: bool,
    states: Vec<Difference>,
}

/// What is different in one state.
#[derive(Debug, Serialize)]
struct Difference {
    operator: String,
    state: String,
    kind: &'static str,
    added: u64,
    removed: u64,
    changed: u64,
    same: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entries: Vec<Different>,
}

/// An entry that is different.
#[derive(Debug, Serialize)]
struct Different {
    #[serde(flatten)]
    key: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<serde_json::Value>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let (old, new) = (Location::find(&arguments.old)?, Location::find(&arguments.new)?);
    let (opened_old, opened_new) = (old.open_any(&arguments.access)?, new.open_any(&arguments.access)?);
    let wanted = Wanted { operator: arguments.operator.as_deref(), state: arguments.state.as_deref() };
    let mut old_states = States::all(&opened_old).map_err(|error| old.failure(&error))?;
    let mut new_states = States::all(&opened_new).map_err(|error| new.failure(&error))?;
    for states in [&mut old_states, &mut new_states] {
        if old.origin != new.origin {
            states.join_queues();
        }
        states.keep(wanted);
    }
    if old_states.is_empty() && new_states.is_empty() {
        wanted.check_found()?;
    }
    let scratch = Scratch::later_in(arguments.scratch.clone().unwrap_or_else(std::env::temp_dir));
    let mut sorter = Sorter::new(Some(&scratch), arguments.memory);
    let mut report = Report { equal: true, states: Vec::new() };
    for state in old_states.union(&new_states) {
        let sides = Sides {
            old: old_states.counterpart(state).map(|state| (state, &opened_old, &old)),
            new: new_states.counterpart(state).map(|state| (state, &opened_new, &new)),
        };
        let Some(difference) = sides.compare(&mut sorter, arguments.entries)? else { continue };
        report.equal &= difference.added == 0 && difference.removed == 0 && difference.changed == 0;
        report.states.push(difference);
    }
    let mut out = Output::new();
    if arguments.json {
        out.json(&report)?;
    } else {
        print(&report, &mut out)?;
    }
    Ok(if report.equal { Outcome::Done } else { Outcome::Different })
}

/// A state in both snapshots, or in one of them.
struct Sides<'a> {
    old: Option<Side<'a>>,
    new: Option<Side<'a>>,
}

type Side<'a> = (&'a State, &'a Opened, &'a Location);

/// The readers of a state on both sides, as far as it is there.
struct Readers<'a> {
    old: Option<(&'a State, Reader<'a>, &'a Location)>,
    new: Option<(&'a State, Reader<'a>, &'a Location)>,
}

impl Sides<'_> {
    fn compare(&self, sorter: &mut Sorter<'_>, shown: usize) -> Result<Option<Difference>, Failure> {
        let Some((state, ..)) = self.new.or(self.old) else { return Ok(None) };
        let mut difference = Difference {
            operator: state.operator.clone(),
            state: state.name.clone(),
            kind: state.kind.name(),
            added: 0,
            removed: 0,
            changed: 0,
            same: 0,
            entries: Vec::new(),
        };
        let readers = Readers { old: open(self.old)?, new: open(self.new)? };
        if !state.kind.is_keyed() || !self.are_grouped_alike() {
            readers.compare_in(None, sorter, &mut difference, shown)?;
            return Ok(Some(difference));
        }
        for group in state.max_parallelism.all_groups().iter() {
            let range = KeyGroupRange::new(group, group).map_err(|error| Failure::misfit(&error))?;
            readers.compare_in(Some(range), sorter, &mut difference, shown)?;
        }
        Ok(Some(difference))
    }

    /// Whether keys are in the same key groups in both.
    fn are_grouped_alike(&self) -> bool {
        let (Some((old, ..)), Some((new, ..))) = (self.old, self.new) else { return true };
        old.max_parallelism == new.max_parallelism && old.key_groups_by == new.key_groups_by
    }
}

fn open(side: Option<Side<'_>>) -> Result<Option<(&State, Reader<'_>, &Location)>, Failure> {
    let Some((state, opened, location)) = side else { return Ok(None) };
    let reader = state.reader(opened).map_err(|error| location.failure(&error))?;
    Ok(Some((state, reader, location)))
}

impl Readers<'_> {
    /// Compares the entries in some key groups, or in all.
    fn compare_in(
        &self,
        groups: Option<KeyGroupRange>,
        sorter: &mut Sorter<'_>,
        difference: &mut Difference,
        shown: usize,
    ) -> Result<(), Failure> {
        let is_broadcast = difference.kind == StateKind::Broadcast.name();
        read(self.old.as_ref(), OLD, groups, sorter)?;
        read(self.new.as_ref(), NEW, groups, sorter)?;
        let mut pending = Pending::default();
        let drained = sorter.drain(&mut |_, key, value| {
            let Some((text, [side, ..])) = key.split_last_chunk::<SUFFIX_BYTES>() else { return Ok(()) };
            if text != pending.key.as_slice() {
                difference.add(std::mem::take(&mut pending), shown)?;
                pending.key.extend_from_slice(text);
            }
            let of_side = if *side == OLD { &mut pending.old } else { &mut pending.new };
            match of_side {
                // Every subtask has all of a broadcast state; more of them is no difference.
                Some((held, _)) if is_broadcast && held == value => {}
                Some((_, count)) => *count += 1,
                None => *of_side = Some((value.to_vec(), 1)),
            }
            Ok(())
        });
        drained.and_then(|()| difference.add(pending, shown)).map_err(|error| Failure::unreadable(&error))
    }
}

/// Marks entries of the older snapshot.
const OLD: u8 = 0;

/// Marks entries of the newer snapshot.
const NEW: u8 = 1;

/// Behind the text of a key: which side it is from, and a number that tells elements apart which are alike.
const SUFFIX_BYTES: usize = 1 + 8;

/// What the two snapshots have under one key: values as JSON, and how many there are, which is one where there are keys.
#[derive(Default)]
struct Pending {
    key: Vec<u8>,
    old: Option<(Vec<u8>, u64)>,
    new: Option<(Vec<u8>, u64)>,
}

/// Gives the entries of a snapshot in some key groups to `sorter`. The JSON of keys holds no byte that is zero, so those that
/// begin alike stay in order.
fn read(
    side: Option<&(&State, Reader<'_>, &Location)>,
    mark: u8,
    groups: Option<KeyGroupRange>,
    sorter: &mut Sorter<'_>,
) -> Result<(), Failure> {
    let Some((state, reader, location)) = side else { return Ok(()) };
    let (mut number, place) = (0u64, Place { group: KeyGroup(0), state: 0 });
    let walked = reader.entries(groups, &mut |entry| {
        let (mut key, value) = texts(&entry, state.kind).map_err(no_json)?;
        key.push(mark);
        key.extend_from_slice(&number.to_be_bytes());
        number += 1;
        sorter.push(place, &key, &value)?;
        Ok(ControlFlow::Continue(()))
    });
    walked.map_err(|error| location.failure(&error))
}

/// Key and value of an entry as JSON; an element without a key is its own.
fn texts(entry: &Entry, kind: StateKind) -> serde_json::Result<(Vec<u8>, Vec<u8>)> {
    let value = serde_json::to_vec(&(&entry.stamps, &entry.value))?;
    let mut key = match kind {
        StateKind::OperatorList | StateKind::OperatorUnion => value.clone(),
        _ => serde_json::to_vec(&Line::key_of(entry))?,
    };
    key.push(0);
    Ok((key, value))
}

fn no_json(error: serde_json::Error) -> Error {
    Error::internal("an entry cannot be shown as JSON").because(error)
}

impl Difference {
    /// Counts what is under one key.
    fn add(&mut self, pending: Pending, shown: usize) -> millpond::Result<()> {
        let Pending { key, old, new } = pending;
        let (old, new) = (old.as_ref(), new.as_ref());
        let both = (old.map(|(value, _)| value.as_slice()), new.map(|(value, _)| value.as_slice()));
        match (old, new) {
            (None, None) => Ok(()),
            (None, Some((_, count))) => {
                self.added += count;
                self.show(&key, both, shown)
            }
            (Some((_, count)), None) => {
                self.removed += count;
                self.show(&key, both, shown)
            }
            (Some((before, _)), Some((after, _))) if before != after => {
                self.changed += 1;
                self.show(&key, both, shown)
            }
            (Some((_, before)), Some((_, after))) => {
                self.same += before.min(after);
                self.added += after.saturating_sub(*before);
                self.removed += before.saturating_sub(*after);
                Ok(())
            }
        }
    }

    fn show(&mut self, key: &[u8], (old, new): (Option<&[u8]>, Option<&[u8]>), shown: usize) -> millpond::Result<()> {
        if self.entries.len() >= shown {
            return Ok(());
        }
        // Stamps are part of what is compared; the value is what is shown.
        let value =
            |json: &[u8]| serde_json::from_slice(json).map(|(_, value): (serde_json::Value, serde_json::Value)| value);
        let key = match serde_json::from_slice(key.strip_suffix(&[0]).unwrap_or(key)).map_err(no_json)? {
            key @ serde_json::Value::Object(_) => key,
            _ => serde_json::json!({}),
        };
        let old = old.map(value).transpose().map_err(no_json)?;
        let new = new.map(value).transpose().map_err(no_json)?;
        self.entries.push(Different { key, old, new });
        Ok(())
    }
}

fn print(report: &Report, out: &mut Output) -> Result<(), Failure> {
    out.bold(if report.equal { "no difference" } else { "different" })?;
    let columns = vec![
        ("OPERATOR", Left),
        ("STATE", Left),
        ("KIND", Left),
        ("ADDED", Right),
        ("REMOVED", Right),
        ("CHANGED", Right),
        ("SAME", Right),
    ];
    let mut table = Table::new("", columns);
    for Difference { operator, state, kind, added, removed, changed, same, .. } in &report.states {
        let numbers = [added, removed, changed, same].map(|number| Count(*number).to_string());
        let mut row = vec![operator.escape_debug().to_string(), state.escape_debug().to_string(), (*kind).to_owned()];
        row.extend(numbers);
        table.row(row);
    }
    table.print_head(out)?;
    table.print_rows(out)?;
    for difference in &report.states {
        for Different { key, old, new } in &difference.entries {
            let shown =
                |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            writeln!(out, "{} {key}: {} -> {}", difference.state.escape_debug(), shown(old), shown(new))?;
        }
    }
    Ok(out.flush()?)
}
