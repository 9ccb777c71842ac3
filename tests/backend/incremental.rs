//! Chains of incremental snapshots.
//!
//! `MILLPOND_CHAIN_LENGTH` and `MILLPOND_CHAIN_SEED` set how long the chain is and where its choices come from.

use std::collections::BTreeMap;

use millpond::backend::conformance::{Cluster, Plan, chain};
use millpond::backend::heap::Folding;
use millpond::backend::{BackendConfig, BackendKind, KeyedSnapshotFormat};
use millpond::format::manifest::{KeyedHandle, ObjectScope};
use millpond::serializer::U64;
use millpond::state::{ValueDescriptor, ValueState};

use super::from_environment;

fn chain_of(config: &BackendConfig, length: u64) {
    let kind = config.kind;
    let length = from_environment("MILLPOND_CHAIN_LENGTH").unwrap_or(length);
    let seed = from_environment("MILLPOND_CHAIN_SEED").unwrap_or(200);
    let compared = chain(config, length, seed);
    println!("a chain of {length} on {kind}, seed {seed}: {compared} checkpoints compared");
    assert!(compared as u64 >= length);
}

#[test]
fn a_chain_of_200_on_the_heap() {
    chain_of(&BackendConfig::new(BackendKind::Heap), 200);
}

#[cfg(feature = "rocksdb")]
#[test]
fn a_chain_of_200_on_rocksdb() {
    let directory = super::rocksdb::scratch();
    chain_of(&BackendConfig::rocksdb(super::rocksdb::small(directory.path())), 200);
}

/// Stores chains of snapshots with ever other changes, and gives the last handle of each.
fn handles(folding: Folding, rounds: u64) -> Vec<KeyedHandle> {
    const VALUE: ValueDescriptor<U64> = ValueDescriptor::new("value", U64);
    let mut config = BackendConfig::new(BackendKind::Heap);
    config.folding = folding;
    let mut cluster = Cluster::new(Plan::new(&config), U64, 1).unwrap();
    let handle = cluster.register(|backend| backend.register_value(&VALUE)).unwrap()[0];
    let set = |cluster: &mut Cluster<U64>, key: u64, value: u64| {
        let (_, backend) = cluster.backend(&key).unwrap();
        backend.key(&key).unwrap().value(&handle).unwrap().set(value).unwrap();
    };
    (0..2000).for_each(|key| set(&mut cluster, key, 0));
    let mut handles = Vec::new();
    for round in 0..rounds {
        // From one key group to nearly all of them.
        (0..1 + round % 20).for_each(|at| set(&mut cluster, round * 7 + at, round));
        let taken = cluster.take().unwrap();
        let versions = taken.versions();
        let checkpoint = cluster.publish(taken, KeyedSnapshotFormat::Incremental).unwrap();
        cluster.confirm(&versions);
        let manifest = cluster.plan.manifest(&checkpoint).unwrap();
        handles.push(*manifest.operators[0].subtasks[0].keyed.clone().unwrap());
    }
    handles
}

#[test]
fn what_a_snapshot_keeps_alive_is_bounded() {
    for (folding, factor) in [
        (Folding::DEFAULT, 2.0),
        (Folding { max_objects: 3, min_live_percent: 80 }, 1.25),
        (Folding { max_objects: 0, min_live_percent: 0 }, 1.0),
    ] {
        let mut referred = 0;
        for handle in handles(folding, 60) {
            let live: u64 = handle.sections.iter().map(|section| section.length).sum();
            let kept: u64 = handle.objects.iter().map(|object| object.length).sum();
            assert!(kept as f64 <= live as f64 * factor, "{kept} bytes are kept for {live}: {folding:?}");
            assert!(handle.objects.len() <= folding.max_objects + 1, "{} objects", handle.objects.len());
            assert!(handle.objects.iter().all(|object| object.scope == ObjectScope::Shared));
            referred += handle.objects.len() - 1;
        }
        assert_eq!(referred > 0, folding.max_objects > 0, "{folding:?}");
    }
}

/// Without changes nothing is written; what was written is never written again.
#[test]
fn groups_that_did_not_change_are_not_written_again() {
    let handles = handles(Folding { max_objects: 1000, min_live_percent: 0 }, 40);
    let mut stored: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for pair in handles.windows(2) {
        for handle in pair {
            for section in &handle.sections {
                let object = handle.objects[section.object as usize].name.clone();
                let known = *stored.entry((object, section.offset)).or_insert(section.checksum);
                assert_eq!(known, section.checksum);
            }
        }
        let same = pair[1].sections.iter().filter(|section| {
            let (before, object) = pair[0].section(section.group).unwrap();
            *object == pair[1].objects[section.object as usize] && before.offset == section.offset
        });
        // Up to twenty keys changed, in a group each at most.
        assert!(same.count() + 20 >= 16, "too much was written again");
    }
    let first_changes = handles[1].sections.iter().filter(|section| {
        handles[0]
            .section(section.group)
            .is_some_and(|(_, object)| *object == handles[1].objects[section.object as usize])
    });
    assert!(first_changes.count() >= 14, "two keys changed");
}
