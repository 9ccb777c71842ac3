//! The bodies of the fuzz targets, fed with mutated vectors.

use std::sync::LazyLock;

use millpond::codec::Compression;
use millpond::format::FormatId;
use millpond::format::fuzz::{fuzz_canonical, fuzz_manifest, fuzz_manifest_resealed, fuzz_native_heap, fuzz_operator};
use millpond::format::manifest::SnapshotKind;
use proptest::prelude::*;

use super::samples;

static SEEDS: LazyLock<Vec<(FormatId, Vec<u8>)>> = LazyLock::new(|| {
    vec![
        (FormatId::Manifest, samples::manifest(SnapshotKind::Checkpoint).encode().unwrap()),
        (FormatId::Canonical, samples::canonical_section(Compression::None).0),
        (FormatId::Canonical, samples::compressible_section(Compression::Lz4).0),
        (FormatId::NativeHeap, samples::native_section().0),
        (FormatId::Operator, samples::operator_section().0),
    ]
});

/// One change of bytes.
#[derive(Debug, Clone)]
enum Mutation {
    Set(usize, u8),
    Flip(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let interesting =
        prop_oneof![Just(0u8), Just(1), Just(2), Just(3), Just(0x7F), Just(0x80), Just(0xFF), any::<u8>()];
    prop_oneof![
        4 => (any::<usize>(), interesting).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        2 => (any::<usize>(), 0u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        1 => (any::<usize>(), prop::collection::vec(any::<u8>(), 1..12)).prop_map(|(at, new)| Mutation::Insert(at, new)),
        1 => (any::<usize>(), 1usize..40).prop_map(|(at, count)| Mutation::Remove(at, count)),
        1 => (any::<usize>(), 1usize..80).prop_map(|(at, count)| Mutation::Repeat(at, count)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match mutation {
        Mutation::Set(at, byte) => bytes[at % length] = *byte,
        Mutation::Flip(at, bit) => bytes[at % length] ^= 1 << bit,
        Mutation::Insert(at, new) => {
            bytes.splice(at % length..at % length, new.iter().copied());
        }
        Mutation::Remove(at, count) => {
            bytes.drain(at % length..(at % length + count).min(length));
        }
        Mutation::Repeat(at, count) => {
            let part = bytes[at % length..(at % length + count).min(length)].to_vec();
            bytes.splice(at % length..at % length, part);
        }
    }
}

fn run(format: FormatId, bytes: &[u8]) {
    match format {
        FormatId::Manifest => {
            fuzz_manifest(bytes);
            fuzz_manifest_resealed(bytes.get(8..bytes.len().saturating_sub(32)).unwrap_or_default());
        }
        FormatId::NativeHeap => fuzz_native_heap(bytes),
        FormatId::Operator => fuzz_operator(bytes),
        _ => fuzz_canonical(bytes),
    }
}

#[test]
fn the_seeds_themselves_pass() {
    SEEDS.iter().for_each(|(format, bytes)| run(*format, bytes));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_vectors_are_refused_or_read_and_written_alike(
        seed in 0..SEEDS.len(),
        mutations in prop::collection::vec(mutation(), 0..4),
    ) {
        let (format, mut bytes) = SEEDS[seed].clone();
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        run(format, &bytes);
    }

    #[test]
    fn any_bytes_are_refused_or_read_and_written_alike(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        FormatId::ALL.into_iter().for_each(|format| run(format, &bytes));
    }
}
