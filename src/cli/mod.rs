//! Arguments, dispatch and exit codes.

mod base;
mod checkpoints;
mod convert;
mod diff;
mod du;
mod export;
mod failure;
mod gc;
mod inspect;
mod key;
mod open;
mod output;
mod progress;
mod relocate;
mod savepoint;
mod show;
mod states;
mod verify;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use failure::Failure;

const AFTER_HELP: &str = "\
PATH is the directory of a snapshot (chk-12, savepoint-3f21c0-8a5d1e90b7c4) or its _metadata file; the snapshot is \
millpond's or Apache Flink's, which commands find out for themselves.
BASE is the directory that the checkpoints of jobs are stored in.

Examples:
  millpond inspect /data/checkpoints/4a1f.../chk-12
  millpond show savepoint-3f21c0-8a5d1e90b7c4 --operator flights --state profile --key N14228
  millpond verify savepoint-3f21c0-8a5d1e90b7c4 && echo intact
  millpond convert savepoint-3f21c0-8a5d1e90b7c4 on-rocksdb --to native-rocksdb
  millpond checkpoints /data/checkpoints

Exit codes:
  0  done; for verify: everything was checked and is intact
  1  the snapshot is damaged, or a file of it is missing; for diff: there are differences
  2  the arguments are wrong, or the snapshot has no such operator or state
  3  the snapshot cannot be opened or read, or not by this build

Data goes to standard output. Errors go to standard error, in one line that begins with `millpond:`, or with --json as a \
JSON object. Progress is shown on a terminal only.";

/// Looks inside the state snapshots of a stream processor, checks and converts them, moves them and cleans up after them.
#[derive(Debug, Parser)]
#[command(name = "millpond", version, after_help = AFTER_HELP, max_term_width = 120)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(inspect::Arguments),
    Show(show::Arguments),
    Verify(verify::Arguments),
    Convert(Box<convert::Arguments>),
    Du(du::Arguments),
    Diff(diff::Arguments),
    Export(export::Arguments),
    Checkpoints(checkpoints::Arguments),
    Relocate(relocate::Arguments),
    Savepoint(savepoint::Arguments),
    Gc(gc::Arguments),
}

/// What a command that did its work came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Damaged,
    Different,
    Unread,
}

impl Outcome {
    fn exit_code(self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::Damaged | Outcome::Different => 1,
            Outcome::Unread => 3,
        }
    }
}

/// Runs the command that the arguments of the process name.
pub(crate) fn run() -> ExitCode {
    let raw: Vec<OsString> = std::env::args_os().collect();
    let outcome = match Arguments::try_parse_from(&raw) {
        Ok(arguments) => {
            let json = arguments.command.is_json();
            arguments.command.run().map_err(|failure| (failure, json))
        }
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // Nobody is left to be told when the help cannot be printed.
            let _ = error.print();
            Ok(Outcome::Done)
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            return ExitCode::from(2);
        }
        Err(error) => Err((usage(&error), raw.iter().any(|argument| argument == "--json"))),
    };
    match outcome {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err((failure, json)) => {
            failure.print(&mut io::stderr().lock(), json);
            ExitCode::from(failure.exit_code())
        }
    }
}

impl Command {
    fn is_json(&self) -> bool {
        match self {
            Command::Inspect(arguments) => arguments.json,
            Command::Show(arguments) => arguments.json,
            Command::Verify(arguments) => arguments.json,
            Command::Convert(arguments) => arguments.json,
            Command::Du(arguments) => arguments.json,
            Command::Diff(arguments) => arguments.json,
            Command::Export(arguments) => arguments.json,
            Command::Checkpoints(arguments) => arguments.json,
            Command::Relocate(arguments) => arguments.json,
            Command::Savepoint(arguments) => arguments.is_json(),
            Command::Gc(arguments) => arguments.json,
        }
    }

    fn run(&self) -> Result<Outcome, Failure> {
        match self {
            Command::Inspect(arguments) => inspect::run(arguments),
            Command::Show(arguments) => show::run(arguments),
            Command::Verify(arguments) => verify::run(arguments),
            Command::Convert(arguments) => convert::run(arguments),
            Command::Du(arguments) => du::run(arguments),
            Command::Diff(arguments) => diff::run(arguments),
            Command::Export(arguments) => export::run(arguments),
            Command::Checkpoints(arguments) => checkpoints::run(arguments),
            Command::Relocate(arguments) => relocate::run(arguments),
            Command::Savepoint(arguments) => savepoint::run(arguments),
            Command::Gc(arguments) => gc::run(arguments),
        }
    }
}

/// A mistake in the arguments, in one line.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    let line = words.join(" ");
    Failure::usage(format!("{}; see millpond help", line.strip_prefix("error: ").unwrap_or(&line)))
}
