//! The files that go into local directories and come out of them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::format::native_rocksdb::FileName;

/// Bytes that are copied at a time.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// A file of a database in a local directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalFile {
    pub(super) name: FileName,
    pub(super) path: PathBuf,
    /// Its length in bytes.
    pub(super) length: u64,
}

/// The files in a directory that make up the database there, in the order of their names.
///
/// What RocksDB keeps beside them is left out. A log that is not empty is an error, since its content would be missing; so is
/// whatever nobody knows.
pub(super) fn database_files(directory: &Path) -> Result<Vec<LocalFile>> {
    let listing = |error| failed("cannot list", directory, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(listing)? {
        let entry = entry.map_err(listing)?;
        let path = entry.path();
        let metadata = entry.metadata().map_err(|error| failed("cannot look at", &path, error))?;
        let (text, length) = (entry.file_name(), metadata.len());
        let text = text.to_string_lossy();
        match FileName::parse(&text) {
            Ok(name) if metadata.is_file() => files.push(LocalFile { name, path, length }),
            _ if is_beside(&text, length) => {}
            _ => {
                let message = format!("{text:?}, {length} bytes, is not a file that a stored database has");
                return Err(Error::internal(message).in_file(path.display()));
            }
        }
    }
    files.sort_by_key(|file| file.name);
    Ok(files)
}

/// Whether a file may lie beside a database without belonging to it.
fn is_beside(name: &str, length: u64) -> bool {
    let is_empty_log = name.ends_with(".log") && length == 0;
    is_empty_log
        || ["IDENTITY", "LOCK", "LOG"].contains(&name)
        || name.starts_with("OPTIONS-")
        || name.starts_with("LOG.old")
}

/// Creates a file that must not be there, which only its owner may read and write.
pub(super) fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| failed("cannot create", path, error))
}

/// Appends bytes to a file that was created here.
pub(super) fn append(file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
    file.write_all(bytes).map_err(|error| failed("cannot write", path, error))
}

/// Gives the content of a file to `take`, a chunk at a time. A file that became longer meanwhile is read to the length it
/// had; one that became shorter is an error.
pub(super) fn read(file: &LocalFile, take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let input = File::open(&file.path).map_err(|error| failed("cannot read", &file.path, error))?;
    read_from(input, file, take)
}

fn read_from(input: impl Read, file: &LocalFile, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let LocalFile { path, length, .. } = file;
    let reading = |error| failed("cannot read", path, error);
    let mut input = input.take(*length);
    let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(*length).unwrap_or(usize::MAX))];
    let mut left = *length;
    while left > 0 {
        let count = match input.read(&mut chunk) {
            Ok(0) => return Err(Error::internal(format!("{left} bytes less than there were")).in_file(path.display())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(reading(error)),
        };
        take(chunk.get(..count).unwrap_or_default())?;
        left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// What an error of the local file system means.
pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    let next = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space in the working directory",
        io::ErrorKind::PermissionDenied => "; let this user write there or choose another working directory",
        _ => "",
    };
    Error::unavailable(format!("{what} the local file or directory: {error}{next}"))
        .in_file(path.display())
        .because(error)
}

#[cfg(all(test, feature = "test-util"))]
mod tests {
    use super::*;
    use crate::storage::fault::Trickle;

    /// However its bytes trickle in, a file is taken whole: an empty one, and those around the length of a chunk.
    #[test]
    fn s_32_a_file_is_copied_in_pieces() {
        let most = CHUNK_BYTES + 1;
        let bytes: Vec<u8> = (0..most).map(|number| (number % 251) as u8).collect();
        for (length, seeds) in [(0, 4), (1, 20), (3_000, 20), (CHUNK_BYTES - 1, 2), (CHUNK_BYTES, 2), (most, 2)] {
            let file = LocalFile { name: FileName::Current, path: "made up".into(), length: length as u64 };
            for seed in 1..=seeds {
                let mut copy = Vec::new();
                read_from(Trickle::new(bytes.as_slice(), seed), &file, |piece| {
                    assert!(!piece.is_empty());
                    copy.extend_from_slice(piece);
                    Ok(())
                })
                .unwrap();
                assert!(copy == bytes[..length], "{length} bytes, seed {seed}");
            }
        }
    }

    #[test]
    fn s_32_a_file_that_became_shorter_is_an_error() {
        let file = LocalFile { name: FileName::Current, path: "made up".into(), length: 100 };
        for length in [0, 1, 99] {
            let input = Trickle::new(io::repeat(7).take(length), length);
            let error = read_from(input, &file, |_| Ok(())).unwrap_err();
            assert!(error.message().contains(&format!("{} bytes less", 100 - length)), "{error}");
        }
    }
}
