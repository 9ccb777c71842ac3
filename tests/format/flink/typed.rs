//! State of real Flink jobs in types of our own.

use std::collections::BTreeMap;

use millpond::codec::Reader;
use millpond::format::flink::header::OperatorHeader;
use millpond::format::flink::metadata::{KeyedHandle, Metadata};
use millpond::format::flink::value::from_value;
use millpond::format::flink::{Content, KeyedFile, Roots, Value, operator};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::files::Files;
use super::fixtures::{self, Fixture};

/// `flinklab.LabTypes$Person`.
#[derive(Debug, PartialEq, Deserialize)]
struct Person {
    name: Option<String>,
    id: i64,
    opt: Option<i32>,
    score: f64,
    active: bool,
}

/// `Row(id: Long, label: String, ok: Boolean, amount: Double)`, where all but the first can be null.
type Row = (i64, Option<String>, Option<bool>, Option<f64>);

fn fixture(name: &str) -> (Fixture, Metadata) {
    let fixture = fixtures::committed().into_iter().find(|fixture| fixture.name == name).unwrap();
    let metadata = Metadata::decode(&fixture.metadata_bytes()).unwrap();
    (fixture, metadata)
}

#[test]
fn operator_state_of_a_pojo_becomes_structs() {
    let (fixture, metadata) = fixture("2.3.0/opstate-hashmap-canonical");
    let files = Files::of(&fixture);
    let mut people: Vec<Person> = Vec::new();
    for operator in &metadata.operators {
        for state in operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref()) {
            let Some(handle) = &state.managed_operator else { continue };
            let bytes = files.read(&handle.stream);
            let header = OperatorHeader::read(&mut Reader::new(&bytes)).unwrap();
            for element in operator::elements(&header, &handle.states, &bytes).map(Result::unwrap) {
                if element.state == "split-pojo" {
                    people.push(from_value(element.value).unwrap());
                }
            }
        }
    }
    people.sort_by_key(|person| person.id);
    let first = Person { name: Some("p0".into()), id: 0, opt: None, score: 0.0, active: true };
    assert_eq!(people.first(), Some(&first));
    assert!(
        people
            .iter()
            .any(|person| *person
                == Person { name: Some("p30".into()), id: 30, opt: Some(30), score: 15.0, active: true })
    );
}

/// Keeps a value, unless it has text that no Rust string can hold: the jobs wrote some on purpose.
fn take<T: DeserializeOwned>(key: i64, value: Value, into: &mut BTreeMap<i64, T>, refused: &mut usize) {
    match from_value(value) {
        Ok(value) => drop(into.insert(key, value)),
        Err(error) => {
            assert!(error.message().contains("unpaired surrogate"), "{error}");
            *refused += 1;
        }
    }
}

#[test]
fn keyed_state_becomes_a_map_of_own_types() {
    let (fixture, metadata) = fixture("1.20.5/core-rocksdb-lz-canonical");
    let files = Files::of(&fixture);
    let mut rows: BTreeMap<i64, Row> = BTreeMap::new();
    let mut people: BTreeMap<i64, Person> = BTreeMap::new();
    let mut refused = 0;
    for operator in
        metadata.operators.iter().filter(|operator| operator.id == millpond::ids::OperatorId::from_uid("a-long"))
    {
        for state in operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref()) {
            let Some(KeyedHandle::KeyGroups(handle)) = &state.managed_keyed else { continue };
            let bytes = files.read(&handle.stream);
            let file = KeyedFile::open(handle, operator.max_parallelism, &bytes).unwrap();
            let visited = file.visit(|_, state_id, entry| {
                let Content::Value(value) = entry.content else { return Ok(()) };
                let name = file.header().state(state_id).unwrap().name.as_str();
                match name {
                    "v-row" => take(from_value(entry.key)?, value, &mut rows, &mut refused),
                    "v-pojo" => take(from_value(entry.key)?, value, &mut people, &mut refused),
                    _ => {}
                }
                Ok(())
            });
            visited.unwrap();
        }
    }
    assert_eq!(rows.len() + people.len() + refused, 36 + 36);
    assert!(rows.len() > 20 && people.len() > 20, "{refused} were refused");
    assert_eq!(rows[&-1], (411, Some("ycrz".into()), Some(true), Some(68.5)));
    let expected =
        Person { name: Some("iqxivesq".into()), id: 681_138_114_153_302_363, opt: None, score: 1.0, active: false };
    assert_eq!(people[&-1], expected);
}

#[test]
fn roots_lead_to_files_that_were_moved() {
    let mut roots = Roots::new();
    roots.map("file:///srv/flink/fixtures/2.3.0/A", "elsewhere").unwrap();
    let (_, metadata) = fixture("2.3.0/kryo-hashmap-canonical");
    let mut names = Vec::new();
    for subtask in metadata.operators.iter().flat_map(|operator| operator.subtasks()) {
        let Some(state) = &subtask.state else { continue };
        if let Some(KeyedHandle::KeyGroups(handle)) = &state.managed_keyed
            && let millpond::format::flink::metadata::StreamHandle::Inline(inline) = &handle.stream
        {
            let (place, path) = roots.resolve(&inline.name).unwrap();
            names.push(format!("{place}/{path}"));
        }
    }
    assert!(!names.is_empty());
    assert!(names.iter().all(|name| name.starts_with("elsewhere/kryo-hashmap-canonical/savepoint-")), "{names:?}");
}
