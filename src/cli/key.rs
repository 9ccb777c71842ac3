//! Keys as users write them.

use millpond::codec::Writer;
use millpond::serializer::{SerializerSnapshot, TimeWindow, Value};

/// Which entries a user asks for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Those of the key with this encoding.
    Encoded(Vec<u8>),
    /// Those whose key looks like this in JSON: for types that only the user's program can encode.
    Shown(serde_json::Value),
}

/// Reads a key according to the type of the stored keys: a string, number or boolean as it is, bytes in hexadecimal,
/// everything else as JSON.
pub(super) fn parse(text: &str, key: &SerializerSnapshot) -> Result<Wanted, String> {
    if is_encoded_by_user(key) {
        let shown = serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::from(text));
        return Ok(Wanted::Shown(shown));
    }
    let example = || format!("{text:?} is not a key of type {key}; write {}", how_to_write(key));
    let value = plain(text, key).or_else(|| from_json(&serde_json::from_str(text).ok()?, key)).ok_or_else(example)?;
    let mut out = Writer::new();
    value.write(key, &mut out).map_err(|_| example())?;
    Ok(Wanted::Encoded(out.into_bytes()))
}

fn is_encoded_by_user(key: &SerializerSnapshot) -> bool {
    use SerializerSnapshot as S;
    match key {
        S::Msgpack(_) | S::Custom { .. } | S::Unknown { .. } => true,
        S::Option(inner) | S::List(inner) => is_encoded_by_user(inner),
        S::Map(key, value) => is_encoded_by_user(key) || is_encoded_by_user(value),
        S::Tuple(fields) => fields.iter().any(is_encoded_by_user),
        _ => false,
    }
}

fn how_to_write(key: &SerializerSnapshot) -> &'static str {
    use SerializerSnapshot as S;
    match key {
        S::String => "the text as it is",
        S::Bool => "true or false",
        S::Bytes => "hexadecimal digits, such as 0a1b",
        S::Window => "JSON such as {\"start_ms\": 0, \"end_ms\": 1000}",
        S::Unit => "null",
        S::Tuple(_) | S::List(_) => "JSON such as [\"a\", 1]",
        S::Map(..) => "JSON such as {\"a\": 1} or [[1, 2], [3, 4]]",
        S::Option(_) => "JSON: null or the value",
        S::F32 | S::F64 => "a number",
        _ => "a whole number that fits",
    }
}

/// A key that is written without any quotes.
fn plain(text: &str, key: &SerializerSnapshot) -> Option<Value> {
    use SerializerSnapshot as S;
    match key {
        S::String => Some(Value::String(text.to_owned())),
        S::Bytes => hexadecimal(text).map(Value::Bytes),
        S::F32 => text.parse().ok().map(Value::F32),
        S::F64 => text.parse().ok().map(Value::F64),
        _ => None,
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.chunks(2).map(|pair| pair.iter().try_fold(0u8, |byte, next| Some(byte << 4 | digit(*next)?))).collect()
}

fn from_json(json: &serde_json::Value, key: &SerializerSnapshot) -> Option<Value> {
    use SerializerSnapshot as S;
    Some(match key {
        S::Unit => json.is_null().then_some(Value::Unit)?,
        S::Bool => Value::Bool(json.as_bool()?),
        S::U8 | S::U16 | S::U32 | S::U64 => Value::U64(json.as_u64()?),
        S::I8 | S::I16 | S::I32 | S::I64 => Value::I64(json.as_i64()?),
        S::F32 => Value::F32(json.to_string().parse().ok()?),
        S::F64 => Value::F64(json.as_f64()?),
        S::String => Value::String(json.as_str()?.to_owned()),
        S::Bytes => Value::Bytes(hexadecimal(json.as_str()?)?),
        S::Window => Value::Window(TimeWindow {
            start_ms: json.get("start_ms")?.as_i64()?,
            end_ms: json.get("end_ms")?.as_i64()?,
        }),
        S::Option(_) if json.is_null() => Value::Unit,
        S::Option(inner) => from_json(json, inner)?,
        S::List(element) => {
            Value::List(json.as_array()?.iter().map(|value| from_json(value, element)).collect::<Option<_>>()?)
        }
        S::Tuple(fields) => {
            let values = json.as_array().filter(|values| values.len() == fields.len())?;
            Value::Tuple(
                values.iter().zip(fields).map(|(value, field)| from_json(value, field)).collect::<Option<_>>()?,
            )
        }
        S::Map(key, value) => Value::Map(map_from_json(json, key, value)?),
        _ => return None,
    })
}

/// An object, or a list of pairs.
fn map_from_json(
    json: &serde_json::Value,
    key: &SerializerSnapshot,
    value: &SerializerSnapshot,
) -> Option<Vec<(Value, Value)>> {
    if let Some(object) = json.as_object() {
        let entry = |(name, content): (&String, &serde_json::Value)| {
            Some((from_json(&serde_json::Value::from(name.as_str()), key)?, from_json(content, value)?))
        };
        return object.iter().map(entry).collect();
    }
    let entry = |pair: &serde_json::Value| match pair.as_array().map(Vec::as_slice) {
        Some([left, right]) => Some((from_json(left, key)?, from_json(right, value)?)),
        _ => None,
    };
    json.as_array()?.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millpond::serializer::{Bytes, F64, I32, List, Map, Opt, Serializer, Str, Tuple2, U8, U64, Window};

    fn check<S: Serializer>(text: &str, serializer: S, value: &S::Value) {
        let mut expected = Writer::new();
        serializer.write(value, &mut expected).unwrap();
        match parse(text, &serializer.snapshot()) {
            Ok(Wanted::Encoded(found)) => assert_eq!(found, expected.as_slice(), "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn keys_are_written_as_their_type_suggests() {
        check("N14228", Str, &"N14228".to_owned());
        check("7", Str, &"7".to_owned());
        check("\"quoted\"", Str, &"\"quoted\"".to_owned());
        check("18446744073709551615", U64, &u64::MAX);
        check("-7", I32, &-7);
        check("0.5", F64, &0.5);
        check("0x0aFF", Bytes, &vec![0x0A, 0xFF]);
        check("[\"JFK\", 9]", Tuple2(Str, U8), &("JFK".to_owned(), 9));
        check("[null, 3]", List::new(Opt::new(U8)), &vec![None, Some(3)]);
        check("{\"b\": 1, \"a\": 2}", Map::new(Str, U8), &[("a".to_owned(), 2), ("b".to_owned(), 1)].into());
        check("{\"start_ms\": -1, \"end_ms\": 5}", Window, &TimeWindow { start_ms: -1, end_ms: 5 });
    }

    #[test]
    fn a_key_of_another_type_is_refused_with_an_example() {
        for (text, key) in
            [("x", SerializerSnapshot::U64), ("256", SerializerSnapshot::U8), ("abc", SerializerSnapshot::Bytes)]
        {
            let message = parse(text, &key).unwrap_err();
            assert!(
                message.contains(text) && message.contains(&key.to_string()) && message.contains("write"),
                "{message}"
            );
        }
    }
}
