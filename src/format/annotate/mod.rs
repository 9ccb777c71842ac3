//! Bytes with their meaning: the layouts of this crate, field by field.
//!
//! This is a second reading of every layout, written apart from the decoders and only for showing: the vectors in
//! `formats/` are printed by it, and the tests compare both. It follows the bytes without judging them; checksums are
//! shown, not checked.
//!
//! The text form has one line per field: the bytes in hexadecimal, `#`, the offset, the name of the field and what the
//! bytes say. [`parse`] reads the bytes of such a text back and ignores everything from `#` on.

mod control;
mod database;
mod manifest;
mod section;

use std::fmt::Write;

use super::record::StateMeta;
use super::{FormatId, preamble};
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::serializer::{SerializerSnapshot, Value};

/// Column of the `#` where the bytes leave room.
const COMMENT_COLUMN: usize = 34;

/// A part of the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Offset of its first byte.
    pub offset: usize,
    /// Number of its bytes; 0 for an empty value.
    pub length: usize,
    /// Name, as in the specification.
    pub name: String,
    /// What the bytes say.
    pub meaning: String,
}

/// What a data section does not say itself: the serializers of its operator, from the manifest.
#[derive(Debug, Clone, Copy)]
pub struct Schemas<'m> {
    /// Serializer of the keys; [`SerializerSnapshot::Unit`] for operator state.
    pub key: &'m SerializerSnapshot,
    /// The states, ascending by name.
    pub states: &'m [StateMeta],
}

/// The fields of a manifest or of a section, in order and without gaps. The schemas are needed for sections only.
pub fn annotate(bytes: &[u8], schemas: Schemas<'_>) -> Result<Vec<Field>> {
    let mut notes = Notes { input: Reader::new(bytes), fields: Vec::new() };
    match preamble::detect(bytes) {
        Some(FormatId::Manifest) => manifest::annotate(&mut notes)?,
        Some(FormatId::Control) => control::annotate(&mut notes)?,
        Some(FormatId::NativeRocksDb) => database::annotate(&mut notes)?,
        Some(format) => section::annotate(&mut notes, format, schemas)?,
        None => return Err(Error::corrupt("these are no bytes of a known format").at_offset(0).in_field("magic")),
    }
    notes.input.finish("end")?;
    Ok(notes.fields)
}

/// The text form of bytes with their fields.
pub fn render(bytes: &[u8], fields: &[Field]) -> String {
    let mut text = String::new();
    for Field { offset, length, name, meaning } in fields {
        let end = offset.saturating_add(*length);
        let start = text.len();
        for byte in bytes.get(*offset..end).unwrap_or_default() {
            let _infallible = write!(text, "{byte:02x}");
        }
        let width = text.len().saturating_sub(start);
        text.push_str(&" ".repeat(COMMENT_COLUMN.saturating_sub(width).max(2)));
        let _infallible = writeln!(text, "# {offset} {name} = {meaning}");
    }
    text
}

/// The bytes of a text form.
pub fn parse(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (line, number) in text.lines().zip(1u32..) {
        let wrong = || Error::invalid_input(format!("line {number} is not hexadecimal"));
        let mut digits = line.split('#').next().unwrap_or_default().chars().filter(|c| !c.is_whitespace());
        while let Some(high) = digits.next() {
            let low = digits.next().ok_or_else(wrong)?;
            let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or_else(wrong);
            bytes.push(digit(high)? << 4 | digit(low)?);
        }
    }
    Ok(bytes)
}

/// Reads fields and writes down what they were.
struct Notes<'a> {
    input: Reader<'a>,
    fields: Vec<Field>,
}

impl<'a> Notes<'a> {
    /// Reads a field with `read` and notes it as `show` puts it.
    fn note<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T>,
        show: impl FnOnce(&T) -> String,
    ) -> Result<T> {
        let offset = self.input.position();
        let value = read(&mut self.input)?;
        let length = self.input.position().saturating_sub(offset);
        self.fields.push(Field { offset, length, name: name.to_owned(), meaning: show(&value) });
        Ok(value)
    }

    fn u16(&mut self, name: &'static str) -> Result<u16> {
        self.note(name, |input| input.u16(name), u16::to_string)
    }

    fn u32(&mut self, name: &'static str) -> Result<u32> {
        self.note(name, |input| input.u32(name), u32::to_string)
    }

    fn varint(&mut self, name: &'static str) -> Result<u64> {
        self.note(name, |input| input.varint(name), u64::to_string)
    }

    /// A checksum or id, whose bytes are all there is to say.
    fn opaque(&mut self, name: &'static str, length: usize, what: &str) -> Result<&'a [u8]> {
        self.note(name, |input| input.raw(length, name), |_| what.to_owned())
    }

    /// A tag and the name of what it stands for.
    fn tag(&mut self, name: &'static str, known: impl FnOnce(u8) -> Option<String>) -> Result<u8> {
        self.note(name, |input| input.u8(name), |tag| known(*tag).unwrap_or_else(|| format!("unknown tag {tag}")))
    }

    /// A varint length and a text, as two fields.
    fn text(&mut self, name: &'static str) -> Result<&'a [u8]> {
        let at = self.input.clone();
        let length = self.note(&format!("{name} length"), |input| input.varint(name), u64::to_string)?;
        let length = usize::try_from(length).map_err(|_| at.corrupt(name, "is too long"))?;
        self.note(name, |input| input.raw(length, name), |bytes| format!("{:?}", String::from_utf8_lossy(bytes)))
    }

    fn preamble(&mut self) -> Result<()> {
        self.note("magic", |input| input.raw(preamble::MAGIC.len(), "magic"), |_| "\\x8dMPD\\n".to_owned())?;
        self.tag("format", |tag| FormatId::from_tag(tag).map(|format| format.name().to_owned()))?;
        self.u16("version")?;
        Ok(())
    }

    /// An encoded value. One that cannot be understood is noted as bytes.
    fn value(&mut self, name: &str, serializer: &SerializerSnapshot) -> Result<()> {
        if *serializer == SerializerSnapshot::Unit {
            return Ok(());
        }
        let show = |value: &Value| format!("{value} ({serializer})");
        self.note(name, |input| Value::read(serializer, input), show).map(|_| ())
    }
}
