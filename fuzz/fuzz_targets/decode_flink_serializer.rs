//! See [`fuzz_flink_serializer`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::format::flink::fuzz::fuzz_flink_serializer;

fuzz_target!(|bytes: &[u8]| fuzz_flink_serializer(bytes));
