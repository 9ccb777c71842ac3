//! See [`fuzz_flink_changelog`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::format::flink::fuzz::fuzz_flink_changelog;

fuzz_target!(|bytes: &[u8]| fuzz_flink_changelog(bytes));
