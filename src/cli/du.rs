//! `millpond du`: what takes up the space.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use millpond::format::manifest::{Manifest, ObjectScope, OperatorSnapshot, OperatorStateContent, OperatorStateHandle};
use millpond::snapshot::{SnapshotReader, object_path};
use millpond::storage::layout::{MANIFEST_NAME, is_object_name};
use millpond::storage::{ObjectPath, Storage};
use serde::Serialize;

use super::Outcome;
use super::failure::Failure;
use super::open::Location;
use super::output::Side::{Left, Right};
use super::output::{Bytes, Count, Output, Table, counted};

/// Key groups that are listed unless all are asked for.
const FULLEST_LISTED: usize = 10;

const AFTER_HELP: &str = "\
Only manifests are read. STORED is what lies in files, after compression. Files that other checkpoints of the same directory \
name as well are SHARED; the others are ALONE: they would be free if this snapshot were gone. A file with state of several \
operators counts for each by its sections.

Bytes of a state are those of its entries before compression, and `?` where nobody counted. Bytes of a key group are as \
stored, and are not known for RocksDB files, which are not divided by key group.

Exit codes: 0 done, 1 the manifest is damaged, 2 wrong arguments, 3 the snapshot cannot be read.

Examples:
  millpond du /data/checkpoints/4a1f.../chk-12
  millpond du chk-12 --key-groups --json | jq '.operators[0].key_groups | max_by(.bytes)'";

/// Show what takes up the space: bytes per operator, state and key group, alone and shared.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Directory of the snapshot, or its _metadata file.
    path: PathBuf,
    /// List every key group, not only the fullest.
    #[arg(long)]
    key_groups: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Report {
    path: String,
    stored_bytes: u64,
    alone_bytes: u64,
    shared_bytes: u64,
    shared_with: Vec<String>,
    manifest_bytes: u64,
    task_owned_bytes: u64,
    operators: Vec<Operator>,
}

#[derive(Serialize)]
struct Operator {
    id: String,
    uid: Option<String>,
    stored_bytes: u64,
    alone_bytes: u64,
    shared_bytes: u64,
    states: Vec<State>,
    key_groups: Vec<Group>,
}

#[derive(Serialize)]
struct State {
    name: String,
    kind: &'static str,
    entries: Option<u64>,
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct Group {
    key_group: u16,
    entries: u64,
    bytes: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let location = Location::find(&arguments.path)?;
    let snapshot = location.open()?;
    let siblings = siblings(&location, &snapshot);
    let mut report = report(&location, &snapshot, &siblings).map_err(|error| location.failure(&error))?;
    let mut out = Output::new();
    if !arguments.key_groups {
        report.operators.iter_mut().for_each(|operator| operator.key_groups.truncate(FULLEST_LISTED));
    }
    if arguments.json {
        out.json(&report)?;
    } else {
        print(&report, &mut out)?;
    }
    Ok(Outcome::Done)
}

/// What other snapshots beside this one name, by their directory. One that cannot be read is as if it were not there.
fn siblings(location: &Location, snapshot: &SnapshotReader) -> BTreeMap<String, BTreeSet<ObjectPath>> {
    let mut siblings = BTreeMap::new();
    // A directory under another name cannot be listed from above; then nothing beside it is known.
    for info in location.storage.list(None).unwrap_or_default() {
        let Some(directory) = info.path.parent().filter(|_| info.path.file_name() == MANIFEST_NAME) else { continue };
        if directory.parent().is_some() || directory == *snapshot.directory() {
            continue;
        }
        let read = location.storage.open(&info.path).and_then(|bytes| Manifest::decode(bytes.as_slice()));
        let Ok(manifest) = read else { continue };
        let names = manifest.objects().filter_map(|object| object_path(&directory, object.scope, &object.name).ok());
        siblings.insert(directory.to_string(), names.collect());
    }
    siblings
}

/// Bytes of what the tasks of the job own beside its checkpoints; none where that cannot be listed.
fn task_owned_bytes(location: &Location, snapshot: &SnapshotReader) -> u64 {
    let beside = object_path(snapshot.directory(), ObjectScope::TaskOwned, "any").ok().and_then(|path| path.parent());
    let listed = beside.map(|directory| location.storage.list(Some(&directory)).unwrap_or_default());
    listed.iter().flatten().filter(|info| is_object_name(info.path.file_name())).map(|info| info.length).sum()
}

fn report(
    location: &Location,
    snapshot: &SnapshotReader,
    siblings: &BTreeMap<String, BTreeSet<ObjectPath>>,
) -> millpond::Result<Report> {
    let manifest = snapshot.manifest();
    let mut names: BTreeMap<ObjectPath, u64> = BTreeMap::new();
    for object in manifest.objects() {
        names.insert(snapshot.object_path(object)?, object.length);
    }
    let is_shared = |name: &ObjectPath| siblings.values().any(|other| other.contains(name));
    let shared_bytes = names.iter().filter(|(name, _)| is_shared(name)).map(|(_, length)| *length).sum();
    let stored_bytes: u64 = names.values().sum();
    let with = siblings.iter().filter(|(_, other)| names.keys().any(|name| other.contains(name)));
    let path = snapshot.directory().join(MANIFEST_NAME)?;
    let operators = manifest.operators.iter().map(|operator| of_operator(snapshot, operator, &is_shared));
    Ok(Report {
        path: location.path.display().to_string(),
        stored_bytes,
        alone_bytes: stored_bytes - shared_bytes,
        shared_bytes,
        shared_with: with.map(|(directory, _)| directory.clone()).collect(),
        manifest_bytes: location.storage.length(&path)?.unwrap_or(0),
        task_owned_bytes: task_owned_bytes(location, snapshot),
        operators: operators.collect::<millpond::Result<_>>()?,
    })
}

fn of_operator(
    snapshot: &SnapshotReader,
    operator: &OperatorSnapshot,
    is_shared: &dyn Fn(&ObjectPath) -> bool,
) -> millpond::Result<Operator> {
    let (mut alone_bytes, mut shared_bytes) = (0, 0);
    let mut groups: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut is_counted = true;
    for subtask in &operator.subtasks {
        for object in subtask.objects() {
            let part = if is_shared(&snapshot.object_path(object)?) { &mut shared_bytes } else { &mut alone_bytes };
            let sections = subtask.keyed.iter().flat_map(|keyed| {
                let here = keyed.sections.iter();
                here.filter(|section| keyed.objects.get(section.object as usize).is_some_and(|own| own == object))
            });
            // The files of a database and operator state have no sections.
            let bytes: u64 = sections.map(|section| section.length).sum();
            *part += if bytes == 0 { object.length } else { bytes };
        }
        for section in subtask.keyed.iter().flat_map(|keyed| &keyed.sections) {
            let group = groups.entry(section.group.0).or_default();
            *group = (group.0 + section.entries, group.1 + section.length);
        }
        let keyed = subtask.keyed.iter().map(|keyed| (&keyed.states, !keyed.objects.is_empty()));
        let own = subtask.operator.iter().map(|own| (&own.states, has_bytes(own)));
        for (states, has_state) in keyed.chain(own) {
            is_counted &= !states.is_empty() || !has_state;
            for total in states {
                let count = counts.entry(total.name.to_string()).or_default();
                *count = (count.0 + total.entries, count.1 + total.bytes);
            }
        }
    }
    let states = operator.states.iter().map(|state| {
        let known = counts.get(&state.name).copied().or(is_counted.then_some((0, 0))).filter(|_| is_counted);
        let (entries, bytes) = known.unzip();
        State { name: state.name.clone(), kind: state.kind.name(), entries, bytes }
    });
    let mut key_groups: Vec<Group> =
        groups.into_iter().map(|(key_group, (entries, bytes))| Group { key_group, entries, bytes }).collect();
    key_groups.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.key_group.cmp(&b.key_group)));
    Ok(Operator {
        id: operator.id.to_string(),
        uid: operator.uid.clone(),
        stored_bytes: alone_bytes + shared_bytes,
        alone_bytes,
        shared_bytes,
        states: states.collect(),
        key_groups,
    })
}

