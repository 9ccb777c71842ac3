//! Entries of the usual types, taken apart and checked without a word on what is wrong with others: those are left to the
//! decoder, which alone judges.

use super::decode::{Elements, Parts, PartsContent, Shape, StateDecoder};
use super::{Entry, LIST_DELIMITER};
use crate::codec::Reader;
use crate::format::flink::serializer::Snapshot;
use crate::format::flink::value::{Stored, Usual, Whole};

/// What a usual key consists of.
struct Leading<'e> {
    timestamp: i64,
    key: &'e [u8],
    namespace: &'e [u8],
    /// The user's key of a map.
    rest: &'e [u8],
    /// Where the namespace and the rest begin, counted from the beginning of the key.
    namespace_at: usize,
    rest_at: usize,
}

impl<'h> StateDecoder<'h> {
    /// Whether an entry is usual and intact.
    #[inline]
    pub(super) fn has_usual(&self, entry: &Entry<'_>) -> bool {
        let Some(leading) = self.leading(entry) else { return false };
        match self.content {
            Shape::Value(value) => leading.rest.is_empty() && value.has_usual(entry.value),
            Shape::List(element, _) => leading.rest.is_empty() && has_usual_elements(element, entry.value),
            Shape::Map(user_key, user_value) => {
                user_key.has_usual(leading.rest)
                    && match entry.value.split_first() {
                        Some((0, value)) => user_value.has_usual(value),
                        Some((1, _)) => true,
                        _ => false,
                    }
            }
            Shape::Timer => leading.rest.is_empty() && entry.value.is_empty(),
        }
    }

    /// The parts of an entry whose key is usual.
    #[inline]
    pub(super) fn usual_parts<'e>(&self, entry: &Entry<'e>) -> Option<Parts<'e>>
    where
        'h: 'e,
    {
        let leading = self.leading(entry)?;
        let part = |bytes: &'e [u8], at: usize| {
            Reader::with_base(bytes, entry.key_offset.saturating_add(u64::try_from(at).unwrap_or(u64::MAX)))
        };
        let value = Reader::with_base(entry.value, entry.value_offset);
        let content = match self.content {
            Shape::Map(user_key, user_value) => {
                let is_null = value.clone().bool("null flag").ok()?;
                let bytes = Reader::with_base(entry.value.get(1..)?, entry.value_offset.saturating_add(1));
                let user_key = Stored::new(user_key, part(leading.rest, leading.rest_at));
                PartsContent::MapEntry { user_key, value: (!is_null).then(|| Stored::new(user_value, bytes)) }
            }
            _ if !leading.rest.is_empty() => return None,
            Shape::Value(whole) => PartsContent::Value(Stored::new(whole, value)),
            Shape::List(element, whole) => PartsContent::List(Elements { element, whole, input: value }),
            Shape::Timer if value.is_empty() => PartsContent::Timer { timestamp: leading.timestamp },
            Shape::Timer => return None,
        };
        Some(Parts {
            key: Stored::new(self.key.whole, part(leading.key, 0)),
            namespace: Stored::new(self.namespace.whole, part(leading.namespace, leading.namespace_at)),
            content,
        })
    }

    /// Key and namespace, if they are usual and the key belongs to the entry's key group.
    #[inline]
    fn leading<'e>(&self, entry: &Entry<'e>) -> Option<Leading<'e>> {
        let mut input = Usual::new(entry.key);
        let timestamp = match self.content {
            Shape::Timer => Reader::new(&input.array::<8>()?).ordered_i64("timer timestamp").ok()?,
            _ => 0,
        };
        let start = input.rest();
        if !entry.placement.has_usual(&self.key.serializer.serializer, &mut input) {
            return None;
        }
        let key = before(start, &input)?;
        if self.measured {
            input.measure(key.len())?;
        }
        let start = input.rest();
        let namespace_at = entry.key.len().saturating_sub(start.len());
        let mut input = Usual::new(start);
        input.skip(&self.namespace.serializer.serializer)?;
        let namespace = before(start, &input)?;
        if self.measured {
            input.measure(namespace.len())?;
        }
        let rest = input.rest();
        Some(Leading {
            timestamp,
            key,
            namespace,
            rest,
            namespace_at,
            rest_at: entry.key.len().saturating_sub(rest.len()),
        })
    }
}

/// What was read since the input began at `start`.
#[inline]
fn before<'e>(start: &'e [u8], input: &Usual<'e>) -> Option<&'e [u8]> {
    start.get(..start.len().checked_sub(input.rest().len())?)
}

/// Whether a list consists of usual elements.
fn has_usual_elements(element: &Snapshot, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut input = Usual::new(rest);
        if input.skip(&element.serializer).is_none() {
            return false;
        }
        rest = match input.rest().split_first() {
            None => return true,
            Some((&LIST_DELIMITER, [])) => return false,
            Some((&LIST_DELIMITER, rest)) => rest,
            Some(_) => return false,
        };
    }
    true
}

impl Whole<'_> {
    /// Whether these are all bytes of a usual value.
    #[inline]
    fn has_usual(&self, bytes: &[u8]) -> bool {
        self.skip_usual(bytes).is_some_and(<[u8]>::is_empty)
    }
}
