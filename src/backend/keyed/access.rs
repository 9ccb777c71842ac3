//! One key and namespace of a state, on whichever backend.

use std::borrow::Cow;

use super::each_backend;
#[cfg(feature = "rocksdb")]
use crate::backend::rocksdb;
use crate::backend::{Data, Key, heap};
use crate::error::Result;
use crate::state::map::Entries;
use crate::state::{
    Aggregate, AggregatingState, ListState, MapState, ReducingState, TimeDomain, TimerState, ValueState,
};

macro_rules! access {
    (
        $(#[$doc:meta])* $access:ident<$($param:ident: $bound:path),*> as $state:ty, $backends:ident;
        $(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*
    ) => {
        $(#[$doc])*
        #[non_exhaustive]
        pub enum $access<'a, K, N, $($param: $bound),*> {
            /// Of the heap backend.
            Heap(heap::$backends<'a, K, N, $($param),*>),
            /// Of the RocksDB backend.
            #[cfg(feature = "rocksdb")]
            RocksDb(rocksdb::$backends<'a, K, N, $($param),*>),
        }

        impl<K: Key, N: Key, $($param: $bound),*> $state for $access<'_, K, N, $($param),*> {
            $(
                #[inline(always)]
                fn $name(&mut self $(, $argument: $type)*) -> $result {
                    each_backend!(self, state => state.$name($($argument),*))
                }
            )*
        }
    };
}

access! {
    /// The value of one key and namespace.
    Value<V: Data> as ValueState<V>, Value;
    fn get() -> Result<Option<Cow<'_, V>>>;
    fn set(value: V) -> Result<()>;
    fn update(change: impl FnOnce(&mut Option<V>)) -> Result<()>;
    fn clear() -> Result<()>;
}

access! {
    /// The list of one key and namespace.
    List<T: Data> as ListState<T>, List;
    fn get() -> Result<Cow<'_, [T]>>;
    fn add(element: T) -> Result<()>;
    fn add_all(elements: impl IntoIterator<Item = T>) -> Result<()>;
    fn set(elements: Vec<T>) -> Result<()>;
    fn clear() -> Result<()>;
}

access! {
    /// The map of one key and namespace.
    Map<U: Key, V: Data> as MapState<U, V>, Map;
    fn get(user_key: &U) -> Result<Option<Cow<'_, V>>>;
    fn put(user_key: U, value: V) -> Result<()>;
    fn update(user_key: U, change: impl FnOnce(&mut Option<V>)) -> Result<()>;
    fn remove(user_key: &U) -> Result<()>;
    fn contains(user_key: &U) -> Result<bool>;
    fn is_empty() -> Result<bool>;
    fn entries() -> Result<Entries<'_, U, V>>;
    fn clear() -> Result<()>;
}

access! {
    /// The folded value of one key and namespace.
    Reducing<V: Data> as ReducingState<V>, Reducing;
    fn get() -> Result<Option<Cow<'_, V>>>;
    fn add(value: V) -> Result<()>;
    fn clear() -> Result<()>;
}

access! {
    /// The accumulator of one key and namespace.
    Aggregating<A: Aggregate> as AggregatingState<A>, Aggregating;
    fn get() -> Result<Option<A::Output>>;
    fn add(input: A::Input) -> Result<()>;
    fn clear() -> Result<()>;
}

access! {
    /// The timers of one key and namespace.
    Timers<> as TimerState, TimersAt;
    fn register(domain: TimeDomain, timestamp_ms: i64) -> Result<bool>;
    fn delete(domain: TimeDomain, timestamp_ms: i64) -> Result<bool>;
}
