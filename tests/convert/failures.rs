//! Damaged sources, full disks, interruptions: nothing is published, the source stays, and it can be run again.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use millpond::ErrorKind;
use millpond::backend::{BackendConfig, KeyedSnapshotFormat};
use millpond::convert::{Destination, Format, Options, convert};
use millpond::random::SystemRandom;
use millpond::storage::fault::{Fault, FaultPlan, FaultStorage};
use millpond::storage::{LocalStorage, MemoryStorage, ObjectPath, Storage, layout};

use super::job::{EmptyDirectory, Stored, filled, options, text};

fn source(format: KeyedSnapshotFormat) -> Stored {
    Stored::of(&mut filled(&BackendConfig::default(), 2, 16), format)
}

/// The objects of a storage, byte for byte.
fn bytes(storage: &dyn Storage) -> Vec<(ObjectPath, Vec<u8>)> {
    let read = |path: &ObjectPath| storage.open(path).unwrap().as_slice().to_vec();
    storage.list(None).unwrap().into_iter().map(|object| (object.path.clone(), read(&object.path))).collect()
}

fn copied(source: &Stored, change: impl Fn(&ObjectPath, &mut Vec<u8>)) -> Stored {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 30));
    for (path, mut bytes) in bytes(&*source.storage) {
        change(&path, &mut bytes);
        assert!(matches!(storage.commit(&path, &bytes), millpond::storage::CommitOutcome::Committed));
    }
    Stored { storage, directory: source.directory.clone() }
}

/// A changed byte anywhere in the data is found, whatever the target; the error names the file; nothing is published.
#[test]
fn damage_is_found_and_named() {
    let scratch = EmptyDirectory::new();
    for format in [KeyedSnapshotFormat::Canonical, KeyedSnapshotFormat::Native] {
        let source = source(format);
        let names: Vec<String> = source.manifest().objects().map(|object| object.name.clone()).collect();
        for (number, name) in names.iter().enumerate() {
            let length = bytes(&*source.storage).iter().find(|(path, _)| path.file_name() == name).unwrap().1.len();
            for at in (number * 7..length).step_by(length / 12 + 1) {
                let damaged = copied(&source, |path, bytes| {
                    if path.file_name() == name {
                        bytes[at] ^= 0x40;
                    }
                });
                for to in Format::ALL {
                    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 30));
                    let converted = Stored { storage, directory: ObjectPath::parse("converted").unwrap() };
                    let error = damaged.convert_to(&converted, &options(to, &scratch.path())).unwrap_err();
                    assert!(text(&error).contains(name.as_str()), "byte {at}: {error}");
                    let manifest = layout::manifest(&converted.directory).unwrap();
                    assert_eq!(converted.storage.length(&manifest).unwrap(), None, "{error}");
                }
            }
        }
        scratch.check();
    }
}

/// A missing object, and a shorter one.
#[test]
fn missing_and_truncated_files_are_named() {
    let (scratch, source) = (EmptyDirectory::new(), source(KeyedSnapshotFormat::Native));
    let name = source.manifest().objects().next().unwrap().name.clone();
    let short = copied(&source, |path, bytes| {
        if path.file_name() == name {
            bytes.pop();
        }
    });
    let gone = copied(&source, |_, _| {});
    let path = bytes(&*gone.storage).into_iter().find(|(path, _)| path.file_name() == name).unwrap().0;
    gone.storage.delete(&path).unwrap();
    for (damaged, kind) in [(short, ErrorKind::Corrupt), (gone, ErrorKind::NotFound)] {
        let error = damaged.convert(&options(Format::Canonical, &scratch.path())).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(text(&error).contains(&name), "{error}");
    }
    scratch.check();
}

/// A destination that fills up at any point: an error, no manifest, an untouched source; elsewhere it works.
#[test]
fn a_full_destination_publishes_nothing() {
    let (scratch, source) = (EmptyDirectory::new(), source(KeyedSnapshotFormat::Native));
    let before = bytes(&*source.storage);
    for to in Format::ALL {
        let (whole, _) = source.convert(&options(to, &scratch.path())).unwrap();
        let needed: usize = bytes(&*whole.storage).iter().map(|(_, bytes)| bytes.len()).sum();
        for limit in [0, 1, needed / 3, needed / 2, needed - 1000] {
            let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(limit as u64));
            let full = Stored { storage, directory: ObjectPath::parse("converted").unwrap() };
            let error = full_error(&source, &full, &options(to, &scratch.path()));
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{to}, {limit} of {needed}: {error}");
            let manifest = layout::manifest(&full.directory).unwrap();
            assert_eq!(full.storage.length(&manifest).unwrap(), None);
        }
    }
    assert_eq!(bytes(&*source.storage), before, "the source was touched");
    scratch.check();
}

