//! Puts the job together: source, aircraft and airports, each with as many subtasks as the parallelism says.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::thread::{self, ScopedJoinHandle};

use millpond::backend::BackendConfig;
use millpond::codec::Writer;
use millpond::ids::SubtaskIndex;
use millpond::key_group::{MaxParallelism, Parallelism};
use millpond::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::aircraft::Aircraft;
use crate::airports::Airports;
use crate::checkpoints::{Restored, SourceState, Store, Subtask};
use crate::coordinator::{Coordinator, Notice, Observer};
use crate::dataset::{Dataset, FLIGHT_SPLITS};
use crate::event::Event;
use crate::exchange::{self, Envelope, Output};
use crate::report;
use crate::source::{Command, Source};
use crate::split_reader::{SplitReader, Tamper};
use crate::subtask;

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
    /// Speed limit of the whole job; 0 for none.
    pub(crate) flights_per_second: u64,
    /// Time from one checkpoint to the next.
    pub(crate) interval_ms: i64,
    pub(crate) tamper: Option<Tamper>,
}

/// What all subtasks of a run share.
struct Context<'a> {
    job: &'a Job,
    store: &'a Store,
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

    /// Runs to the end of the input, or until the observer breaks, which is an [`ErrorKind::Aborted`].
    pub(crate) fn run_observed(&self, observer: Observer<'_>) -> Result<()> {
        let max_parallelism = MaxParallelism::new(MAX_PARALLELISM)?;
        let store = Store::open(&self.checkpoints)?;
        let restored = if self.restore { Some(store.latest()?) } else { None };
        let context = Context {
            job: self,
            store: &store,
            restored: restored.as_ref(),
            dataset: Arc::new(Dataset::load(&self.input)?),
            parallelism: Parallelism::new(self.parallelism, max_parallelism)?,
            max_parallelism,
            flights_read: Arc::new(AtomicU64::new(0)),
        };
        let lines = context.run(observer)?;
        report::write(&self.report, &lines)?;
        let flights = context.flights_read.load(Ordering::Relaxed);
        let _ = observer(Event::Finished { flights });
        Ok(())
    }
}

impl Context<'_> {
    /// Runs all threads and returns the lines of the report.
    fn run(&self, observer: Observer<'_>) -> Result<Vec<Value>> {
        let (notice, notices) = channel();
        let (to_aircraft, aircraft_inboxes) = exchange::queues(self.parallelism.get());
        let (to_airports, airports_inboxes) = exchange::queues(self.parallelism.get());
        let (sources, commands) = self.sources(&to_aircraft, &to_airports, &notice)?;
        drop((to_aircraft, to_airports));
        let restored_flights = sources.iter().map(|source| source.reader.flights()).sum();
        self.flights_read.store(restored_flights, Ordering::Relaxed);
        if let Some(restored) = self.restored {
            let _ = observer(Event::Restored { checkpoint: restored.id.0, flights: restored_flights });
        }
        let coordinator = Coordinator {
            store: self.store,
            commands,
            notices,
            subtasks: 3 * sources.len(),
            flights_read: Arc::clone(&self.flights_read),
            interval_ms: self.job.interval_ms,
            next_id: self.store.next_id()?,
            observer,
        };
        thread::scope(|scope| {
            let mut subtasks = Vec::new();
            for source in sources {
                let notice = notice.clone();
                subtasks.push(scope.spawn(move || or_notify(&notice, || source.run().map(|()| Vec::new()))));
            }
            for (index, inbox) in (0..).zip(aircraft_inboxes) {
                let notice = notice.clone();
                subtasks.push(scope.spawn(move || or_notify(&notice, || self.run_aircraft(index, &inbox, &notice))));
            }
            for (index, inbox) in (0..).zip(airports_inboxes) {
                let notice = notice.clone();
                subtasks.push(scope.spawn(move || or_notify(&notice, || self.run_airports(index, &inbox, &notice))));
            }
            drop(notice);
            join(coordinator.run(), subtasks)
        })
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

    /// Number of inputs of a keyed subtask: one from each source subtask.
    fn inputs(&self) -> usize {
        usize::try_from(self.parallelism.get()).unwrap_or(usize::MAX)
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

    fn run_aircraft(&self, index: u32, inbox: &Receiver<Envelope>, notice: &Sender<Notice>) -> Result<Vec<Value>> {
        let aircraft = Aircraft::open(self.subtask(index))?;
        subtask::run(aircraft, self.inputs(), inbox, notice, self.dataset.end_ms())
    }

    fn run_airports(&self, index: u32, inbox: &Receiver<Envelope>, notice: &Sender<Notice>) -> Result<Vec<Value>> {
        let airports = Airports::open(self.subtask(index))?;
        subtask::run(airports, self.inputs(), inbox, notice, self.dataset.end_ms())
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
