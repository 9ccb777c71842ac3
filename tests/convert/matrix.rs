//! Every source format to every target format, at other parallelisms and max parallelisms.

use millpond::backend::conformance::Cluster;
use millpond::backend::{BackendConfig, BackendKind, KeyedSnapshotFormat};
use millpond::convert::{Format, Options};
use millpond::serializer::Str;
use millpond::snapshot::verify::VerifyEvent;

use millpond::state::OperatorListState as _;

use super::job::{EmptyDirectory, Stored, filled, options};

/// Sources of the same state: how the heap writes it, and as a database.
fn sources(parallelism: u32, max_parallelism: u32, scratch: &EmptyDirectory) -> Vec<(String, Stored)> {
    let heap = BackendConfig::new(BackendKind::Heap);
    let mut cluster = filled(&heap, parallelism, max_parallelism);
    let canonical = Stored::of(&mut cluster, KeyedSnapshotFormat::Canonical);
    let native = Stored::of(&mut cluster, KeyedSnapshotFormat::Native);
    let incremental = Stored::of(&mut cluster, KeyedSnapshotFormat::Incremental);
    let (database, _) = canonical.convert(&options(Format::NativeRocksDb, &scratch.path())).unwrap();
    let named = [("canonical", canonical), ("native", native), ("incremental", incremental), ("database", database)];
    named.map(|(name, stored)| (name.to_owned(), stored)).into()
}

fn check_intact(stored: &Stored, scratch: &EmptyDirectory) {
    let reader = stored.open(&scratch.path());
    let tally = reader.verify(&mut |event| {
        if let VerifyEvent::Found(finding) = event {
            panic!("{}", finding.error);
        }
        std::ops::ControlFlow::Continue(())
    });
    assert!(tally.unwrap().is_intact());
}

/// Whatever the way, canonical bytes depend on the state, the parallelism does not matter, and nothing is lost.
#[test]
fn every_format_converts_to_every_other() {
    let scratch = EmptyDirectory::new();
    for (parallelism, max_parallelism) in [(1, 16), (3, 16)] {
        let sources = sources(parallelism, max_parallelism, &scratch);
        let content = sources[0].1.content(&scratch.path());
        let digest = sources[0].1.manifest().keyed_digest().unwrap();
        for (name, source) in &sources {
            for to in Format::ALL {
                let (converted, report) = source.convert(&options(to, &scratch.path())).unwrap();
                assert_eq!(converted.content(&scratch.path()), content, "{name} to {to}");
                check_intact(&converted, &scratch);
                if to == Format::Canonical {
                    assert_eq!(report.keyed_digest, Some(digest), "{name} to {to}");
                }
                let (back, report) = converted.convert(&options(Format::Canonical, &scratch.path())).unwrap();
                assert_eq!(report.keyed_digest, Some(digest), "{name} to {to} and back");
                assert_eq!(back.manifest().keyed_digest().unwrap(), digest);
                scratch.check();
            }
        }
    }
}

/// At another parallelism keyed state has the same canonical bytes; operator state keeps every element and their order.
#[test]
fn parallelism_changes_and_changes_back() {
    let scratch = EmptyDirectory::new();
    let sources = sources(3, 16, &scratch);
    let digest = sources[0].1.manifest().keyed_digest().unwrap();
    let elements = |stored: &Stored, state: &str| -> Vec<Vec<u8>> {
        stored.content(&scratch.path())[state].iter().map(|(_, _, value)| value.clone()).collect()
    };
    for (name, source) in &sources {
        for to in Format::ALL {
            let parallelisms: &[u32] =
                if to == Format::NativeRocksDb || name == "incremental" { &[5] } else { &[1, 2, 5, 16] };
            for &parallelism in parallelisms {
                let options = Options { parallelism: Some(parallelism), ..options(to, &scratch.path()) };
                let (converted, report) = source.convert(&options).unwrap();
                assert_eq!(report.operators[0].parallelism, (3, parallelism));
                let subtasks = &converted.manifest().operators[0].subtasks;
                assert_eq!(subtasks.len(), parallelism as usize);
                for state in ["split", "union", "broadcast"] {
                    assert_eq!(elements(&converted, state), elements(source, state), "{name} to {to}, {state}");
                }
                let mut split = converted.content(&scratch.path()).remove("split").unwrap();
                split.dedup_by(|a, b| a.0 == b.0);
                assert_eq!(split.len(), parallelism as usize, "every subtask gets some");
                let back = Options { parallelism: Some(3), ..super::job::options(Format::Canonical, &scratch.path()) };
                let (back, _) = converted.convert(&back).unwrap();
                assert_eq!(back.manifest().keyed_digest().unwrap(), digest, "{name} to {to} at {parallelism}");
            }
        }
    }
    scratch.check();
}

