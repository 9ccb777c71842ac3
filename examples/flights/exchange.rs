//! What travels between subtasks, and which subtask gets it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use millpond::codec::Writer;
use millpond::key_group::{MaxParallelism, Parallelism, subtask_of_group};
use millpond::serializer::{Serializer, Str};
use millpond::task::Element;
use millpond::{Error, Result};

use crate::split_reader::SourceRecord;

/// Elements that wait between two subtasks before the sender has to wait as well.
const QUEUE_LENGTH: usize = 1024;

/// What a source sends, besides barriers.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Record(SourceRecord),
    /// No record up to this event time, inclusive, follows.
    Watermark(i64),
}

/// An element and the input it came through: all inputs of a subtask share one queue.
pub(crate) type Envelope = (usize, Element<Message>);

/// The senders and receivers of the queues in front of all subtasks of an operator.
pub(crate) fn queues(subtasks: u32) -> (Vec<SyncSender<Envelope>>, Vec<Receiver<Envelope>>) {
    (0..subtasks).map(|_| sync_channel(QUEUE_LENGTH)).unzip()
}

/// The output of one source subtask towards all subtasks of an operator.
#[derive(Debug)]
pub(crate) struct Output {
    /// Number of the source subtask, which is the number of the input there.
    pub(crate) input: usize,
    pub(crate) queues: Vec<SyncSender<Envelope>>,
    pub(crate) parallelism: Parallelism,
    pub(crate) max_parallelism: MaxParallelism,
    pub(crate) scratch: Writer,
}

impl Output {
    /// Sends to the subtask that owns the key.
    pub(crate) fn send_to_owner(&mut self, key: &String, message: Message) -> Result<()> {
        let group = self.max_parallelism.group_of_hash(Str.key_hash(key, &mut self.scratch)?);
        let owner = subtask_of_group(group, self.parallelism, self.max_parallelism);
        let queue = usize::try_from(owner).ok().and_then(|owner| self.queues.get(owner));
        let queue = queue.ok_or_else(|| Error::internal(format!("there is no subtask {owner}")))?;
        queue.send((self.input, Element::Record(message))).map_err(|_| receiver_gone())
    }

    /// Sends to every subtask.
    pub(crate) fn send_to_all(&self, element: &Element<Message>) -> Result<()> {
        self.queues.iter().try_for_each(|queue| queue.send((self.input, element.clone())).map_err(|_| receiver_gone()))
    }
}

/// The other subtask has failed; its own error says why.
fn receiver_gone() -> Error {
    Error::aborted("a subtask downstream has ended")
}

/// The watermark of a subtask: the lowest of its inputs.
#[derive(Debug)]
pub(crate) struct Watermarks {
    inputs: Vec<i64>,
    lowest: i64,
}

impl Watermarks {
    pub(crate) fn new(inputs: usize) -> Self {
        Watermarks { inputs: vec![i64::MIN; inputs], lowest: i64::MIN }
    }

    /// Takes the watermark of one input; returns that of the subtask if it rises.
    pub(crate) fn advance(&mut self, input: usize, watermark_ms: i64) -> Option<i64> {
        let slot = self.inputs.get_mut(input)?;
        *slot = watermark_ms.max(*slot);
        let lowest = self.inputs.iter().copied().min()?;
        (lowest > self.lowest).then(|| {
            self.lowest = lowest;
            lowest
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_is_the_lowest_of_the_inputs_and_never_falls() {
        let mut watermarks = Watermarks::new(2);
        assert_eq!(watermarks.advance(0, 10), None);
        assert_eq!(watermarks.advance(1, 5), Some(5));
        assert_eq!(watermarks.advance(1, 3), None);
        assert_eq!(watermarks.advance(1, 20), Some(10));
        assert_eq!(watermarks.advance(0, i64::MAX), Some(20));
        assert_eq!(watermarks.advance(7, 30), None);
    }
}
