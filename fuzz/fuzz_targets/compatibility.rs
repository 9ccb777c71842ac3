//! See [`fuzz_compatibility`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::serializer::fuzz::fuzz_compatibility;

fuzz_target!(|bytes: &[u8]| fuzz_compatibility(bytes));
