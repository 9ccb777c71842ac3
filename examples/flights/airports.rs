//! The operator that counts the departures of each airport by the hour. Key: airport; namespace: window.
//!
//! A window collects until a timer closes it; what it holds then moves to the map of closed hours, where carriers go by
//! the names that the broadcast table of airlines gives them.

use std::collections::BTreeMap;

use millpond::Result;
use millpond::backend::handle::{AggregatingHandle, BroadcastHandle, MapHandle, TimerHandle};
use millpond::clock::ManualClock;
use millpond::ids::CheckpointId;
use millpond::serializer::{I64, Msgpack, Str, TimeWindow, Tuple2, U64, Window};
use millpond::state::{
    Aggregate, AggregatingDescriptor, AggregatingState, BroadcastDescriptor, BroadcastState, MapDescriptor, MapState,
    TimeDomain, TimerDescriptor, TimerState,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::checkpoints::{KeyedState, PendingPart, Subtask};
use crate::coordinator::Notification;
use crate::dataset::Flight;
use crate::split_reader::SourceRecord;
use crate::subtask::Operator;

/// Identity of the operator, by which restore finds its state.
pub(crate) const UID: &str = "airports";
const HOUR_MS: i64 = 3_600_000;

/// Number of departures and sum of the known delays.
#[derive(Debug)]
struct Traffic;

impl Aggregate for Traffic {
    type Input = Option<i64>;
    type Accumulator = (u64, i64);
    type Output = (u64, i64);

    fn create() -> (u64, i64) {
        (0, 0)
    }

    fn add((flights, minutes): &mut (u64, i64), delay: Option<i64>) {
        *flights += 1;
        *minutes += delay.unwrap_or_default();
    }

    fn result(accumulator: &(u64, i64)) -> (u64, i64) {
        *accumulator
    }
}

/// What is left of a window after it was closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Hour {
    flights: u64,
    delay_minutes: i64,
    airlines: BTreeMap<String, u64>,
}

/// One subtask of the operator.
pub(crate) struct Airports {
    state: KeyedState,
    names: BroadcastHandle<String, String>,
    traffic: AggregatingHandle<Traffic, TimeWindow>,
    carriers: MapHandle<String, u64, TimeWindow>,
    ends: TimerHandle<TimeWindow>,
    closed: MapHandle<i64, Hour>,
}

impl Airports {
    /// Registers the states; whether they fit what was restored is decided here.
    pub(crate) fn open(subtask: Subtask<'_>) -> Result<Self> {
        let mut state = KeyedState::open(UID, subtask, ManualClock::default())?;
        let backend = &mut state.backend;
        Ok(Airports {
            names: state.operator.register_broadcast(&BroadcastDescriptor::new("airlines", Str, Str))?,
            traffic: backend.register_aggregating(&AggregatingDescriptor::in_namespaces(
                "traffic",
                Tuple2(U64, I64),
                Window,
            ))?,
            carriers: backend.register_map(&MapDescriptor::in_namespaces("carriers", Str, U64, Window))?,
            ends: backend.register_timers(&TimerDescriptor::in_namespaces("ends", Window))?,
            closed: backend.register_map(&MapDescriptor::new("closed", I64, Msgpack::new()))?,
            state,
        })
    }

    fn add(&mut self, flight: &Flight) -> Result<()> {
        let start_ms = flight.time_ms - flight.time_ms.rem_euclid(HOUR_MS);
        let window = TimeWindow { start_ms, end_ms: start_ms + HOUR_MS };
        let mut at = self.state.backend.key(&flight.origin)?;
        at.aggregating_in(&self.traffic, &window)?.add(flight.dep_delay)?;
        at.map_in(&self.carriers, &window)?
            .update(flight.carrier.clone(), |count| *count = Some(count.unwrap_or_default() + 1))?;
        // The last millisecond that belongs to the window. Setting a timer again changes nothing.
        at.timers_in(&self.ends, &window)?.register(TimeDomain::Event, window.end_ms - 1)?;
        Ok(())
    }

    fn close(&mut self, origin: &String, window: TimeWindow) -> Result<()> {
        let names = self.state.operator.broadcast(&self.names)?;
        let mut at = self.state.backend.key(origin)?;
        let mut traffic = at.aggregating_in(&self.traffic, &window)?;
        let (flights, delay_minutes) = traffic.get()?.unwrap_or_default();
        traffic.clear()?;
        let mut carriers = at.map_in(&self.carriers, &window)?;
        let mut airlines = BTreeMap::new();
        for entry in carriers.entries()? {
            let (code, count) = entry?;
            let name = names.get(&code)?.cloned().unwrap_or_else(|| code.into_owned());
            *airlines.entry(name).or_default() += *count;
        }
        carriers.clear()?;
        at.map(&self.closed)?.put(window.start_ms, Hour { flights, delay_minutes, airlines })
    }
}

impl Operator for Airports {
    fn on_record(&mut self, record: SourceRecord) -> Result<()> {
        match record {
            SourceRecord::Airline(airline) => {
                self.state.operator.broadcast(&self.names)?.put(airline.code, airline.name)
            }
            SourceRecord::Flight(flight) => self.add(&flight),
        }
    }

    fn on_watermark(&mut self, watermark_ms: i64) -> Result<()> {
        while let Some(timer) = self.state.backend.pop_due_timer(&self.ends, TimeDomain::Event, watermark_ms)? {
            self.close(&timer.key, timer.namespace)?;
        }
        Ok(())
    }

    fn snapshot(&mut self, id: CheckpointId) -> Result<PendingPart> {
        self.state.snapshot(id)
    }

    fn notify(&mut self, notification: Notification) {
        self.state.notify(notification);
    }

    fn report(&mut self, _end_ms: i64) -> Result<Vec<Value>> {
        let mut origins = Vec::new();
        self.state.backend.for_each_key(&self.closed, |origin, ()| origins.push(origin.clone()))?;
        let mut lines = Vec::new();
        for origin in &origins {
            for entry in self.state.backend.key(origin)?.map(&self.closed)?.entries()? {
                let (start_ms, hour) = entry?;
                let Hour { flights, delay_minutes, airlines } = &*hour;
                lines.push(json!({
                    "window": origin,
                    "start": *start_ms,
                    "flights": flights,
                    "delay_minutes": delay_minutes,
                    "airlines": airlines,
                }));
            }
        }
        Ok(lines)
    }
}
