//! See [`fuzz_value`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::serializer::fuzz::fuzz_value;

fuzz_target!(|bytes: &[u8]| fuzz_value(bytes));
