//! Snapshots while the state goes on changing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Cluster, FORMATS, Plan, cluster};
use crate::backend::handle::{MapHandle, ValueHandle};
use crate::backend::{BackendConfig, KeyedSnapshotFormat};
use crate::error::ErrorKind;
use crate::serializer::{Str, U64};
use crate::state::{MapDescriptor, MapState, ValueDescriptor, ValueState};

const VALUE: ValueDescriptor<Str> = ValueDescriptor::new("value", Str);
const MAP: MapDescriptor<U64, U64> = MapDescriptor::new("map", U64, U64);

type Content = BTreeMap<String, (Option<String>, BTreeMap<u64, u64>)>;

struct Job {
    cluster: Cluster<Str>,
    values: Vec<ValueHandle<String>>,
    maps: Vec<MapHandle<u64, u64>>,
}

impl Job {
    fn over(mut cluster: Cluster<Str>) -> Job {
        let values = cluster.register(|backend| backend.register_value(&VALUE)).unwrap();
        let maps = cluster.register(|backend| backend.register_map(&MAP)).unwrap();
        Job { cluster, values, maps }
    }

    /// Sets, changes and removes; what it does differs from round to round.
    fn work(&mut self, round: u64, records: u64) {
        for number in 0..records {
            let key = format!("key-{}", (number * 31 + round * 17) % 400);
            let (at, backend) = self.cluster.backend(&key).unwrap();
            let mut context = backend.key(&key).unwrap();
            match (number + round) % 5 {
                0 => context.value(&self.values[at]).unwrap().clear().unwrap(),
                1 => context.map(&self.maps[at]).unwrap().remove(&(number % 7)).unwrap(),
                2 => context.map(&self.maps[at]).unwrap().put(number % 7, number + round).unwrap(),
                _ => {
                    let mut value = context.value(&self.values[at]).unwrap();
                    value
                        .update(|value| *value = Some(format!("{}/{round}", value.take().map_or(0, |it| it.len()))))
                        .unwrap();
                }
            }
        }
    }

    fn content(&self) -> Content {
        let mut content = Content::new();
        for (at, subtask) in self.cluster.subtasks.iter().enumerate() {
            let value = |key: &String, (): &(), value: &String| {
                content.entry(key.clone()).or_default().0 = Some(value.clone());
            };
            subtask.keyed.for_each_value(&self.values[at], value).unwrap();
            let entry = |key: &String, (): &(), user_key: &u64, value: &u64| {
                content.entry(key.clone()).or_default().1.insert(*user_key, *value);
            };
            subtask.keyed.for_each_map_entry(&self.maps[at], entry).unwrap();
        }
        content
    }
}

/// Up to five at a time, written in any order, each showing its own moment for all its life.
pub(super) fn s_30_overlapping_snapshots_never_change(config: &BackendConfig) {
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
        let mut job = Job::over(cluster(config, 2));
        job.work(0, 1000);
        let mut taken: Vec<Option<_>> = Vec::new();
        for round in 1..=5 {
            taken.push(Some((job.cluster.take().unwrap(), job.content())));
            job.work(round, 200 * (round % 3));
        }
        let last = job.content();
        for (position, index) in order.into_iter().enumerate() {
            let (snapshot, expected) = taken[index].take().unwrap();
            let format = FORMATS[(position + index) % 2];
            let checkpoint = job.cluster.publish(snapshot, format).unwrap();
            let restored = Cluster::restore(job.cluster.plan.clone(), Str, 3, &checkpoint).unwrap();
            assert_eq!(Job::over(restored).content(), expected, "snapshot {index}, written in order {order:?}");
            assert_eq!(job.content(), last);
        }
        job.work(9, 500);
        let (again, expected) = (job.cluster.checkpoint(KeyedSnapshotFormat::Canonical).unwrap(), job.content());
        let restored = Cluster::restore(job.cluster.plan.clone(), Str, 1, &again).unwrap();
        assert_eq!(Job::over(restored).content(), expected);
    }
}

/// Number of rounds of the race between a writer of state and writers of snapshots.
const RACES: u64 = 40;

