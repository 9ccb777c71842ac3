//! `millpond export`: all entries, for other programs.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use millpond::snapshot::Entry;
use serde::Serialize;

use super::Outcome;
use super::failure::Failure;
use super::open::{Access, Location};
use super::output::Output;
use super::show::Line;
use super::states::{States, Wanted};

const AFTER_HELP: &str = "\
jsonl: one JSON object per entry and line, with the operator, the state and its kind, and what `millpond show --json` prints: \
key_group or subtask, key, namespace, user_key, timer, touched_ms, value. Bytes are hexadecimal; what only its own program \
understands is bytes with the name of its class.

Entries are written as they are read; memory does not grow with the state.

Exit codes: 0 done, 1 damaged (what came before the damage was written), 2 wrong arguments, 3 cannot be read.

Examples:
  millpond export savepoint-3f21c0-8a5d1e90b7c4 --to jsonl | zstd > state.jsonl.zst
  millpond export chk-12 --operator flights --state profile | jq -c '[.key, .value]'";

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
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Jsonl,
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
    let Form::Jsonl = arguments.to;
    let location = Location::find(&arguments.path)?;
    let opened = location.open_any(&arguments.access)?;
    let wanted = Wanted { operator: arguments.operator.as_deref(), state: arguments.state.as_deref() };
    let states = States::of(&opened, wanted).map_err(|error| location.failure(&error))?;
    if states.is_empty() && (wanted.operator.is_some() || wanted.state.is_some()) {
        return Err(Failure::usage("the snapshot has no such operator or state; see millpond inspect"));
    }
    let mut out = Output::new();
    let mut failure = None;
    for state in states.iter() {
        let kind = state.kind;
        let mut write = |entry: &Entry| -> Result<(), Failure> {
            let record = Record {
                operator: &state.operator,
                state: &state.name,
                kind: kind.name(),
                line: Line::of(entry, kind),
            };
            serde_json::to_writer(&mut out, &record)?;
            Ok(writeln!(out)?)
        };
        let walked = state.entries(&opened, None, &mut |entry| {
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
            return Err(location.failure(&error));
        }
    }
    out.flush()?;
    Ok(Outcome::Done)
}
