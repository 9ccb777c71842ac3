use super::access::{Aggregating, List, Map, Reducing, Timers, Value};
use crate::backend::handle::{AggregatingHandle, ListHandle, MapHandle, ReducingHandle, TimerHandle, ValueHandle};
#[cfg(feature = "rocksdb")]
use crate::backend::rocksdb;
use crate::backend::{Data, Key, heap};
use crate::error::Result;
use crate::serializer::Serializer;
use crate::state::Aggregate;

/// The states of a backend, opened for one key.
///
/// Each state kind has two methods: one for states without namespaces, and one, ending in `_in`, that takes the namespace.
#[non_exhaustive]
pub enum KeyContext<'b, KS: Serializer> {
    /// Of the heap backend.
    Heap(heap::KeyContext<'b, KS>),
    /// Of the RocksDB backend.
    #[cfg(feature = "rocksdb")]
    RocksDb(rocksdb::KeyContext<'b, KS>),
}

macro_rules! open {
    ($name:ident / $name_in:ident, $what:literal, <$($param:ident: $bound:path),*> $handle:ident => $access:ident) => {
        #[doc = concat!("Opens ", $what, ".")]
        #[inline(always)]
        pub fn $name<$($param: $bound),*>(
            &mut self,
            handle: &$handle<$($param),*>,
        ) -> Result<$access<'_, KS::Value, (), $($param),*>> {
            self.$name_in(handle, &())
        }

        #[doc = concat!("Opens ", $what, " in a namespace.")]
        #[inline(always)]
        pub fn $name_in<'s, $($param: $bound,)* N: Key>(
            &'s mut self,
            handle: &$handle<$($param,)* N>,
            namespace: &'s N,
        ) -> Result<$access<'s, KS::Value, N, $($param),*>> {
            match self {
                KeyContext::Heap(context) => context.$name_in(handle, namespace).map($access::Heap),
                #[cfg(feature = "rocksdb")]
                KeyContext::RocksDb(context) => context.$name_in(handle, namespace).map($access::RocksDb),
            }
        }
    };
}

impl<KS> KeyContext<'_, KS>
where
    KS: Serializer<Value: Key>,
{
    /// The key.
    pub fn current(&self) -> &KS::Value {
        match self {
            KeyContext::Heap(context) => context.current(),
            #[cfg(feature = "rocksdb")]
            KeyContext::RocksDb(context) => context.current(),
        }
    }

    open!(value / value_in, "a value state", <V: Data> ValueHandle => Value);
    open!(list / list_in, "a list state", <T: Data> ListHandle => List);
    open!(map / map_in, "a map state", <U: Key, V: Data> MapHandle => Map);
    open!(reducing / reducing_in, "a reducing state", <V: Data> ReducingHandle => Reducing);
    open!(aggregating / aggregating_in, "an aggregating state", <A: Aggregate> AggregatingHandle => Aggregating);
    open!(timers / timers_in, "the timers", <> TimerHandle => Timers);
}
