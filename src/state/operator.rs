//! Operator lists: state that belongs to a subtask rather than to keys.

use crate::error::Result;
use crate::serializer::Serializer;

/// What a subtask gets of an operator list on restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Redistribution {
    /// At unchanged parallelism its own elements; otherwise its part of the elements of all subtasks: in subtask order, they
    /// are cut into runs whose lengths differ by one at most.
    Split,
    /// The elements of all subtasks, in subtask order.
    Union,
}

/// Names and types an operator list, and says how it is redistributed.
#[derive(Debug, Clone)]
pub struct OperatorListDescriptor<S> {
    pub(crate) name: &'static str,
    pub(crate) element: S,
    pub(crate) redistribution: Redistribution,
}

impl<S: Serializer> OperatorListDescriptor<S> {
    /// A list whose elements are split among the subtasks.
    pub const fn split(name: &'static str, element: S) -> Self {
        OperatorListDescriptor { name, element, redistribution: Redistribution::Split }
    }

    /// A list that every subtask gets whole.
    pub const fn union(name: &'static str, element: S) -> Self {
        OperatorListDescriptor { name, element, redistribution: Redistribution::Union }
    }
}

/// The list of this subtask.
pub trait OperatorListState<T> {
    /// The elements in order.
    fn get(&self) -> Result<&[T]>;

    /// Appends an element.
    fn add(&mut self, element: T) -> Result<()>;

    /// Replaces the whole list.
    fn set(&mut self, elements: Vec<T>) -> Result<()>;

    /// Removes all elements.
    fn clear(&mut self) -> Result<()>;
}
