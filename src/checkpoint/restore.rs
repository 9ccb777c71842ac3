//! What a job starts from: which checkpoint, and which operator gets which state.
//!
//! **Which checkpoint.** Listing tells which slots to read; only reading tells what is there. A checkpoint without a
//! manifest, or with a sealed slot, was never complete and is passed over in silence. A damaged one is another matter: going
//! back behind it loses acknowledged work, so that is an error that names the alternatives, unless the caller has chosen
//! otherwise beforehand. One that cannot be read *now* is never passed over: the next try may read it (FLINK-22502).
//!
//! **Which operator.** Operators are matched by id, which is the hash of their uid. Order does not matter, and new operators
//! start empty. A recorded operator with state that the program lacks is an error that lists what would be lost, unless that
//! is allowed; then it is reported. An operator without a uid gets a generated id ([`generated_id`]), which is the same in
//! every run of the same program, but depends on its shape.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::shared_state::View;
use crate::codec::{Writer, digest};
use crate::error::{Error, Result};
use crate::ids::{CheckpointId, OperatorId};

/// What reading a slot gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<M> {
    /// A manifest that is intact, and everything it names is there.
    Complete(M),
    /// No manifest.
    Absent,
    /// The mark of a checkpoint that was given up.
    Sealed,
    /// A manifest that is damaged, or names something that is missing or damaged.
    Damaged {
        /// What and where.
        reason: String,
    },
    /// It could not be read; it may be fine.
    Unavailable {
        /// Why.
        reason: String,
    },
}

/// What to do about a damaged latest checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// Fail.
    Refuse,
    /// Take the newest one that is intact, and report what was passed over.
    NewestIntact,
}

/// The checkpoint to start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest<M> {
    /// The newest one, or `None` if there never was a complete one.
    pub chosen: Option<(CheckpointId, M)>,
    /// The other complete ones, ascending.
    pub older: Vec<(CheckpointId, M)>,
    /// Damaged ones that are newer than the chosen one, with the reason, newest first.
    pub passed_over: Vec<(CheckpointId, String)>,
    /// Larger than every id that was ever seen, complete or not.
    pub next_id: CheckpointId,
    /// Partial if some slot could not be read or is damaged; then nothing can be said about what is unused.
    pub view: View,
}

/// Chooses the checkpoint to start from among all slots found. Slots that are not known to be empty must be in it. `boundary`
/// is the stored [`Boundary::below`](super::gc::Boundary), or 1: ids below it are used up even where nothing is left of them.
///
/// Fails with [`Corrupt`](crate::ErrorKind::Corrupt) if the latest is damaged and `fallback` refuses, naming the intact ones;
/// with [`Unavailable`](crate::ErrorKind::Unavailable) if the latest, or one that may be, cannot be read now.
pub fn choose_latest<M>(
    slots: BTreeMap<CheckpointId, Reading<M>>,
    boundary: CheckpointId,
    fallback: Fallback,
) -> Result<Latest<M>> {
    let next_id = slots.last_key_value().map_or(CheckpointId(1), |(id, _)| id.next()).max(boundary);
    let unclear = |reading: &Reading<M>| matches!(reading, Reading::Damaged { .. } | Reading::Unavailable { .. });
    let view = if slots.values().any(unclear) { View::Partial } else { View::Complete };
    let mut latest = Latest { chosen: None, older: Vec::new(), passed_over: Vec::new(), next_id, view };
    for (id, reading) in slots.into_iter().rev() {
        match reading {
            Reading::Absent | Reading::Sealed => {}
            Reading::Complete(metadata) if latest.chosen.is_none() => latest.chosen = Some((id, metadata)),
            Reading::Complete(metadata) => latest.older.insert(0, (id, metadata)),
            Reading::Damaged { .. } | Reading::Unavailable { .. } if latest.chosen.is_some() => {}
            Reading::Damaged { reason } => latest.passed_over.push((id, reason)),
            Reading::Unavailable { reason } => {
                return Err(Error::unavailable(format!(
                    "checkpoint {id} may be the latest, but cannot be read now: {reason}; try again"
                )));
            }
        }
    }
    match latest.passed_over.first() {
        Some((id, reason)) if fallback == Fallback::Refuse => Err(damaged(*id, reason, &latest)),
        Some((id, reason)) if latest.chosen.is_none() => Err(damaged(*id, reason, &latest)),
        _ => Ok(latest),
    }
}

