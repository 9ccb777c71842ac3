//! Values taken apart into the columns of a Parquet file, as Dremel does it: beside each cell stands how much of its path is
//! there (the definition level) and at which of the lists on that path it goes on (the repetition level).

use std::borrow::Cow;
use std::ops::Range;

use millpond::serializer::Value;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType,
    Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedColumnWriter;

use super::fit::{Cell, elements, entries};
use super::schema::{Group, Type};

/// A value is not of the type of its column.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit;

/// The cells of a column that are not written yet.
enum Cells {
    Bool(Vec<bool>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

/// A column of a row group that is gathered.
pub(super) struct Column {
    cells: Cells,
    definitions: Vec<i16>,
    /// Empty for a column outside of lists.
    repetitions: Vec<i16>,
    is_repeated: bool,
}

/// A part of the schema, with its columns.
#[derive(Debug)]
struct Node {
    kind: Kind,
    columns: Range<usize>,
    /// The definition level of a value that is there.
    definition: i16,
    /// The repetition level of what goes on in the innermost list around it.
    repetition: i16,
}

#[derive(Debug)]
enum Kind {
    Leaf(Type),
    List(Box<Node>),
    Map(Box<Node>, Box<Node>),
    Group(Group, Vec<Node>),
}

/// The columns of a row group that is gathered, and what they are columns of.
pub(super) struct Columns {
    roots: Vec<Node>,
    columns: Vec<Column>,
    bytes: usize,
}

/// Bytes that a cell and its levels take beside the bytes it refers to.
const CELL_BYTES: usize = 16;

impl Columns {
    /// For entries whose parts have these types.
    pub(super) fn new<'t>(types: impl IntoIterator<Item = &'t Type>) -> Self {
        let mut columns = Vec::new();
        let roots = types.into_iter().map(|stored| Node::new(stored, 1, 0, &mut columns)).collect();
        Columns { roots, columns, bytes: 0 }
    }

    /// Appends a row: a value, or nothing, for every part. After a misfit the row group is of no use.
    pub(super) fn push<'v>(&mut self, row: impl IntoIterator<Item = Option<Cow<'v, Value>>>) -> Result<(), Misfit> {
        let Columns { roots, columns, bytes } = self;
        let mut shredder = Shredder { columns, bytes };
        for (root, value) in roots.iter().zip(row) {
            shredder.value(root, value.as_deref().unwrap_or(&Value::Unit), false, 0)?;
        }
        Ok(())
    }

    /// What the rows take in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives the columns to `write`, in the order of the schema, and forgets what they hold.
    pub(super) fn drain(
        &mut self,
        mut write: impl FnMut(&mut Column) -> Result<(), ParquetError>,
    ) -> Result<(), ParquetError> {
        self.bytes = 0;
        self.columns.iter_mut().try_for_each(&mut write)
    }
}

impl Node {
    /// `definition` is the level of a value that is there.
    fn new(stored: &Type, definition: i16, repetition: i16, columns: &mut Vec<Column>) -> Self {
        let first = columns.len();
        let kind = match stored {
            Type::List(element) => Kind::List(Box::new(Node::new(element, definition + 2, repetition + 1, columns))),
            Type::Map(key, value) => {
                let key = Node::new(key, definition + 1, repetition + 1, columns);
                Kind::Map(Box::new(key), Box::new(Node::new(value, definition + 2, repetition + 1, columns)))
            }
            Type::Group(group) => {
                let node = |field: &super::schema::Field| Node::new(&field.stored, definition + 1, repetition, columns);
                let nodes = group.fields.iter().map(node).collect();
                Kind::Group(group.clone(), nodes)
            }
            leaf => {
                columns.push(Column::new(leaf, repetition > 0));
                Kind::Leaf(leaf.clone())
            }
        };
        Node { kind, columns: first..columns.len(), definition, repetition }
    }
}

/// Takes a value apart.
struct Shredder<'c> {
    columns: &'c mut [Column],
    bytes: &'c mut usize,
}

