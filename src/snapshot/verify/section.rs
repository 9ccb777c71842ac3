use std::ops::ControlFlow;

use super::super::walk::block_pairs;
use super::object::CheckedObject;
use super::{Check, Place, Totals, count};
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::format::canonical::{EntryCheck, PairReader};
use crate::format::manifest::SectionRef;
use crate::format::record::StateKind;
use crate::format::schema::Schema;
use crate::format::section::{Block, Owner, SectionId, SectionReader};
use crate::serializer::{SerializerSnapshot, Value};

impl Check<'_> {
    /// Checks a section of keyed state.
    pub(super) fn keyed_section(
        &mut self,
        place: &Place<'_>,
        object: &CheckedObject,
        section: &SectionRef,
        id: SectionId,
        totals: &mut Totals,
    ) -> Result<()> {
        let bytes = match object.slice(section.offset, section.length) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.tally.incomplete_sections = self.tally.incomplete_sections.saturating_add(1);
                let error = error.in_key_group(section.group.0).in_format(id.format.v1());
                return if object.has_wrong_length { Ok(()) } else { self.found(place, error) };
            }
        };
        let index = Some((section.checksum, section.entries));
        self.section(place, bytes.as_slice(), section.offset, id, index, totals)
    }

    /// Checks a section that begins at `base` of its object; `index` has the checksum and number of entries that the
    /// manifest knows.
    pub(super) fn section(
        &mut self,
        place: &Place<'_>,
        bytes: &[u8],
        base: u64,
        id: SectionId,
        index: Option<(u64, u64)>,
        totals: &mut Totals,
    ) -> Result<()> {
        let outcome = match SectionReader::new(bytes, base, id) {
            Err(error) => Err(error),
            Ok(reader) => {
                let mut reader = match index {
                    Some((checksum, _)) => reader.with_checksum(checksum),
                    None => reader,
                };
                self.blocks(place, &mut reader, totals)?.and_then(|()| match index {
                    Some((_, expected)) if expected != reader.entries() => Err(miscounted(id, base, expected, &reader)),
                    _ => Ok(()),
                })
            }
        };
        match outcome {
            Ok(()) => {
                self.tally.sections = self.tally.sections.saturating_add(1);
                Ok(())
            }
            Err(error) => {
                self.tally.incomplete_sections = self.tally.incomplete_sections.saturating_add(1);
                self.found(place, error)
            }
        }
    }

    /// Checks the blocks of a section. The inner result is damage that ends the section.
    fn blocks(&mut self, place: &Place<'_>, reader: &mut SectionReader<'_>, totals: &mut Totals) -> Result<Result<()>> {
        let mut order = PairReader::new();
        for block in reader {
            let block = match block {
                Ok(block) => block,
                Err(error) => return Ok(Err(error)),
            };
            if let Err(error) = check_block(place, &block, &mut order) {
                self.found(place, error)?;
                continue;
            }
            self.tally.blocks = self.tally.blocks.saturating_add(1);
            self.tally.entries = self.tally.entries.saturating_add(u64::from(block.entries));
            let total = totals.entry(block.state.to_owned()).or_default();
            total.0 = total.0.saturating_add(u64::from(block.entries));
            total.1 = total.1.saturating_add(count(block.payload.len()));
        }
        Ok(Ok(()))
    }
}

fn miscounted(id: SectionId, base: u64, expected: u64, reader: &SectionReader<'_>) -> Error {
    let message = format!("the section has {} entries, the manifest says {expected}", reader.entries());
    let error = Error::corrupt(message).at_offset(base).in_field("entries").in_format(id.format.v1());
    match id.owner {
        Owner::KeyGroup(group) => error.in_key_group(group.0),
        Owner::Subtask(_) => error,
    }
}

/// Checks every entry of a block, to the first one that is wrong.
fn check_block(place: &Place<'_>, block: &Block<'_>, order: &mut PairReader) -> Result<()> {
    let operator = place.operator;
    let key = operator.key().unwrap_or(&SerializerSnapshot::Unit);
    let schema = Schema::find(key, operator.states(), block.state, block.kind).map_err(|error| block.locate(error))?;
    let check = EntryCheck { groups: Some((&operator.description().assignment, operator.max_parallelism())) };
    let walked = block_pairs(block, schema, order, &mut |key, value| {
        check.check(&schema, block, key, value)?;
        decodes(&schema, key, value).map_err(|error| block.locate(error.moved_to(block.offset)))?;
        Ok(ControlFlow::Continue(()))
    });
    walked.map(|_| ())
}

/// Checks that the parts of an entry are values of their types. Their lengths are known to be right.
pub(super) fn decodes(schema: &Schema<'_>, key: &[u8], value: &[u8]) -> Result<()> {
    let state = schema.state;
    if !schema.key.is_opaque() && !state.namespace.is_opaque() && !state.user_key.is_opaque() {
        let parts = schema.split_key(key)?;
        decodes_as(schema.key, parts.key, state.kind.is_keyed())?;
        decodes_as(&state.namespace, parts.namespace, state.kind.is_keyed())?;
        decodes_as(&state.user_key, parts.user_key, matches!(state.kind, StateKind::Map | StateKind::Broadcast))?;
    }
    if state.value.is_opaque() {
        return Ok(());
    }
    match state.kind {
        StateKind::Timer => Ok(()),
        StateKind::List => {
            let mut elements = schema.elements(value);
            while let Some(element) = elements.next_element()? {
                decodes_as(&state.value, element.value, true)?;
            }
            Ok(())
        }
        _ => decodes_as(&state.value, schema.split_value(value)?.value, true),
    }
}

fn decodes_as(serializer: &SerializerSnapshot, bytes: &[u8], is_present: bool) -> Result<()> {
    if !is_present || is_any_bytes(serializer) {
        return Ok(());
    }
    let mut input = Reader::new(bytes);
    match serializer {
        SerializerSnapshot::String => input.str("string").map(|_| ()),
        other => Value::read(other, &mut input).map(|_| ()),
    }
}

/// Whether every sequence of bytes of the right length is a value of the type.
fn is_any_bytes(serializer: &SerializerSnapshot) -> bool {
    use SerializerSnapshot as S;
    match serializer {
        S::Bool | S::String | S::Map(..) | S::Msgpack(_) | S::Unknown { .. } => false,
        S::Option(inner) | S::List(inner) => is_any_bytes(inner),
        S::Tuple(fields) => fields.iter().all(is_any_bytes),
        _ => true,
    }
}
