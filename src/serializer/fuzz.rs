//! Bodies of the fuzz targets: what must hold for any bytes. Feature `test-util`.

use super::{Serializer, SerializerSnapshot, Value};
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
