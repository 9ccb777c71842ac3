use std::fmt;

use serde::de;

/// Why a type rejected made-up input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Error {
    /// It needs this field.
    MissingField(&'static str),
    /// It got this field twice, perhaps under two names.
    DuplicateField(&'static str),
    /// It does not want a field of a name it does not know.
    UnknownField,
    /// It has no variant of that name.
    UnknownVariant,
    /// For reasons of its own.
    Rejected,
    /// It asked too much.
    Exhausted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "made-up input was rejected: {self:?}")
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Error::Rejected
    }

    fn missing_field(field: &'static str) -> Self {
        Error::MissingField(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Error::DuplicateField(field)
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Error::UnknownField
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Error::UnknownVariant
    }
}
