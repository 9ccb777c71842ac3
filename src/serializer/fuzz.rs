//! Bodies of the fuzz targets: what must hold for any bytes. Feature `test-util`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Bool, Bytes, Compatibility, F64, I8, I32, I64, List, Map, Msgpack, Opt, Serializer, SerializerSnapshot, Str,
    Tuple2, Tuple4, U16, U64, Unit, Value, Window,
};
use crate::codec::{Reader, Writer};

/// Any bytes as a description: what is read is written again byte for byte.
pub fn fuzz_description(bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    let Ok(description) = SerializerSnapshot::decode(&mut input) else { return };
    let mut out = Writer::new();
    assert!(description.encode(&mut out).is_ok(), "{description} was read and cannot be written");
    assert_eq!(
        bytes.get(..input.position()),
        Some(out.as_slice()),
        "{description} changes when it is read and written"
    );
}

/// Any bytes as a description and, behind it, a value of it: whoever reads the value consumes as much as who steps over
/// it.
pub fn fuzz_value(bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    let Ok(description) = SerializerSnapshot::decode(&mut input) else { return };
    let (mut walked, mut shown) = (input.clone(), input);
    let skipped = description.skip(&mut walked);
    if let Ok(value) = Value::read(&description, &mut shown) {
        assert!(skipped.is_ok(), "{value} is shown but not walked");
        assert_eq!(walked.position(), shown.position(), "{value} is shown to another end than it is walked");
    }
}

/// Any bytes as a value of a serializer: what is read is what was stepped over, and is written as something that reads
/// the same.
pub fn fuzz_serializer<S: Serializer>(serializer: &S, bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    let Ok(value) = serializer.read(&mut input) else { return };
    let mut walked = Reader::new(bytes);
    assert!(serializer.snapshot().skip(&mut walked).is_ok());
    assert_eq!(walked.position(), input.position());
    let (mut out, mut again) = (Writer::new(), Writer::new());
    assert!(serializer.write(&value, &mut out).is_ok());
    let value = serializer.read(&mut Reader::new(out.as_slice()));
    assert!(value.and_then(|value| serializer.write(&value, &mut again)).is_ok());
    assert_eq!(out.as_slice(), again.as_slice());
}

/// Any bytes as a value of one of several serializers, which the first byte chooses.
pub fn fuzz_serializers(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match choice % 6 {
        0 => fuzz_serializer(&Tuple4(Str, Window, List::new(Str), Opt::new(F64)), bytes),
        1 => fuzz_serializer(&List::new(Opt::new(Map::new(Bytes, U64))), bytes),
        2 => fuzz_serializer(&Tuple4(Bool, I8, U16, I32), bytes),
        3 => fuzz_serializer(&Map::new(Tuple2(I64, Unit), List::new(Bytes)), bytes),
        4 => fuzz_serializer(&Msgpack::<BTreeMap<String, Item>>::new(), bytes),
        _ => fuzz_serializer(&Tuple2(Msgpack::<Item>::new(), Opt::new(Msgpack::<Vec<(u8, f32)>>::new())), bytes),
    }
}

/// A serde type with most of what serde has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    name: String,
    #[serde(default)]
    number: Option<i64>,
    parts: Vec<Part>,
}

/// A variant of each form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Part {
    Bare,
    Wrapped(u16),
    Pair(bool, char),
    Fields { inner: Box<Option<Part>>, ratio: f64 },
}

/// Any bytes as a description that serde types are compared with: the verdict is given at once, and what is accepted can
/// be tried.
pub fn fuzz_compatibility(bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    let Ok(written) = SerializerSnapshot::decode(&mut input) else { return };
    judge(&Msgpack::<Item>::new(), &written, input.clone());
    judge(&Msgpack::<BTreeMap<String, Vec<u32>>>::new(), &written, input.clone());
    judge(&Tuple2(Msgpack::<Part>::new(), List::new(Str)), &written, input.clone());
    judge(&Opt::new(Map::new(Str, Msgpack::<(i64, Option<f64>)>::new())), &written, input);
}

fn judge<S: Serializer>(serializer: &S, written: &SerializerSnapshot, mut input: Reader<'_>) {
    let own = serializer.snapshot();
    assert_eq!(serializer.compatibility(&own), Compatibility::AsIs, "{own} does not fit itself");
    let verdict = serializer.compatibility(written);
    assert!(!verdict.to_string().is_empty());
    let mut walked = input.clone();
    if verdict.is_readable()
        && written.skip(&mut walked).is_ok()
        && serializer.read_written(written, &mut input).is_ok()
    {
        assert_eq!(input.position(), walked.position(), "{own} reads a {written} to another end than it is walked");
    }
}
