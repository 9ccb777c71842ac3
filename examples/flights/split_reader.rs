//! Reading splits in order of event time, with positions to come back to.

use std::sync::Arc;

use millpond::{Error, Result};

use crate::dataset::{AIRLINES_SPLIT, Airline, Dataset, FLIGHT_SPLITS, Flight};

/// What a source emits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SourceRecord {
    Airline(Airline),
    Flight(Flight),
}

/// A split and the number of its records that were emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) split: u32,
    pub(crate) offset: u64,
}

/// A deliberate mistake, to show that the comparison with the oracle notices it. The number counts flights in the order
/// of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tamper {
    /// Leave this flight out.
    Skip(usize),
    /// Emit this flight twice.
    Repeat(usize),
}

/// Merges the splits of one source subtask by event time. The table of airlines comes before all flights.
#[derive(Debug)]
pub(crate) struct SplitReader {
    dataset: Arc<Dataset>,
    positions: Vec<Position>,
    tamper: Option<Tamper>,
}

impl SplitReader {
    /// The splits with which a source subtask of a new job begins.
    pub(crate) fn initial_positions(subtask: u32, parallelism: u32) -> Vec<Position> {
        (0..=AIRLINES_SPLIT)
            .filter(|split| split % parallelism == subtask)
            .map(|split| Position { split, offset: 0 })
            .collect()
    }

    /// Continues at these positions.
    pub(crate) fn new(dataset: Arc<Dataset>, positions: Vec<Position>, tamper: Option<Tamper>) -> Result<Self> {
        if let Some(position) = positions.iter().find(|position| position.split > FLIGHT_SPLITS) {
            return Err(Error::invalid_input(format!("there is no split {}", position.split)));
        }
        Ok(SplitReader { dataset, positions, tamper })
    }

    /// Where this reader stands.
    pub(crate) fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Number of flights emitted from these splits, also before a restore.
    pub(crate) fn flights(&self) -> u64 {
        self.of_flights().map(|position| position.offset).sum()
    }

    /// Number of splits that hold flights.
    pub(crate) fn flight_splits(&self) -> u64 {
        self.of_flights().map(|_| 1).sum()
    }

    fn of_flights(&self) -> impl Iterator<Item = &Position> {
        self.positions.iter().filter(|position| position.split != AIRLINES_SPLIT)
    }

    /// Appends the next record of the input to `records`: usually one, none or two if tampered with. `false` at the end.
    pub(crate) fn next(&mut self, records: &mut Vec<SourceRecord>) -> bool {
        if self.next_airline(records) {
            return true;
        }
        let heads = self.positions.iter_mut().filter_map(|position| {
            let (place, flight) = self.dataset.flight(position.split, position.offset)?;
            Some((place, flight, position))
        });
        let Some((place, flight, position)) = heads.min_by_key(|(place, ..)| *place) else { return false };
        position.offset += 1;
        let copies = match self.tamper {
            Some(Tamper::Skip(skipped)) if skipped == place => 0,
            Some(Tamper::Repeat(repeated)) if repeated == place => 2,
            _ => 1,
        };
        records.extend((0..copies).map(|_| SourceRecord::Flight(flight.clone())));
        true
    }

    fn next_airline(&mut self, records: &mut Vec<SourceRecord>) -> bool {
        let Some(position) = self.positions.iter_mut().find(|position| position.split == AIRLINES_SPLIT) else {
            return false;
        };
        let Some(airline) = self.dataset.airline(position.offset) else { return false };
        position.offset += 1;
        records.push(SourceRecord::Airline(airline.clone()));
        true
    }
}
