//! See [`fuzz_object_path`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::storage::fuzz::fuzz_object_path;

fuzz_target!(|bytes: &[u8]| fuzz_object_path(bytes));