/// Another max parallelism hashes every key anew: as if the job had always had it.
#[test]
fn s_27_max_parallelism_changes_by_conversion() {
    let scratch = EmptyDirectory::new();
    let sources = sources(2, 16, &scratch);
    for max_parallelism in [2, 7, 128, 32_768] {
        let mut natural = filled(&BackendConfig::new(BackendKind::Heap), 2, max_parallelism);
        let natural = Stored::of(&mut natural, KeyedSnapshotFormat::Canonical);
        let expected = natural.manifest().keyed_digest().unwrap();
        for (name, source) in &sources {
            for to in Format::ALL {
                if to == Format::NativeRocksDb && max_parallelism > 1000 {
                    continue;
                }
                // So little memory that runs are written.
                let options =
                    Options { max_parallelism: Some(max_parallelism), memory_bytes: 0, ..options(to, &scratch.path()) };
                let (converted, report) = source.convert(&options).unwrap();
                assert_eq!(report.operators[0].max_parallelism, (16, max_parallelism));
                check_intact(&converted, &scratch);
                let back =
                    Options { max_parallelism: Some(16), ..super::job::options(Format::Canonical, &scratch.path()) };
                let (canonical, report) = match to {
                    Format::Canonical => (converted.clone(), report),
                    _ => converted.convert(&super::job::options(Format::Canonical, &scratch.path())).unwrap(),
                };
                assert_eq!(report.keyed_digest, Some(expected), "{name} to {to} with {max_parallelism}");
                let (back, _) = canonical.convert(&back).unwrap();
                assert_eq!(back.manifest().keyed_digest().unwrap(), sources[0].1.manifest().keyed_digest().unwrap());
            }
        }
    }
    scratch.check();
}

/// A program goes on from what was converted, at yet another parallelism.
#[test]
fn what_was_converted_restores() {
    let scratch = EmptyDirectory::new();
    for (name, source) in sources(2, 16, &scratch) {
        for to in [Format::Canonical, Format::NativeHeap] {
            let options = Options { parallelism: Some(4), ..options(to, &scratch.path()) };
            let (converted, _) = source.convert(&options).unwrap();
            let plan = millpond::backend::conformance::Plan::new(&BackendConfig::new(BackendKind::Heap))
                .with_storage(converted.storage.clone());
            let mut cluster = Cluster::restore(plan, Str, 3, &converted.directory).unwrap();
            let lists = cluster.register_operator(|backend| backend.register_list(&super::job::SPLIT)).unwrap();
            let values = cluster.register(|backend| backend.register_value(&super::job::VALUE)).unwrap();
            let mut found = 0;
            for (at, subtask) in cluster.subtasks.iter_mut().enumerate() {
                subtask.keyed.for_each_value(&values[at], |_, (), _| found += 1).unwrap();
                assert!(!subtask.operator.list(&lists[at]).unwrap().get().unwrap().is_empty());
            }
            assert_eq!(found, super::job::KEYS, "{name} to {to}");
            let again = Stored::of(&mut cluster, KeyedSnapshotFormat::Canonical);
            assert_eq!(again.manifest().keyed_digest().unwrap(), source_digest(&source, &scratch), "{name} to {to}");
        }
    }
}

/// One plan decides for both: what is converted to a parallelism and what is restored at it lie in the same subtasks.
#[test]
fn s_25_conversion_and_restore_distribute_alike() {
    let scratch = EmptyDirectory::new();
    let mut cluster = filled(&BackendConfig::new(BackendKind::Heap), 3, 16);
    let source = Stored::of(&mut cluster, KeyedSnapshotFormat::Canonical);
    for parallelism in [1, 2, 3, 5, 16] {
        let wanted = Options { parallelism: Some(parallelism), ..options(Format::Canonical, &scratch.path()) };
        let (converted, _) = source.convert(&wanted).unwrap();
        let mut restored = Cluster::restore(cluster.plan.clone(), Str, parallelism, &source.directory).unwrap();
        let restored = Stored::of(&mut restored, KeyedSnapshotFormat::Canonical);
        let content = restored.content(&scratch.path());
        assert_eq!(content, converted.content(&scratch.path()), "at parallelism {parallelism}");
        let holders = content["split"].iter().map(|(owner, ..)| owner).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(holders.len(), parallelism as usize);
    }
    scratch.check();
}

fn source_digest(source: &Stored, scratch: &EmptyDirectory) -> millpond::codec::Digest {
    let (canonical, _) = source.convert(&options(Format::Canonical, &scratch.path())).unwrap();
    canonical.manifest().keyed_digest().unwrap()
}
