//! Decoding values by their serializers.

use std::sync::{Arc, LazyLock};

use super::form::{Checked, Form};
use super::whole::Whole;
use super::{BigDecimal, BigInteger, LocalDate, LocalTime, RowKind, Value, sql};
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::format::flink::java_object;
use crate::format::flink::primitive::{Primitives, ascii, utf16_units};
use crate::format::flink::serializer::{Pojo, Simple, Snapshot, Subclass, TypeSerializer};

/// Tag of a record with a time (`StreamElementSerializer`).
pub(super) const RECORD_WITH_TIME: u8 = 0;
/// Tag of a record without.
pub(super) const RECORD: u8 = 1;
/// Tag of a watermark.
pub(super) const WATERMARK: u8 = 2;

/// How elements of streams are called, and their parts.
pub(super) struct StreamNames {
    pub(super) record: Arc<str>,
    pub(super) watermark: Arc<str>,
    pub(super) timestamp: Arc<str>,
    pub(super) value: Arc<str>,
}

/// See [`StreamNames`].
pub(super) static STREAM: LazyLock<StreamNames> = LazyLock::new(|| StreamNames {
    record: "StreamRecord".into(),
    watermark: "Watermark".into(),
    timestamp: "timestamp".into(),
    value: "value".into(),
});

impl Snapshot {
    /// Reads one value.
    ///
    /// A value whose end only its own program can find (Kryo, a user's class, Avro, an unknown serializer) is an
    /// [`Incompatible`](crate::ErrorKind::Incompatible) error; [`read_whole`](Self::read_whole) carries it as opaque.
    pub fn read_value(&self, input: &mut Reader<'_>) -> Result<Value> {
        self.read_as(input)
    }

    /// Steps over one value, which is checked as [`read_value`](Self::read_value) does and not kept.
    pub fn skip_value(&self, input: &mut Reader<'_>) -> Result<()> {
        self.read_as(input).map(|Checked| ())
    }

    /// Reads one value in the form that the caller wants.
    pub(in crate::format::flink) fn read_as<F: Form>(&self, input: &mut Reader<'_>) -> Result<F> {
        match F::skim(&self.serializer, input) {
            Some(skimmed) => Ok(skimmed),
            None => Decoder::new(input).value(&self.serializer, input),
        }
    }

    /// Reads a value that takes all that is left. Where its serializer [does not tell the end](Self::has_known_end) it is
    /// [`Value::Opaque`], inside [`Value::Timed`] if the state has time to live.
    pub fn read_whole(&self, input: &mut Reader<'_>) -> Result<Value> {
        Whole::of(self).read_as(input)
    }

    /// All that is left, as an opaque value.
    pub(in crate::format::flink) fn opaque_as<F: Form>(&self, input: &mut Reader<'_>) -> Result<F> {
        let bytes = input.raw(input.remaining(), "value")?;
        Ok(F::leaf((self, bytes), |(this, bytes)| Value::Opaque { class: this.opaque_class(), bytes: bytes.to_vec() }))
    }

    /// Whether the end of every value can be found. A part that only its own program can interpret (Kryo, a user's class,
    /// Avro, an unknown serializer) makes the whole opaque, even where a value happens not to have it.
    pub fn has_known_end(&self) -> bool {
        self.serializer.has_known_end()
    }

    /// Name of the class whose values cannot be interpreted.
    pub fn opaque_class(&self) -> Arc<str> {
        match &self.serializer {
            TypeSerializer::Kryo(kryo) => kryo.class.as_str().into(),
            TypeSerializer::UserValue { class } | TypeSerializer::Avro { class: Some(class), .. } => {
                class.as_str().into()
            }
            TypeSerializer::Pojo(pojo) => pojo.class.clone(),
            _ => self.class.as_str().into(),
        }
    }
}

