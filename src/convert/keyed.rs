//! Keyed state on its way from the source to the destination.

use super::output::{Output, with_output};
use super::plan::OperatorPlan;
use super::source::{KeyOrder, Record, Source};
use super::tally::Tally;
use super::{Meter, Work};
use crate::codec::{Reader, Writer};
use crate::convert::options::Format;
use crate::error::{Error, Result};
use crate::format::manifest::KeyedHandle;
use crate::format::record::StateKind;
use crate::key_group::KeyGroup;
use crate::sort::{Place, Sorter};

/// Length of what precedes the key of a timer: domain and timestamp.
const TIMER_BYTES: usize = 1 + 8;

/// Converts the keyed state of an operator: the handle of each subtask that has any.
pub(super) fn convert(
    work: &mut Work<'_>,
    source: &dyn Source,
    plan: &OperatorPlan,
    tally: &mut Tally,
) -> Result<Vec<Option<KeyedHandle>>> {
    if plan.states.iter().all(|state| !state.target.kind.is_keyed()) {
        return Ok(vec![None; usize::try_from(plan.parallelism.get()).unwrap_or(usize::MAX)]);
    }
    let is_ordered = source.key_order(plan.source) == KeyOrder::Ascending || work.options.to == Format::NativeHeap;
    let order = match (plan.rehashes(), is_ordered) {
        (true, _) => Order::Whole,
        (false, false) => Order::Group,
        (false, true) => Order::AsIs,
    };
    let Work { target, options, scratch, meter, spilled_bytes } = work;
    with_output(target, options.to, scratch.path()?, plan, |output| {
        let sorter = Sorter::new(Some(scratch), options.memory_bytes);
        let mut pass = Pass { plan, tally, meter, output, sorter, order, group: None, value: Writer::new() };
        source.keyed(plan.source, &mut |record| pass.record(record))?;
        pass.finish()?;
        *spilled_bytes = spilled_bytes.saturating_add(pass.sorter.spilled_bytes());
        Ok(())
    })
}

/// What has to be brought into order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Nothing.
    AsIs,
    /// Each key group on its own.
    Group,
    /// Everything.
    Whole,
}

/// One pass over the keyed state of an operator.
struct Pass<'p, 'o, 't, 'm> {
    plan: &'p OperatorPlan,
    tally: &'p mut Tally,
    meter: &'p mut Meter<'m>,
    output: &'p mut Output<'o, 't>,
    sorter: Sorter<'p>,
    order: Order,
    /// The key group that is being read.
    group: Option<KeyGroup>,
    value: Writer,
}

impl Pass<'_, '_, '_, '_> {
    fn record(&mut self, record: Record<'_>) -> Result<()> {
        self.meter.advance(record.key.len().saturating_add(record.value.len()))?;
        let Some((index, state)) =
            self.plan.position(record.state).and_then(|index| Some((index, self.plan.states.get(index)?)))
        else {
            return Ok(());
        };
        let kind = state.target.kind;
        let mut scratch = std::mem::take(&mut self.value);
        let value = state.stamping.apply(kind, record.value, &mut scratch);
        let value = value.map_err(|error| error.in_state(&state.source.name).in_key_group(record.group.0))?;
        let group = if self.plan.rehashes() { self.rehashed(kind, record.key)? } else { record.group };
        self.tally.add(index, Some(group), record.key, value);
        let done = self.place(group, index, record.key, value, record.group);
        self.value = scratch;
        done
    }

    fn place(&mut self, group: KeyGroup, state: usize, key: &[u8], value: &[u8], from: KeyGroup) -> Result<()> {
        if self.order == Order::AsIs {
            return self.output.pair(group, state, key, value);
        }
        if self.order == Order::Group && self.group != Some(from) {
            self.drain()?;
            self.group = Some(from);
        }
        let state = u16::try_from(state).map_err(|_| Error::internal("more states than a manifest can have"))?;
        self.sorter.push(Place { group, state }, key, value)
    }

    /// The key group of a key at the new max parallelism.
    fn rehashed(&self, kind: StateKind, key: &[u8]) -> Result<KeyGroup> {
        let mut input = Reader::new(key);
        if kind == StateKind::Timer {
            input.raw(TIMER_BYTES, "timer")?;
        }
        let start = input.position();
        self.plan.key().skip(&mut input)?;
        let group = self.plan.assignment.key_group(self.plan.key(), input.since(start), self.plan.max_parallelism)?;
        group.ok_or_else(|| {
            Error::incompatible(
                "the hash code of the keys is their program's own and cannot be computed; keep the max parallelism",
            )
        })
    }

    fn drain(&mut self) -> Result<()> {
        let output = &mut *self.output;
        let states = &self.plan.states;
        self.sorter.drain(&mut |place, key, value| {
            let state = usize::from(place.state);
            let named = |error: Error| match states.get(state) {
                Some(state) => error.in_state(&state.source.name),
                None => error,
            };
            output.pair(place.group, state, key, value).map_err(named)
        })
    }

    fn finish(&mut self) -> Result<()> {
        self.drain()
    }
}
