//! The RocksDB backend, where it differs from the others.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use millpond::ErrorKind;
use millpond::backend::conformance::{self, Cluster, Dump, MAX_PARALLELISM, Plan};
use millpond::backend::model::run_seed;
use millpond::backend::rocksdb::{Compaction, Config, LevelCompression, MemoryBudget};
use millpond::backend::{BackendConfig, KeyedSnapshotFormat};
use millpond::codec::Writer;
use millpond::format::native_rocksdb::row_key;
use millpond::key_group::{KeyGroup, MaxParallelism};
use millpond::random::{RandomSource, SeededRandom};
use millpond::serializer::{Bytes, I64, Msgpack, Opt, Serializer, Str, Tuple2, U64};
use millpond::state::{ListDescriptor, ListState, ValueDescriptor, ValueState};
use proptest::prelude::*;
use rocksdb::{BlockBasedIndexType, BlockBasedOptions, MemtableFactory, SliceTransform};
use tempfile::TempDir;

use super::from_environment;

/// A directory for databases; in memory where the system has a file system there, because databases are synced often.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Settings for tests: little memory, so that opening is cheap.
pub(crate) fn small(directory: &Path) -> Config {
    Config::in_directory(directory)
        .with_memory(MemoryBudget::new(16 << 20))
        .with_write_buffers(256 << 10, 2)
        .with_collected_bytes(4 << 10)
}

/// Runs the conformance suite.
pub(super) fn check_conformance(config: Config) {
    conformance::run(&BackendConfig::rocksdb(config));
}

/// Settings drawn by a seed, from what somebody might choose or mistake for a good choice.
fn drawn(directory: &Path, seed: u64) -> Config {
    let random = SeededRandom::new(seed);
    let draw = |limit: usize| (random.next_u128().unwrap() >> 64) as usize % limit;
    let compression = [LevelCompression::None, LevelCompression::Snappy, LevelCompression::Lz4, LevelCompression::Zstd];
    let mut config = Config::in_directory(directory)
        .with_memory(MemoryBudget::new([1 << 20, 16 << 20][draw(2)]))
        .with_write_buffers([64 << 10, 256 << 10][draw(2)], [1, 2, 4][draw(3)])
        .with_collected_bytes([0, 200, 4 << 20][draw(3)])
        .with_block_bytes([256, 4096, 32 << 10][draw(3)])
        .with_bloom_bits([0.0, 1.0, 10.0, 20.0][draw(4)])
        .with_compaction([Compaction::Leveled, Compaction::Universal][draw(2)])
        .with_compression(vec![compression[draw(4)], compression[draw(4)]])
        .with_background_threads(1 + draw(3) as u8)
        .with_statistics(draw(2) == 0);
    let (prefix, point, table, memtable) = (draw(8), draw(4) == 0, draw(3), draw(4));
    println!("seed {seed}: prefix {prefix}, point {point}, table {table}, memtable {memtable}, {config:?}");
    config = config.with_options(move |_, options| {
        if table == 1 {
            let mut table = BlockBasedOptions::default();
            table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
            table.set_partition_filters(true);
            table.set_bloom_filter(8.0, false);
            table.set_whole_key_filtering(prefix % 2 == 0);
            options.set_block_based_table_factory(&table);
        }
        if point {
            options.optimize_for_point_lookup(1);
        }
        match prefix {
            0..3 => {}
            // Longer and shorter than keys, and than the key group.
            length => options.set_prefix_extractor(SliceTransform::create_fixed_prefix([1, 2, 3, 5, 24][length - 3])),
        }
        if prefix >= 3 {
            options.set_memtable_prefix_bloom_ratio(0.1);
            // This memtable takes every key to be at least as long as the prefix; every row is as long as its key group.
            if memtable == 0 && prefix < 5 {
                options.set_memtable_factory(MemtableFactory::HashSkipList {
                    bucket_count: 1000,
                    height: 4,
                    branching_factor: 4,
                });
            }
        }
        options.set_max_successive_merges(if memtable == 1 { 2 } else { 0 });
        options.set_level_zero_file_num_compaction_trigger(2);
    });
    config
}

/// `MILLPOND_ROCKSDB_OPTIONS` sets how many settings are drawn.
#[test]
fn s_28_no_setting_changes_what_a_backend_does() {
    for seed in 0..from_environment("MILLPOND_ROCKSDB_OPTIONS").unwrap_or(1) {
        let directory = scratch();
        let config = drawn(directory.path(), seed);
        // How much is referred to depends on what was merged meanwhile.
        let is_of_sizes = |name: &str| name == "incremental_snapshots_refer_to_what_did_not_change";
        let config = BackendConfig::rocksdb(config);
        conformance::CASES.iter().filter(|(name, _)| !is_of_sizes(name)).for_each(|(_, case)| case(&config));
    }
}

