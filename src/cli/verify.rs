//! `millpond verify`: is the snapshot intact, and if not, where is it damaged.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use millpond::snapshot::verify::{Finding, Severity, Verification, VerifyEvent, verify_opened};
use millpond::{Place, flink};
use serde::Serialize;

use super::Outcome;
use super::failure::{Failure, JsonPlace};
use super::open::{Access, Location, Origin};
use super::output::{Bytes, Output, counted};
use super::progress::Progress;

const AFTER_HELP: &str = "\
Checked are: the digest of the manifest; of every file that it names the presence, length and BLAKE3 digest; of every \
section the checksum, of every block the CRC; that every entry is in order, decodes by its declared type, and belongs \
to the key group it is stored in; and that entries and bytes add up to what the manifest says. Of a RocksDB \
database the files are checked, and its rows only with --trusted; without, they count as not checked.

Of a snapshot of Apache Flink, which has no checksums, everything is decoded: metadata, handles and their offsets, every \
key group to its last byte, every key, value and timer, operator state and records in flight; keys must hash to the key \
group they are stored in, as far as their hash code can be computed.

Damage is reported with file, offset, operator, subtask, state and key group, as far as it can be told, and the check \
goes on with the next section.

Exit codes: 0 intact, 1 damaged, 2 wrong arguments, 3 cannot be opened, or a part could not be checked.

Examples:
  millpond verify /data/checkpoints/4a1f.../chk-12
  millpond verify savepoint-3f21c0-8a5d1e90b7c4 --json | jq '.findings[].file' | sort -u";

/// Check every byte and every entry of a snapshot, and say where it is damaged.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Directory of the snapshot, or its _metadata file.
    path: PathBuf,
    #[command(flatten)]
    access: Access,
    /// Print one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Report {
    path: String,
    intact: bool,
    damaged: u64,
    unread: u64,
    findings: Vec<FindingLine>,
    objects: u64,
    bytes: u64,
    sections: u64,
    incomplete_sections: u64,
    databases: u64,
    incomplete_databases: u64,
    blocks: u64,
    entries: u64,
    seconds: f64,
}

/// A finding as JSON.
#[derive(Serialize)]
struct FindingLine {
    severity: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtask: Option<u32>,
    #[serde(flatten)]
    place: serde_json::Value,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let location = Location::find(&arguments.path)?;
    let mut out = Output::new();
    let mut findings = Vec::new();
    let mut failure = None;
    let started = start();
    let progress = Progress::new(true);
    let mut observe = |event: VerifyEvent<'_>| {
        let outcome = match event {
            VerifyEvent::Progress { done_bytes, total_bytes } => {
                progress.set(done_bytes, total_bytes);
                Ok(())
            }
            VerifyEvent::Found(finding) if arguments.json => {
                json_finding(finding, &location.root).map(|finding| findings.push(finding))
            }
            VerifyEvent::Found(finding) => {
                progress.suspend(|| print_finding(finding, &location.root, &mut out)).map_err(Failure::from)
            }
        };
        match outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let result = match location.origin {
        Origin::Millpond => verify_opened(location.open_checked(&arguments.access), &mut observe),
        Origin::Flink => flink::verify(&location.open_flink(&arguments.access)?, &mut observe),
    };
    drop(progress);
    if let Some(failure) = failure {
        return Err(failure);
    }
    let tally = result.map_err(|error| location.failure(&error))?;
    let taken = started.elapsed();
    if arguments.json {
        out.json(&report(&location.path, tally, findings, taken))?;
    } else {
        print_summary(&mut out, tally, taken)?;
    }
    Ok(match tally {
        Verification { damaged: 1.., .. } => Outcome::Damaged,
        Verification { unread: 1.., .. } => Outcome::Unread,
        _ => Outcome::Done,
    })
}

#[expect(clippy::disallowed_methods, reason = "how long it took is shown to a person, nothing depends on it")]
fn start() -> Instant {
    Instant::now()
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Damaged => "damaged",
        Severity::Unread => "unread",
    }
}

