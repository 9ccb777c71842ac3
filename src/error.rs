//! The one public error type.
//!
//! [`ErrorKind`] says what the caller does next; [`Place`] says where the trouble is. An error is built where it is
//! noticed and gains its place on the way up: the layer that knows the file name adds it, the layer that knows the
//! operator adds that. A part of the place that is already known is never overwritten, so the innermost layer wins.

use std::fmt;

/// Result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call itself was wrong: fix the argument or the order of calls.
    InvalidInput,
    /// Both sides are intact but do not fit: change serializer, parallelism, feature or version.
    Incompatible,
    /// Stored bytes are damaged: restore another snapshot.
    Corrupt,
    /// A named thing does not exist.
    NotFound,
    /// It certainly did not happen; trying again may work.
    Unavailable,
    /// It may or may not have happened: look before doing anything that cannot be undone.
    Uncertain,
    /// Somebody asked for it to stop.
    Aborted,
    /// A bug in this crate.
    Internal,
}

impl ErrorKind {
    /// The kind as one lower-case word or two, as it opens an error message.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorKind::InvalidInput => "invalid input",
            ErrorKind::Incompatible => "incompatible",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::NotFound => "not found",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Uncertain => "uncertain",
            ErrorKind::Aborted => "aborted",
            ErrorKind::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an error was noticed, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Name of the file or object.
    pub file: Option<String>,
    /// Byte offset inside the file, or inside the decoded bytes where there is no file.
    pub offset: Option<u64>,
    /// Format the bytes were read as, for example `canonical v1`.
    pub format: Option<&'static str>,
    /// Field that was being read or written.
    pub field: Option<&'static str>,
    /// Operator, by uid.
    pub operator: Option<String>,
    /// State name.
    pub state: Option<String>,
    /// Key group number.
    pub key_group: Option<u16>,
}

impl Place {
    fn is_empty(&self) -> bool {
        *self == Place::default()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut part = |f: &mut fmt::Formatter<'_>, name: &str, value: &dyn fmt::Display| {
            let written = write!(f, "{separator}{name} {value}");
            separator = ", ";
            written
        };
        if let Some(file) = &self.file {
            part(f, "file", file)?;
        }
        if let Some(offset) = &self.offset {
            part(f, "offset", offset)?;
        }
        if let Some(format) = &self.format {
            part(f, "format", format)?;
        }
        if let Some(field) = &self.field {
            part(f, "field", field)?;
        }
        if let Some(operator) = &self.operator {
            part(f, "operator", &format_args!("{operator:?}"))?;
        }
        if let Some(state) = &self.state {
            part(f, "state", &format_args!("{state:?}"))?;
        }
        if let Some(key_group) = &self.key_group {
            part(f, "key group", key_group)?;
        }
        Ok(())
    }
}

/// An error of any operation of this crate.
///
/// `Display` is one line: kind, message, place. The cause, if there is one, is what
/// [`source`](std::error::Error::source) returns and is not repeated in the line.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    place: Place,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of the given kind. The message is a sentence fragment without a final stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, message: message.into(), place: Place::default(), source: None }))
    }

    /// The call was wrong.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Both sides are intact but do not fit.
    pub fn incompatible(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Incompatible, message)
    }

    /// Stored bytes are damaged.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// A named thing does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// It did not happen and may work later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// It may have happened.
    pub fn uncertain(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Uncertain, message)
    }

    /// It was asked to stop.
    pub fn aborted(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Aborted, message)
    }

    /// A bug in this crate.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// What the caller should do next.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What went wrong, without kind and place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it went wrong, as far as known.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Attaches the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds the file, unless one is known.
    #[must_use]
    pub fn in_file(mut self, file: impl fmt::Display) -> Self {
        self.0.place.file.get_or_insert_with(|| file.to_string());
        self
    }

    /// Adds the byte offset, unless one is known.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.0.place.offset.get_or_insert(offset);
        self
    }

    /// Moves a known offset by `base`: for bytes that were cut out of a larger file.
    #[must_use]
    pub fn offset_by(mut self, base: u64) -> Self {
        if let Some(offset) = &mut self.0.place.offset {
            *offset = offset.saturating_add(base);
        }
        self
    }

    /// Replaces the offset: for a position inside bytes that no longer exist as such, for example an expanded block.
    #[must_use]
    pub fn moved_to(mut self, offset: u64) -> Self {
        self.0.place.offset = Some(offset);
        self
    }

    /// Adds the format, unless one is known.
    #[must_use]
    pub fn in_format(mut self, format: &'static str) -> Self {
        self.0.place.format.get_or_insert(format);
        self
    }

    /// Adds the field, unless one is known.
    #[must_use]
    pub fn in_field(mut self, field: &'static str) -> Self {
        self.0.place.field.get_or_insert(field);
        self
    }

    /// Adds the operator, unless one is known.
    #[must_use]
    pub fn in_operator(mut self, operator: impl fmt::Display) -> Self {
        self.0.place.operator.get_or_insert_with(|| operator.to_string());
        self
    }

    /// Adds the state, unless one is known.
    #[must_use]
    pub fn in_state(mut self, state: impl fmt::Display) -> Self {
        self.0.place.state.get_or_insert_with(|| state.to_string());
        self
    }

    /// Adds the key group, unless one is known.
    #[must_use]
    pub fn in_key_group(mut self, key_group: u16) -> Self {
        self.0.place.key_group.get_or_insert(key_group);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.message)?;
        if self.0.place.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.0.place)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_line_with_kind_message_and_place() {
        let error = Error::corrupt("checksum is 1, expected 2").at_offset(4).offset_by(10).in_file("a").in_state("s");
        assert_eq!(error.to_string(), "corrupt: checksum is 1, expected 2 (file a, offset 14, state \"s\")");
    }

    #[test]
    fn the_innermost_place_wins() {
        let error = Error::corrupt("x").in_file("inner").in_file("outer").at_offset(1).at_offset(2);
        assert_eq!(error.place().file.as_deref(), Some("inner"));
        assert_eq!(error.place().offset, Some(1));
    }
}
