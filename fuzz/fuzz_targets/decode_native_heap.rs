//! See [`fuzz_native_heap`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::format::fuzz::fuzz_native_heap;

fuzz_target!(|bytes: &[u8]| fuzz_native_heap(bytes));
