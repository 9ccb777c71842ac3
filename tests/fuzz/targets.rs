//! The targets of `fuzz/`, and what they begin with.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use millpond::backend::fuzz::{fuzz_heap_model, fuzz_heap_table};
use millpond::codec::Writer;
use millpond::flink::fuzz::{fuzz_flink_mapping, fuzz_flink_snapshot};
use millpond::format::annotate;
use millpond::format::flink::fuzz as flink;
use millpond::format::fuzz::{
    fuzz_canonical, fuzz_control, fuzz_java_type, fuzz_manifest, fuzz_native_heap, fuzz_native_rocksdb, fuzz_operator,
};
use millpond::serializer::fuzz::{fuzz_compatibility, fuzz_description, fuzz_serializers, fuzz_value};
use millpond::serializer::{
    Bytes, F64, I64, List, Map, Msgpack, Opt, Serializer, Str, TimeWindow, Tuple2, Tuple4, U64, Window,
};
use millpond::storage::fuzz::fuzz_object_path;
use serde::{Deserialize, Serialize};

use super::mutate::Numbers;

pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) body: fn(&[u8]),
    /// Inputs that are worth changing.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

const fn target(name: &'static str, body: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, body, seeds }
}

pub(crate) const TARGETS: [Target; 25] = [
    target("decode_manifest", fuzz_manifest, || vectors("manifest")),
    target("decode_control", fuzz_control, || vectors("control")),
    target("decode_canonical", fuzz_canonical, || vectors("canonical")),
    target("decode_native_heap", fuzz_native_heap, || vectors("native-heap")),
    target("decode_operator", fuzz_operator, || vectors("operator")),
    target("decode_native_rocksdb", fuzz_native_rocksdb, databases),
    target("decode_description", fuzz_description, descriptions),
    target("decode_value", fuzz_value, descriptions),
    target("decode_typed", fuzz_serializers, typed),
    target("compatibility", fuzz_compatibility, descriptions),
    target("object_path", fuzz_object_path, paths),
    target("decode_flink_metadata", flink::fuzz_flink_metadata, real_flink),
    target("decode_flink_serializer", flink::fuzz_flink_serializer, real_flink),
    target("decode_flink_java_object", flink::fuzz_flink_java_object, real_flink),
    target("decode_flink_keyed", flink::fuzz_flink_keyed, real_flink),
    target("decode_flink_heap", flink::fuzz_flink_heap, real_flink),
    target("decode_flink_operator", flink::fuzz_flink_operator, real_flink),
    target("decode_flink_timer", flink::fuzz_flink_timer, real_flink),
    target("decode_flink_channel", flink::fuzz_flink_channel, real_flink),
    target("decode_flink_changelog", flink::fuzz_flink_changelog, logs),
    target("read_flink_snapshot", fuzz_flink_snapshot, flink_snapshots),
    target("map_flink_value", fuzz_flink_mapping, real_flink),
    target("decode_java_type", fuzz_java_type, java_types),
    target("heap_table", fuzz_heap_table, operations),
    target("heap_model", fuzz_heap_model, operations),
];

/// The root of the source tree.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files right below a directory, in order; none if it does not exist.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

pub(super) fn content(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .unwrap_or_else(|error| panic!("{path:?}: {error}"));
    bytes
}

/// Good and bad vectors of a format.
fn vectors(format: &str) -> Vec<Vec<u8>> {
    let directories = ["vectors/v1", "bad/v1"].map(|part| root().join("formats").join(format).join(part));
    let hex = directories.iter().flat_map(|directory| files(directory));
    let hex = hex.filter(|path| path.extension().is_some_and(|extension| extension == "hex"));
    hex.map(|path| annotate::parse(&String::from_utf8(content(&path)).unwrap()).unwrap()).collect()
}

/// Identities, and the other things that make up a database.
fn databases() -> Vec<Vec<u8>> {
    let parts = [&b"CURRENT"[..], b"MANIFEST-000005", b"MANIFEST-000005\n", b"000007.sst", b"\0\x05\x06N804JB"];
    vectors("native-rocksdb").into_iter().chain(parts.map(<[u8]>::to_vec)).collect()
}

