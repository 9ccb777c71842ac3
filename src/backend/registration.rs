//! What every keyed backend checks when state is restored and registered, in the same words.

use std::sync::Arc;

use super::{Key, KeyedParameters};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::manifest::KeyGroupAssignment;
use crate::format::record::{StateKind, StateMeta};
use crate::ids::check_name;
use crate::key_group::{KeyGroup, MaxParallelism};
use crate::serializer::{Compatibility, Serializer, SerializerSnapshot};
use crate::snapshot::OperatorReader;
use crate::state::Ttl;

/// A serializer chosen at registration.
pub(super) type SharedSerializer<V> = Arc<dyn Serializer<Value = V>>;

/// A state as its registration asks for it. What else a kind needs comes beside it.
pub(super) struct Requested<N> {
    pub(super) meta: StateMeta,
    pub(super) namespace: SharedSerializer<N>,
    pub(super) ttl: Option<Ttl>,
}

/// The verdict about a part of the key, which must stay as it is: its bytes decide where entries belong.
pub(super) fn as_is_only(verdict: Compatibility) -> Compatibility {
    match verdict {
        Compatibility::AfterMigration(change) => {
            Compatibility::Incompatible(format!("{change}; keys and namespaces cannot be migrated"))
        }
        other => other,
    }
}

/// The error of using a handle with a backend that did not issue it.
#[cold]
pub(super) fn foreign_handle() -> Error {
    Error::invalid_input(
        "this handle was not issued by this backend, or names a state of other types; register the state again",
    )
}

/// The error of a key whose group is not in this subtask's range.
#[cold]
pub(super) fn wrong_subtask(parameters: &KeyedParameters, group: KeyGroup) -> Error {
    Error::invalid_input(format!(
        "the key belongs to key group {group}, this subtask holds {}; send the record to the subtask that owns the group",
        parameters.range
    ))
    .in_operator(&parameters.operator)
    .in_key_group(group.0)
}

/// Checks that the name of a state can be one.
pub(super) fn check_state_name(parameters: &KeyedParameters, name: &str) -> Result<()> {
    check_name("state name", name).map_err(|error| error.in_operator(&parameters.operator))
}

/// Checks that two registrations of one name agree.
pub(super) fn check_same_registration(
    parameters: &KeyedParameters,
    registered: &StateMeta,
    requested: &StateMeta,
) -> Result<()> {
    if registered == requested {
        return Ok(());
    }
    Err(Error::invalid_input(format!(
        "state {:?} is already registered as {} state of {}, now requested as {} state of {}; give one of them another name",
        registered.name, registered.kind, registered.value, requested.kind, requested.value
    ))
    .in_state(&registered.name)
    .in_operator(&parameters.operator))
}

/// Checks that what was restored under the name of a state can be taken over by it; `verdict` compares the types.
pub(super) fn check_takeover(
    parameters: &KeyedParameters,
    written: &StateMeta,
    requested: &StateMeta,
    verdict: impl FnOnce(&StateMeta) -> Compatibility,
) -> Result<Compatibility> {
    let refused =
        |reason: String| Err(Error::incompatible(reason).in_operator(&parameters.operator).in_state(&requested.name));
    if written.kind != requested.kind {
        return refused(format!(
            "the snapshot holds {} state, the program registers {} state; use another name for the new state",
            written.kind, requested.kind
        ));
    }
    match verdict(written) {
        Compatibility::Incompatible(reason) => refused(format!(
            "the snapshot's type does not fit the program's: {reason}; keep the old type, or use another state name"
        )),
        fitting => Ok(fitting),
    }
}