impl TypeSerializer {
    /// See [`Snapshot::has_known_end`].
    fn has_known_end(&self) -> bool {
        match self {
            TypeSerializer::Kryo(_)
            | TypeSerializer::UserValue { .. }
            | TypeSerializer::Avro { .. }
            | TypeSerializer::Opaque { .. } => false,
            TypeSerializer::Pojo(pojo) => {
                let known = |snapshot: &Option<Snapshot>| snapshot.as_ref().is_some_and(Snapshot::has_known_end);
                let subclasses = pojo.registered.iter().chain(&pojo.unregistered);
                pojo.fields.iter().all(|field| known(&field.serializer))
                    && subclasses.into_iter().all(|subclass| known(&subclass.serializer))
            }
            TypeSerializer::GenericArray { component: inner, .. }
            | TypeSerializer::List(inner)
            | TypeSerializer::Set(inner)
            | TypeSerializer::LinkedList { element: inner, .. }
            | TypeSerializer::Nullable { inner, .. }
            | TypeSerializer::Ttl(inner)
            | TypeSerializer::WindowKey(inner)
            | TypeSerializer::StreamElement(inner)
            | TypeSerializer::Optional(inner)
            | TypeSerializer::External(inner) => inner.has_known_end(),
            TypeSerializer::Map(first, second)
            | TypeSerializer::NullAwareMap(first, second)
            | TypeSerializer::Union(first, second)
            | TypeSerializer::SortedMap(first, second)
            | TypeSerializer::Either(first, second)
            | TypeSerializer::Timer { key: first, namespace: second } => {
                first.has_known_end() && second.has_known_end()
            }
            TypeSerializer::Tuple { fields, .. } | TypeSerializer::Row { fields, .. } => {
                fields.iter().all(Snapshot::has_known_end)
            }
            TypeSerializer::Simple(_)
            | TypeSerializer::Enum { .. }
            | TypeSerializer::RowData { .. }
            | TypeSerializer::BinaryRowData { .. }
            | TypeSerializer::DecimalData { .. }
            | TypeSerializer::TimestampData { .. }
            | TypeSerializer::ArrayData(_)
            | TypeSerializer::MapData(..)
            | TypeSerializer::RawValueData(_) => true,
        }
    }
}

/// Bounds what one value may cost: parts that take no bytes of their own (null fields are bits) are counted, and so are
/// bytes that several fields of a SQL row can name.
pub(super) struct Decoder {
    parts_left: usize,
    bytes_left: usize,
}

impl Decoder {
    pub(super) fn new(input: &Reader<'_>) -> Self {
        Decoder { parts_left: input.remaining().saturating_mul(8).saturating_add(1024), bytes_left: input.remaining() }
    }

    /// Counts one part of a value.
    pub(super) fn part(&mut self, place: &Reader<'_>) -> Result<()> {
        match self.parts_left.checked_sub(1) {
            Some(left) => {
                self.parts_left = left;
                Ok(())
            }
            None => Err(place.corrupt("value", "has more parts than its bytes can justify")),
        }
    }

