//! Timers as raw keyed state: what RocksDB with heap timers writes in checkpoints, and old versions of Flink wrote.
//!
//! Every key group repeats the names and serializers of all timer services. Unlike in managed state the key comes first
//! and the timestamp is plain.
//!
//! Sources: `InternalTimerServiceSerializationProxy`, `InternalTimersSnapshotReaderWriters`,
//! `PostVersionedIOReadableWritable`.

use std::sync::Arc;

use super::key_group::Placement;
use super::primitive::Primitives;
use super::serializer::Snapshot;
use super::value::Value;
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::key_group::{KeyGroup, MaxParallelism};

/// Says that a version follows.
const MARKER: [u8; 4] = [0xF1, 0xCD, 0x85, 0x9F];

/// The only version since Flink 1.17.
const VERSION: i32 = 2;

/// What a timer's timestamp counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Domain {
    /// The time in records, as watermarks tell it.
    Event,
    /// The time of the machine.
    Processing,
}

/// A timer.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTimer {
    /// Name of the timer service.
    pub service: Arc<str>,
    /// What the timestamp counts.
    pub domain: Domain,
    /// When it fires, in milliseconds.
    pub timestamp: i64,
    /// Key.
    pub key: Value,
    /// Namespace.
    pub namespace: Value,
}

/// What a key group says of a timer service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerService {
    /// Name of the service.
    pub name: Arc<str>,
    /// Serializer of the keys.
    pub key: Snapshot,
    /// Serializer of the namespaces.
    pub namespace: Snapshot,
}

/// Iterator over the timers of one key group. Ends after the first error.
#[derive(Debug)]
pub struct RawTimers<'a> {
    input: Reader<'a>,
    placement: Placement,
    services_left: usize,
    current: Option<Service>,
    seen: Vec<TimerService>,
    ended: bool,
}

#[derive(Debug)]
struct Service {
    service: TimerService,
    domain: Domain,
    timers_left: usize,
}

impl<'a> RawTimers<'a> {
    /// The timers of a key group. `bytes` reach from where the handle says that the group begins to where the next one
    /// does, or to the end of the stream; `base` is the position of the first of them.
    ///
    /// Bytes that are not Flink's timers are [`Incompatible`](crate::ErrorKind::Incompatible): raw state can be
    /// anything.
    pub fn open(group: KeyGroup, max: MaxParallelism, bytes: &'a [u8], base: u64) -> Result<Self> {
        let mut input = Reader::with_base(bytes, base);
        let services_left = services(&mut input).map_err(|error| error.in_key_group(group.0))?;
        Ok(RawTimers {
            input,
            placement: Placement { group, max },
            services_left,
            current: None,
            seen: Vec::new(),
            ended: false,
        })
    }

    /// The timer services that came up so far; all of them once the iterator has ended.
    pub fn services(&self) -> &[TimerService] {
        &self.seen
    }

    fn read(&mut self) -> Result<Option<RawTimer>> {
        loop {
            let Some(service) = &mut self.current else {
                let Some(left) = self.services_left.checked_sub(1) else {
                    self.input.clone().finish("end of key group")?;
                    return Ok(None);
                };
                self.services_left = left;
                let service = Service::read(&mut self.input)?;
                self.seen.push(service.service.clone());
                self.current = Some(service);
                continue;
            };
            match (service.timers_left.checked_sub(1), service.domain) {
                (Some(left), _) => {
                    service.timers_left = left;
                    return service.timer(self.placement, &mut self.input).map(Some);
                }
                (None, Domain::Event) => {
                    service.domain = Domain::Processing;
                    service.timers_left = self.input.items(8, "number of timers")?;
                }
                (None, Domain::Processing) => self.current = None,
            }
        }
    }
}

fn services(input: &mut Reader<'_>) -> Result<usize> {
    let start = input.clone();
    let unknown = |message: String| Error::incompatible(message).at_offset(start.offset()).in_field("raw keyed state");
    if !input.rest().starts_with(&MARKER) {
        return Err(unknown("raw keyed state that is no timers of a Flink since 1.4".into()));
    }
    input.raw(MARKER.len(), "timer marker")?;
    match input.i32("timer version")? {
        VERSION => input.items(2, "number of timer services"),
        version => Err(unknown(format!("raw timers of version {version}, version {VERSION} can be read"))),
    }
}

impl Service {
    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let name = input.utf("timer service")?.into();
        let key = Snapshot::read(input)?;
        let namespace = Snapshot::read(input)?;
        let timers_left = input.items(8, "number of timers")?;
        Ok(Service { service: TimerService { name, key, namespace }, domain: Domain::Event, timers_left })
    }

    fn timer(&self, placement: Placement, input: &mut Reader<'_>) -> Result<RawTimer> {
        let TimerService { name, key, namespace } = &self.service;
        Ok(RawTimer {
            service: name.clone(),
            domain: self.domain,
            key: placement.read_key(key, input)?,
            namespace: namespace.read_value(input)?,
            timestamp: input.i64("timer timestamp")?,
        })
    }
}

impl Iterator for RawTimers<'_> {
    type Item = Result<RawTimer>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read().map_err(|error| error.in_key_group(self.placement.group.0)).transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

#[cfg(test)]
mod tests;
