//! See [`fuzz_serializers`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::serializer::fuzz::fuzz_serializers;

fuzz_target!(|bytes: &[u8]| fuzz_serializers(bytes));