    /// Counts bytes that are copied out of a place which other fields can name, too.
    pub(super) fn copy(&mut self, bytes: &[u8], place: &Reader<'_>) -> Result<()> {
        match self.bytes_left.checked_sub(bytes.len()) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => Err(place.corrupt("field", "several fields share their bytes")),
        }
    }

    pub(super) fn value<F: Form>(&mut self, serializer: &TypeSerializer, input: &mut Reader<'_>) -> Result<F> {
        self.part(input)?;
        Ok(match serializer {
            TypeSerializer::Simple(simple) => self.simple(*simple, input)?,
            TypeSerializer::GenericArray { component, .. } => F::list(self.present_flagged(component, input)?),
            TypeSerializer::Enum { constants, .. } => enum_constant(constants, input)?,
            TypeSerializer::List(element) => F::list(self.list(element, input)?),
            TypeSerializer::Set(element) => F::set(self.set(element, input)?),
            TypeSerializer::Map(key, value) | TypeSerializer::SortedMap(key, value) => self.map(key, value, input)?,
            TypeSerializer::LinkedList { null_mask, element } => self.linked_list(*null_mask, element, input)?,
            TypeSerializer::Tuple { fields, .. } => {
                F::tuple(fields.iter().map(|field| self.value(&field.serializer, input)).collect::<Result<_>>()?)
            }
            TypeSerializer::Either(left, right) => {
                if input.bool("either side")? {
                    F::left(self.value(&left.serializer, input)?)
                } else {
                    F::right(self.value(&right.serializer, input)?)
                }
            }
            TypeSerializer::Row { with_kind, fields } => self.row(*with_kind, fields, input)?,
            TypeSerializer::Union(one, two) => self.union(one, two, input)?,
            TypeSerializer::Optional(inner) => {
                let present = input.bool("presence flag")?;
                if present { self.value(&inner.serializer, input)? } else { F::null() }
            }
            TypeSerializer::NullAwareMap(key, value) => self.null_aware_map(key, value, input)?,
            TypeSerializer::StreamElement(element) => self.stream_element(element, input)?,
            TypeSerializer::Nullable { padding, inner } => self.nullable(*padding, inner, input)?,
            TypeSerializer::Ttl(inner) => {
                let last_access = input.i64("time of last access")?;
                F::timed(last_access, self.value(&inner.serializer, input)?)
            }
            TypeSerializer::Timer { key, namespace } => {
                let timestamp = input.ordered_i64("timer timestamp")?;
                let key = self.value(&key.serializer, input)?;
                F::timer(timestamp, key, self.value(&namespace.serializer, input)?)
            }
            TypeSerializer::Pojo(pojo) => self.pojo(pojo, input)?,
            TypeSerializer::WindowKey(key) => {
                let window = F::leaf(input.i64("window")?, Value::Long);
                F::tuple(vec![window, self.value(&key.serializer, input)?])
            }
            TypeSerializer::External(inner) => self.value(&inner.serializer, input)?,
            _ => F::of(self.sql_or_opaque(serializer, input)?),
        })
    }

    fn sql_or_opaque(&mut self, serializer: &TypeSerializer, input: &mut Reader<'_>) -> Result<Value> {
        let no_end = |what: &str| {
            Error::incompatible(format!("the end of a value of {what} can only be found by its own program"))
                .at_offset(input.offset())
                .in_field("value")
        };
        match serializer {
            TypeSerializer::RowData { types, .. } => sql::row(self, types.iter(), &input.frame("row")?),
            TypeSerializer::ArrayData(element) => sql::array(self, element, &input.frame("array")?).map(Value::List),
            TypeSerializer::MapData(key, value) => sql::map(self, key, value, &input.frame("map")?),
            TypeSerializer::BinaryRowData { .. } => Ok(Value::opaque("BinaryRowData", input.bytes32("row")?)),
            TypeSerializer::RawValueData(inner) => {
                let frame = input.frame("raw value")?;
                Ok(Value::Opaque { class: inner.opaque_class(), bytes: frame.rest().to_vec() })
            }
            TypeSerializer::DecimalData { precision, scale } => sql::decimal(*precision, *scale, input),
            TypeSerializer::TimestampData { precision } => sql::timestamp(*precision, input),
            TypeSerializer::Kryo(kryo) => Err(no_end(&format!("{} (Kryo)", kryo.class))),
            TypeSerializer::UserValue { class } => Err(no_end(class)),
            TypeSerializer::Avro { class, .. } => Err(no_end(class.as_deref().unwrap_or("an Avro record"))),
            TypeSerializer::Opaque { reason } => Err(no_end(reason)),
            _ => Err(Error::internal("a serializer without a decoder")),
        }
    }

    fn simple<F: Form>(&mut self, simple: Simple, input: &mut Reader<'_>) -> Result<F> {
        Ok(match simple {
            Simple::Boolean | Simple::BooleanValue => F::leaf(input.bool("boolean")?, Value::Bool),
            Simple::Byte | Simple::ByteValue => F::leaf(input.u8("byte")?.cast_signed(), Value::Byte),
            Simple::Short | Simple::ShortValue => F::leaf(input.i16("short")?, Value::Short),
            Simple::Int | Simple::IntValue => F::leaf(input.i32("int")?, Value::Int),
            Simple::Long | Simple::LongValue => F::leaf(input.i64("long")?, Value::Long),
            Simple::Char | Simple::CharValue => F::leaf(input.u16("char")?, Value::Char),
            Simple::Float | Simple::FloatValue => F::leaf(f32::from_bits(input.u32("float")?), Value::Float),
            Simple::Double | Simple::DoubleValue => F::leaf(f64::from_bits(input.u64("double")?), Value::Double),
            Simple::String => string(input)?,
            Simple::StringValue => mutable_string(input)?,
            Simple::BigInt => F::or_null(big_integer(input)?, Value::BigInteger),
            Simple::BigDec => F::or_null(big_decimal(input)?, Value::BigDecimal),
            Simple::Date | Simple::SqlDate | Simple::SqlTime => match input.i64("date")? {
                i64::MIN => F::null(),
                millis => F::leaf(millis, Value::Date),
            },
            Simple::SqlTimestamp => match (input.i64("timestamp")?, input.i32("nanoseconds")?) {
                (i64::MIN, 0) => F::null(),
                moment => F::leaf(moment, |(millis, nanos)| Value::Timestamp { millis, nanos }),
            },
            Simple::Instant => match (input.i64("instant")?, input.i32("nanoseconds")?) {
                (i64::MIN, i32::MIN) => F::null(),
                moment => F::leaf(moment, |(seconds, nanos)| Value::Instant { seconds, nanos }),
            },
            Simple::LocalDate => F::or_null(LocalDate::read(input)?, Value::LocalDate),
            Simple::LocalTime => F::or_null(LocalTime::read(input)?, Value::LocalTime),
            Simple::LocalDateTime => {
                let start = input.clone();
                match (LocalDate::read(input)?, LocalTime::read(input)?) {
                    (Some(date), Some(time)) => F::leaf((date, time), |(date, time)| Value::LocalDateTime(date, time)),
                    (None, None) => F::null(),
                    _ => return Err(start.corrupt("date and time", "one of the two is null")),
                }
            }
            Simple::Void | Simple::VoidNamespace | Simple::DataView | Simple::ScalaUnit => {
                input.expect(&[0], "void")?;
                F::null()
            }
            Simple::NullValue => F::null(),
            Simple::TimeWindow | Simple::SqlTimeWindow => {
                let window = (input.i64("window start")?, input.i64("window end")?);
                F::leaf(window, |(start, end)| Value::Window { start, end })
            }
            Simple::SqlCountWindow => F::leaf(input.i64("count window")?, Value::Long),
            Simple::SortedLong => F::leaf(input.ordered_i64("long")?, Value::Long),
            Simple::EventId => {
                let id = F::leaf(input.i32("event number")?, Value::Int);
                F::tuple(vec![id, F::leaf(input.i64("event time")?, Value::Long)])
            }
            Simple::GlobalWindow | Simple::SqlGlobalWindow => {
                input.expect(&[0], "global window")?;
                F::leaf((), |()| Value::GlobalWindow)
            }
            Simple::Tuple0 => {
                input.expect(&[0x2A], "empty tuple")?;
                F::tuple(Vec::new())
            }
            other => return self.sequence(other, input),
        })
    }

    /// Arrays of primitives, and values that only have a length.
    fn sequence<F: Form>(&mut self, simple: Simple, input: &mut Reader<'_>) -> Result<F> {
        let (element, width) = match simple {
            Simple::ByteArray => return Ok(F::bytes(input.bytes32("byte array")?)),
            Simple::StringData => {
                let start = input.clone();
                let text = std::str::from_utf8(input.bytes32("string")?)
                    .map_err(|error| start.corrupt("string", "is not UTF-8").because(error))?;
                return Ok(F::text(text));
            }
            Simple::Bitmap => return Ok(F::opaque("org.apache.flink.types.bitmap.Bitmap", input.bytes32("bitmap")?)),
            Simple::Variant => return variant(input),
            Simple::JavaObject => {
                let start = input.position();
                java_object::skip(input)?;
                return Ok(F::opaque("java.io.Serializable", input.since(start)));
            }
            Simple::BooleanArray => (Simple::Boolean, 1),
            Simple::CharArray => (Simple::Char, 2),
            Simple::ShortArray => (Simple::Short, 2),
            Simple::IntArray | Simple::DeweyNumber => (Simple::Int, 4),
            Simple::LongArray => (Simple::Long, 8),
            Simple::FloatArray => (Simple::Float, 4),
            Simple::DoubleArray => (Simple::Double, 8),
            Simple::StringArray => (Simple::String, 1),
            other => return Err(Error::internal(format!("{} has no decoder", other.class()))),
        };
        let count = input.items(width, "array length")?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.simple(element, input)?);
        }
        Ok(F::list(elements))
    }

    fn list<F: Form>(&mut self, element: &Snapshot, input: &mut Reader<'_>) -> Result<Vec<F>> {
        let count = input.items(1, "number of elements")?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.value(&element.serializer, input)?);
        }
        Ok(elements)
    }

    /// Elements behind a flag that is 1 where there is one.
    fn present_flagged<F: Form>(&mut self, element: &Snapshot, input: &mut Reader<'_>) -> Result<Vec<F>> {
        let count = input.items(1, "number of elements")?;
        let mut elements = Vec::new();
        for _ in 0..count {
            let present = input.bool("element flag")?;
            elements.push(if present { self.value(&element.serializer, input)? } else { F::null() });
        }
        Ok(elements)
    }

    fn set<F: Form>(&mut self, element: &Snapshot, input: &mut Reader<'_>) -> Result<Vec<F>> {
        let count = input.items(1, "number of elements")?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.unless_null(element, input)?);
        }
        Ok(elements)
    }

    /// A value behind a flag that is 1 where there is none.
    fn unless_null<F: Form>(&mut self, value: &Snapshot, input: &mut Reader<'_>) -> Result<F> {
        if input.bool("null flag")? { Ok(F::null()) } else { self.value(&value.serializer, input) }
    }

    fn map<F: Form>(&mut self, key: &Snapshot, value: &Snapshot, input: &mut Reader<'_>) -> Result<F> {
        let count = input.items(1, "number of map entries")?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let key = self.value(&key.serializer, input)?;
            entries.push((key, self.unless_null(value, input)?));
        }
        Ok(F::map(entries))
    }

    fn union<F: Form>(&mut self, one: &Snapshot, two: &Snapshot, input: &mut Reader<'_>) -> Result<F> {
        let start = input.clone();
        match input.u8("number of the side")? {
            1 => Ok(F::left(self.value(&one.serializer, input)?)),
            2 => Ok(F::right(self.value(&two.serializer, input)?)),
            side => Err(start.corrupt("number of the side", format!("is {side}, expected 1 or 2"))),
        }
    }

    fn null_aware_map<F: Form>(&mut self, key: &Snapshot, value: &Snapshot, input: &mut Reader<'_>) -> Result<F> {
        let count = input.items(2, "number of map entries")?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let key = self.unless_null(key, input)?;
            entries.push((key, self.unless_null(value, input)?));
        }
        Ok(F::map(entries))
    }

    /// A record with or without a time, or a watermark, which are what operators keep; other events are not interpreted.
    fn stream_element<F: Form>(&mut self, element: &Snapshot, input: &mut Reader<'_>) -> Result<F> {
        let start = input.clone();
        let time = match input.u8("tag of a stream element")? {
            tag @ (RECORD_WITH_TIME | WATERMARK) => {
                let time = F::field(&STREAM.timestamp, F::leaf(input.i64("timestamp")?, Value::Long));
                if tag == WATERMARK {
                    return Ok(F::pojo(&STREAM.watermark, vec![time]));
                }
                time
            }
            RECORD => F::field(&STREAM.timestamp, F::null()),
            tag => {
                let message = format!("a stream element with tag {tag} can only be interpreted by its own program");
                return Err(Error::incompatible(message).at_offset(start.offset()).in_field("tag of a stream element"));
            }
        };
        let value = F::field(&STREAM.value, self.value(&element.serializer, input)?);
        Ok(F::pojo(&STREAM.record, vec![time, value]))
    }

    fn linked_list<F: Form>(&mut self, null_mask: bool, element: &Snapshot, input: &mut Reader<'_>) -> Result<F> {
        let start = input.clone();
        let count = input.non_negative("number of elements")?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let most = input.remaining().saturating_mul(if null_mask { 8 } else { 1 });
        if count > most {
            return Err(start.corrupt("number of elements", format!("is {count}, at most {most} can follow")));
        }
        let nulls = if null_mask { Some(Mask::read(count, input)?) } else { None };
        let mut elements = Vec::new();
        for index in 0..count {
            self.part(input)?;
            let null = nulls.as_ref().is_some_and(|mask| mask.get(index));
            elements.push(if null { F::null() } else { self.value(&element.serializer, input)? });
        }
        Ok(F::list(elements))
    }

    fn row<F: Form>(&mut self, with_kind: bool, fields: &[Snapshot], input: &mut Reader<'_>) -> Result<F> {
        let kind_bits = if with_kind { 2 } else { 0 };
        let mask = Mask::read(fields.len().saturating_add(kind_bits), input)?;
        let number = if with_kind { u8::from(mask.get(0)) | (u8::from(mask.get(1)) << 1) } else { 0 };
        let kind = RowKind::from_number(number).unwrap_or(RowKind::Insert);
        let mut values = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            self.part(input)?;
            let null = mask.get(index.saturating_add(kind_bits));
            values.push(if null { F::null() } else { self.value(&field.serializer, input)? });
        }
        Ok(F::row(kind, values))
    }

    fn nullable<F: Form>(&mut self, padding: usize, inner: &Snapshot, input: &mut Reader<'_>) -> Result<F> {
        if !input.bool("null flag")? {
            return self.value(&inner.serializer, input);
        }
        let start = input.clone();
        if input.raw(padding, "null padding")?.iter().any(|byte| *byte != 0) {
            return Err(start.corrupt("null padding", "is not all zero"));
        }
        Ok(F::null())
    }

    fn pojo<F: Form>(&mut self, pojo: &Pojo, input: &mut Reader<'_>) -> Result<F> {
        let start = input.clone();
        match input.u8("POJO flags")? {
            1 => Ok(F::null()),
            2 => self.pojo_fields(pojo, input),
            4 => {
                let class = input.utf("subclass")?;
                let found = pojo.unregistered.iter().chain(&pojo.registered).find(|subclass| subclass.class == class);
                self.subclass(found, &class, input)
            }
            8 => {
                let tag = input.u8("subclass tag")?;
                let found = pojo.registered.get(usize::from(tag));
                self.subclass(found, &format!("with tag {tag}"), input)
            }
            flags => Err(start.corrupt("POJO flags", format!("are {flags:#04x}, expected 1, 2, 4 or 8"))),
        }
    }

    fn pojo_fields<F: Form>(&mut self, pojo: &Pojo, input: &mut Reader<'_>) -> Result<F> {
        let mut fields = Vec::with_capacity(pojo.fields.len().min(input.remaining()));
        for field in &pojo.fields {
            let value = match (input.bool("null flag")?, &field.serializer) {
                (true, _) => F::null(),
                (false, Some(serializer)) => self.value(&serializer.serializer, input)?,
                (false, None) => {
                    let message = format!("field {} of {} has lost its serializer", field.name, pojo.class);
                    return Err(Error::incompatible(message).at_offset(input.offset()).in_field("POJO field"));
                }
            };
            fields.push(F::field(&field.name, value));
        }
        Ok(F::pojo(&pojo.class, fields))
    }

    fn subclass<F: Form>(&mut self, found: Option<&Subclass>, class: &str, input: &mut Reader<'_>) -> Result<F> {
        match found.and_then(|subclass| subclass.serializer.as_ref()) {
            Some(serializer) => self.value(&serializer.serializer, input),
            None => Err(Error::incompatible(format!("subclass {class} has no serializer in the snapshot"))
                .at_offset(input.offset())
                .in_field("subclass")),
        }
    }
}

