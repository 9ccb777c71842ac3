//! What the author of an operator sees: descriptors that name and type a state, and the traits through which it is used.
//!
//! Vocabulary. A *descriptor* is a `const` value: name, serializers, and for reducing and aggregating state the function.
//! Registering it with a backend gives a *handle*. For the key at hand, the handle opens the state; what comes back
//! implements one of the traits here, whichever backend holds the data.

pub mod aggregating;
pub mod broadcast;
pub mod list;
pub mod map;
pub mod operator;
pub mod reducing;
pub mod timer;
pub mod ttl;
pub mod value;

pub use aggregating::{Aggregate, AggregatingDescriptor, AggregatingState};
pub use broadcast::{BroadcastDescriptor, BroadcastState};
pub use list::{ListDescriptor, ListState};
pub use map::{MapDescriptor, MapState};
pub use operator::{OperatorListDescriptor, OperatorListState, Redistribution};
pub use reducing::{ReducingDescriptor, ReducingState};
pub use timer::{TimeDomain, Timer, TimerDescriptor, TimerState};
pub use ttl::{Ttl, TtlCleanup, TtlUpdate, TtlVisibility};
pub use value::{ValueDescriptor, ValueState};
