//! Numbers, booleans, strings, bytes and the unit.
//!
//! The byte order of encoded integers, signed or not, is their numeric order. Floating-point numbers are stored bit by
//! bit: as keys, `0.0` and `-0.0` differ, and so do NaNs with different bits.

use super::{Serializer, SerializerSnapshot};
use crate::codec::prefixed_hash::length_prefixed_xxh3;
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::key_group::key_hash;

/// `()`: no bytes at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Unit;

impl Serializer for Unit {
    type Value = ();

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::Unit
    }

    #[inline]
    fn write(&self, (): &(), _out: &mut Writer) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn read(&self, _input: &mut Reader<'_>) -> Result<()> {
        Ok(())
    }

    fn min_len(&self) -> usize {
        0
    }
}

/// `bool`: one byte, 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Bool;

impl Serializer for Bool {
    type Value = bool;

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::Bool
    }

    #[inline]
    fn write(&self, value: &bool, out: &mut Writer) -> Result<()> {
        out.u8(u8::from(*value));
        Ok(())
    }

    #[inline]
    fn read(&self, input: &mut Reader<'_>) -> Result<bool> {
        input.bool("bool")
    }

    fn min_len(&self) -> usize {
        1
    }
}

/// A serializer of numbers with a fixed width. `$encode` gives the unsigned number that is stored.
macro_rules! number {
    ($doc:literal, $name:ident, $type:ty, $unsigned:ident, $field:literal, $encode:expr, $decode:expr) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name;

        impl Serializer for $name {
            type Value = $type;

            fn snapshot(&self) -> SerializerSnapshot {
                SerializerSnapshot::$name
            }

            #[inline]
            fn write(&self, value: &$type, out: &mut Writer) -> Result<()> {
                let encode: fn($type) -> $unsigned = $encode;
                out.$unsigned(encode(*value));
                Ok(())
            }

            #[inline]
            fn read(&self, input: &mut Reader<'_>) -> Result<$type> {
                let decode: fn($unsigned) -> $type = $decode;
                input.$unsigned($field).map(decode)
            }

            #[inline]
            fn min_len(&self) -> usize {
                size_of::<$type>()
            }

            #[inline]
            fn key_hash(&self, value: &$type, _scratch: &mut Writer) -> Result<u64> {
                let encode: fn($type) -> $unsigned = $encode;
                Ok(key_hash(&encode(*value).to_be_bytes()))
            }
        }
    };
}

number!("`u8`: one byte.", U8, u8, u8, "u8", |value| value, |stored| stored);
number!("`u16`: two bytes, big-endian.", U16, u16, u16, "u16", |value| value, |stored| stored);
number!("`u32`: four bytes, big-endian.", U32, u32, u32, "u32", |value| value, |stored| stored);
number!("`u64`: eight bytes, big-endian.", U64, u64, u64, "u64", |value| value, |stored| stored);
number!(
    "`i8`: one byte, two's complement with the sign bit flipped.",
    I8,
    i8,
    u8,
    "i8",
    |value| value.cast_unsigned() ^ (1 << 7),
    |stored| (stored ^ (1 << 7)).cast_signed()
);
number!(
    "`i16`: two bytes, big-endian, two's complement with the sign bit flipped.",
    I16,
    i16,
    u16,
    "i16",
    |value| value.cast_unsigned() ^ (1 << 15),
    |stored| (stored ^ (1 << 15)).cast_signed()
);
number!(
    "`i32`: four bytes, big-endian, two's complement with the sign bit flipped.",
    I32,
    i32,
    u32,
    "i32",
    |value| value.cast_unsigned() ^ (1 << 31),
    |stored| (stored ^ (1 << 31)).cast_signed()
);
number!(
    "`i64`: eight bytes, big-endian, two's complement with the sign bit flipped.",
    I64,
    i64,
    u64,
    "i64",
    |value| value.cast_unsigned() ^ (1 << 63),
    |stored| (stored ^ (1 << 63)).cast_signed()
);
number!(
    "`f32`: the four bytes of the IEEE 754 number, big-endian.",
    F32,
    f32,
    u32,
    "f32",
    f32::to_bits,
    f32::from_bits
);
number!(
    "`f64`: the eight bytes of the IEEE 754 number, big-endian.",
    F64,
    f64,
    u64,
    "f64",
    f64::to_bits,
    f64::from_bits
);

/// `String`: varint length, then UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Str;

