//! How typed values become bytes, and how bytes stay readable when types change.
//!
//! Vocabulary. A [`Serializer`] turns values of one type into bytes and back. Its [`SerializerSnapshot`] describes the
//! byte layout and is stored next to the bytes; it is enough to walk and show them with no user type at hand.
//! When a program registers a state that a snapshot already holds, the serializer it brings judges the stored
//! description: [`Compatibility`].
//!
//! Invariants every serializer keeps:
//!
//! * *Deterministic*: equal values give equal bytes, so that keys can be compared and hashed as bytes. (Serializers of
//!   unordered collections sort.)
//! * *Self-delimiting*: [`read`](Serializer::read) consumes exactly what [`write`](Serializer::write) produced, and no
//!   encoding is a prefix of another, so that encodings can be put side by side in composite keys.
//! * *Described*: [`SerializerSnapshot::skip`] walks every encoding without the serializer.
//!
//! Failure behaviour: reading never panics and never allocates more than the input can justify.
//!
//! Serializers are small constants, put together like the types they stand for. Any serde type can be stored with
//! [`Msgpack`] and may change later:
//!
//! ```
//! use millpond::codec::{Reader, Writer};
//! use millpond::serializer::{List, Msgpack, Serializer, Str, Tuple2};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Profile {
//!     flights: u64,
//! }
//!
//! // The same type, some releases later.
//! #[derive(Clone, Serialize, Deserialize)]
//! struct NewProfile {
//!     #[serde(default)]
//!     minutes: u64,
//!     flights: u64,
//! }
//!
//! const OLD: Tuple2<Str, List<Msgpack<Profile>>> = Tuple2(Str, List::new(Msgpack::new()));
//! const NEW: Tuple2<Str, List<Msgpack<NewProfile>>> = Tuple2(Str, List::new(Msgpack::new()));
//!
//! let mut out = Writer::new();
//! OLD.write(&("N14228".to_owned(), vec![Profile { flights: 3 }]), &mut out)?;
//!
//! let written = OLD.snapshot();
//! assert_eq!(written.to_string(), "(string, list<msgpack struct Profile {flights: u64}>)");
//! assert_eq!(
//!     NEW.compatibility(&written).to_string(),
//!     "compatible after migration: tuple field 1 list element field \"minutes\" is new"
//! );
//! let (_, profiles) = NEW.read_written(&written, &mut Reader::new(out.as_slice()))?;
//! assert_eq!(profiles.first().map(|profile| (profile.flights, profile.minutes)), Some((3, 0)));
//! # Ok::<(), millpond::Error>(())
//! ```
//!
//! The bytes are specified in `formats/serializer/SPEC.md`.

mod compatibility;
#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
mod custom;
mod enclosed;
#[cfg(any(test, feature = "test-util"))]
pub mod fuzz;
mod list;
mod map;
mod msgpack;
mod option;
mod primitive;
pub mod shape;
mod snapshot;
mod tuple;
mod value;
mod walk;
mod window;

pub use compatibility::Compatibility;
pub use custom::{Custom, CustomSerializer};
pub use list::List;
pub use map::Map;
pub use msgpack::Msgpack;
pub use option::Opt;
pub use primitive::{Bool, Bytes, F32, F64, I8, I16, I32, I64, Str, U8, U16, U32, U64, Unit};
pub use shape::Shape;
pub use snapshot::SerializerSnapshot;
pub use tuple::{Tuple2, Tuple3, Tuple4};
pub use value::Value;
pub use window::{TimeWindow, Window};

use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::key_group::key_hash;

/// Turns values of one type into bytes and back.
pub trait Serializer: Send + Sync + 'static {
    /// The type of the values. `Clone` because snapshots keep old versions; `Send + Sync` because another thread writes
    /// them.
    type Value: Clone + Send + Sync + 'static;

    /// Description of the bytes this serializer writes.
    fn snapshot(&self) -> SerializerSnapshot;

    /// Appends the encoding of `value`. Fails only if the value cannot be represented.
    fn write(&self, value: &Self::Value, out: &mut Writer) -> Result<()>;

    /// Reads one value, consuming exactly its encoding.
    fn read(&self, input: &mut Reader<'_>) -> Result<Self::Value>;

    /// Least number of bytes an encoding takes: [`SerializerSnapshot::min_len`] of [`snapshot`](Self::snapshot), which
    /// overriding makes cheaper. Zero means that every encoding is empty.
    fn min_len(&self) -> usize {
        self.snapshot().min_len()
    }

    /// Whether this serializer can take over bytes that were written under the description `written`.
    ///
    /// [`Compatibility::AfterMigration`] promises that [`read_written`](Self::read_written) reads them.
    fn compatibility(&self, written: &SerializerSnapshot) -> Compatibility {
        Compatibility::of_identical(&self.snapshot(), written)
    }

    /// Reads one value that was written under the description `written`, which
    /// [`compatibility`](Self::compatibility) accepted.
    fn read_written(&self, _written: &SerializerSnapshot, input: &mut Reader<'_>) -> Result<Self::Value> {
        self.read(input)
    }

    /// The key-group hash of `value`: [`key_hash`] of its encoding. Overridden only where the same number can be had
    /// without going through `scratch`.
    fn key_hash(&self, value: &Self::Value, scratch: &mut Writer) -> Result<u64> {
        scratch.clear();
        self.write(value, scratch)?;
        Ok(key_hash(scratch.as_slice()))
    }
}

#[cfg(test)]
mod tests;
