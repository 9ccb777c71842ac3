//! Values that take all the bytes they are given.

use super::{Form, Usual, Value};
use crate::codec::Reader;
use crate::error::{ErrorKind, Result};
use crate::format::flink::serializer::{Simple, Snapshot, TypeSerializer};

/// How values that take all that is left are read, found out once for all of them. See [`Snapshot::read_whole`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole<'h> {
    /// The serializer without time to live around it.
    snapshot: &'h Snapshot,
    timed: bool,
    known_end: bool,
}

impl<'h> Whole<'h> {
    #[inline]
    pub(in crate::format::flink) fn of(snapshot: &'h Snapshot) -> Self {
        let (inner, timed) = match &snapshot.serializer {
            TypeSerializer::Ttl(inner) => (&**inner, true),
            _ => (snapshot, false),
        };
        Whole { snapshot: inner, timed, known_end: inner.has_known_end() }
    }

    /// What follows a usual value.
    #[inline]
    pub(in crate::format::flink) fn skip_usual<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let mut input = Usual::new(bytes);
        if self.timed {
            input.array::<8>()?;
            input = Usual::new(input.rest());
        }
        if !self.known_end {
            return None;
        }
        input.skip(&self.snapshot.serializer)?;
        Some(input.rest())
    }

    #[inline]
    pub(in crate::format::flink) fn read_as<F: Form>(&self, input: &mut Reader<'_>) -> Result<F> {
        if self.timed {
            let last_access = input.i64("time of last access")?;
            return Ok(F::timed(last_access, self.untimed(input)?));
        }
        self.untimed(input)
    }

    fn untimed<F: Form>(&self, input: &mut Reader<'_>) -> Result<F> {
        if !self.known_end {
            return self.snapshot.opaque_as(input);
        }
        let start = input.clone();
        match self.snapshot.read_as(input) {
            Ok(value) if input.is_empty() => Ok(value),
            Ok(_) => Err(input.corrupt("value", format!("{} bytes follow a complete value", input.remaining()))),
            Err(error) if error.kind() == ErrorKind::Incompatible => {
                *input = start;
                self.snapshot.opaque_as(input)
            }
            Err(error) => Err(error),
        }
    }
}

/// A value as it is stored, and what it is stored by.
#[derive(Debug, Clone)]
pub(crate) struct Stored<'e> {
    serializer: Whole<'e>,
    input: Reader<'e>,
}

impl<'e> Stored<'e> {
    /// A value that takes all that is left of `input`.
    #[inline]
    pub(in crate::format::flink) fn new(serializer: Whole<'e>, input: Reader<'e>) -> Self {
        Stored { serializer, input }
    }

    /// A value whose bytes are all of `bytes`.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn of(serializer: &'e Snapshot, bytes: &'e [u8]) -> Self {
        Stored::new(Whole::of(serializer), Reader::new(bytes))
    }

    /// The serializer and all bytes of the value, unless there is time to live around it or only its own program can
    /// interpret it.
    #[inline]
    pub(crate) fn known(&self) -> Option<(&'e TypeSerializer, &'e [u8])> {
        let Whole { snapshot, timed, known_end } = self.serializer;
        (known_end && !timed).then(|| (&snapshot.serializer, self.input.rest()))
    }

    /// The moment of the last access, if there is time to live, and the value without it.
    #[inline]
    pub(crate) fn untimed(self) -> Result<(Option<i64>, Self)> {
        let Stored { serializer, mut input } = self;
        if !serializer.timed {
            return Ok((None, Stored { serializer, input }));
        }
        let last_access = input.i64("time of last access")?;
        Ok((Some(last_access), Stored { serializer: Whole { timed: false, ..serializer }, input }))
    }

    /// Whether the value is never null.
    #[inline]
    pub(crate) fn is_never_null(&self) -> bool {
        use Simple::{Boolean, Byte, Char, Double, Float, Int, Long, Short};
        let TypeSerializer::Simple(simple) = self.serializer.snapshot.serializer else { return false };
        matches!(simple, Boolean | Byte | Short | Int | Long | Char | Float | Double)
    }

    /// The value.
    #[inline]
    pub(crate) fn value(self) -> Result<Value> {
        self.read()
    }

    /// The value in the form that the caller wants.
    #[inline]
    pub(crate) fn read<F: Form>(mut self) -> Result<F> {
        self.serializer.read_as(&mut self.input)
    }
}
