//! Two subtasks with keyed and operator state.

use std::ops::Range;
use std::sync::Arc;

use millpond::Result;
use millpond::backend::KeyedSnapshotFormat;
use millpond::backend::conformance::Cluster;
use millpond::backend::handle::{BroadcastHandle, ListHandle, MapHandle, OperatorListHandle, TimerHandle, ValueHandle};
use millpond::ids::{CheckpointId, JobId};
use millpond::serializer::{Bytes, I64, Str, U64};
use millpond::state::{
    BroadcastDescriptor, BroadcastState, ListDescriptor, ListState, MapDescriptor, MapState, OperatorListDescriptor,
    OperatorListState, TimeDomain, TimerDescriptor, TimerState, ValueDescriptor, ValueState,
};
use millpond::storage::layout::JobLayout;
use millpond::storage::{CommitOutcome, ObjectPath, Storage};

use super::plan;

const COUNT: ValueDescriptor<U64> = ValueDescriptor::new("count", U64);
const BLOBS: ListDescriptor<Bytes> = ListDescriptor::new("blobs", Bytes);
const LAST: MapDescriptor<Str, I64> = MapDescriptor::new("last", Str, I64);
const TIMERS: TimerDescriptor = TimerDescriptor::new("timers");
const POSITIONS: OperatorListDescriptor<Bytes> = OperatorListDescriptor::split("positions", Bytes);
const RULES: BroadcastDescriptor<Str, U64> = BroadcastDescriptor::new("rules", Str, U64);

pub(super) struct Job {
    cluster: Cluster<Str>,
    count: Vec<ValueHandle<u64>>,
    blobs: Vec<ListHandle<Vec<u8>>>,
    last: Vec<MapHandle<String, i64>>,
    timers: Vec<TimerHandle>,
    positions: Vec<OperatorListHandle<Vec<u8>>>,
    rules: Vec<BroadcastHandle<String, u64>>,
}

impl Job {
    pub(super) fn start(storage: &Arc<dyn Storage>) -> Job {
        Self::over(Cluster::new(plan(storage), Str, 2).unwrap()).unwrap()
    }

    pub(super) fn restore(storage: &Arc<dyn Storage>, checkpoint: &ObjectPath, parallelism: u32) -> Result<Job> {
        Self::over(Cluster::restore(plan(storage), Str, parallelism, checkpoint)?)
    }

    fn over(mut cluster: Cluster<Str>) -> Result<Job> {
        Ok(Job {
            count: cluster.register(|backend| backend.register_value(&COUNT))?,
            blobs: cluster.register(|backend| backend.register_list(&BLOBS))?,
            last: cluster.register(|backend| backend.register_map(&LAST))?,
            timers: cluster.register(|backend| backend.register_timers(&TIMERS))?,
            positions: cluster.register_operator(|backend| backend.register_list(&POSITIONS))?,
            rules: cluster.register_operator(|backend| backend.register_broadcast(&RULES))?,
            cluster,
        })
    }

    /// Keyed state in many sections, and operator state too large for the manifest.
    pub(super) fn process(&mut self, records: Range<u64>) {
        for n in records {
            let key = format!("key-{}", n % 13);
            let (at, backend) = self.cluster.backend(&key).unwrap();
            let mut context = backend.key(&key).unwrap();
            context.value(&self.count[at]).unwrap().update(|count| *count = Some(count.unwrap_or(0) + n)).unwrap();
            context.list(&self.blobs[at]).unwrap().add(vec![n as u8; 900]).unwrap();
            context.map(&self.last[at]).unwrap().put(format!("{}", n % 3), n as i64).unwrap();
            context.timers(&self.timers[at]).unwrap().register(TimeDomain::Event, n as i64).unwrap();
            let operator = &mut self.cluster.subtasks[at].operator;
            operator.list(&self.positions[at]).unwrap().add(vec![n as u8; 900]).unwrap();
            for (subtask, rules) in self.cluster.subtasks.iter_mut().zip(&self.rules) {
                subtask.operator.broadcast(rules).unwrap().put(format!("rule-{}", n % 5), n).unwrap();
            }
        }
    }

    /// Everything there is, sorted. Operator lists are put together, as their elements move between subtasks.
    pub(super) fn state(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for (at, subtask) in self.cluster.subtasks.iter_mut().enumerate() {
            let keyed = &subtask.keyed;
            let timers = |key: &String, (): &(), domain, at| lines.push(format!("timer {key} {domain:?} {at}"));
            keyed.for_each_timer(&self.timers[at], timers).unwrap();
            keyed.for_each_value(&self.count[at], |key, (), count| lines.push(format!("count {key} {count}"))).unwrap();
            let blobs = |key: &String, (): &(), blobs: &[Vec<u8>]| {
                let short: Vec<_> = blobs.iter().map(|blob| (blob[0], blob.len())).collect();
                lines.push(format!("blobs {key} {short:?}"));
            };
            keyed.for_each_list(&self.blobs[at], blobs).unwrap();
            let last =
                |key: &String, (): &(), user_key: &String, n: &i64| lines.push(format!("last {key} {user_key} {n}"));
            keyed.for_each_map_entry(&self.last[at], last).unwrap();
            let positions = subtask.operator.list(&self.positions[at]).unwrap();
            for position in positions.get().unwrap() {
                lines.push(format!("position {} of {}", position[0], position.len()));
            }
            let rules = subtask.operator.broadcast(&self.rules[at]).unwrap();
            let mut rules = rules.entries().unwrap();
            rules.sort();
            let rules = format!("rules {rules:?}");
            if !lines.contains(&rules) {
                lines.push(rules);
            }
        }
        lines.sort();
        lines
    }

    pub(super) fn directory(&self, number: u64) -> ObjectPath {
        JobLayout::new(JobId([7; 16])).checkpoint(CheckpointId(number))
    }

    /// Takes a checkpoint on another storage than the job's own.
    pub(super) fn try_checkpoint(
        &mut self,
        number: CheckpointId,
        format: KeyedSnapshotFormat,
        storage: &Arc<dyn Storage>,
    ) -> Result<(CommitOutcome, ObjectPath)> {
        let taken = self.cluster.take()?;
        let own = std::mem::replace(&mut self.cluster.plan.storage, storage.clone());
        let outcome = self.cluster.publish_as(number, taken, format, &|| true);
        self.cluster.plan.storage = own;
        outcome
    }

    pub(super) fn checkpoint(&mut self, number: u64, format: KeyedSnapshotFormat) -> Result<ObjectPath> {
        let storage = self.cluster.plan.storage.clone();
        let (outcome, directory) = self.try_checkpoint(CheckpointId(number), format, &storage)?;
        match outcome {
            CommitOutcome::Committed => Ok(directory),
            CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => Err(error),
        }
    }
}
