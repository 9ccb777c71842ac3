//! `millpond diff`: what is different between two snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use millpond::Error;
use millpond::format::record::StateKind;
use millpond::key_group::KeyGroupRange;
use millpond::snapshot::Entry;
use serde::Serialize;

use super::Outcome;
use super::failure::Failure;
use super::open::{Access, Location, Opened};
use super::output::Side::{Left, Right};
use super::output::{Count, Output, Table};
use super::show::Line;
use super::states::{State, States, Wanted};

const AFTER_HELP: &str = "\
Entries are compared as they are shown: by operator, state, key, namespace and user key, and for timers the moment. The \
format does not matter: a canonical snapshot and one of a backend's own with the same state have no difference. Snapshots \
of millpond and of Apache Flink can be compared with each other, where rows and tuples are shown differently.

Elements of operator lists have no keys: they are compared as a bag, whatever subtasks they are in.

Keyed state is read key group by key group, so that memory is that of one key group of one state. Both snapshots must \
have put keys into key groups alike.

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

/// The entries of a key group: values by key, both as JSON. Elements without keys count by value.
type Group = BTreeMap<String, (String, u64)>;

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let (old, new) = (Location::find(&arguments.old)?, Location::find(&arguments.new)?);
    let (opened_old, opened_new) = (old.open_any(&arguments.access)?, new.open_any(&arguments.access)?);
    let wanted = Wanted { operator: arguments.operator.as_deref(), state: arguments.state.as_deref() };
    let old_states = States::of(&opened_old, wanted).map_err(|error| old.failure(&error))?;
    let new_states = States::of(&opened_new, wanted).map_err(|error| new.failure(&error))?;
    let names: BTreeSet<_> =
        old_states.iter().chain(new_states.iter()).map(|state| (state.id, state.name.clone())).collect();
    let mut report = Report { equal: true, states: Vec::new() };
    for (id, name) in names {
        let sides = Sides {
            old: old_states.find(id, &name).map(|state| (state, &opened_old, &old)),
            new: new_states.find(id, &name).map(|state| (state, &opened_new, &new)),
        };
        let Some(difference) = sides.compare(arguments.entries)? else { continue };
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

impl Sides<'_> {
    fn compare(&self, shown: usize) -> Result<Option<Difference>, Failure> {
        let Some((state, ..)) = self.new.or(self.old) else { return Ok(None) };
        self.check(state)?;
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
        let all = state.max_parallelism.all_groups();
        if !state.kind.is_keyed() {
            difference.add(read(self.old, all)?, read(self.new, all)?, shown)?;
            return Ok(Some(difference));
        }
        for group in all.iter() {
            let range = KeyGroupRange::new(group, group).map_err(|error| Failure::misfit(&error))?;
            difference.add(read(self.old, range)?, read(self.new, range)?, shown)?;
        }
        Ok(Some(difference))
    }

    /// Checks that keys are in the same key groups in both.
    fn check(&self, state: &State) -> Result<(), Failure> {
        let (Some((old, ..)), Some((new, ..))) = (self.old, self.new) else { return Ok(()) };
        let alike = old.max_parallelism == new.max_parallelism && old.key_groups_by == new.key_groups_by;
        if alike || !state.kind.is_keyed() {
            return Ok(());
        }
        let message = format!(
            "keys are in {} key groups by {} in one snapshot and in {} by {} in the other; convert one of them",
            old.max_parallelism, old.key_groups_by, new.max_parallelism, new.key_groups_by
        );
        Err(Failure::unreadable(&Error::incompatible(message).in_operator(&state.operator).in_state(&state.name)))
    }
}

/// The entries of a side in some key groups.
fn read(side: Option<Side<'_>>, groups: KeyGroupRange) -> Result<Group, Failure> {
    let mut group = Group::new();
    let Some((state, opened, location)) = side else { return Ok(group) };
    let mut failure = None;
    let walked = state.entries(opened, Some(groups), &mut |entry| match add(&mut group, &entry, state.kind) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) => {
            failure = Some(error);
            Ok(ControlFlow::Break(()))
        }
    });
    match failure {
        Some(error) => Err(error.into()),
        None => walked.map(|()| group).map_err(|error| location.failure(&error)),
    }
}

fn add(group: &mut Group, entry: &Entry, kind: StateKind) -> serde_json::Result<()> {
    let value = serde_json::to_string(&(&entry.stamps, &entry.value))?;
    let key = match kind {
        StateKind::OperatorList | StateKind::OperatorUnion => value.clone(),
        _ => serde_json::to_string(&Line::key_of(entry))?,
    };
    let (_, count) = group.entry(key).or_insert((value, 0));
    *count += 1;
    Ok(())
}

impl Difference {
    fn add(&mut self, mut old: Group, new: Group, shown: usize) -> Result<(), Failure> {
        for (key, (value, count)) in new {
            match old.remove(&key) {
                None => {
                    self.added += count;
                    self.show(&key, None, Some(&value), shown)?;
                }
                Some((before, _)) if before != value => {
                    self.changed += 1;
                    self.show(&key, Some(&before), Some(&value), shown)?;
                }
                Some((_, before)) => {
                    self.same += before.min(count);
                    self.added += count.saturating_sub(before);
                    self.removed += before.saturating_sub(count);
                }
            }
        }
        for (key, (value, count)) in old {
            self.removed += count;
            self.show(&key, Some(&value), None, shown)?;
        }
        Ok(())
    }

    fn show(&mut self, key: &str, old: Option<&str>, new: Option<&str>, shown: usize) -> Result<(), Failure> {
        if self.entries.len() >= shown {
            return Ok(());
        }
        // Stamps are part of what is compared; the value is what is shown.
        let value =
            |text: &str| serde_json::from_str(text).map(|(_, value): (serde_json::Value, serde_json::Value)| value);
        let key = match serde_json::from_str(key)? {
            key @ serde_json::Value::Object(_) => key,
            _ => serde_json::json!({}),
        };
        let (old, new) = (old.map(value).transpose()?, new.map(value).transpose()?);
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
