//! See [`fuzz_control`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::format::fuzz::fuzz_control;

fuzz_target!(|bytes: &[u8]| fuzz_control(bytes));
