//! `millpond gc`: what nobody needs any more.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use millpond::Error;
use millpond::checkpoint::inventory::sweep::Sweep;
use millpond::clock::{Clock, SystemClock};
use millpond::random::SystemRandom;
use serde::Serialize;

use super::Outcome;
use super::base::Base;
use super::failure::Failure;
use super::output::{Bytes, Moment, Output, counted};

const AFTER_HELP: &str = "\
A running job cleans up after itself. This is for what is left when none runs any more: files of checkpoints that were never \
completed, checkpoints that were replaced and not deleted, temporary files and uploads of writers that died.

A job that did not end in order and stored anything within the given age may be running, and is left alone. Any other is taken \
over while it is cleaned up: should it run after all, it fails with \"another coordinator has taken over\", and goes on from \
its latest checkpoint when it is started again.

Deleted is only what has a name that millpond gives, what no checkpoint that counts names, and what is older than the given \
age. That age must be longer than any checkpoint may take (its timeout), because the files of a checkpoint that is being \
taken are named by nobody yet; and longer than the clocks of the machines may differ. Should it be too short all the same, a \
checkpoint fails to complete; a completed one is never touched, and neither is a savepoint. A job with a checkpoint whose \
manifest cannot be read is left alone: what that names is not known. So is what lies in taskowned/: only the tasks that wrote \
it know whether they need it. 0s says that nothing runs.

DURATION is a number and a unit: 90s, 30m, 12h, 7d.

Exit codes:
  0  done
  2  the arguments are wrong
  3  the directory cannot be read, or a job was left alone

Examples:
  millpond gc /data/checkpoints --dry-run
  millpond gc /data/checkpoints --older-than 1d
  millpond gc /data/checkpoints --older-than 1d --dry-run --json | jq .bytes";

/// Delete what no checkpoint names: abandoned files, open uploads, leftover temporary files.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Directory of the checkpoints.
    base: PathBuf,
    /// Only say what would be deleted; without --older-than, whatever its age.
    #[arg(long)]
    dry_run: bool,
    /// Delete what is older than this.
    #[arg(long, value_name = "DURATION", required_unless_present = "dry_run", value_parser = parse_duration)]
    older_than: Option<u64>,
    /// Print one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Report {
    path: String,
    deleted: bool,
    bytes: u64,
    manifests: Vec<Item>,
    objects: Vec<Item>,
    leftovers: Vec<Item>,
    too_young: usize,
    task_owned: usize,
    task_owned_bytes: u64,
    skipped_jobs: Vec<Skipped>,
}

#[derive(Serialize)]
struct Item {
    path: String,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<String>,
}

#[derive(Serialize)]
struct Skipped {
    job: String,
    reason: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let base = Base::open(&arguments.base)?;
    if base.job().is_some() {
        return Err(Failure::usage("name the directory with the jobs in it, not that of one job"));
    }
    let now_ms = SystemClock.now_ms();
    let mut sweep =
        Sweep::plan(&base.storage, now_ms, arguments.older_than.unwrap_or(0)).map_err(|error| base.failure(&error))?;
    if !arguments.dry_run {
        sweep = sweep.carry_out(&base.storage, &SystemRandom, now_ms).map_err(|error| base.failure(&error))?;
    }
    let report = report(&base, &sweep, !arguments.dry_run);
    let mut out = Output::new();
    if arguments.json {
        out.json(&report)?;
    } else {
        print(&report, &mut out)?;
    }
    Ok(if report.skipped_jobs.is_empty() { Outcome::Done } else { Outcome::Unread })
}

/// Milliseconds of a text like `12h`.
fn parse_duration(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no duration; it is like 90s, 30m, 12h or 7d");
    let at = text.find(|char: char| !char.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).ok_or_else(|| Error::invalid_input(wrong()).message().to_owned())
}

fn report(base: &Base, sweep: &Sweep, deleted: bool) -> Report {
    let item = |name: &str, bytes| Item { path: base.path.join(name).display().to_string(), bytes, written: None };
    let items = |list: &[(millpond::storage::ObjectPath, u64)]| -> Vec<Item> {
        list.iter().map(|(name, bytes)| item(name.as_str(), *bytes)).collect()
    };
    let leftovers = sweep.leftovers.iter().map(|leftover| Item {
        written: leftover.written_ms.map(|ms| Moment(ms).to_string()),
        ..item(&leftover.name, leftover.length)
    });
    let skipped = sweep.skipped.iter().map(|(job, reason)| Skipped { job: job.to_string(), reason: reason.clone() });
    Report {
        path: base.path.display().to_string(),
        deleted,
        bytes: sweep.bytes(),
        manifests: items(&sweep.manifests),
        objects: items(&sweep.objects),
        leftovers: leftovers.collect(),
        too_young: sweep.young,
        task_owned: sweep.task_owned,
        task_owned_bytes: sweep.task_owned_bytes,
        skipped_jobs: skipped.collect(),
    }
}

fn print(report: &Report, out: &mut Output) -> io::Result<()> {
    let (kinds, verb) = (
        [
            ("manifest that does not count", &report.manifests),
            ("file that no checkpoint names", &report.objects),
            ("leftover of a writer", &report.leftovers),
        ],
        if report.deleted { "deleted" } else { "would delete" },
    );
    for (kind, items) in kinds {
        for Item { path, bytes, .. } in items {
            writeln!(out, "{verb}  {path}  {}  {kind}", Bytes(*bytes))?;
        }
    }
    for Skipped { job, reason } in &report.skipped_jobs {
        writeln!(out, "left alone  job {job}: {reason}")?;
    }
    if report.task_owned > 0 {
        let (files, bytes) = (counted(report.task_owned as u64, "file", "files"), Bytes(report.task_owned_bytes));
        writeln!(out, "left alone  {bytes} in {files} that tasks own")?;
    }
    let count = report.manifests.len() + report.objects.len() + report.leftovers.len();
    let files = counted(count as u64, "file", "files");
    let young = match report.too_young {
        0 => String::new(),
        young => format!("; {} too young, or of unknown age", counted(young as u64, "file is", "files are")),
    };
    writeln!(out, "{verb} {files}, {}{young}", Bytes(report.bytes))?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("90s"), Ok(90_000));
        assert_eq!(parse_duration("7d"), Ok(7 * 86_400_000));
        for wrong in ["", "7", "d", "-1d", "1w", "1.5h", "99999999999999999999d", "99999999999999999d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
