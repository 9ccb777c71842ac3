//! Snapshots of ours, written as savepoints of Flink's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use millpond::ErrorKind;
use millpond::backend::operator::{OperatorBackend, OperatorParameters};
use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat};
use millpond::clock::ManualClock;
use millpond::codec::Writer;
use millpond::error::Result;
use millpond::flink::export::{Edits, Options, Outcome, Report, StateName, Target, export};
use millpond::flink::{Directory, SnapshotReader};
use millpond::format::flink::serializer::TypeSerializer;
use millpond::format::flink::{JavaString, Roots, key_group};
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::{KeyGroupRange, MaxParallelism, Parallelism};
use millpond::random::SeededRandom;
use millpond::serializer::{
    Custom, CustomSerializer, F64, I32, I64, List, Map, Msgpack, Opt, Serializer, Str, TimeWindow, Tuple2, U32, U64,
    Window,
};
use millpond::snapshot::{self, SnapshotLabel, SnapshotTarget, SubtaskReport, assemble, publish};
use millpond::state::*;
use millpond::storage::layout::JobLayout;
use millpond::storage::{CommitOutcome, LocalStorage, MemoryStorage, ObjectPath, Storage};
use serde::{Deserialize, Serialize};

use super::dump;
use crate::format::flink::fixtures::sha256;

/// The operator of the lab's job `tiny`, whose keys are strings.
pub(crate) const OPERATOR: &str = "a-string";

const KEYS: u64 = 200;
const MAX: u32 = 128;
const PARALLELISM: u32 = 2;
const NOW: i64 = 1_700_000_000_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Profile {
    flights: u64,
    last: Option<String>,
    legs: Vec<i32>,
}

const COUNT: ValueDescriptor<U64> = ValueDescriptor::new("count", U64);
const PROFILE: ValueDescriptor<Msgpack<Profile>> =
    ValueDescriptor::new("profile", Msgpack::new()).with_ttl(Ttl::new(1 << 40));
const HOURLY: ValueDescriptor<I64, Window> = ValueDescriptor::in_namespaces("hourly", I64, Window);
const NAMED: ValueDescriptor<I32, Str> = ValueDescriptor::in_namespaces("named", I32, Str);
const DELAYS: ListDescriptor<I64> = ListDescriptor::new("delays", I64);
const TEXTS: ListDescriptor<Str> = ListDescriptor::new("texts", Str).with_ttl(Ttl::new(1 << 40));
const VISITS: MapDescriptor<Str, U32> = MapDescriptor::new("visits", Str, U32);
const MAYBE: MapDescriptor<I64, Opt<F64>> = MapDescriptor::new("maybe", I64, Opt::new(F64));
const WORST: ReducingDescriptor<I64> = ReducingDescriptor::new("worst", I64, |worst, new| *worst = (*worst).max(new));
type Pair = Tuple2<Opt<Str>, Map<Str, List<I32>>>;
const PAIR: ValueDescriptor<Pair> = ValueDescriptor::new("pair", Tuple2(Opt::new(Str), Map::new(Str, List::new(I32))));
const TIMERS: TimerDescriptor = TimerDescriptor::new("user-timers");
const OFFSETS: OperatorListDescriptor<U64> = OperatorListDescriptor::split("offsets", U64);
const SEEN: OperatorListDescriptor<Str> = OperatorListDescriptor::union("seen", Str);
const AIRLINES: BroadcastDescriptor<Str, I32> = BroadcastDescriptor::new("airlines", Str, I32);

