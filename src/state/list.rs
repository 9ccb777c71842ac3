//! A list per key and namespace.

use std::borrow::Cow;

use super::ttl::Ttl;
use crate::error::Result;
use crate::serializer::{Serializer, Unit};

/// Names and types a list state.
#[derive(Debug, Clone)]
pub struct ListDescriptor<S, N = Unit> {
    pub(crate) name: &'static str,
    pub(crate) element: S,
    pub(crate) namespace: N,
    pub(crate) ttl: Option<Ttl>,
}

impl<S: Serializer> ListDescriptor<S> {
    /// A list state without namespaces and without time to live.
    pub const fn new(name: &'static str, element: S) -> Self {
        ListDescriptor { name, element, namespace: Unit, ttl: None }
    }
}

impl<S: Serializer, N: Serializer> ListDescriptor<S, N> {
    /// A list state with one list per namespace.
    pub const fn in_namespaces(name: &'static str, element: S, namespace: N) -> Self {
        ListDescriptor { name, element, namespace, ttl: None }
    }

    /// The same state, with elements that expire one by one.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Ttl) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// The list of one key and namespace. An empty list and no list are the same.
pub trait ListState<T: Clone> {
    /// The elements in the order they were added. Borrowed where the backend holds typed values.
    fn get(&mut self) -> Result<Cow<'_, [T]>>;

    /// Appends an element.
    fn add(&mut self, element: T) -> Result<()>;

    /// Appends several elements.
    fn add_all(&mut self, elements: impl IntoIterator<Item = T>) -> Result<()>;

    /// Replaces the whole list.
    fn set(&mut self, elements: Vec<T>) -> Result<()>;

    /// Removes the list.
    fn clear(&mut self) -> Result<()>;
}
