//! The canonical text in which the ground truth shows values.

use std::fmt::Write;

use millpond::format::flink::value::{LocalDate, LocalTime};
use millpond::format::flink::{Content, JavaString, KeyedEntry, Value};

/// One line of ground truth for an entry of keyed state.
pub(crate) fn entry(entry: &KeyedEntry, key_group: u16) -> String {
    let (key, namespace) = (value(&entry.key), value(&entry.namespace));
    let content = match &entry.content {
        Content::Value(content) => format!("\"v\":{}", value(content)),
        Content::MapEntry { user_key, value: user_value } => {
            format!("\"mk\":{},\"v\":{}", value(user_key), value(user_value))
        }
        Content::Map(_) => panic!("a map that was not taken apart"),
        Content::Timer { timestamp } => format!("\"ts\":{timestamp}"),
    };
    format!("{{\"k\":{key},\"kg\":{key_group},\"ns\":{namespace},{content}}}")
}

/// A value.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Byte(value) => value.to_string(),
        Value::Short(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Char(unit) => format!("{{\"$char\":{unit}}}"),
        Value::Float(value) => format!("{{\"$f32\":\"{:08x}\"}}", value.to_bits()),
        Value::Double(value) => format!("{{\"$f64\":\"{:016x}\"}}", value.to_bits()),
        Value::String(text) => string(text),
        Value::Bytes(bytes) => format!("{{\"$bytes\":\"{}\"}}", hex(bytes)),
        Value::BigInteger(number) => format!("{{\"$bigint\":\"{number}\"}}"),
        Value::BigDecimal(number) => format!("{{\"$bigdec\":[\"{}\",{}]}}", number.unscaled, number.scale),
        Value::Timestamp { millis, nanos } if nanos % 1_000_000 != 0 => {
            format!("{{\"$millis\":{millis},\"n\":{nanos}}}")
        }
        Value::Date(millis) | Value::Timestamp { millis, .. } => format!("{{\"$millis\":{millis}}}"),
        Value::Instant { seconds, nanos } => format!("{{\"$instant\":[{seconds},{nanos}]}}"),
        Value::LocalDate(day) => format!("{{\"$date\":[{}]}}", date(day)),
        Value::LocalTime(time_of_day) => format!("{{\"$time\":[{}]}}", time(time_of_day)),
        Value::LocalDateTime(day, time_of_day) => format!("{{\"$datetime\":[{},{}]}}", date(day), time(time_of_day)),
        Value::TimestampData { millis, nanos } => format!("{{\"$ts\":[{millis},{nanos}]}}"),
        Value::List(elements) | Value::Set(elements) => list(elements),
        Value::Map(entries) => map(entries),
        Value::Tuple(fields) => format!("{{\"$tuple\":{}}}", list(fields)),
        Value::Row { kind, fields } => format!("{{\"$row\":\"{}\",\"f\":{}}}", kind.symbol(), list(fields)),
        Value::RowData { kind, fields } => {
            format!("{{\"$rowdata\":\"{}\",\"f\":{}}}", kind.symbol(), list_of_sql(fields))
        }
        Value::Pojo { class, fields } => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|left, right| left.0.cmp(&right.0));
            let fields: Vec<String> =
                fields.iter().map(|(name, field)| format!("\"{name}\":{}", self::value(field))).collect();
            format!("{{\"$pojo\":\"{class}\",\"f\":{{{}}}}}", fields.join(","))
        }
        Value::Enum(name) => format!("{{\"$enum\":\"{name}\"}}"),
        Value::Left(value) => format!("{{\"$left\":{}}}", self::value(value)),
        Value::Right(value) => format!("{{\"$right\":{}}}", self::value(value)),
        Value::Window { start, end } => format!("{{\"$window\":[{start},{end}]}}"),
        Value::GlobalWindow => "{\"$global\":true}".to_owned(),
        Value::Timed { last_access, value } => format!("{{\"$ttl\":{last_access},\"v\":{}}}", self::value(value)),
        Value::Opaque { class, .. } => format!("{{\"$kryo\":\"{class}\"}}"),
        other => panic!("no text for {other:?}"),
    }
}

/// Key-value pairs as arrays, sorted by text.
pub(crate) fn pairs(entries: &[(Value, Value)]) -> String {
    let mut texts: Vec<String> =
        entries.iter().map(|(key, entry)| format!("[{},{}]", value(key), value(entry))).collect();
    texts.sort_unstable();
    format!("[{}]", texts.join(","))
}

fn map(entries: &[(Value, Value)]) -> String {
    format!("{{\"$map\":{}}}", pairs(entries))
}

fn list(elements: &[Value]) -> String {
    let texts: Vec<String> = elements.iter().map(value).collect();
    format!("[{}]", texts.join(","))
}

/// Fields of a SQL row, where the ground truth shows opaque values as placeholders.
fn list_of_sql(elements: &[Value]) -> String {
    let text = |element: &Value| match element {
        Value::Opaque { .. } => "{\"$raw\":true}".to_owned(),
        element => value(element),
    };
    let texts: Vec<String> = elements.iter().map(text).collect();
    format!("[{}]", texts.join(","))
}

fn date(date: &LocalDate) -> String {
    format!("{},{},{}", date.year, date.month, date.day)
}

fn time(time: &LocalTime) -> String {
    format!("{},{},{},{}", time.hour, time.minute, time.second, time.nanos)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn string(text: &JavaString) -> String {
    let text = match text {
        JavaString::Text(text) => text,
        JavaString::Units(units) => {
            let units: String = units.iter().map(|unit| format!("{unit:04x}")).collect();
            return format!("{{\"$utf16\":\"{units}\"}}");
        }
    };
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            control if control < ' ' => write!(quoted, "\\u{:04x}", u32::from(control)).unwrap(),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
