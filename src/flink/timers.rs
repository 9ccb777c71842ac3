//! Raw keyed state that consists of timers, as if it were managed.

use std::ops::ControlFlow;

use super::files::Stream;
use crate::error::{Error, Result};
use crate::format::flink::header::{KeyedHeader, StateInfo, StateType};
use crate::format::flink::metadata::KeyGroupsHandle;
use crate::format::flink::serializer::{Snapshot, TypeSerializer};
use crate::format::flink::timer::{Domain, RawTimer, RawTimers, TimerService};
use crate::format::flink::value::Form;
use crate::format::flink::{Content, KeyedEntry};
use crate::key_group::{KeyGroup, MaxParallelism};

/// A stream of raw timers. Its states are the queues that managed timers would have.
#[derive(Debug)]
pub(super) struct TimerFile {
    stream: Stream,
    extents: Vec<(KeyGroup, u64, u64)>,
    max: MaxParallelism,
    header: KeyedHeader,
}

/// Name of the queue of a timer service.
fn queue_name(service: &str, domain: Domain) -> String {
    match domain {
        Domain::Event => format!("_timer_state/event_{service}"),
        Domain::Processing => format!("_timer_state/processing_{service}"),
    }
}

impl TimerFile {
    /// Opens a stream; reads its first key group, which tells the timer services. Bytes that are no timers are
    /// [`Incompatible`](crate::ErrorKind::Incompatible).
    pub(super) fn open(handle: &KeyGroupsHandle, max: MaxParallelism, stream: Stream) -> Result<Self> {
        let extents = handle.offsets.extents(handle.stream.size());
        let mut file = TimerFile { stream, extents, max, header: KeyedHeader::empty() };
        if let Some((group, ..)) = file.extents.first() {
            let mut timers = file.timers(*group)?;
            let failed = timers.by_ref().find_map(Result::err);
            if let Some(error) = failed {
                return Err(file.stream.locate(error));
            }
            let services = timers.services().to_vec();
            file.header = header(&services)?;
        }
        Ok(file)
    }

    pub(super) fn header(&self) -> &KeyedHeader {
        &self.header
    }

    fn timers(&self, group: KeyGroup) -> Result<RawTimers<'_>> {
        let position = self.extents.binary_search_by_key(&group, |(group, ..)| *group).ok();
        let Some((_, start, end)) = position.and_then(|position| self.extents.get(position)) else {
            return Err(Error::internal("timers of a key group without any"));
        };
        let range = usize::try_from(*start).ok().zip(usize::try_from(*end).ok());
        let block = range.and_then(|(start, end)| self.stream.as_ref().get(start..end)).unwrap_or_default();
        RawTimers::open(group, self.max, block, *start).map_err(|error| self.stream.locate(error))
    }

    pub(super) fn visit_group<F: Form>(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        mut visit: impl FnMut(u16, KeyedEntry<F>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        if self.extents.binary_search_by_key(&group, |(group, ..)| *group).is_err() {
            return Ok(ControlFlow::Continue(()));
        }
        for timer in self.timers(group)? {
            let RawTimer { service, domain, timestamp, key, namespace } =
                timer.map_err(|error| self.stream.locate(error))?;
            let name = queue_name(&service, domain);
            let position = self.header.states.iter().position(|state| state.name == name);
            let Some(id) = position.and_then(|position| u16::try_from(position).ok()) else {
                let message = format!("timer service {service:?} is not in the first key group");
                return Err(self.stream.locate(Error::incompatible(message).in_key_group(group.0)));
            };
            let content = Content::Timer { timestamp };
            let entry = KeyedEntry { key: F::of(key), namespace: F::of(namespace), content };
            if wanted(id) && visit(id, entry)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The key groups that have bytes.
    pub(super) fn groups(&self) -> impl Iterator<Item = (KeyGroup, u64)> {
        self.extents.iter().map(|(group, start, end)| (*group, end.saturating_sub(*start)))
    }
}

/// The header that a file of managed timers would have.
fn header(services: &[TimerService]) -> Result<KeyedHeader> {
    let mut header = KeyedHeader::empty();
    for TimerService { name, key, namespace } in services {
        header.key.get_or_insert_with(|| key.clone());
        let (key, namespace) = (Box::new(key.clone()), Box::new(namespace.clone()));
        let timer = Snapshot::of(TypeSerializer::Timer { key, namespace })?;
        for domain in [Domain::Event, Domain::Processing] {
            header.states.push(StateInfo {
                name: queue_name(name, domain),
                state_type: StateType::PriorityQueue,
                options: Vec::new(),
                serializers: vec![("VALUE_SERIALIZER".to_owned(), timer.clone())],
            });
        }
    }
    header.state_count = header.states.len();
    Ok(header)
}
