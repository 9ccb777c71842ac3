//! Serializers that operators of Flink's own use: joins of streams, pattern matching, sinks, views of aggregate functions, and
//! those of the Scala API.
//!
//! Most write the fields of a class of Flink's one behind the other. These become a [`TypeSerializer::Tuple`] of that class; the
//! snapshots of fields that Flink fixes in its code are made up here, and have no bytes of their own.

use super::{Contents, Simple, Snapshot, TypeSerializer};
use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::primitive::Primitives;

/// A part of a value that no snapshot describes.
fn part(class: &str, serializer: TypeSerializer) -> Snapshot {
    Snapshot { class: class.to_owned(), version: 0, serializer, bytes: Vec::new() }
}

fn simple(simple: Simple) -> Snapshot {
    part(simple.class(), TypeSerializer::Simple(simple))
}

fn list(element: Snapshot) -> Snapshot {
    part("a list", TypeSerializer::List(Box::new(element)))
}

fn optional(value: Snapshot) -> Snapshot {
    part("an optional value", TypeSerializer::Optional(Box::new(value)))
}

/// Scala's, whose hash code is not that of Java's.
fn either((left, right): (Box<Snapshot>, Box<Snapshot>)) -> TypeSerializer {
    TypeSerializer::External(Box::new(part("an Either", TypeSerializer::Either(left, right))))
}

fn fields(class: &str, fields: Vec<Snapshot>) -> TypeSerializer {
    TypeSerializer::Tuple { class: class.to_owned(), fields }
}

fn tuple(class: &str, parts: Vec<Snapshot>) -> Snapshot {
    part(class, fields(class, parts))
}

impl Contents<'_, '_> {
    /// Reads the contents if the class belongs to an operator or to the Scala API.
    pub(super) fn runtime(&mut self) -> Result<Option<TypeSerializer>> {
        let Some(name) = self.class.strip_prefix("org.apache.flink.") else { return Ok(None) };
        if let Some(name) = name.strip_prefix("cep.nfa.") {
            return self.pattern_matching(name);
        }
        let scala = ["api.scala.typeutils.", "table.api.typeutils."];
        if let Some(name) = scala.into_iter().find_map(|package| name.strip_prefix(package)) {
            return self.scala(name);
        }
        if let Some(name) = name.strip_prefix("table.runtime.sequencedmultisetstate.linked.") {
            return self.ordered_multiset(name);
        }
        Ok(Some(match name {
            "streaming.api.datastream.CoGroupedStreams$UnionSerializerSnapshot" => {
                self.outer(1..=2)?;
                let (one, two) = self.two()?;
                TypeSerializer::Union(one, two)
            }
            "streaming.api.operators.co.IntervalJoinOperator$BufferEntrySerializerSnapshot" => {
                self.outer(1..=2)?;
                let element = *self.one()?;
                fields("IntervalJoinOperator$BufferEntry", vec![simple(Simple::Boolean), element])
            }
            "streaming.api.functions.sink.TwoPhaseCommitSinkFunction$StateSerializerSnapshot"
            | "streaming.api.functions.sink.legacy.TwoPhaseCommitSinkFunction$StateSerializerSnapshot" => {
                self.transactions()?
            }
            "api.common.typeutils.SingleThreadAccessCheckingTypeSerializer$SingleThreadAccessCheckingTypeSerializerSnapshot"
            | "table.dataview.ListViewSerializerSnapshot"
            | "table.dataview.MapViewSerializerSnapshot" => {
                self.outer(1..=1)?;
                TypeSerializer::External(self.one()?)
            }
            "table.dataview.NullAwareMapSerializerSnapshot" => {
                self.outer(1..=1)?;
                let (key, value) = self.two()?;
                TypeSerializer::NullAwareMap(key, value)
            }
            _ => return Ok(None),
        }))
    }

    /// The state of a sink that commits in two phases: the open transaction, those that wait for their commit, and a context.
    fn transactions(&mut self) -> Result<TypeSerializer> {
        let is_nullable = match self.outer(1..=4)? {
            4 => self.input.bool("null transaction flag")?,
            version => version == 3,
        };
        let (transaction, context) = self.two()?;
        let holder = || {
            let parts = vec![(*transaction).clone(), simple(Simple::Long)];
            tuple("TwoPhaseCommitSinkFunction$TransactionHolder", parts)
        };
        let open = if is_nullable { optional(holder()) } else { holder() };
        let parts = vec![open, list(holder()), optional(*context)];
        Ok(fields("TwoPhaseCommitSinkFunction$State", parts))
    }