/// On other threads, two at a time, with the state changing as fast as it can.
pub(super) fn s_37_snapshots_are_written_while_the_state_changes(config: &BackendConfig) {
    let mut job = Job::over(cluster(config, 1));
    job.work(0, 2000);
    std::thread::scope(|scope| {
        let mut writers = std::collections::VecDeque::new();
        for round in 1..=RACES {
            let (taken, expected) = (job.cluster.take().unwrap(), job.content());
            let writer = Cluster::new(job.cluster.plan.clone(), Str, 1).unwrap();
            writers.push_back(scope.spawn(move || {
                let checkpoint = writer.publish(taken, FORMATS[(round % 2) as usize]).unwrap();
                let restored = Cluster::restore(writer.plan.clone(), Str, 2, &checkpoint).unwrap();
                assert_eq!(Job::over(restored).content(), expected, "round {round}");
            }));
            job.work(round, 300);
            if writers.len() == 2 {
                writers.pop_front().unwrap().join().unwrap();
            }
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

/// Written, dropped, aborted at its first or a later key group, or failed: after some operations nothing is left of it.
pub(super) fn finished_and_aborted_snapshots_hold_nothing(config: &BackendConfig) {
    for end in 0..5 {
        let mut job = Job::over(cluster(config, 1));
        job.work(0, 1000);
        let taken = job.cluster.take().unwrap();
        job.work(1, 300);
        let held = |job: &Job| {
            let statistics =
                ["value", "map"].map(|name| job.cluster.subtasks[0].keyed.statistics(name).unwrap().unwrap());
            statistics.iter().map(|it| it.layered_changes + it.unsettled_groups).sum::<usize>()
        };
        match end {
            0 => drop(job.cluster.publish(taken, KeyedSnapshotFormat::Canonical).unwrap()),
            1 => drop(taken),
            _ => {
                let asked = AtomicU64::new(0);
                let keep_going = || asked.fetch_add(1, Ordering::Relaxed) < [0, 3, 15][end - 2];
                let error = job.cluster.publish_while(taken, FORMATS[end % 2], &keep_going).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Aborted, "{error}");
                assert!(!error.to_string().is_empty());
            }
        }
        let expected = job.content();
        for _ in 0..20 {
            for number in 0..100 {
                let key = format!("key-{number}");
                let (at, backend) = job.cluster.backend(&key).unwrap();
                let mut context = backend.key(&key).unwrap();
                context.value(&job.values[at]).unwrap().update(|_| {}).unwrap();
                context.map(&job.maps[at]).unwrap().update(0, |_| {}).unwrap();
            }
        }
        assert_eq!(held(&job), 0, "ended by {end}");
        assert_eq!(job.content(), expected, "ended by {end}");
    }
}

pub(super) fn a_snapshot_of_nothing(config: &BackendConfig) {
    for format in FORMATS {
        for registers in [false, true] {
            let mut cluster = cluster(config, 3);
            if registers {
                cluster.register(|backend| backend.register_value(&VALUE)).unwrap();
            }
            let checkpoint = cluster.checkpoint(format).unwrap();
            let manifest = cluster.plan.manifest(&checkpoint).unwrap();
            assert_eq!(manifest.objects().count(), 0, "nothing is stored for nothing");
            let mut restored = Cluster::restore(cluster.plan, Str, 2, &checkpoint).unwrap();
            assert!(Job::over(restored.restart(format, 1).unwrap()).content().is_empty());
            restored = Cluster::new(Plan::new(config), Str, 1).unwrap();
            assert!(restored.subtasks[0].keyed.carried_states().is_empty());
        }
    }
}

/// However many overlap, each restores to its own moment, and so does the state once all have ended.
pub(super) fn any_number_of_snapshots_may_overlap(config: &BackendConfig) {
    let mut job = Job::over(cluster(config, 1));
    let mut taken = Vec::new();
    for round in 0..50 {
        job.work(round, 100);
        taken.push((job.cluster.take().unwrap(), job.content()));
    }
    for (index, (snapshot, expected)) in taken.into_iter().enumerate() {
        if index % 7 != 3 {
            continue;
        }
        let checkpoint = job.cluster.publish(snapshot, FORMATS[index % 2]).unwrap();
        let restored = Cluster::restore(job.cluster.plan.clone(), Str, 2, &checkpoint).unwrap();
        assert_eq!(Job::over(restored).content(), expected, "snapshot {index}");
    }
    job.work(50, 100);
    let content = job.content();
    let checkpoint = job.cluster.checkpoint(KeyedSnapshotFormat::Native).unwrap();
    let restored = Cluster::restore(job.cluster.plan, Str, 1, &checkpoint).unwrap();
    assert_eq!(Job::over(restored).content(), content);
}

/// Sets, removals, clears and insertions of a key and its neighbours between taking a snapshot and writing it, read back before,
/// while and after: reads never show the snapshot's moment, and the snapshot never shows theirs.
pub(super) fn changes_during_a_snapshot_read_back(config: &BackendConfig) {
    for format in FORMATS {
        for end in 0..3 {
            let mut job = Job::over(cluster(config, 1));
            job.work(0, 500);
            let (taken, before) = (job.cluster.take().unwrap(), job.content());
            let mut expected = before.clone();
            let keys: Vec<String> =
                before.keys().cloned().chain((0..20).map(|number| format!("new {number}"))).collect();
            for (number, key) in (0_u64..).zip(&keys) {
                let entry = expected.entry(key.clone()).or_default();
                let (at, backend) = job.cluster.backend(key).unwrap();
                let mut context = backend.key(key).unwrap();
                let mut value = context.value(&job.values[at]).unwrap();
                match number % 3 {
                    0 => {
                        value.clear().unwrap();
                        entry.0 = None;
                    }
                    1 => {
                        value.set(format!("set {number}")).unwrap();
                        entry.0 = Some(format!("set {number}"));
                    }
                    _ => {}
                }
                assert_eq!(value.get().unwrap().as_deref(), entry.0.as_ref(), "{key}");
                let mut map = context.map(&job.maps[at]).unwrap();
                if number % 4 == 0 {
                    map.clear().unwrap();
                    entry.1.clear();
                }
                map.put(1000, number).unwrap();
                entry.1.insert(1000, number);
                map.remove(&(number % 7)).unwrap();
                entry.1.remove(&(number % 7));
                let found: BTreeMap<u64, u64> = map
                    .entries()
                    .unwrap()
                    .map(|entry| entry.map(|(user_key, value)| (*user_key, *value)).unwrap())
                    .collect();
                assert_eq!(found, entry.1, "{key}");
            }
            assert_eq!(job.content(), expected);
            match end {
                0 => drop(taken),
                1 => drop(job.cluster.publish_while(taken, format, &|| false).unwrap_err()),
                _ => {
                    let checkpoint = job.cluster.publish(taken, format).unwrap();
                    let restored = Cluster::restore(job.cluster.plan.clone(), Str, 2, &checkpoint).unwrap();
                    assert_eq!(Job::over(restored).content(), before, "{format:?}");
                }
            }
            assert_eq!(job.content(), expected, "ended by {end}");
            let again = job.cluster.restart(format, 2).unwrap();
            assert_eq!(Job::over(again).content(), expected, "{format:?} after {end}");
        }
    }
}
