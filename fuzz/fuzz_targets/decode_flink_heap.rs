//! See [`fuzz_flink_heap`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::format::flink::fuzz::fuzz_flink_heap;

fuzz_target!(|bytes: &[u8]| fuzz_flink_heap(bytes));
