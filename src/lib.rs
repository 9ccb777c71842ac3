//! State for stream processors.
//!
//! Work in progress: this page is written last.

pub mod backend;
pub mod checkpoint;
pub mod clock;
pub mod codec;
pub mod error;
pub mod format;
pub mod ids;
pub mod key_group;
pub mod random;
pub mod serializer;
pub mod snapshot;
pub mod state;
pub mod storage;
pub mod task;

pub use error::{Error, ErrorKind, Place, Result};
