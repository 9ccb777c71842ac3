//! Time to live, put on the states of a snapshot and taken off: a moment of last access in front of a value, an element
//! of a list or a value of a map, and a serializer that says so.
//!
//! How long values live is not stored; the program says it.
//!
//! Sources: `TtlStateFactory`, `TtlUtils`.

use super::entry::Layout;
use super::header::{StateInfo, StateType};
use super::keyed::{write_element, write_map_value};
use super::serializer::{Snapshot, TypeSerializer};
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};

/// What to do with the moments of last access of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// Every value is given this moment, in milliseconds since 1970.
    Put(i64),
    /// The moments are taken off.
    Strip,
}

impl Stamp {
    /// The description of the state afterwards.
    ///
    /// A state that has time to live already, or has none to take off, and timers, are
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput).
    pub fn describe(self, state: &StateInfo) -> Result<StateInfo> {
        self.changed(state).map_err(|error| error.in_state(&state.name))
    }

    fn changed(self, state: &StateInfo) -> Result<StateInfo> {
        if state.state_type == StateType::PriorityQueue {
            return Err(Error::invalid_input("timers have no time to live"));
        }
        let value = state.value().ok_or_else(|| Error::incompatible("the state's serializer is not known"))?;
        let second_api = state.state_type == StateType::KeyValueV2;
        let changed = match (Layout::of(state)?, &value.serializer) {
            (Layout::List { .. }, TypeSerializer::List(element)) if !second_api => {
                Snapshot::of(TypeSerializer::List(Box::new(self.value(element)?)))?
            }
            (Layout::Map { .. }, TypeSerializer::Map(key, user_value)) if !second_api => {
                Snapshot::of(TypeSerializer::Map(key.clone(), Box::new(self.value(user_value)?)))?
            }
            _ => self.value(value)?,
        };
        let mut state = state.clone();
        let slot = state.serializers.iter_mut().find(|(name, _)| name == "VALUE_SERIALIZER");
        if let Some((_, snapshot)) = slot {
            *snapshot = changed;
        }
        Ok(state)
    }

    fn value(self, value: &Snapshot) -> Result<Snapshot> {
        match (self, &value.serializer) {
            (Stamp::Put(_), TypeSerializer::Ttl(_)) => Err(Error::invalid_input("the state has time to live already")),
            (Stamp::Put(_), _) => Snapshot::of(TypeSerializer::Ttl(Box::new(value.clone()))),
            (Stamp::Strip, TypeSerializer::Ttl(inner)) => Ok((**inner).clone()),
            (Stamp::Strip, _) => Err(Error::invalid_input("the state has no time to live")),
        }
    }

    /// Appends the changed value of an entry of the state, which is described as it was before.
    ///
    /// A list whose elements only their own program can tell apart is [`Incompatible`](crate::ErrorKind::Incompatible).
    pub fn apply(self, state: &StateInfo, value: &[u8], out: &mut Writer) -> Result<()> {
        let mut input = Reader::new(value);
        let done = match Layout::of(state)? {
            Layout::Queue { .. } => Err(Error::internal("a timer with time to live")),
            Layout::Value { .. } => self.one(&mut input, out),
            Layout::List { element, .. } => self.list(element, &mut input, out),
            Layout::Map { .. } => {
                if input.bool("null flag")? {
                    write_map_value(None, out);
                    return Ok(());
                }
                write_map_value(Some(&[]), out);
                self.one(&mut input, out)
            }
        };
        done.map_err(|error| error.in_state(&state.name))
    }

    /// The only value that is left.
    fn one(self, input: &mut Reader<'_>, out: &mut Writer) -> Result<()> {
        match self {
            Stamp::Put(moment) => out.i64(moment),
            Stamp::Strip => {
                input.i64("time of last access")?;
            }
        }
        out.raw(input.rest());
        Ok(())
    }

    fn list(self, element: &Snapshot, input: &mut Reader<'_>, out: &mut Writer) -> Result<()> {
        let start = out.len();
        while !input.is_empty() {
            let from = input.position();
            element.skip_value(input)?;
            let stored = input.since(from);
            let mut changed = Writer::new();
            self.one(&mut Reader::new(stored), &mut changed)?;
            write_element(start, changed.as_slice(), out);
            if !input.is_empty() {
                input.u8("list delimiter")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::format::flink::samples::{state, unhex};
    use crate::format::flink::serializer::Simple;

    fn made(serializer: TypeSerializer) -> Snapshot {
        Snapshot::of(serializer).unwrap()
    }

    fn simple(kind: Simple) -> Snapshot {
        Snapshot::simple(kind).unwrap()
    }

    fn applied(stamp: Stamp, state: &StateInfo, value: &str) -> Vec<u8> {
        let mut out = Writer::new();
        stamp.apply(state, &unhex(value), &mut out).unwrap();
        out.into_bytes()
    }

    #[test]
    fn moments_are_put_on_and_taken_off_again() {
        let namespace = || simple(Simple::VoidNamespace);
        let short_list = TypeSerializer::List(Box::new(simple(Simple::Short)));
        let map = TypeSerializer::Map(Box::new(simple(Simple::Int)), Box::new(simple(Simple::Short)));
        let cases = [
            (state("v", "VALUE", namespace(), simple(Simple::Short)), "0007", "0000000000000005 0007"),
            (
                state("l", "LIST", namespace(), made(short_list)),
                "2C2C 2C 0002",
                "0000000000000005 2C2C 2C 0000000000000005 0002",
            ),
            (state("m", "MAP", namespace(), made(map.clone())), "00 0007", "00 0000000000000005 0007"),
            (state("m", "MAP", namespace(), made(map)), "01", "01"),
        ];
        for (plain, bare, stamped) in cases {
            assert_eq!(applied(Stamp::Put(5), &plain, bare), unhex(stamped), "{}", plain.name);
            let described = Stamp::Put(5).describe(&plain).unwrap();
            assert!(described.value().unwrap().serializer.is_timed(), "{}", plain.name);
            assert_eq!(applied(Stamp::Strip, &described, stamped), unhex(bare), "{}", plain.name);
            assert_eq!(Stamp::Strip.describe(&described).unwrap(), plain);
            assert_eq!(Stamp::Put(5).describe(&described).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(Stamp::Strip.describe(&plain).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
