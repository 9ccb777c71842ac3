use crate::codec::{Compression, Reader, Writer};
use crate::error::Result;
use crate::format::FormatId;
use crate::format::record::StateKind;
use crate::format::schema::Schema;
use crate::format::section::{Block, SectionWriter, Sink};
use crate::ids::OperatorId;

/// A writer of native sections of one operator.
pub fn writer<S: Sink>(sink: S, operator: OperatorId, compression: Compression) -> SectionWriter<S> {
    SectionWriter::new(sink, FormatId::NativeHeap, operator, compression)
}

/// Appends a neutral pair as a typed entry: for states that nobody registered, and for conversion.
///
/// A map gives one entry for each pair.
pub fn write_pair(schema: &Schema<'_>, key: &[u8], value: &[u8], out: &mut Writer) -> Result<()> {
    match schema.state.kind {
        StateKind::Map => {
            let user_key = schema.split_key(key)?.user_key;
            let prefix = key.len().saturating_sub(user_key.len());
            out.raw(key.get(..prefix).unwrap_or_default());
            out.length(1);
            out.raw(user_key);
            out.raw(value);
        }
        StateKind::List => {
            out.raw(key);
            let mut count = 0usize;
            let mut elements = schema.elements(value);
            while elements.next_element()?.is_some() {
                count = count.saturating_add(1);
            }
            out.length(count);
            let mut elements = Reader::new(value);
            while !elements.is_empty() {
                out.raw(elements.bytes("element")?);
                if schema.state.value.min_len() == 0 {
                    out.u8(0);
                }
            }
        }
        _ => {
            out.raw(key);
            out.raw(value);
        }
    }
    Ok(())
}

/// The entries of one block as neutral pairs. Memory: one entry, without the items of a map.
pub struct Entries<'b> {
    block: &'b Block<'b>,
    schema: Schema<'b>,
    input: Reader<'b>,
    left: u32,
    /// Key and namespace of the map entry that is being read, and the number of its items that are left.
    map: Option<(&'b [u8], usize)>,
    key: Writer,
    value: Writer,
    failed: bool,
}

impl<'b> Entries<'b> {
    /// The entries of `block`, of the state that `schema` describes.
    pub fn new(block: &'b Block<'_>, schema: Schema<'b>) -> Self {
        let input = block.reader();
        let (key, value) = (Writer::new(), Writer::new());
        Entries { block, schema, input, left: block.entries, map: None, key, value, failed: false }
    }

    /// The next pair, which lives until the next call; `None` after the last one or after an error.
    pub fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.failed {
            return Ok(None);
        }
        self.failed = true;
        let block = self.block;
        let pair = match self.schema.state.kind {
            StateKind::Map => next_item(&self.schema, &mut self.input, &mut self.left, &mut self.map, &mut self.key),
            _ => next_entry(&self.schema, &mut self.input, &mut self.left, &mut self.value),
        };
        let pair = pair.map_err(|error| block.locate(error))?;
        self.failed = false;
        Ok(pair)
    }
}

fn next_entry<'s, 'b: 's>(
    schema: &Schema<'_>,
    input: &mut Reader<'b>,
    left: &mut u32,
    scratch: &'s mut Writer,
) -> Result<Option<(&'s [u8], &'s [u8])>> {
    if *left == 0 {
        return input.clone().finish("block").map(|()| None);
    }
    *left = left.saturating_sub(1);
    schema.read_native(input, scratch).map(Some)
}

fn next_item<'s, 'b: 's>(
    schema: &Schema<'_>,
    input: &mut Reader<'b>,
    left: &mut u32,
    map: &mut Option<(&'b [u8], usize)>,
    key: &'s mut Writer,
) -> Result<Option<(&'s [u8], &'s [u8])>> {
    let (prefix, items) = match *map {
        Some(run) => run,
        None if *left == 0 => return input.clone().finish("block").map(|()| None),
        None => {
            *left = left.saturating_sub(1);
            let prefix = schema.read_map_prefix(input)?;
            let at = input.clone();
            let min_len = schema.state.user_key.min_len().saturating_add(schema.state.value.min_len());
            let items = schema.native_count(input, min_len)?;
            if items == 0 {
                return Err(at.corrupt("count", "a map without entries"));
            }
            (prefix, items)
        }
    };
    *map = items.checked_sub(1).filter(|left| *left > 0).map(|left| (prefix, left));
    let (user_key, value) = schema.read_map_item(input)?;
    key.clear();
    key.raw(prefix);
    key.raw(user_key);
    Ok(Some((key.as_slice(), value)))
}
