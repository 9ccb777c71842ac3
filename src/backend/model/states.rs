//! The states of a sequence.

use super::super::conformance::Cluster;
use crate::backend::handle::{AggregatingHandle, ListHandle, MapHandle, ReducingHandle, TimerHandle, ValueHandle};
use crate::serializer::{Bytes, I64, Str, Tuple2, U64};
use crate::state::{
    Aggregate, AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor, TimerDescriptor, Ttl,
    TtlCleanup, TtlUpdate, TtlVisibility, ValueDescriptor,
};

/// How long values live where they expire, in milliseconds.
const LIFE_MS: i64 = 50;

const EXPIRING: Ttl = Ttl::new(LIFE_MS);
const TOUCHED: Ttl = Ttl::new(LIFE_MS).with_update(TtlUpdate::OnReadAndWrite);
const LINGERING: Ttl = Ttl::new(LIFE_MS)
    .with_update(TtlUpdate::OnReadAndWrite)
    .with_visibility(TtlVisibility::ReturnUntilCleanedUp)
    .with_cleanup(TtlCleanup { per_access: 1, in_snapshots: false });
const NEVER_CLEANED: Ttl = Ttl::new(LIFE_MS).with_cleanup(TtlCleanup { per_access: 0, in_snapshots: false });

/// A value that stands for a number.
pub(super) trait Numbered: Clone + Send + Sync + 'static {
    fn of(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Numbered for u64 {
    fn of(number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

impl Numbered for String {
    fn of(number: u64) -> Self {
        format!("{number}{}", "~".repeat(number as usize % 30))
    }

    fn number(&self) -> u64 {
        let number = self.trim_end_matches('~').parse().unwrap();
        assert_eq!(*self, Self::of(number), "a string was changed");
        number
    }
}

/// Some are larger than a block.
impl Numbered for Vec<u8> {
    fn of(number: u64) -> Self {
        let length = if number.is_multiple_of(500) { 70_000 } else { number as usize % 40 };
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.resize(8 + length, 0xAB);
        bytes
    }

    fn number(&self) -> u64 {
        let number = u64::from_be_bytes(self[..8].try_into().unwrap());
        assert!(*self == Self::of(number), "bytes were changed");
        number
    }
}

/// Sum and count, read as one number.
pub(super) struct SumAndCount;

impl SumAndCount {
    /// What an input adds to the number that is read.
    pub(super) fn step(input: u64) -> u64 {
        (input << 16) + 1
    }
}

impl Aggregate for SumAndCount {
    type Input = u64;
    type Accumulator = (u64, u64);
    type Output = u64;

    fn create() -> (u64, u64) {
        (0, 0)
    }

    fn add(accumulator: &mut (u64, u64), input: u64) {
        accumulator.0 += input;
        accumulator.1 += 1;
    }

    fn result(accumulator: &(u64, u64)) -> u64 {
        (accumulator.0 << 16) + accumulator.1
    }
}

/// The kinds that a sequence treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Value,
    List,
    Map,
    Reducing,
    Aggregating,
    Timer,
}

macro_rules! states {
    ($($constant:ident $name:ident: $descriptor:ty, $handle:ty, $kind:ident, $namespaced:literal, $register:ident = $make:expr;)*) => {
        $(const $constant: $descriptor = $make;)*

        /// Position of a state in [`ALL`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(non_camel_case_types, reason = "named after the handles")]
        pub(super) enum Id {
            $($name,)*
        }

        /// Every state.
        pub(super) const ALL: &[Id] = &[$(Id::$name,)*];

        impl Id {
            pub(super) fn kind(self) -> Kind {
                match self {
                    $(Id::$name => Kind::$kind,)*
                }
            }

            /// Whether the state has namespaces.
            pub(super) fn is_namespaced(self) -> bool {
                match self {
                    $(Id::$name => $namespaced,)*
                }
            }

            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Id::$name => stringify!($name),)*
                }
            }
        }

        /// The handles of all subtasks; none of a state that is not registered.
        #[derive(Debug, Default)]
        pub(super) struct Registered {
            $(pub(super) $name: Vec<$handle>,)*
        }

        impl Registered {
            pub(super) fn has(&self, id: Id) -> bool {
                match id {
                    $(Id::$name => !self.$name.is_empty(),)*
                }
            }

            pub(super) fn register(&mut self, id: Id, cluster: &mut Cluster<Str>) {
                match id {
                    $(Id::$name => self.$name = cluster.register(|backend| backend.$register(&$constant)).unwrap(),)*
                }
            }
        }
    };
}

