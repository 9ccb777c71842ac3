//! From objects of a snapshot to files in a local directory.

use std::path::Path;

use super::directory::{self, CHUNK_BYTES};
use super::parallel::{KeepGoing, check, for_each};
use crate::codec::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{KeyedHandle, ObjectRef};
use crate::format::native_rocksdb::{FileName, check_current, check_files, check_table};
use crate::snapshot::reader::SnapshotReader;

/// Brings the files of a database into `directory`, which is empty, on up to `threads` threads.
///
/// Every file is checked on the way: its object is there, and has the length and the BLAKE3 that the manifest says; `CURRENT`
/// names the manifest of the database, and tables are of the kind that is stored. What fails names object and file, and nothing in the directory may be used then.
///
/// Tables are linked where the storage can ([`Storage::link`](crate::storage::Storage::link)) and copied elsewhere: a table is never
/// written again, only removed, so that costs no space and nothing per byte but the check. `CURRENT` and the manifest are
/// always copied, since RocksDB goes on writing them.
pub fn fetch(
    snapshot: &SnapshotReader,
    handle: &KeyedHandle,
    directory: &Path,
    threads: usize,
    keep_going: KeepGoing<'_>,
) -> Result<()> {
    check_files(&handle.files)?;
    let files: Vec<(FileName, &ObjectRef)> = handle.database_files().collect();
    let manifest = handle.files.get(1).copied().unwrap_or(FileName::Current);
    let fetched = for_each(&files, threads, keep_going, &|(name, object), keep_going| {
        fetch_file(snapshot, *name, object, manifest, directory, keep_going).map_err(|error| in_database(error, *name))
    });
    fetched.map(|_| ())
}

fn fetch_file(
    snapshot: &SnapshotReader,
    name: FileName,
    object: &ObjectRef,
    manifest: FileName,
    directory: &Path,
    keep_going: KeepGoing<'_>,
) -> Result<()> {
    let place = snapshot.object_path(object)?;
    let blob = snapshot.object(object)?;
    if name == FileName::Current {
        check_current(blob.as_slice(), manifest).map_err(|error| error.in_file(&place))?;
    }
    if name.is_table() {
        check_table(blob.as_slice()).map_err(|error| error.in_file(&place))?;
    }
    let path = directory.join(name.to_string());
    let is_linked = name.is_table() && snapshot.link_object(object, &path)?;
    let mut copy = if is_linked { None } else { Some(directory::create(&path)?) };
    let mut hasher = blake3::Hasher::new();
    for chunk in blob.as_slice().chunks(CHUNK_BYTES) {
        check(keep_going)?;
        hasher.update(chunk);
        if let Some(file) = &mut copy {
            directory::append(file, &path, chunk)?;
        }
    }
    let found = Digest(*hasher.finalize().as_bytes());
    if found == object.digest {
        return Ok(());
    }
    let message = format!("the digest is {found}, the manifest says {}; restore another snapshot", object.digest);
    Err(Error::corrupt(message).in_file(place).in_field("digest"))
}

/// Says which file of the database an object would have been.
fn in_database(error: Error, name: FileName) -> Error {
    if matches!(error.kind(), ErrorKind::Aborted | ErrorKind::Unavailable) {
        return error;
    }
    let mut named = Error::new(error.kind(), format!("file {name} of the database: {}", error.message()));
    if let Some(file) = &error.place().file {
        named = named.in_file(file);
    }
    if let Some(offset) = error.place().offset {
        named = named.at_offset(offset);
    }
    match error.place().field {
        Some(field) => named.in_field(field).because(error),
        None => named.because(error),
    }
}
