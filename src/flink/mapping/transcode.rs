//! From Flink's bytes to ours without a value between them, for the usual types.
//!
//! What is not usual, and all damage, is left to the decoder and to [`Mapping::encode`]: they alone judge, so that what is
//! refused, and where, does not depend on this module.

mod leaf;
#[cfg(test)]
mod tests;

use super::part::{Kind, Part};
use super::{Mapping, pack};
use crate::codec::Writer;
use crate::error::Result;
use crate::format::flink::serializer::{Pojo, Snapshot, TypeSerializer};
use crate::format::flink::value::{Stored, Usual, bit};
use crate::serializer::{SerializerSnapshot, Shape};

impl Mapping {
    /// Appends the encoding of a value that is given as Flink stores it: what [`encode`](Self::encode) appends for the
    /// decoded value.
    pub(in crate::flink) fn transcode(&mut self, stored: Stored<'_>, out: &mut Writer) -> Result<()> {
        let start = out.len();
        if let Some((serializer, bytes)) = stored.known() {
            let mut input = Usual::new(bytes);
            if self.usual(serializer, &mut input, out).is_some() && input.rest().is_empty() {
                return Ok(());
            }
            out.truncate(start);
        }
        self.encode(&stored.value()?, out)
    }

    /// Appends the encoding of a usual value.
    fn usual(&mut self, serializer: &TypeSerializer, input: &mut Usual<'_>, out: &mut Writer) -> Option<()> {
        match (self, serializer) {
            (Mapping::Plain { kind, .. }, TypeSerializer::Simple(simple)) => leaf::plain(kind, *simple, input, out),
            (Mapping::Msgpack(part), serializer) => out.prefixed(|out| part.usual(serializer, input, out)),
            (Mapping::Optional(inner), TypeSerializer::Nullable { padding, inner: serializer }) => {
                if input.null(*padding)? {
                    out.u8(0);
                    return Some(());
                }
                out.u8(1);
                inner.usual_unless_null(&serializer.serializer, input, out)
            }
            (Mapping::Optional(inner), serializer) => {
                out.u8(1);
                inner.usual_unless_null(serializer, input, out)
            }
            _ => None,
        }
    }

    /// As [`usual`](Self::usual), for a type of which no usual value is null.
    fn usual_unless_null(
        &mut self,
        serializer: &TypeSerializer,
        input: &mut Usual<'_>,
        out: &mut Writer,
    ) -> Option<()> {
        match self {
            Mapping::Plain { kind: SerializerSnapshot::Unit, .. } => None,
            mapping => mapping.usual(serializer, input, out),
        }
    }
}

impl Part {
    /// Appends a usual value, and adds what it shows to the description. Where there is none the description may have
    /// learned of parts in front, which reading the value again tells as well.
    fn usual(&mut self, serializer: &TypeSerializer, input: &mut Usual<'_>, out: &mut Writer) -> Option<()> {
        input.part()?;
        match (&mut self.kind, serializer) {
            (Kind::Leaf(shape), TypeSerializer::Simple(simple)) => {
                self.null |= leaf::item(*simple, input, out)? && *shape != Shape::Unit;
                Some(())
            }
            (Kind::Struct { .. }, TypeSerializer::Pojo(pojo)) => self.object(pojo, input, out),
            (Kind::Tuple(parts), TypeSerializer::Tuple { fields, .. }) if parts.len() == fields.len() => {
                pack::array(fields.len(), out)?;
                let mut fields = parts.iter_mut().zip(fields);
                fields.try_for_each(|(part, field)| part.usual(&field.serializer, input, out))
            }
            (Kind::Tuple(parts), TypeSerializer::Row { with_kind, fields }) if parts.len() == fields.len() => {
                row(parts, *with_kind, fields, input, out)
            }
            (Kind::List(part), TypeSerializer::List(element)) => {
                let count = input.count(1)?;
                pack::array(count, out)?;
                (0..count).try_for_each(|_| part.usual(&element.serializer, input, out))
            }
            (Kind::List(part), TypeSerializer::GenericArray { component, .. }) => {
                let count = input.count(1)?;
                pack::array(count, out)?;
                (0..count).try_for_each(|_| {
                    let present = input.flag()?;
                    part.unless(!present, &component.serializer, input, out)
                })
            }
            (Kind::List(_), TypeSerializer::Simple(simple)) => leaf::array(*simple, input, out),
            (Kind::Enum { .. }, TypeSerializer::Enum { constants, .. }) => {
                pack::text(constants.get(input.constant()?)?.as_bytes(), out)
            }
            (Kind::Either(left, right), TypeSerializer::Either(of_left, of_right)) => {
                let is_left = input.flag()?;
                let (name, part, serializer) =
                    if is_left { ("Left", left, of_left) } else { ("Right", right, of_right) };
                pack::map(1, out)?;
                pack::text(name.as_bytes(), out)?;
                part.usual(&serializer.serializer, input, out)
            }
            (_, TypeSerializer::Nullable { padding, inner }) => {
                let null = input.null(*padding)?;
                self.unless(null, &inner.serializer, input, out)
            }
            (_, TypeSerializer::External(inner)) => self.usual(&inner.serializer, input, out),
            _ => None,
        }
    }

