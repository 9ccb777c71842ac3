//! What memory maps gain: one section of 64 KiB out of a file of 256 MiB, and all of the file, mapped and read.
//!
//! `cargo bench --bench storage_map [directory]`. This is the measurement behind the one `unsafe` block of the crate
//! (`src/storage/map.rs`). Both sides go through [`LocalStorage`], find the file in the page cache, and add up every byte
//! that was asked for. The last line is what a positioned read of the section alone costs: the least that any way of
//! reading could.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a program that measures may stop")]

use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use millpond::random::SystemRandom;
use millpond::storage::{LocalStorage, ObjectPath, Storage, SystemFileSystem};

const FILE_BYTES: usize = 256 << 20;
const SECTION_BYTES: u64 = 64 << 10;
const ROUNDS: u64 = 20;

fn main() {
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from);
    let root = given.map_or_else(tempfile::tempdir, tempfile::tempdir_in).expect("a temporary directory");
    let storage = |map: bool| {
        let files = SystemFileSystem::open(root.path()).expect("the directory opens");
        let files = if map { files } else { files.without_mapping() };
        LocalStorage::over(Arc::new(files), Arc::new(SystemRandom))
    };
    let name = ObjectPath::parse("object").expect("a name");
    let mut writer = storage(true).create(&name).expect("an object");
    let block: Vec<u8> = (0..1 << 20).map(|at: u32| at.to_be_bytes()[3]).collect();
    for _ in 0..FILE_BYTES / block.len() {
        writer.write(&block).expect("a write");
    }
    writer.finish().expect("a finished object");

    println!("median of {ROUNDS} rounds, in microseconds");
    for (what, length) in [("one section of 64 KiB", SECTION_BYTES), ("all of the 256 MiB", FILE_BYTES as u64)] {
        let take = |storage: &LocalStorage, round: u64| {
            let blob = storage.open(&name).expect("the object");
            let offset = round * 13 * SECTION_BYTES % (FILE_BYTES as u64 - length + 1);
            add_up(&blob.slice(offset..offset + length).expect("a section"));
        };
        let (reading, mapping) = (storage(false), storage(true));
        let read = median_us(|round| take(&reading, round));
        let mapped = median_us(|round| take(&mapping, round));
        println!("  {what:<22} read {read:>10.1}   mapped {mapped:>10.1}   {:.1} times faster", read / mapped);
    }
    let file = std::fs::File::open(root.path().join("object")).expect("the file");
    let positioned = median_us(|round| {
        let mut section = vec![0; 64 << 10];
        file.read_exact_at(&mut section, round * 13 * SECTION_BYTES).expect("a section");
        add_up(&section);
    });
    println!("  {:<22} positioned read {positioned:.1}", "one section of 64 KiB");
}

fn add_up(bytes: &[u8]) {
    black_box(bytes.iter().fold(0_u64, |sum, &byte| sum.wrapping_add(u64::from(byte))));
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn median_us(mut run: impl FnMut(u64)) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|round| {
            let start = std::time::Instant::now();
            run(round);
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
