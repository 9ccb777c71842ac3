//! Why a command could not do its work.

use std::io::{self, Write};
use std::path::Path;

use millpond::{Error, ErrorKind, Place};
use serde::Serialize;

use super::output::sentence;

/// What ends a command: a message, or nothing to say because nobody listens any more.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something to report.
    Reported(Box<Report>),
    /// The reader of the output went away, which is its right.
    ClosedPipe,
}

/// A message about a failure.
#[derive(Debug)]
pub(super) struct Report {
    exit_code: u8,
    kind: ErrorKind,
    message: String,
    place: Place,
    causes: Vec<String>,
}

#[derive(Serialize)]
struct Json<'r> {
    error: JsonError<'r>,
}

#[derive(Serialize)]
struct JsonError<'r> {
    kind: &'static str,
    message: &'r str,
    #[serde(flatten)]
    place: JsonPlace<'r>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    causes: &'r [String],
    exit_code: u8,
}

/// The known parts of a place.
#[derive(Debug, Serialize)]
pub(super) struct JsonPlace<'p> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_group: Option<u16>,
}

impl<'p> JsonPlace<'p> {
    pub(super) fn new(place: &'p Place) -> Self {
        JsonPlace {
            file: place.file.as_deref(),
            offset: place.offset,
            format: place.format,
            field: place.field,
            operator: place.operator.as_deref(),
            state: place.state.as_deref(),
            key_group: place.key_group,
        }
    }
}

impl Failure {
    /// The arguments are wrong.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(2, &Error::invalid_input(message))
    }

    /// The arguments do not fit the snapshot, or name what it does not have.
    pub(super) fn misfit(error: &Error) -> Self {
        let mut failure = Self::new(2, error);
        if let Failure::Reported(report) = &mut failure {
            report.place.file = None;
        }
        failure
    }

    /// The snapshot cannot be opened or read.
    pub(super) fn unreadable(error: &Error) -> Self {
        Self::new(3, error)
    }

    /// Whatever went wrong while the snapshot was read; `root` is the directory that names of files are relative to.
    pub(super) fn reading(error: &Error, root: &Path) -> Self {
        let code = match error.kind() {
            ErrorKind::Corrupt | ErrorKind::NotFound => 1,
            ErrorKind::InvalidInput => 2,
            _ => 3,
        };
        let mut failure = Self::new(code, error);
        if let Failure::Reported(report) = &mut failure {
            report.place.file = report.place.file.take().map(|file| root.join(file).display().to_string());
        }
        failure
    }

    fn new(exit_code: u8, error: &Error) -> Self {
        let mut causes = Vec::new();
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            causes.push(cause.to_string().replace('\n', " "));
            next = cause.source();
        }
        let (kind, message, place) = (error.kind(), error.message().to_owned(), error.place().clone());
        Failure::Reported(Box::new(Report { exit_code, kind, message, place, causes }))
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Failure::Reported(report) => report.exit_code,
            Failure::ClosedPipe => 0,
        }
    }

    /// Prints one line. What cannot be printed is lost: there is nowhere else to say it.
    pub(super) fn print(&self, out: &mut dyn Write, json: bool) {
        let Failure::Reported(report) = self else { return };
        let Report { exit_code, kind, message, place, causes } = &**report;
        if json {
            let error =
                JsonError { kind: kind.as_str(), message, place: JsonPlace::new(place), causes, exit_code: *exit_code };
            if let Ok(text) = serde_json::to_string(&Json { error }) {
                let _ = writeln!(out, "{text}");
            }
            return;
        }
        let mut line = format!("millpond: {message}");
        if *place != Place::default() {
            line.push_str(&format!(" ({place})"));
        }
        for cause in causes {
            line.push_str(&format!(": {cause}"));
        }
        let _ = writeln!(out, "{}", sentence(&line));
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::ClosedPipe;
        }
        Self::new(3, &Error::unavailable("cannot write the output").because(error))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        match error.io_error_kind() {
            Some(_) => io::Error::from(error).into(),
            None => Self::new(3, &Error::internal("cannot express a value in JSON").because(error)),
        }
    }
}
