//! From Flink's bytes to ours without a value between them, for the usual types.

use super::{Mapping, encode_plain};
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::flink::serializer::Simple;
use crate::format::flink::value::Stored;
use crate::format::flink::{Value, ascii_value};
use crate::serializer::SerializerSnapshot;

impl Mapping {
    /// Appends the encoding of a value that is given as Flink stores it: what [`encode`](Self::encode) appends for the
    /// decoded value.
    pub(in crate::flink) fn transcode(&mut self, stored: Stored<'_>, out: &mut Writer) -> Result<()> {
        if let (Mapping::Plain { kind, odd_text }, Some((simple, mut input))) = (&mut *self, stored.simple()) {
            if let (SerializerSnapshot::String, Simple::String) = (&*kind, simple) {
                // Anything but ASCII is left to the decoder.
                if let Ok(Some(text)) = ascii_value(&mut input)
                    && input.is_empty()
                {
                    out.str(text);
                    return Ok(());
                }
            } else if let Some(value) = number(simple, &mut input).filter(|_| input.is_empty()) {
                return encode_plain(kind, odd_text, &value, out);
            }
        }
        self.encode(&stored.value()?, out)
    }
}

/// A number of a fixed length; `None` if it is something else or damaged.
#[inline]
fn number(simple: Simple, input: &mut Reader<'_>) -> Option<Value> {
    match simple {
        Simple::Long => input.i64("long").ok().map(Value::Long),
        Simple::Int => input.u32("int").ok().map(|bits| Value::Int(bits.cast_signed())),
        Simple::Double => input.u64("double").ok().map(|bits| Value::Double(f64::from_bits(bits))),
        Simple::VoidNamespace => input.bool("void").ok().filter(|byte| !byte).map(|_| Value::Null),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::flink::serializer::Snapshot;

    #[test]
    fn what_is_transcoded_is_what_encoding_the_value_gives() {
        let cases: [(Simple, &[u8]); 12] = [
            (Simple::Long, &[0x80, 0, 0, 0, 0, 0, 0, 7]),
            (Simple::Long, &[1, 2, 3]),
            (Simple::Long, &[0; 9]),
            (Simple::Int, &[0xFF, 0xFF, 0xFF, 0xFE]),
            (Simple::Double, &[0x7F, 0xF8, 0, 0, 0, 0, 0, 1]),
            (Simple::VoidNamespace, &[0]),
            (Simple::VoidNamespace, &[1]),
            (Simple::String, &[0]),
            (Simple::String, &[1]),
            (Simple::String, &[4, b'a', b'b', b'c']),
            (Simple::String, &[4, b'a', b'b', b'c', b'd']),
            (Simple::String, &[3, 0xE9, 0x01, 0xAC, 0x41]),
        ];
        for (simple, bytes) in cases {
            let snapshot = Snapshot::simple(simple).unwrap();
            let (mut one, mut other) = (Mapping::of(&snapshot), Mapping::of(&snapshot));
            let (mut transcoded, mut encoded) = (Writer::new(), Writer::new());
            let first = one.transcode(Stored::of(&snapshot, bytes), &mut transcoded);
            let second =
                snapshot.read_whole(&mut Reader::new(bytes)).and_then(|value| other.encode(&value, &mut encoded));
            assert_eq!(first.map_err(|e| e.to_string()), second.map_err(|e| e.to_string()), "{simple:?} {bytes:02x?}");
            assert_eq!(transcoded.as_slice(), encoded.as_slice(), "{simple:?} {bytes:02x?}");
            assert_eq!(one, other);
        }
    }
}
