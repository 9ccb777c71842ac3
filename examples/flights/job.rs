//! Puts the job together: source, aircraft and airports, each with as many subtasks as the parallelism says.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use millpond::backend::BackendConfig;
use millpond::checkpoint::config::Termination;
use millpond::checkpoint::driver::{LocalPlaces, Opened, Restore, Setup, Start};
use millpond::checkpoint::restart::{RestartDecider, RestartStrategy, Verdict};
use millpond::checkpoint::{Config, Driver, Event as Happened};
use millpond::clock::{Clock, SystemClock};
use millpond::codec::Writer;
use millpond::ids::SubtaskIndex;
use millpond::key_group::{MaxParallelism, Parallelism};
use millpond::random::{RandomSource, SystemRandom};
use millpond::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::aircraft::Aircraft;
use crate::airports::Airports;
use crate::checkpoints::{self, Restored, SourceState, Store, Subtask};
use crate::coordinator::{Coordinator, Nobody, Notice, Notification, Observer, Threads, abandoned, pause};
use crate::dataset::{Dataset, FLIGHT_SPLITS};
use crate::event::Event;
use crate::exchange::{self, Envelope, Output};
use crate::faults::Faults;
use crate::report;
use crate::source::{Command, Source};
use crate::split_reader::{SplitReader, Tamper};
use crate::subtask::{self, Ends};

/// Number of key groups; fixed for the life of the job.
const MAX_PARALLELISM: u32 = 128;

/// One run of the job.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Directory of the prepared input.
    pub(crate) input: PathBuf,
    /// Directory for checkpoints.
    pub(crate) checkpoints: PathBuf,
    /// File for the report.
    pub(crate) report: PathBuf,
    /// Number of subtasks of each operator.
    pub(crate) parallelism: u32,
    /// Where keyed state lives.
    pub(crate) backend: BackendConfig,
    /// Whether to go on from the latest checkpoint.
    pub(crate) restore: bool,
    /// A snapshot elsewhere to go on from, where there is no checkpoint.
    pub(crate) from: Option<PathBuf>,
    /// Speed limit of the whole job; 0 for none.
    pub(crate) flights_per_second: u64,
    /// Time from one checkpoint to the next.
    pub(crate) interval_ms: u64,
    /// A checkpoint that takes longer is given up.
    pub(crate) timeout_ms: u64,
    /// What is done about failures.
    pub(crate) restart: RestartStrategy,
    /// Whether tasks, checkpoints and storage fail on purpose.
    pub(crate) with_faults: bool,
    pub(crate) tamper: Option<Tamper>,
}

/// What all subtasks of a run share.
struct Context<'a> {
    job: &'a Job,
    store: &'a Store,
    faults: &'a Faults,
    restore: Option<&'a Restore>,
    restored: Option<&'a Restored>,
    dataset: Arc<Dataset>,
    parallelism: Parallelism,
    max_parallelism: MaxParallelism,
    flights_read: Arc<AtomicU64>,
}