/// What a savepoint has to hold: lines by state and kind, and elements of operator state by subtask.
#[derive(Debug, Default)]
pub(crate) struct Model {
    keyed: BTreeMap<(String, &'static str), Vec<String>>,
    operator: BTreeMap<String, (&'static str, Vec<Vec<String>>)>,
}

impl Model {
    fn line(&mut self, key: &str, state: &str, kind: &'static str, namespace: &str, rest: &str) {
        let max = MaxParallelism::new(MAX).unwrap();
        let group = key_group::of_hash(JavaString::Text(key.to_owned()).java_hash(), max);
        let line = format!("{{\"k\":\"{key}\",\"kg\":{group},\"ns\":{namespace},{rest}}}");
        self.keyed.entry((state.to_owned(), kind)).or_default().push(line);
    }

    /// The ground truth in the form of the lab.
    pub(crate) fn expected_json(&self) -> String {
        let mut states = Vec::new();
        for ((name, kind), lines) in &self.keyed {
            let mut lines = lines.clone();
            lines.sort_unstable();
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let ttl = if ["profile", "texts"].contains(&name.as_str()) { ",\"ttl\":true" } else { "" };
            states.push(format!(
                "{{\"name\":\"{name}\",\"kind\":\"{kind}\"{ttl},\"count\":{},\"sha256\":\"{}\",\"entries\":[{}]}}",
                lines.len(),
                sha256(text.as_bytes()),
                lines.join(",")
            ));
        }
        let subtasks = |subtasks: &[Vec<String>]| {
            subtasks.iter().map(|elements| format!("[{}]", elements.join(","))).collect::<Vec<_>>().join(",")
        };
        let operator_states: Vec<String> = self
            .operator
            .iter()
            .map(|(name, (mode, elements))| {
                format!("{{\"name\":\"{name}\",\"mode\":\"{mode}\",\"subtasks\":[{}]}}", subtasks(elements))
            })
            .collect();
        let id = millpond::ids::OperatorId::from_uid(OPERATOR);
        format!(
            "{{\"operators\":[{{\"uid\":\"{OPERATOR}\",\"operator_id\":\"{id}\",\"keyed_states\":[{}],\
             \"operator_states\":[{}]}}]}}",
            states.join(","),
            operator_states.join(",")
        )
    }
}

fn max() -> MaxParallelism {
    MaxParallelism::new(MAX).unwrap()
}

fn parallelism() -> Parallelism {
    Parallelism::new(PARALLELISM, max()).unwrap()
}

/// Takes a savepoint of a job with every kind of state; what it has to hold.
pub(crate) fn written(base: &Path) -> (snapshot::SnapshotReader, Model) {
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::create(base).unwrap());
    let job = JobId([0x4a; 16]);
    let directory = JobLayout::new(job).checkpoint(CheckpointId(1));
    let target = SnapshotTarget::new(Arc::clone(&storage), directory.clone(), Arc::new(SeededRandom::new(1)));
    let mut model = Model::default();
    let reports = (0..PARALLELISM).map(|subtask| subtask_state(subtask, &target, &mut model)).collect();
    let label = SnapshotLabel { job, checkpoint: CheckpointId(1), kind: SnapshotKind::Checkpoint, created_ms: NOW };
    let manifest = assemble(label, reports).unwrap();
    assert!(matches!(publish(&*storage, &directory, &manifest), CommitOutcome::Committed));
    (snapshot::SnapshotReader::open(storage, directory).unwrap(), model)
}

fn subtask_state(subtask: u32, target: &SnapshotTarget, model: &mut Model) -> SubtaskReport {
    let range = KeyGroupRange::of_subtask(subtask, parallelism(), max()).unwrap();
    let clock = Arc::new(ManualClock::new(NOW));
    let parameters = KeyedParameters { operator: OPERATOR.to_owned(), max_parallelism: max(), range, clock };
    let mut backend = KeyedBackend::new(&BackendConfig::default(), parameters, Str).unwrap();
    fill(&mut backend, range, model);
    let snapshot = backend.snapshot().unwrap();
    let operator = operator_state(subtask, model).snapshot();
    let mut states = snapshot.states();
    states.extend(operator.states());
    let operator_state = operator.write(target).unwrap();
    let keyed = snapshot.write(target, KeyedSnapshotFormat::Canonical, &|| true).unwrap();
    SubtaskReport {
        operator: OPERATOR.to_owned(),
        subtask: SubtaskIndex(subtask),
        parallelism: parallelism(),
        max_parallelism: max(),
        key: Some(Str.snapshot()),
        states,
        keyed,
        operator_state,
    }
}

fn fill(backend: &mut KeyedBackend<Str>, range: KeyGroupRange, model: &mut Model) {
    let count = backend.register_value(&COUNT).unwrap();
    let profile = backend.register_value(&PROFILE).unwrap();
    let hourly = backend.register_value(&HOURLY).unwrap();
    let named = backend.register_value(&NAMED).unwrap();
    let delays = backend.register_list(&DELAYS).unwrap();
    let texts = backend.register_list(&TEXTS).unwrap();
    let visits = backend.register_map(&VISITS).unwrap();
    let maybe = backend.register_map(&MAYBE).unwrap();
    let worst = backend.register_reducing(&WORST).unwrap();
    let pair = backend.register_value(&PAIR).unwrap();
    let timers = backend.register_timers(&TIMERS).unwrap();
    for n in 0..KEYS {
        let key = format!("key-é-{n}");
        let mut scratch = Writer::new();
        if !range.contains(max().group_of_hash(Str.key_hash(&key, &mut scratch).unwrap())) {
            continue;
        }
        let mut at = backend.key(&key).unwrap();
        let window = TimeWindow { start_ms: NOW, end_ms: NOW + 3_600_000 };
        let signed = i64::try_from(n).unwrap() - 100;
        let small = i32::try_from(n).unwrap();
        at.value(&count).unwrap().set(n << 40).unwrap();
        model.line(&key, "count", "value", "null", &format!("\"v\":{}", n << 40));
        let last = (n % 2 == 0).then(|| "JFK,".to_owned());
        at.value(&profile).unwrap().set(Profile { flights: n, last: last.clone(), legs: vec![small; 2] }).unwrap();
        let shown = last.map_or("null".to_owned(), |last| format!("\"{last}\""));
        let row = format!("{{\"$row\":\"+I\",\"f\":[{n},{shown},[{n},{n}]]}}");
        model.line(&key, "profile", "value", "null", &format!("\"v\":{{\"$ttl\":{NOW},\"v\":{row}}}"));
        at.value_in(&hourly, &window).unwrap().set(signed).unwrap();
        let shown = format!("{{\"$window\":[{},{}]}}", window.start_ms, window.end_ms);
        model.line(&key, "hourly", "value", &shown, &format!("\"v\":{signed}"));
        at.value_in(&named, &"ns".to_owned()).unwrap().set(small).unwrap();
        model.line(&key, "named", "value", "\"ns\"", &format!("\"v\":{n}"));
        for add in [signed, 44, 0x2C2C] {
            at.list(&delays).unwrap().add(add).unwrap();
        }
        model.line(&key, "delays", "list", "null", &format!("\"v\":[{signed},44,11308]"));
        at.list(&texts).unwrap().add(format!("t,{n}")).unwrap();
        let shown = format!("\"v\":[{{\"$ttl\":{NOW},\"v\":\"t,{n}\"}}]");
        model.line(&key, "texts", "list", "null", &shown);
        for visit in 0..n % 3 {
            at.map(&visits).unwrap().put(format!("D{visit}"), u32::MAX).unwrap();
            model.line(&key, "visits", "map", "null", &format!("\"mk\":\"D{visit}\",\"v\":{}", u32::MAX));
        }
        at.map(&maybe).unwrap().put(signed, None).unwrap();
        model.line(&key, "maybe", "map", "null", &format!("\"mk\":{signed},\"v\":null"));
        at.map(&maybe).unwrap().put(1 << 50, Some(0.5)).unwrap();
        model.line(
            &key,
            "maybe",
            "map",
            "null",
            &format!("\"mk\":{},\"v\":{{\"$f64\":\"3fe0000000000000\"}}", 1u64 << 50),
        );
        at.reducing(&worst).unwrap().add(signed).unwrap();
        model.line(&key, "worst", "reducing", "null", &format!("\"v\":{signed}"));
        let first = (n % 4 == 0).then(|| format!("f{n}"));
        let shown = first.as_ref().map_or("null".to_owned(), |first| format!("\"{first}\""));
        at.value(&pair).unwrap().set((first, [("m".to_owned(), vec![small])].into())).unwrap();
        let shown = format!("\"v\":{{\"$tuple\":[{shown},{{\"$map\":[[\"m\",[{n}]]]}}]}}");
        model.line(&key, "pair", "value", "null", &shown);
        fill_timers(backend, &timers, &key, n, model);
    }
}

fn fill_timers(
    backend: &mut KeyedBackend<Str>,
    timers: &millpond::backend::handle::TimerHandle,
    key: &String,
    n: u64,
    model: &mut Model,
) {
    let at_ms = NOW + (1 << 42) + i64::try_from(n).unwrap();
    let mut at = backend.key(key).unwrap();
    at.timers(timers).unwrap().register(TimeDomain::Event, at_ms).unwrap();
    model.line(key, "_timer_state/event_user-timers", "event-timers", "null", &format!("\"ts\":{at_ms}"));
    if n.is_multiple_of(5) {
        at.timers(timers).unwrap().register(TimeDomain::Processing, at_ms + 7).unwrap();
        let shown = format!("\"ts\":{}", at_ms + 7);
        model.line(key, "_timer_state/processing_user-timers", "processing-timers", "null", &shown);
    }
}

fn operator_state(subtask: u32, model: &mut Model) -> OperatorBackend {
    let parameters = OperatorParameters {
        operator: OPERATOR.to_owned(),
        subtask: SubtaskIndex(subtask),
        parallelism: parallelism(),
    };
    let mut backend = OperatorBackend::new(parameters);
    let offsets = backend.register_list(&OFFSETS).unwrap();
    let seen = backend.register_list(&SEEN).unwrap();
    let airlines = backend.register_broadcast(&AIRLINES).unwrap();
    let numbers: Vec<u64> = (0..5).map(|n| u64::from(subtask) * 100 + n).collect();
    let mut add = |name: &str, mode, elements: Vec<String>| {
        model.operator.entry(name.to_owned()).or_insert((mode, Vec::new())).1.push(elements);
    };
    add("offsets", "SPLIT_DISTRIBUTE", numbers.iter().map(u64::to_string).collect());
    backend.list(&offsets).unwrap().set(numbers).unwrap();
    let texts: Vec<String> = (0..=subtask).map(|n| format!("s{subtask}-{n}")).collect();
    add("seen", "UNION", texts.iter().map(|text| format!("\"{text}\"")).collect());
    backend.list(&seen).unwrap().set(texts).unwrap();
    add("airlines", "BROADCAST", vec!["[\"AA\",1]".to_owned(), "[\"UA\",-2]".to_owned()]);
    backend.broadcast(&airlines).unwrap().put("UA".to_owned(), -2).unwrap();
    backend.broadcast(&airlines).unwrap().put("AA".to_owned(), 1).unwrap();
    backend
}

fn exported(source: &snapshot::SnapshotReader, options: &Options<'_>) -> (Result<SnapshotReader>, Report) {
    let storage = Arc::new(MemoryStorage::new(1 << 30));
    let directory = ObjectPath::parse("savepoint").unwrap();
    let target = Target::new(storage.clone(), directory.clone(), Arc::new(SeededRandom::new(7)));
    let mut report = Report::default();
    let done = export(source, &target, options, &mut report);
    let opened = done.and_then(|()| SnapshotReader::open(Directory::new(storage, Some(directory)), Roots::new()));
    (opened, report)
}

#[test]
fn every_entry_is_where_flink_looks_for_it() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, model) = written(scratch.path());
    let (snapshot, report) = exported(&source, &Options::default());
    let snapshot = snapshot.unwrap();
    let dump = dump::dump(&snapshot).unwrap().into_values().next().unwrap();
    for ((name, kind), lines) in &model.keyed {
        let mut expected = lines.clone();
        expected.sort_unstable();
        let mut found = dump.keyed.get(&(name.clone(), *kind)).cloned().unwrap_or_default();
        found.sort_unstable();
        assert_eq!(found.len(), expected.len(), "{name}");
        found.iter().zip(&expected).for_each(|(found, expected)| assert_eq!(found, expected, "{name}"));
    }
    assert_eq!(dump.keyed.len(), model.keyed.len());
    assert_eq!(dump.operator.len(), model.operator.len());
    let offsets: Vec<&String> = dump.operator["offsets"].values().flatten().collect();
    assert_eq!(offsets, model.operator["offsets"].1.iter().flatten().collect::<Vec<_>>());
    assert!(report.operators[0].states.iter().all(|state| state.outcome == Outcome::Converted), "{report}");
    assert!(report.entries() > KEYS * 10, "{report}");
}

