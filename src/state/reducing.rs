//! One value per key and namespace, folded from values of the same type.

use std::borrow::Cow;

use super::ttl::Ttl;
use crate::error::Result;
use crate::serializer::{Serializer, Unit};

/// Folds `value` into `accumulated`.
pub type Reduce<V> = fn(accumulated: &mut V, value: V);

/// Names and types a reducing state, and says how values are folded.
///
/// ```
/// use millpond::serializer::I64;
/// use millpond::state::ReducingDescriptor;
///
/// const WORST: ReducingDescriptor<I64> = ReducingDescriptor::new("worst", I64, |worst, delay| *worst = (*worst).max(delay));
/// ```
#[derive(Debug, Clone)]
pub struct ReducingDescriptor<S: Serializer, N = Unit> {
    pub(crate) name: &'static str,
    pub(crate) value: S,
    pub(crate) reduce: Reduce<S::Value>,
    pub(crate) namespace: N,
    pub(crate) ttl: Option<Ttl>,
}

impl<S: Serializer> ReducingDescriptor<S> {
    /// A reducing state without namespaces and without time to live.
    pub const fn new(name: &'static str, value: S, reduce: Reduce<S::Value>) -> Self {
        ReducingDescriptor { name, value, reduce, namespace: Unit, ttl: None }
    }
}

impl<S: Serializer, N: Serializer> ReducingDescriptor<S, N> {
    /// A reducing state with one value per namespace.
    pub const fn in_namespaces(name: &'static str, value: S, reduce: Reduce<S::Value>, namespace: N) -> Self {
        ReducingDescriptor { name, value, reduce, namespace, ttl: None }
    }

    /// The same state, with values that expire.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Ttl) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// The folded value of one key and namespace.
pub trait ReducingState<V: Clone> {
    /// The folded value, if anything was added.
    fn get(&mut self) -> Result<Option<Cow<'_, V>>>;

    /// Folds a value in; the first one is kept as it is.
    fn add(&mut self, value: V) -> Result<()>;

    /// Forgets everything.
    fn clear(&mut self) -> Result<()>;
}