/// Bits, most significant first (`MaskUtils`).
struct Mask<'a>(&'a [u8]);

impl<'a> Mask<'a> {
    fn read(bits: usize, input: &mut Reader<'a>) -> Result<Self> {
        let start = input.clone();
        let bytes = input.raw(bits.div_ceil(8), "null mask")?;
        let used = bits % 8;
        let padding = if used == 0 { 0 } else { 0xFF_u8 >> used };
        match bytes.last() {
            Some(last) if last & padding != 0 => Err(start.corrupt("null mask", "has bits behind its end")),
            _ => Ok(Mask(bytes)),
        }
    }

    fn get(&self, bit: usize) -> bool {
        self.0.get(bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0)
    }
}

fn enum_constant<F: Form>(constants: &[Arc<str>], input: &mut Reader<'_>) -> Result<F> {
    let start = input.clone();
    let index = input.i32("enum constant")?;
    let found = usize::try_from(index).ok().and_then(|index| constants.get(index));
    found.map(|name| F::leaf(name, |name| Value::Enum(name.clone()))).ok_or_else(|| {
        start.corrupt("enum constant", format!("is number {index}, the enum has {} constants", constants.len()))
    })
}

/// Text of a count of units that is known, each a variable-length number.
fn units<F: Form>(input: &mut Reader<'_>, units: usize) -> Result<F> {
    match ascii(input, units)? {
        Some(text) => Ok(F::text(text)),
        None => Ok(F::leaf(utf16_units(input, units, "string")?, Value::String)),
    }
}