impl Serializer for Str {
    type Value = String;

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::String
    }

    #[inline]
    fn write(&self, value: &String, out: &mut Writer) -> Result<()> {
        out.str(value);
        Ok(())
    }

    #[inline]
    fn read(&self, input: &mut Reader<'_>) -> Result<String> {
        input.str("string").map(str::to_owned)
    }

    fn min_len(&self) -> usize {
        1
    }

    #[inline]
    fn key_hash(&self, value: &String, scratch: &mut Writer) -> Result<u64> {
        length_prefixed_key_hash(value.as_bytes(), scratch)
    }
}

#[inline]
fn length_prefixed_key_hash(bytes: &[u8], scratch: &mut Writer) -> Result<u64> {
    Ok(length_prefixed_xxh3(bytes).unwrap_or_else(|| {
        scratch.clear();
        scratch.bytes(bytes);
        key_hash(scratch.as_slice())
    }))
}

/// `Vec<u8>`: varint length, then the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Bytes;

impl Serializer for Bytes {
    type Value = Vec<u8>;

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::Bytes
    }

    #[inline]
    fn write(&self, value: &Vec<u8>, out: &mut Writer) -> Result<()> {
        out.bytes(value);
        Ok(())
    }

    #[inline]
    fn read(&self, input: &mut Reader<'_>) -> Result<Vec<u8>> {
        input.bytes("bytes").map(<[u8]>::to_vec)
    }

    fn min_len(&self) -> usize {
        1
    }

    #[inline]
    fn key_hash(&self, value: &Vec<u8>, scratch: &mut Writer) -> Result<u64> {
        length_prefixed_key_hash(value, scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded<S: Serializer>(serializer: S, value: S::Value) -> Vec<u8> {
        let mut out = Writer::new();
        serializer.write(&value, &mut out).unwrap();
        assert_eq!(serializer.key_hash(&value, &mut Writer::new()).unwrap(), key_hash(out.as_slice()));
        out.into_bytes()
    }

    #[test]
    fn layouts_do_not_change() {
        assert!(encoded(Unit, ()).is_empty());
        assert_eq!(encoded(Bool, true), [1]);
        assert_eq!(encoded(U8, 0xFE), [0xFE]);
        assert_eq!(encoded(U16, 0x0102), [1, 2]);
        assert_eq!(encoded(U32, 0x0102_0304), [1, 2, 3, 4]);
        assert_eq!(encoded(U64, 0x0102_0304_0506_0708), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(encoded(I8, -1), [0x7F]);
        assert_eq!(encoded(I16, 1), [0x80, 1]);
        assert_eq!(encoded(I32, -2), [0x7F, 0xFF, 0xFF, 0xFE]);
        assert_eq!(encoded(I64, i64::MIN), [0; 8]);
        assert_eq!(encoded(F32, 1.0), [0x3F, 0x80, 0, 0]);
        assert_eq!(encoded(F64, -2.0), [0xC0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encoded(Str, "né".to_owned()), [3, b'n', 0xC3, 0xA9]);
        assert_eq!(encoded(Bytes, vec![7; 200])[..3], [0xC8, 1, 7]);
    }

    #[test]
    fn byte_order_of_integers_is_numeric_order() {
        let numbers = [i64::MIN, -70_000, -256, -1, 0, 1, 255, 256, 70_000, i64::MAX];
        assert!(numbers.windows(2).all(|pair| encoded(I64, pair[0]) < encoded(I64, pair[1])));
        let numbers = [i32::MIN, -70_000, -1, 0, 1, 70_000, i32::MAX];
        assert!(numbers.windows(2).all(|pair| encoded(I32, pair[0]) < encoded(I32, pair[1])));
        let numbers = [i16::MIN, -256, -1, 0, 1, 256, i16::MAX];
        assert!(numbers.windows(2).all(|pair| encoded(I16, pair[0]) < encoded(I16, pair[1])));
        let numbers = [i8::MIN, -1, 0, 1, i8::MAX];
        assert!(numbers.windows(2).all(|pair| encoded(I8, pair[0]) < encoded(I8, pair[1])));
    }

    #[test]
    fn damage_names_the_field() {
        let error = Bool.read(&mut Reader::new(&[2])).unwrap_err();
        assert_eq!(error.place().field, Some("bool"));
        let error = Str.read(&mut Reader::with_base(&[2, 0xFF, 0xFF], 5)).unwrap_err();
        assert_eq!((error.place().field, error.place().offset), (Some("string"), Some(5)));
        let error = I32.read(&mut Reader::new(&[0, 0, 0])).unwrap_err();
        assert_eq!(error.to_string(), "corrupt: needs 4 bytes, 3 are left (offset 0, field i32)");
    }
}
