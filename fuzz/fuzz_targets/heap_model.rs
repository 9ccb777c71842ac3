//! See [`fuzz_heap_model`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::backend::fuzz::fuzz_heap_model;

fuzz_target!(|bytes: &[u8]| fuzz_heap_model(bytes));
