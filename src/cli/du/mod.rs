//! `millpond du`: what takes up the space.

mod flink;
mod own;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Outcome;
use super::failure::Failure;
use super::open::{Access, Location, Opened};
use super::output::Side::{Left, Right};
use super::output::{Bytes, Count, Output, Table, counted, sentence};

/// Key groups that are listed unless all are asked for.
const FULLEST_LISTED: usize = 10;

const AFTER_HELP: &str = "\
STORED is what lies in files, after compression. Files that other checkpoints of the same directory name as well are SHARED; \
the others are ALONE: they would be free if this snapshot were gone. A file with state of several operators counts for each by \
its sections.

Of millpond's snapshots only manifests are read. Bytes of a state are those of its entries before compression, and `?` where \
nobody counted. Bytes of a key group are as stored, and are not known for RocksDB files, which are not divided by key group.

Snapshots of Apache Flink say nothing of the kind, so all their state is read and counted. Bytes of a state and of a key group \
are those of keys and values before compression, `?` where state cannot be read, with the reason. RocksDB's files are opened \
with --trusted. State that lies in the metadata itself is INLINE, and part of the metadata's bytes.

Exit codes: 0 done, 1 the snapshot is damaged, 2 wrong arguments, 3 the snapshot cannot be read.

Examples:
  millpond du /data/checkpoints/4a1f.../chk-12
  millpond du chk-12 --key-groups --json | jq '.operators[0].key_groups | max_by(.bytes)'
  millpond du chk-12 --trusted --root file:/old/checkpoints/4a1f=/data/4a1f";

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
    #[command(flatten)]
    access: Access,
}

#[derive(Serialize)]
struct Report {
    path: String,
    stored_bytes: u64,
    alone_bytes: u64,
    shared_bytes: u64,
    shared_with: Vec<String>,
    /// State in the metadata itself, of Flink's snapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_bytes: Option<u64>,
    manifest_bytes: u64,
    /// What tasks own beside the checkpoints, of jobs of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_owned_bytes: Option<u64>,
    operators: Vec<Operator>,
}

#[derive(Serialize)]
struct Operator {
    id: String,
    uid: Option<String>,
    stored_bytes: u64,
    alone_bytes: u64,
    shared_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_bytes: Option<u64>,
    /// Why entries could not be counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread: Vec<String>,
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
    let report = match location.open_any(&arguments.access)? {
        Opened::Millpond(snapshot) => own::report(&location, &snapshot),
        Opened::Flink(snapshot) => flink::report(&location, &snapshot),
    };
    let mut report = report.map_err(|error| location.failure(&error))?;
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

fn print(report: &Report, out: &mut Output) -> io::Result<()> {
    out.bold(&report.path)?;
    let (alone, shared) = (Bytes(report.alone_bytes), Bytes(report.shared_bytes));
    writeln!(out, "  stored    {} ({alone} alone, {shared} shared)", Bytes(report.stored_bytes))?;
    if !report.shared_with.is_empty() {
        writeln!(out, "  with      {}", report.shared_with.join(", "))?;
    }
    if let Some(inline) = report.inline_bytes {
        writeln!(out, "  inline    {}", Bytes(inline))?;
    }
    writeln!(out, "  manifest  {}", Bytes(report.manifest_bytes))?;
    if let Some(bytes @ 1..) = report.task_owned_bytes {
        writeln!(out, "  tasks own {} beside it, of no checkpoint", Bytes(bytes))?;
    }
    for operator in &report.operators {
        writeln!(out)?;
        print_operator(operator, out)?;
    }
    out.flush()
}

fn print_operator(operator: &Operator, out: &mut Output) -> io::Result<()> {
    out.bold(&format!("operator {}", operator.uid.as_deref().unwrap_or(&operator.id).escape_debug()))?;
    let (alone, shared) = (Bytes(operator.alone_bytes), Bytes(operator.shared_bytes));
    writeln!(out, "  stored    {} ({alone} alone, {shared} shared)", Bytes(operator.stored_bytes))?;
    if let Some(inline) = operator.inline_bytes {
        writeln!(out, "  inline    {}", Bytes(inline))?;
    }
    for reason in &operator.unread {
        writeln!(out, "  not read  {}", sentence(reason))?;
    }
    let mut table = Table::new("  ", vec![("STATE", Left), ("KIND", Left), ("ENTRIES", Right), ("BYTES", Right)]);
    for state in &operator.states {
        let unknown = || "?".to_owned();
        table.row(vec![
            state.name.escape_debug().to_string(),
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
