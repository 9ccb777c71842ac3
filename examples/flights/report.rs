//! What the job reports, and whether two reports say the same.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use millpond::{Error, Result};
use serde_json::Value;

/// Writes lines in the order that `SEMANTICS.md` defines.
pub(crate) fn write(path: &Path, lines: &[Value]) -> Result<()> {
    let mut lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    lines.sort_unstable();
    let unwritable = |error| Error::unavailable("the report cannot be written").in_file(path.display()).because(error);
    let mut file = BufWriter::new(File::create(path).map_err(unwritable)?);
    for line in lines {
        writeln!(file, "{line}").map_err(unwritable)?;
    }
    file.flush().map_err(unwritable)
}

/// How two reports compare.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Aircraft in the expected report.
    pub(crate) aircraft: usize,
    /// Windows in the expected report.
    pub(crate) windows: usize,
    /// Numbers and names compared, absent ones included.
    pub(crate) aggregates: usize,
    /// Flights that the windows of the expected report count.
    pub(crate) flights: u64,
    /// One sentence for each line that differs.
    pub(crate) differences: Vec<String>,
}

/// Whose report a line belongs to and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Aircraft(String),
    Window(String, i64),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Aircraft(tailnum) => write!(f, "aircraft {tailnum}"),
            Subject::Window(origin, start_ms) => write!(f, "window {origin} {start_ms}"),
        }
    }
}

/// Compares every line of two reports.
pub(crate) fn compare(job: &Path, oracle: &Path) -> Result<Comparison> {
    let mut comparison = Comparison::default();
    let mut found = read(job, &mut comparison.differences)?;
    for (subject, expected) in read(oracle, &mut comparison.differences)? {
        let subject_fields = match subject {
            Subject::Aircraft(_) => {
                comparison.aircraft += 1;
                1
            }
            Subject::Window(..) => {
                comparison.windows += 1;
                comparison.flights += expected.get("flights").and_then(Value::as_u64).unwrap_or_default();
                2
            }
        };
        comparison.aggregates += leaves(&expected).saturating_sub(subject_fields);
        match found.remove(&subject) {
            None => comparison.differences.push(format!("{subject}: missing, expected {expected}")),
            Some(found) if found != expected => {
                comparison.differences.push(format!("{subject}: is {found}, expected {expected}"));
            }
            Some(_) => {}
        }
    }
    comparison.differences.extend(found.into_keys().map(|subject| format!("{subject}: not expected")));
    Ok(comparison)
}

fn read(path: &Path, differences: &mut Vec<String>) -> Result<BTreeMap<Subject, Value>> {
    let unreadable = |error| Error::unavailable("the report cannot be read").in_file(path.display()).because(error);
    let mut report = BTreeMap::new();
    for line in BufReader::new(File::open(path).map_err(unreadable)?).lines() {
        let line = line.map_err(unreadable)?;
        let parsed = serde_json::from_str(&line).ok().and_then(|value| Some((subject(&value)?, value)));
        let Some((subject, value)) = parsed else {
            return Err(Error::invalid_input(format!("{line:?} is no line of a report")).in_file(path.display()));
        };
        if report.contains_key(&subject) {
            differences.push(format!("{subject}: twice in {}", path.display()));
        }
        report.insert(subject, value);
    }
    Ok(report)
}

fn subject(line: &Value) -> Option<Subject> {
    if let Some(tailnum) = line.get("aircraft") {
        return Some(Subject::Aircraft(tailnum.as_str()?.to_owned()));
    }
    Some(Subject::Window(line.get("window")?.as_str()?.to_owned(), line.get("start")?.as_i64()?))
}

/// Number of values that are neither objects nor arrays; an empty object or array counts as one.
fn leaves(value: &Value) -> usize {
    match value {
        Value::Object(fields) if !fields.is_empty() => fields.values().map(leaves).sum(),
        Value::Array(elements) if !elements.is_empty() => elements.iter().map(leaves).sum(),
        _ => 1,
    }
}
