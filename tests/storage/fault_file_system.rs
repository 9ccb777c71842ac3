//! Storage in a directory with a fault at every operation it asks of the file system.

use std::io;
use std::sync::Arc;

use millpond::random::SeededRandom;
use millpond::storage::fault::{Action, Fault, FaultFileSystem, FaultPlan};
use millpond::storage::{Blob, CommitOutcome, File, FileMetadata, FileSystem, LocalStorage, Storage, SystemFileSystem};
use millpond::{Error, ErrorKind, Result};

use super::{commit, fast_directory, files_below, listed, path};

const OLD: &[u8] = b"the previous checkpoint";
const NEW: &[u8] = b"the new checkpoint";

fn data() -> Vec<u8> {
    (0..1_000_u32).flat_map(u32::to_be_bytes).collect()
}

/// What the caller was told in one run.
struct Told {
    data: Result<()>,
    manifest: CommitOutcome,
    deleted: Result<()>,
}

/// A data file in three pieces, then a manifest, as a checkpoint does; then the previous one is deleted.
fn checkpoint(storage: &dyn Storage) -> Told {
    let data = write_data(storage);
    let manifest = storage.commit(&path("job/chk-2/_metadata"), NEW);
    let deleted = storage.delete(&path("job/chk-1/_metadata"));
    Told { data, manifest, deleted }
}

fn write_data(storage: &dyn Storage) -> Result<()> {
    let mut writer = storage.create(&path("job/chk-2/data"))?;
    for piece in data().chunks(1_500) {
        writer.write(piece)?;
    }
    writer.finish()
}

fn run(plan: &FaultPlan) -> (tempfile::TempDir, Told) {
    let root = fast_directory();
    let files = Arc::new(SystemFileSystem::open(root.path()).unwrap());
    commit(&LocalStorage::open(root.path()).unwrap(), "job/chk-1/_metadata", OLD);
    let faulty = FaultFileSystem::new(files, plan.clone());
    let told = checkpoint(&LocalStorage::over(Arc::new(faulty), Arc::new(SeededRandom::new(9))));
    (root, told)
}

/// Whether an object is there with all of its bytes. Anything in between fails the test.
fn is_there(storage: &dyn Storage, name: &str, bytes: &[u8]) -> bool {
    match storage.open(&path(name)) {
        Ok(found) => {
            assert!(*found == *bytes, "{name} has {} bytes, not the {} written", found.len(), bytes.len());
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
            false
        }
    }
}

/// What somebody finds who opens the directory afterwards has to agree with what the caller was told.
fn check(plan: &FaultPlan, root: &tempfile::TempDir, told: &Told) {
    let storage = LocalStorage::open(root.path()).unwrap();
    let data_is_there = is_there(&storage, "job/chk-2/data", &data());
    match &told.data {
        Ok(()) => assert!(data_is_there, "finished, but not there"),
        Err(error) if error.kind() == ErrorKind::Uncertain => {}
        Err(error) => assert!(!data_is_there, "there in spite of {error:?}"),
    }
    let manifest_is_there = is_there(&storage, "job/chk-2/_metadata", NEW);
    match &told.manifest {
        CommitOutcome::Committed => assert!(manifest_is_there, "committed, but not there"),
        CommitOutcome::NotCommitted(error) => assert!(!manifest_is_there, "there in spite of {error:?}"),
        CommitOutcome::Unknown(error) => assert_eq!(error.kind(), ErrorKind::Uncertain),
    }
    let old_is_there = is_there(&storage, "job/chk-1/_metadata", OLD);
    assert!(!old_is_there || told.deleted.is_err(), "deleted, but there");
    let names = listed(&storage);
    assert_eq!(names.len(), [data_is_there, manifest_is_there, old_is_there].into_iter().filter(|is| *is).count());
    assert_eq!(plan.violations(), [""; 0]);
    for error in errors(told) {
        assert!(error.to_string().contains(root.path().to_str().unwrap()), "does not say where: {error}");
    }
}

