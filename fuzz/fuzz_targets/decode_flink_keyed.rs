//! See [`fuzz_flink_keyed`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::format::flink::fuzz::fuzz_flink_keyed;

fuzz_target!(|bytes: &[u8]| fuzz_flink_keyed(bytes));
