//! A directory of Parquet files, one for each state.

use std::collections::HashSet;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use millpond::Error;
use millpond::format::section::Owner;
use millpond::ids::OperatorId;
use millpond::snapshot::Entry;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use serde::Serialize;

use super::super::failure::Failure;
use super::super::open::{self, Location, NewFile, Opened};
use super::super::progress::Progress;
use super::super::states::{State, States};
use super::layout::{Layout, Note};
use super::table::{Fault, Table};

/// Bytes of the name of an operator or state in the name of its file.
const NAME_BYTES: usize = 60;

/// Entries between two moves of the progress bar.
const STEP: u64 = 1024;

/// Positions of the bar for each state.
const POSITIONS: u64 = 1 << 16;

/// What was written.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) directory: String,
    pub(super) files: Vec<Written>,
}

/// A file that was written.
#[derive(Debug, Serialize)]
pub(super) struct Written {
    pub(super) file: String,
    pub(super) operator: String,
    operator_id: String,
    pub(super) state: String,
    kind: &'static str,
    pub(super) rows: u64,
    row_groups: usize,
    pub(super) bytes: u64,
    /// Columns of JSON, and why they are.
    pub(super) json: Vec<JsonColumn>,
    opaque: Vec<OpaqueColumn>,
}

#[derive(Debug, Serialize)]
pub(super) struct JsonColumn {
    pub(super) column: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct OpaqueColumn {
    column: String,
    class: String,
}

/// Writes the states into a new directory.
pub(super) fn write(
    location: &Location,
    opened: &Opened,
    states: &States,
    directory: &Path,
) -> Result<Report, Failure> {
    open::new_directory(directory)?;
    let progress = Progress::new(true);
    let total = POSITIONS.saturating_mul(states.iter().count() as u64);
    let mut names = HashSet::new();
    let mut files = Vec::new();
    for state in states.iter() {
        let before = POSITIONS.saturating_mul(files.len() as u64);
        let mut export = Export {
            location,
            opened,
            state,
            directory,
            progress: &mut |entry: &Entry| {
                let done = match entry.owner {
                    Owner::KeyGroup(group) => POSITIONS * u64::from(group.0) / u64::from(state.max_parallelism.get()),
                    Owner::Subtask(_) => 0,
                };
                progress.set(before + done, total);
            },
        };
        files.push(export.write(&file_name(state, &mut names))?);
    }
    Ok(Report { directory: directory.display().to_string(), files })
}

/// The name of the file of a state: those of operator and state, without characters that mean something to a file system, to a
/// shell or to SQL. What these do not tell, a hash of both does.
fn file_name(state: &State, names: &mut HashSet<String>) -> String {
    let (operator, state_name) = (plain(&state.operator), plain(&state.name));
    let name = format!("{operator}.{state_name}.parquet");
    let is_faithful = operator == state.operator && state_name == state.name;
    // Some file systems do not tell upper from lower case.
    if is_faithful && names.insert(name.to_lowercase()) {
        return name;
    }
    let identity = OperatorId::from_uid(&format!("{}/{}/{}", state.id, state.kind, state.name)).to_string();
    let mut length = 8;
    loop {
        let name = format!("{operator}.{state_name}-{}.parquet", identity.get(..length).unwrap_or(&identity));
        if names.insert(name.to_lowercase()) || length >= identity.len() {
            return name;
        }
        length += 8;
    }
}

fn plain(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let name: String = name.chars().take(NAME_BYTES).map(keep).collect();
    // What begins with a dash looks like an option.
    match name.strip_prefix('-') {
        Some(rest) => format!("_{rest}"),
        None if name.is_empty() => "_".to_owned(),
        None => name,
    }
}

/// The export of one state.
struct Export<'a> {
    location: &'a Location,
    opened: &'a Opened,
    state: &'a State,
    directory: &'a Path,
    progress: &'a mut dyn FnMut(&Entry),
}

