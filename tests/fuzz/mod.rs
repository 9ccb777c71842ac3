//! The bodies of the fuzz targets without a fuzzer: on inputs that once failed, on their seeds, and on changes of them.
//!
//! `make fuzz` is the real thing. An input that it finds goes to `fuzz/regressions/<target>/` and is replayed here for
//! ever.

pub(crate) mod mutate;
pub(crate) mod targets;

use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mutate::{Numbers, mutate, noise};
use targets::{TARGETS, Target, content, files, root};

/// Changed inputs per target: as many as take some seconds together.
const ROUNDS: usize = 300;

/// Runs a body and says how to repeat what failed.
fn run(target: &Target, origin: &str, bytes: &[u8]) {
    let ran = catch_unwind(AssertUnwindSafe(|| (target.body)(bytes)));
    let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(ran.is_ok(), "{} fails on {origin}: {}", target.name, hex());
}

#[test]
fn what_once_failed_passes() {
    for directory in files(&root().join("fuzz/regressions")) {
        let name = directory.file_name().unwrap().to_str().unwrap();
        let target = TARGETS.iter().find(|target| target.name == name);
        let target = target.unwrap_or_else(|| panic!("fuzz/regressions/{name} belongs to no target"));
        for path in files(&directory) {
            run(target, &path.display().to_string(), &content(&path));
        }
    }
}

#[test]
fn seeds_and_changes_of_them_pass() {
    for target in &TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        seeds.iter().for_each(|seed| run(target, "a seed", seed));
        let mut numbers = Numbers(seeds.len() as u64);
        for _ in 0..ROUNDS {
            let mut bytes = seeds[numbers.below(seeds.len())].clone();
            mutate(&mut bytes, &mut numbers);
            run(target, "a changed seed", &bytes);
        }
        for _ in 0..ROUNDS / 10 {
            run(target, "noise", &noise(&mut numbers));
        }
    }
}

#[test]
#[ignore = "writes the corpus that scripts/fuzz.sh begins with into the directory MILLPOND_FUZZ_SEEDS"]
fn write_fuzz_seeds() {
    let directory = std::env::var("MILLPOND_FUZZ_SEEDS").expect("MILLPOND_FUZZ_SEEDS names a directory");
    for target in &TARGETS {
        let directory = Path::new(&directory).join(target.name);
        std::fs::create_dir_all(&directory).unwrap();
        for (index, seed) in (target.seeds)().iter().enumerate() {
            let mut file = File::create(directory.join(format!("seed-{index}"))).unwrap();
            file.write_all(seed).unwrap();
        }
    }
}
