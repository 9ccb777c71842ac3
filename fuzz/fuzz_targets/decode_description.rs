//! See [`fuzz_description`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::serializer::fuzz::fuzz_description;

fuzz_target!(|bytes: &[u8]| fuzz_description(bytes));
