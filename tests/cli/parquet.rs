//! Reading Parquet files with the crate's own reader, and comparing a row with an entry as JSON.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use parquet::basic::{LogicalType, Type as Physical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

/// A file that was read.
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    schema: Type,
    /// Names of the columns that hold JSON.
    pub(super) json: BTreeSet<String>,
    metadata: Vec<(String, String)>,
    pub(super) row_groups: usize,
}

impl Table {
    pub(super) fn read(path: &Path) -> Self {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let file = reader.metadata().file_metadata();
        let pairs = file.key_value_metadata().into_iter().flatten();
        let metadata: Vec<_> = pairs.map(|pair| (pair.key.clone(), pair.value.clone().unwrap())).collect();
        let mut table = Table {
            rows: Vec::new(),
            schema: file.schema().clone(),
            json: BTreeSet::new(),
            metadata,
            row_groups: reader.num_row_groups(),
        };
        let json: Vec<Value> = serde_json::from_str(table.metadata("json")).unwrap();
        table.json = json.iter().map(|column| column["column"].as_str().unwrap().to_owned()).collect();
        // Reading by rows needs a column, which a file always has.
        table.rows = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        table
    }

    pub(super) fn metadata(&self, name: &str) -> &str {
        let name = format!("millpond.{name}");
        &self.metadata.iter().find(|(key, _)| *key == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    /// The schema as text.
    pub(super) fn schema(&self) -> String {
        let mut text = Vec::new();
        parquet::schema::printer::print_schema(&mut text, &self.schema);
        String::from_utf8(text).unwrap()
    }

    /// Panics unless the rows are these entries, lines of `export --to jsonl`.
    pub(super) fn check(&self, entries: &[Value], context: &str) {
        assert_eq!(self.rows.len(), entries.len(), "{context}");
        for (row, entry) in self.rows.iter().zip(entries) {
            let mut entry = parts(entry);
            for (position, (name, field)) in row.get_column_iter().enumerate() {
                let stored = &self.schema.get_fields()[position];
                let expected = entry.remove(name).unwrap_or(Value::Null);
                let fits = self.is(field, stored, &expected, name);
                assert!(fits, "{context}: {name} is {field}, expected {expected}\n{}", self.schema());
            }
            assert!(entry.is_empty(), "{context}: no columns for {entry:?}");
        }
    }

    /// Whether a cell says what the JSON does.
    fn is(&self, field: &Field, stored: &Type, json: &Value, path: &str) -> bool {
        let nested = |field: &Field, child: &Type, json: &Value| {
            self.is(field, child, json, &format!("{path}.{}", child.name()))
        };
        match (field, json) {
            _ if self.json.contains(path) => match field {
                Field::Null => json.is_null(),
                Field::Str(text) => serde_json::from_str::<Value>(text).unwrap() == *json,
                _ => false,
            },
            (Field::Null, json) => json.is_null(),
            (Field::Group(row), json) => group(row, stored, json, &nested),
            (Field::ListInternal(list), Value::Array(values)) => {
                let (repeated, element) = (&stored.get_fields()[0], &stored.get_fields()[0].get_fields()[0]);
                let path = format!("{path}.{}.{}", repeated.name(), element.name());
                let found = list.elements();
                found.len() == values.len()
                    && found.iter().zip(values).all(|(field, value)| self.is(field, element, value, &path))
            }
            (Field::MapInternal(map), json) => {
                let expected: Vec<(Value, &Value)> = match json {
                    Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone().into(), value)).collect(),
                    Value::Array(pairs) => pairs.iter().map(|pair| (pair[0].clone(), &pair[1])).collect(),
                    _ => return false,
                };
                let entry = &stored.get_fields()[0];
                let path = format!("{path}.{}", entry.name());
                let types = entry.get_fields();
                // JSON's objects have no order.
                let mut found: Vec<_> = map.entries().iter().collect();
                if json.is_object() {
                    found.sort_by_key(|(key, _)| match key {
                        Field::Str(text) if self.json.contains(&format!("{path}.key")) => {
                            serde_json::from_str(text).unwrap()
                        }
                        Field::Str(text) => text.clone(),
                        other => panic!("{other} is no text"),
                    });
                }
                found.len() == expected.len()
                    && found.iter().zip(&expected).all(|(found, (key, value))| {
                        self.is(&found.0, &types[0], key, &format!("{path}.key"))
                            && self.is(&found.1, &types[1], value, &format!("{path}.value"))
                    })
            }
            (field, json) => leaf(field, stored, json),
        }
    }
}

