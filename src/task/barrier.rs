//! When the barriers of a checkpoint, arriving through several inputs, add up to a snapshot.
//!
//! [`BarrierHandler`] is a pure state machine: it is told what arrives and answers with [`Step`]s for the subtask to do
//! in that order. It holds no records; [`Gate`](super::Gate) does.
//!
//! Three ways to align, after Chandy and Lamport and Flink's `SingleCheckpointBarrierHandler` and
//! `CheckpointBarrierTracker`:
//!
//! - *exactly once, aligned*: an input whose barrier has come is blocked until the barrier has come through all others.
//!   The snapshot then holds precisely the effects of the records before the barriers.
//! - *exactly once, unaligned*: the snapshot is taken at the first barrier; records that still come before the barrier of
//!   another input are processed and also stored as channel state. Nothing is ever blocked. An aligned checkpoint with a
//!   timeout turns into an unaligned one when the timeout passes or when an unaligned barrier of it arrives.
//! - *at least once*: nothing is blocked and nothing stored; the snapshot is taken when the last barrier has come, and
//!   records behind earlier barriers are in it already (they are processed twice after a restore).
//!
//! Invariants:
//!
//! - Checkpoint ids of the snapshots taken strictly increase; a late, duplicate or aborted barrier never starts one.
//! - With exactly once at most one checkpoint is being aligned. A barrier, or the cancellation, of a newer checkpoint on
//!   an input that still owes the current one proves that the current one will never be complete, and aborts it.
//! - A blocked input becomes free again with the [`Step::Release`] that follows a snapshot, a switch to unaligned, or an
//!   abort; none stays blocked without a checkpoint that blocks it.
//! - An input that ended counts as having delivered every barrier.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::barrier::{Alignment, Barrier, Delivery};
use crate::error::{Error, Result};
use crate::ids::CheckpointId;

/// Checkpoints that may wait for barriers at the same time with at-least-once delivery; the oldest goes when one more
/// comes. Also the number of aborted ids remembered ahead of their barriers.
pub const MAX_REMEMBERED: usize = 64;

/// What to do with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Admission {
    /// Process it.
    Forward,
    /// Process it, and store it as channel state of this checkpoint.
    ForwardAndStore(CheckpointId),
    /// Keep it, and everything after it on the same input, until the next [`Step::Release`]; then present it again.
    Hold,
}

/// Why a checkpoint ended without all barriers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AbortReason {
    /// An input that still owed its barrier went on to a newer checkpoint.
    Overtaken {
        /// The newer checkpoint.
        by: CheckpointId,
    },
    /// A subtask upstream sent a cancellation instead of a barrier.
    CancelledUpstream,
    /// The coordinator said so.
    Coordinator,
}

/// What the subtask has to do, in the order given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The input is blocked: keep the barrier, cancellation or end just presented behind the records that are kept
    /// already, and present it again after the next [`Step::Release`]. Always the only step.
    Hold,
    /// Forward this barrier to all outputs, then take the snapshot. With [`Alignment::Unaligned`] the barrier overtakes
    /// what is queued in the outputs (which is then channel state, too), and the snapshot is whole only after
    /// [`Step::ChannelStateComplete`].
    Snapshot(Barrier),
    /// No input owes records to the channel state of this unaligned checkpoint any more.
    ChannelStateComplete(CheckpointId),
    /// Discard what exists of this checkpoint. Unless the coordinator asked for it: decline to the coordinator and send
    /// a cancellation to all outputs.
    Abort(CheckpointId, AbortReason),
    /// No input is blocked any more: present again what was kept, each input in its order.
    Release,
}

/// Decides what barriers, records and ends of inputs mean for the snapshots of one subtask.
#[derive(Debug, Clone)]
pub struct BarrierHandler {
    delivery: Delivery,
    ended: Vec<bool>,
    /// Newest checkpoint that was completed or aborted here; barriers up to it are late.
    settled: Option<CheckpointId>,
    /// Newer checkpoints whose barriers are to be ignored.
    aborted: BTreeSet<CheckpointId>,
    phase: Phase,
}