fn damaged<M>(id: CheckpointId, reason: &str, latest: &Latest<M>) -> Error {
    let intact = latest.chosen.iter().chain(latest.older.iter().rev()).map(|(id, _)| id.to_string());
    let intact: Vec<String> = intact.collect();
    let advice = if intact.is_empty() {
        "no other is intact; restore a savepoint".to_string()
    } else {
        format!("intact ones: {}; falling back loses what came after them and has to be asked for", intact.join(", "))
    };
    Error::corrupt(format!("the latest checkpoint, {id}, is damaged: {reason}; {advice}"))
}

/// Who owns the files that a job was started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimMode {
    /// The job: they go when they are no longer needed.
    Claim,
    /// Whoever owned them before. The job never changes or deletes them, and references none of them once its first
    /// checkpoint is complete, which therefore uploads everything.
    NoClaim,
}

/// An operator as a snapshot records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedOperator {
    /// Its id.
    pub id: OperatorId,
    /// Its uid, where it is known.
    pub uid: Option<String>,
    /// Names of its states.
    pub states: Vec<String>,
}

/// An operator of the program that is to be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramOperator {
    /// Its id.
    pub id: OperatorId,
    /// Its uid; `None` if the id is generated.
    pub uid: Option<String>,
    /// What to call it in messages.
    pub name: String,
}

/// Which operator gets which state. Positions are those in the lists given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matching {
    /// Pairs of recorded and program operator.
    pub restored: Vec<(usize, usize)>,
    /// Operators of the program that start empty.
    pub new: Vec<usize>,
    /// Recorded operators with state that nobody takes.
    pub non_restored: Vec<usize>,
    /// For people: operators whose match depends on the shape of the program.
    pub warnings: Vec<String>,
}

/// Matches recorded operators with those of the program.
///
/// Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) if two operators of the program have one id, and with
/// [`Incompatible`](crate::ErrorKind::Incompatible) if state would be lost and `allow_non_restored` is not set.
pub fn match_operators(
    recorded: &[RecordedOperator],
    program: &[ProgramOperator],
    allow_non_restored: bool,
) -> Result<Matching> {
    let mut by_id: BTreeMap<OperatorId, usize> = BTreeMap::new();
    let mut matching = Matching::default();
    for (at, operator) in program.iter().enumerate() {
        if let Some(other) = by_id.insert(operator.id, at).and_then(|other| program.get(other)) {
            return Err(Error::invalid_input(format!(
                "operators {:?} and {:?} have the same id, {}; give them different uids",
                other.name, operator.name, operator.id
            )));
        }
        if operator.uid.is_none() {
            matching.warnings.push(format!(
                "operator {:?} has no uid; its generated id, {}, depends on the operators before it and on its place among \
                 them, and its state is not found again once these change; give it a uid",
                operator.name, operator.id
            ));
        }
    }
    let mut taken = BTreeSet::new();
    for (at, operator) in recorded.iter().enumerate() {
        match by_id.get(&operator.id) {
            Some(own) => {
                taken.insert(*own);
                matching.restored.push((at, *own));
            }
            None if operator.states.is_empty() => {}
            None => matching.non_restored.push(at),
        }
    }
    matching.new = (0..program.len()).filter(|at| !taken.contains(at)).collect();
    if matching.non_restored.is_empty() || allow_non_restored {
        return Ok(matching);
    }
    let lost = matching.non_restored.iter().filter_map(|at| recorded.get(*at));
    Err(Error::incompatible(format!(
        "the snapshot has state that no operator of the program takes: {}; give an operator the uid it had, or allow \
         non-restored state and lose it",
        describe_lost(lost)
    )))
}

fn describe_lost<'a>(lost: impl Iterator<Item = &'a RecordedOperator>) -> String {
    let mut list = String::new();
    for operator in lost {
        let separator = if list.is_empty() { "" } else { "; " };
        let states = operator.states.join(", ");
        // Writing to a string cannot fail.
        let _ = match &operator.uid {
            Some(uid) => write!(list, "{separator}operator {uid:?} (states {states})"),
            None => write!(list, "{separator}operator {} (states {states})", operator.id),
        };
    }
    list
}

/// The id of an operator without a uid: a hash of the ids of its inputs, in order, and of how many operators with the same
/// inputs stand before it. The same program always gives the same ids; a uid on an input keeps changes before that input from
/// mattering.
pub fn generated_id(inputs: &[OperatorId], place: u32) -> OperatorId {
    let mut shape = Writer::new();
    shape.raw(b"millpond generated operator id");
    shape.u32(place);
    inputs.iter().for_each(|input| shape.raw(&input.0));
    let mut id = [0; 16];
    id.iter_mut().zip(digest(shape.as_slice()).0).for_each(|(byte, hash)| *byte = hash);
    OperatorId(id)
}

#[cfg(test)]
mod tests;
