//! See [`fuzz_heap_table`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::backend::fuzz::fuzz_heap_table;

fuzz_target!(|bytes: &[u8]| fuzz_heap_table(bytes));
