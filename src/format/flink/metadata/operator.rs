use std::collections::HashSet;

use super::channel::{self, ChannelHandle, Side};
use super::keyed::{KeyedHandle, Slot};
use super::operator_state::OperatorStateHandle;
use super::stream::{InlineBytes, StreamHandle};
use super::version::Version;
use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::primitive::Primitives;
use crate::ids::{OperatorId, SubtaskIndex};
use crate::key_group::{MaxParallelism, Parallelism};

/// One operator of the job (`OperatorState`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Name; stored from version 5 on, and even there it can be absent.
    pub name: Option<String>,
    /// Uid that the job's author gave; stored from version 5 on, and even there it can be absent.
    pub uid: Option<String>,
    /// Identity, by which a restore matches state to code.
    pub id: OperatorId,
    /// Number of subtasks.
    pub parallelism: Parallelism,
    /// Number of key groups.
    pub max_parallelism: MaxParallelism,
    /// State of the operator's coordinator, such as a source's enumerator.
    pub coordinator: Option<InlineBytes>,
    /// How far the operator had come, and its state.
    pub progress: Progress,
}

/// How far an operator had come when the snapshot was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// All subtasks had finished (`FullyFinishedOperatorState`).
    Finished,
    /// The subtasks that the file lists; a subtask that is not listed had no state.
    Running(Vec<Subtask>),
}

/// One subtask that the file lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtask {
    /// Which subtask.
    pub index: SubtaskIndex,
    /// Its state; `None` where the subtask had finished. Boxed, because most subtasks of a large job are small.
    pub state: Option<Box<SubtaskState>>,
}

/// The state of a subtask (`OperatorSubtaskState`). Every slot holds at most one handle except the channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtaskState {
    /// Operator state under Flink's control.
    pub managed_operator: Option<OperatorStateHandle>,
    /// Operator state as bytes of the operator's own.
    pub raw_operator: Option<OperatorStateHandle>,
    /// Keyed state of a state backend.
    pub managed_keyed: Option<KeyedHandle>,
    /// Keyed state as bytes of the operator's own, such as timers.
    pub raw_keyed: Option<KeyedHandle>,
    /// In-flight records of input channels.
    pub input_channels: Vec<ChannelHandle>,
    /// In-flight records of result subpartitions.
    pub result_subpartitions: Vec<ChannelHandle>,
}

impl Operator {
    /// Uid, name or id, whichever is known first: how messages name the operator.
    pub fn label(&self) -> String {
        self.uid.clone().or_else(|| self.name.clone()).unwrap_or_else(|| self.id.to_string())
    }

    /// The subtasks that the file lists.
    pub fn subtasks(&self) -> &[Subtask] {
        match &self.progress {
            Progress::Finished => &[],
            Progress::Running(subtasks) => subtasks,
        }
    }

    pub(super) fn read(input: &mut Reader<'_>, version: Version) -> Result<Self> {
        let (name, uid) = if version.has_names() {
            (non_empty(input.utf("operator name")?), non_empty(input.utf("operator uid")?))
        } else {
            (None, None)
        };
        let id = operator_id(input)?;
        read_body(input, version, name, uid, id).map_err(|error| error.in_operator(id))
    }
}

fn read_body(
    input: &mut Reader<'_>,
    version: Version,
    name: Option<String>,
    uid: Option<String>,
    id: OperatorId,
) -> Result<Operator> {
    let (parallelism, max_parallelism) = parallelism(input)?;
    if version == Version::V2 {
        input.i32("chain length")?;
    }
    let coordinator = if version.has_coordinators() { coordinator(input)? } else { None };
    let start = input.clone();
    let count = input.i32("number of subtasks")?;
    let progress = if count < 0 && version.has_finished() {
        if coordinator.is_some() {
            return Err(start.corrupt("number of subtasks", "a finished operator has coordinator state"));
        }
        if count != -1 {
            return Err(start.corrupt("number of subtasks", format!("is {count}, only -1 means finished")));
        }
        Progress::Finished
    } else {
        *input = start;
        Progress::Running(subtasks(input, version, parallelism, max_parallelism)?)
    };
    Ok(Operator { name, uid, id, parallelism, max_parallelism, coordinator, progress })
}

fn non_empty(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}

fn operator_id(input: &mut Reader<'_>) -> Result<OperatorId> {
    let start = input.clone();
    let bytes = input.raw(16, "operator id")?;
    bytes.try_into().map(OperatorId).map_err(|_| start.corrupt("operator id", "needs 16 bytes"))
}

fn parallelism(input: &mut Reader<'_>) -> Result<(Parallelism, MaxParallelism)> {
    let start = input.clone();
    let parallelism = input.non_negative("parallelism")?;
    let max_start = input.clone();
    let max = input.non_negative("max parallelism")?;
    let max = MaxParallelism::new(max)
        .map_err(|error| max_start.corrupt("max parallelism", error.message()).because(error))?;
    let parallelism = Parallelism::new(parallelism, max)
        .map_err(|error| start.corrupt("parallelism", error.message()).because(error))?;
    Ok((parallelism, max))
}

