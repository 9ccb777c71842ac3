use super::Contents;
use crate::error::Result;
use crate::format::flink::primitive::Primitives;

macro_rules! simple {
    ($($(#[$doc:meta])* $name:ident = $class:literal, $length:expr;)*) => {
        /// A serializer without parameters (`SimpleTypeSerializerSnapshot`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Simple {
            $($(#[$doc])* $name,)*
        }

        impl Simple {
            /// Every simple serializer.
            pub const ALL: &[Simple] = &[$(Simple::$name),*];

            /// Class name of the serializer.
            pub const fn class(self) -> &'static str {
                match self {
                    $(Simple::$name => $class,)*
                }
            }

            /// Declared length of an encoding in bytes, `None` where it varies.
            pub const fn declared_length(self) -> Option<usize> {
                match self {
                    $(Simple::$name => $length,)*
                }
            }

            fn of_class(class: &str) -> Option<Self> {
                match class {
                    $($class => Some(Simple::$name),)*
                    _ => None,
                }
            }
        }
    };
}

simple! {
    /// `boolean`.
    Boolean = "org.apache.flink.api.common.typeutils.base.BooleanSerializer", Some(1);
    /// `byte`.
    Byte = "org.apache.flink.api.common.typeutils.base.ByteSerializer", Some(1);
    /// `short`.
    Short = "org.apache.flink.api.common.typeutils.base.ShortSerializer", Some(2);
    /// `int`.
    Int = "org.apache.flink.api.common.typeutils.base.IntSerializer", Some(4);
    /// `long`.
    Long = "org.apache.flink.api.common.typeutils.base.LongSerializer", Some(8);
    /// `char`, one UTF-16 unit.
    Char = "org.apache.flink.api.common.typeutils.base.CharSerializer", Some(2);
    /// `float`.
    Float = "org.apache.flink.api.common.typeutils.base.FloatSerializer", Some(4);
    /// `double`.
    Double = "org.apache.flink.api.common.typeutils.base.DoubleSerializer", Some(8);
    /// `String`, can be null.
    String = "org.apache.flink.api.common.typeutils.base.StringSerializer", None;
    /// `BigInteger`, can be null.
    BigInt = "org.apache.flink.api.common.typeutils.base.BigIntSerializer", None;
    /// `BigDecimal`, can be null.
    BigDec = "org.apache.flink.api.common.typeutils.base.BigDecSerializer", None;
    /// `java.util.Date`, can be null.
    Date = "org.apache.flink.api.common.typeutils.base.DateSerializer", Some(8);
    /// `java.sql.Date`, can be null.
    SqlDate = "org.apache.flink.api.common.typeutils.base.SqlDateSerializer", Some(8);
    /// `java.sql.Time`, can be null.
    SqlTime = "org.apache.flink.api.common.typeutils.base.SqlTimeSerializer", Some(8);
    /// `java.sql.Timestamp`, can be null.
    SqlTimestamp = "org.apache.flink.api.common.typeutils.base.SqlTimestampSerializer", Some(12);
    /// `Instant`, can be null.
    Instant = "org.apache.flink.api.common.typeutils.base.InstantSerializer", Some(12);
    /// `LocalDate`, can be null.
    LocalDate = "org.apache.flink.api.common.typeutils.base.LocalDateSerializer", Some(6);
    /// `LocalTime`, can be null.
    LocalTime = "org.apache.flink.api.common.typeutils.base.LocalTimeSerializer", Some(7);
    /// `LocalDateTime`, can be null.
    LocalDateTime = "org.apache.flink.api.common.typeutils.base.LocalDateTimeSerializer", Some(13);
    /// `Void`: null.
    Void = "org.apache.flink.api.common.typeutils.base.VoidSerializer", Some(1);
    /// Flink's mutable boolean.
    BooleanValue = "org.apache.flink.api.common.typeutils.base.BooleanValueSerializer", Some(1);
    /// Flink's mutable byte.
    ByteValue = "org.apache.flink.api.common.typeutils.base.ByteValueSerializer", Some(1);
    /// Flink's mutable char.
    CharValue = "org.apache.flink.api.common.typeutils.base.CharValueSerializer", Some(2);
    /// Flink's mutable short.
    ShortValue = "org.apache.flink.api.common.typeutils.base.ShortValueSerializer", Some(2);
    /// Flink's mutable int.
    IntValue = "org.apache.flink.api.common.typeutils.base.IntValueSerializer", Some(4);
    /// Flink's mutable long.
    LongValue = "org.apache.flink.api.common.typeutils.base.LongValueSerializer", Some(8);
    /// Flink's mutable float.
    FloatValue = "org.apache.flink.api.common.typeutils.base.FloatValueSerializer", Some(4);
    /// Flink's mutable double.
    DoubleValue = "org.apache.flink.api.common.typeutils.base.DoubleValueSerializer", Some(8);
    /// Flink's mutable string, encoded unlike `String`.
    StringValue = "org.apache.flink.api.common.typeutils.base.StringValueSerializer", None;
    /// Flink's null, which takes no bytes.
    NullValue = "org.apache.flink.api.common.typeutils.base.NullValueSerializer", Some(0);
    /// Semi-structured data; not interpreted.
    Variant = "org.apache.flink.api.common.typeutils.base.VariantSerializer", None;
    /// A roaring bitmap; not interpreted.
    Bitmap = "org.apache.flink.api.common.typeutils.base.BitmapSerializer", None;
    /// `boolean[]`.
    BooleanArray = "org.apache.flink.api.common.typeutils.base.array.BooleanPrimitiveArraySerializer", None;
    /// `byte[]`.
    ByteArray = "org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer", None;
    /// `char[]`.
    CharArray = "org.apache.flink.api.common.typeutils.base.array.CharPrimitiveArraySerializer", None;
    /// `short[]`.
    ShortArray = "org.apache.flink.api.common.typeutils.base.array.ShortPrimitiveArraySerializer", None;
    /// `int[]`.
    IntArray = "org.apache.flink.api.common.typeutils.base.array.IntPrimitiveArraySerializer", None;
    /// `long[]`.
    LongArray = "org.apache.flink.api.common.typeutils.base.array.LongPrimitiveArraySerializer", None;
    /// `float[]`.
    FloatArray = "org.apache.flink.api.common.typeutils.base.array.FloatPrimitiveArraySerializer", None;
    /// `double[]`.
    DoubleArray = "org.apache.flink.api.common.typeutils.base.array.DoublePrimitiveArraySerializer", None;
    /// `String[]`.
    StringArray = "org.apache.flink.api.common.typeutils.base.array.StringArraySerializer", None;
    /// A tuple without fields.
    Tuple0 = "org.apache.flink.api.java.typeutils.runtime.Tuple0Serializer", Some(1);
    /// No namespace; declares length 0 and takes one byte.
    VoidNamespace = "org.apache.flink.runtime.state.VoidNamespaceSerializer", Some(0);
    /// A window from a start to an end.
    TimeWindow = "org.apache.flink.streaming.api.windowing.windows.TimeWindow$Serializer", Some(16);
    /// The window that holds everything.
    GlobalWindow = "org.apache.flink.streaming.api.windowing.windows.GlobalWindow$Serializer", Some(1);
    /// UTF-8 text of the SQL runtime.
    StringData = "org.apache.flink.table.runtime.typeutils.StringDataSerializer", None;
    /// Placeholder of a data view, whose entries are in a state of their own: null, one byte.
    DataView = "org.apache.flink.table.dataview.NullSerializer", Some(0);
    /// A window of the SQL runtime from a start to an end.
    SqlTimeWindow = "org.apache.flink.table.runtime.operators.window.TimeWindow$Serializer", Some(16);
    /// A window of the SQL runtime that holds a number of rows: its number.
    SqlCountWindow = "org.apache.flink.table.runtime.operators.window.CountWindow$Serializer", Some(8);
    /// The window of the SQL runtime that holds everything.
    SqlGlobalWindow = "org.apache.flink.table.runtime.operators.window.GlobalWindow$Serializer", Some(1);
    /// `long`, stored so that the order of the bytes is that of the numbers.
    SortedLong = "org.apache.flink.table.runtime.operators.sink.SortedLongSerializer", Some(8);
    /// Version of a run of pattern matching: `int`s.
    DeweyNumber = "org.apache.flink.cep.nfa.DeweyNumber$DeweyNumberSerializer", None;
    /// Event in the buffer of pattern matching: its number and its time.
    EventId = "org.apache.flink.cep.nfa.sharedbuffer.EventId$EventIdSerializer", Some(12);
    /// Scala's `Unit`.
    ScalaUnit = "org.apache.flink.api.scala.typeutils.UnitSerializer", Some(1);
    /// A Java object stream; not interpreted.
    JavaObject = "org.apache.flink.runtime.state.JavaSerializer", None;
}

impl Simple {
    /// The serializer that a snapshot class belongs to: the snapshot is a nested class named after the serializer.
    pub(super) fn of_snapshot(class: &str) -> Option<Self> {
        match class {
            "org.apache.flink.api.java.typeutils.runtime.Tuple0SerializerSnapshot" => return Some(Simple::Tuple0),
            // Scala's serializers moved when their API ended.
            "org.apache.flink.table.api.typeutils.UnitSerializer$UnitSerializerSnapshot" => {
                return Some(Simple::ScalaUnit);
            }
            _ => {}
        }
        let (serializer, nested) = class.rsplit_once('$')?;
        let found = Simple::of_class(serializer)?;
        (nested == found.nested_name()).then_some(found)
    }

    /// Name of the snapshot class inside the serializer's. Serializers that are all called `Serializer` give it the name of
    /// the class that they are in.
    pub(super) fn nested_name(self) -> String {
        let mut names = self.class().rsplit(['.', '$']);
        match (names.next().unwrap_or_default(), names.next()) {
            ("Serializer", Some(outer)) => format!("{outer}SerializerSnapshot"),
            (name, _) => format!("{name}Snapshot"),
        }
    }
}

impl Contents<'_, '_> {
    /// The contents of a simple snapshot: nothing, or in version 2 a class name.
    pub(super) fn simple(&mut self) -> Result<()> {
        self.only_version(2..=3)?;
        if self.version == 2 {
            self.input.utf("serializer class")?;
        }
        Ok(())
    }
}
