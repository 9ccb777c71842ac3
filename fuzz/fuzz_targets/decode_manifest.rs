//! See [`fuzz_manifest`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::format::fuzz::fuzz_manifest;

fuzz_target!(|bytes: &[u8]| fuzz_manifest(bytes));
