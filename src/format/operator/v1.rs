use super::PairWriter;
use crate::codec::Compression;
use crate::format::FormatId;
use crate::format::section::Sink;
use crate::ids::OperatorId;

/// A writer of the operator state of one operator.
pub fn writer<S: Sink>(sink: S, operator: OperatorId, compression: Compression) -> PairWriter<S> {
    PairWriter::new(sink, FormatId::Operator, operator, compression)
}
