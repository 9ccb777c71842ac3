//! The bodies of the fuzz targets, fed with mutated parts of real files.

use std::sync::LazyLock;

use millpond::format::flink::fuzz::{
    fuzz_flink_channel, fuzz_flink_heap, fuzz_flink_java_object, fuzz_flink_keyed, fuzz_flink_metadata,
    fuzz_flink_operator, fuzz_flink_serializer, fuzz_flink_timer,
};
use millpond::format::flink::metadata::Metadata;
use proptest::prelude::*;

use super::files::Files;
use super::fixtures;

/// Parts of real files, at most so long.
const LARGEST: usize = 6_000;

/// What real Flink wrote, whole and in parts.
pub(crate) static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut seeds = Vec::new();
    for fixture in fixtures::committed() {
        let bytes = fixture.metadata_bytes();
        let metadata = Metadata::decode(&bytes).unwrap();
        seeds.extend(metadata.properties.clone());
        let files = Files::of(&fixture);
        for state in metadata.operators.iter().flat_map(|operator| operator.subtasks()) {
            let Some(state) = &state.state else { continue };
            if let Some(millpond::format::flink::metadata::KeyedHandle::KeyGroups(handle)) = &state.managed_keyed {
                let bytes = files.read(&handle.stream);
                // The first serializer snapshot begins behind version, compression flag and its own format number.
                seeds.push(bytes[9..].to_vec());
                seeds.push(bytes);
            }
            seeds.extend(state.managed_operator.iter().map(|handle| files.read(&handle.stream)));
            seeds.extend(state.input_channels.iter().map(|handle| files.read(&handle.stream)));
        }
        seeds.push(bytes);
    }
    seeds.iter_mut().for_each(|seed| seed.truncate(LARGEST));
    seeds
});

fn all_targets(bytes: &[u8]) {
    fuzz_flink_metadata(bytes);
    fuzz_flink_serializer(bytes);
    fuzz_flink_java_object(bytes);
    fuzz_flink_keyed(bytes);
    fuzz_flink_heap(bytes);
    fuzz_flink_operator(bytes);
    fuzz_flink_timer(bytes);
    fuzz_flink_channel(bytes);
}

#[test]
fn real_bytes_hold_what_is_promised() {
    assert!(SEEDS.len() > 30);
    SEEDS.iter().for_each(|seed| all_targets(seed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_bytes_hold_what_is_promised(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6),
    ) {
        let mut bytes = SEEDS[seed.index(SEEDS.len())].clone();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len().max(1));
            match kind {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, byte),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        all_targets(&bytes);
    }
}
