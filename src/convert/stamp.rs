//! Stamps put before values, or taken from them.

use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::record::StateKind;

/// What becomes of the stamps of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamping {
    /// They stay as they are, or stay away.
    Keep,
    /// Everything counts as last touched at this moment.
    Set(i64),
    /// They are taken off.
    Drop,
}

impl Stamping {
    /// The value of a pair as the destination has it; put together in `scratch` where it changes.
    pub(super) fn apply<'v>(self, kind: StateKind, value: &'v [u8], scratch: &'v mut Writer) -> Result<&'v [u8]> {
        if self == Stamping::Keep {
            return Ok(value);
        }
        scratch.clear();
        if kind != StateKind::List {
            self.one(value, scratch)?;
            return Ok(scratch.as_slice());
        }
        let mut elements = Reader::new(value);
        let mut element = Writer::new();
        while !elements.is_empty() {
            element.clear();
            self.one(elements.bytes("element")?, &mut element)?;
            scratch.bytes(element.as_slice());
        }
        Ok(scratch.as_slice())
    }

    /// One value or element.
    fn one(self, bytes: &[u8], out: &mut Writer) -> Result<()> {
        match self {
            Stamping::Keep => out.raw(bytes),
            Stamping::Set(stamp_ms) => {
                out.ordered_i64(stamp_ms);
                out.raw(bytes);
            }
            Stamping::Drop => {
                let mut input = Reader::new(bytes);
                input.ordered_i64("stamp")?;
                out.raw(input.rest());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_can_be_dropped_again() {
        let mut list = Writer::new();
        [&b"one"[..], b"", b"three"].into_iter().for_each(|element| list.bytes(element));
        for (kind, value) in
            [(StateKind::Value, &b"value"[..]), (StateKind::Map, b""), (StateKind::List, list.as_slice())]
        {
            let (mut set, mut dropped) = (Writer::new(), Writer::new());
            let stamped = Stamping::Set(-7).apply(kind, value, &mut set).unwrap();
            assert_ne!(stamped, value);
            assert_eq!(Stamping::Drop.apply(kind, stamped, &mut dropped).unwrap(), value);
            assert_eq!(Stamping::Keep.apply(kind, value, &mut Writer::new()).unwrap(), value);
        }
    }

    #[test]
    fn a_value_too_short_for_its_stamp_is_damage() {
        let error = Stamping::Drop.apply(StateKind::Value, &[1, 2, 3], &mut Writer::new()).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
    }
}