impl Shredder<'_> {
    /// Appends a value that goes on at the list of level `repetition`. A key is never null.
    fn value(&mut self, node: &Node, value: &Value, is_key: bool, repetition: i16) -> Result<(), Misfit> {
        if *value == Value::Unit && !is_key {
            self.nothing(node, node.definition - 1, repetition);
            return Ok(());
        }
        match &node.kind {
            Kind::Leaf(stored) => {
                let cell = stored.cell(value).ok_or(Misfit)?;
                let column = self.columns.get_mut(node.columns.start).ok_or(Misfit)?;
                *self.bytes += column.push(cell, node.definition, repetition)?;
            }
            Kind::List(element) => {
                let values = elements(value).ok_or(Misfit)?;
                if values.is_empty() {
                    self.nothing(node, node.definition, repetition);
                }
                for (position, value) in values.iter().enumerate() {
                    let repetition = if position == 0 { repetition } else { element.repetition };
                    self.value(element, value, false, repetition)?;
                }
            }
            Kind::Map(key, content) => {
                let entries = entries(value).ok_or(Misfit)?;
                if entries.is_empty() {
                    self.nothing(node, node.definition, repetition);
                }
                for (position, (entry_key, entry_value)) in entries.iter().enumerate() {
                    let repetition = if position == 0 { repetition } else { key.repetition };
                    self.value(key, entry_key, true, repetition)?;
                    self.value(content, entry_value, false, repetition)?;
                }
            }
            Kind::Group(group, fields) => {
                let pieces = group.split(value).ok_or(Misfit)?;
                for (field, piece) in fields.iter().zip(pieces) {
                    self.value(field, piece.as_deref().unwrap_or(&Value::Unit), false, repetition)?;
                }
            }
        }
        Ok(())
    }

    /// Appends to all columns of a part that it is there down to some level only.
    fn nothing(&mut self, node: &Node, definition: i16, repetition: i16) {
        for column in self.columns.get_mut(node.columns.clone()).unwrap_or_default() {
            column.level(definition, repetition);
            *self.bytes += CELL_BYTES;
        }
    }
}

impl Column {
    fn new(stored: &Type, is_repeated: bool) -> Self {
        use parquet::basic::Type as Physical;
        let cells = match stored.physical() {
            Physical::BOOLEAN => Cells::Bool(Vec::new()),
            Physical::INT32 => Cells::I32(Vec::new()),
            Physical::INT64 => Cells::I64(Vec::new()),
            Physical::FLOAT => Cells::F32(Vec::new()),
            Physical::DOUBLE => Cells::F64(Vec::new()),
            Physical::FIXED_LEN_BYTE_ARRAY => Cells::Fixed(Vec::new()),
            _ => Cells::Bytes(Vec::new()),
        };
        Column { cells, definitions: Vec::new(), repetitions: Vec::new(), is_repeated }
    }

    fn level(&mut self, definition: i16, repetition: i16) {
        self.definitions.push(definition);
        if self.is_repeated {
            self.repetitions.push(repetition);
        }
    }

    /// Appends a cell; the bytes it takes.
    fn push(&mut self, cell: Cell<'_>, definition: i16, repetition: i16) -> Result<usize, Misfit> {
        let mut length = 0;
        match (&mut self.cells, cell) {
            (Cells::Bool(cells), Cell::Bool(value)) => cells.push(value),
            (Cells::I32(cells), Cell::I32(value)) => cells.push(value),
            (Cells::I64(cells), Cell::I64(value)) => cells.push(value),
            (Cells::F32(cells), Cell::F32(value)) => cells.push(value),
            (Cells::F64(cells), Cell::F64(value)) => cells.push(value),
            (Cells::Bytes(cells), Cell::Bytes(bytes)) => {
                length = bytes.len() + size_of::<ByteArray>();
                cells.push(ByteArray::from(bytes.into_owned()));
            }
            (Cells::Fixed(cells), Cell::Fixed(bytes)) => {
                length = bytes.len() + size_of::<ByteArray>();
                cells.push(FixedLenByteArray::from(bytes.to_vec()));
            }
            _ => return Err(Misfit),
        }
        self.level(definition, repetition);
        Ok(length + CELL_BYTES)
    }

    /// Writes the cells, and forgets them.
    pub(super) fn write(&mut self, out: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let definitions = std::mem::take(&mut self.definitions);
        let repetitions = std::mem::take(&mut self.repetitions);
        let levels = (definitions.as_slice(), self.is_repeated.then_some(repetitions.as_slice()));
        match &mut self.cells {
            Cells::Bool(cells) => write::<BoolType>(out, cells, levels),
            Cells::I32(cells) => write::<Int32Type>(out, cells, levels),
            Cells::I64(cells) => write::<Int64Type>(out, cells, levels),
            Cells::F32(cells) => write::<FloatType>(out, cells, levels),
            Cells::F64(cells) => write::<DoubleType>(out, cells, levels),
            Cells::Bytes(cells) => write::<ByteArrayType>(out, cells, levels),
            Cells::Fixed(cells) => write::<FixedLenByteArrayType>(out, cells, levels),
        }
    }
}

fn write<T: DataType>(
    out: &mut SerializedColumnWriter<'_>,
    cells: &mut Vec<T::T>,
    (definitions, repetitions): (&[i16], Option<&[i16]>),
) -> Result<(), ParquetError> {
    let cells = std::mem::take(cells);
    out.typed::<T>().write_batch(&cells, Some(definitions), repetitions).map(|_| ())
}
