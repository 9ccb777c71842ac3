//! The operator that keeps what is known of each aircraft. Key: tail number.
//!
//! Several sources deliver to one subtask, each in order of event time but none in step with the others. The operator
//! therefore lets records wait in keyed state until the watermark has passed them, and takes them out by timers: then
//! every record is processed in the order of event time, and the clock that decides what has expired only moves forward.

use millpond::backend::handle::{AggregatingHandle, ListHandle, MapHandle, ReducingHandle, TimerHandle, ValueHandle};
use millpond::clock::ManualClock;
use millpond::ids::CheckpointId;
use millpond::serializer::{I64, Msgpack, Str, Tuple2, U64};
use millpond::state::{
    Aggregate, AggregatingDescriptor, AggregatingState, ListDescriptor, ListState, MapDescriptor, MapState,
    ReducingDescriptor, ReducingState, TimeDomain, TimerDescriptor, TimerState, Ttl, ValueDescriptor, ValueState,
};
use millpond::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::checkpoints::{KeyedState, PendingPart, Subtask};
use crate::coordinator::Notification;
use crate::dataset::Flight;
use crate::split_reader::SourceRecord;
use crate::subtask::Operator;

/// Identity of the operator, by which restore finds its state.
pub(crate) const UID: &str = "aircraft";

/// State of an aircraft expires when it was not written for this long, in event time.
const THIRTY_DAYS: Ttl = Ttl::new(30 * 24 * 3_600_000);
/// Number of delays kept.
const LATEST: usize = 5;

/// All records of an aircraft; never expires.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Lifetime {
    flights: u64,
    returns: u64,
}

/// The records of the present run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Profile {
    flights: u64,
    minutes: i64,
    last_airport: String,
}

/// Mean of whole numbers: sum and count.
#[derive(Debug)]
struct Mean;

impl Aggregate for Mean {
    type Input = i64;
    type Accumulator = (i64, u64);
    type Output = f64;

    fn create() -> (i64, u64) {
        (0, 0)
    }

    fn add((sum, count): &mut (i64, u64), input: i64) {
        *sum += input;
        *count += 1;
    }

    fn result((sum, count): &(i64, u64)) -> f64 {
        *sum as f64 / *count as f64
    }
}

/// One subtask of the operator.
pub(crate) struct Aircraft {
    state: KeyedState,
    /// Event time, as far as records have been processed.
    clock: ManualClock,
    /// Records that wait for the watermark, by event time.
    waiting: ListHandle<Flight, i64>,
    due: TimerHandle,
    lifetime: ValueHandle<Lifetime>,
    profile: ValueHandle<Profile>,
    destinations: MapHandle<String, u64>,
    delays: ListHandle<i64>,
    worst: ReducingHandle<i64>,
    mean: AggregatingHandle<Mean>,
}

impl Aircraft {
    /// Registers the states; whether they fit what was restored is decided here.
    pub(crate) fn open(subtask: Subtask<'_>) -> Result<Self> {
        let clock = ManualClock::default();
        let mut state = KeyedState::open(UID, subtask, clock.clone())?;
        let backend = &mut state.backend;
        Ok(Aircraft {
            clock,
            waiting: backend.register_list(&ListDescriptor::in_namespaces("waiting", Msgpack::new(), I64))?,
            due: backend.register_timers(&TimerDescriptor::new("due"))?,
            lifetime: backend.register_value(&ValueDescriptor::new("lifetime", Msgpack::new()))?,
            profile: backend.register_value(&ValueDescriptor::new("profile", Msgpack::new()).with_ttl(THIRTY_DAYS))?,
            destinations: backend.register_map(&MapDescriptor::new("destinations", Str, U64).with_ttl(THIRTY_DAYS))?,
            delays: backend.register_list(&ListDescriptor::new("delays", I64).with_ttl(THIRTY_DAYS))?,
            worst: backend.register_reducing(
                &ReducingDescriptor::new("worst", I64, |worst, delay| *worst = delay.max(*worst)).with_ttl(THIRTY_DAYS),
            )?,
            mean: backend
                .register_aggregating(&AggregatingDescriptor::new("mean", Tuple2(I64, U64)).with_ttl(THIRTY_DAYS))?,
            state,
        })
    }

