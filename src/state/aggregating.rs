//! One accumulator per key and namespace, folded from inputs of another type.

use super::ttl::Ttl;
use crate::error::Result;
use crate::serializer::{Serializer, Unit};

/// How inputs are folded into an accumulator, and what is read from it.
pub trait Aggregate: 'static {
    /// What is added.
    type Input;
    /// What is stored.
    type Accumulator: Clone + Send + Sync + 'static;
    /// What is read.
    type Output;

    /// The accumulator of nothing.
    fn create() -> Self::Accumulator;

    /// Folds one input in.
    fn add(accumulator: &mut Self::Accumulator, input: Self::Input);

    /// The result so far.
    fn result(accumulator: &Self::Accumulator) -> Self::Output;
}

/// Names and types an aggregating state: `A` says how to fold, `S` stores the accumulator.
#[derive(Debug)]
pub struct AggregatingDescriptor<A, S, N = Unit> {
    pub(crate) name: &'static str,
    pub(crate) accumulator: S,
    pub(crate) namespace: N,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) aggregate: std::marker::PhantomData<fn() -> A>,
}

impl<A: Aggregate, S: Serializer<Value = A::Accumulator>> AggregatingDescriptor<A, S> {
    /// An aggregating state without namespaces and without time to live.
    pub const fn new(name: &'static str, accumulator: S) -> Self {
        AggregatingDescriptor { name, accumulator, namespace: Unit, ttl: None, aggregate: std::marker::PhantomData }
    }
}

impl<A: Aggregate, S: Serializer<Value = A::Accumulator>, N: Serializer> AggregatingDescriptor<A, S, N> {
    /// An aggregating state with one accumulator per namespace.
    pub const fn in_namespaces(name: &'static str, accumulator: S, namespace: N) -> Self {
        AggregatingDescriptor { name, accumulator, namespace, ttl: None, aggregate: std::marker::PhantomData }
    }

    /// The same state, with accumulators that expire.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Ttl) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// The accumulator of one key and namespace.
pub trait AggregatingState<A: Aggregate> {
    /// The result, if anything was added.
    fn get(&mut self) -> Result<Option<A::Output>>;

    /// Folds an input in.
    fn add(&mut self, input: A::Input) -> Result<()>;

    /// Forgets everything.
    fn clear(&mut self) -> Result<()>;
}