/// Checks that a backend of these parameters can hold the state of an operator. Gives the serializer of its keys, `None` if it
/// has no keyed state.
pub(super) fn check_snapshot<'a, KS>(
    parameters: &KeyedParameters,
    key: &KS,
    operator: &OperatorReader<'a>,
) -> Result<Option<&'a SerializerSnapshot>>
where
    KS: Serializer<Value: Key>,
{
    let named = |error: Error| error.in_operator(&parameters.operator);
    let (recorded, requested) = (operator.max_parallelism(), parameters.max_parallelism);
    if recorded != requested {
        return Err(named(Error::incompatible(format!(
            "the snapshot was taken with max parallelism {recorded}, the program asks for {requested}; restore with \
             {recorded}, or convert the snapshot"
        ))));
    }
    let Some(written) = operator.key() else { return Ok(None) };
    match key.compatibility(written) {
        Compatibility::AsIs => Ok(Some(written)),
        Compatibility::Incompatible(reason) | Compatibility::AfterMigration(reason) => Err(named(Error::incompatible(
            format!("the keys of the snapshot do not fit the program's: {reason}; keys cannot be migrated"),
        ))),
    }
}

/// Key groups that were not assigned by this crate, but as a snapshot says that was imported.
#[derive(Debug)]
pub(super) struct ForeignGroups {
    assignment: KeyGroupAssignment,
    key: SerializerSnapshot,
    max: MaxParallelism,
}

impl ForeignGroups {
    /// How the keys of an operator are assigned, `None` if by this crate. Keys of which only their own program could tell are
    /// [`Incompatible`](crate::ErrorKind::Incompatible): no key could be looked up.
    pub(super) fn of(operator: &OperatorReader<'_>) -> Result<Option<Arc<Self>>> {
        let (assignment, max) = (&operator.description().assignment, operator.max_parallelism());
        let (KeyGroupAssignment::Flink(java), Some(key)) = (assignment, operator.key()) else { return Ok(None) };
        if let Some(class) = java.unknown_class() {
            return Err(Error::incompatible(format!(
                "keys were assigned to key groups by the hash code of {class}, which cannot be computed; let Flink write \
                 the state with keys of another type"
            ))
            .in_operator(operator.description().label()));
        }
        Ok(Some(Arc::new(ForeignGroups { assignment: assignment.clone(), key: key.clone(), max })))
    }

    pub(super) fn assignment(&self) -> &KeyGroupAssignment {
        &self.assignment
    }

    /// The key group of a key.
    #[inline(never)]
    pub(super) fn group_of<KS: Serializer>(
        &self,
        serializer: &KS,
        key: &KS::Value,
        scratch: &mut Writer,
    ) -> Result<KeyGroup> {
        scratch.clear();
        serializer.write(key, scratch)?;
        self.group_of_encoded(scratch.as_slice())
    }

    /// The key group of a key, given its encoding.
    pub(super) fn group_of_encoded(&self, key: &[u8]) -> Result<KeyGroup> {
        let group = self.assignment.key_group(&self.key, key, self.max)?;
        group.ok_or_else(|| Error::invalid_input("the key is none that Java has: its hash code cannot be computed"))
    }
}

/// Checks that a restored key, as it is encoded, belongs to the key group it was stored in.
pub(super) fn check_group(
    max: MaxParallelism,
    foreign: Option<&ForeignGroups>,
    expected: KeyGroup,
    key: &[u8],
) -> Result<()> {
    let found = match foreign {
        None => max.group_of_key(key),
        Some(foreign) => foreign.group_of_encoded(key)?,
    };
    if found == expected {
        return Ok(());
    }
    Err(Error::corrupt(format!("a key of key group {found} is stored in key group {expected}"))
        .in_field("key")
        .in_key_group(expected.0))
}

/// The description of a state of single values, of lists, or (without a value) of timers.
pub(super) fn plain_meta(
    name: &str,
    kind: StateKind,
    namespace: SerializerSnapshot,
    value: SerializerSnapshot,
    timed: bool,
) -> StateMeta {
    StateMeta { name: name.to_owned(), kind, namespace, user_key: SerializerSnapshot::Unit, value, timed }
}
