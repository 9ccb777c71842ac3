//! Recovery of the RocksDB backend that fails or is killed anywhere, and is done again (S-21).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use millpond::backend::conformance::{Cluster, Dump, Plan};
use millpond::backend::{BackendConfig, KeyedSnapshotFormat};
use millpond::codec::digest;
use millpond::serializer::{Str, U64};
use millpond::state::{ListDescriptor, ListState, MapDescriptor, MapState, ValueDescriptor, ValueState};
use millpond::storage::fault::{Fault, FaultPlan, FaultStorage};
use millpond::storage::{LocalStorage, ObjectPath, Storage};
use millpond::{ErrorKind, Result};

use super::rocksdb::{scratch, small};

/// A cluster of two subtasks with a checkpoint, its content, and what was stored.
struct Left {
    storage: Arc<dyn Storage>,
    plan: Plan,
    checkpoint: ObjectPath,
    content: Dump,
    objects: BTreeMap<ObjectPath, millpond::codec::Digest>,
}

/// Everything in a storage.
fn objects(storage: &dyn Storage) -> BTreeMap<ObjectPath, millpond::codec::Digest> {
    let listed = storage.list(None).unwrap().into_iter();
    listed.map(|info| (info.path.clone(), digest(storage.open(&info.path).unwrap().as_slice()))).collect()
}

fn leave(directory: &Path, format: KeyedSnapshotFormat) -> Left {
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::create(directory.join("checkpoints")).unwrap());
    let config = BackendConfig::rocksdb(small(&directory.join("local")));
    let plan = Plan::new(&config).with_storage(Arc::clone(&storage));
    let mut cluster = Cluster::new(plan.clone(), Str, 2).unwrap();
    let values = cluster.register(|backend| backend.register_value(&ValueDescriptor::new("value", U64))).unwrap();
    let lists = cluster.register(|backend| backend.register_list(&ListDescriptor::new("list", U64))).unwrap();
    let maps = cluster.register(|backend| backend.register_map(&MapDescriptor::new("map", Str, U64))).unwrap();
    let mut checkpoint = None;
    // Tables of several ages.
    for number in 0..600 {
        let key = format!("key-{}", number % 97);
        let (at, backend) = cluster.backend(&key).unwrap();
        let mut context = backend.key(&key).unwrap();
        context.value(&values[at]).unwrap().set(number).unwrap();
        context.list(&lists[at]).unwrap().add(number).unwrap();
        context.map(&maps[at]).unwrap().put(format!("item-{}", number % 5), number).unwrap();
        if number % 200 == 199 {
            checkpoint = Some(cluster.checkpoint(format).unwrap());
        }
    }
    let checkpoint = checkpoint.unwrap();
    plan.retain(std::slice::from_ref(&checkpoint)).unwrap();
    let content = plan.dump(&checkpoint).unwrap();
    Left { objects: objects(&*storage), storage, plan, checkpoint, content }
}

impl Left {
    fn restore(&self, faults: &FaultPlan, parallelism: u32) -> Result<Cluster<Str>> {
        let faulty = Arc::new(FaultStorage::new(Arc::clone(&self.storage), faults.clone()));
        let plan = self.plan.clone().with_storage(faulty);
        Cluster::restore(plan, Str, parallelism, &self.checkpoint)
    }

    /// Nothing stored has changed, and no directory is left behind.
    fn check_untouched(&self, directory: &Path, what: &str) {
        assert!(objects(&*self.storage) == self.objects, "{what}: recovery changed what is stored");
        assert_eq!(directory.join("local").read_dir().unwrap().count(), 0, "{what}");
    }
}

#[test]
fn s_21_a_recovery_that_fails_at_any_operation_is_done_again() {
    for format in [KeyedSnapshotFormat::Canonical, KeyedSnapshotFormat::Native, KeyedSnapshotFormat::Incremental] {
        let directory = scratch();
        let left = leave(directory.path(), format);
        for parallelism in [1, 2, 3] {
            let counted = FaultPlan::none();
            drop(left.restore(&counted, parallelism).unwrap());
            assert!(counted.count() >= 3, "{format:?}: {} operations", counted.count());
            for number in 0..counted.count() {
                let fault = [Fault::FailBefore, Fault::FailAfter, Fault::CrashBefore][number as usize % 3];
                let what = format!("{format:?}, parallelism {parallelism}, {fault:?} at {number}");
                let error = left.restore(&FaultPlan::at(number, fault), parallelism).map(|_| ()).expect_err(&what);
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{what}: {error}");
                left.check_untouched(directory.path(), &what);
                // The next try fails elsewhere, and so does the one after that.
                for again in [number * 7 % counted.count(), number / 2] {
                    assert!(left.restore(&FaultPlan::at(again, Fault::CrashBefore), parallelism).is_err(), "{what}");
                }
                left.check_untouched(directory.path(), &what);
            }
            let mut recovered = left.restore(&FaultPlan::none(), parallelism).unwrap();
            recovered.plan.storage = Arc::clone(&left.storage);
            let next = recovered.checkpoint(KeyedSnapshotFormat::Canonical).unwrap();
            assert!(left.plan.dump(&next).unwrap() == left.content, "{format:?}, parallelism {parallelism}");
            drop(recovered);
            left.plan.retain(std::slice::from_ref(&left.checkpoint)).unwrap();
        }
    }
}
