//! Tests of the real file system; what every local storage does is tested over it in `tests/storage`.

#![expect(clippy::disallowed_methods, reason = "tests put foreign files next to objects")]

use std::os::unix::fs::{MetadataExt, symlink};

use super::super::{FileKind, FileSystem, SystemFileSystem};
use crate::ErrorKind;

fn in_temporary_directory() -> (tempfile::TempDir, SystemFileSystem) {
    let directory = tempfile::tempdir().unwrap();
    let files = SystemFileSystem::open(directory.path()).unwrap();
    (directory, files)
}

fn put(files: &SystemFileSystem, path: &str, bytes: &[u8]) {
    let mut file = files.create_file(path).unwrap();
    assert_eq!(file.write(bytes).unwrap(), bytes.len());
    file.sync().unwrap();
}

#[test]
fn only_the_owner_may_use_what_is_created() {
    let (directory, files) = in_temporary_directory();
    files.create_directory("d").unwrap();
    put(&files, "d/f", b"x");
    let mode = |path: &str| std::fs::metadata(directory.path().join(path)).unwrap().mode() & 0o777;
    assert_eq!(mode("d"), 0o700);
    assert_eq!(mode("d/f"), 0o600);
}

#[test]
fn a_name_is_taken_once() {
    let (_directory, files) = in_temporary_directory();
    put(&files, "a", b"first");
    put(&files, "b", b"second");
    assert_eq!(files.create_file("a").err().unwrap().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(files.link("b", "a").unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(*files.read_file("a").unwrap(), *b"first");
    files.link("b", "c").unwrap();
    let identity = |path: &str| files.metadata(path).unwrap().unwrap().identity;
    assert_eq!(identity("b"), identity("c"));
    assert_ne!(identity("a"), identity("c"));
}

#[test]
fn large_files_are_mapped_small_and_empty_ones_are_read() {
    let (directory, files) = in_temporary_directory();
    for (name, length) in [("empty", 0), ("small", 1), ("large", 1 << 20)] {
        let bytes: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
        std::fs::write(directory.path().join(name), &bytes).unwrap();
        let blob = files.read_file(name).unwrap();
        assert_eq!(*blob, *bytes);
        assert_eq!(blob.is_mapped(), name == "large");
    }
    let files = files.without_mapping();
    assert!(!files.read_file("large").unwrap().is_mapped());
    assert_eq!(files.read_file("large").unwrap().len(), 1 << 20);
}

#[test]
fn a_map_outlives_the_name() {
    let (_directory, files) = in_temporary_directory();
    put(&files, "a", &[7; 100_000]);
    let blob = files.read_file("a").unwrap();
    assert!(blob.is_mapped());
    files.remove_file("a").unwrap();
    assert_eq!(*blob, [7; 100_000]);
}

#[test]
fn nothing_but_regular_files_is_read() {
    let (directory, files) = in_temporary_directory();
    put(&files, "target", b"secret");
    symlink(directory.path().join("target"), directory.path().join("link")).unwrap();
    symlink("nowhere", directory.path().join("dangling")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    let pipe = rustix::fs::mkfifoat(rustix::fs::CWD, directory.path().join("pipe"), rustix::fs::Mode::RUSR);
    pipe.unwrap();
    for (name, kind) in [
        ("link", FileKind::SymbolicLink),
        ("dangling", FileKind::SymbolicLink),
        ("socket", FileKind::Special),
        ("pipe", FileKind::Special),
    ] {
        assert_eq!(files.read_file(name).unwrap_err().kind(), std::io::ErrorKind::InvalidData, "{name}");
        assert_eq!(files.metadata(name).unwrap().unwrap().kind, kind, "{name}");
    }
    files.create_directory("directory").unwrap();
    assert_eq!(files.read_file("directory").unwrap_err().kind(), std::io::ErrorKind::IsADirectory);
}

#[test]
fn no_name_leads_out_of_the_root() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("f"), b"outside").unwrap();
    let (directory, files) = in_temporary_directory();
    symlink(outside.path(), directory.path().join("link")).unwrap();
    let kind = |error: std::io::Error| error.kind();
    for path in ["link/f", "link/new"] {
        assert_eq!(kind(files.read_file(path).unwrap_err()), std::io::ErrorKind::InvalidData, "{path}");
        assert_eq!(kind(files.create_file(path).err().unwrap()), std::io::ErrorKind::InvalidData, "{path}");
        assert_eq!(kind(files.remove_file(path).unwrap_err()), std::io::ErrorKind::InvalidData, "{path}");
        assert_eq!(kind(files.metadata(path).unwrap_err()), std::io::ErrorKind::InvalidData, "{path}");
    }
    for path in ["..", "../f", "a/../../f", "/etc/passwd", ".", "a//b"] {
        assert!(files.read_file(path).is_err(), "{path}");
        assert!(files.create_file(path).is_err(), "{path}");
        assert!(files.remove_file(path).is_err(), "{path}");
    }
    assert_eq!(std::fs::read(outside.path().join("f")).unwrap(), b"outside");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn a_root_that_is_moved_is_still_the_root() {
    let parent = tempfile::tempdir().unwrap();
    let files = SystemFileSystem::create(parent.path().join("a/b")).unwrap();
    put(&files, "f", b"x");
    std::fs::rename(parent.path().join("a"), parent.path().join("c")).unwrap();
    assert_eq!(*files.read_file("f").unwrap(), *b"x");
}

#[test]
fn a_missing_root_is_created_on_request_only() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("a/b/c");
    let error = SystemFileSystem::open(&root).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("a/b/c"), "{error}");
    SystemFileSystem::create(&root).unwrap();
    SystemFileSystem::create(&root).unwrap();
    assert_eq!(std::fs::metadata(&root).unwrap().mode() & 0o777, 0o700);
    std::fs::write(parent.path().join("file"), b"").unwrap();
    let error = SystemFileSystem::create(parent.path().join("file/below")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[test]
fn names_that_are_not_text_are_not_listed() {
    use std::os::unix::ffi::OsStrExt;
    let (directory, files) = in_temporary_directory();
    std::fs::write(directory.path().join(std::ffi::OsStr::from_bytes(b"\xff")), b"").unwrap();
    put(&files, "a", b"");
    assert_eq!(files.read_directory("").unwrap(), ["a"]);
    assert_eq!(files.read_directory("").unwrap(), ["a"]);
}

#[test]
fn a_name_outside_is_the_same_file_and_only_of_files() {
    let (directory, files) = in_temporary_directory();
    let outside = tempfile::tempdir_in(directory.path().parent().unwrap()).unwrap();
    let to = |name: &str| outside.path().join(name);
    put(&files, "a", b"bytes");
    assert!(files.link_outside("a", &to("a")).unwrap());
    let linked = std::fs::metadata(to("a")).unwrap();
    assert_eq!((linked.nlink(), linked.ino()), (2, files.metadata("a").unwrap().unwrap().identity.number));
    assert_eq!(files.link_outside("a", &to("a")).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    std::fs::remove_file(to("a")).unwrap();
    assert_eq!(*files.read_file("a").unwrap(), *b"bytes");
    assert_eq!(files.link_outside("none", &to("none")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    symlink(directory.path().join("a"), directory.path().join("link")).unwrap();
    assert_eq!(files.link_outside("link", &to("link")).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    files.create_directory("directory").unwrap();
    assert!(!files.link_outside("directory", &to("directory")).is_ok_and(|linked| linked));
    assert!(files.link_outside("../a", &to("b")).is_err());
    let files = files.without_linking();
    assert!(!files.link_outside("a", &to("c")).unwrap());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}
