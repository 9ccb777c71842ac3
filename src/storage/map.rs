//! Memory maps of local files: the one place of this crate that needs `unsafe`.
//!
//! A snapshot is restored by reading the sections of some key groups, or of all, out of large files. A map costs what is
//! touched and copies nothing. `cargo bench --bench storage_map`, 20 November 2026, two cores, ext4, file of 256 MiB in the
//! page cache, median of 20:
//!
//! | wanted | file read whole | file mapped | gain |
//! |---|---|---|---|
//! | one section of 64 KiB | 135 ms | 0.030 ms | 4,500 times |
//! | all of it | 167 ms | 41 ms | 4.1 times |
//!
//! A positioned read of the one section alone takes 0.012 ms, so for that case a storage that can read ranges would need
//! no map; for reading all of it there is no such way around.
//!
//! # Why the exception is sound
//!
//! A map is a `&[u8]` over memory that the file system may change under it, which the language does not allow. It does
//! not happen here because objects are immutable:
//!
//! - A file is mapped only under an object's final name, and it got that name by a hard link after its last byte had
//!   been written and synced. Nobody holds it open for writing any more.
//! - This crate never truncates, overwrites or renames over such a file. It only unlinks, and an unlinked file keeps its
//!   pages for as long as a map of it lives.
//! - The tables of a restored database are further names of such files ([`Storage::link`](super::Storage::link)). RocksDB opens them for
//!   reading and removes them; it never writes to a table that it did not just create.
//! - The map is read-only and private to this module; only `&[u8]` leaves it, bound to the life of the map.
//!
//! # What another program can do
//!
//! A program that writes into an object while it is mapped makes the bytes change under the reader; decoders check
//! checksums before they believe anything, and index only what they have bounds-checked, so the worst outcome is a wrong
//! error or wrong data that had been checked before. A program that truncates an object while it is mapped makes the
//! next touch of the missing pages raise SIGBUS, which ends the process. Where others may write to the directory, open it
//! with [`SystemFileSystem::without_mapping`](super::SystemFileSystem::without_mapping), which reads instead.

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapOptions};

/// A read-only map of a whole file.
pub(super) struct Mapping(Mmap);

impl Mapping {
    /// Maps the first `length` bytes of an object's file. Fails where the file system or the address space does not
    /// allow it, and for a length of 0; the caller reads the file instead.
    ///
    /// The caller vouches that the file is an object under its final name (see the module page).
    pub(super) fn of_object(file: &File, length: usize) -> io::Result<Self> {
        if length == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        #[expect(unsafe_code, reason = "objects are immutable; the module page has the argument and the measured gain")]
        // SAFETY: an object's file is complete, synced and never written or truncated again by this crate; what others
        // may do to it is on the module page.
        let map = unsafe { MmapOptions::new().len(length).map(file)? };
        Ok(Mapping(map))
    }

    /// The mapped bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
