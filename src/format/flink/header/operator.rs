use super::Unreadable;
use super::state::{StateInfo, StateType, read_states, state_count};
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::format::flink::primitive::Primitives;
use crate::format::flink::serializer::{Gaps, only_way};

/// Header of a file of operator state (`OperatorBackendSerializationProxy`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorHeader {
    /// Whether what follows is a Snappy framed stream.
    pub compressed: bool,
    /// List states.
    pub lists: Vec<StateInfo>,
    /// Broadcast states.
    pub broadcasts: Vec<StateInfo>,
    /// Why states are missing.
    pub unreadable: Option<Unreadable>,
}

impl OperatorHeader {
    /// Reads a header; the reader is then behind it, unless it is unreadable.
    ///
    /// A version of Flink before 1.17 can be [`Incompatible`](crate::ErrorKind::Incompatible).
    pub fn read(input: &mut Reader<'_>) -> Result<Self> {
        Self::read_with(input, &mut Gaps::default())
    }

    /// As [`read`](Self::read), where it is known at which offset of the file the header ends; see
    /// [`KeyedHeader::read_until`](super::KeyedHeader::read_until).
    pub fn read_until(input: &mut Reader<'_>, end: u64) -> Result<Self> {
        let start = input.clone();
        let header = Self::read(input)?;
        let length = end.checked_sub(start.offset()).and_then(|length| usize::try_from(length).ok());
        let (Some(_), Some(length)) = (&header.unreadable, length) else { return Ok(header) };
        let Ok(whole) = start.clone().slice(length, "header") else { return Ok(header) };
        // How many broadcast states there are is said behind the list states.
        let read = |input: &mut Reader<'_>, gaps: &mut Gaps| Ok((Self::read_with(input, gaps)?, 0));
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
        let version = input.i32("operator backend version")?;
        let compressed = match version {
            6 => input.bool("compression")?,
            5 => false,
            _ => {
                let message = format!("operator state of version {version}; versions 5 and 6 can be read");
                return Err(match version {
                    1..=4 => {
                        Error::incompatible(message).at_offset(start.offset()).in_field("operator backend version")
                    }
                    _ => start.corrupt("operator backend version", message),
                });
            }
        };
        let mut header = OperatorHeader { compressed, lists: Vec::new(), broadcasts: Vec::new(), unreadable: None };
        let count = state_count(input, "number of operator states")?;
        let list = |state_type| state_type == StateType::Operator;
        header.unreadable = read_states(input, count, list, &mut header.lists, gaps)?;
        if header.unreadable.is_none() {
            let count = state_count(input, "number of broadcast states")?;
            let broadcast = |state_type| state_type == StateType::Broadcast;
            header.unreadable = read_states(input, count, broadcast, &mut header.broadcasts, gaps)?;
        }
        Ok(header)
    }

    /// The state of a name.
    pub fn state(&self, name: &str) -> Option<&StateInfo> {
        self.lists.iter().chain(&self.broadcasts).find(|state| state.name == name)
    }
}