fn coordinator(input: &mut Reader<'_>) -> Result<Option<InlineBytes>> {
    let start = input.clone();
    match StreamHandle::read(input, "coordinator state")? {
        None => Ok(None),
        Some(StreamHandle::Inline(inline)) => Ok(Some(inline)),
        Some(_) => Err(start.corrupt("coordinator state", "is not stored inline, as coordinator state must be")),
    }
}

fn subtasks(
    input: &mut Reader<'_>,
    version: Version,
    parallelism: Parallelism,
    max: MaxParallelism,
) -> Result<Vec<Subtask>> {
    let count = input.items(4, "number of subtasks")?;
    let mut subtasks: Vec<Subtask> = Vec::new();
    let mut seen = HashSet::new();
    for _ in 0..count {
        let start = input.clone();
        let stored = input.i32("subtask index")?;
        let finished = stored < 0 && version.has_finished();
        let index = if finished { !stored } else { stored };
        let index = u32::try_from(index).ok().filter(|index| *index < parallelism.get()).ok_or_else(|| {
            start.corrupt("subtask index", format!("is {index}, the operator has {parallelism} subtasks"))
        })?;
        if !seen.insert(index) {
            return Err(start.corrupt("subtask index", format!("{index} occurs twice")));
        }
        let state = if finished { None } else { Some(Box::new(SubtaskState::read(input, version)?)) };
        subtasks.push(Subtask { index: SubtaskIndex(index), state });
        if let Some(Subtask { state: Some(state), .. }) = subtasks.last() {
            check_groups(state, max, &start)?;
        }
    }
    check_overlap(&subtasks, input, |state| state.managed_keyed.as_ref(), Slot::Managed.field())?;
    check_overlap(&subtasks, input, |state| state.raw_keyed.as_ref(), Slot::Raw.field())?;
    Ok(subtasks)
}

fn check_groups(state: &SubtaskState, max: MaxParallelism, place: &Reader<'_>) -> Result<()> {
    for handle in [&state.managed_keyed, &state.raw_keyed].into_iter().flatten() {
        let last = handle.range().last();
        if u32::from(last.0) >= max.get() {
            let message = format!("key group {last} does not exist, the max parallelism is {max}");
            return Err(place.corrupt("number of key groups", message));
        }
    }
    Ok(())
}

/// No key group may belong to two subtasks of one operator.
fn check_overlap(
    subtasks: &[Subtask],
    place: &Reader<'_>,
    slot: impl Fn(&SubtaskState) -> Option<&KeyedHandle>,
    field: &'static str,
) -> Result<()> {
    let mut ranges: Vec<_> =
        subtasks.iter().filter_map(|subtask| Some((slot(subtask.state.as_deref()?)?.range(), subtask.index))).collect();
    ranges.sort_by_key(|(range, _)| range.first());
    for pair in ranges.windows(2) {
        if let [(left, left_index), (right, right_index)] = pair
            && left.last() >= right.first()
        {
            let message =
                format!("key groups {left} of subtask {left_index} and {right} of subtask {right_index} overlap");
            return Err(place.corrupt(field, message));
        }
    }
    Ok(())
}

impl SubtaskState {
    fn read(input: &mut Reader<'_>, version: Version) -> Result<Self> {
        if version == Version::V2 {
            input.i64("duration")?;
            let start = input.clone();
            let legacy = input.i32("number of legacy states")?;
            if legacy != 0 {
                return Err(start.corrupt("number of legacy states", format!("is {legacy}, expected 0")));
            }
        }
        let managed_operator = announced(input, "managed operator state")?;
        let raw_operator = announced(input, "raw operator state")?;
        let managed_keyed = KeyedHandle::read(input, Slot::Managed)?;
        let raw_keyed = KeyedHandle::read(input, Slot::Raw)?;
        let (mut input_channels, mut result_subpartitions) = (Vec::new(), Vec::new());
        if version.has_channels() {
            input_channels = channel::read_all(input, Side::Input, version.has_typed_channels())?;
            result_subpartitions = channel::read_all(input, Side::Output, version.has_typed_channels())?;
        }
        Ok(SubtaskState {
            managed_operator,
            raw_operator,
            managed_keyed,
            raw_keyed,
            input_channels,
            result_subpartitions,
        })
    }

    /// Whether no slot holds anything.
    pub fn is_empty(&self) -> bool {
        let SubtaskState {
            managed_operator,
            raw_operator,
            managed_keyed,
            raw_keyed,
            input_channels,
            result_subpartitions,
        } = self;
        managed_operator.is_none()
            && raw_operator.is_none()
            && managed_keyed.is_none()
            && raw_keyed.is_none()
            && input_channels.is_empty()
            && result_subpartitions.is_empty()
    }
}

/// An operator state handle behind a four-byte flag.
fn announced(input: &mut Reader<'_>, field: &'static str) -> Result<Option<OperatorStateHandle>> {
    let start = input.clone();
    match input.i32(field)? {
        0 => Ok(None),
        1 => OperatorStateHandle::read(input, field),
        other => Err(start.corrupt(field, format!("flag is {other}, expected 0 or 1"))),
    }
}
