//! What every serializer has to keep, as a function to call from a test.

#![expect(clippy::expect_used, reason = "a conformance suite fails by panicking, like the tests that call it")]

use std::fmt::Debug;

use super::{Compatibility, Serializer, SerializerSnapshot, Value};
use crate::codec::{Reader, Writer};
use crate::error::ErrorKind;
use crate::key_group::key_hash;

/// Checks the contract of [`Serializer`] on sample values, and panics with the sample where it is broken:
///
/// * equal values give equal bytes, different ones different bytes that are no prefix of each other;
/// * reading gives the value back and consumes exactly its bytes, whatever follows them;
/// * the description survives its own encoding, is compatible with itself, and walks and shows the bytes exactly;
/// * cut off anywhere, the bytes are refused; with any bit flipped, nothing panics.
///
/// # Panics
///
/// If the serializer breaks the contract.
pub fn check<S>(serializer: &S, samples: &[S::Value])
where
    S: Serializer<Value: PartialEq + Debug>,
{
    let description = stored_description(serializer);
    assert_eq!(serializer.compatibility(&description), Compatibility::AsIs, "{description} reads its own bytes");
    assert_eq!(serializer.min_len(), description.min_len(), "{description} has one least length");
    let encodings: Vec<Vec<u8>> = samples.iter().map(|sample| encode(serializer, sample)).collect();
    for (sample, bytes) in samples.iter().zip(&encodings) {
        check_lengths(&description, sample, bytes);
        check_reading(serializer, &description, sample, bytes);
        check_damage(serializer, &description, sample, bytes);
        for (other, other_bytes) in samples.iter().zip(&encodings) {
            assert_eq!(sample == other, bytes == other_bytes, "bytes of {sample:?} and {other:?}");
            let is_prefix = other_bytes.starts_with(bytes) && bytes != other_bytes;
            assert!(!is_prefix, "the encoding of {sample:?} is a prefix of that of {other:?}");
        }
    }
}

fn encode<S: Serializer<Value: Debug>>(serializer: &S, sample: &S::Value) -> Vec<u8> {
    let mut first = Writer::new();
    serializer.write(sample, &mut first).expect("a sample can be written");
    let mut second = Writer::new();
    second.u8(0xAA);
    serializer.write(&sample.clone(), &mut second).expect("a sample can be written");
    assert_eq!(
        second.as_slice().get(1..),
        Some(first.as_slice()),
        "{sample:?} has one encoding, wherever it is written"
    );
    let hash = serializer.key_hash(sample, &mut second).expect("a sample can be hashed");
    assert_eq!(hash, key_hash(first.as_slice()), "the key hash of {sample:?} is that of its encoding");
    first.into_bytes()
}

fn stored_description(serializer: &impl Serializer) -> SerializerSnapshot {
    let description = serializer.snapshot();
    let mut out = Writer::new();
    description.encode(&mut out).expect("the description can be written");
    let mut input = Reader::new(out.as_slice());
    let decoded = SerializerSnapshot::decode(&mut input).expect("the description can be read");
    assert!(input.is_empty(), "{description} is read to its end");
    assert_eq!(decoded, description, "{description} survives being stored");
    decoded
}

fn check_lengths(description: &SerializerSnapshot, sample: &impl Debug, bytes: &[u8]) {
    assert!(bytes.len() >= description.min_len(), "{sample:?} is no shorter than the least length");
    assert_eq!(bytes.is_empty(), description.min_len() == 0, "{sample:?} is empty if all values are");
    if let Some(len) = description.fixed_len() {
        assert_eq!(bytes.len(), len, "{sample:?} has the fixed length");
    }
}

fn check_reading<S>(serializer: &S, description: &SerializerSnapshot, sample: &S::Value, bytes: &[u8])
where
    S: Serializer<Value: PartialEq + Debug>,
{
    const BEHIND: [u8; 3] = [0xFF, 0x00, 0x80];
    let followed = [bytes, &BEHIND].concat();
    let mut input = Reader::new(&followed);
    let value = serializer.read(&mut input).expect("what was written can be read");
    assert_eq!(&value, sample, "reading gives back what was written");
    assert_eq!(input.rest(), BEHIND, "{sample:?}: read consumes exactly the encoding");
    let mut input = Reader::new(&followed);
    let value = serializer.read_written(description, &mut input).expect("what was written can be read as written");
    assert_eq!(&value, sample, "reading as written gives back what was written");
    assert_eq!(input.rest(), BEHIND, "{sample:?}: read_written consumes exactly the encoding");
    let mut input = Reader::new(&followed);
    description.skip(&mut input).expect("what was written can be walked");
    assert_eq!(input.rest(), BEHIND, "{sample:?}: skip consumes exactly the encoding");
    let mut input = Reader::new(&followed);
    let shown = Value::read(description, &mut input).expect("what was written can be shown");
    assert_eq!(input.rest(), BEHIND, "{sample:?}: Value::read consumes exactly the encoding");
    assert!(!shown.to_string().is_empty(), "{sample:?} can be printed");
}

fn check_damage<S>(serializer: &S, description: &SerializerSnapshot, sample: &S::Value, bytes: &[u8])
where
    S: Serializer<Value: Debug>,
{
    for len in 0..bytes.len() {
        let cut = bytes.get(..len).unwrap_or_default();
        let error = serializer.read(&mut Reader::new(cut)).err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Corrupt), "{sample:?} cut off at {len} is refused");
        assert!(description.skip(&mut Reader::new(cut)).is_err(), "{sample:?} cut off at {len} is not walked");
        assert!(Value::read(description, &mut Reader::new(cut)).is_err(), "{sample:?} cut off at {len} is not shown");
    }
    for bit in 0..bytes.len().saturating_mul(8) {
        let mut damaged = bytes.to_vec();
        if let Some(byte) = damaged.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        let mut input = Reader::new(&damaged);
        if serializer.read(&mut input).is_ok() {
            let consumed = input.position();
            let mut input = Reader::new(&damaged);
            let walked = description.skip(&mut input).is_ok() && input.position() == consumed;
            assert!(walked, "{sample:?} with bit {bit} flipped is walked as it is read");
        }
    }
}
