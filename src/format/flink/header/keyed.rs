use super::state::{StateInfo, StateType, read_states, state_count};
use super::{Unreadable, readable};
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::format::flink::primitive::Primitives;
use crate::format::flink::serializer::{Gaps, Snapshot, only_way};

/// The only version since Flink 1.8.
const VERSION: i32 = 6;

/// Header of a file of keyed state (`KeyedBackendSerializationProxy`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedHeader {
    /// Whether key groups are Snappy framed streams.
    pub compressed: bool,
    /// Serializer of the keys; absent where its class is not known.
    pub key: Option<Snapshot>,
    /// Number of states that the file has.
    pub state_count: usize,
    /// The states; the position is the id that the body uses. Fewer than [`state_count`](Self::state_count) where the
    /// header is unreadable.
    pub states: Vec<StateInfo>,
    /// Why states are missing.
    pub unreadable: Option<Unreadable>,
}

impl KeyedHeader {
    /// Reads a header; the reader is then behind it, unless it is unreadable.
    ///
    /// A version of Flink before 1.8 is [`Incompatible`](crate::ErrorKind::Incompatible).
    pub fn read(input: &mut Reader<'_>) -> Result<Self> {
        Self::read_with(input, &mut Gaps::default())
    }

    /// As [`read`](Self::read), where it is known at which offset of the file the header ends: a serializer of an unknown class is
    /// then [`Opaque`](crate::format::flink::serializer::TypeSerializer::Opaque) and loses no state, if what follows it fits
    /// in only one way.
    pub fn read_until(input: &mut Reader<'_>, end: u64) -> Result<Self> {
        let start = input.clone();
        let header = Self::read(input)?;
        let length = end.checked_sub(start.offset()).and_then(|length| usize::try_from(length).ok());
        let (Some(_), Some(length)) = (&header.unreadable, length) else { return Ok(header) };
        let Ok(whole) = start.clone().slice(length, "header") else { return Ok(header) };
        let read = |input: &mut Reader<'_>, gaps: &mut Gaps| {
            let header = Self::read_with(input, gaps)?;
            let left = header.state_count.saturating_sub(header.states.len());
            Ok((header, left))
        };
        match only_way(&whole, &read) {
            Some(resolved) => {
                *input = start;
                input.raw(length, "header")?;
                Ok(resolved)
            }
            None => Ok(header),
        }
    }

    fn read_with(input: &mut Reader<'_>, gaps: &mut Gaps) -> Result<Self> {
        let start = input.clone();
        let version = input.i32("keyed backend version")?;
        if version != VERSION {
            return Err(unknown_version(&start, version));
        }
        let compressed = input.bool("key-group compression")?;
        let mut header = KeyedHeader { compressed, key: None, state_count: 0, states: Vec::new(), unreadable: None };
        match readable(Snapshot::read_proxied_with(input, gaps))? {
            Ok(key) => header.key = Some(key),
            Err(missing) => {
                header.unreadable = Some(missing);
                return Ok(header);
            }
        }
        header.state_count = state_count(input, "number of states")?;
        let keyed = |state_type| !matches!(state_type, StateType::Operator | StateType::Broadcast);
        header.unreadable = read_states(input, header.state_count, keyed, &mut header.states, gaps)?;
        Ok(header)
    }

    /// A header without states.
    pub fn empty() -> Self {
        KeyedHeader { compressed: false, key: None, state_count: 0, states: Vec::new(), unreadable: None }
    }

    /// Reads bytes that are a header and nothing else.
    pub fn read_all(bytes: &[u8]) -> Result<Self> {
        let mut input = Reader::new(bytes);
        let header = Self::read_until(&mut input, u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
        if header.unreadable.is_none() {
            input.finish("end of header")?;
        }
        Ok(header)
    }

    /// The state of an id that the body uses; `None` where the header could not be read so far.
    pub fn state(&self, id: u16) -> Option<&StateInfo> {
        self.states.get(usize::from(id))
    }

    /// How many ids a body can use.
    pub(crate) fn ids(&self) -> usize {
        // Where not even the serializer of keys is known, nor is the number of states.
        if self.key.is_none() && self.unreadable.is_some() { usize::from(u16::MAX) } else { self.state_count }
    }

    /// Whether a body can use the id: there is no such state otherwise.
    pub(crate) fn has_id(&self, id: u16) -> bool {
        usize::from(id) < self.ids()
    }
}

fn unknown_version(place: &Reader<'_>, version: i32) -> Error {
    let message = format!("keyed state of version {version}; version {VERSION}, of Flink 1.8 and later, can be read");
    match version {
        1..=5 => Error::incompatible(message).at_offset(place.offset()).in_field("keyed backend version"),
        _ => place.corrupt("keyed backend version", message),
    }
}
