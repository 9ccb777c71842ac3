//! The flights that left New York City in 2013, as a stateful streaming job that survives being killed.
//!
//! `make demo` runs it. The files, in the order in which they are best read:
//!
//! - `SEMANTICS.md`: what is computed;
//! - `aircraft.rs`, `airports.rs`: the two operators and their state;
//! - `dataset.rs`, `split_reader.rs`, `source.rs`: a source that can be replayed;
//! - `exchange.rs`, `subtask.rs`, `coordinator.rs`, `job.rs`: records, watermarks and barriers between threads, and restarts;
//! - `faults.rs`: what goes wrong on purpose;
//! - `checkpoints.rs`: how the parts of a checkpoint become durable and are found again;
//! - `demo.rs`, `report.rs`, `oracle.py`: the kills and the proof.

mod aircraft;
mod airports;
mod checkpoints;
mod coordinator;
mod dataset;
mod demo;
mod event;
mod exchange;
mod faults;
mod job;
mod options;
mod progress;
mod report;
mod source;
mod split_reader;
mod subtask;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;

use millpond::backend::{BackendConfig, BackendKind};
use millpond::checkpoint::restart::{Backoff, RestartStrategy};
use millpond::{Error, Result};

use crate::demo::Demo;
use crate::job::Job;
use crate::options::Options;

const USAGE: &str = "\
usage: flights demo --input DIR --work DIR --oracle FILE [--parallelism 2,3,4] [run options]
       flights run --input DIR --checkpoints DIR --report FILE --parallelism N [--restore] [--from DIR] [run options]

  --restore          go on from the latest checkpoint
  --from DIR         go on from a snapshot that lies elsewhere; it stays as it is

run options:
  --backend NAME     where keyed state lives: heap (default), or rocksdb, with its databases beside the checkpoints
  --rate N           flights per second and job, 0 for no limit (default 60000)
  --interval-ms N    milliseconds from one checkpoint to the next (default 400)
  --timeout-ms N     milliseconds after which a checkpoint is given up (default 10000; with --faults 2000)
  --restart NAME     none, fixed-delay, failure-rate or exponential-delay: what is done about failures
                     (default none; with --faults exponential-delay)
  --faults           let tasks fail, checkpoints take too long and storage refuse
  --skip N           leave flight N out, to see that the comparison notices
  --repeat N         read flight N twice, to see that the comparison notices";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let outcome = match command.as_deref() {
        Some("demo") => Options::new(arguments).and_then(parse_demo).and_then(|demo| demo.run()),
        Some("run") => Options::new(arguments).and_then(parse_run).and_then(|job| job.run()),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("flights: {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            eprintln!("  because: {inner}");
            cause = inner.source();
        }
        ExitCode::from(2)
    })
}

/// A restart strategy by name, with delays that fit a job of seconds.
fn restart(name: Option<String>, with_faults: bool) -> Result<RestartStrategy> {
    let default = if with_faults { "exponential-delay" } else { "none" };
    match name.as_deref().unwrap_or(default) {
        "none" => Ok(RestartStrategy::None),
        "fixed-delay" => Ok(RestartStrategy::FixedDelay { attempts: 10, delay_ms: 100 }),
        "failure-rate" => Ok(RestartStrategy::FailureRate { max_failures: 10, interval_ms: 60_000, delay_ms: 100 }),
        "exponential-delay" => Ok(RestartStrategy::ExponentialDelay(Backoff {
            initial_ms: 50,
            max_ms: 1_000,
            reset_after_ms: 10_000,
            attempts: Some(10),
            ..Backoff::default()
        })),
        other => Err(Error::invalid_input(format!("--restart cannot be {other:?}"))),
    }
}

/// A backend with its usual settings; databases lie beside the checkpoints.
fn backend(kind: BackendKind, checkpoints: &Path) -> BackendConfig {
    let mut config = BackendConfig::new(kind);
    config.rocksdb = config.rocksdb.with_directory(checkpoints.with_extension("local"));
    config
}

fn parse_demo(mut options: Options) -> Result<Demo> {
    let parallelism: String = options.take("parallelism")?.unwrap_or_else(|| "2,3,4".to_owned());
    let numbers: Option<Vec<u32>> = parallelism.split(',').map(|number| number.parse().ok()).collect();
    Ok(Demo {
        input: options.require_path("input")?,
        work: options.require_path("work")?,
        oracle: options.require_path("oracle")?,
        parallelism: numbers.ok_or_else(|| {
            Error::invalid_input(format!("--parallelism cannot be {parallelism:?}, it is like 2,3,4"))
        })?,
        run_options: options.rest(),
    })
}

fn parse_run(mut options: Options) -> Result<Job> {
    let with_faults = options.switch("faults")?;
    let checkpoints = options.require_path("checkpoints")?;
    let job = Job {
        input: options.require_path("input")?,
        report: options.require_path("report")?,
        parallelism: options.require("parallelism")?,
        backend: backend(options.take("backend")?.unwrap_or_default(), &checkpoints),
        checkpoints,
        restore: options.switch("restore")?,
        from: options.take("from")?,
        flights_per_second: options.take("rate")?.unwrap_or(60_000),
        interval_ms: options.take("interval-ms")?.unwrap_or(400),
        timeout_ms: options.take("timeout-ms")?.unwrap_or(if with_faults { 2_000 } else { 10_000 }),
        restart: restart(options.take("restart")?, with_faults)?,
        with_faults,
        tamper: options.tamper()?,
    };
    options.finish()?;
    Ok(job)
}
