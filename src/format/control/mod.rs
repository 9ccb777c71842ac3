//! What coordinators, collectors and readers of one job agree by: small objects that are created and never changed.
//!
//! Vocabulary. A *record* says who coordinates the job and what is decided; records are numbered from 1, and the one with
//! the highest number counts. The *epoch* is the number of the coordinator's incarnation. A *lease* says that somebody
//! reads a checkpoint and wants it to stay. A *seal* stands in the place of a manifest and says that there never will be
//! one. What follows from them is decided in [`crate::checkpoint`]; here are only the bytes.
//!
//! The BLAKE3 digest of everything before it ends each of them and is compared before the body is looked at.

mod v1;

use crate::codec::{Reader, Writer, digest};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{FormatId, preamble};
use crate::ids::{CheckpointId, JobId};

/// Length of the digest that ends a control object, in bytes.
const DIGEST_BYTES: usize = 32;

/// Longest control object that is accepted, in bytes.
pub const MAX_CONTROL_BYTES: usize = 16 << 20;

/// A control object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Who coordinates the job, and what is decided.
    Record(Record),
    /// Somebody reads a checkpoint.
    Lease(Lease),
    /// A checkpoint was given up.
    Seal(Seal),
}

/// Who coordinates a job, and what is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The job.
    pub job: JobId,
    /// Number of the record, from 1.
    pub number: u64,
    /// Epoch of the coordinator that stored it, from 1.
    pub epoch: u64,
    /// Random number that tells this coordinator from another that drew the same epoch; [`NOBODY`](Self::NOBODY) after it has
    /// ended in order.
    pub holder: [u8; 16],
    /// When it was stored, in milliseconds since the Unix epoch, for people.
    pub created_ms: i64,
    /// The coordinator gives its checkpoints ids below this one; whoever follows begins with it.
    pub reserved: CheckpointId,
    /// Every checkpoint below this id is decided: only the kept ones count.
    pub below: CheckpointId,
    /// Completed checkpoints that are in use, ascending. One at or above `below` is among those that count anyway.
    pub kept: Vec<CheckpointId>,
    /// What the job was started from, if it was not from nothing.
    pub origin: Option<Origin>,
    /// Whether the files of the origin belong to the job and are still there.
    pub claimed: bool,
}

impl Record {
    /// The holder of a job that nobody coordinates.
    pub const NOBODY: [u8; 16] = [0; 16];

    /// Whether the coordinator that stored it has ended: until somebody takes over, the job does not run.
    pub fn is_released(&self) -> bool {
        self.holder == Self::NOBODY
    }
}

/// A snapshot that a job was started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its number where it was taken.
    pub checkpoint: CheckpointId,
    /// Which storage it lies in, in the words of the program; empty for the storage of the job.
    pub place: String,
    /// Its directory in that storage.
    pub directory: String,
}

/// Somebody reads a checkpoint and wants it to stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// Until when, in milliseconds since the Unix epoch.
    pub expires_ms: i64,
    /// Who reads it, for people.
    pub reader: String,
}

/// The mark of a checkpoint that was given up, in the place of its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The job.
    pub job: JobId,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// Epoch of the coordinator that gave it up.
    pub epoch: u64,
}

impl Control {
    /// Encodes the object in the newest version. What could not be read back is
    /// [`InvalidInput`](ErrorKind::InvalidInput).
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Writer::new();
        preamble::write(FormatId::Control, &mut out);
        v1::encode(self, &mut out);
        let digest = digest(out.as_slice());
        out.raw(&digest.0);
        let bytes = out.into_bytes();
        match Self::decode(&bytes) {
            Ok(decoded) if decoded == *self => Ok(bytes),
            Ok(_) => Err(Error::internal("a control object changes when it is written and read")),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let refused = Error::invalid_input(format!("the control object is not valid: {}", error.message()));
                Err(refused.in_field(error.place().field.unwrap_or("control")))
            }
            Err(error) => Err(error),
        }
    }

    /// Decodes a control object of any version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_CONTROL_BYTES {
            let message = format!("{} bytes, at most {MAX_CONTROL_BYTES} are accepted", bytes.len());
            return Err(Error::corrupt(message).in_field("control").in_format(FormatId::Control.name()));
        }
        let mut input = Reader::new(bytes);
        let decoded = match preamble::read(FormatId::Control, &mut input)? {
            1 => body(bytes, input.position()).and_then(v1::decode),
            other => Err(Error::internal(format!("no reader for control version {other}"))),
        };
        decoded.map_err(|error| error.in_format(FormatId::Control.v1()))
    }

    /// Whether the bytes begin as a control object does.
    pub fn is_control(bytes: &[u8]) -> bool {
        preamble::detect(bytes) == Some(FormatId::Control)
    }
}

/// The bytes between preamble and digest, once the digest is found right.
fn body(bytes: &[u8], start: usize) -> Result<Reader<'_>> {
    let end = bytes.len().saturating_sub(DIGEST_BYTES);
    let offset = u64::try_from(end).unwrap_or(u64::MAX);
    let too_short = || {
        let message = format!("{} bytes are too few for a control object", bytes.len());
        Error::corrupt(message).at_offset(u64::try_from(bytes.len()).unwrap_or(u64::MAX)).in_field("digest")
    };
    let (covered, stored) = (bytes.get(..end).ok_or_else(too_short)?, bytes.get(end..).ok_or_else(too_short)?);
    let body = covered.get(start..).ok_or_else(too_short)?;
    let computed = digest(covered);
    if stored != computed.0 {
        let message = format!("the bytes give digest {computed}, another one is stored");
        return Err(Error::corrupt(message).at_offset(offset).in_field("digest"));
    }
    Ok(Reader::with_base(body, u64::try_from(start).unwrap_or(u64::MAX)))
}
