//! What the vectors contain, as JSON.

use millpond::codec::Reader;
use millpond::format::FormatId;
use millpond::format::manifest::{
    KeyGroupAssignment, KeyedHandle, Manifest, ObjectRef, OperatorSnapshot, OperatorStateContent, SubtaskSnapshot,
};
use millpond::format::native_rocksdb::Identity;
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::schema::{EVENT_TIME, Schema, Stamped};
use millpond::format::section::{Owner, SectionId, StateTotals};
use millpond::serializer::{SerializerSnapshot, Value as Decoded};
use serde_json::{Map, Value, json};

use super::sections::{Contents, StateContents};

pub(super) fn manifest(manifest: &Manifest) -> Value {
    let Manifest { job, checkpoint, kind, created_ms, writer, operators } = manifest;
    json!({
        "job": job.to_string(),
        "checkpoint": checkpoint.0,
        "kind": kind.name(),
        "created_ms": created_ms,
        "writer": writer,
        "operators": operators.iter().map(operator).collect::<Vec<_>>(),
    })
}

fn operator(operator: &OperatorSnapshot) -> Value {
    let OperatorSnapshot { id, uid, parallelism, max_parallelism, assignment, key, states, subtasks } = operator;
    json!({
        "id": id.to_string(),
        "uid": uid,
        "parallelism": parallelism.get(),
        "max_parallelism": max_parallelism.get(),
        "assignment": match assignment {
            KeyGroupAssignment::Flink(java) => format!("flink, by {java}"),
            other => other.name().to_owned(),
        },
        "key": key.as_ref().map(ToString::to_string),
        "states": states.iter().map(state).collect::<Vec<_>>(),
        "subtasks": subtasks.iter().map(subtask).collect::<Vec<_>>(),
    })
}

fn state(state: &StateMeta) -> Value {
    let StateMeta { name, kind, namespace, user_key, value, timed } = state;
    json!({
        "name": name,
        "kind": kind.name(),
        "namespace": namespace.to_string(),
        "user_key": user_key.to_string(),
        "value": value.to_string(),
        "timed": timed,
    })
}

fn subtask(subtask: &SubtaskSnapshot) -> Value {
    let SubtaskSnapshot { index, finished, keyed: handle, operator } = subtask;
    json!({
        "index": index.0,
        "finished": finished,
        "keyed": handle.as_deref().map(keyed),
        "operator": operator.as_ref().map(|operator| match &operator.content {
            OperatorStateContent::Inline(section) => json!({ "inline": hex(section), "states": totals(&operator.states) }),
            OperatorStateContent::Object(found) => json!({ "object": object(found), "states": totals(&operator.states) }),
        }),
    })
}

fn keyed(handle: &KeyedHandle) -> Value {
    let KeyedHandle { format, range, assignment: _, objects, sections, files, states } = handle;
    let section = |section: &millpond::format::manifest::SectionRef| {
        json!({
            "key_group": section.group.0,
            "object": section.object,
            "offset": section.offset,
            "length": section.length,
            "checksum": format!("{:016x}", section.checksum),
            "entries": section.entries,
        })
    };
    if *format == FormatId::NativeRocksDb {
        return json!({
            "format": format.name(),
            "key_groups": [range.first().0, range.last().0],
            "files": files.iter().map(ToString::to_string).zip(objects.iter().map(object)).collect::<Map<_, _>>(),
            "states": totals(states),
        });
    }
    json!({
        "format": format.name(),
        "key_groups": [range.first().0, range.last().0],
        "objects": objects.iter().map(object).collect::<Vec<_>>(),
        "sections": sections.iter().map(section).collect::<Vec<_>>(),
        "states": totals(states),
    })
}

pub(super) fn identity(identity: &Identity) -> Value {
    let Identity { operator, max_parallelism } = identity;
    json!({ "operator": operator.to_string(), "max_parallelism": max_parallelism.get() })
}

fn object(object: &ObjectRef) -> Value {
    let ObjectRef { scope, name, length, digest } = object;
    json!({ "scope": scope.name(), "name": name, "length": length, "digest": digest.to_string() })
}

fn totals(totals: &[StateTotals]) -> Value {
    totals
        .iter()
        .map(|StateTotals { name, entries, bytes }| json!({ "name": **name, "entries": entries, "bytes": bytes }))
        .collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn section(id: SectionId, contents: &Contents, key: &SerializerSnapshot, states: &[StateMeta]) -> Value {
    let owner = match id.owner {
        Owner::KeyGroup(group) => json!({ "key_group": group.0 }),
        Owner::Subtask(index) => json!({ "subtask": index.0 }),
    };
    let described = |(name, pairs): &StateContents| {
        let meta = states.iter().find(|state| state.name == *name).unwrap();
        let schema = Schema { key, state: meta };
        let mut described = state(meta);
        described["entries"] = pairs.iter().map(|(key, value)| entry(schema, key, value)).collect();
        described
    };
    json!({
        "format": id.format.name(),
        "operator": id.operator.to_string(),
        "owner": owner,
        "key": if id.format == FormatId::Operator { Value::Null } else { json!(key.to_string()) },
        "states": contents.iter().map(described).collect::<Vec<_>>(),
    })
}

fn entry(schema: Schema<'_>, key: &[u8], value: &[u8]) -> Value {
    let parts = schema.split_key(key).unwrap();
    let mut entry = Map::new();
    if let Some((domain, timestamp)) = parts.timer {
        entry.insert("domain".to_owned(), json!(if domain == EVENT_TIME { "event" } else { "processing" }));
        entry.insert("timestamp".to_owned(), json!(timestamp));
    }
    let named = [
        ("key", schema.key, parts.key),
        ("namespace", &schema.state.namespace, parts.namespace),
        ("user_key", &schema.state.user_key, parts.user_key),
    ];
    for (name, serializer, bytes) in named {
        if !bytes.is_empty() {
            entry.insert(name.to_owned(), decoded(serializer, bytes));
        }
    }
    match schema.state.kind {
        StateKind::Timer => {}
        StateKind::List => {
            let mut elements = schema.elements(value);
            let mut list = Vec::new();
            while let Some(element) = elements.next_element().unwrap() {
                list.push(stamped(&schema, element));
            }
            entry.insert("elements".to_owned(), Value::Array(list));
        }
        _ => {
            let value = stamped(&schema, schema.split_value(value).unwrap());
            entry.extend(value.as_object().unwrap().clone());
        }
    }
    Value::Object(entry)
}

fn stamped(schema: &Schema<'_>, found: Stamped<'_>) -> Value {
    let value = decoded(&schema.state.value, found.value);
    match found.stamp {
        Some(stamp) => json!({ "stamp": stamp, "value": value }),
        None => json!({ "value": value }),
    }
}

fn decoded(serializer: &SerializerSnapshot, bytes: &[u8]) -> Value {
    let mut input = Reader::new(bytes);
    let value = Decoded::read(serializer, &mut input).unwrap();
    input.finish("value").unwrap();
    serde_json::to_value(value).unwrap()
}