impl Job {
    /// Runs to the end of the input, telling what happens on standard output.
    pub(crate) fn run(&self) -> Result<ExitCode> {
        self.run_observed(&mut |event| match writeln!(std::io::stdout(), "{event}") {
            Ok(()) => ControlFlow::Continue(()),
            // Nobody listens any more.
            Err(_) => ControlFlow::Break(()),
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// Runs to the end of the input, or until the observer breaks, which is an [`ErrorKind::Aborted`]. Failures are survived
    /// as the restart strategy says.
    pub(crate) fn run_observed(&self, observer: Observer<'_>) -> Result<()> {
        let max_parallelism = MaxParallelism::new(MAX_PARALLELISM)?;
        let parallelism = Parallelism::new(self.parallelism, max_parallelism)?;
        let dataset = Arc::new(Dataset::load(&self.input)?);
        let faults = if self.with_faults { Faults::in_job(dataset.len(), self.timeout_ms) } else { Faults::default() };
        let store = Store::open(&self.checkpoints, faults.clone())?;
        let job = checkpoints::job(parallelism, max_parallelism)?;
        let mut setup = Setup::new(job, self.config(), Arc::clone(&store.storage), Arc::new(SystemRandom));
        if let Some(from) = &self.from {
            setup.places = Some(Arc::new(LocalPlaces));
            setup.origin = Some(checkpoints::origin(from)?);
        }
        let Opened { mut driver, start, .. } = Driver::open(setup, SystemClock.now_ms())?;
        self.check_start(&start)?;
        let flights_read = Arc::new(AtomicU64::new(0));
        let mut restarts = RestartDecider::new(self.restart)?;
        let lines = loop {
            let restore = next_start(&mut driver)?;
            let restored = restore.as_ref().map(Restored::open).transpose()?;
            let context = Context {
                job: self,
                store: &store,
                faults: &faults,
                restore: restore.as_ref(),
                restored: restored.as_ref(),
                dataset: Arc::clone(&dataset),
                parallelism,
                max_parallelism,
                flights_read: Arc::clone(&flights_read),
            };
            match context.run(&mut driver, observer) {
                Ok(lines) => break lines,
                Err(error) => survive(error, &mut driver, &mut restarts, observer)?,
            }
        };
        report::write(&self.report, &lines)?;
        // Checkpoints are left for people to look at. What cannot be settled now is found by the next coordinator.
        let _ = driver.terminate(SystemClock.now_ms(), Termination::Suspended, &mut Nobody);
        let flights = flights_read.load(Ordering::Relaxed);
        let _ = observer(Event::Finished { flights });
        Ok(())
    }

    fn config(&self) -> Config {
        Config {
            timeout_ms: self.timeout_ms,
            // So that the end of the input finds a moment without a checkpoint.
            min_pause_ms: 1,
            tolerable_failures: 3,
            retained: 2,
            ..Config::every(self.interval_ms)
        }
    }

    fn check_start(&self, start: &Start) -> Result<()> {
        match (self.restore, start) {
            (true, Start::Empty) => Err(Error::not_found("there is no complete checkpoint to restore")),
            (false, Start::From(restore)) if self.from.is_none() => Err(Error::invalid_input(format!(
                "there is checkpoint {} of an earlier run; go on from it with --restore, or choose another directory",
                restore.id
            ))),
            _ => Ok(()),
        }
    }
}

/// Waits as the restart strategy says, or gives up.
fn survive(error: Error, driver: &mut Driver, restarts: &mut RestartDecider, observer: Observer<'_>) -> Result<()> {
    if error.message() == abandoned().message() {
        return Err(error);
    }
    driver.handle(SystemClock.now_ms(), Happened::JobFailed, &mut Nobody);
    let random = u64::try_from(SystemRandom.next_u128()? >> 64).unwrap_or_default();
    match restarts.on_failure(SystemClock.now_ms(), random) {
        Verdict::Restart { delay_ms } => {
            if observer(Event::Restarting { delay_ms }).is_break() {
                return Err(abandoned());
            }
            pause(Duration::from_millis(delay_ms));
            Ok(())
        }
        Verdict::GiveUp(reason) => {
            Err(Error::aborted(format!("the job is not started again: {reason}")).because(error))
        }
    }
}

/// What the job starts from, as soon as that is decided.
fn next_start(driver: &mut Driver) -> Result<Option<Restore>> {
    loop {
        match driver.start()? {
            Start::Empty => return Ok(None),
            Start::From(restore) => return Ok(Some(restore)),
            Start::Undecided(_) => {
                driver.settle(SystemClock.now_ms(), &mut Nobody);
                pause(Duration::from_millis(10));
            }
        }
    }
}

impl Context<'_> {
    /// Runs all threads and returns the lines of the report.
    fn run(&self, driver: &mut Driver, observer: Observer<'_>) -> Result<Vec<Value>> {
        let (notice, notices) = channel();
        let (to_aircraft, aircraft_inboxes) = exchange::queues(self.parallelism.get());
        let (to_airports, airports_inboxes) = exchange::queues(self.parallelism.get());
        let (sources, commands) = self.sources(&to_aircraft, &to_airports, &notice)?;
        drop((to_aircraft, to_airports));
        let restored_flights = sources.iter().map(|source| source.reader.flights()).sum();
        self.flights_read.store(restored_flights, Ordering::Relaxed);
        self.faults.skip(restored_flights);
        if let Some(restored) = self.restored
            && observer(Event::Restored { checkpoint: restored.id.0, flights: restored_flights }).is_break()
        {
            return Err(abandoned());
        }
        let keyed = aircraft_inboxes.len() + airports_inboxes.len();
        let (notifications, mut notified): (Vec<_>, Vec<_>) = (0..keyed).map(|_| channel::<Notification>()).unzip();
        let notified_airports = notified.split_off(aircraft_inboxes.len());
        let coordinator = Coordinator {
            driver,
            threads: Threads::new(commands, notifications, observer),
            notices,
            flights_read: Arc::clone(&self.flights_read),
        };
        thread::scope(|scope| {
            let mut subtasks = Vec::new();
            for source in sources {
                let notice = notice.clone();
                subtasks.push(scope.spawn(move || or_notify(&notice, || source.run().map(|()| Vec::new()))));
            }
            for ((index, inbox), notified) in (0..).zip(aircraft_inboxes).zip(notified) {
                let notice = notice.clone();
                let run =
                    move || or_notify(&notice, || self.run_aircraft(index, self.ends(&inbox, &notified, &notice)));
                subtasks.push(scope.spawn(run));
            }
            for ((index, inbox), notified) in (0..).zip(airports_inboxes).zip(notified_airports) {
                let notice = notice.clone();
                let run =
                    move || or_notify(&notice, || self.run_airports(index, self.ends(&inbox, &notified, &notice)));
                subtasks.push(scope.spawn(run));
            }
            drop(notice);
            join(coordinator.run(self.restore), subtasks)
        })
    }

    fn ends<'a>(
        &self,
        inbox: &'a Receiver<Envelope>,
        notifications: &'a Receiver<Notification>,
        coordinator: &'a Sender<Notice>,
    ) -> Ends<'a> {
        // One input from each source subtask.
        let inputs = usize::try_from(self.parallelism.get()).unwrap_or(usize::MAX);
        Ends { inputs, inbox, notifications, coordinator }
    }

