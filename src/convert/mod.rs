//! From a snapshot to another one with the same state: in another format, at another parallelism or max parallelism, with
//! operators renamed or dropped, states dropped, time to live added or removed.
//!
//! Vocabulary. What is read is a [`Source`]; what is written is a savepoint at a [`Destination`]. An *edit* changes what is
//! carried over. A *rehash* finds the key group of every key anew, which another max parallelism makes necessary. A *run* is
//! a sorted file in the scratch directory.
//!
//! How. Entries stream from the source, group by group, as the neutral pairs of [`StateMeta`](crate::format::record::StateMeta), into the writers of
//! the destination. Types are not needed: where a key ends tells the description that lies in the snapshot. Where the source does
//! not give the order in which the destination stores, the entries go through an external merge sort first.
//!
//! Invariants:
//!
//! * The source is never written to.
//! * The destination is a snapshot only once its manifest is there, which is written last, after everything was read back
//!   and compared with what was read from the source: number of entries and a checksum, state by state.
//! * State is carried over or refused by name, never left out unasked. An edit that finds nothing to change is an error.
//! * Memory does not grow with the state: [`Options::memory_bytes`] for sorting, a block or two and one entry of the
//!   largest size for everything else. Stored objects are mapped where the storage maps them.
//!
//! Failure behaviour: after an error the destination has no manifest, and perhaps objects that no manifest names. A
//! conversion into a directory with such a leftover is refused with the words to remove it; it can be run again after that. The
//! scratch directory is left as it was found.

mod destination;
mod keyed;
mod operator;
mod options;
mod output;
mod plan;
mod report;
mod source;
mod stamp;
mod tally;

use std::ops::ControlFlow;

pub use destination::Destination;
pub use options::{Edits, Format, Options, StateName};
pub use report::{OperatorReport, Report, StateReport, TtlEdit};
pub use source::{KeyOrder, OperatorVisit, Record, RecordVisit, Source};

use crate::error::{Error, Result};
use crate::format::manifest::{Manifest, OperatorSnapshot, SnapshotKind, SubtaskSnapshot};
use crate::ids::SubtaskIndex;
use crate::snapshot::SnapshotTarget;
use crate::sort::Scratch;
use plan::{OperatorPlan, Plan};
use tally::Tally;

/// How far a conversion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Bytes of keys and values that went through this phase.
    pub done_bytes: u64,
    /// About how many there are.
    pub total_bytes: u64,
}

/// What a conversion is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Reading the source and writing the destination.
    Writing,
    /// Reading the destination back.
    Verifying,
}

/// Sees progress; ends the conversion with [`Break`](ControlFlow::Break).
pub type Observer<'o> = &'o mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Converts a snapshot. See the [module page](self) for what holds.
///
/// Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) if an edit, a parallelism or the destination cannot be used, with
/// [`Incompatible`](crate::ErrorKind::Incompatible) if state cannot be carried over, with
/// [`Corrupt`](crate::ErrorKind::Corrupt) if the source is damaged, and with [`Aborted`](crate::ErrorKind::Aborted) if the
/// observer ended it.
pub fn convert(
    source: &dyn Source,
    destination: &Destination,
    options: &Options,
    observe: Observer<'_>,
) -> Result<Report> {
    let plan = Plan::new(source.manifest(), options)?;
    destination.check_empty()?;
    let scratch = Scratch::create_in(&options.scratch)?;
    let target = destination.target(options);
    let mut work = Work { target, options, scratch, meter: Meter::new(source.manifest(), observe), spilled_bytes: 0 };
    let mut operators = Vec::with_capacity(plan.operators.len());
    for operator in &plan.operators {
        operators.push(work.operator(source, operator).map_err(|error| error.in_operator(&operator.label))?);
    }
    let mut manifest = Manifest {
        kind: SnapshotKind::Savepoint,
        writer: Manifest::WRITER.to_owned(),
        operators: operators.iter().map(|written| written.snapshot.clone()).collect(),
        ..source.manifest().clone()
    };
    manifest.sort();
    work.verify(&plan, &operators, destination, &manifest)?;
    destination.publish(&manifest)?;
    let tallies = operators.into_iter().map(|written| written.tally).collect();
    report::report(&plan, tallies, &manifest, options.to, work.spilled_bytes)
}

/// What a conversion works with.
struct Work<'w> {
    target: SnapshotTarget,
    options: &'w Options,
    scratch: Scratch,
    meter: Meter<'w>,
    spilled_bytes: u64,
}

