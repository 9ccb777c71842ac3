//! See [`fuzz_java_type`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::format::fuzz::fuzz_java_type;

fuzz_target!(|bytes: &[u8]| fuzz_java_type(bytes));