/// The parts of an entry by the names of their columns.
fn parts(entry: &Value) -> Map<String, Value> {
    let mut parts = entry.as_object().unwrap().clone();
    for name in ["operator", "state", "kind"] {
        parts.remove(name).unwrap();
    }
    if let Some(timer) = parts.remove("timer") {
        parts.insert("timer_domain".to_owned(), timer["domain"].clone());
        parts.insert("timer_at_ms".to_owned(), timer["at_ms"].clone());
    }
    if entry["kind"] != "list"
        && let Some(stamps) = parts.get_mut("touched_ms")
    {
        *stamps = stamps[0].take();
    }
    parts
}

fn group(row: &Row, stored: &Type, json: &Value, nested: &dyn Fn(&Field, &Type, &Value) -> bool) -> bool {
    let fields: Vec<(&String, &Field)> = row.get_column_iter().collect();
    let types = stored.get_fields();
    let all = |expected: &[Value], from: usize| {
        expected.len() + from == fields.len()
            && expected.iter().zip(from..).all(|(json, at)| nested(fields[at].1, &types[at], json))
    };
    match (fields[0], json) {
        ((name, Field::Str(kind)), Value::Object(parts)) if name == "row_kind" && parts.contains_key("row_kind") => {
            parts["row_kind"] == kind.as_str() && all(parts["fields"].as_array().unwrap(), 1)
        }
        ((name, Field::Str(variant)), Value::String(json)) if name == "variant" => {
            variant == json && fields[1..].iter().all(|(_, field)| matches!(field, Field::Null))
        }
        ((name, Field::Str(variant)), Value::Object(parts)) if name == "variant" && !parts.contains_key("variant") => {
            let [(json_name, content)] = parts.iter().collect::<Vec<_>>()[..] else { return false };
            // The name may be another one of the same variant.
            let mut there = fields[1..].iter().zip(&types[1..]).filter(|((_, field), _)| !matches!(field, Field::Null));
            let fits = match there.next() {
                Some(((_, field), stored)) => nested(field, stored, content),
                None => content.is_null(),
            };
            json_name == variant && fits && there.next().is_none()
        }
        (_, Value::Array(values)) => all(values, 0),
        (_, Value::Object(parts)) => {
            parts.keys().all(|name| fields.iter().any(|(field, _)| *field == name))
                && fields
                    .iter()
                    .zip(types)
                    .all(|((name, field), stored)| nested(field, stored, parts.get(*name).unwrap_or(&Value::Null)))
        }
        _ => false,
    }
}