impl Export<'_> {
    fn write(&mut self, name: &str) -> Result<Written, Failure> {
        let mut layout = Layout::of(self.state, self.opened).map_err(|error| self.location.failure(&error))?;
        let (new, file) = NewFile::create(self.directory.join(name))?;
        if let Some((rows, row_groups)) = self.pass(&mut layout, &new, file)? {
            return self.written(name, &layout, rows, row_groups, new.finish()?);
        }
        // Some entries were not of the types that the snapshot says: now the layout admits all of them.
        drop(new);
        let (new, file) = NewFile::create(self.directory.join(name))?;
        match self.pass(&mut layout, &new, file)? {
            Some((rows, row_groups)) => self.written(name, &layout, rows, row_groups, new.finish()?),
            None => {
                let error = Error::internal("the entries are others each time they are read");
                Err(Failure::unreadable(&error.in_operator(&self.state.operator).in_state(&self.state.name)))
            }
        }
    }

    /// Reads all entries and writes them; the numbers of rows and row groups. If an entry does not fit the layout, the layout is
    /// changed until all entries do, and nothing is given.
    fn pass(
        &mut self,
        layout: &mut Layout,
        new: &NewFile,
        file: Box<dyn Write + Send>,
    ) -> Result<Option<(u64, usize)>, Failure> {
        let metadata = self.metadata(layout)?;
        let unwritten = |error: ParquetError| cannot_write(new.path(), error);
        let mut table = Some(Table::new(file, layout, metadata).map_err(unwritten)?);
        let mut failure = None;
        let mut count = 0u64;
        let reader = self.state.reader(self.opened).map_err(|error| self.location.failure(&error))?;
        let walked = reader.entries(None, &mut |entry| {
            if count.is_multiple_of(STEP) {
                (self.progress)(&entry);
            }
            count += 1;
            match table.as_mut().map_or(Err(Fault::Misfit), |table| table.row(layout.row(&entry))) {
                Ok(()) => {}
                Err(Fault::Misfit) => {
                    table = None;
                    layout.admit(&entry);
                }
                Err(Fault::Unwritten(error)) => {
                    failure = Some(unwritten(error));
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        walked.map_err(|error| self.location.failure(&error))?;
        table.map(Table::finish).transpose().map_err(unwritten)
    }

    /// What the file says about itself.
    fn metadata(&self, layout: &Layout) -> Result<Vec<KeyValue>, Failure> {
        let State { id, operator, name, kind, max_parallelism, key_groups_by, .. } = self.state;
        let source = match self.opened {
            Opened::Millpond(_) => "millpond".to_owned(),
            Opened::Flink(snapshot) => {
                format!("Apache Flink, metadata version {}", snapshot.metadata().version.number())
            }
        };
        let snapshot = self.location.path.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut pairs = vec![
            ("operator".to_owned(), operator.clone()),
            ("operator_id".to_owned(), id.to_string()),
            ("state".to_owned(), name.clone()),
            ("kind".to_owned(), kind.to_string()),
            ("source".to_owned(), source),
            ("snapshot".to_owned(), snapshot.unwrap_or_default()),
        ];
        if kind.is_keyed() {
            pairs.push(("max_parallelism".to_owned(), max_parallelism.to_string()));
            pairs.push(("key_groups".to_owned(), max_parallelism.all_groups().to_string()));
            pairs.push(("key_groups_by".to_owned(), key_groups_by.clone()));
        }
        pairs.extend(layout.serializers.iter().map(|(part, text)| (format!("serializer.{part}"), text.clone())));
        pairs.push(("json".to_owned(), serde_json::to_string(&json(layout))?));
        pairs.push(("opaque".to_owned(), serde_json::to_string(&opaque(layout))?));
        Ok(pairs.into_iter().map(|(name, value)| KeyValue::new(format!("millpond.{name}"), value)).collect())
    }

    fn written(
        &self,
        file: &str,
        layout: &Layout,
        rows: u64,
        row_groups: usize,
        bytes: u64,
    ) -> Result<Written, Failure> {
        Ok(Written {
            file: file.to_owned(),
            operator: self.state.operator.clone(),
            operator_id: self.state.id.to_string(),
            state: self.state.name.clone(),
            kind: self.state.kind.name(),
            rows,
            row_groups,
            bytes,
            json: json(layout),
            opaque: opaque(layout),
        })
    }
}

fn json(layout: &Layout) -> Vec<JsonColumn> {
    layout.json().into_iter().map(|Note { column, text }| JsonColumn { column, reason: text }).collect()
}

fn opaque(layout: &Layout) -> Vec<OpaqueColumn> {
    layout.opaque().into_iter().map(|Note { column, text }| OpaqueColumn { column, class: text }).collect()
}

fn cannot_write(path: &Path, error: ParquetError) -> Failure {
    let message = format!("cannot write {}", path.display());
    Failure::unreadable(&Error::unavailable(message).because(error))
}

#[cfg(test)]
mod tests {
    use millpond::format::record::StateKind;
    use millpond::key_group::MaxParallelism;

    use super::*;

    fn state(operator: &str, name: &str) -> State {
        State {
            id: OperatorId::from_uid(operator),
            operator: operator.to_owned(),
            name: name.to_owned(),
            queues: Vec::new(),
            kind: StateKind::Value,
            max_parallelism: MaxParallelism::new(128).unwrap(),
            key_groups_by: "xxh3".to_owned(),
        }
    }

    #[test]
    fn files_have_names_that_are_safe_everywhere_and_different() {
        let mut names = HashSet::new();
        let long = "x".repeat(4096);
        let states =
            ["profile", "Profile", "a/b", "a_b", "..", "../../etc", "", "-rf", ".hidden", "é\n\u{1b}[2J", "CON", &long];
        let mut seen = HashSet::new();
        for name in states {
            let file = file_name(&state("flights", name), &mut names);
            assert!(file.len() < 200 && file.ends_with(".parquet"), "{file}");
            assert!(file.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{file}");
            assert!(!file.starts_with(['.', '-']) && !file.contains(".."), "{file}");
            assert!(seen.insert(file.to_lowercase()), "{file}");
        }
        assert_eq!(file_name(&state("flights", "profile"), &mut HashSet::new()), "flights.profile.parquet");
        let other = file_name(&state("Source: flights -> map", "a/b"), &mut HashSet::new());
        assert!(other.starts_with("Source__flights_-__map.a_b-"), "{other}");
    }
}