    /// Null, or else a value that follows.
    fn unless(
        &mut self,
        null: bool,
        serializer: &TypeSerializer,
        input: &mut Usual<'_>,
        out: &mut Writer,
    ) -> Option<()> {
        if !null {
            return self.usual(serializer, input, out);
        }
        self.null |= !matches!(self.kind, Kind::Leaf(Shape::Unit));
        pack::nil(out)
    }

    /// An object of the class itself.
    fn object(&mut self, pojo: &Pojo, input: &mut Usual<'_>, out: &mut Writer) -> Option<()> {
        if input.no_object()? {
            self.null = true;
            return pack::nil(out);
        }
        let Kind::Struct { seen, fields: members, .. } = &mut self.kind else { return None };
        // The members of subclasses come behind those of the class.
        let members = members.get_mut(..pojo.fields.len())?;
        pack::map(members.len(), out)?;
        for (member, field) in members.iter_mut().zip(&pojo.fields) {
            if member.name != field.name {
                return None;
            }
            pack::text(member.name.as_bytes(), out)?;
            let null = input.flag()?;
            member.part.unless(null, &field.serializer.as_ref()?.serializer, input, out)?;
        }
        // Not before the last field was read, so that none counts twice.
        *seen = seen.saturating_add(1);
        members.iter_mut().for_each(|member| member.present = member.present.saturating_add(1));
        Some(())
    }
}

/// Checks that a value is stored alike, or refused alike, with and without a value between Flink's bytes and ours.
#[cfg(any(test, feature = "test-util"))]
pub(in crate::flink) fn assert_transcoded_alike(snapshot: &Snapshot, bytes: &[u8]) {
    let (mut direct, mut through) = (Mapping::of(snapshot), Mapping::of(snapshot));
    let (mut transcoded, mut encoded) = (Writer::new(), Writer::new());
    let first = direct.transcode(Stored::of(snapshot, bytes), &mut transcoded).map_err(|error| error.to_string());
    let second = Stored::of(snapshot, bytes).value().and_then(|value| through.encode(&value, &mut encoded));
    assert_eq!(first, second.map_err(|error| error.to_string()), "{snapshot:?} {bytes:02x?}");
    if first.is_ok() {
        assert_eq!(transcoded.as_slice(), encoded.as_slice(), "{snapshot:?} {bytes:02x?}");
        assert_eq!(direct.description(), through.description(), "{snapshot:?} {bytes:02x?}");
    }
}

/// A row of kind `+I`.
fn row(
    parts: &mut [Part],
    with_kind: bool,
    fields: &[Snapshot],
    input: &mut Usual<'_>,
    out: &mut Writer,
) -> Option<()> {
    let kind_bits = if with_kind { 2 } else { 0 };
    let mask = input.mask(fields.len().saturating_add(kind_bits))?;
    if with_kind && (bit(mask, 0) || bit(mask, 1)) {
        return None;
    }
    pack::array(fields.len(), out)?;
    for (index, (part, field)) in parts.iter_mut().zip(fields).enumerate() {
        input.part()?;
        part.unless(bit(mask, index.saturating_add(kind_bits)), &field.serializer, input, out)?;
    }
    Some(())
}