#[test]
fn a_struct_becomes_the_class_that_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, _) = written(scratch.path());
    let classes = [("Profile".to_owned(), "com.example.Profile".to_owned())].into();
    let (snapshot, _) = exported(&source, &Options { classes, ..Options::default() });
    let snapshot = snapshot.unwrap();
    let keyed = snapshot.operator(OPERATOR).unwrap().keyed().unwrap();
    let profile = keyed.states().iter().find(|state| state.name == "profile").unwrap();
    let TypeSerializer::Ttl(value) = &profile.value().unwrap().serializer else { panic!("{profile:?}") };
    let TypeSerializer::Pojo(pojo) = &value.serializer else { panic!("{value:?}") };
    let names: Vec<&str> = pojo.fields.iter().map(|field| &*field.name).collect();
    assert_eq!((&*pojo.class, names), ("com.example.Profile", vec!["flights", "last", "legs"]));
    // Its serializers are those of another snapshot's.
    let (like, _) = exported(&source, &Options { like: Some(&snapshot), ..Options::default() });
    let like = like.unwrap();
    assert_eq!(like.operator(OPERATOR).unwrap().keyed().unwrap().states(), keyed.states());
    assert_eq!(dump::dump(&like).unwrap().len(), 1);
}

#[derive(Clone)]
struct Mine;