#[derive(Debug, Clone)]
enum Phase {
    Idle,
    /// Exactly once: inputs in `arrived` are blocked.
    Aligning {
        barrier: Barrier,
        arrived: Vec<bool>,
    },
    /// Exactly once, unaligned: the snapshot is taken; inputs outside `arrived` still fill the channel state.
    Collecting {
        id: CheckpointId,
        arrived: Vec<bool>,
    },
    /// At least once: the inputs that delivered each barrier.
    Counting(BTreeMap<CheckpointId, Vec<bool>>),
}

impl BarrierHandler {
    /// A handler for a subtask with this many inputs. A subtask without inputs has nothing to align: its source injects
    /// barriers by itself.
    pub fn new(inputs: usize, delivery: Delivery) -> Result<Self> {
        if inputs == 0 {
            return Err(Error::invalid_input("a subtask without inputs has no barriers to align"));
        }
        let phase = match delivery {
            Delivery::ExactlyOnce => Phase::Idle,
            Delivery::AtLeastOnce => Phase::Counting(BTreeMap::new()),
        };
        Ok(BarrierHandler { delivery, ended: vec![false; inputs], settled: None, aborted: BTreeSet::new(), phase })
    }

    /// Number of inputs, ended ones included.
    pub fn inputs(&self) -> usize {
        self.ended.len()
    }

    /// Whether every input has ended.
    pub fn all_ended(&self) -> bool {
        self.ended.iter().all(|ended| *ended)
    }

    /// Whether the input is blocked. A job that can stop reading one input does so while this holds, instead of keeping
    /// records. False for an input that does not exist.
    pub fn is_blocked(&self, input: usize) -> bool {
        match &self.phase {
            Phase::Aligning { arrived, .. } => is_set(arrived, input),
            _ => false,
        }
    }

    /// The time at which [`on_time`](Self::on_time) must be called, if any.
    pub fn deadline_ms(&self) -> Option<i64> {
        match &self.phase {
            Phase::Aligning { barrier: Barrier { alignment: Alignment::AlignedUntil { deadline_ms }, .. }, .. } => {
                Some(*deadline_ms)
            }
            _ => None,
        }
    }

    /// What to do with a record of this input. An error means the input does not exist or has ended.
    pub fn on_record(&self, input: usize) -> Result<Admission> {
        self.check_input(input)?;
        Ok(match &self.phase {
            Phase::Aligning { arrived, .. } if is_set(arrived, input) => Admission::Hold,
            Phase::Collecting { id, arrived } if !is_set(arrived, input) => Admission::ForwardAndStore(*id),
            _ => Admission::Forward,
        })
    }

    /// A barrier has come through this input.
    ///
    /// A transport may let an unaligned barrier overtake records queued in the same input; exactly these records are
    /// channel state and it is the caller who stores them.
    pub fn on_barrier(&mut self, input: usize, barrier: Barrier) -> Result<Vec<Step>> {
        self.check_input(input)?;
        if self.is_blocked(input) {
            return Ok(vec![Step::Hold]);
        }
        let mut steps = Vec::new();
        if self.delivery == Delivery::AtLeastOnce {
            self.count(input, barrier.id, &mut steps);
            return Ok(steps);
        }
        self.abort_older_than(barrier.id, &mut steps);
        if self.is_late(barrier.id) {
            return Ok(steps);
        }
        if matches!(self.phase, Phase::Idle) {
            self.begin(barrier, &mut steps);
        }
        // What is still pending may be newer than a barrier that a slow input delivers late.
        if self.is_pending(barrier.id) {
            self.arrive(input, barrier, &mut steps);
        }
        Ok(steps)
    }

