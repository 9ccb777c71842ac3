//! Whether a program can take over what another version of it has written.

use std::fmt;

use super::SerializerSnapshot;
use crate::error::Error;

/// Verdict of a serializer about bytes that were written under another description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compatibility {
    /// The bytes are what this serializer would write itself: they may stay as they are.
    AsIs,
    /// The serializer reads the bytes but would write others: entries are read as written and written anew. Says what
    /// changes, for people.
    AfterMigration(String),
    /// The serializer cannot read the bytes. Says why, naming both types.
    Incompatible(String),
}

impl Compatibility {
    /// The verdict of a serializer that reads nothing but its own layout.
    pub fn of_identical(own: &SerializerSnapshot, written: &SerializerSnapshot) -> Self {
        if own == written {
            return Compatibility::AsIs;
        }
        Compatibility::Incompatible(format!("was {written}, now {own}"))
    }

    /// The error of a serializer that is to read what its verdict refused.
    pub(super) fn refusal(own: &SerializerSnapshot, written: &SerializerSnapshot) -> Error {
        Error::incompatible(format!("a value was written as {written} and cannot be read as {own}"))
    }

    /// The verdict about a whole of which one part got this verdict and the rest got `other`: the worse of the two. All
    /// changes, or all reasons, are kept.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        use Compatibility::{AfterMigration, AsIs, Incompatible};
        match (self, other) {
            (AsIs, verdict) | (verdict, AsIs) => verdict,
            (Incompatible(first), Incompatible(second)) => Incompatible(format!("{first}; {second}")),
            (Incompatible(reason), AfterMigration(_)) | (AfterMigration(_), Incompatible(reason)) => {
                Incompatible(reason)
            }
            (AfterMigration(first), AfterMigration(second)) => AfterMigration(format!("{first}; {second}")),
        }
    }

    /// The same verdict, its text prefixed with the part of the type it is about, for example `map value`.
    #[must_use]
    pub fn of_part(self, part: impl fmt::Display) -> Self {
        match self {
            Compatibility::AsIs => Compatibility::AsIs,
            Compatibility::AfterMigration(change) => Compatibility::AfterMigration(format!("{part} {change}")),
            Compatibility::Incompatible(reason) => Compatibility::Incompatible(format!("{part} {reason}")),
        }
    }

    /// Whether the bytes can be read, with or without migration.
    pub fn is_readable(&self) -> bool {
        !matches!(self, Compatibility::Incompatible(_))
    }
}

impl fmt::Display for Compatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compatibility::AsIs => f.write_str("compatible as is"),
            Compatibility::AfterMigration(change) => write!(f, "compatible after migration: {change}"),
            Compatibility::Incompatible(reason) => write!(f, "incompatible: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_verdict_wins_and_nothing_is_forgotten() {
        use Compatibility::{AfterMigration, AsIs, Incompatible};
        let migration = |text: &str| AfterMigration(text.to_owned());
        let refusal = |text: &str| Incompatible(text.to_owned());
        assert_eq!(AsIs.and(AsIs), AsIs);
        assert_eq!(AsIs.and(migration("a")), migration("a"));
        assert_eq!(migration("a").and(migration("b")), migration("a; b"));
        assert_eq!(migration("a").and(refusal("b")), refusal("b"));
        assert_eq!(refusal("a").and(migration("b")), refusal("a"));
        assert_eq!(refusal("a").and(refusal("b")), refusal("a; b"));
        assert_eq!(refusal("was u8, now u16").of_part("map key"), refusal("map key was u8, now u16"));
    }

    #[test]
    fn different_layouts_are_named() {
        let verdict = Compatibility::of_identical(&SerializerSnapshot::U64, &SerializerSnapshot::String);
        assert_eq!(verdict.to_string(), "incompatible: was string, now u64");
        assert!(!verdict.is_readable());
    }
}
