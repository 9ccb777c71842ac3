//! The demo: runs the job in processes of its own, kills them, and compares what the last one reports with the oracle.
//! Then the state that the last killed run left on the heap moves to RocksDB, and the job goes on there to the same result.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use millpond::clock::{Clock, SystemClock};
use millpond::ids::CheckpointId;
use millpond::{Error, Result};

use crate::checkpoints;
use crate::dataset::Dataset;
use crate::event::Event;
use crate::progress::ProgressBar;
use crate::report;

/// The signal that a process can neither handle nor notice.
const SIGKILL: i32 = 9;
/// Differences printed before the rest is only counted.
const SHOWN_DIFFERENCES: usize = 10;

/// What the demo is told on the command line.
#[derive(Debug)]
pub(crate) struct Demo {
    /// Directory of the prepared input.
    pub(crate) input: PathBuf,
    /// Empty directory for checkpoints and reports.
    pub(crate) work: PathBuf,
    /// The Python program that computes the report independently.
    pub(crate) oracle: PathBuf,
    /// Parallelism of each run; every run but the last is killed.
    pub(crate) parallelism: Vec<u32>,
    /// Options handed on to every run.
    pub(crate) run_options: Vec<String>,
}

/// When a run is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    Never,
    /// The job is half-way from the given checkpoint, counted within the run, to the next, which has not begun.
    BetweenCheckpoints(u32),
    /// The barriers of the given checkpoint, counted within the run, have been sent.
    DuringCheckpoint(u32),
}

/// How a run ended.
#[derive(Debug, Default)]
struct Run {
    /// Flights read, as last reported.
    flights: u64,
    /// Latest checkpoint that was acknowledged.
    completed: Option<u64>,
    /// Flights in it.
    covered: u64,
    /// Flights between the two latest checkpoints.
    interval: u64,
    /// Number of checkpoints acknowledged.
    acknowledged: u32,
    /// Checkpoint that was started and not acknowledged.
    pending: Option<u64>,
    /// Checkpoints that were given up.
    aborted: u32,
    /// Failures of the job that it survived by itself.
    restarts: u32,
    killed: bool,
}

