//! Takes bytes apart by field and puts changed fields together again, with checksums that fit.

use millpond::codec::digest;
use millpond::format::FormatId;
use millpond::format::annotate::{Field, Schemas, annotate};

use super::samples;

/// A vector as a list of fields that can be changed.
#[derive(Clone)]
pub(super) struct Forge {
    format: FormatId,
    pub(super) fields: Vec<(String, Vec<u8>)>,
}

impl Forge {
    pub(super) fn new(format: FormatId, bytes: &[u8]) -> Self {
        let fields = annotated(format, bytes)
            .into_iter()
            .map(|field| (field.name, bytes[field.offset..field.offset + field.length].to_vec()))
            .collect();
        Forge { format, fields }
    }

    /// Position of the field of this name, counted from `nth` 0.
    pub(super) fn find(&self, name: &str, nth: usize) -> usize {
        let positions = self.fields.iter().enumerate().filter(|(_, (field, _))| field == name);
        positions.map(|(position, _)| position).nth(nth).unwrap_or_else(|| panic!("no field {name} number {nth}"))
    }

    pub(super) fn set(&mut self, name: &str, nth: usize, bytes: &[u8]) {
        let position = self.find(name, nth);
        self.fields[position].1 = bytes.to_vec();
    }

    /// The bytes of the field before it changed, for finding out what to put there.
    pub(super) fn get(&self, name: &str, nth: usize) -> &[u8] {
        &self.fields[self.find(name, nth)].1
    }

    /// Takes out all fields of one record, which starts with the given field and ends with its checksum.
    pub(super) fn take_record(&mut self, start: usize) -> Vec<(String, Vec<u8>)> {
        let length = self.fields[start..].iter().position(|(name, _)| name.ends_with(" crc")).unwrap() + 1;
        self.fields.drain(start..start + length).collect()
    }

    pub(super) fn insert(&mut self, at: usize, fields: Vec<(String, Vec<u8>)>) {
        self.fields.splice(at..at, fields);
    }

    /// The bytes as they are.
    pub(super) fn unsealed(&self) -> Vec<u8> {
        self.fields.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect()
    }

    /// Puts right every checksum.
    pub(super) fn seal(&mut self) {
        if matches!(self.format, FormatId::Manifest | FormatId::Control) {
            let end = self.fields.len() - 1;
            let body: Vec<u8> = self.fields[..end].iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
            self.fields[end].1 = digest(&body).0.to_vec();
            return;
        }
        if self.format == FormatId::NativeRocksDb {
            let end = self.find("crc", 0);
            let covered: Vec<u8> = self.fields[..end].iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
            self.fields[end].1 = crc32fast::hash(&covered).to_be_bytes().to_vec();
            return;
        }
        let (mut header, mut record, mut ordinal) = (None, Vec::new(), 0u32);
        for (name, bytes) in &mut self.fields {
            if !name.ends_with(" crc") {
                record.extend_from_slice(bytes);
                continue;
            }
            let mut crc = crc32fast::Hasher::new();
            let base = header.get_or_insert_with(|| std::mem::take(&mut record));
            crc.update(base);
            crc.update(&ordinal.to_be_bytes());
            crc.update(&record);
            *bytes = crc.finalize().to_be_bytes().to_vec();
            record.clear();
            ordinal += 1;
        }
    }

    /// One line per field, without meaning.
    pub(super) fn render(&self, headline: &str) -> String {
        let mut text = format!("# {headline}\n");
        let mut offset = 0;
        for (name, bytes) in &self.fields {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push_str(&format!("{hex:<34}# {offset} {name}\n"));
            offset += bytes.len();
        }
        text
    }
}

/// The fields of a good vector.
pub(super) fn annotated(format: FormatId, bytes: &[u8]) -> Vec<Field> {
    let states = match format {
        FormatId::Operator => samples::operator_states(),
        _ => samples::keyed_states(),
    };
    annotate(bytes, Schemas { key: &samples::key(format), states: &states }).unwrap()
}
