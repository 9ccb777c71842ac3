//! What registering a state gives: a small copyable value by which the state is opened for a key.
//!
//! A handle belongs to the backend that issued it. Using it with another one is an error, never another state's data:
//! types are compared on every use.

use std::fmt;
use std::marker::PhantomData;

use crate::state::Aggregate;
use crate::state::reducing::Reduce;

/// Position of a registered state within its backend.
pub(crate) type StateIndex = usize;

/// A handle of any kind of keyed state with namespaces of type `N`.
pub trait KeyedHandle<N> {
    #[doc(hidden)]
    fn index(&self) -> StateIndex;
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident<$($param:ident $(: $bound:path)?),+>, $types:ty) => {
        $(#[$doc])*
        pub struct $name<$($param $(: $bound)?,)+ N = ()> {
            pub(crate) index: StateIndex,
            /// Whether the state was registered with a time to live.
            pub(crate) timed: bool,
            types: PhantomData<fn() -> ($types, N)>,
        }

        impl<$($param $(: $bound)?,)+ N> $name<$($param,)+ N> {
            pub(crate) fn new(index: StateIndex, timed: bool) -> Self {
                $name { index, timed, types: PhantomData }
            }
        }

        impl<$($param $(: $bound)?,)+ N> Clone for $name<$($param,)+ N> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($param $(: $bound)?,)+ N> Copy for $name<$($param,)+ N> {}

        impl<$($param $(: $bound)?,)+ N> fmt::Debug for $name<$($param,)+ N> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.index)
            }
        }

        impl<$($param $(: $bound)?,)+ N> KeyedHandle<N> for $name<$($param,)+ N> {
            fn index(&self) -> StateIndex {
                self.index
            }
        }
    };
}

handle!(
    /// A registered value state.
    ValueHandle<V>,
    V
);

handle!(
    /// A registered list state.
    ListHandle<T>,
    T
);

handle!(
    /// A registered map state.
    MapHandle<U, V>,
    (U, V)
);

handle!(
    /// A registered aggregating state.
    AggregatingHandle<A: Aggregate>,
    A
);

/// A registered reducing state.
pub struct ReducingHandle<V, N = ()> {
    pub(crate) index: StateIndex,
    /// Whether the state was registered with a time to live.
    pub(crate) timed: bool,
    pub(crate) reduce: Reduce<V>,
    types: PhantomData<fn() -> N>,
}

impl<V, N> ReducingHandle<V, N> {
    pub(crate) fn new(index: StateIndex, timed: bool, reduce: Reduce<V>) -> Self {
        ReducingHandle { index, timed, reduce, types: PhantomData }
    }
}

impl<V, N> Clone for ReducingHandle<V, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V, N> Copy for ReducingHandle<V, N> {}

impl<V, N> fmt::Debug for ReducingHandle<V, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReducingHandle({})", self.index)
    }
}

impl<V, N> KeyedHandle<N> for ReducingHandle<V, N> {
    fn index(&self) -> StateIndex {
        self.index
    }
}

/// A registered set of timers.
pub struct TimerHandle<N = ()> {
    pub(crate) index: StateIndex,
    types: PhantomData<fn() -> N>,
}

impl<N> TimerHandle<N> {
    pub(crate) fn new(index: StateIndex) -> Self {
        TimerHandle { index, types: PhantomData }
    }
}

impl<N> Clone for TimerHandle<N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for TimerHandle<N> {}

impl<N> fmt::Debug for TimerHandle<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimerHandle({})", self.index)
    }
}

/// A registered operator list.
pub struct OperatorListHandle<T> {
    pub(crate) index: StateIndex,
    types: PhantomData<fn() -> T>,
}

/// A registered broadcast state.
pub struct BroadcastHandle<K, V> {
    pub(crate) index: StateIndex,
    types: PhantomData<fn() -> (K, V)>,
}

macro_rules! operator_handle {
    ($name:ident<$($param:ident),+>) => {
        impl<$($param),+> $name<$($param),+> {
            pub(crate) fn new(index: StateIndex) -> Self {
                $name { index, types: PhantomData }
            }
        }

        impl<$($param),+> Clone for $name<$($param),+> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($param),+> Copy for $name<$($param),+> {}

        impl<$($param),+> fmt::Debug for $name<$($param),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.index)
            }
        }
    };
}

operator_handle!(OperatorListHandle<T>);
operator_handle!(BroadcastHandle<K, V>);
