//! Objects that tasks own: who writes, keeps, and deletes them.

use std::sync::Arc;

use millpond::ErrorKind;
use millpond::backend::operator::{OperatorBackend, OperatorParameters};
use millpond::checkpoint::driver::{Origin, Setup};
use millpond::checkpoint::inventory::Inventory;
use millpond::checkpoint::inventory::sweep::Sweep;
use millpond::checkpoint::restore::ClaimMode;
use millpond::format::manifest::{ObjectRef, ObjectScope, SnapshotKind};
use millpond::format::section::Sink;
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::{MaxParallelism, Parallelism};
use millpond::random::SeededRandom;
use millpond::serializer::Msgpack;
use millpond::snapshot::task_owned::{MOST_COPIED_BYTES, Reference};
use millpond::snapshot::{
    SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, TaskOwned, assemble, publish, relocate,
};
use millpond::state::{OperatorListDescriptor, OperatorListState};
use millpond::storage::fault::{Fault, FaultPlan, FaultStorage};
use millpond::storage::layout::JobLayout;
use millpond::storage::{CommitOutcome, MemoryStorage, ObjectPath, Storage};

use crate::checkpoint::driver::world::{JOB, World, checkpoint_of, setup};

const OTHER: JobId = JobId([0x0e; 16]);
const UID: &str = "sink";

fn storage() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new(64 << 20))
}

fn owned_by(storage: &Arc<dyn Storage>, job: JobId, seed: u64) -> TaskOwned {
    TaskOwned::new(Arc::clone(storage), job, Arc::new(SeededRandom::new(seed)))
}

fn target(storage: &Arc<dyn Storage>, directory: ObjectPath) -> SnapshotTarget {
    SnapshotTarget::new(Arc::clone(storage), directory, Arc::new(SeededRandom::new(99)))
}

fn path_of(job: JobId, object: &ObjectRef) -> ObjectPath {
    JobLayout::new(job).task_owned().join(&object.name).unwrap()
}

fn savepoint(job: JobId) -> ObjectPath {
    JobLayout::new(job).new_savepoint(&SeededRandom::new(5)).unwrap()
}

