//! `millpond export`: all entries, for other programs.
//!
//! As lines of JSON they are what `show` prints. As Parquet, a state is a file: its columns (`layout`) have the types (`schema`)
//! that the snapshot says (`own`, `flink`), values are fitted to them (`fit`) and taken apart (`columns`), and row groups go
//! to the file as they fill (`table`, `tables`).

mod columns;
mod fit;
mod flink;
mod layout;
mod own;
mod schema;
mod table;
mod tables;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use millpond::snapshot::Entry;
use serde::Serialize;

use super::Outcome;
use super::failure::Failure;
use super::open::{Access, Location, NewFile, Opened};
use super::output::Side::{Left, Right};
use super::output::{Bytes, Count, Output, Table, counted};
use super::show::Line;
use super::states::{States, Wanted};
use tables::Report;

const AFTER_HELP: &str = "\
jsonl: one JSON object per entry and line, with the operator, the state and its kind, and what `millpond show --json` prints: \
key_group or subtask, key, namespace, user_key, timer, touched_ms, value. Bytes are hexadecimal; what only its own program \
understands is bytes with the name of its class. To standard output, or to the new file --output.

parquet: a file per state in the new directory --output, OPERATOR.STATE.parquet, compressed with Snappy, with a row per entry, \
also if there are none. Characters of names other than letters, digits, _ and - become _, and a hash follows where names would \
be alike or are cut. Columns: key_group and key, or subtask; namespace; user_key (maps); timer_domain and timer_at_ms (timers); \
touched_ms (time to live); value. Their types are those in the snapshot:
  numbers, booleans, text, bytes    the same; null where there is none
  list, array, set                  LIST
  map                               MAP; keys are not null
  struct, POJO                      a group of the fields; null where not stored
  tuple                             a group of f0, f1, ...
  row                               a group of row_kind (+I, -U, +U, -D) and the fields
  enum without content              text
  enum with content, Either         a group of variant (the stored name) and a field for each
  time window                       a group of start_ms and end_ms
  date, time, timestamp, instant    DATE, TIME, TIMESTAMP in a unit without loss
  decimal of SQL                    DECIMAL
  BigDecimal, BigInteger            text, since they have no bounds
  what only its program reads       BYTE_ARRAY, with the class in the metadata
  anything else                     text with the JSON that jsonl has
A part whose type is not known, nested too deep or without fields is such JSON, and so is one for the whole file as soon as one \
value is not what its type says; the list of files and the metadata of the file say which columns and why. Metadata named \
millpond.* also has operator, state, kind, max parallelism, key groups, serializers and source. Spark reads timestamps in \
nanoseconds with spark.sql.legacy.parquet.nanosAsLong=true.

Entries are written as they are read; memory does not grow with the state: a row group has at most 100,000 rows, and 32 MiB.

Damage: jsonl on standard output has what came before it. A file has its name only once it is whole (before that it ends with \
.partial, and it goes away); files of states before the damaged one stay, those behind it are not written.

Exit codes: 0 done, 1 damaged, 2 wrong arguments, 3 cannot be read or written.

Examples:
  millpond export savepoint-3f21c0-8a5d1e90b7c4 --to jsonl | zstd > state.jsonl.zst
  millpond export chk-12 --operator flights --state profile | jq -c '[.key, .value]'
  millpond export chk-12 --to parquet --output tables
  duckdb -c \"select key, value.flights from 'tables/flights.profile.parquet' limit 9\"";

/// Write the entries of a snapshot, or of a part of it, for other programs to read.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Directory of the snapshot, or its _metadata file.
    path: PathBuf,
    /// Only the states of this operator: its uid, or its id in 32 hexadecimal digits.
    #[arg(long, short, value_name = "UID")]
    operator: Option<String>,
    /// Only the state of this name.
    #[arg(long, short, value_name = "NAME")]
    state: Option<String>,
    /// The form.
    #[arg(long, value_enum, default_value_t = Form::Jsonl)]
    to: Form,
    /// Where to: for parquet a directory that does not exist or is empty, for jsonl a file that does not exist.
    #[arg(long, value_name = "PATH", required_if_eq("to", "parquet"))]
    output: Option<PathBuf>,
    /// Print what was written to --output as one JSON document; errors are JSON, too.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Jsonl,
    Parquet,
}