impl Demo {
    /// Runs everything. `Ok` with a failure code means that the reports differ.
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let begin_ms = SystemClock.now_ms();
        let total = Dataset::load(&self.input)?.len();
        println!("input    {} flights from {}", grouped(total), self.input.display());
        let mut latest = Run::default();
        let mut moved = None;
        let (mut aborted, mut restarts) = (0, 0);
        for (index, parallelism) in self.parallelism.iter().enumerate() {
            let kill = match (index + 1 == self.parallelism.len(), index % 2) {
                (true, _) => Kill::Never,
                (false, 0) => Kill::BetweenCheckpoints(3),
                (false, _) => Kill::DuringCheckpoint(3),
            };
            if kill == Kill::Never && self.is_on_heap() {
                moved = self.convert(&latest)?;
            }
            latest = self.run_job(index + 1, *parallelism, kill, &latest, total)?;
            aborted += latest.aborted;
            restarts += latest.restarts;
        }
        if restarts + aborted > 0 {
            println!("survived {restarts} failures of the job and {aborted} checkpoints that were given up");
        }
        self.run_oracle()?;
        let mut code = self.compare()?;
        if let Some(moved) = moved.filter(|_| code == ExitCode::SUCCESS) {
            self.run_moved(self.parallelism.len() + 1, &moved, total)?;
            code = self.compare()?;
        }
        println!("         {} in all", seconds_since(begin_ms));
        Ok(code)
    }

    /// Whether the runs use the backend that they use unless they are told otherwise.
    fn is_on_heap(&self) -> bool {
        !self.run_options.iter().any(|option| option == "--backend")
    }

    fn converted(&self) -> PathBuf {
        self.work.join("converted")
    }

    /// Writes the latest checkpoint again for RocksDB. The next run does not notice.
    fn convert(&self, before: &Run) -> Result<Option<Run>> {
        let Some(checkpoint) = before.completed else { return Ok(None) };
        let begin_ms = SystemClock.now_ms();
        let id = CheckpointId(checkpoint);
        let entries = checkpoints::convert_to_rocksdb(&self.work.join("checkpoints"), id, &self.converted())?;
        println!(
            "convert  checkpoint {checkpoint} to a savepoint for RocksDB: {} entries in {}",
            grouped(entries),
            seconds_since(begin_ms)
        );
        Ok(Some(Run {
            completed: before.completed,
            covered: before.covered,
            flights: before.covered,
            ..Run::default()
        }))
    }

    /// Goes on in RocksDB from where the heap was.
    fn run_moved(&self, number: usize, moved: &Run, total: u64) -> Result<()> {
        let parallelism = self.parallelism.last().copied().unwrap_or(1);
        println!("run {number}    parallelism {parallelism}, on RocksDB, from the converted savepoint");
        let mut command = self.command(parallelism, "on-rocksdb")?;
        command.args(["--backend", "rocksdb", "--from"]).arg(self.converted());
        self.follow(command, Kill::Never, moved, total).map(|_| ())
    }

    fn job_report(&self) -> PathBuf {
        self.work.join("job.jsonl")
    }

    fn oracle_report(&self) -> PathBuf {
        self.work.join("oracle.jsonl")
    }

    /// Runs the job in a process of its own until it ends or is killed.
    fn run_job(&self, number: usize, parallelism: u32, kill: Kill, before: &Run, total: u64) -> Result<Run> {
        let restored = match before.completed {
            Some(checkpoint) => format!("restored from checkpoint {checkpoint}"),
            None => "from the start".to_owned(),
        };
        println!("run {number}    parallelism {parallelism}, {restored}");
        let mut command = self.command(parallelism, "checkpoints")?;
        if before.completed.is_some() {
            command.arg("--restore");
        }
        self.follow(command, kill, before, total)
    }

    /// A run of the job, with its checkpoints in this directory.
    fn command(&self, parallelism: u32, checkpoints: &str) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().map_err(|error| no_process("this program", error))?);
        command.arg("run").args(["--parallelism", &parallelism.to_string()]).args(&self.run_options);
        command.arg("--input").arg(&self.input).arg("--checkpoints").arg(self.work.join(checkpoints));
        command.arg("--report").arg(self.job_report());
        Ok(command)
    }

    fn follow(&self, mut command: Command, kill: Kill, before: &Run, total: u64) -> Result<Run> {
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| no_process("the job", error))?;
        let watched = watch(&mut child, kill, before, total);
        if watched.is_err() {
            // The job must not outlive the demo; that it may be gone already does not matter.
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| no_process("the job", error))?;
        let run = watched?;
        let expected = if run.killed { status.signal() == Some(SIGKILL) } else { status.success() };
        if !expected {
            return Err(Error::internal(format!("the job ended with {status}")));
        }
        describe_end(&run, kill);
        Ok(run)
    }

    fn run_oracle(&self) -> Result<()> {
        let begin_ms = SystemClock.now_ms();
        let path = self.oracle_report();
        let output = File::create(&path).map_err(|error| no_process("the oracle's report", error))?;
        let mut command = Command::new("python3");
        command.arg(&self.oracle).arg(&self.input).stdout(output);
        let status = command.status().map_err(|error| no_process("python3", error))?;
        if !status.success() {
            return Err(Error::internal(format!("{} ended with {status}", self.oracle.display())));
        }
        println!("oracle   computed the report without millpond in {}", seconds_since(begin_ms));
        Ok(())
    }

    fn compare(&self) -> Result<ExitCode> {
        let comparison = report::compare(&self.job_report(), &self.oracle_report())?;
        if comparison.differences.is_empty() {
            println!(
                "PROOF: {} aircraft and {} airport hours, {} aggregates over {} flights, all equal: nothing lost, nothing counted twice",
                grouped(comparison.aircraft as u64),
                grouped(comparison.windows as u64),
                grouped(comparison.aggregates as u64),
                grouped(comparison.flights),
            );
            return Ok(ExitCode::SUCCESS);
        }
        for difference in comparison.differences.iter().take(SHOWN_DIFFERENCES) {
            println!("  {difference}");
        }
        let (job, oracle) = (self.job_report(), self.oracle_report());
        println!(
            "DIFFERENT: {} lines differ between {} and {}",
            grouped(comparison.differences.len() as u64),
            job.display(),
            oracle.display()
        );
        Ok(ExitCode::FAILURE)
    }
}

