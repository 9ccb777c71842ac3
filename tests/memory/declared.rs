//! Declared sizes that are not true (S-39): what is announced is judged by what is there, in every decoder.

use millpond::codec::Compression;

use super::peak_bytes;
use crate::fuzz::mutate::Numbers;
use crate::fuzz::targets::{TARGETS, Target};

/// Changed inputs per decoder, or as many as the environment asks for.
fn changes() -> usize {
    std::env::var("MILLPOND_DECLARED").map_or(300, |count| count.parse().expect("MILLPOND_DECLARED is a number"))
}

/// What a body of a fuzz target may take whatever it is given: it decodes several times, and encodes what it accepted.
const CONSTANT_BYTES: u64 = 4 << 20;

/// What it may take per byte of its input: blocks expand, and smallest parts become nodes (see `TESTING.md`).
const PER_BYTE: u64 = 2_000;

/// Numbers that announce more than there is: as lengths and counts of one to eight bytes, in either order of bytes, and as
/// varints.
const ANNOUNCED: [&[u8]; 12] = [
    &[0x7F],
    &[0xFF],
    &[0x7F, 0xFF],
    &[0xFF, 0xFF],
    &[0x0F, 0xFF, 0xFF, 0xFF],
    &[0x7F, 0xFF, 0xFF, 0xFF],
    &[0xFF, 0xFF, 0xFF, 0x7F],
    &[0xFF, 0xFF, 0xFF, 0xFF],
    &[0xFF, 0xFF, 0xFF, 0xFF, 0x07],
    &[0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    &[0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
];

/// Puts an announcement somewhere: over what is there, or in place of one byte.
fn announce(seed: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let announced = ANNOUNCED[numbers.below(ANNOUNCED.len())];
    let at = numbers.below(seed.len());
    let replaced = if numbers.below(2) == 0 { announced.len() } else { 1 };
    [&seed[..at], announced, &seed[(at + replaced).min(seed.len())..]].concat()
}

/// Bodies that take any bytes as operations build up state from them.
fn decodes(target: &&Target) -> bool {
    target.name.starts_with("decode_")
}

#[test]
fn s_39_no_decoder_reserves_what_is_only_announced() {
    for target in TARGETS.iter().filter(decodes) {
        let seeds = (target.seeds)();
        let mut numbers = Numbers(39);
        let (mut most, mut per_byte) = (0, 0);
        for _ in 0..changes() {
            let seed = &seeds[numbers.below(seeds.len())];
            let bytes = announce(seed, &mut numbers);
            let peak = peak_bytes(|| (target.body)(&bytes));
            let length = bytes.len() as u64;
            assert!(peak <= CONSTANT_BYTES + PER_BYTE * length, "{}: {peak} bytes for {length}", target.name);
            most = most.max(peak);
            per_byte = per_byte.max(peak / length.max(1));
        }
        println!("{}: {} announcements, at most {most} bytes, {per_byte} per byte", target.name, changes());
    }
}

fn codecs() -> Vec<Compression> {
    let mut codecs = vec![Compression::None];
    if cfg!(feature = "lz4") {
        codecs.push(Compression::Lz4);
    }
    if cfg!(feature = "zstd") {
        codecs.push(Compression::Zstd);
    }
    codecs
}

/// A codec that is told a size gives that or an error, and never more room than it was told: where more comes out, where less
/// does, and where nothing does.
#[test]
fn s_39_every_codec_gives_what_was_declared_or_refuses() {
    for codec in codecs() {
        for true_size in [0, 1, 64, 100_000, 16 << 20] {
            let stored = codec.compress(&vec![0; true_size]).unwrap();
            assert_eq!(codec.decompress(&stored, true_size).unwrap(), vec![0; true_size]);
            for declared in [0, 1, 63, 64, 65, 99_999, 100_001, (16 << 20) - 1, (16 << 20) + 1] {
                if declared == true_size {
                    continue;
                }
                let mut refused = None;
                let peak = peak_bytes(|| refused = codec.decompress(&stored, declared).err());
                let error = refused.unwrap_or_else(|| panic!("{codec:?} gives {declared} bytes of {true_size}"));
                assert_eq!(error.kind(), millpond::ErrorKind::Corrupt, "{error}");
                // What is not compressed is copied as it is.
                let room = declared.max(if codec == Compression::None { true_size } else { 0 }) as u64;
                assert!(peak <= room + (64 << 10), "{codec:?}: {peak} bytes for {declared} of {true_size}");
            }
        }
    }
}

/// Frames of Zstandard that say something else of themselves than the block does: more frames behind the first, frames to
/// be skipped, a size in the header that is not true.
#[cfg(feature = "zstd")]
#[test]
fn s_39_a_zstd_frame_is_not_believed() {
    let (one, two) = (zstd_frame(&[5; 1_000]), zstd_frame(&[6; 1_000]));
    let codec = Compression::Zstd;
    let twice = [one.as_slice(), &two].concat();
    assert!(codec.decompress(&twice, 1_000).is_err(), "a second frame does not fit");
    // A skippable frame: its magic, its length, and that many bytes.
    let skipped = |length: u32| [little_endian(0x184D_2A50, 4), little_endian(length, 4)].concat();
    let mut refused = None;
    let peak = peak_bytes(|| refused = codec.decompress(&[skipped(u32::MAX), one.clone()].concat(), 1_000).err());
    assert!(refused.is_some() && peak <= 64 << 10, "{peak}");
    // The size of the content, behind magic and descriptor, in two bytes that count from 256.
    assert_eq!((one[4] >> 6, &one[5..7]), (1, little_endian(744, 2).as_slice()));
    for size in [0, 743, 745, u32::from(u16::MAX)] {
        let mut lying = one.clone();
        lying[5..7].copy_from_slice(&little_endian(size, 2));
        let peak = peak_bytes(|| assert!(codec.decompress(&lying, 1_000).is_err(), "a size of {size} is believed"));
        assert!(peak <= 64 << 10, "{peak}");
    }
}

/// The lowest bytes of a number, as Zstandard stores them.
#[cfg(feature = "zstd")]
fn little_endian(number: u32, length: usize) -> Vec<u8> {
    number.to_be_bytes().into_iter().rev().take(length).collect()
}

#[cfg(feature = "zstd")]
fn zstd_frame(raw: &[u8]) -> Vec<u8> {
    Compression::Zstd.compress(raw).unwrap()
}