    /// A cancellation of this checkpoint has come through this input in place of a barrier.
    pub fn on_cancellation(&mut self, input: usize, id: CheckpointId) -> Result<Vec<Step>> {
        self.check_input(input)?;
        if self.is_blocked(input) {
            return Ok(vec![Step::Hold]);
        }
        let mut steps = Vec::new();
        self.abort_older_than(id, &mut steps);
        if !self.is_late(id) {
            steps.push(Step::Abort(id, AbortReason::CancelledUpstream));
            self.drop_checkpoint(id, &mut steps);
        }
        Ok(steps)
    }

    /// The coordinator aborted this checkpoint.
    pub fn on_abort(&mut self, id: CheckpointId) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.is_pending(id) {
            steps.push(Step::Abort(id, AbortReason::Coordinator));
        }
        if !self.is_late(id) {
            self.drop_checkpoint(id, &mut steps);
        }
        steps
    }

    /// This input has ended and will deliver nothing more. Ending twice is an error.
    pub fn on_end_of_input(&mut self, input: usize) -> Result<Vec<Step>> {
        self.check_input(input)?;
        if self.is_blocked(input) {
            return Ok(vec![Step::Hold]);
        }
        if let Some(ended) = self.ended.get_mut(input) {
            *ended = true;
        }
        let mut steps = Vec::new();
        self.finish_if_complete(&mut steps);
        Ok(steps)
    }

    /// Time has come: switches an alignment that took too long to unaligned.
    pub fn on_time(&mut self, now_ms: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.deadline_ms().is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            self.switch_to_unaligned(&mut steps);
            self.finish_if_complete(&mut steps);
        }
        steps
    }

    fn check_input(&self, input: usize) -> Result<()> {
        match self.ended.get(input) {
            Some(false) => Ok(()),
            Some(true) => Err(Error::invalid_input(format!("input {input} has ended and can deliver nothing more"))),
            None => Err(Error::invalid_input(format!("input {input} does not exist, there are {}", self.ended.len()))),
        }
    }

    fn is_late(&self, id: CheckpointId) -> bool {
        self.settled.is_some_and(|settled| id <= settled) || self.aborted.contains(&id)
    }

    fn is_pending(&self, id: CheckpointId) -> bool {
        match &self.phase {
            Phase::Idle => false,
            Phase::Aligning { barrier, .. } => barrier.id == id,
            Phase::Collecting { id: pending, .. } => *pending == id,
            Phase::Counting(pending) => pending.contains_key(&id),
        }
    }

    fn begin(&mut self, barrier: Barrier, steps: &mut Vec<Step>) {
        let arrived = vec![false; self.inputs()];
        self.phase = if barrier.alignment == Alignment::Unaligned {
            steps.push(Step::Snapshot(barrier));
            Phase::Collecting { id: barrier.id, arrived }
        } else {
            Phase::Aligning { barrier, arrived }
        };
    }

    fn arrive(&mut self, input: usize, barrier: Barrier, steps: &mut Vec<Step>) {
        if let Phase::Aligning { arrived, .. } | Phase::Collecting { arrived, .. } = &mut self.phase {
            set(arrived, input);
        }
        if barrier.alignment == Alignment::Unaligned {
            self.switch_to_unaligned(steps);
        }
        self.finish_if_complete(steps);
    }

    /// Takes the snapshot now if the checkpoint at hand is still being aligned.
    fn switch_to_unaligned(&mut self, steps: &mut Vec<Step>) {
        if let Phase::Aligning { barrier, arrived, .. } = &mut self.phase {
            let id = barrier.id;
            let arrived = std::mem::take(arrived);
            self.phase = Phase::Collecting { id, arrived };
            steps.push(Step::Snapshot(Barrier { id, alignment: Alignment::Unaligned }));
            steps.push(Step::Release);
        }
    }

    fn finish_if_complete(&mut self, steps: &mut Vec<Step>) {
        match &self.phase {
            Phase::Idle => {}
            Phase::Aligning { barrier, arrived, .. } if all_delivered(arrived, &self.ended) => {
                let barrier = *barrier;
                steps.extend([Step::Snapshot(barrier), Step::Release]);
                self.settle(barrier.id);
            }
            Phase::Collecting { id, arrived } if all_delivered(arrived, &self.ended) => {
                let id = *id;
                steps.push(Step::ChannelStateComplete(id));
                self.settle(id);
            }
            Phase::Aligning { .. } | Phase::Collecting { .. } => {}
            Phase::Counting(_) => self.finish_counted(steps),
        }
    }

    /// Marks a checkpoint as done; every older one is late from now on.
    fn settle(&mut self, id: CheckpointId) {
        self.settled = self.settled.max(Some(id));
        self.aborted = self.aborted.split_off(&id.next());
        match &mut self.phase {
            Phase::Counting(pending) => *pending = pending.split_off(&id.next()),
            phase => *phase = Phase::Idle,
        }
    }

    /// With exactly once: aborts the checkpoint at hand if it is older than `id`.
    fn abort_older_than(&mut self, id: CheckpointId, steps: &mut Vec<Step>) {
        let pending = match &self.phase {
            Phase::Aligning { barrier, .. } => barrier.id,
            Phase::Collecting { id: pending, .. } => *pending,
            Phase::Idle | Phase::Counting(_) => return,
        };
        if pending < id {
            steps.push(Step::Abort(pending, AbortReason::Overtaken { by: id }));
            self.drop_checkpoint(pending, steps);
        }
    }

    /// Forgets a checkpoint, pending or to come, and sees to it that its barriers are ignored.
    fn drop_checkpoint(&mut self, id: CheckpointId, steps: &mut Vec<Step>) {
        match &mut self.phase {
            Phase::Counting(pending) => {
                pending.remove(&id);
                self.remember_aborted(id);
            }
            Phase::Aligning { barrier, .. } if barrier.id == id => {
                steps.push(Step::Release);
                self.settle(id);
            }
            Phase::Collecting { id: pending, .. } if *pending == id => self.settle(id),
            Phase::Idle | Phase::Aligning { .. } | Phase::Collecting { .. } => self.remember_aborted(id),
        }
    }

    fn remember_aborted(&mut self, id: CheckpointId) {
        self.aborted.insert(id);
        // Forgetting one costs a useless alignment, which the next barrier ends.
        while self.aborted.len() > MAX_REMEMBERED {
            self.aborted.pop_first();
        }
    }

    fn count(&mut self, input: usize, id: CheckpointId, steps: &mut Vec<Step>) {
        if self.is_late(id) {
            return;
        }
        let inputs = self.inputs();
        if let Phase::Counting(pending) = &mut self.phase {
            set(pending.entry(id).or_insert_with(|| vec![false; inputs]), input);
            while pending.len() > MAX_REMEMBERED {
                if let Some((oldest, _)) = pending.pop_first() {
                    steps.push(Step::Abort(oldest, AbortReason::Overtaken { by: id }));
                    self.settled = self.settled.max(Some(oldest));
                }
            }
        }
        self.finish_counted(steps);
    }

    fn finish_counted(&mut self, steps: &mut Vec<Step>) {
        let Phase::Counting(pending) = &self.phase else { return };
        // Only the newest complete one counts: its barriers stand behind those of all older ones.
        let complete = pending.iter().rev().find(|(_, arrived)| all_delivered(arrived, &self.ended));
        let Some(id) = complete.map(|(id, _)| *id) else { return };
        for older in pending.range(..id).map(|(older, _)| *older) {
            steps.push(Step::Abort(older, AbortReason::Overtaken { by: id }));
        }
        steps.push(Step::Snapshot(Barrier::aligned(id)));
        self.settle(id);
    }
}

fn is_set(flags: &[bool], index: usize) -> bool {
    flags.get(index).copied().unwrap_or(false)
}

fn set(flags: &mut [bool], index: usize) {
    if let Some(flag) = flags.get_mut(index) {
        *flag = true;
    }
}

fn all_delivered(arrived: &[bool], ended: &[bool]) -> bool {
    arrived.iter().zip(ended).all(|(arrived, ended)| *arrived || *ended)
}

#[cfg(test)]
mod tests;
