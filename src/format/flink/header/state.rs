use std::collections::HashSet;

use super::{Unreadable, readable};
use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::primitive::Primitives;
use crate::format::flink::serializer::{Gaps, Snapshot};
use crate::format::record::StateKind;

/// Description of one state (`StateMetaInfoSnapshot`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateInfo {
    /// Name.
    pub name: String,
    /// What the state is to its backend.
    pub state_type: StateType,
    /// Options by name, in the order of the file.
    pub options: Vec<(String, String)>,
    /// Serializers by name, in the order of the file. Incomplete in the last state of a header that is
    /// [`Unreadable`].
    pub serializers: Vec<(String, Snapshot)>,
}

/// What a state is to its backend (`BackendStateType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateType {
    /// Keyed state.
    KeyValue,
    /// An operator's list.
    Operator,
    /// An operator's broadcast map.
    Broadcast,
    /// Timers.
    PriorityQueue,
    /// Keyed state of Flink 2's asynchronous API.
    KeyValueV2,
}

/// Kinds of keyed state (`StateDescriptor.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyedKind {
    /// One value.
    Value,
    /// A list.
    List,
    /// A value that is folded from values of its type.
    Reducing,
    /// As aggregating, from old programs.
    Folding,
    /// An accumulator.
    Aggregating,
    /// A map.
    Map,
    /// Not stated.
    Unknown,
}

impl StateType {
    fn from_position(position: i32) -> Option<Self> {
        match position {
            0 => Some(StateType::KeyValue),
            1 => Some(StateType::Operator),
            2 => Some(StateType::Broadcast),
            3 => Some(StateType::PriorityQueue),
            4 => Some(StateType::KeyValueV2),
            _ => None,
        }
    }
}

