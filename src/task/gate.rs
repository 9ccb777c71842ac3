//! Inputs of a subtask with the queues that alignment needs.
//!
//! A job that can stop reading a single input uses [`BarrierHandler`] alone. One whose inputs share a queue cannot, so
//! what arrives through a blocked input has to be kept: [`Gate`] keeps it and hands out everything in the order in which
//! the subtask must act. The memory it needs is what arrives through blocked inputs while the slowest one delivers its
//! barrier; [`Gate::held`] tells how much that is, for a job that wants to push back.
//!
//! Every record that goes in comes out exactly once, in the order of its input, whatever happens to the checkpoints.

use std::collections::VecDeque;

use super::barrier::{AbortReason, Admission, BarrierHandler, Step};
use crate::checkpoint::barrier::{Barrier, Delivery};
use crate::error::{Error, Result};
use crate::ids::CheckpointId;

/// What travels through an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element<T> {
    /// A record, watermark or anything else that takes its turn.
    Record(T),
    /// A barrier.
    Barrier(Barrier),
    /// In place of a barrier: this checkpoint was declined upstream.
    Cancellation(CheckpointId),
    /// Nothing more comes.
    End,
}

/// What the subtask does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<T> {
    /// Process this record.
    Record {
        /// Input it came through.
        input: usize,
        /// The record.
        record: T,
        /// Also store it as channel state of this checkpoint.
        store_for: Option<CheckpointId>,
    },
    /// See [`Step::Snapshot`].
    Snapshot(Barrier),
    /// See [`Step::ChannelStateComplete`].
    ChannelStateComplete(CheckpointId),
    /// See [`Step::Abort`].
    Abort(CheckpointId, AbortReason),
    /// This input has ended, and everything before its end was handed out.
    End {
        /// The input.
        input: usize,
    },
}

/// A [`BarrierHandler`] with a queue for each input.
#[derive(Debug, Clone)]
pub struct Gate<T> {
    handler: BarrierHandler,
    held: Vec<VecDeque<Element<T>>>,
}

impl<T> Gate<T> {
    /// A gate of this many inputs, at least one.
    pub fn new(inputs: usize, delivery: Delivery) -> Result<Self> {
        let handler = BarrierHandler::new(inputs, delivery)?;
        Ok(Gate { handler, held: (0..inputs).map(|_| VecDeque::new()).collect() })
    }

    /// The deciding part, to look at.
    pub fn handler(&self) -> &BarrierHandler {
        &self.handler
    }

    /// Number of elements kept for blocked inputs.
    pub fn held(&self) -> usize {
        self.held.iter().map(VecDeque::len).sum()
    }

    /// Takes one element of an input and appends what is to be done to `outputs`. Fails if the input does not exist or
    /// has ended; the element is lost then and nothing else changes.
    pub fn push(&mut self, input: usize, element: Element<T>, outputs: &mut Vec<Output<T>>) -> Result<()> {
        match self.held.get_mut(input) {
            Some(held) if self.handler.is_blocked(input) => {
                if matches!(held.back(), Some(Element::End)) {
                    return Err(Error::invalid_input(format!("input {input} has ended and can deliver nothing more")));
                }
                held.push_back(element);
                Ok(())
            }
            _ => {
                let released = self.admit(input, element, outputs)?;
                if released { self.drain(outputs) } else { Ok(()) }
            }
        }
    }

    /// The coordinator aborted this checkpoint.
    pub fn abort(&mut self, id: CheckpointId, outputs: &mut Vec<Output<T>>) -> Result<()> {
        let steps = self.handler.on_abort(id);
        if translate(steps, outputs) { self.drain(outputs) } else { Ok(()) }
    }

    /// To be called when [`BarrierHandler::deadline_ms`] has come.
    pub fn on_time(&mut self, now_ms: i64, outputs: &mut Vec<Output<T>>) -> Result<()> {
        let steps = self.handler.on_time(now_ms);
        if translate(steps, outputs) { self.drain(outputs) } else { Ok(()) }
    }

    /// Presents one element of an input that is not blocked; tells whether blocked inputs were released.
    fn admit(&mut self, input: usize, element: Element<T>, outputs: &mut Vec<Output<T>>) -> Result<bool> {
        let steps = match element {
            Element::Record(record) => {
                let store_for = match self.handler.on_record(input)? {
                    Admission::ForwardAndStore(id) => Some(id),
                    Admission::Forward | Admission::Hold => None,
                };
                outputs.push(Output::Record { input, record, store_for });
                return Ok(false);
            }
            Element::Barrier(barrier) => self.handler.on_barrier(input, barrier)?,
            Element::Cancellation(id) => self.handler.on_cancellation(input, id)?,
            Element::End => {
                let steps = self.handler.on_end_of_input(input)?;
                outputs.push(Output::End { input });
                steps
            }
        };
        Ok(translate(steps, outputs))
    }

    /// Presents what was kept, until every input is blocked again or has nothing left.
    fn drain(&mut self, outputs: &mut Vec<Output<T>>) -> Result<()> {
        let mut input = 0;
        while input < self.held.len() {
            let next = match self.held.get_mut(input) {
                Some(held) if !self.handler.is_blocked(input) => held.pop_front(),
                _ => None,
            };
            match next {
                None => input += 1,
                Some(element) => {
                    if self.admit(input, element, outputs)? {
                        // Inputs that were passed already may have been freed.
                        input = 0;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Appends the steps as outputs; tells whether they release blocked inputs.
fn translate<T>(steps: Vec<Step>, outputs: &mut Vec<Output<T>>) -> bool {
    let mut released = false;
    for step in steps {
        match step {
            Step::Snapshot(barrier) => outputs.push(Output::Snapshot(barrier)),
            Step::ChannelStateComplete(id) => outputs.push(Output::ChannelStateComplete(id)),
            Step::Abort(id, reason) => outputs.push(Output::Abort(id, reason)),
            Step::Release => released = true,
            // Only blocked inputs are held, and those are not presented.
            Step::Hold => {}
        }
    }
    released
}

#[cfg(test)]
mod tests;