/// An entry with what it belongs to.
#[derive(Serialize)]
struct Record<'e> {
    operator: &'e str,
    state: &'e str,
    kind: &'static str,
    #[serde(flatten)]
    line: Line<'e>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let location = Location::find(&arguments.path)?;
    let opened = location.open_any(&arguments.access)?;
    let wanted = Wanted { operator: arguments.operator.as_deref(), state: arguments.state.as_deref() };
    let states = States::of(&opened, wanted).map_err(|error| location.failure(&error))?;
    if states.is_empty() {
        wanted.check_found()?;
    }
    if let Some(output) = &arguments.output {
        location.check_outside(output)?;
    }
    let source = Source { location: &location, opened: &opened, states: &states };
    match (arguments.to, &arguments.output) {
        (Form::Parquet, Some(directory)) => {
            let report = tables::write(&location, &opened, &states, directory)?;
            print(&report, arguments.json)?;
        }
        (Form::Jsonl, Some(path)) => {
            let (new, mut file) = NewFile::create(path.clone())?;
            let entries = source.lines(&mut file)?;
            let file = path.display().to_string();
            let lines = Lines { file, entries, bytes: new.finish()? };
            lines.print(arguments.json)?;
        }
        (_, None) => {
            source.lines(&mut Output::new())?;
        }
    }
    Ok(Outcome::Done)
}

/// What is exported.
struct Source<'a> {
    location: &'a Location,
    opened: &'a Opened,
    states: &'a States,
}

impl Source<'_> {
    /// Writes all entries; their number.
    fn lines(&self, out: &mut dyn Write) -> Result<u64, Failure> {
        let mut failure = None;
        let mut entries = 0;
        for state in self.states.iter() {
            let kind = state.kind;
            let mut write = |entry: &Entry| -> Result<(), Failure> {
                let (operator, name) = (state.operator.as_str(), state.name.as_str());
                let record = Record { operator, state: name, kind: kind.name(), line: Line::of(entry, kind) };
                serde_json::to_writer(&mut *out, &record)?;
                entries += 1;
                Ok(writeln!(out)?)
            };
            let reader = state.reader(self.opened).map_err(|error| self.location.failure(&error))?;
            let walked = reader.entries(None, &mut |entry| {
                Ok(match write(&entry) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                })
            });
            if let Some(failure) = failure {
                return Err(failure);
            }
            if let Err(error) = walked {
                out.flush()?;
                return Err(self.location.failure(&error));
            }
        }
        out.flush()?;
        Ok(entries)
    }
}

/// A file of lines that was written.
#[derive(Serialize)]
struct Lines {
    file: String,
    entries: u64,
    bytes: u64,
}

impl Lines {
    fn print(&self, json: bool) -> Result<(), Failure> {
        let mut out = Output::new();
        if json {
            return out.json(self);
        }
        let entries = counted(self.entries, "entry", "entries");
        writeln!(out, "{entries} in {}, {}", self.file, Bytes(self.bytes))?;
        Ok(out.flush()?)
    }
}

fn print(report: &Report, json: bool) -> Result<(), Failure> {
    let mut out = Output::new();
    if json {
        return out.json(report);
    }
    let total: u64 = report.files.iter().map(|file| file.bytes).sum();
    let files = counted(report.files.len() as u64, "file", "files");
    out.bold(&format!("{files} in {}, {}", report.directory, Bytes(total)))?;
    let columns = vec![("FILE", Left), ("STATE", Left), ("ROWS", Right), ("SIZE", Right), ("JSON COLUMNS", Left)];
    let mut table = Table::new("", columns);
    for file in &report.files {
        let json: Vec<&str> = file.json.iter().map(|column| column.column.as_str()).collect();
        let state = format!("{}/{}", file.operator.escape_debug(), file.state.escape_debug());
        let (rows, bytes) = (Count(file.rows).to_string(), Bytes(file.bytes).to_string());
        table.row(vec![file.file.clone(), state, rows, bytes, json.join(", ").escape_debug().to_string()]);
    }
    table.print_head(&mut out)?;
    table.print_rows(&mut out)?;
    Ok(out.flush()?)
}
