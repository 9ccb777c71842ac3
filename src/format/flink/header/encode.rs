//! Writing headers.

use super::state::{StateInfo, StateType};
use super::{KeyedHeader, OperatorHeader};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::flink::write::WritePrimitives;

/// Version of both headers, which every Flink since 1.18 writes.
const VERSION: i32 = 6;

impl KeyedHeader {
    /// Appends the header. One that is unreadable, or has no serializer of keys, cannot be written:
    /// [`Incompatible`](crate::ErrorKind::Incompatible).
    pub fn write(&self, out: &mut Writer) -> Result<()> {
        let KeyedHeader { compressed, key, state_count, states, unreadable } = self;
        if let Some(reason) = unreadable {
            return Err(Error::incompatible(format!("the header was not read to its end: {reason}")));
        }
        if *state_count != states.len() {
            return Err(Error::internal("a header with another number of states than it says"));
        }
        let key = key.as_ref().ok_or_else(|| Error::incompatible("the key's serializer is not known"))?;
        out.i32(VERSION);
        out.bool(*compressed);
        key.write_proxied(out);
        write_states(states, out)
    }
}

impl OperatorHeader {
    /// Appends the header; errors are those of [`KeyedHeader::write`].
    pub fn write(&self, out: &mut Writer) -> Result<()> {
        let OperatorHeader { compressed, lists, broadcasts, unreadable } = self;
        if let Some(reason) = unreadable {
            return Err(Error::incompatible(format!("the header was not read to its end: {reason}")));
        }
        out.i32(VERSION);
        out.bool(*compressed);
        write_states(lists, out)?;
        write_states(broadcasts, out)
    }
}

/// A two-byte count and so many descriptions.
fn write_states(states: &[StateInfo], out: &mut Writer) -> Result<()> {
    let count = i16::try_from(states.len())
        .map_err(|_| Error::invalid_input(format!("{} states are more than a file can hold", states.len())))?;
    out.i16(count);
    states.iter().try_for_each(|state| state.write(out).map_err(|error| error.in_state(&state.name)))
}

impl StateType {
    const fn position(self) -> i32 {
        match self {
            StateType::KeyValue => 0,
            StateType::Operator => 1,
            StateType::Broadcast => 2,
            StateType::PriorityQueue => 3,
            StateType::KeyValueV2 => 4,
        }
    }
}

impl StateInfo {
    pub(in crate::format::flink) fn write(&self, out: &mut Writer) -> Result<()> {
        let StateInfo { name, state_type, options, serializers } = self;
        out.utf(name, "state name")?;
        out.i32(state_type.position());
        out.items(options.len(), "number of state options")?;
        for (option, value) in options {
            out.utf(option, "state option")?;
            out.utf(value, "state option value")?;
        }
        out.items(serializers.len(), "number of state serializers")?;
        for (serializer, snapshot) in serializers {
            out.utf(serializer, "state serializer")?;
            snapshot.write_proxied(out);
        }
        Ok(())
    }
}
