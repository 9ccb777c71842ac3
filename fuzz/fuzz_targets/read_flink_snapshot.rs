//! See [`fuzz_flink_snapshot`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::flink::fuzz::fuzz_flink_snapshot;

fuzz_target!(|bytes: &[u8]| fuzz_flink_snapshot(bytes));