/// `MILLPOND_ROCKSDB_SEQUENCES` sets how many sequences of the model run, each with settings of its own.
#[test]
fn s_28_random_sequences_under_random_settings() {
    for seed in 0..from_environment("MILLPOND_ROCKSDB_SEQUENCES").unwrap_or(12) {
        let directory = scratch();
        run_seed(&BackendConfig::rocksdb(drawn(directory.path(), seed)), 1_000_000 + seed);
    }
}

const STATES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

fn encoded<S: Serializer>(serializer: S, value: &S::Value) -> Vec<u8> {
    let mut out = Writer::new();
    serializer.write(value, &mut out).unwrap();
    out.into_bytes()
}

/// Twelve states, written as fast as they can be with buffers that overflow all the time; every 50 ms a barrier, and a snapshot that
/// another thread writes meanwhile and compares with what the model was then: no hole in any state, and nothing newer. Time decides how much
/// is between two barriers, and nothing else. `MILLPOND_ROCKSDB_BARRIERS` sets how many.
#[test]
fn s_35_every_checkpoint_shows_all_states_at_its_barrier() {
    const INTERVAL: Duration = Duration::from_millis(50);
    let barriers = from_environment("MILLPOND_ROCKSDB_BARRIERS").unwrap_or(40);
    let directory = scratch();
    let config = small(directory.path()).with_write_buffers(64 << 10, 2);
    let mut cluster = Cluster::new(Plan::new(&BackendConfig::rocksdb(config)), Str, 1).unwrap();
    let max = MaxParallelism::new(MAX_PARALLELISM).unwrap();
    let keyed = &mut cluster.subtasks[0].keyed;
    let handles = STATES.map(|name| keyed.register_list(&ListDescriptor::new(name, U64)).unwrap());
    let mut model = Dump::new();
    let random = SeededRandom::new(35);
    let (ticks, mut records) = (AtomicU64::new(0), 0_u64);
    let (end, ended) = channel::<()>();
    std::thread::scope(|scope| {
        let ticking = &ticks;
        scope.spawn(move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                ticking.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut at_barriers = Vec::new();
        for _ in 0..barriers {
            let last = ticks.load(Ordering::Relaxed);
            while ticks.load(Ordering::Relaxed) == last {
                records += 1;
                let drawn = random.next_u128().unwrap();
                let (state, key) = ((drawn >> 64) as usize % STATES.len(), format!("key-{}", drawn as u64 % 500));
                let bytes = encoded(Str, &key);
                let place = (max.group_of_key(&bytes).0, bytes);
                let rows = model.entry(STATES[state].to_owned()).or_default();
                let mut context = cluster.subtasks[0].keyed.key(&key).unwrap();
                let mut list = context.list(&handles[state]).unwrap();
                if (drawn as u64).is_multiple_of(7) {
                    list.clear().unwrap();
                    rows.remove(&place);
                } else {
                    let number = (drawn >> 100) as u64;
                    list.add(number).unwrap();
                    let row = rows.entry(place).or_default();
                    row.push(8);
                    row.extend(encoded(U64, &number));
                }
            }
            let (taken, expected) = (cluster.take().unwrap(), model.clone());
            let plan = cluster.plan.clone();
            let writer = Cluster::new(plan.clone(), Str, 1).unwrap();
            at_barriers.push(scope.spawn(move || {
                let checkpoint = writer.publish(taken, KeyedSnapshotFormat::Canonical).unwrap();
                assert!(plan.dump(&checkpoint).unwrap() == expected, "{checkpoint} does not show its barrier");
            }));
            if at_barriers.len() > 2 {
                at_barriers.remove(0).join().unwrap();
            }
        }
        drop(end);
    });
    println!("{records} records, {barriers} barriers");
}

/// Whatever becomes of the local directory, a published snapshot restores into a new one; and what is in the way is left alone.
#[test]
fn s_21_a_lost_directory_loses_nothing_that_was_published() {
    const VALUE: ValueDescriptor<Str> = ValueDescriptor::new("value", Str);
    let directory = scratch();
    let mut cluster = Cluster::new(Plan::new(&BackendConfig::rocksdb(small(directory.path()))), Str, 2).unwrap();
    let handles = cluster.register(|backend| backend.register_value(&VALUE)).unwrap();
    let mut expected = BTreeMap::new();
    for number in 0..500 {
        let key = format!("key-{number}");
        let (at, backend) = cluster.backend(&key).unwrap();
        backend.key(&key).unwrap().value(&handles[at]).unwrap().set(number.to_string()).unwrap();
        expected.insert(key, number.to_string());
    }
    let checkpoint = cluster.checkpoint(KeyedSnapshotFormat::Canonical).unwrap();
    // As after a crash: the processes are gone, the directories stay, damaged.
    let plan = cluster.plan.clone();
    std::mem::forget(cluster);
    for (number, file) in files(directory.path()).into_iter().enumerate() {
        match number % 3 {
            0 => std::fs::File::options().write(true).open(&file).unwrap().set_len(1).unwrap(),
            1 => std::fs::File::create(&file).unwrap().set_len(4096).unwrap(),
            _ => drop(std::fs::File::options().append(true).open(&file).unwrap()),
        }
    }
    let left = files(directory.path());
    for parallelism in [1, 2, 3] {
        let mut restored = Cluster::restore(plan.clone(), Str, parallelism, &checkpoint).unwrap();
        let handles = restored.register(|backend| backend.register_value(&VALUE)).unwrap();
        let mut found = BTreeMap::new();
        for (subtask, handle) in restored.subtasks.iter().zip(&handles) {
            let add = |key: &String, (): &(), value: &String| drop(found.insert(key.clone(), value.clone()));
            subtask.keyed.for_each_value(handle, add).unwrap();
        }
        assert_eq!(found, expected);
        drop(restored);
        assert_eq!(files(directory.path()), left, "what others left is neither used nor removed");
    }
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in directory.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A write that RocksDB refuses is an error of the call, not a lost value.
#[test]
fn a_missing_directory_is_an_error_that_names_it() {
    let directory = scratch();
    let file = directory.path().join("not a directory");
    drop(std::fs::File::create(&file).unwrap());
    let config = BackendConfig::rocksdb(small(&file.join("state")));
    let error = Cluster::new(Plan::new(&config), Str, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("not a directory"), "{error}");
}

/// The row of a place, for three kinds of keys.
fn row(place: &Place) -> Vec<u8> {
    let Place { group, key, namespace, user_key } = place;
    let mut neutral = Writer::new();
    match key {
        Key::Text(text) => Str.write(text, &mut neutral).unwrap(),
        Key::Bytes(bytes) => Bytes.write(bytes, &mut neutral).unwrap(),
        Key::Pair(number, text) => Tuple2(I64, Opt::new(Str)).write(&(*number, text.clone()), &mut neutral).unwrap(),
        Key::Any(text, number) => Msgpack::new().write(&(text.clone(), *number), &mut neutral).unwrap(),
    }
    I64.write(namespace, &mut neutral).unwrap();
    Str.write(user_key, &mut neutral).unwrap();
    let mut out = Writer::new();
    row_key(KeyGroup(*group), neutral.as_slice(), &mut out);
    out.into_bytes()
}

#[derive(Debug, Clone, PartialEq)]
struct Place {
    group: u16,
    key: Key,
    namespace: i64,
    user_key: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Key {
    Text(String),
    Bytes(Vec<u8>),
    Pair(i64, Option<String>),
    Any(String, u32),
}

/// Two keys of one type; short and of few letters, so that they often begin alike.
fn two_keys() -> impl Strategy<Value = (Key, Key)> {
    let text = || "[ab\u{0}]{0,3}";
    let bytes = || proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255)], 0..4);
    prop_oneof![
        (text(), text()).prop_map(|(a, b)| (Key::Text(a), Key::Text(b))),
        (bytes(), bytes()).prop_map(|(a, b)| (Key::Bytes(a), Key::Bytes(b))),
        (0..3_i64, 0..3_i64, proptest::option::of(text()), proptest::option::of(text()))
            .prop_map(|(a, b, c, d)| (Key::Pair(a, c), Key::Pair(b, d))),
        (text(), text(), 0..300_u32, 0..300_u32).prop_map(|(a, b, c, d)| (Key::Any(a, c), Key::Any(b, d))),
    ]
}

proptest! {
    /// Different places have different rows, of which none begins another; equal places have equal ones; groups come first.
    #[test]
    fn s_29_rows_are_injective_and_prefix_free(
        keys in two_keys(),
        groups in (0_u16..3, 0_u16..3),
        namespaces in (-1_i64..2, -1_i64..2),
        user_keys in ("[ab]{0,2}", "[ab]{0,2}"),
    ) {
        let first = Place { group: groups.0, key: keys.0, namespace: namespaces.0, user_key: user_keys.0 };
        let second = Place { group: groups.1, key: keys.1, namespace: namespaces.1, user_key: user_keys.1 };
        let (one, other) = (row(&first), row(&second));
        if first == second {
            prop_assert_eq!(&one, &other);
        } else {
            prop_assert!(!one.starts_with(&other) && !other.starts_with(&one));
        }
        if first.group != second.group {
            prop_assert_eq!(one < other, first.group < second.group);
        }
    }
}