    /// The source subtasks and, for each, the sender of its commands.
    fn sources(
        &self,
        to_aircraft: &[SyncSender<Envelope>],
        to_airports: &[SyncSender<Envelope>],
        notice: &Sender<Notice>,
    ) -> Result<(Vec<Source>, Vec<Sender<Command>>)> {
        let mut sources = Vec::new();
        let mut commands = Vec::new();
        for index in 0..self.parallelism.get() {
            let (command, source_commands) = channel();
            let mut state = SourceState::open(self.subtask(index))?;
            let positions = match self.restored {
                Some(_) => state.positions()?,
                None => SplitReader::initial_positions(index, self.parallelism.get()),
            };
            let reader = SplitReader::new(Arc::clone(&self.dataset), positions, self.job.tamper)?;
            sources.push(Source {
                // By splits and not by subtasks, so that the sources keep about the same event time.
                flights_per_second: (self.job.flights_per_second * reader.flight_splits())
                    .div_ceil(FLIGHT_SPLITS.into()),
                reader,
                state,
                aircraft: self.output(index, to_aircraft),
                airports: self.output(index, to_airports),
                commands: source_commands,
                coordinator: notice.clone(),
                faults: self.faults.clone(),
                flights_read: Arc::clone(&self.flights_read),
            });
            commands.push(command);
        }
        Ok((sources, commands))
    }

    fn subtask(&self, index: u32) -> Subtask<'_> {
        Subtask {
            store: self.store,
            restored: self.restored,
            backend: &self.job.backend,
            index: SubtaskIndex(index),
            parallelism: self.parallelism,
            max_parallelism: self.max_parallelism,
        }
    }

    fn output(&self, source: u32, queues: &[SyncSender<Envelope>]) -> Output {
        Output {
            input: usize::try_from(source).unwrap_or(usize::MAX),
            queues: queues.to_vec(),
            parallelism: self.parallelism,
            max_parallelism: self.max_parallelism,
            scratch: Writer::new(),
        }
    }

    fn run_aircraft(&self, index: u32, ends: Ends<'_>) -> Result<Vec<Value>> {
        subtask::run(Aircraft::open(self.subtask(index))?, ends, self.dataset.end_ms())
    }

    fn run_airports(&self, index: u32, ends: Ends<'_>) -> Result<Vec<Value>> {
        subtask::run(Airports::open(self.subtask(index))?, ends, self.dataset.end_ms())
    }
}

/// Runs a subtask and tells the coordinator if it fails.
fn or_notify(notice: &Sender<Notice>, subtask: impl FnOnce() -> Result<Vec<Value>>) -> Result<Vec<Value>> {
    subtask().inspect_err(|_| {
        // A coordinator that has ended already knows enough.
        let _ = notice.send(Notice::Failed);
    })
}

/// The lines of all subtasks, or the error that brought the job down. Errors of the kind [`ErrorKind::Aborted`] are
/// consequences of it, unless there is no other.
fn join(coordinated: Result<()>, subtasks: Vec<ScopedJoinHandle<'_, Result<Vec<Value>>>>) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    let mut errors: Vec<Error> = coordinated.err().into_iter().collect();
    for subtask in subtasks {
        match subtask.join() {
            Ok(Ok(of_subtask)) => lines.extend(of_subtask),
            Ok(Err(error)) => errors.push(error),
            Err(_) => errors.push(Error::internal("a subtask panicked")),
        }
    }
    let cause = errors.iter().position(|error| error.kind() != ErrorKind::Aborted).unwrap_or_default();
    if errors.is_empty() { Ok(lines) } else { Err(errors.swap_remove(cause)) }
}
