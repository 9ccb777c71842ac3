//! The job against the oracle on a small input, through kills and restores, and with records lost or doubled on purpose.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use millpond::ErrorKind;
use millpond::backend::{BackendConfig, BackendKind};
use millpond::checkpoint::restart::RestartStrategy;
use millpond::ids::CheckpointId;
use tempfile::TempDir;

use crate::checkpoints::convert_to_rocksdb;
use crate::dataset::Dataset;
use crate::event::Event;
use crate::job::Job;
use crate::report::{self, Comparison};
use crate::split_reader::Tamper;

const FLIGHTS: u64 = 3_000;
const DAY_MS: i64 = 86_400_000;
const THIRTY_DAYS_MS: i64 = 30 * DAY_MS;

/// A directory with an input, checkpoints and reports of its own.
struct Bench {
    directory: TempDir,
}

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Flights of 60 aircraft over 200 days, some of them long away, with every kind of missing field; one aircraft comes
/// back exactly when its state expires, one a millisecond earlier.
fn flights() -> String {
    let mut numbers = Numbers(7);
    let mut records: Vec<(i64, String)> = Vec::new();
    for _ in 0..FLIGHTS - 4 {
        let aircraft = numbers.below(60);
        let day = numbers.below(200);
        let away = aircraft.is_multiple_of(3) && day % 100 > 20 + aircraft;
        let time_ms = i64::try_from(if away { 7 } else { day }).unwrap() * DAY_MS
            + i64::try_from(numbers.below(1440)).unwrap() * 60_000;
        let tailnum = if numbers.below(50) == 0 { String::new() } else { format!("N{aircraft}") };
        let carrier = ["UA", "AA", "??"][usize::try_from(numbers.below(3)).unwrap()];
        let origin = ["EWR", "JFK", "LGA"][usize::try_from(numbers.below(3)).unwrap()];
        let minutes = match numbers.below(12) {
            0 => ",,".to_owned(),
            1 => "5,,".to_owned(),
            _ => format!("{},{},{}", numbers.below(90), numbers.below(120), 30 + numbers.below(200)),
        };
        records.push((time_ms, format!("{tailnum},{carrier},{origin},D{},{minutes}", numbers.below(9))));
    }
    for (tailnum, gap_ms) in [("N-exact", THIRTY_DAYS_MS), ("N-before", THIRTY_DAYS_MS - 1)] {
        for time_ms in [170 * DAY_MS - gap_ms, 170 * DAY_MS] {
            records.push((time_ms, format!("{tailnum},UA,JFK,D1,1,2,100")));
        }
    }
    records.sort_by_key(|(time_ms, _)| *time_ms);
    let mut table = "event_ms,row,tailnum,carrier,origin,dest,dep_delay,arr_delay,air_time\n".to_owned();
    for (row, (time_ms, rest)) in records.iter().enumerate() {
        writeln!(table, "{time_ms},{row},{rest}").unwrap();
    }
    table
}

