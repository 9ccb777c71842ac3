//! The input as a replayable source sees it: records with a fixed place in one of several splits.
//!
//! A *split* is a part of the input that one source subtask reads from front to back; which subtask, may change at every
//! restore. The flights are dealt out to [`FLIGHT_SPLITS`] splits by aircraft, so that the records of one aircraft stay in
//! order however the splits move. One more split, [`AIRLINES_SPLIT`], is the table of airlines.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use millpond::{Error, Result};
use serde::{Deserialize, Serialize};

/// Number of splits that hold flights.
pub(crate) const FLIGHT_SPLITS: u32 = 12;
/// The split that holds the airlines.
pub(crate) const AIRLINES_SPLIT: u32 = FLIGHT_SPLITS;

/// One record of the input; see `SEMANTICS.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flight {
    pub(crate) time_ms: i64,
    /// Empty if unknown.
    pub(crate) tailnum: String,
    pub(crate) carrier: String,
    pub(crate) origin: String,
    pub(crate) dest: String,
    pub(crate) dep_delay: Option<i64>,
    pub(crate) arr_delay: Option<i64>,
    pub(crate) air_time: Option<i64>,
}

/// An airline: code and name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Airline {
    pub(crate) code: String,
    pub(crate) name: String,
}

/// The whole input in memory.
#[derive(Debug)]
pub(crate) struct Dataset {
    flights: Vec<Flight>,
    airlines: Vec<Airline>,
    /// For each split of flights, its records as places in `flights`, ascending.
    splits: Vec<Vec<usize>>,
}

impl Dataset {
    /// Reads `flights.csv` and `airlines.csv` of a directory that `scripts/flights.py` prepared.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        let flights = read_table(&directory.join("flights.csv"), parse_flight)?;
        let airlines = read_table(&directory.join("airlines.csv"), parse_airline)?;
        if let Some((before, after)) = flights.iter().zip(flights.iter().skip(1)).find(|(a, b)| a.time_ms > b.time_ms) {
            return Err(Error::invalid_input(format!(
                "flights are not sorted by time: {} comes before {}",
                before.time_ms, after.time_ms
            )));
        }
        let mut splits = vec![Vec::new(); usize::try_from(FLIGHT_SPLITS).unwrap_or_default()];
        for (place, flight) in flights.iter().enumerate() {
            let split = split_of(&flight.tailnum);
            if let Some(members) = splits.get_mut(split) {
                members.push(place);
            }
        }
        Ok(Dataset { flights, airlines, splits })
    }

    /// Number of flights.
    pub(crate) fn len(&self) -> u64 {
        self.flights.len().try_into().unwrap_or(u64::MAX)
    }

    /// The largest event time.
    pub(crate) fn end_ms(&self) -> i64 {
        self.flights.last().map_or(0, |flight| flight.time_ms)
    }

    /// A flight of a split, with its place in the input; `None` behind the last one.
    pub(crate) fn flight(&self, split: u32, offset: u64) -> Option<(usize, &Flight)> {
        let members = self.splits.get(usize::try_from(split).ok()?)?;
        let place = *members.get(usize::try_from(offset).ok()?)?;
        Some((place, self.flights.get(place)?))
    }

    /// An airline; `None` behind the last one.
    pub(crate) fn airline(&self, offset: u64) -> Option<&Airline> {
        self.airlines.get(usize::try_from(offset).ok()?)
    }
}

/// FNV-1a of the tail number, modulo the number of splits.
fn split_of(tailnum: &str) -> usize {
    let hash = tailnum
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    usize::try_from(hash % u64::from(FLIGHT_SPLITS)).unwrap_or_default()
}

/// Parses every line behind the header. Neither table quotes its fields.
fn read_table<T>(path: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let unreadable = |error| {
        Error::unavailable("the input cannot be read; scripts/flights.py prepares it")
            .in_file(path.display())
            .because(error)
    };
    let lines = BufReader::new(File::open(path).map_err(unreadable)?).lines();
    lines
        .enumerate()
        .skip(1)
        .map(|(number, line)| {
            let line = line.map_err(unreadable)?;
            let wrong = || Error::invalid_input(format!("line {} is no record: {line:?}", number + 1));
            parse(&line).ok_or_else(|| wrong().in_file(path.display()))
        })
        .collect()
}

fn parse_flight(line: &str) -> Option<Flight> {
    let mut fields = line.split(',');
    let mut field = || fields.next();
    let time_ms = field()?.parse().ok()?;
    let _row: u64 = field()?.parse().ok()?;
    let [tailnum, carrier, origin, dest] = [field()?, field()?, field()?, field()?].map(str::to_owned);
    let [dep_delay, arr_delay, air_time] = [minutes(field()?)?, minutes(field()?)?, minutes(field()?)?];
    field().is_none().then_some(Flight { time_ms, tailnum, carrier, origin, dest, dep_delay, arr_delay, air_time })
}

/// Minutes, which may be unknown; `None` if the field is neither.
fn minutes(field: &str) -> Option<Option<i64>> {
    if field.is_empty() { Some(None) } else { field.parse().ok().map(Some) }
}

fn parse_airline(line: &str) -> Option<Airline> {
    let (code, name) = line.split_once(',')?;
    Some(Airline { code: code.to_owned(), name: name.to_owned() })
}
