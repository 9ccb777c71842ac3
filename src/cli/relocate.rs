//! `millpond relocate`: a snapshot somewhere else, standing alone.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use millpond::Error;
use millpond::checkpoint::inventory::dispose;
use millpond::format::manifest::SnapshotKind;
use millpond::random::SystemRandom;
use millpond::snapshot::{SnapshotTarget, relocate};
use millpond::storage::{LocalStorage, ObjectPath, Storage};
use serde::Serialize;

use super::Outcome;
use super::failure::Failure;
use super::open::Location;
use super::output::{Bytes, Output, counted};
use super::progress::Progress;

const AFTER_HELP: &str = "\
The copy has everything in its own directory, also what the source shares with other checkpoints, and can be moved, packed \
and restored from anywhere. It is a savepoint: no job will delete it. Every byte is compared with the digest in the manifest \
as it is read. The manifest of the copy is written last: without it there is no copy.

A source of which files are missing is refused with their list, before anything is written.

With --move the source is deleted once the copy is durable. Only a savepoint can be moved; a checkpoint belongs to its job.

Exit codes: 0 done, 1 files are missing or damaged, 2 wrong arguments, 3 a snapshot cannot be read or written.

Examples:
  millpond relocate /data/checkpoints/4a1f.../chk-12 /backup/before-upgrade
  millpond relocate --move savepoint-3f21c0-8a5d1e90b7c4 /archive/savepoint-3f21c0-8a5d1e90b7c4";

/// Copy or move a snapshot so that it stands alone.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Directory of the snapshot, or its _metadata file.
    source: PathBuf,
    /// Directory of the copy, which must not be a snapshot yet; directories above it are created.
    destination: PathBuf,
    /// Delete the source afterwards.
    #[arg(long = "move")]
    moves: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Report {
    source: String,
    destination: String,
    moved: bool,
    objects: usize,
    bytes: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let location = Location::find(&arguments.source)?;
    let source = location.open()?;
    if arguments.moves && source.manifest().kind != SnapshotKind::Savepoint {
        return Err(Failure::usage("only a savepoint can be moved; copy the checkpoint, it belongs to its job"));
    }
    location.check_outside(&arguments.destination)?;
    let (storage, directory, root) = destination(&arguments.destination)?;
    let failed = |error: &Error| Failure::reading(error, &root);
    if !storage.list(Some(&directory)).map_err(|error| failed(&error))?.is_empty() {
        let message = format!("{} has files in it already; choose another directory", arguments.destination.display());
        return Err(Failure::usage(message));
    }
    let target = SnapshotTarget::new(Arc::clone(&storage), directory, Arc::new(SystemRandom));
    let progress = Progress::new(true);
    let copied = relocate(&source, &target, &mut |done, total| {
        progress.set(done, total);
        ControlFlow::Continue(())
    });
    drop(progress);
    let manifest = copied.map_err(|error| location.failure(&error))?;
    if arguments.moves {
        dispose(&location.storage, &location.directory).map_err(|error| location.failure(&error))?;
    }
    let report = Report {
        source: location.path.display().to_string(),
        destination: arguments.destination.display().to_string(),
        moved: arguments.moves,
        objects: manifest.objects().count(),
        bytes: manifest.objects().map(|object| object.length).sum(),
    };
    let mut out = Output::new();
    if arguments.json {
        out.json(&report)?;
    } else {
        let verb = if report.moved { "moved" } else { "copied" };
        let files = counted(report.objects as u64, "file", "files");
        writeln!(out, "{verb} {} in {files} to {}", Bytes(report.bytes), report.destination)?;
        out.flush()?;
    }
    Ok(Outcome::Done)
}

/// Storage above the directory that is to be created, and its name there.
fn destination(path: &Path) -> Result<(Arc<dyn Storage>, ObjectPath, PathBuf), Failure> {
    let name = path.file_name().and_then(|name| name.to_str()).map(ObjectPath::parse);
    let Some(Ok(directory)) = name else {
        let message = format!(
            "{} cannot be the directory of a snapshot: its last part may have letters, digits and -_.=+ only",
            path.display()
        );
        return Err(Failure::usage(message));
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let storage = LocalStorage::create(&parent).map_err(|error| Failure::unreadable(&error))?;
    Ok((Arc::new(storage), directory, parent))
}