#[test]
fn an_object_is_what_was_written_until_its_owner_deletes_it() {
    let storage = storage();
    let owned = owned_by(&storage, JOB, 1);
    let mut sink = owned.create().unwrap();
    sink.write(b"one ").unwrap();
    assert_eq!(storage.list(None).unwrap(), [], "nobody sees an object that is not finished");
    sink.write(b"two").unwrap();
    let first = sink.finish().unwrap().unwrap();
    let second = owned.write(b"three").unwrap();
    assert_eq!((first.scope, first.length), (ObjectScope::TaskOwned, 7));
    assert_eq!(owned.read(&first).unwrap().as_slice(), b"one two");
    assert_eq!(storage.length(&path_of(JOB, &first)).unwrap(), Some(7));
    owned.delete(&first).unwrap();
    owned.delete(&first).unwrap();
    assert_eq!(owned.read(&first).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(owned.read(&second).unwrap().as_slice(), b"three");
    assert_eq!(owned.write(b"").unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_was_exchanged_is_neither_read_nor_deleted() {
    let storage = storage();
    let owned = owned_by(&storage, JOB, 1);
    let object = owned.write(b"content").unwrap();
    for (bytes, can_be_deleted) in [(&b"Content"[..], true), (b"longer than it was", false)] {
        storage.delete(&path_of(JOB, &object)).unwrap();
        assert!(matches!(storage.commit(&path_of(JOB, &object), bytes), CommitOutcome::Committed));
        let error = owned.read(&object).unwrap_err();
        assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some("digest")), "{error}");
        assert_eq!(owned.delete(&object).is_ok(), can_be_deleted);
    }
    // Only what lies in the directory of task-owned objects can be reached at all.
    for (scope, name) in [(ObjectScope::Shared, object.name.as_str()), (ObjectScope::TaskOwned, "../shared/x")] {
        let other = ObjectRef { scope, name: name.to_owned(), ..object.clone() };
        assert_eq!(owned.delete(&other).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(owned.read(&other).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_write_that_fails_anywhere_leaves_nothing_that_is_taken_for_an_object() {
    let write = |storage: Arc<dyn Storage>| {
        let mut sink = owned_by(&storage, JOB, 1).create()?;
        sink.write(b"one ")?;
        sink.write(b"two")?;
        sink.finish()
    };
    let clean = FaultPlan::none();
    write(Arc::new(FaultStorage::new(storage(), clean.clone()))).unwrap();
    for operation in 0..clean.count() {
        for fault in Fault::ALL {
            let inner = storage();
            let failed = write(Arc::new(FaultStorage::new(Arc::clone(&inner), FaultPlan::at(operation, fault))));
            for info in inner.list(None).unwrap() {
                assert_eq!(inner.open(&info.path).unwrap().as_slice(), b"one two");
            }
            if let Ok(Some(object)) = failed {
                assert_eq!(owned_by(&inner, JOB, 1).read(&object).unwrap().as_slice(), b"one two");
            }
        }
    }
}

/// Writes operator state that refers to `objects`, to `directory`, and publishes it.
fn publish_references(
    storage: &Arc<dyn Storage>,
    directory: &ObjectPath,
    job: JobId,
    objects: &[ObjectRef],
) -> millpond::Result<()> {
    let max = MaxParallelism::new(4).unwrap();
    let target = target(storage, directory.clone());
    let owned = owned_by(storage, job, 7);
    let mut backend = OperatorBackend::new(parameters());
    let list = backend.register_list(&descriptor()).unwrap();
    let references = objects.iter().map(|object| owned.reference(object, &target)).collect::<Result<Vec<_>, _>>()?;
    references.into_iter().for_each(|reference| backend.list(&list).unwrap().add(reference).unwrap());
    let snapshot = backend.snapshot();
    let is_savepoint = directory.parent().is_none();
    let report = SubtaskReport {
        operator: UID.to_owned(),
        subtask: SubtaskIndex(0),
        parallelism: Parallelism::new(1, max).unwrap(),
        max_parallelism: max,
        key: None,
        states: snapshot.states(),
        keyed: None,
        operator_state: snapshot.write(&target)?,
    };
    let kind = if is_savepoint { SnapshotKind::Savepoint } else { SnapshotKind::Checkpoint };
    let label = SnapshotLabel { job, checkpoint: CheckpointId(1), kind, created_ms: 0 };
    let manifest = assemble(label, vec![report]).unwrap();
    assert!(matches!(publish(&**storage, directory, &manifest), CommitOutcome::Committed));
    Ok(())
}

fn parameters() -> OperatorParameters {
    let parallelism = Parallelism::new(1, MaxParallelism::new(4).unwrap()).unwrap();
    OperatorParameters { operator: UID.to_owned(), subtask: SubtaskIndex(0), parallelism }
}

fn descriptor() -> OperatorListDescriptor<Msgpack<Reference>> {
    OperatorListDescriptor::split("files", Msgpack::new())
}

/// The references that the snapshot in `directory` holds.
fn references(storage: &Arc<dyn Storage>, directory: &ObjectPath) -> Vec<Reference> {
    let snapshot = SnapshotReader::open(Arc::clone(storage), directory.clone()).unwrap();
    let mut backend = OperatorBackend::restore(parameters(), &snapshot.operator(UID).unwrap()).unwrap();
    let list = backend.register_list(&descriptor()).unwrap();
    backend.list(&list).unwrap().get().unwrap().to_vec()
}

#[test]
fn operator_state_finds_its_objects_after_a_restart_and_after_a_start_as_another_job() {
    let storage = storage();
    let owned = owned_by(&storage, JOB, 1);
    let objects = [owned.write(b"first").unwrap(), owned.write(&[7; 100_000]).unwrap()];
    publish_references(&storage, &checkpoint_of(JOB, 1), JOB, &objects).unwrap();
    let kept = references(&storage, &checkpoint_of(JOB, 1));
    let again = owned_by(&storage, JOB, 2);
    for (reference, object) in kept.iter().zip(&objects) {
        assert_eq!(again.resolve(reference).unwrap(), *object);
    }
    // Another job gets copies of its own, and what it does to them is nothing to the first one.
    let other = owned_by(&storage, OTHER, 3);
    for (reference, object) in kept.iter().zip(&objects) {
        let copy = other.resolve(reference).unwrap();
        assert_eq!(other.read(&copy).unwrap().as_slice(), owned.read(object).unwrap().as_slice());
        assert_ne!(copy.name, object.name);
        other.delete(&copy).unwrap();
        owned.read(object).unwrap();
    }
    owned.delete(&objects[0]).unwrap();
    for who in [&again, &other] {
        assert_eq!(who.resolve(&kept[0]).unwrap_err().kind(), ErrorKind::NotFound);
        who.resolve(&kept[1]).unwrap();
    }
}

#[test]
fn a_savepoint_takes_copies_and_refuses_what_is_too_long() {
    let storage = storage();
    let owned = owned_by(&storage, JOB, 1);
    let object = owned.write(b"not handed over yet").unwrap();
    let directory = savepoint(JOB);
    publish_references(&storage, &directory, JOB, std::slice::from_ref(&object)).unwrap();
    // Nothing but the savepoint is left, at another place.
    let moved: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 20));
    for info in storage.list(Some(&directory)).unwrap() {
        let bytes = storage.open(&info.path).unwrap();
        assert!(matches!(moved.commit(&info.path, bytes.as_slice()), CommitOutcome::Committed));
    }
    let other = owned_by(&moved, OTHER, 2);
    let resolved = other.resolve(&references(&moved, &directory)[0]).unwrap();
    assert_eq!(other.read(&resolved).unwrap().as_slice(), b"not handed over yet");

    let long = ObjectRef { length: MOST_COPIED_BYTES + 1, ..object.clone() };
    let error = owned.reference(&long, &target(&storage, savepoint(JOB))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("savepoint stands alone") && error.message().contains("delete it"), "{error}");
    let error = owned.reference(&object, &target(&storage, checkpoint_of(OTHER, 1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    // Nor can a savepoint's own objects lie there, or its manifest name any.
    let beside = target(&storage, savepoint(JOB)).new_object_in(ObjectScope::TaskOwned);
    assert_eq!(beside.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_copied_checkpoint_still_refers_to_the_job_it_was_of() {
    let storage = storage();
    let owned = owned_by(&storage, JOB, 1);
    let object = owned.write(b"content").unwrap();
    publish_references(&storage, &checkpoint_of(JOB, 1), JOB, std::slice::from_ref(&object)).unwrap();
    let source = SnapshotReader::open(Arc::clone(&storage), checkpoint_of(JOB, 1)).unwrap();
    let copy = savepoint(OTHER);
    relocate(&source, &target(&storage, copy.clone()), &mut |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    let other = owned_by(&storage, OTHER, 2);
    let resolved = other.resolve(&references(&storage, &copy)[0]).unwrap();
    assert_eq!(other.read(&resolved).unwrap().as_slice(), b"content");
}

/// A driver that takes over, completes, subsumes, collects, is started from elsewhere with a claim: what tasks own stays.
#[test]
fn no_collector_touches_what_tasks_own() {
    let storage = storage();
    let owned = owned_by(&storage, JOB, 1);
    let kept = owned.write(b"kept").unwrap();
    for seed in 1..4 {
        let mut world = World::open(setup(&storage, JOB, seed, 1), seed as i64 * 100_000).unwrap();
        for number in 0..4 {
            world.put(1, &format!("{seed} {number}"));
            world.checkpoint();
        }
        world.now_ms += 10_000_000;
        world.checkpoint();
        assert_eq!(world.kept().len(), 1);
    }
    let newest = World::open(setup(&storage, JOB, 9, 1), 900_000).unwrap().kept()[0];
    let origin = Origin { place: String::new(), directory: checkpoint_of(JOB, newest), claim: ClaimMode::Claim };
    let mut world = World::open(Setup { origin: Some(origin), ..setup(&storage, OTHER, 4, 1) }, 1_000_000).unwrap();
    for number in 0..4 {
        world.put(2, &format!("other {number}"));
        world.now_ms += 10_000_000;
        world.checkpoint();
    }
    assert!(storage.length(&checkpoint_of(JOB, newest).join("_metadata").unwrap()).unwrap().is_none(), "not collected");
    let sweep = Sweep::plan(&storage, i64::MAX, 0).unwrap();
    assert_eq!((sweep.task_owned, sweep.task_owned_bytes), (1, 4));
    sweep.carry_out(&storage, &millpond::random::SystemRandom, 0).unwrap();
    assert_eq!(owned.read(&kept).unwrap().as_slice(), b"kept");
    let inventory = Inventory::read(&storage).unwrap();
    let job = inventory.jobs.iter().find(|job| job.id == JOB).unwrap();
    assert_eq!(job.task_owned().into_keys().collect::<Vec<_>>(), [path_of(JOB, &kept)]);
    assert!(!job.unreferenced().contains_key(&path_of(JOB, &kept)));
    owned.delete(&kept).unwrap();
    assert!(Inventory::read(&storage).unwrap().jobs.iter().all(|job| job.task_owned().is_empty()));
}