fn errors(told: &Told) -> impl Iterator<Item = &Error> {
    let manifest = match &told.manifest {
        CommitOutcome::Committed => None,
        CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => Some(error),
    };
    told.data.as_ref().err().into_iter().chain(manifest).chain(told.deleted.as_ref().err())
}

#[test]
fn whatever_fails_the_caller_is_told_the_truth() {
    let clean = FaultPlan::none();
    let (root, told) = run(&clean);
    check(&clean, &root, &told);
    assert!(errors(&told).next().is_none());
    let operations = clean.count();
    assert!(operations > 20, "{operations} operations");

    let kinds = [
        io::ErrorKind::Other,
        io::ErrorKind::StorageFull,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::AlreadyExists,
        io::ErrorKind::NotFound,
    ];
    // No caller can see through a file system that denies a file which is there.
    let looks_up: Vec<u64> = (0..)
        .zip(clean.log())
        .filter(|(_, operation)| matches!(operation.action, Action::Metadata | Action::RemoveFile))
        .map(|(number, _)| number)
        .collect();
    for operation in 0..operations {
        for fault in Fault::ALL {
            for kind in kinds {
                let crashes = matches!(fault, Fault::CrashBefore | Fault::CrashAfter);
                if kind == io::ErrorKind::NotFound && (crashes || looks_up.contains(&operation)) {
                    continue;
                }
                let plan = FaultPlan::at(operation, fault).with_error(kind);
                let (root, told) = run(&plan);
                assert!(plan.has_fired());
                check(&plan, &root, &told);
                if !crashes {
                    check_tidy(&plan, &root);
                }
            }
        }
    }
}

/// A process that lives on leaves no temporary file, unless removing it was what failed.
fn check_tidy(plan: &FaultPlan, root: &tempfile::TempDir) {
    let faulted = plan.log().into_iter().find(|operation| operation.fault.is_some()).unwrap();
    let left: Vec<String> = files_below(root.path()).into_iter().filter(|file| file.ends_with(".tmp")).collect();
    // A file whose creation was reported as failed is not known to be ours.
    let excused = matches!(faulted.action, Action::RemoveFile | Action::CreateFile);
    assert!(left.is_empty() || excused, "{left:?} left behind after {faulted}");
}

/// Whatever a crash leaves behind, the next process can take the checkpoint.
#[test]
fn after_a_crash_anywhere_the_next_attempt_succeeds() {
    let clean = FaultPlan::none();
    run(&clean);
    for operation in 0..clean.count() {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let (root, _) = run(&FaultPlan::at(operation, fault));
            let storage = LocalStorage::open(root.path()).unwrap();
            if !is_there(&storage, "job/chk-2/data", &data()) {
                write_data(&storage).unwrap();
            }
            if !is_there(&storage, "job/chk-2/_metadata", NEW) {
                commit(&storage, "job/chk-2/_metadata", NEW);
            }
            storage.delete(&path("job/chk-1/_metadata")).unwrap();
            assert_eq!(listed(&storage), ["job/chk-2/_metadata", "job/chk-2/data"]);
        }
    }
}

/// Somebody who sees part of a list would take the rest for dead.
#[test]
fn a_list_is_whole_or_an_error() {
    let root = fast_directory();
    let files = Arc::new(SystemFileSystem::open(root.path()).unwrap());
    for name in ["a/b/c", "a/d", "e/f"] {
        commit(&LocalStorage::open(root.path()).unwrap(), name, b"x");
    }
    let over = |plan: &FaultPlan| {
        let files = FaultFileSystem::new(files.clone(), plan.clone());
        LocalStorage::over(Arc::new(files), Arc::new(SeededRandom::new(9)))
    };
    let clean = FaultPlan::none();
    assert_eq!(listed(&over(&clean)), ["a/b/c", "a/d", "e/f"]);
    assert!(clean.log().iter().filter(|operation| operation.action == Action::ReadDirectory).count() == 4);
    for operation in 0..clean.count() {
        let error = over(&FaultPlan::at(operation, Fault::FailBefore)).list(None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains(root.path().to_str().unwrap()), "{error}");
    }
}

