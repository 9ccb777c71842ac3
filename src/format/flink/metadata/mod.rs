//! The `_metadata` file of a checkpoint or savepoint, versions 2 to 6.
//!
//! It lists, for every operator and subtask, the handles of its state. Decoding checks everything that can be judged
//! from the file alone: every count and length, that key-group ranges lie within the max parallelism and do not overlap,
//! that subtasks and operators occur once, that offsets lie inside the stream they point into and that no relative path
//! leaves the snapshot's directory.
//!
//! Sources: `Checkpoints`, `MetadataV2V3SerializerBase`, `MetadataV2Serializer` to `MetadataV6Serializer`,
//! `ChannelStateHandleSerializerV1` and `V2`.

mod channel;
mod encode;
mod keyed;
mod offsets;
mod operator;
mod operator_state;
mod stream;
mod streams;
mod version;

pub use channel::{Channel, ChannelHandle};
pub use keyed::{
    ChangelogDelta, ChangelogHandle, IncrementalHandle, KeyGroupsBody, KeyGroupsHandle, KeyedHandle, LocalFile,
};
pub use offsets::KeyGroupOffsets;
pub use operator::{Operator, Progress, Subtask, SubtaskState};
pub use operator_state::{Distribution, MergingDirectories, OperatorStateHandle, PartitionOffsets};
pub use stream::{InlineBytes, Scope, Segment, StreamHandle};
pub use streams::{NamedStream, Purpose};
pub use version::Version;

use std::collections::HashSet;

use super::java_object::{self, CheckpointProperties};
use super::primitive::Primitives;
use crate::codec::Reader;
use crate::error::{ErrorKind, Result};

const FORMAT: &str = "Flink metadata";

/// Opens every master state.
const MASTER_STATE_MAGIC: u32 = 0xC96B_1696;

/// What a `_metadata` file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Version of the file.
    pub version: Version,
    /// Number of the checkpoint or savepoint.
    pub checkpoint_id: u64,
    /// State of hooks in the job master; normally none.
    pub master_states: Vec<MasterState>,
    /// The operators, in the order of the file, which means nothing.
    pub operators: Vec<Operator>,
    /// The Java-serialized `CheckpointProperties` of versions 4 and later, byte for byte.
    pub properties: Option<Vec<u8>>,
}

/// State of a hook in the job master (`MasterState`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterState {
    /// Version of the payload.
    pub version: i32,
    /// Name of the hook.
    pub name: String,
    /// The state.
    pub payload: Vec<u8>,
}

impl Metadata {
    /// Decodes a whole `_metadata` file.
    ///
    /// Damage is a [`Corrupt`](crate::ErrorKind::Corrupt) error with offset and field; a version that is not known is
    /// [`Incompatible`](crate::ErrorKind::Incompatible).
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut input = Reader::new(bytes);
        decode(&mut input).map_err(|error| error.in_format(FORMAT))
    }

    /// What the snapshot was taken for, as far as the file says: `None` before version 4.
    pub fn checkpoint_properties(&self) -> Result<Option<CheckpointProperties>> {
        let read = |bytes: &Vec<u8>| CheckpointProperties::read(&mut Reader::new(bytes));
        self.properties.as_ref().map(read).transpose().map_err(|error| error.in_format(FORMAT))
    }
}

fn decode(input: &mut Reader<'_>) -> Result<Metadata> {
    let version = Version::read(input)?;
    let checkpoint_id = input.size("checkpoint id")?;
    let mut master_states = Vec::new();
    for _ in 0..input.items(8, "number of master states")? {
        master_states.push(master_state(input)?);
    }
    let mut operators: Vec<Operator> = Vec::new();
    let mut seen = HashSet::new();
    for _ in 0..input.items(28, "number of operators")? {
        let start = input.clone();
        let operator = Operator::read(input, version)?;
        if !seen.insert(operator.id) {
            return Err(start.corrupt("operator id", format!("{} occurs twice", operator.id)));
        }
        operators.push(operator);
    }
    let properties = if version.has_properties() { Some(properties(input)?) } else { None };
    input.clone().finish("end of metadata")?;
    Ok(Metadata { version, checkpoint_id, master_states, operators, properties })
}

fn master_state(input: &mut Reader<'_>) -> Result<MasterState> {
    let start = input.clone();
    let magic = input.u32("master state magic")?;
    if magic != MASTER_STATE_MAGIC {
        return Err(
            start.corrupt("master state magic", format!("is {magic:#010x}, expected {MASTER_STATE_MAGIC:#010x}"))
        );
    }
    let mut block = input.frame("master state")?;
    let version = block.i32("master state version")?;
    let name = block.utf("master state name")?;
    let payload = block.bytes32("master state payload")?.to_vec();
    block.finish("master state")?;
    Ok(MasterState { version, name, payload })
}

fn properties(input: &mut Reader<'_>) -> Result<Vec<u8>> {
    let start = input.clone();
    match java_object::skip(input) {
        Ok(()) => Ok(input.since(start.position()).to_vec()),
        // What cannot be parsed reaches to the end of the file.
        Err(error) if error.kind() == ErrorKind::Incompatible => {
            *input = start;
            input.raw(input.remaining(), "checkpoint properties").map(<[u8]>::to_vec)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
