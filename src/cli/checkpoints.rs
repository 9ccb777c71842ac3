//! `millpond checkpoints`: what lies below a directory, and what could be restored.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use millpond::checkpoint::inventory::{Condition, FlinkJob, FlinkSnapshot, Inventory, JobInventory, Snapshot};
use millpond::storage::ObjectPath;
use serde::Serialize;

use super::Outcome;
use super::base::Base;
use super::failure::Failure;
use super::output::Side::{Left, Right};
use super::output::{Bytes, Moment, Output, Table, counted};

/// The systems whose snapshots are listed.
const MILLPOND: &str = "millpond";
const FLINK: &str = "Apache Flink";

const AFTER_HELP: &str = "\
BASE is the directory that the checkpoints of jobs are stored in, or the directory of one job in it.

SIZE is what a snapshot names, ALONE the part that no other checkpoint of the job names: what would be free if this one \
alone were gone. Jobs and savepoints of Apache Flink are listed as well; the size of these includes their metadata, which may hold state. CONDITION says whether a job can be restored from it:
  restorable    everything that it names is there, with its length (`millpond verify` checks the contents)
  incomplete    it has no manifest: it is being taken, or never was completed
  given up      its job gave it up; there never will be a manifest
  retired       newer ones have taken its place, and it is about to be deleted
  damaged       its manifest is damaged
  missing ...   its manifest is fine, files that it names are missing or have another length
  unreadable    its manifest cannot be read now, or not by this build
A snapshot of Flink's may name files in other directories, which are counted and not looked for.

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
    system: &'static str,
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
    system: &'static str,
    name: String,
    checkpoint: Option<u64>,
    condition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    elsewhere: Vec<String>,
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
    let Inventory { jobs, savepoints, flink_jobs, flink_savepoints, foreign } = inventory;
    let jobs = jobs.iter().map(|job| job_report(base, job));
    let flink_jobs = flink_jobs.iter().map(|job| flink_job_report(base, job));
    let savepoints = savepoints.iter().map(|own| line(base, own, own.bytes()));
    let flink_savepoints = flink_savepoints.iter().map(|own| flink_line(base, own, own.bytes()));
    Report {
        path: base.path.display().to_string(),
        jobs: jobs.chain(flink_jobs).collect(),
        savepoints: savepoints.chain(flink_savepoints).collect(),
        foreign: *foreign,
    }
}

fn job_report(base: &Base, job: &JobInventory) -> JobReport {
    let (unreferenced, task_owned) = (job.unreferenced(), job.task_owned());
    let origin = job.record.as_ref().and_then(|record| record.origin.as_ref());
    JobReport {
        id: job.id.to_string(),
        system: MILLPOND,
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

fn flink_job_report(base: &Base, job: &FlinkJob) -> JobReport {
    let unreferenced = job.unreferenced();
    JobReport {
        id: job.id.to_string(),
        system: FLINK,
        epoch: None,
        record_failure: None,
        started_from: None,
        checkpoints: job.checkpoints.iter().map(|own| flink_line(base, own, job.exclusive_bytes(own))).collect(),
        leases: 0,
        objects: job.files.len(),
        bytes: job.files.values().sum(),
        unreferenced_objects: unreferenced.len(),
        unreferenced_bytes: unreferenced.values().sum(),
        task_owned_objects: 0,
        task_owned_bytes: 0,
    }
}

fn line(base: &Base, snapshot: &Snapshot, exclusive_bytes: u64) -> Line {
    let Snapshot { directory, id, condition, manifest, names, inside } = snapshot;
    let objects = if manifest.is_some() { names } else { inside };
    let manifest = manifest.as_ref();
    Line {
        system: MILLPOND,
        checkpoint: manifest.map(|manifest| manifest.checkpoint.0).or(id.map(|id| id.0)),
        created: manifest.map(|manifest| Moment(manifest.created_ms).to_string()),
        operators: manifest.iter().flat_map(|manifest| &manifest.operators).map(|own| own.label()).collect(),
        ..any_line(base, directory, condition, objects, exclusive_bytes)
    }
}

fn flink_line(base: &Base, snapshot: &FlinkSnapshot, exclusive_bytes: u64) -> Line {
    let FlinkSnapshot { directory, id, condition, metadata, names, elsewhere } = snapshot;
    let operators = metadata.iter().flat_map(|metadata| &metadata.operators);
    Line {
        system: FLINK,
        checkpoint: metadata.as_ref().map(|metadata| metadata.checkpoint_id).or(id.map(|id| id.0)),
        restorable: *condition == Condition::Restorable && elsewhere.is_empty(),
        operators: operators.map(|own| own.label()).collect(),
        elsewhere: elsewhere.iter().cloned().collect(),
        ..any_line(base, directory, condition, names, exclusive_bytes)
    }
}

/// What is the same for every system.
fn any_line(
    base: &Base,
    directory: &ObjectPath,
    condition: &Condition,
    objects: &BTreeMap<ObjectPath, u64>,
    exclusive_bytes: u64,
) -> Line {
    let full = |name: &ObjectPath| base.path.join(name.as_str()).display().to_string();
    let (condition, reason, missing) = match condition {
        Condition::Restorable => ("restorable", None, &[][..]),
        Condition::Incomplete => ("incomplete", None, &[][..]),
        Condition::Sealed => ("given up", None, &[][..]),
        Condition::Retired => ("retired", None, &[][..]),
        Condition::Damaged { reason } => ("damaged", Some(reason.clone()), &[][..]),
        Condition::Missing { objects } => ("missing files", None, objects.as_slice()),
        Condition::Unreadable { reason } => ("unreadable", Some(reason.clone()), &[][..]),
    };
    Line {
        path: full(directory),
        system: "",
        name: directory.file_name().to_owned(),
        checkpoint: None,
        condition,
        reason,
        missing: missing.iter().map(full).collect(),
        elsewhere: Vec::new(),
        restorable: condition == "restorable",
        created: None,
        operators: Vec::new(),
        objects: objects.len(),
        bytes: objects.values().sum(),
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
    let of_system = if job.system == MILLPOND { String::new() } else { format!(" of {}", job.system) };
    out.bold(&format!("job {}{of_system}", job.id))?;
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
        let hint = if job.system == MILLPOND { " (see millpond gc)" } else { "" };
        writeln!(out, "  {bytes} in {files} that no checkpoint names{hint}")?;
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
        if !line.elsewhere.is_empty() {
            let files = counted(line.elsewhere.len() as u64, "file", "files");
            condition.push_str(&format!(", with {files} elsewhere"));
        }
        row.extend([line.operators.len().to_string(), condition]);
        table.row(row);
    }
    table.print_head(out)?;
    table.print_rows(out)
}
