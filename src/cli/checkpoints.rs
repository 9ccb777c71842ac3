//! `millpond checkpoints`: what lies below a directory, and what could be restored.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use millpond::checkpoint::inventory::{Condition, Inventory, JobInventory, Snapshot};
use serde::Serialize;

use super::Outcome;
use super::base::Base;
use super::failure::Failure;
use super::output::Side::{Left, Right};
use super::output::{Bytes, Moment, Output, Table, counted};

const AFTER_HELP: &str = "\
BASE is the directory that the checkpoints of jobs are stored in, or the directory of one job in it.

SIZE is what a snapshot names, ALONE the part that no other checkpoint of the job names: what would be free if this one \
alone were gone. CONDITION says whether a job can be restored from it:
  restorable    everything that it names is there, with its length (`millpond verify` checks the contents)
  incomplete    it has no manifest: it is being taken, or never was completed
  given up      its job gave it up; there never will be a manifest
  retired       newer ones have taken its place, and it is about to be deleted
  damaged       its manifest is damaged
  missing ...   its manifest is fine, files that it names are missing or have another length
  unreadable    its manifest cannot be read now, or not by this build

Exit codes: 0 done, 2 wrong arguments, 3 the directory cannot be read.

Examples:
  millpond checkpoints /data/checkpoints
  millpond checkpoints /data/checkpoints --json | jq '.jobs[].checkpoints[] | select(.condition != \"restorable\")'";

/// List jobs, checkpoints and savepoints: sizes, what they share, and which could be restored.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Directory of the checkpoints.
    base: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Report {
    path: String,
    jobs: Vec<JobReport>,
    savepoints: Vec<Line>,
    foreign: usize,
}

#[derive(Serialize)]
struct JobReport {
    id: String,
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_failure: Option<String>,
    started_from: Option<String>,
    checkpoints: Vec<Line>,
    leases: usize,
    objects: usize,
    bytes: u64,
    unreferenced_objects: usize,
    unreferenced_bytes: u64,
    task_owned_objects: usize,
    task_owned_bytes: u64,
}

#[derive(Serialize)]
struct Line {
    path: String,
    name: String,
    checkpoint: Option<u64>,
    condition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    restorable: bool,
    created: Option<String>,
    operators: Vec<String>,
    objects: usize,
    bytes: u64,
    exclusive_bytes: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let base = Base::open(&arguments.base)?;
    let report = report(&base, &base.inventory()?);
    let mut out = Output::new();
    if arguments.json {
        out.json(&report)?;
    } else {
        print(&report, &mut out)?;
    }
    Ok(Outcome::Done)
}

fn report(base: &Base, inventory: &Inventory) -> Report {
    Report {
        path: base.path.display().to_string(),
        jobs: inventory.jobs.iter().map(|job| job_report(base, job)).collect(),
        savepoints: inventory.savepoints.iter().map(|own| line(base, own, own.bytes())).collect(),
        foreign: inventory.foreign,
    }
}

fn job_report(base: &Base, job: &JobInventory) -> JobReport {
    let (unreferenced, task_owned) = (job.unreferenced(), job.task_owned());
    let origin = job.record.as_ref().and_then(|record| record.origin.as_ref());
    JobReport {
        id: job.id.to_string(),
        epoch: job.record.as_ref().map(|record| record.epoch),
        record_failure: job.record_failure.clone(),
        started_from: origin.map(|origin| match origin.place.as_str() {
            "" => origin.directory.clone(),
            place => format!("{place}/{}", origin.directory),
        }),
        checkpoints: job.checkpoints.iter().map(|own| line(base, own, job.exclusive_bytes(own))).collect(),
        leases: job.leases.len(),
        objects: job.objects.len(),
        bytes: job.objects.values().sum(),
        unreferenced_objects: unreferenced.len(),
        unreferenced_bytes: unreferenced.values().sum(),
        task_owned_objects: task_owned.len(),
        task_owned_bytes: task_owned.values().sum(),
    }
}

