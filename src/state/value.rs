//! One value per key and namespace.

use std::borrow::Cow;

use super::ttl::Ttl;
use crate::error::Result;
use crate::serializer::{Serializer, Unit};

/// Names and types a value state.
///
/// ```
/// use millpond::serializer::{Str, U64};
/// use millpond::state::ValueDescriptor;
///
/// const VISITS: ValueDescriptor<U64> = ValueDescriptor::new("visits", U64);
/// const LAST_PAGE: ValueDescriptor<Str> = ValueDescriptor::new("last-page", Str);
/// ```
#[derive(Debug, Clone)]
pub struct ValueDescriptor<S, N = Unit> {
    pub(crate) name: &'static str,
    pub(crate) value: S,
    pub(crate) namespace: N,
    pub(crate) ttl: Option<Ttl>,
}

impl<S: Serializer> ValueDescriptor<S> {
    /// A value state without namespaces and without time to live.
    pub const fn new(name: &'static str, value: S) -> Self {
        ValueDescriptor { name, value, namespace: Unit, ttl: None }
    }
}

impl<S: Serializer, N: Serializer> ValueDescriptor<S, N> {
    /// A value state with one value per namespace.
    pub const fn in_namespaces(name: &'static str, value: S, namespace: N) -> Self {
        ValueDescriptor { name, value, namespace, ttl: None }
    }

    /// The same state, with values that expire.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Ttl) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// The value of one key and namespace.
pub trait ValueState<V: Clone> {
    /// The value, if there is one. Borrowed where the backend holds typed values.
    fn get(&mut self) -> Result<Option<Cow<'_, V>>>;

    /// Sets the value.
    fn set(&mut self, value: V) -> Result<()>;

    /// Changes the value in place, in one look-up where the backend can; `None` removes it.
    fn update(&mut self, change: impl FnOnce(&mut Option<V>)) -> Result<()>;

    /// Removes the value.
    fn clear(&mut self) -> Result<()>;
}