fn has_bytes(handle: &OperatorStateHandle) -> bool {
    match &handle.content {
        OperatorStateContent::Inline(bytes) => !bytes.is_empty(),
        OperatorStateContent::Object(_) => true,
    }
}

fn print(report: &Report, out: &mut Output) -> io::Result<()> {
    out.bold(&report.path)?;
    let (alone, shared) = (Bytes(report.alone_bytes), Bytes(report.shared_bytes));
    writeln!(out, "  stored    {} ({alone} alone, {shared} shared)", Bytes(report.stored_bytes))?;
    if !report.shared_with.is_empty() {
        writeln!(out, "  with      {}", report.shared_with.join(", "))?;
    }
    writeln!(out, "  manifest  {}", Bytes(report.manifest_bytes))?;
    if report.task_owned_bytes > 0 {
        writeln!(out, "  tasks own {} beside it, of no checkpoint", Bytes(report.task_owned_bytes))?;
    }
    for operator in &report.operators {
        writeln!(out)?;
        print_operator(operator, out)?;
    }
    out.flush()
}

fn print_operator(operator: &Operator, out: &mut Output) -> io::Result<()> {
    out.bold(&format!("operator {}", operator.uid.as_deref().unwrap_or(&operator.id)))?;
    let (alone, shared) = (Bytes(operator.alone_bytes), Bytes(operator.shared_bytes));
    writeln!(out, "  stored    {} ({alone} alone, {shared} shared)", Bytes(operator.stored_bytes))?;
    let mut table = Table::new("  ", vec![("STATE", Left), ("KIND", Left), ("ENTRIES", Right), ("BYTES", Right)]);
    for state in &operator.states {
        let unknown = || "?".to_owned();
        table.row(vec![
            state.name.clone(),
            state.kind.to_owned(),
            state.entries.map_or_else(unknown, |entries| Count(entries).to_string()),
            state.bytes.map_or_else(unknown, |bytes| Bytes(bytes).to_string()),
        ]);
    }
    table.print_head(out)?;
    table.print_rows(out)?;
    if operator.key_groups.is_empty() {
        return Ok(());
    }
    let mut table = Table::new("  ", vec![("KEY GROUP", Right), ("ENTRIES", Right), ("STORED", Right)]);
    for group in &operator.key_groups {
        let (entries, bytes) = (Count(group.entries).to_string(), Bytes(group.bytes).to_string());
        table.row(vec![group.key_group.to_string(), entries, bytes]);
    }
    let listed = counted(operator.key_groups.len() as u64, "key group", "key groups");
    writeln!(out, "  the fullest {listed}")?;
    table.print_head(out)?;
    table.print_rows(out)
}