    fn pattern_matching(&mut self, name: &str) -> Result<Option<TypeSerializer>> {
        Ok(Some(match name {
            "NFAStateSerializerSnapshot" => {
                let has_previous = if self.outer(1..=2)? == 2 { self.input.bool("previous time flag")? } else { false };
                let [version, node, event] = self.three()?;
                let mut run = vec![simple(Simple::String), node, version, simple(Simple::Long)];
                if has_previous {
                    run.push(simple(Simple::Long));
                }
                run.push(optional(event));
                let runs = || list(tuple("ComputationState", run.clone()));
                fields("NFAState", vec![runs(), runs()])
            }
            "sharedbuffer.LockableTypeSerializerSnapshot" => {
                self.outer(1..=1)?;
                fields("Lockable", vec![simple(Simple::Int), *self.one()?])
            }
            "sharedbuffer.NodeId$NodeIdSerializer$NodeIdSerializerSnapshot" => {
                self.outer(1..=1)?;
                let parts = vec![*self.one()?, simple(Simple::String)];
                TypeSerializer::Optional(Box::new(tuple("NodeId", parts)))
            }
            "sharedbuffer.SharedBufferEdge$SharedBufferEdgeSerializer$SharedBufferEdgeSerializerSnapshot" => {
                self.outer(1..=1)?;
                let (node, version) = self.two()?;
                fields("SharedBufferEdge", vec![*node, *version])
            }
            "sharedbuffer.SharedBufferNodeSerializerSnapshotV2" => {
                self.outer(1..=1)?;
                let edge = tuple("Lockable", vec![simple(Simple::Int), *self.one()?]);
                TypeSerializer::List(Box::new(edge))
            }
            _ => return Ok(None),
        }))
    }

    /// The SQL runtime's multiset that keeps the order of its rows.
    fn ordered_multiset(&mut self, name: &str) -> Result<Option<TypeSerializer>> {
        Ok(Some(match name {
            "MetaSqnInfoSerializer$MetaSqnInfoSerializerSnapshot" => {
                self.outer(0..=0)?;
                fields("MetaSqnInfo", self.block()?)
            }
            "NodeSerializer$NodeSerializerSnapshot" => {
                self.outer(0..=0)?;
                fields("Node", self.block()?)
            }
            "RowSqnInfoSerializer$RowSqnInfoSerializerSnapshot" => {
                self.outer(0..=0)?;
                fields("RowSqnInfo", self.block()?)
            }
            "RowDataKeySerializerSnapshot" => {
                self.only_version(0..=0)?;
                // Generated code, as Java objects: how rows are compared and how they are hashed.
                self.input.bytes32("row equaliser")?;
                self.input.bytes32("row hash function")?;
                TypeSerializer::External(Box::new(self.nested()?))
            }
            _ => return Ok(None),
        }))
    }

    fn scala(&mut self, name: &str) -> Result<Option<TypeSerializer>> {
        Ok(Some(match name {
            "ScalaCaseClassSerializerSnapshot" | "Tuple2CaseClassSerializerSnapshot" => {
                self.outer(2..=2)?;
                TypeSerializer::Tuple { class: self.input.utf("case class")?, fields: self.block()? }
            }
            "ScalaOptionSerializerSnapshot" => {
                self.outer(2..=2)?;
                TypeSerializer::Optional(self.one()?)
            }
            "ScalaEitherSerializerSnapshot" => {
                self.outer(1..=1)?;
                either(self.two()?)
            }
            "ScalaTrySerializerSnapshot" => {
                self.outer(2..=2)?;
                either(self.two()?)
            }
            "TraversableSerializerSnapshot" => {
                self.outer(2..=2)?;
                // Scala code that makes the collection.
                self.input.utf("collection builder")?;
                TypeSerializer::GenericArray { component_class: "a collection".to_owned(), component: self.one()? }
            }
            "ScalaEnumSerializerSnapshot" => self.scala_enumeration()?,
            _ => return Ok(None),
        }))
    }

    /// Constants with numbers of their own. Where these are not positions, values are shown as numbers.
    fn scala_enumeration(&mut self) -> Result<TypeSerializer> {
        self.only_version(1..=2)?;
        let class = self.input.utf("enumeration class")?;
        let mut constants = Vec::new();
        for _ in 0..self.input.items(6, "number of enumeration constants")? {
            let name = self.input.utf("enumeration constant")?;
            constants.push((self.input.i32("number of the enumeration constant")?, name));
        }
        constants.sort();
        if constants.iter().zip(0i32..).any(|((number, _), position)| *number != position) {
            return Ok(TypeSerializer::External(Box::new(simple(Simple::Int))));
        }
        Ok(TypeSerializer::Enum { class, constants: constants.into_iter().map(|(_, name)| name.into()).collect() })
    }

    fn three(&mut self) -> Result<[Snapshot; 3]> {
        let start: Reader<'_> = self.input.clone();
        <[Snapshot; 3]>::try_from(self.block()?)
            .map_err(|nested| start.corrupt("number of nested snapshots", format!("is {}, expected 3", nested.len())))
    }
}