fn line(base: &Base, snapshot: &Snapshot, exclusive_bytes: u64) -> Line {
    let (condition, reason, missing) = match &snapshot.condition {
        Condition::Restorable => ("restorable", None, &[][..]),
        Condition::Incomplete => ("incomplete", None, &[][..]),
        Condition::Sealed => ("given up", None, &[][..]),
        Condition::Retired => ("retired", None, &[][..]),
        Condition::Damaged { reason } => ("damaged", Some(reason.clone()), &[][..]),
        Condition::Missing { objects } => ("missing files", None, objects.as_slice()),
        Condition::Unreadable { reason } => ("unreadable", Some(reason.clone()), &[][..]),
    };
    let manifest = snapshot.manifest.as_ref();
    Line {
        path: base.path.join(snapshot.directory.as_str()).display().to_string(),
        name: snapshot.directory.file_name().to_owned(),
        checkpoint: manifest.map(|manifest| manifest.checkpoint.0).or(snapshot.id.map(|id| id.0)),
        condition,
        reason,
        missing: missing.iter().map(|name| base.path.join(name.as_str()).display().to_string()).collect(),
        restorable: snapshot.condition == Condition::Restorable,
        created: manifest.map(|manifest| Moment(manifest.created_ms).to_string()),
        operators: manifest.iter().flat_map(|manifest| &manifest.operators).map(|own| own.label()).collect(),
        objects: if manifest.is_some() { snapshot.names.len() } else { snapshot.inside.len() },
        bytes: if manifest.is_some() { snapshot.bytes() } else { snapshot.inside.values().sum() },
        exclusive_bytes,
    }
}

fn print(report: &Report, out: &mut Output) -> io::Result<()> {
    if report.jobs.is_empty() && report.savepoints.is_empty() {
        writeln!(out, "no checkpoints or savepoints in {}", report.path)?;
    }
    for (index, job) in report.jobs.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        print_job(job, out)?;
    }
    if !report.savepoints.is_empty() {
        if !report.jobs.is_empty() {
            writeln!(out)?;
        }
        out.bold("savepoints")?;
        print_lines(&report.savepoints, false, out)?;
    }
    if report.foreign > 0 {
        writeln!(out, "\n{} with other names", counted(report.foreign as u64, "file", "files"))?;
    }
    out.flush()
}

fn print_job(job: &JobReport, out: &mut Output) -> io::Result<()> {
    out.bold(&format!("job {}", job.id))?;
    let files = counted(job.objects as u64, "file", "files");
    let mut head = format!("{} in {files}", Bytes(job.bytes));
    if let Some(epoch) = job.epoch {
        head.push_str(&format!(", coordinator {epoch}"));
    }
    if let Some(origin) = &job.started_from {
        head.push_str(&format!(", started from {origin}"));
    }
    writeln!(out, "  {head}")?;
    if let Some(failure) = &job.record_failure {
        writeln!(out, "  which checkpoints count is not known: {failure}")?;
    }
    print_lines(&job.checkpoints, true, out)?;
    if job.unreferenced_objects > 0 {
        let files = counted(job.unreferenced_objects as u64, "file", "files");
        let bytes = Bytes(job.unreferenced_bytes);
        writeln!(out, "  {bytes} in {files} that no checkpoint names (see millpond gc)")?;
    }
    if job.task_owned_objects > 0 {
        let files = counted(job.task_owned_objects as u64, "file", "files");
        writeln!(out, "  {} in {files} that tasks own", Bytes(job.task_owned_bytes))?;
    }
    if job.leases > 0 {
        writeln!(out, "  {}", counted(job.leases as u64, "reader has a lease", "readers have leases"))?;
    }
    Ok(())
}

fn print_lines(lines: &[Line], with_alone: bool, out: &mut Output) -> io::Result<()> {
    let mut columns = vec![("NAME", Left), ("CREATED", Left), ("SIZE", Right)];
    if with_alone {
        columns.push(("ALONE", Right));
    }
    columns.extend([("OPERATORS", Right), ("CONDITION", Left)]);
    let mut table = Table::new("  ", columns);
    for line in lines {
        let mut row = vec![
            line.name.clone(),
            line.created.clone().unwrap_or_else(|| "-".to_owned()),
            Bytes(line.bytes).to_string(),
        ];
        if with_alone {
            row.push(Bytes(line.exclusive_bytes).to_string());
        }
        let mut condition = match line.missing.len() {
            0 => line.condition.to_owned(),
            count => format!("missing {}", counted(count as u64, "file", "files")),
        };
        if let Some(reason) = &line.reason {
            condition.push_str(&format!(": {reason}"));
        }
        row.extend([line.operators.len().to_string(), condition]);
        table.row(row);
    }
    table.print_head(out)?;
    table.print_rows(out)
}
