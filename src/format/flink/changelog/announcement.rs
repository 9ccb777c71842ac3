use super::Operation;
use crate::codec::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::format::flink::header::{StateInfo, StateType, Unreadable};
use crate::format::flink::java_object;
use crate::format::flink::primitive::Primitives;

/// Number of bytes behind the description of a state: the number it is known by and the kind of state.
const TAIL_BYTES: usize = 3;

/// The description of a state, which precedes its first change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The number that changes know the state by.
    pub number: u16,
    /// The state.
    pub state: StateInfo,
    /// Why its serializers are incomplete.
    pub unreadable: Option<Unreadable>,
}

impl Announcement {
    /// Reads an announcement, which is a change.
    ///
    /// State of Flink 2's asynchronous API, and a format of descriptions that is not known, are
    /// [`Incompatible`](ErrorKind::Incompatible).
    pub fn read(change: Reader<'_>) -> Result<Self> {
        let mut input = change.clone();
        if Operation::read(&mut input)? != Operation::Announce {
            return Err(change.corrupt("operation", "is no announcement among announcements"));
        }
        let body = input.remaining().saturating_sub(TAIL_BYTES);
        let mut body = input.slice(body, "announcement")?;
        let number = input.u16("state number")?;
        let place = input.clone();
        let code = input.u8("state type code")?;
        let (state, unreadable) = description(&mut body)?;
        let expected = match state.state_type {
            StateType::KeyValue => 0,
            StateType::PriorityQueue => 3,
            other => {
                let message = format!("a log of {other:?} state, which no changelog backend is known to write");
                return Err(Error::incompatible(message).at_offset(change.offset()).in_state(&state.name));
            }
        };
        if code != expected {
            let message = format!("is {code}, the state is described as one of {expected}");
            return Err(place.corrupt("state type code", message).in_state(&state.name));
        }
        if unreadable.is_none() {
            body.finish("announcement").map_err(|error| error.in_state(&state.name))?;
        }
        Ok(Announcement { number, state, unreadable })
    }
}

fn description(body: &mut Reader<'_>) -> Result<(StateInfo, Option<Unreadable>)> {
    let start = body.clone();
    let version = body.i32("format of state descriptions")?;
    if !(6..=7).contains(&version) {
        let message = format!("state descriptions of format {version}; 6 and 7 can be read");
        return Err(Error::incompatible(message).at_offset(start.offset()).in_field("format of state descriptions"));
    }
    let (state, unreadable) = StateInfo::read(body)?;
    if unreadable.is_some() || state.state_type != StateType::KeyValue {
        return Ok((state, unreadable));
    }
    let options = body.offset();
    match default_and_ttl(&state, body) {
        Ok(()) => Ok((state, None)),
        // A default value that only its own program can tell the end of: nothing is behind it.
        Err(error) if error.kind() == ErrorKind::Incompatible => {
            body.raw(body.remaining(), "default value")?;
            Ok((state, None))
        }
        Err(error) => Err(match error.place().offset {
            Some(_) => error.in_state(&state.name),
            None => error.at_offset(options).in_state(&state.name),
        }),
    }
}

/// Steps over how long values live and what is given for none.
fn default_and_ttl(state: &StateInfo, body: &mut Reader<'_>) -> Result<()> {
    if body.bool("time to live flag")? {
        java_object::skip(body)?;
    }
    if body.bool("default value flag")? {
        let value = state.value().ok_or_else(|| Error::internal("a described state without a serializer"))?;
        value.read_value(body)?;
    }
    Ok(())
}