#[derive(Clone, Serialize, Deserialize)]
enum Part {
    Bare,
    Wrapped(u16),
    Fields { inner: Box<Option<Part>>, ratio: f64 },
}

#[derive(Clone, Serialize, Deserialize)]
struct Item {
    name: String,
    number: Option<i64>,
    parts: Vec<Part>,
}

fn item() -> Item {
    let inner = Box::new(Some(Part::Wrapped(9)));
    Item { name: "N804JB".to_owned(), number: Some(-3), parts: vec![Part::Bare, Part::Fields { inner, ratio: 0.5 }] }
}

/// A description, if wanted, and a value.
fn bytes<S: Serializer>(serializer: &S, value: &S::Value, described: bool) -> Vec<u8> {
    let mut out = Writer::new();
    if described {
        serializer.snapshot().encode(&mut out).unwrap();
    }
    serializer.write(value, &mut out).unwrap();
    out.as_slice().to_vec()
}

/// Descriptions and, behind each, a value.
fn descriptions() -> Vec<Vec<u8>> {
    (0..6).map(|choice| value(choice, true)).collect()
}

/// A byte that chooses a serializer, and a value of it.
fn typed() -> Vec<Vec<u8>> {
    (0..6).map(|choice| [vec![choice], value(choice, false)].concat()).collect()
}

fn value(choice: u8, described: bool) -> Vec<u8> {
    let window = TimeWindow { start_ms: -1, end_ms: 3_600_000 };
    let words = vec!["EWR".to_owned(), String::new(), "naïve".to_owned()];
    let map = [(b"key".to_vec(), 7u64), (Vec::new(), u64::MAX)];
    match choice {
        0 => bytes(
            &Tuple4(Str, Window, List::new(Str), Opt::new(F64)),
            &(words[2].clone(), window, words, Some(0.5)),
            described,
        ),
        1 => bytes(&List::new(Opt::new(Map::new(Bytes, U64))), &vec![None, Some(map.into_iter().collect())], described),
        2 => bytes(&Tuple2(Str, Msgpack::<Item>::new()), &("k".to_owned(), item()), described),
        3 => bytes(&Opt::new(Tuple2(I64, Bytes)), &Some((i64::MIN, vec![0; 20])), described),
        4 => bytes(&Msgpack::new(), &std::collections::BTreeMap::from([("a".to_owned(), item())]), described),
        _ => bytes(&Tuple2(Msgpack::new(), Opt::new(Msgpack::new())), &(item(), Some(vec![(1u8, 0.5f32)])), described),
    }
}

fn paths() -> Vec<Vec<u8>> {
    let paths = [
        "abababababababababababababababab/chk-12/_metadata",
        "savepoint-ababab-0123456789ab/0123456789abcdef0123456789abcdef",
        "a/../b",
        "/a//b/",
        "con.txt/nul",
        "a\\b:c",
    ];
    paths.iter().map(|path| path.as_bytes().to_vec()).collect()
}

/// Files that real Flink wrote, and parts of them: every decoder may meet any of them.
fn real_flink() -> Vec<Vec<u8>> {
    crate::format::flink::fuzz::SEEDS.clone()
}

/// Whole snapshots that real Flink wrote, the small ones.
fn flink_snapshots() -> Vec<Vec<u8>> {
    crate::flink::packed::small().into_iter().map(|(_, packed)| packed).collect()
}

/// Logs of changes: with values, a list, a map and timers.
fn logs() -> Vec<Vec<u8>> {
    crate::flink::packed::logs()
}

/// A Java type, the description of a key, and the key.
fn java_types() -> Vec<Vec<u8>> {
    (1..=17).chain([0x40, 0x80]).map(|tag: u8| [vec![tag], value(tag % 6, true)].concat()).collect()
}

/// Operations in disorder, with snapshots among them.
fn operations() -> Vec<Vec<u8>> {
    let mut numbers = Numbers(13);
    (1..8).map(|length| (0..length * 60).map(|_| numbers.next() as u8).collect()).collect()
}