    /// Processes the records of an aircraft that waited for this event time.
    fn process(&mut self, tailnum: &String, time_ms: i64) -> Result<()> {
        self.clock.set_ms(time_ms);
        let mut at = self.state.backend.key(tailnum)?;
        let mut waiting = at.list_in(&self.waiting, &time_ms)?;
        let flights = waiting.get()?.into_owned();
        waiting.clear()?;
        for flight in flights {
            let was_away = at.value(&self.profile)?.get()?.is_none();
            at.value(&self.lifetime)?.update(|lifetime| {
                let lifetime = lifetime.get_or_insert_default();
                lifetime.returns += u64::from(was_away && lifetime.flights > 0);
                lifetime.flights += 1;
            })?;
            at.value(&self.profile)?.update(|profile| profile.get_or_insert_default().add(&flight))?;
            at.map(&self.destinations)?.update(flight.dest, |count| *count = Some(count.unwrap_or_default() + 1))?;
            if let Some(delay) = flight.arr_delay {
                let mut latest = at.list(&self.delays)?;
                let mut delays = latest.get()?.into_owned();
                if delays.len() == LATEST {
                    delays.remove(0);
                }
                delays.push(delay);
                latest.set(delays)?;
                at.reducing(&self.worst)?.add(delay)?;
                at.aggregating(&self.mean)?.add(delay)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, tailnum: &String) -> Result<Value> {
        let mut at = self.state.backend.key(tailnum)?;
        let mut destinations = serde_json::Map::new();
        for entry in at.map(&self.destinations)?.entries()? {
            let (destination, count) = entry?;
            destinations.insert(destination.into_owned(), json!(count.into_owned()));
        }
        Ok(json!({
            "aircraft": tailnum,
            "lifetime": at.value(&self.lifetime)?.get()?,
            "profile": at.value(&self.profile)?.get()?,
            "destinations": destinations,
            "delays": at.list(&self.delays)?.get()?,
            "worst": at.reducing(&self.worst)?.get()?,
            "mean": at.aggregating(&self.mean)?.get()?,
        }))
    }
}

impl Profile {
    fn add(&mut self, flight: &Flight) {
        self.flights += 1;
        self.minutes += flight.air_time.unwrap_or_default();
        let arrived = flight.arr_delay.is_some();
        self.last_airport.clone_from(if arrived { &flight.dest } else { &flight.origin });
    }
}

impl Operator for Aircraft {
    fn on_record(&mut self, record: SourceRecord) -> Result<()> {
        let SourceRecord::Flight(flight) = record else {
            return Err(Error::internal("the operator of aircraft got an airline"));
        };
        let tailnum = flight.tailnum.clone();
        let time_ms = flight.time_ms;
        let mut at = self.state.backend.key(&tailnum)?;
        at.list_in(&self.waiting, &time_ms)?.add(flight)?;
        at.timers(&self.due)?.register(TimeDomain::Event, time_ms)?;
        Ok(())
    }

    fn on_watermark(&mut self, watermark_ms: i64) -> Result<()> {
        while let Some(timer) = self.state.backend.pop_due_timer(&self.due, TimeDomain::Event, watermark_ms)? {
            self.process(&timer.key, timer.timestamp_ms)?;
        }
        Ok(())
    }

    fn snapshot(&mut self, id: CheckpointId) -> Result<PendingPart> {
        self.state.snapshot(id)
    }

    fn notify(&mut self, notification: Notification) {
        self.state.notify(notification);
    }

    fn report(&mut self, end_ms: i64) -> Result<Vec<Value>> {
        self.clock.set_ms(end_ms);
        let mut tailnums = Vec::new();
        self.state.backend.for_each_key(&self.lifetime, |tailnum, ()| tailnums.push(tailnum.clone()))?;
        tailnums.iter().map(|tailnum| self.line(tailnum)).collect()
    }
}
