use super::options::Format;
use super::plan::{OperatorPlan, Plan, StatePlan};
use super::stamp::Stamping;
use super::tally::Tally;
use crate::codec::Digest;
use crate::error::Result;
use crate::format::manifest::Manifest;
use crate::format::record::StateKind;

/// What a conversion did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The format of keyed state.
    pub to: Format,
    /// What was carried over.
    pub operators: Vec<OperatorReport>,
    /// Operators that were left out.
    pub dropped_operators: Vec<String>,
    /// Objects of the new snapshot.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of runs that were written to the scratch directory.
    pub spilled_bytes: u64,
    /// [`Manifest::keyed_digest`] of the new snapshot; `None` for databases, whose bytes depend on more than the state.
    pub keyed_digest: Option<Digest>,
}

/// What became of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperatorReport {
    /// Its uid, or its id where there is none, in the source.
    pub operator: String,
    /// Its new uid, if it was renamed.
    pub renamed_to: Option<String>,
    /// Parallelism before and after.
    pub parallelism: (u32, u32),
    /// Max parallelism before and after.
    pub max_parallelism: (u32, u32),
    /// The states that were carried over, by name.
    pub states: Vec<StateReport>,
    /// The states that were left out.
    pub dropped_states: Vec<String>,
}

/// What was carried over of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateReport {
    /// Its name.
    pub state: String,
    /// Its kind.
    pub kind: StateKind,
    /// Entries, as neutral pairs: an entry of a map, a list as a whole, an element of operator list state.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// What became of its time to live.
    pub ttl: Option<TtlEdit>,
}

/// What became of the time to live of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TtlEdit {
    /// It got stamps.
    Set,
    /// It lost its stamps.
    Dropped,
}

pub(super) fn report(
    plan: &Plan,
    tallies: Vec<Tally>,
    manifest: &Manifest,
    to: Format,
    spilled_bytes: u64,
) -> Result<Report> {
    let objects = || manifest.objects();
    Ok(Report {
        to,
        operators: plan.operators.iter().zip(tallies).map(|(plan, tally)| operator(plan, &tally)).collect(),
        dropped_operators: plan.dropped.clone(),
        objects: u64::try_from(objects().count()).unwrap_or(u64::MAX),
        bytes: objects().fold(0, |sum, object| sum.saturating_add(object.length)),
        spilled_bytes,
        keyed_digest: if to == Format::NativeRocksDb { None } else { Some(manifest.keyed_digest()?) },
    })
}

fn operator(plan: &OperatorPlan, tally: &Tally) -> OperatorReport {
    let states = plan.states.iter().enumerate().map(|(index, state)| {
        let StatePlan { target, stamping, .. } = state;
        let count = tally.count(index);
        let ttl = match stamping {
            Stamping::Keep => None,
            Stamping::Set(_) => Some(TtlEdit::Set),
            Stamping::Drop => Some(TtlEdit::Dropped),
        };
        StateReport { state: target.name.clone(), kind: target.kind, entries: count.entries, bytes: count.bytes, ttl }
    });
    OperatorReport {
        operator: plan.label.clone(),
        renamed_to: plan.uid.clone().filter(|_| plan.id != plan.source),
        parallelism: (plan.old_parallelism.get(), plan.parallelism.get()),
        max_parallelism: (plan.old_max_parallelism.get(), plan.max_parallelism.get()),
        states: states.collect(),
        dropped_states: plan.dropped.clone(),
    }
}