states! {
    VALUE value: ValueDescriptor<U64>, ValueHandle<u64>, Value, false,
        register_value = ValueDescriptor::new("value", U64);
    EXPIRING_VALUE expiring_value: ValueDescriptor<Str>, ValueHandle<String>, Value, false,
        register_value = ValueDescriptor::new("expiring_value", Str).with_ttl(EXPIRING);
    TOUCHED_VALUE touched_value: ValueDescriptor<U64, I64>, ValueHandle<u64, i64>, Value, true,
        register_value = ValueDescriptor::in_namespaces("touched_value", U64, I64).with_ttl(TOUCHED);
    LINGERING_VALUE lingering_value: ValueDescriptor<U64>, ValueHandle<u64>, Value, false,
        register_value = ValueDescriptor::new("lingering_value", U64).with_ttl(LINGERING);
    BYTES_VALUE bytes_value: ValueDescriptor<Bytes, I64>, ValueHandle<Vec<u8>, i64>, Value, true,
        register_value = ValueDescriptor::in_namespaces("bytes_value", Bytes, I64);
    LIST list: ListDescriptor<Bytes>, ListHandle<Vec<u8>>, List, false,
        register_list = ListDescriptor::new("list", Bytes);
    EXPIRING_LIST expiring_list: ListDescriptor<U64, I64>, ListHandle<u64, i64>, List, true,
        register_list = ListDescriptor::in_namespaces("expiring_list", U64, I64).with_ttl(EXPIRING);
    LINGERING_LIST lingering_list: ListDescriptor<U64>, ListHandle<u64>, List, false,
        register_list = ListDescriptor::new("lingering_list", U64).with_ttl(LINGERING);
    MAP map: MapDescriptor<Str, Bytes>, MapHandle<String, Vec<u8>>, Map, false,
        register_map = MapDescriptor::new("map", Str, Bytes);
    EXPIRING_MAP expiring_map: MapDescriptor<Str, U64, I64>, MapHandle<String, u64, i64>, Map, true,
        register_map = MapDescriptor::in_namespaces("expiring_map", Str, U64, I64).with_ttl(NEVER_CLEANED);
    TOUCHED_MAP touched_map: MapDescriptor<Str, Str>, MapHandle<String, String>, Map, false,
        register_map = MapDescriptor::new("touched_map", Str, Str).with_ttl(TOUCHED);
    REDUCING reducing: ReducingDescriptor<U64>, ReducingHandle<u64>, Reducing, false,
        register_reducing = ReducingDescriptor::new("reducing", U64, |sum, value| *sum += value);
    EXPIRING_REDUCING expiring_reducing: ReducingDescriptor<U64, I64>, ReducingHandle<u64, i64>, Reducing, true,
        register_reducing =
            ReducingDescriptor::in_namespaces("expiring_reducing", U64, |sum, value| *sum += value, I64).with_ttl(EXPIRING);
    AGGREGATING aggregating: AggregatingDescriptor<SumAndCount, Tuple2<U64, U64>>, AggregatingHandle<SumAndCount>,
        Aggregating, false, register_aggregating = AggregatingDescriptor::new("aggregating", Tuple2(U64, U64));
    TOUCHED_AGGREGATING touched_aggregating: AggregatingDescriptor<SumAndCount, Tuple2<U64, U64>, I64>,
        AggregatingHandle<SumAndCount, i64>, Aggregating, true, register_aggregating =
            AggregatingDescriptor::in_namespaces("touched_aggregating", Tuple2(U64, U64), I64).with_ttl(TOUCHED);
    TIMERS timers: TimerDescriptor, TimerHandle, Timer, false, register_timers = TimerDescriptor::new("timers");
    WINDOW_TIMERS window_timers: TimerDescriptor<I64>, TimerHandle<i64>, Timer, true,
        register_timers = TimerDescriptor::in_namespaces("window_timers", I64);
}

impl Id {
    pub(super) fn ttl(self) -> Option<Ttl> {
        match self {
            Id::expiring_value | Id::expiring_list | Id::expiring_reducing => Some(EXPIRING),
            Id::touched_value | Id::touched_map | Id::touched_aggregating => Some(TOUCHED),
            Id::lingering_value | Id::lingering_list => Some(LINGERING),
            Id::expiring_map => Some(NEVER_CLEANED),
            _ => None,
        }
    }
}
