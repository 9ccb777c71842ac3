//! Neutral records: what snapshots contain, whatever bytes they are stored as.

use std::fmt;

use crate::serializer::SerializerSnapshot;

/// What kind of state a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StateKind {
    /// One value per key and namespace.
    Value,
    /// A list per key and namespace.
    List,
    /// A map per key and namespace.
    Map,
    /// One value per key and namespace, folded from values of the same type.
    Reducing,
    /// One accumulator per key and namespace, folded from inputs of another type.
    Aggregating,
    /// Event- and processing-time timers per key and namespace.
    Timer,
    /// Operator state: a list whose elements are split among subtasks on restore.
    OperatorList,
    /// Operator state: a list that every subtask gets whole on restore.
    OperatorUnion,
    /// Operator state: a map that is the same on every subtask.
    Broadcast,
}

impl StateKind {
    /// Every kind, in tag order.
    pub const ALL: [StateKind; 9] = [
        StateKind::Value,
        StateKind::List,
        StateKind::Map,
        StateKind::Reducing,
        StateKind::Aggregating,
        StateKind::Timer,
        StateKind::OperatorList,
        StateKind::OperatorUnion,
        StateKind::Broadcast,
    ];

    /// The tag that stands for this kind in stored bytes. Never renumbered.
    pub const fn tag(self) -> u8 {
        match self {
            StateKind::Value => 1,
            StateKind::List => 2,
            StateKind::Map => 3,
            StateKind::Reducing => 4,
            StateKind::Aggregating => 5,
            StateKind::Timer => 6,
            StateKind::OperatorList => 7,
            StateKind::OperatorUnion => 8,
            StateKind::Broadcast => 9,
        }
    }

    /// The kind that a stored tag stands for.
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.tag() == tag)
    }

    /// Lower-case name, as tools print it.
    pub const fn name(self) -> &'static str {
        match self {
            StateKind::Value => "value",
            StateKind::List => "list",
            StateKind::Map => "map",
            StateKind::Reducing => "reducing",
            StateKind::Aggregating => "aggregating",
            StateKind::Timer => "timer",
            StateKind::OperatorList => "operator-list",
            StateKind::OperatorUnion => "operator-union",
            StateKind::Broadcast => "broadcast",
        }
    }

    /// Whether the state belongs to keys (and so to key groups) rather than to a subtask.
    pub const fn is_keyed(self) -> bool {
        !matches!(self, StateKind::OperatorList | StateKind::OperatorUnion | StateKind::Broadcast)
    }
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Description of one state: enough to walk and show its entries with no user type at hand.
///
/// The entries of a state, as neutral byte pairs (*key*, *value*), which the canonical format stores verbatim:
///
/// | kind | key | value |
/// |---|---|---|
/// | value, reducing, aggregating | key ‖ namespace | \[stamp\] value |
/// | list | key ‖ namespace | for each element: varint length, \[stamp\] element (the length covers both) |
/// | map | key ‖ namespace ‖ user key | \[stamp\] value |
/// | timer | domain (1 byte: 0 event, 1 processing) ‖ timestamp (ordered i64) ‖ key ‖ namespace | empty |
/// | operator list, union | empty | element |
/// | broadcast | user key | value |
///
/// `[stamp]` is eight bytes, an ordered i64 of milliseconds, present where [`timed`](Self::timed) is set: the moment the
/// entry was last touched, for time to live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateMeta {
    /// Name, unique among the states of an operator.
    pub name: String,
    /// Kind.
    pub kind: StateKind,
    /// Namespace serializer; [`SerializerSnapshot::Unit`] where there are no namespaces.
    pub namespace: SerializerSnapshot,
    /// Serializer of the user key of map and broadcast state; [`SerializerSnapshot::Unit`] elsewhere.
    pub user_key: SerializerSnapshot,
    /// Serializer of the value, element, accumulator or user value; [`SerializerSnapshot::Unit`] for timers.
    pub value: SerializerSnapshot,
    /// Whether values carry the stamp that time to live needs.
    pub timed: bool,
}