/// Follows a run through its events and kills it when the time has come.
fn watch(child: &mut Child, kill: Kill, before: &Run, total: u64) -> Result<Run> {
    let mut run =
        Run { flights: before.covered, completed: before.completed, covered: before.covered, ..Run::default() };
    let mut bar = ProgressBar::new(total);
    let Some(stdout) = child.stdout.take() else { return Err(Error::internal("the job has no standard output")) };
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|error| no_process("the job", error))?;
        // A line that the kill cut in half is the last one.
        let event = match line.parse::<Event>() {
            Ok(event) => event,
            Err(_) if run.killed => break,
            Err(error) => return Err(error),
        };
        if !matches!(event, Event::Progress { .. } | Event::Started { .. }) {
            bar.clear();
        }
        run.note(event, before)?;
        bar.show(run.flights);
        if !run.killed && run.is_time_for(kill) {
            child.kill().map_err(|error| no_process("the job", error))?;
            run.killed = true;
        }
    }
    bar.clear();
    Ok(run)
}

impl Run {
    fn note(&mut self, event: Event, before: &Run) -> Result<()> {
        match event {
            Event::Restored { checkpoint, flights } => {
                // A checkpoint whose acknowledgement the kill swallowed is newer than the one the demo knows of.
                if before.completed.is_some_and(|known| checkpoint < known) {
                    return Err(Error::internal(format!("an older checkpoint was restored: {checkpoint}")));
                }
                let lost = grouped(self.flights.max(before.flights).saturating_sub(flights));
                println!("         checkpoint {checkpoint} holds {} flights; {lost} are read again", grouped(flights));
                (self.completed, self.covered, self.flights) = (Some(checkpoint), flights, flights);
            }
            Event::Progress { flights } => self.flights = flights,
            Event::Started { checkpoint } => self.pending = Some(checkpoint),
            Event::Aborted { checkpoint } => {
                println!("         checkpoint {checkpoint} was given up");
                self.aborted += 1;
                self.pending = None;
            }
            Event::Restarting { delay_ms } => {
                println!("         the job failed at {} flights; restart in {delay_ms} ms", grouped(self.flights));
                self.restarts += 1;
                self.pending = None;
            }
            Event::Completed { checkpoint, flights, bytes, millis } => {
                println!(
                    "         checkpoint {checkpoint}: {} flights, {} kB, {millis} ms",
                    grouped(flights),
                    grouped(bytes / 1000)
                );
                self.completed = Some(checkpoint);
                self.interval = flights.saturating_sub(self.covered);
                self.covered = flights;
                self.acknowledged += 1;
                self.pending = None;
            }
            Event::Finished { flights } => self.flights = flights,
        }
        Ok(())
    }

    fn is_time_for(&self, kill: Kill) -> bool {
        match kill {
            Kill::Never => false,
            Kill::BetweenCheckpoints(nth) => {
                self.acknowledged >= nth && self.pending.is_none() && self.flights > self.covered + self.interval / 2
            }
            Kill::DuringCheckpoint(nth) => self.acknowledged + 1 >= nth && self.pending.is_some(),
        }
    }
}

fn describe_end(run: &Run, kill: Kill) {
    let flights = grouped(run.flights);
    if !run.killed {
        let surprise = if kill == Kill::Never { "" } else { " before it could be killed" };
        println!("         finished{surprise}: {flights} flights");
        return;
    }
    let moment = match (run.pending, run.completed) {
        (Some(pending), _) => format!("while checkpoint {pending} was being taken"),
        (None, Some(completed)) => format!("after checkpoint {completed}, before the next"),
        (None, None) => "before any checkpoint".to_owned(),
    };
    println!("         killed (SIGKILL) {moment}, {flights} flights read");
}

fn no_process(what: &str, error: std::io::Error) -> Error {
    Error::unavailable(format!("{what} failed")).because(error)
}

/// A number with commas between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn seconds_since(begin_ms: i64) -> String {
    format!("{:.1} s", (SystemClock.now_ms() - begin_ms) as f64 / 1000.0)
}
