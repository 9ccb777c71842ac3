//! See [`fuzz_operator`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::format::fuzz::fuzz_operator;

fuzz_target!(|bytes: &[u8]| fuzz_operator(bytes));
