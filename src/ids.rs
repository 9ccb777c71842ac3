//! Names and numbers of the things a checkpoint is made of.

use std::fmt;
use std::str::FromStr;

use crate::codec::murmur3::murmur3_x64_128;
use crate::error::{Error, Result};

/// Longest accepted uid or state name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 4096;

/// Checks a name that a user chose: not empty, at most [`MAX_NAME_BYTES`] long, no control characters.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid_input(format!("{what} is empty")));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(Error::invalid_input(format!("{what} is {} bytes long, at most {MAX_NAME_BYTES} fit", name.len())));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid_input(format!("{what} {name:?} contains a control character")));
    }
    Ok(())
}

/// Number of a checkpoint or savepoint within its job, from 1 upwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckpointId(pub u64);

impl CheckpointId {
    /// The id that follows this one.
    #[must_use]
    pub fn next(self) -> Self {
        CheckpointId(self.0.saturating_add(1))
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let wrong = || Error::invalid_input(format!(concat!($what, " {:?} is not 32 hexadecimal digits"), text));
                if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(wrong());
                }
                let number = u128::from_str_radix(text, 16).map_err(|error| wrong().because(error))?;
                Ok($name(number.to_be_bytes()))
            }
        }
    };
}

hex_id!(
    /// Identity of a job run: 128 random bits that the caller draws, shown as 32 hexadecimal digits.
    JobId,
    "job id"
);

hex_id!(
    /// Identity of an operator, by which restore matches state to code; shown as 32 hexadecimal digits.
    OperatorId,
    "operator id"
);

impl OperatorId {
    /// The id of an explicit uid: MurmurHash3 (x64, 128 bits, seed 0) of its UTF-8 bytes, as Flink derives it
    /// (`StreamGraphHasherV2`), so that state can move between the two under the same identity.
    pub fn from_uid(uid: &str) -> Self {
        OperatorId(murmur3_x64_128(uid.as_bytes()))
    }
}

/// Index of a parallel instance of an operator, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubtaskIndex(pub u32);

impl fmt::Display for SubtaskIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_ids_are_those_of_flink() {
        assert_eq!(OperatorId::from_uid("fn-uid").to_string(), "f6a927f14a15abca6721e01e25c47c41");
        assert_eq!(OperatorId::from_uid("src-uid").to_string(), "65eb651c08e51afc6b01b9ec8c609cba");
    }

    #[test]
    fn ids_parse_what_they_print() {
        let id = OperatorId::from_uid("x");
        assert_eq!(id.to_string().parse::<OperatorId>().unwrap(), id);
        assert!("xyz".parse::<JobId>().is_err());
        assert!("+0000000000000000000000000000001".parse::<JobId>().is_err());
    }

    #[test]
    fn names_are_checked() {
        assert!(check_name("uid", "ok").is_ok());
        for bad in ["", "a\0b", "line\nbreak"] {
            assert!(check_name("uid", bad).is_err(), "{bad:?}");
        }
        assert!(check_name("uid", &"x".repeat(MAX_NAME_BYTES + 1)).is_err());
    }
}