/// The message of a finding with its causes.
fn message(finding: &Finding) -> String {
    let mut message = finding.error.message().to_owned();
    let mut next = std::error::Error::source(&finding.error);
    while let Some(cause) = next {
        message.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    message
}

/// The place of a finding, with the file's full name.
fn full_place(finding: &Finding, root: &Path) -> Place {
    let mut place = finding.error.place().clone();
    place.file = place.file.map(|file| root.join(file).display().to_string());
    place
}

fn print_finding(finding: &Finding, root: &Path, out: &mut Output) -> io::Result<()> {
    let Place { file, offset, format, field, operator, state, key_group } = full_place(finding, root);
    let mut head = severity_name(finding.severity).to_owned();
    if let Some(file) = file {
        head.push_str(&format!("  {file}"));
    }
    if let Some(offset) = offset {
        head.push_str(&format!(" at offset {offset}"));
    }
    out.bold(&head)?;
    let parts = [
        operator.map(|operator| format!("operator {operator}")),
        finding.subtask.map(|subtask| format!("subtask {subtask}")),
        state.map(|state| format!("state {state}")),
        key_group.map(|group| format!("key group {group}")),
        format.map(|format| format!("format {format}")),
        field.map(|field| format!("field {field}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        writeln!(out, "  {}", parts.join(", "))?;
    }
    writeln!(out, "  {}", message(finding))?;
    out.flush()
}

fn json_finding(finding: &Finding, root: &Path) -> Result<FindingLine, Failure> {
    let place = full_place(finding, root);
    Ok(FindingLine {
        severity: severity_name(finding.severity),
        message: message(finding),
        subtask: finding.subtask.map(|subtask| subtask.0),
        place: serde_json::to_value(JsonPlace::new(&place))?,
    })
}

fn report(path: &Path, tally: Verification, findings: Vec<FindingLine>, taken: Duration) -> Report {
    let Verification { objects, bytes, sections, incomplete_sections, blocks, entries, damaged, unread, .. } = tally;
    let Verification { databases, incomplete_databases, .. } = tally;
    Report {
        path: path.display().to_string(),
        intact: tally.is_intact(),
        damaged,
        unread,
        findings,
        objects,
        bytes,
        sections,
        incomplete_sections,
        databases,
        incomplete_databases,
        blocks,
        entries,
        seconds: taken.as_secs_f64(),
    }
}

fn duration_text(taken: Duration) -> String {
    match taken.as_millis() {
        0..1000 => format!("{} ms", taken.as_millis().max(1)),
        _ => format!("{:.1} s", taken.as_secs_f64()),
    }
}

fn print_summary(out: &mut Output, tally: Verification, taken: Duration) -> io::Result<()> {
    let verdict = match tally {
        Verification { damaged: 0, unread: 0, .. } => "intact".to_owned(),
        Verification { damaged: 0, unread, .. } => {
            format!("{} could not be checked", counted(unread, "part", "parts"))
        }
        Verification { damaged, unread: 0, .. } => format!("damaged in {}", counted(damaged, "place", "places")),
        Verification { damaged, unread, .. } => {
            let places = counted(damaged, "place", "places");
            format!("damaged in {places}, {} could not be checked", counted(unread, "part", "parts"))
        }
    };
    out.bold(&verdict)?;
    let rate = tally.bytes as f64 / taken.as_secs_f64().max(1e-9);
    writeln!(
        out,
        "checked {} in {}: {}, {}; {}, {}/s",
        Bytes(tally.bytes),
        counted(tally.objects, "file", "files"),
        counted(tally.entries, "entry", "entries"),
        counted(tally.sections, "section", "sections"),
        duration_text(taken),
        Bytes(rate as u64),
    )?;
    if tally.incomplete_sections > 0 {
        writeln!(out, "not checked to the end: {}", counted(tally.incomplete_sections, "section", "sections"))?;
    }
    if tally.incomplete_databases > 0 {
        writeln!(out, "not checked to the end: {}", counted(tally.incomplete_databases, "database", "databases"))?;
    }
    out.flush()
}