impl CustomSerializer for Mine {
    type Value = u64;

    fn name(&self) -> &str {
        "mine"
    }

    fn version(&self) -> u32 {
        1
    }

    fn write(&self, value: &u64, out: &mut Writer) -> Result<()> {
        out.u64(*value);
        Ok(())
    }

    fn read(&self, _version: u32, _parameters: &[u8], input: &mut millpond::codec::Reader<'_>) -> Result<u64> {
        input.u64("mine")
    }
}

#[test]
fn state_without_a_counterpart_is_refused_by_name_and_can_be_left_out() {
    const OWN: ValueDescriptor<Custom<Mine>> = ValueDescriptor::new("own", Custom::new(Mine));
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 20));
    let job = JobId([1; 16]);
    let directory = JobLayout::new(job).checkpoint(CheckpointId(1));
    let target = SnapshotTarget::new(Arc::clone(&storage), directory.clone(), Arc::new(SeededRandom::new(1)));
    let one = Parallelism::new(1, max()).unwrap();
    let range = max().all_groups();
    let clock = Arc::new(ManualClock::new(NOW));
    let parameters = KeyedParameters { operator: "o".to_owned(), max_parallelism: max(), range, clock };
    let mut backend = KeyedBackend::new(&BackendConfig::default(), parameters, Str).unwrap();
    let own = backend.register_value(&OWN).unwrap();
    let count = backend.register_value(&COUNT).unwrap();
    backend.key(&"k".to_owned()).unwrap().value(&own).unwrap().set(1).unwrap();
    backend.key(&"k".to_owned()).unwrap().value(&count).unwrap().set(u64::MAX).unwrap();
    let snapshot = backend.snapshot().unwrap();
    let report = SubtaskReport {
        operator: "o".to_owned(),
        subtask: SubtaskIndex(0),
        parallelism: one,
        max_parallelism: max(),
        key: Some(Str.snapshot()),
        states: snapshot.states(),
        keyed: snapshot.write(&target, KeyedSnapshotFormat::Canonical, &|| true).unwrap(),
        operator_state: None,
    };
    let label = SnapshotLabel { job, checkpoint: CheckpointId(1), kind: SnapshotKind::Savepoint, created_ms: NOW };
    let manifest = assemble(label, vec![report]).unwrap();
    assert!(matches!(publish(&*storage, &directory, &manifest), CommitOutcome::Committed));
    let source = snapshot::SnapshotReader::open(storage, directory).unwrap();
    let (result, _) = exported(&source, &Options::default());
    // A number that Java's `long` cannot hold.
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.place().state.as_deref()), (ErrorKind::Incompatible, Some("own")), "{error}");
    let drop = |names: &[&str]| Edits {
        drop_states: names.iter().map(|name| StateName::parse(name)).collect(),
        ..Edits::default()
    };
    let (result, report) = exported(&source, &Options { edits: drop(&["own"]), ..Options::default() });
    let error = result.unwrap_err();
    assert!(error.message().contains("18446744073709551615"), "{error}");
    assert_eq!(report.refused().count(), 1, "{report}");
    let (result, _) = exported(&source, &Options { edits: drop(&["own", "count"]), ..Options::default() });
    assert!(result.is_ok());
}
