//! A source subtask: emits its splits in order of event time, as fast as it may, and sends barriers when told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use millpond::clock::{Clock, SystemClock};
use millpond::ids::CheckpointId;
use millpond::task::{Barrier, Element};
use millpond::{Error, Result};

use crate::checkpoints::SourceState;
use crate::coordinator::{Notice, write_in_background};
use crate::exchange::{Message, Output};
use crate::faults::Faults;
use crate::split_reader::{SourceRecord, SplitReader};

/// Records between two looks at the clock, and between two watermarks.
const BATCH: u64 = 64;

/// What the coordinator tells a source.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Command {
    /// Send barriers and store the positions.
    Checkpoint(CheckpointId),
    /// The job is done: end the outputs.
    Finish,
}

/// One source subtask.
pub(crate) struct Source {
    pub(crate) reader: SplitReader,
    pub(crate) state: SourceState,
    pub(crate) aircraft: Output,
    pub(crate) airports: Output,
    pub(crate) commands: Receiver<Command>,
    pub(crate) coordinator: Sender<Notice>,
    /// Flights read by all source subtasks together.
    pub(crate) flights_read: Arc<AtomicU64>,
    pub(crate) faults: Faults,
    /// Speed limit of this subtask; 0 for none.
    pub(crate) flights_per_second: u64,
}

impl Source {
    /// Runs until told to finish.
    pub(crate) fn run(mut self) -> Result<()> {
        let begin_ms = SystemClock.now_ms();
        let mut emitted = 0;
        let mut exhausted = false;
        loop {
            let wait = if exhausted { None } else { Some(self.ahead_of_time(emitted, begin_ms)) };
            match self.next_command(wait)? {
                Some(Command::Checkpoint(id)) => self.checkpoint(id)?,
                Some(Command::Finish) => return self.send_to_all(&Element::End),
                None => {
                    exhausted = self.emit_batch()?;
                    emitted += BATCH;
                }
            }
        }
    }

    /// How long this subtask has to wait to keep to its rate.
    fn ahead_of_time(&self, emitted: u64, begin_ms: i64) -> Duration {
        let Some(due_ms) = (emitted * 1000).checked_div(self.flights_per_second) else { return Duration::ZERO };
        let passed_ms = u64::try_from(SystemClock.now_ms() - begin_ms).unwrap_or_default();
        Duration::from_millis(due_ms.saturating_sub(passed_ms))
    }

    /// The next command, if one comes within the time; without a time, whenever it comes.
    fn next_command(&self, wait: Option<Duration>) -> Result<Option<Command>> {
        let received = match wait {
            Some(wait) => self.commands.recv_timeout(wait),
            None => self.commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(command) => Ok(Some(command)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::aborted("the coordinator has ended")),
        }
    }

    /// Emits some records and the watermark behind them; `true` at the end of the input.
    fn emit_batch(&mut self) -> Result<bool> {
        let before = self.reader.flights();
        let mut records = Vec::new();
        let mut last_ms = None;
        let mut exhausted = false;
        for _ in 0..BATCH {
            if !self.reader.next(&mut records) {
                exhausted = true;
                break;
            }
            for record in records.drain(..) {
                if let SourceRecord::Flight(flight) = &record {
                    last_ms = Some(flight.time_ms);
                }
                self.emit(record)?;
            }
        }
        let read = self.reader.flights() - before;
        self.faults.on_read(self.flights_read.fetch_add(read, Ordering::Relaxed) + read)?;
        if exhausted {
            self.send_to_all(&Element::Record(Message::Watermark(i64::MAX)))?;
            self.coordinator.send(Notice::Exhausted).map_err(|_| Error::aborted("the coordinator has ended"))?;
        } else if let Some(last_ms) = last_ms {
            // More records of this very millisecond may follow.
            self.send_to_all(&Element::Record(Message::Watermark(last_ms - 1)))?;
        }
        Ok(exhausted)
    }

    fn emit(&mut self, record: SourceRecord) -> Result<()> {
        match &record {
            SourceRecord::Airline(_) => self.airports.send_to_all(&Element::Record(Message::Record(record))),
            SourceRecord::Flight(flight) => {
                let (tailnum, origin) = (flight.tailnum.clone(), flight.origin.clone());
                if !tailnum.is_empty() {
                    self.aircraft.send_to_owner(&tailnum, Message::Record(record.clone()))?;
                }
                self.airports.send_to_owner(&origin, Message::Record(record))
            }
        }
    }

    fn checkpoint(&mut self, id: CheckpointId) -> Result<()> {
        self.send_to_all(&Element::Barrier(Barrier::aligned(id)))?;
        let part = self.state.snapshot(id, self.reader.positions(), self.reader.flights())?;
        write_in_background(part, &self.coordinator);
        Ok(())
    }

    fn send_to_all(&self, element: &Element<Message>) -> Result<()> {
        self.aircraft.send_to_all(element)?;
        self.airports.send_to_all(element)
    }
}