/// An operator of the destination, and what went into it.
struct Written {
    snapshot: OperatorSnapshot,
    tally: Tally,
}

impl Work<'_> {
    fn operator(&mut self, source: &dyn Source, plan: &OperatorPlan) -> Result<Written> {
        let mut tally = Tally::new(plan.states.len());
        let handles = keyed::convert(self, source, plan, &mut tally)?;
        let mut subtasks: Vec<SubtaskSnapshot> = (0..plan.parallelism.get())
            .map(|index| SubtaskSnapshot {
                finished: plan.finished(index),
                ..SubtaskSnapshot::empty(SubtaskIndex(index))
            })
            .collect();
        for (subtask, handle) in subtasks.iter_mut().zip(handles) {
            subtask.keyed = handle.map(|handle| Box::new(handle.assigned_by(plan.assignment.clone())));
        }
        for subtask in &mut subtasks {
            subtask.operator = operator::convert(self, source, plan, subtask.index, &mut tally)?;
        }
        let snapshot = OperatorSnapshot {
            id: plan.id,
            uid: plan.uid.clone(),
            parallelism: plan.parallelism,
            max_parallelism: plan.max_parallelism,
            assignment: plan.assignment.clone(),
            key: plan.key.clone(),
            states: plan.states.iter().map(|state| state.target.clone()).collect(),
            subtasks,
        };
        Ok(Written { snapshot, tally })
    }

    /// Reads everything back and compares it with what was read from the source.
    fn verify(
        &mut self,
        plan: &Plan,
        operators: &[Written],
        destination: &Destination,
        manifest: &Manifest,
    ) -> Result<()> {
        let reader = destination.reader(manifest, self.scratch.path()?);
        self.meter.begin(Phase::Verifying);
        for (plan, written) in plan.operators.iter().zip(operators) {
            let mut found = Tally::new(plan.states.len());
            reader.keyed(plan.id, &mut |record| {
                found.add(record.state, Some(record.group), record.key, record.value);
                self.meter.advance(record.key.len().saturating_add(record.value.len()))
            })?;
            for (index, state) in plan.states.iter().enumerate().filter(|(_, state)| !state.target.kind.is_keyed()) {
                reader.operator_state(plan.id, &state.target.name, &mut |_, key, value| {
                    found.add(index, None, key, value);
                    self.meter.advance(key.len().saturating_add(value.len()))
                })?;
            }
            if let Some(differs) = found.differs_from(&written.tally) {
                let state = plan.states.get(differs).map(|state| state.target.name.as_str()).unwrap_or_default();
                let message = "what was written is not what was read; nothing was published, try another disk";
                return Err(Error::corrupt(message).in_operator(&plan.label).in_state(state));
            }
        }
        Ok(())
    }
}

/// Counts bytes and tells the observer now and then.
struct Meter<'o> {
    observe: Observer<'o>,
    progress: Progress,
    told_bytes: u64,
}

/// Bytes between two reports.
const REPORT_BYTES: u64 = 1 << 20;

impl<'o> Meter<'o> {
    fn new(manifest: &Manifest, observe: Observer<'o>) -> Self {
        let counted = manifest.operators.iter().flat_map(|operator| &operator.subtasks).flat_map(|subtask| {
            let keyed = subtask.keyed.iter().flat_map(|handle| &handle.states);
            keyed.chain(subtask.operator.iter().flat_map(|handle| &handle.states))
        });
        let counted = counted.fold(0_u64, |sum, state| sum.saturating_add(state.bytes));
        let stored = manifest.objects().fold(0_u64, |sum, object| sum.saturating_add(object.length));
        let total_bytes = if counted > 0 { counted } else { stored };
        Meter { observe, progress: Progress { phase: Phase::Writing, done_bytes: 0, total_bytes }, told_bytes: 0 }
    }

    fn begin(&mut self, phase: Phase) {
        self.progress = Progress { phase, done_bytes: 0, ..self.progress };
        self.told_bytes = 0;
    }

    #[inline]
    fn advance(&mut self, bytes: usize) -> Result<()> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.progress.done_bytes = self.progress.done_bytes.saturating_add(bytes);
        if self.progress.done_bytes.saturating_sub(self.told_bytes) < REPORT_BYTES { Ok(()) } else { self.tell() }
    }

    fn tell(&mut self) -> Result<()> {
        self.told_bytes = self.progress.done_bytes;
        let mut progress = self.progress;
        progress.total_bytes = progress.total_bytes.max(progress.done_bytes);
        match (self.observe)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::aborted("the conversion was ended by its caller")),
        }
    }
}
