//! From our bytes to Flink's without a value between them, for the usual types.

use crate::codec::{Reader, Writer};
use crate::format::flink::serializer::{Simple, TypeSerializer};
use crate::serializer::{Bool, F64, I32, I64, Serializer, SerializerSnapshot};

/// Appends a value whose bytes here are `bytes`, as Flink's serializer writes it. `None` where that takes more than a look
/// at the bytes, or they are damaged; then nothing may be kept of what was appended.
#[inline]
pub(super) fn encode(
    stored: &SerializerSnapshot,
    bytes: &[u8],
    target: &TypeSerializer,
    out: &mut Writer,
) -> Option<()> {
    let TypeSerializer::Simple(simple) = target else { return None };
    let mut input = Reader::new(bytes);
    match (stored, simple) {
        (SerializerSnapshot::I64, Simple::Long) => out.i64(I64.read(&mut input).ok()?),
        (SerializerSnapshot::I32, Simple::Int) => out.u32(I32.read(&mut input).ok()?.cast_unsigned()),
        (SerializerSnapshot::F64, Simple::Double) => out.u64(F64.read(&mut input).ok()?.to_bits()),
        (SerializerSnapshot::Bool, Simple::Boolean) => out.u8(u8::from(Bool.read(&mut input).ok()?)),
        (SerializerSnapshot::Unit, Simple::VoidNamespace) => out.u8(0),
        (SerializerSnapshot::String, Simple::String) => {
            let text = input.bytes("string").ok().filter(|text| text.is_ascii())?;
            out.length(text.len().checked_add(1)?);
            out.raw(text);
        }
        _ => return None,
    }
    input.is_empty().then_some(())
}