#[test]
fn an_interrupted_write_is_repeated_and_a_short_one_continued() {
    for fault in [Fault::FailBefore, Fault::Short] {
        for number in 0..3 {
            let plan = FaultPlan::none()
                .and_at_action(Action::WriteFile, number, fault)
                .with_error(io::ErrorKind::Interrupted);
            let (root, told) = run(&plan);
            assert!(plan.has_fired());
            told.data.as_ref().unwrap();
            check(&plan, &root, &told);
        }
    }
}

#[test]
fn an_object_with_a_broken_write_cannot_be_finished() {
    for fault in [Fault::FailBefore, Fault::FailAfter, Fault::Partial] {
        let root = fast_directory();
        let plan = FaultPlan::none().and_at_action(Action::WriteFile, 1, fault);
        let files = FaultFileSystem::new(Arc::new(SystemFileSystem::open(root.path()).unwrap()), plan);
        let storage = LocalStorage::over(Arc::new(files), Arc::new(SeededRandom::new(9)));
        let mut writer = storage.create(&path("a/b")).unwrap();
        writer.write(b"fine").unwrap();
        assert!(writer.write(b"broken").is_err());
        assert_eq!(writer.write(b"too late").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(files_below(root.path()), [""; 0]);
    }
}

/// A file system whose files are as full as can be: what is written goes to `/dev/full`.
#[derive(Debug)]
struct FullDisk(SystemFileSystem);

struct FullFile(std::fs::File);

impl File for FullFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut self.0, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FileSystem for FullDisk {
    fn full_path(&self, path: &str) -> String {
        self.0.full_path(path)
    }

    fn create_file(&self, path: &str) -> io::Result<Box<dyn File>> {
        self.0.create_file(path)?;
        Ok(Box::new(FullFile(std::fs::File::options().write(true).open("/dev/full")?)))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.0.create_directory(path)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.0.sync_directory(path)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.link(from, to)
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.0.remove_file(path)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.0.remove_directory(path)
    }

    fn read_directory(&self, path: &str) -> io::Result<Vec<String>> {
        self.0.read_directory(path)
    }

    fn metadata(&self, path: &str) -> io::Result<Option<FileMetadata>> {
        self.0.metadata(path)
    }

    fn read_file(&self, path: &str) -> io::Result<Blob> {
        self.0.read_file(path)
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_with_the_file_and_the_bytes_and_loses_nothing() {
    let root = fast_directory();
    let healthy = LocalStorage::open(root.path()).unwrap();
    commit(&healthy, "job/chk-1/_metadata", OLD);
    let full = FullDisk(SystemFileSystem::open(root.path()).unwrap());
    let storage = LocalStorage::over(Arc::new(full), Arc::new(SeededRandom::new(2)));
    let told = checkpoint_without_deletion(&storage);
    for error in [told.0.unwrap_err(), told.1] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let text = error.to_string();
        assert!(text.contains("the disk is full") && text.contains("job/chk-2/"), "{text}");
        assert!(text.contains("1500 bytes") || text.contains("18 bytes"), "{text}");
    }
    assert_eq!(files_below(root.path()), ["job/chk-1/_metadata"]);
    assert!(is_there(&healthy, "job/chk-1/_metadata", OLD));
}

fn checkpoint_without_deletion(storage: &dyn Storage) -> (Result<()>, Error) {
    let data = write_data(storage);
    match storage.commit(&path("job/chk-2/_metadata"), NEW) {
        CommitOutcome::NotCommitted(error) => (data, error),
        other => panic!("{other:?}"),
    }
}
