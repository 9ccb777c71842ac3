//! What was written, read back.

use std::ops::ControlFlow;

use super::report::{Outcome, Report};
use super::savepoint::Target;
use super::{Form, Options, Progress};
use crate::error::{Error, Result};
use crate::flink::verify::verify_counting;
use crate::flink::{Directory, SnapshotReader};
use crate::format::flink::Roots;
use crate::snapshot::verify::{Severity, VerifyEvent};

/// Opens the savepoint, decodes all of it and compares the number of entries of every keyed state with the report.
pub(super) fn read_back(target: &Target, options: &Options<'_>, report: &Report) -> Result<()> {
    let directory = Directory::new(target.storage().clone(), Some(target.directory().clone()));
    let written = SnapshotReader::open(directory, Roots::new())?;
    // Files that were not copied are not there to be read.
    if !options.moved.is_empty() {
        return Ok(());
    }
    let mut damage = None;
    let (_, found) = verify_counting(&written, &mut |event| {
        match event {
            VerifyEvent::Found(finding) if finding.severity == Severity::Damaged => {
                damage.get_or_insert_with(|| finding.error.to_string());
            }
            VerifyEvent::Found(_) => {}
            VerifyEvent::Progress { done_bytes, total_bytes } => {
                (options.progress)(Progress::Verified { done_bytes, total_bytes });
            }
        }
        ControlFlow::Continue(())
    })?;
    if let Some(damage) = damage {
        return Err(unlike(&format!("it is damaged: {damage}")));
    }
    if options.form == Form::AsIs {
        return Ok(());
    }
    for (operator, state) in
        report.operators.iter().flat_map(|operator| operator.states.iter().map(move |state| (operator, state)))
    {
        if operator.written_as.is_none() || !state.is_keyed() || state.outcome == Outcome::Dropped {
            continue;
        }
        let key = (operator.id.clone(), state.kind.clone(), state.written_as.clone());
        let entries = found.entries.get(&key).copied().unwrap_or(0);
        // What only its own program can take apart is not counted, and nothing behind it in its key group.
        let is_partial = entries < state.entries && found.partial.contains(&operator.id);
        if entries != state.entries && !is_partial {
            let message = format!("state {} has {entries} entries, {} were written", state.written_as, state.entries);
            return Err(unlike(&message));
        }
    }
    Ok(())
}

fn unlike(what: &str) -> Error {
    Error::internal(format!("the savepoint was written and is not what was meant: {what}; do not use it"))
}