impl StateInfo {
    /// Value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(option, _)| option == name).map(|(_, value)| value.as_str())
    }

    /// A serializer by the name Flink gives it, such as `VALUE_SERIALIZER`.
    pub fn serializer(&self, name: &str) -> Option<&Snapshot> {
        self.serializers.iter().find(|(serializer, _)| serializer == name).map(|(_, snapshot)| snapshot)
    }

    /// Serializer of the namespace of keyed state.
    pub fn namespace(&self) -> Option<&Snapshot> {
        self.serializer("NAMESPACE_SERIALIZER")
    }

    /// Serializer of the value: of keyed state the whole value (a list, a map), of operator state an element, of
    /// broadcast state the map's value, of timers the timer.
    pub fn value(&self) -> Option<&Snapshot> {
        self.serializer("VALUE_SERIALIZER")
    }

    /// Serializer of the keys of broadcast state.
    pub fn key(&self) -> Option<&Snapshot> {
        self.serializer("KEY_SERIALIZER")
    }

    /// Whether both descriptions say the same. Options and serializers are in the order of a hash map.
    pub fn describes_same(&self, other: &Self) -> bool {
        let sorted = |state: &StateInfo| {
            let mut options = state.options.clone();
            options.sort();
            let mut serializers: Vec<(String, Vec<u8>)> =
                state.serializers.iter().map(|(name, snapshot)| (name.clone(), snapshot.bytes.clone())).collect();
            serializers.sort();
            (options, serializers)
        };
        self.name == other.name && self.state_type == other.state_type && sorted(self) == sorted(other)
    }

    /// Kind of keyed state; [`KeyedKind::Unknown`] for all other state.
    pub fn keyed_kind(&self) -> KeyedKind {
        match self.option("KEYED_STATE_TYPE") {
            Some("VALUE") => KeyedKind::Value,
            Some("LIST") => KeyedKind::List,
            Some("REDUCING") => KeyedKind::Reducing,
            Some("FOLDING") => KeyedKind::Folding,
            Some("AGGREGATING") => KeyedKind::Aggregating,
            Some("MAP") => KeyedKind::Map,
            _ => KeyedKind::Unknown,
        }
    }

    /// The kind in millpond's own words.
    pub fn kind(&self) -> StateKind {
        match self.state_type {
            StateType::PriorityQueue => StateKind::Timer,
            StateType::Broadcast => StateKind::Broadcast,
            StateType::Operator => match self.option("OPERATOR_STATE_DISTRIBUTION_MODE") {
                Some("UNION") => StateKind::OperatorUnion,
                _ => StateKind::OperatorList,
            },
            StateType::KeyValue | StateType::KeyValueV2 => match self.keyed_kind() {
                KeyedKind::List => StateKind::List,
                KeyedKind::Map => StateKind::Map,
                KeyedKind::Reducing => StateKind::Reducing,
                KeyedKind::Folding | KeyedKind::Aggregating => StateKind::Aggregating,
                KeyedKind::Value | KeyedKind::Unknown => StateKind::Value,
            },
        }
    }

    /// Reads a description. The second part says why its serializers are incomplete.
    pub(in crate::format::flink) fn read(input: &mut Reader<'_>) -> Result<(Self, Option<Unreadable>)> {
        Self::read_with(input, &mut Gaps::default())
    }

    fn read_with(input: &mut Reader<'_>, gaps: &mut Gaps) -> Result<(Self, Option<Unreadable>)> {
        let name = input.utf("state name")?;
        let start = input.clone();
        let position = input.i32("state type")?;
        let state_type = StateType::from_position(position)
            .ok_or_else(|| start.corrupt("state type", format!("is {position}, expected 0 to 4")).in_state(&name))?;
        let mut info = StateInfo { name, state_type, options: Vec::new(), serializers: Vec::new() };
        let missing = info.read_rest(input, gaps).map_err(|error| error.in_state(&info.name))?;
        Ok((info, missing))
    }

    fn read_rest(&mut self, input: &mut Reader<'_>, gaps: &mut Gaps) -> Result<Option<Unreadable>> {
        for _ in 0..input.items(4, "number of state options")? {
            let start = input.clone();
            let name = input.utf("state option")?;
            if self.option(&name).is_some() {
                return Err(start.corrupt("state option", format!("{name} occurs twice")));
            }
            self.options.push((name, input.utf("state option value")?));
        }
        let place = input.clone();
        for _ in 0..input.items(12, "number of state serializers")? {
            let start = input.clone();
            let name = input.utf("state serializer")?;
            if !gaps.accepts(&name) {
                return Err(start.corrupt("state serializer", format!("{name} is none of Flink's")));
            }
            if self.serializer(&name).is_some() {
                return Err(start.corrupt("state serializer", format!("{name} occurs twice")));
            }
            match readable(Snapshot::read_proxied_with(input, gaps))? {
                Ok(snapshot) => self.serializers.push((name, snapshot)),
                Err(missing) => return Ok(Some(missing)),
            }
        }
        let needed: &[&str] = match self.state_type {
            StateType::KeyValue | StateType::KeyValueV2 => &["NAMESPACE_SERIALIZER", "VALUE_SERIALIZER"],
            StateType::Broadcast => &["KEY_SERIALIZER", "VALUE_SERIALIZER"],
            StateType::Operator | StateType::PriorityQueue => &["VALUE_SERIALIZER"],
        };
        match needed.iter().find(|name| self.serializer(name).is_none()) {
            Some(absent) => Err(place.corrupt("state serializer", format!("{absent} is missing"))),
            None => Ok(None),
        }
    }
}

/// Reads `count` descriptions, or those before the first that cannot be read to its end.
pub(super) fn read_states(
    input: &mut Reader<'_>,
    count: usize,
    accepted: impl Fn(StateType) -> bool,
    states: &mut Vec<StateInfo>,
    gaps: &mut Gaps,
) -> Result<Option<Unreadable>> {
    let mut seen: HashSet<(String, StateType)> = HashSet::new();
    for _ in 0..count {
        let start = input.clone();
        let (info, missing) = StateInfo::read_with(input, gaps)?;
        if !accepted(info.state_type) {
            let message = format!("is {:?}, which this file cannot hold", info.state_type);
            return Err(start.corrupt("state type", message).in_state(&info.name));
        }
        if !seen.insert((info.name.clone(), info.state_type)) {
            return Err(start.corrupt("state name", "occurs twice").in_state(&info.name));
        }
        states.push(info);
        if missing.is_some() {
            return Ok(missing);
        }
    }
    Ok(None)
}

/// A two-byte number of states.
pub(super) fn state_count(input: &mut Reader<'_>, field: &'static str) -> Result<usize> {
    let start = input.clone();
    let count = input.i16(field)?;
    usize::try_from(count).map_err(|_| start.corrupt(field, format!("is {count}, it cannot be negative")))
}