fn full_error(source: &Stored, full: &Stored, options: &Options) -> millpond::Error {
    source.convert_to(full, options).unwrap_err()
}

/// A fault at every operation of the destination: a second run into a new directory gives the same as without.
#[test]
fn a_fault_at_every_operation_of_the_destination() {
    let (scratch, source) = (EmptyDirectory::new(), source(KeyedSnapshotFormat::Canonical));
    let options = Options { parallelism: Some(3), ..options(Format::NativeHeap, &scratch.path()) };
    let mut operation = 0;
    loop {
        let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 30));
        let plan = FaultPlan::at(operation, Fault::FailBefore);
        let storage: Arc<dyn Storage> = Arc::new(FaultStorage::new(Arc::clone(&inner), plan.clone()));
        let directory = ObjectPath::parse("converted").unwrap();
        let broken = Stored { storage, directory: directory.clone() };
        let outcome = source.convert_to(&broken, &options);
        let clean = Stored { storage: inner, directory };
        if plan.has_fired() {
            assert!(outcome.is_err(), "operation {operation}");
            assert_eq!(clean.storage.length(&layout::manifest(&clean.directory).unwrap()).unwrap(), None);
        } else {
            outcome.unwrap();
            assert!(operation > 10, "{operation} operations");
            return scratch.check();
        }
        operation += 1;
    }
}

/// Ended by its caller at any moment. What is left in the directory is refused with what to do; after that it works.
#[test]
fn an_interrupted_conversion_can_be_run_again() {
    let (scratch, directory) = (EmptyDirectory::new(), tempfile::tempdir().unwrap());
    let mut cluster = filled(&BackendConfig::default(), 2, 16);
    cluster.plan.storage = Arc::new(LocalStorage::create(directory.path().join("jobs")).unwrap());
    let source = Stored::of(&mut cluster, KeyedSnapshotFormat::Canonical);
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::create(directory.path()).unwrap());
    let destination =
        Destination { storage, directory: ObjectPath::parse("converted").unwrap(), random: Arc::new(SystemRandom) };
    let opened = source.open(&scratch.path());
    let options = options(Format::Canonical, &scratch.path());
    // A conversion of so little is not asked before its end, so it is left half-done by hand.
    let sink = destination.storage.create(&destination.directory.join(&"0".repeat(32)).unwrap()).unwrap();
    sink.finish().unwrap();
    let error = convert(&opened, &destination, &options, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    for part in ["1 objects and no manifest", "remove the directory and run it again", "converted"] {
        assert!(text(&error).contains(part), "{error}");
    }
    std::fs::remove_dir_all(directory.path().join("converted")).unwrap();
    let report = convert(&opened, &destination, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(report.keyed_digest, Some(source.manifest().keyed_digest().unwrap()));
    let again = convert(&opened, &destination, &options, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(text(&again).contains("is a snapshot already"), "{again}");
    scratch.check();
}

/// Databases are not opened for a source that nobody trusts.
#[test]
fn databases_of_strangers_are_refused() {
    let (scratch, source) = (EmptyDirectory::new(), source(KeyedSnapshotFormat::Canonical));
    let (database, _) = source.convert(&options(Format::NativeRocksDb, &scratch.path())).unwrap();
    let storage = Arc::clone(&database.storage);
    let stranger = millpond::snapshot::SnapshotReader::open(storage, database.directory.clone()).unwrap();
    let destination = Destination {
        storage: Arc::new(MemoryStorage::new(1 << 30)),
        directory: ObjectPath::parse("converted").unwrap(),
        random: Arc::new(SystemRandom),
    };
    let options = options(Format::Canonical, &scratch.path());
    let error = convert(&stranger, &destination, &options, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.kind() == ErrorKind::Incompatible && text(&error).contains("trusted"), "{error}");
}

/// A scratch directory that cannot be written to is named.
#[test]
fn a_scratch_directory_that_cannot_be_used_is_named() {
    let source = source(KeyedSnapshotFormat::Native);
    let error = source.convert(&options(Format::Canonical, Path::new("/proc/nothing"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(text(&error).contains("/proc/nothing"), "{error}");
}
