//! See [`fuzz_native_rocksdb`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::format::fuzz::fuzz_native_rocksdb;

fuzz_target!(|bytes: &[u8]| fuzz_native_rocksdb(bytes));
