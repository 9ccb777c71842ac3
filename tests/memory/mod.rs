//! What decoding takes of memory at most, measured by counting the allocations of the decoding thread.
//!
//! What is only announced costs nothing: a length or count that the input cannot hold is refused before anything is
//! reserved. What is there costs a constant and a multiple of its bytes. The multiple is that of the smallest encodings,
//! because a node of a tree takes more in memory than the byte or two that say what it is; honest data is far below.

#[cfg(feature = "test-util")]
mod declared;
mod hostile;

use allocation_counter::measure;
use millpond::codec::Reader;
use millpond::format::manifest::{Manifest, SnapshotKind};
use millpond::format::{FormatId, Limits};
use millpond::serializer::{SerializerSnapshot, Value};

use hostile::{descriptions, manifest_of_parts, manifest_of_totals, sealed, values};

/// What a decoder may take whatever it is given.
const CONSTANT_BYTES: u64 = 1 << 20;

/// What it may take per byte of a manifest of honest proportions.
const PER_HONEST_BYTE: u64 = 4;

/// What it may take per byte of any manifest.
const PER_BYTE: u64 = 64;

/// What it may take per byte of nothing but subtasks without state, of which a manifest has a limited number.
const PER_SUBTASK_BYTE: u64 = 200;

/// What a description or a value may take per byte, each of which can be a node.
const PER_NODE_BYTE: u64 = 160;

/// The most that was allocated at a time.
fn peak_bytes(decode: impl FnOnce()) -> u64 {
    measure(decode).bytes_max
}

/// Decodes a manifest and gives its peak, in bytes and per byte of the manifest.
fn manifest_peak(bytes: &[u8], is_good: bool) -> u64 {
    let mut decoded = None;
    let peak = peak_bytes(|| decoded = Some(Manifest::decode(bytes).map(drop)));
    let decoded = decoded.unwrap();
    assert_eq!(decoded.is_ok(), is_good, "{decoded:?}");
    println!("manifest of {} bytes: {peak}, {} per byte", bytes.len(), peak / bytes.len() as u64);
    peak
}

#[test]
fn the_counter_counts() {
    let peak = peak_bytes(|| drop(std::hint::black_box(vec![0u8; 1 << 22])));
    assert!((1 << 22..2 << 22).contains(&peak), "{peak}");
}

#[test]
fn a_manifest_takes_a_multiple_of_its_length() {
    for count in [100, 1_000, 4_000] {
        let bytes = manifest_of_parts(count);
        assert!(manifest_peak(&bytes, true) <= CONSTANT_BYTES + PER_BYTE * bytes.len() as u64);
    }
}

#[test]
fn subtasks_cost_most_and_are_limited_in_number() {
    let bytes = hostile::manifest_of_subtasks(32_768);
    assert!(manifest_peak(&bytes, true) <= CONSTANT_BYTES + PER_SUBTASK_BYTE * bytes.len() as u64);
    let limits = Limits { subtasks: 32_767, ..Limits::SAFE };
    let error = Manifest::decode_within(&bytes, &limits).unwrap_err();
    assert!(error.to_string().contains("32768 subtasks so far, at most 32767"), "{error}");
}

#[test]
fn long_names_of_states_are_not_repeated_for_every_subtask() {
    for subtasks in [1_000, 4_000] {
        let bytes = manifest_of_totals(subtasks);
        assert!(manifest_peak(&bytes, true) <= CONSTANT_BYTES + PER_BYTE * bytes.len() as u64);
    }
}

#[test]
fn a_manifest_of_honest_proportions_takes_a_few_times_its_length() {
    let bytes = hostile::honest_manifest();
    assert!(manifest_peak(&bytes, true) <= CONSTANT_BYTES + PER_HONEST_BYTE * bytes.len() as u64);
}

#[test]
fn what_is_only_announced_takes_nothing() {
    let good = crate::format::samples::manifest(SnapshotKind::Checkpoint).encode().unwrap();
    let body = &good[8..good.len() - 32];
    // Every byte in turn becomes the first of the largest number that fits.
    for at in 0..body.len() {
        for announced in [&b"\xFF\xFF\xFF\x7F"[..], b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", b"\xFF\xFF\xFF\xFF"] {
            let bytes = sealed(&[&body[..at], announced, &body[(at + 1).min(body.len())..]].concat());
            let peak = peak_bytes(|| drop(Manifest::decode(&bytes)));
            assert!(peak <= 64 << 10, "{peak} bytes with a huge number at {at}");
        }
    }
}

#[test]
fn descriptions_and_values_take_a_multiple_of_their_length() {
    for (name, bytes) in descriptions() {
        let peak = peak_bytes(|| drop(SerializerSnapshot::decode(&mut Reader::new(&bytes))));
        println!("{name} of {} bytes: {peak}, {} per byte", bytes.len(), peak / bytes.len() as u64);
        assert!(peak <= CONSTANT_BYTES + PER_NODE_BYTE * bytes.len() as u64, "{name}: {peak}");
    }
    for (name, description, bytes) in values() {
        let mut read = None;
        let peak = peak_bytes(|| read = Some(Value::read(&description, &mut Reader::new(&bytes)).map(drop)));
        read.unwrap().unwrap_or_else(|error| panic!("{name}: {error}"));
        println!("{name} of {} bytes: {peak}, {} per byte", bytes.len(), peak / bytes.len() as u64);
        assert!(peak <= CONSTANT_BYTES + PER_NODE_BYTE * bytes.len() as u64, "{name}: {peak}");
    }
}

/// A block that is stored as it is costs nothing beside the input; a compressed one what it declares, which is judged
/// first: at most 64 MiB, and at most 1,000 times what is stored, and 128,000 bytes.
#[test]
fn a_section_takes_one_block_at_a_time() {
    for format in [FormatId::Canonical, FormatId::NativeHeap, FormatId::Operator] {
        let bytes = hostile::section_of_blocks(format, 64);
        let peak = peak_bytes(|| hostile::walk(&bytes, format));
        println!("{format} section of {} bytes: {peak}", bytes.len());
        assert!(peak <= 64 << 10, "{format}: {peak} bytes for a section of {}", bytes.len());
    }
}

#[cfg(feature = "lz4")]
#[test]
fn a_compressed_block_takes_what_it_may_declare_and_no_more() {
    let (bytes, raw) = hostile::compressed_section();
    let peak = peak_bytes(|| hostile::walk(&bytes, FormatId::Canonical));
    println!("compressed section of {} bytes, {raw} raw: {peak}", bytes.len());
    assert!(peak <= raw + (64 << 10), "{peak} bytes for {raw}");
    for (name, bytes) in hostile::bombs() {
        let peak = peak_bytes(|| hostile::walk_any(&bytes));
        let most = 1_000 * (bytes.len() as u64 + 128);
        assert!(peak <= most + (64 << 10), "{name}: {peak} bytes");
    }
}
