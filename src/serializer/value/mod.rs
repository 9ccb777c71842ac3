//! Values without their types, for tools.

mod decode;
mod encode;
mod show;

use super::TimeWindow;

/// A value that was decoded by its description alone.
///
/// `Display` shows it in one line, for people; the [`serde::Serialize`] implementation gives what belongs into JSON:
/// bytes as a hexadecimal string, numbers that JSON does not have (`NaN`, infinities) as strings, a map whose keys are
/// not all strings as a list of pairs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing: the unit, a missing option, nil.
    Unit,
    /// True or false.
    Bool(bool),
    /// An integer of an unsigned type, or one from MessagePack that is not negative.
    U64(u64),
    /// An integer of a signed type, or a negative one from MessagePack.
    I64(i64),
    /// A 32-bit float.
    F32(f32),
    /// A 64-bit float.
    F64(f64),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A time window.
    Window(TimeWindow),
    /// Any number of values of one type.
    List(Vec<Value>),
    /// A fixed number of values.
    Tuple(Vec<Value>),
    /// Keys and values, in stored order.
    Map(Vec<(Value, Value)>),
    /// Fields with names, in stored order.
    Record(Vec<(String, Value)>),
    /// Bytes that cannot be understood without the user's type.
    Opaque {
        /// What they are.
        type_name: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

#[cfg(test)]
mod tests;
