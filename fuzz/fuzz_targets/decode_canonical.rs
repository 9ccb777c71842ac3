//! See [`fuzz_canonical`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::format::fuzz::fuzz_canonical;

fuzz_target!(|bytes: &[u8]| fuzz_canonical(bytes));