impl Bench {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let write = |name, content: &str| {
            File::create(directory.path().join(name)).unwrap().write_all(content.as_bytes()).unwrap();
        };
        write("flights.csv", &flights());
        write("airlines.csv", "carrier,name\nUA,United Air Lines Inc.\nAA,American Airlines Inc.\n");
        Bench { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn job(&self, parallelism: u32, restore: bool) -> Job {
        Job {
            input: self.path(""),
            checkpoints: self.path("checkpoints"),
            report: self.path("job.jsonl"),
            parallelism,
            backend: BackendConfig::default(),
            restore,
            from: None,
            flights_per_second: 20_000,
            interval_ms: 10,
            timeout_ms: 10_000,
            restart: RestartStrategy::None,
            with_faults: false,
            tamper: None,
        }
    }

    /// Runs until the given number of checkpoints was acknowledged, slowly enough not to be at the end by then; returns
    /// the number of the last one.
    fn run_until_checkpoint(&self, parallelism: u32, restore: bool, count: u32) -> u64 {
        Self::run_job_until_checkpoint(self.job(parallelism, restore), count)
    }

    fn run_job_until_checkpoint(job: Job, mut count: u32) -> u64 {
        let mut last = 0;
        let slow = Job { flights_per_second: 1_000, ..job };
        let outcome = slow.run_observed(&mut |event| {
            if let Event::Completed { checkpoint, .. } = event {
                count -= 1;
                last = checkpoint;
            }
            if count == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Aborted);
        last
    }

    fn compare(&self) -> Comparison {
        let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights/oracle.py");
        let output = Command::new("python3").arg(oracle).arg(self.path("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = self.path("oracle.jsonl");
        File::create(&path).unwrap().write_all(&output.stdout).unwrap();
        report::compare(&self.path("job.jsonl"), &path).unwrap()
    }
}

fn run_to_the_end(job: &Job) {
    job.run_observed(&mut |_| ControlFlow::Continue(())).unwrap();
}

#[test]
fn a_job_that_dies_twice_and_is_rescaled_agrees_with_the_oracle() {
    for [first, second, third] in [[2, 3, 1], [1, 4, 2], [5, 2, 13]] {
        let bench = Bench::new();
        let acknowledged = bench.run_until_checkpoint(first, false, 3);
        let later = bench.run_until_checkpoint(second, true, 2);
        assert!(later > acknowledged);
        run_to_the_end(&bench.job(third, true));
        let comparison = bench.compare();
        assert_eq!(comparison.differences, Vec::<String>::new(), "{first} {second} {third}");
        assert_eq!(comparison.flights, FLIGHTS);
        assert!(comparison.aircraft >= 60 && comparison.windows > 1000, "{comparison:?}");
    }
}

#[test]
fn reports_of_different_histories_are_the_same_bytes() {
    let (quiet, eventful) = (Bench::new(), Bench::new());
    run_to_the_end(&Job { flights_per_second: 0, interval_ms: u64::from(u32::MAX), ..quiet.job(1, false) });
    eventful.run_until_checkpoint(3, false, 2);
    run_to_the_end(&eventful.job(2, true));
    let read = |bench: &Bench| std::fs::read_to_string(bench.path("job.jsonl")).unwrap();
    assert_eq!(read(&quiet), read(&eventful));
}

/// A checkpoint of the heap, converted; RocksDB goes on from it, dies, and goes on from its own checkpoint.
#[test]
fn a_job_moves_from_the_heap_to_rocksdb() {
    let bench = Bench::new();
    let acknowledged = bench.run_until_checkpoint(2, false, 3);
    let converted = bench.path("converted");
    let entries = convert_to_rocksdb(&bench.path("checkpoints"), CheckpointId(acknowledged), &converted).unwrap();
    assert!(entries > 100, "{entries} entries");
    let on_rocksdb = |parallelism, restore, from| {
        let checkpoints = bench.path("on-rocksdb");
        let backend = crate::backend(BackendKind::RocksDb, &checkpoints);
        Job { checkpoints, backend, from, interval_ms: 50, ..bench.job(parallelism, restore) }
    };
    let later = Bench::run_job_until_checkpoint(on_rocksdb(3, false, Some(converted)), 2);
    assert!(later > acknowledged);
    run_to_the_end(&on_rocksdb(2, true, None));
    let comparison = bench.compare();
    assert_eq!(comparison.differences, Vec::<String>::new());
    assert_eq!(comparison.flights, FLIGHTS);
}

#[test]
fn a_lost_or_doubled_record_is_noticed() {
    for tamper in [Tamper::Skip(1234), Tamper::Repeat(1234)] {
        let bench = Bench::new();
        run_to_the_end(&Job { tamper: Some(tamper), flights_per_second: 0, ..bench.job(2, false) });
        let differences = bench.compare().differences;
        let about = |what: &str| differences.iter().any(|difference| difference.starts_with(what));
        assert!(about("aircraft ") && about("window "), "{tamper:?}: {differences:?}");
    }
}

#[test]
fn failures_of_tasks_checkpoints_and_storage_are_survived() {
    let bench = Bench::new();
    let mut events = Vec::new();
    let restart = RestartStrategy::FixedDelay { attempts: 20, delay_ms: 10 };
    let job = Job { with_faults: true, restart, timeout_ms: 400, flights_per_second: 1_500, ..bench.job(2, false) };
    job.run_observed(&mut |event| {
        events.push(event);
        ControlFlow::Continue(())
    })
    .unwrap();
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert!(count(|event| matches!(event, Event::Restarting { .. })) >= 2, "{events:?}");
    assert!(count(|event| matches!(event, Event::Restored { .. })) >= 1, "{events:?}");
    assert!(count(|event| matches!(event, Event::Aborted { .. })) > 0, "{events:?}");
    assert!(count(|event| matches!(event, Event::Completed { .. })) > 5, "{events:?}");
    assert_eq!(bench.compare().differences, Vec::<String>::new());

    let bench = Bench::new();
    let job = Job { with_faults: true, ..bench.job(2, false) };
    let error = job.run_observed(&mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("not started again"), "{error}");
}

#[test]
fn a_restore_without_a_checkpoint_says_so() {
    let bench = Bench::new();
    let error = bench.job(2, true).run_observed(&mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn unsorted_and_malformed_input_is_refused() {
    let bench = Bench::new();
    let header = "event_ms,row,tailnum,carrier,origin,dest,dep_delay,arr_delay,air_time\n";
    for (records, complaint) in [
        ("2,0,N1,UA,JFK,D1,1,2,3\n1,1,N1,UA,JFK,D1,1,2,3\n", "not sorted"),
        ("1,0,N1,UA,JFK,D1,1,2\n", "line 2"),
        ("1,0,N1,UA,JFK,D1,1,2,3,4\n", "line 2"),
        ("1,0,N1,UA,JFK,D1,1,x,3\n", "line 2"),
    ] {
        let mut file = File::create(bench.path("flights.csv")).unwrap();
        write!(file, "{header}{records}").unwrap();
        let error = Dataset::load(&bench.path("")).unwrap_err();
        assert!(error.to_string().contains(complaint), "{error}");
    }
}