fn leaf(field: &Field, stored: &Type, json: &Value) -> bool {
    let logical = stored.get_basic_info().logical_type_ref();
    let number = |number: i128| json.as_i64().map(i128::from).or_else(|| json.as_u64().map(i128::from)) == Some(number);
    // Both are read from text by the same reader, which may be off by the last bit.
    let float = |shown: String| match json {
        Value::String(text) => *text == shown,
        json => serde_json::from_str::<Value>(&shown).ok().and_then(|shown| shown.as_f64()) == json.as_f64(),
    };
    match field {
        Field::Bool(value) => *json == *value,
        Field::Byte(value) => number((*value).into()),
        Field::Short(value) => number((*value).into()),
        Field::Int(value) => number((*value).into()),
        Field::UByte(value) => number((*value).into()),
        Field::UShort(value) => number((*value).into()),
        Field::UInt(value) => number((*value).into()),
        Field::ULong(value) => number((*value).into()),
        Field::Long(value) => match logical {
            Some(LogicalType::Timestamp(_)) => moment(json) == Some(i128::from(*value)),
            Some(LogicalType::Time(_)) => time_of_day(json.as_str().unwrap()) == i128::from(*value),
            _ => number((*value).into()),
        },
        Field::Float(value) if value.is_finite() => float(serde_json::to_string(value).unwrap()),
        Field::Double(value) if value.is_finite() => {
            // A narrow number in a wide column is the same, and shown with fewer digits.
            let narrow = *value as f32;
            let is_narrow = f64::from(narrow) == *value && float(serde_json::to_string(&narrow).unwrap());
            is_narrow || float(serde_json::to_string(value).unwrap())
        }
        Field::Float(value) => float(value.to_string()),
        Field::Double(value) => float(value.to_string()),
        Field::Str(text) => *json == text.as_str(),
        Field::Bytes(bytes) => {
            let hex: String = bytes.data().iter().map(|byte| format!("{byte:02x}")).collect();
            json["bytes"] == hex.as_str() || *json == hex.as_str()
        }
        Field::Date(days) => match json {
            Value::String(text) => date(text) == i128::from(*days),
            json => *json == *days,
        },
        Field::TimeMillis(millis) => *json == *millis,
        Field::TimestampMillis(millis) => moment(json) == Some(i128::from(*millis) * 1_000_000),
        Field::TimestampMicros(micros) => moment(json) == Some(i128::from(*micros) * 1000),
        Field::Decimal(decimal) => {
            assert_eq!(stored.get_physical_type(), Physical::FIXED_LEN_BYTE_ARRAY);
            let unscaled = i128::from_be_bytes(decimal.data().try_into().unwrap());
            let text = json.as_str().unwrap();
            let digits: String = text.chars().filter(|c| *c != '.').collect();
            let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            digits.parse() == Ok(unscaled) && decimal.scale() == scale as i32
        }
        other => panic!("{other} has no counterpart"),
    }
}

/// Nanoseconds since 1970 of a moment as the tool shows it.
fn moment(json: &Value) -> Option<i128> {
    let part = |name: &str| json[name].as_i64().map(i128::from);
    match json {
        Value::Number(millis) => Some(i128::from(millis.as_i64()?) * 1_000_000),
        Value::String(text) => {
            let (day, time) = text.split_once('T')?;
            Some(date(day) * 86_400_000_000_000 + time_of_day(time))
        }
        _ => match (part("seconds"), part("millis"), part("nanos")?) {
            (Some(seconds), _, nanos) => Some(seconds * 1_000_000_000 + nanos),
            // Nanoseconds of the second contain the milliseconds.
            (_, Some(millis), nanos) if nanos >= 1_000_000 => Some(millis.div_euclid(1000) * 1_000_000_000 + nanos),
            (_, Some(millis), nanos) => Some(millis * 1_000_000 + nanos),
            _ => None,
        },
    }
}

/// Days since 1970, counted one by one from the nearest year that begins a cycle.
fn date(text: &str) -> i128 {
    let mut parts = text.rsplitn(3, '-').map(|part| part.parse::<i128>().unwrap());
    let (day, month, year) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let is_leap = |year: i128| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let cycles = (year - 1600).div_euclid(400);
    let mut days = cycles * 146_097 - 135_140;
    days += (1600 + cycles * 400..year).map(|year| 365 + i128::from(is_leap(year))).sum::<i128>();
    let lengths = [31, 28 + i128::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    days + lengths[..month as usize - 1].iter().sum::<i128>() + day - 1
}

fn time_of_day(text: &str) -> i128 {
    let (clock, nanos) = text.split_once('.').unwrap();
    let seconds = clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i128>().unwrap());
    seconds * 1_000_000_000 + nanos.parse::<i128>().unwrap()
}
