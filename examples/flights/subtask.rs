//! One subtask of a keyed operator: takes what its inputs deliver and hands it to the operator at the right moment.

use std::sync::mpsc::{Receiver, Sender};

use millpond::ids::CheckpointId;
use millpond::task::{Barrier, Delivery, Gate, Output};
use millpond::{Error, Result};
use serde_json::Value;

use crate::checkpoints::PendingPart;
use crate::coordinator::{Notice, Notification, write_in_background};
use crate::exchange::{Envelope, Message, Watermarks};
use crate::split_reader::SourceRecord;

/// What an operator does; the subtask calls it from one thread.
pub(crate) trait Operator {
    /// Takes a record.
    fn on_record(&mut self, record: SourceRecord) -> Result<()>;

    /// Takes the news that no record up to this event time, inclusive, will follow.
    fn on_watermark(&mut self, watermark_ms: i64) -> Result<()>;

    /// Freezes the state as it is now; what comes back is written in the background.
    fn snapshot(&mut self, id: CheckpointId) -> Result<PendingPart>;

    /// Takes the news of what became of a checkpoint.
    fn notify(&mut self, notification: Notification);

    /// The lines of the report that are due to the state of this subtask, as of the end of the input.
    fn report(&mut self, end_ms: i64) -> Result<Vec<Value>>;
}

/// Where a subtask is connected.
pub(crate) struct Ends<'a> {
    /// Number of its inputs.
    pub(crate) inputs: usize,
    /// What comes through all of them.
    pub(crate) inbox: &'a Receiver<Envelope>,
    /// What the coordinator says of checkpoints.
    pub(crate) notifications: &'a Receiver<Notification>,
    pub(crate) coordinator: &'a Sender<Notice>,
}

/// Runs until every input has ended and returns the lines of the report.
pub(crate) fn run(mut operator: impl Operator, ends: Ends<'_>, end_ms: i64) -> Result<Vec<Value>> {
    let Ends { inputs, inbox, notifications, coordinator } = ends;
    let mut gate = Gate::new(inputs, Delivery::ExactlyOnce)?;
    let mut watermarks = Watermarks::new(inputs);
    let mut outputs = Vec::new();
    while !gate.handler().all_ended() {
        let (input, element) = inbox.recv().map_err(|_| Error::aborted("a source has ended early"))?;
        for notification in notifications.try_iter() {
            operator.notify(notification);
            if let Notification::Aborted(id) = notification {
                gate.abort(id, &mut outputs)?;
            }
        }
        gate.push(input, element, &mut outputs)?;
        for output in outputs.drain(..) {
            match output {
                Output::Record { record: Message::Record(record), .. } => operator.on_record(record)?,
                Output::Record { record: Message::Watermark(watermark_ms), input, .. } => {
                    if let Some(lowest_ms) = watermarks.advance(input, watermark_ms) {
                        operator.on_watermark(lowest_ms)?;
                    }
                }
                Output::Snapshot(Barrier { id, .. }) => {
                    write_in_background(operator.snapshot(id)?, coordinator);
                }
                // Barriers here are aligned, so there is no channel state; whoever aborts knows of it.
                Output::ChannelStateComplete(_) | Output::Abort(..) | Output::End { .. } => {}
            }
        }
    }
    operator.report(end_ms)
}
