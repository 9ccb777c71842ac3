//! `millpond savepoint`: what only the owner of a savepoint decides.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use millpond::checkpoint::inventory::dispose;
use serde::Serialize;

use super::Outcome;
use super::failure::Failure;
use super::open::Location;
use super::output::{Output, counted};

const AFTER_HELP: &str = "\
Deletes the manifest first, from which moment on there is no savepoint, then the files that it named. Nothing else in the \
directory is touched; the directory goes if that leaves it empty. A checkpoint is refused: it belongs to its job, and \
other checkpoints may use the same files.

Exit codes: 0 deleted, 1 the savepoint is damaged, 2 it is no savepoint, 3 it cannot be read.

Example:
  millpond savepoint dispose /data/savepoints/savepoint-3f21c0-8a5d1e90b7c4";

/// Delete a savepoint.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Delete a savepoint and the files that it names.
    #[command(after_help = AFTER_HELP)]
    Dispose(Dispose),
}

#[derive(Debug, Args)]
struct Dispose {
    /// Directory of the savepoint, or its _metadata file.
    path: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    path: String,
    deleted: Vec<String>,
}

impl Arguments {
    pub(super) fn is_json(&self) -> bool {
        let Action::Dispose(dispose) = &self.action;
        dispose.json
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let Action::Dispose(arguments) = &arguments.action;
    let location = Location::find(&arguments.path)?;
    location.check_own()?;
    let disposed = dispose(&location.storage, &location.directory).map_err(|error| location.failure(&error))?;
    let deleted = disposed.manifests.iter().chain(&disposed.objects);
    let report = Report {
        path: location.path.display().to_string(),
        deleted: deleted.map(|name| location.root.join(name.as_str()).display().to_string()).collect(),
    };
    let mut out = Output::new();
    if arguments.json {
        out.json(&report)?;
    } else {
        writeln!(out, "deleted {} of {}", counted(report.deleted.len() as u64, "file", "files"), report.path)?;
        out.flush()?;
    }
    Ok(Outcome::Done)
}