fn string<F: Form>(input: &mut Reader<'_>) -> Result<F> {
    match input.strval_units("string")? {
        Some(count) => units(input, count),
        None => Ok(F::null()),
    }
}

/// `types.StringValue`: as a string, but the count is not one higher and there is no null.
fn mutable_string<F: Form>(input: &mut Reader<'_>) -> Result<F> {
    let count = input.length("string")?;
    units(input, count)
}

fn big_integer(input: &mut Reader<'_>) -> Result<Option<BigInteger>> {
    let start = input.clone();
    let length = match input.i32("big integer")? {
        0 => return Ok(None),
        1 => return Ok(Some(BigInteger::from(0))),
        2 => return Ok(Some(BigInteger::from(1))),
        3 => return Ok(Some(BigInteger::from(10))),
        n => usize::try_from(n).ok().and_then(|n| n.checked_sub(4)).filter(|n| (1..=input.remaining()).contains(n)),
    };
    let length = length.ok_or_else(|| start.corrupt("big integer", "has a length that cannot be"))?;
    Ok(Some(BigInteger::from_bytes(input.raw(length, "big integer")?)))
}

fn big_decimal(input: &mut Reader<'_>) -> Result<Option<BigDecimal>> {
    match big_integer(input)? {
        None => Ok(None),
        Some(unscaled) => Ok(Some(BigDecimal { unscaled, scale: input.i32("scale")? })),
    }
}

fn variant<F: Form>(input: &mut Reader<'_>) -> Result<F> {
    let start = input.position();
    let place = input.clone();
    let lengths = [input.non_negative("variant length")?, input.non_negative("variant metadata length")?];
    let total = lengths.iter().try_fold(0usize, |sum, length| sum.checked_add(usize::try_from(*length).ok()?));
    let total = total.ok_or_else(|| place.corrupt("variant length", "is too large"))?;
    input.raw(total, "variant")?;
    Ok(F::opaque("org.apache.flink.types.variant.Variant", input.since(start)))
}
