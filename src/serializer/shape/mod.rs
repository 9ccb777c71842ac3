//! The shape of a serde type: what a MessagePack value of that type looks like, by field name.
//!
//! Newtypes have the shape of what they wrap, because MessagePack does not show them. [`Shape::Any`] stands for parts
//! that only the type itself understands; it fits everything.
//!
//! # Compatibility
//!
//! Whether a type reads what another version of it wrote is decided by comparing the stored shape with what the type
//! reads now, before any value is read. The rules go part by part; a whole gets the worst verdict of its parts:
//!
//! | written | now | verdict |
//! |---|---|---|
//! | a field | no field of that name, or alias | after migration; incompatible if the struct denies unknown fields |
//! | no field | a field | after migration if it has a default or is an option, else incompatible |
//! | fields | the same in another order | after migration |
//! | an integer | an integer type that holds every value of the old one | as is |
//! | a number | a float type that holds every value of the old one exactly | after migration |
//! | `T` | `Option<T>` | as is: MessagePack does not show the difference |
//! | `Option<T>` | `T` | incompatible |
//! | a variant | no variant of that name, or alias | incompatible, unless a `serde(other)` variant takes it |
//! | no variant | a variant | as is |
//! | a variant with or without content | the other way round | incompatible |
//! | a tuple | a list | as its fields |
//! | a struct | a map | as its fields, after migration |
//! | a char, an enum of bare names | a string | as is |
//! | bytes | a list of numbers, or back | after migration |
//! | any | any | as is, unchecked |
//! | any | anything else, or back | after migration, unchecked |
//!
//! Names of types mean nothing. Whatever is not listed must be the same.

mod compare;
mod trace;
mod wire;

use std::fmt;

use serde::de::DeserializeOwned;

use super::Compatibility;
pub(crate) use wire::MAX_DEPTH;

/// What MessagePack values of a serde type look like.
///
/// `Display` gives it in one line, for example `struct Profile {flights: u64, last: option<string>}`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// Anything: a type that describes itself only while it is read, or a recursion that was cut.
    Any,
    /// Nil.
    Unit,
    /// True or false.
    Bool,
    /// A number from 0 to 2^8 - 1.
    U8,
    /// A number from 0 to 2^16 - 1.
    U16,
    /// A number from 0 to 2^32 - 1.
    U32,
    /// A number from 0 to 2^64 - 1.
    U64,
    /// A number from 0 to 2^128 - 1.
    U128,
    /// A number from -2^7 to 2^7 - 1.
    I8,
    /// A number from -2^15 to 2^15 - 1.
    I16,
    /// A number from -2^31 to 2^31 - 1.
    I32,
    /// A number from -2^63 to 2^63 - 1.
    I64,
    /// A number from -2^127 to 2^127 - 1.
    I128,
    /// An IEEE 754 number of 32 bits.
    F32,
    /// An IEEE 754 number of 64 bits.
    F64,
    /// One Unicode scalar value, as a string.
    Char,
    /// UTF-8.
    String,
    /// Bytes.
    Bytes,
    /// Nil or a value.
    Option(Box<Shape>),
    /// Any number of values of one shape.
    List(Box<Shape>),
    /// Any number of keys and values.
    Map(Box<Shape>, Box<Shape>),
    /// A fixed number of values.
    Tuple(Vec<Shape>),
    /// A map from field names to values.
    Struct {
        /// Name of the type, for people.
        name: String,
        /// Fields in declaration order.
        fields: Vec<Field>,
    },
    /// The name of a variant, alone or as the only key of a map.
    Enum {
        /// Name of the type, for people.
        name: String,
        /// Variants in declaration order.
        variants: Vec<Variant>,
    },
}

/// A field of a [`Shape::Struct`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name, as stored.
    pub name: String,
    /// Shape of the value.
    pub shape: Shape,
}

/// A variant of a [`Shape::Enum`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Name.
    pub name: String,
    /// Other names under which the variant is read. Which of all its names is the stored one is not known.
    pub aliases: Vec<String>,
    /// What the variant holds; `None` for a variant that is its name alone.
    pub content: Option<Shape>,
}

impl Shape {
    /// The shape of the values of `T`.
    ///
    /// Found by deserializing `T` from made-up input, which takes microseconds to milliseconds: once per registration
    /// is fine, once per record is not. Parts that cannot be found out are [`Shape::Any`].
    pub fn of<T: DeserializeOwned>() -> Self {
        trace::trace::<T>().shape()
    }

    /// Whether a `T` can be read from what was written by a type of this shape.
    pub(super) fn compatibility_of<T: DeserializeOwned>(&self) -> Compatibility {
        compare::compare(self, &trace::trace::<T>())
    }
}

impl fmt::Display for Shape {
    /// Control characters in stored names are escaped, so that they cannot take over a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Shape::Any => "any",
            Shape::Unit => "unit",
            Shape::Bool => "bool",
            Shape::U8 => "u8",
            Shape::U16 => "u16",
            Shape::U32 => "u32",
            Shape::U64 => "u64",
            Shape::U128 => "u128",
            Shape::I8 => "i8",
            Shape::I16 => "i16",
            Shape::I32 => "i32",
            Shape::I64 => "i64",
            Shape::I128 => "i128",
            Shape::F32 => "f32",
            Shape::F64 => "f64",
            Shape::Char => "char",
            Shape::String => "string",
            Shape::Bytes => "bytes",
            Shape::Option(inner) => return write!(f, "option<{inner}>"),
            Shape::List(inner) => return write!(f, "list<{inner}>"),
            Shape::Map(key, value) => return write!(f, "map<{key}, {value}>"),
            Shape::Tuple(fields) => {
                f.write_str("(")?;
                separated(f, fields, |f, field| write!(f, "{field}"))?;
                ")"
            }
            Shape::Struct { name, fields } => {
                write!(f, "struct {} {{", name.escape_debug())?;
                separated(f, fields, |f, field| write!(f, "{}: {}", field.name.escape_debug(), field.shape))?;
                "}"
            }
            Shape::Enum { name, variants } => {
                write!(f, "enum {} {{", name.escape_debug())?;
                separated(f, variants, |f, variant| {
                    write!(f, "{}", variant.name.escape_debug())?;
                    variant.aliases.iter().try_for_each(|alias| write!(f, "/{}", alias.escape_debug()))?;
                    variant.content.as_ref().map_or(Ok(()), |content| write!(f, ": {content}"))
                })?;
                "}"
            }
        };
        f.write_str(text)
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    show: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(index, item)| {
        f.write_str(if index == 0 { "" } else { ", " })?;
        show(f, item)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_cannot_take_over_a_terminal() {
        let field = Field { name: "\u{1b}[2J".into(), shape: Shape::U8 };
        let variant = Variant { name: "A\n".into(), aliases: vec!["B\r".into()], content: None };
        let shape = Shape::Struct { name: "é".into(), fields: vec![field] };
        assert_eq!(shape.to_string(), "struct é {\\u{1b}[2J: u8}");
        let shape = Shape::Enum { name: "\0".into(), variants: vec![variant] };
        assert_eq!(shape.to_string(), "enum \\0 {A\\n/B\\r}");
    }
}
