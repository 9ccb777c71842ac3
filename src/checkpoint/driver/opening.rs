//! Taking over a job: who coordinates, which checkpoints there are, and what the job starts from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::chain::{self, Chain};
use super::collection::{Collector, job_of};
use super::fence::Fence;
use super::slot::{Depth, Location};
use super::{Driver, Places, Start};
use crate::checkpoint::config::Config;
use crate::checkpoint::coordinator::{Coordinator, Inheritance};
use crate::checkpoint::job::{Job, Reports, metadata_of, recorded_operators};
use crate::checkpoint::mistake::Mistake;
use crate::checkpoint::pending::{Metadata, Subtask};
use crate::checkpoint::restore::{ClaimMode, Fallback, Latest, Matching, Reading, choose_latest, match_operators};
use crate::error::{Error, Result};
use crate::format::control;
use crate::format::manifest::{Manifest, SnapshotKind};
use crate::ids::CheckpointId;
use crate::random::RandomSource;
use crate::snapshot::{SnapshotReader, Trust};
use crate::storage::layout::{JobLayout, Member};
use crate::storage::{ObjectPath, Storage};

/// What a driver is made of.
#[derive(Clone)]
pub struct Setup {
    /// The job.
    pub job: Job,
    /// Its checkpoints.
    pub config: Config,
    /// Where its checkpoints are.
    pub storage: Arc<dyn Storage>,
    /// Other storages, for savepoints and origins; without, everything is in the job's own.
    pub places: Option<Arc<dyn Places>>,
    /// Names of objects are drawn from it.
    pub random: Arc<dyn RandomSource>,
    /// What the job is started from if it has no checkpoint of its own.
    pub origin: Option<Origin>,
    /// What to do if the latest checkpoint is damaged.
    pub fallback: Fallback,
    /// How thoroughly checkpoints are looked at.
    pub depth: Depth,
    /// Whether state that no operator takes may be left behind.
    pub allow_non_restored: bool,
    /// How long an object that no manifest names is left alone before it is deleted, in milliseconds. It keeps files for
    /// people to look at; safety does not depend on it.
    pub grace_ms: u64,
    /// How far the clocks of readers may be behind this one, in milliseconds.
    pub skew_ms: u64,
}

/// A snapshot to start a job from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which storage it lies in, in the words of the program; empty for the job's own.
    pub place: String,
    /// Its directory there.
    pub directory: ObjectPath,
    /// Who owns its files from now on.
    pub claim: ClaimMode,
}

impl Setup {
    /// A job in a storage of its own, with everything at its default: no origin, no fallback, lengths checked, nothing left
    /// behind, ten minutes of grace and of clock skew.
    pub fn new(job: Job, config: Config, storage: Arc<dyn Storage>, random: Arc<dyn RandomSource>) -> Self {
        Setup {
            job,
            config,
            storage,
            places: None,
            random,
            origin: None,
            fallback: Fallback::Refuse,
            depth: Depth::Lengths,
            allow_non_restored: false,
            grace_ms: 600_000,
            skew_ms: 600_000,
        }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { job, storage, origin, fallback, .. } = self;
        let mut text = f.debug_struct("Setup");
        text.field("job", &job.id()).field("storage", storage).field("origin", origin).field("fallback", fallback);
        text.finish_non_exhaustive()
    }
}

/// A job that was taken over.
#[derive(Debug)]
pub struct Opened {
    /// What drives its checkpoints from now on.
    pub driver: Driver,
    /// What it starts from.
    pub start: Start,
    /// Damaged checkpoints newer than the one it starts from, with the reason, newest first: what they held is lost. Only
    /// with [`Fallback::NewestIntact`]. They do not count any more; what is left of them is collected by the next coordinator,
    /// since this one has a view with holes.
    pub passed_over: Vec<(CheckpointId, String)>,
}

/// A snapshot that the job (re)starts from, and which operator gets which part of it.
#[derive(Debug, Clone)]
pub struct Restore {
    /// Where it lies.
    pub location: Location,
    /// Its number where it was taken.
    pub id: CheckpointId,
    /// Whether it is a checkpoint or a savepoint.
    pub kind: SnapshotKind,
    /// Which recorded operator is restored by which of the job's, and what is left behind. Positions are those in the manifest
    /// and in [`Job::operators`].
    pub matching: Matching,
    /// State that is left behind: for each operator its uid, or id, and the names of its states.
    pub non_restored: Vec<(String, Vec<String>)>,
    /// Subtasks that have nothing left to do.
    pub finished: BTreeSet<Subtask>,
    /// Whether this job has stored it.
    is_own: bool,
}

impl Restore {
    pub(super) fn new(job: &Job, location: Location, allow_non_restored: bool) -> Result<Self> {
        let snapshot = location.open()?;
        Self::of(job, location, snapshot.manifest(), allow_non_restored)
    }

    fn of(job: &Job, location: Location, manifest: &Manifest, allow_non_restored: bool) -> Result<Self> {
        let recorded = recorded_operators(manifest);
        let matched = match_operators(&recorded, &job.program(), allow_non_restored);
        let matching = matched.map_err(|error| error.in_file(&location.directory))?;
        job.check_max_parallelism(manifest).map_err(|error| error.in_file(&location.directory))?;
        let lost = matching.non_restored.iter().filter_map(|at| recorded.get(*at));
        let non_restored = lost
            .map(|operator| (operator.uid.clone().unwrap_or_else(|| operator.id.to_string()), operator.states.clone()));
        Ok(Restore {
            id: manifest.checkpoint,
            kind: manifest.kind,
            non_restored: non_restored.collect(),
            finished: job.finished(manifest),
            is_own: location.is_of(job.id(), manifest.checkpoint),
            matching,
            location,
        })
    }

    /// Opens the snapshot. The databases in a checkpoint of this job are trusted, those in a snapshot from elsewhere are not:
    /// for these see [`SnapshotReader::trust`].
    pub fn open(&self) -> Result<SnapshotReader> {
        let trust = if self.is_own { Trust::Own } else { Trust::Hostile };
        Ok(self.location.open()?.trust(trust))
    }
}

/// Opens the storage of a place.
pub(super) fn open_place(
    own: &Arc<dyn Storage>,
    places: Option<&Arc<dyn Places>>,
    place: &str,
) -> Result<Arc<dyn Storage>> {
    match places {
        _ if place.is_empty() => Ok(Arc::clone(own)),
        Some(places) => places.open(place),
        None => Err(Error::invalid_input(format!(
            "{place:?} is outside of the storage of the job, and the driver was given no way to open it (Setup::places)"
        ))),
    }
}

/// What was found of a checkpoint, and where.
type Slots = BTreeMap<CheckpointId, Reading<(Manifest, Location)>>;

impl Driver {
    /// Takes over a job: every other coordinator of it is passed over from now on.
    ///
    /// The job starts from its latest completed checkpoint; without one, from the origin; without that, from nothing. Fails
    /// with [`Corrupt`](crate::ErrorKind::Corrupt) if the latest checkpoint is damaged and there is no fallback, naming the
    /// intact ones; with [`Unavailable`](crate::ErrorKind::Unavailable) if it cannot be read now; with
    /// [`Incompatible`](crate::ErrorKind::Incompatible) if state would be left behind. Nothing is deleted. After a failure it
    /// can be tried again.
    pub fn open(setup: Setup, now_ms: i64) -> Result<Opened> {
        setup.config.validate()?;
        let layout = JobLayout::new(setup.job.id());
        let mut taken = Taken::take(&setup, layout, now_ms)?;
        taken.chain.plant(&setup.config);
        let slots = taken.read_slots(&setup, layout)?;
        let latest = choose_latest(slots, taken.chain.first_id(), setup.fallback)?;
        taken.start(setup, layout, latest, now_ms)
    }
}

/// A job whose chain this coordinator holds.
struct Taken {
    chain: Chain,
    /// Checkpoints of which a manifest is listed.
    listed: BTreeSet<CheckpointId>,
}

impl Taken {
    fn take(setup: &Setup, layout: JobLayout, now_ms: i64) -> Result<Self> {
        let first = highest_listed(&*setup.storage, layout)?.next();
        let chain = Chain::take_over(&setup.storage, layout, first, &*setup.random, now_ms)?;
        let listed = setup.storage.list(Some(&layout.root()))?;
        let manifests = listed.iter().filter_map(|info| match layout.member(&info.path) {
            Some(Member::Manifest(id)) => Some(id),
            _ => None,
        });
        Ok(Taken { listed: manifests.collect(), chain })
    }

    /// Reads every slot that may hold a checkpoint that counts. Listing only tells where to look besides.
    fn read_slots(&self, setup: &Setup, layout: JobLayout) -> Result<Slots> {
        let record = self.chain.last();
        let everything = setup.config.errs(Mistake::CountsEverything);
        let counts = |id: &&CheckpointId| **id >= record.below || record.kept.contains(id) || everything;
        let mut slots = Slots::new();
        let known: BTreeSet<&CheckpointId> = self.listed.iter().chain(&record.kept).filter(counts).collect();
        for id in known {
            let location = match &record.origin {
                Some(origin) if origin.checkpoint == *id && record.claimed => origin_location(setup, origin)?,
                _ => {
                    let directory = layout.checkpoint(*id);
                    Location { place: String::new(), storage: Arc::clone(&setup.storage), directory }
                }
            };
            let reading = match location.read(setup.depth, |manifest| check_identity(&location, manifest, *id, layout))
            {
                Reading::Complete(manifest) => match make_durable(
                    &location,
                    record.kept.contains(id) || setup.config.errs(Mistake::TakeoverNotPersisted),
                ) {
                    Ok(()) => Reading::Complete((manifest, location)),
                    Err(error) => Reading::Unavailable { reason: error.to_string() },
                },
                Reading::Absent if record.kept.contains(id) => {
                    Reading::Damaged { reason: "it was complete, and its manifest is gone".to_owned() }
                }
                Reading::Absent => Reading::Absent,
                Reading::Sealed => Reading::Sealed,
                Reading::Damaged { .. } if setup.config.errs(Mistake::SkipsDamaged) => Reading::Absent,
                Reading::Unavailable { .. } if setup.config.errs(Mistake::SkipsUnavailable) => Reading::Absent,
                Reading::Damaged { reason } => Reading::Damaged { reason },
                Reading::Unavailable { reason } => Reading::Unavailable { reason },
            };
            slots.insert(*id, reading);
        }
        Ok(slots)
    }

    fn start(
        mut self,
        setup: Setup,
        layout: JobLayout,
        latest: Latest<(Manifest, Location)>,
        now_ms: i64,
    ) -> Result<Opened> {
        let Latest { chosen, older, passed_over, next_id, view } = latest;
        check_origin(&self.chain, &setup, chosen.is_some())?;
        let (mut completed, mut elsewhere) = (Vec::new(), BTreeMap::new());
        for (id, (manifest, location)) in older.iter().chain(&chosen) {
            completed.push(metadata_of(manifest, *id));
            if location.directory != layout.checkpoint(*id) || !location.place.is_empty() {
                elsewhere.insert(*id, location.clone());
            }
        }
        let mut next_id = match setup.config.errs(Mistake::ForgetsUsedIds) {
            true => chosen.as_ref().map_or(CheckpointId(1), |(id, _)| id.next()),
            false => next_id.max(self.chain.first_id()),
        };
        let mut origin = None;
        let mut restored = None;
        let given = setup.origin.clone().or_else(|| self.recorded_origin());
        match (&chosen, &given) {
            (Some((_, (manifest, location))), _) => {
                restored = Some(Restore::of(&setup.job, location.clone(), manifest, setup.allow_non_restored)?);
            }
            (None, Some(from)) => {
                let restore = self.start_from(&setup, from, now_ms)?;
                next_id = next_id.max(restore.1.id.next());
                if from.claim == ClaimMode::Claim || setup.config.errs(Mistake::BorrowedIsOwned) {
                    elsewhere.insert(restore.1.id, restore.0.location.clone());
                    completed.push(restore.1);
                } else {
                    origin = Some(restore.0.clone());
                }
                restored = Some(restore.0);
            }
            (None, None) => {}
        }
        let inheritance = Inheritance { completed, next_id, view };
        let driver = self.driver(setup, layout, inheritance, elsewhere, origin, now_ms)?;
        let start = restored.map_or(Start::Empty, Start::From);
        Ok(Opened { driver, start, passed_over })
    }

    /// What the job was started from, if an earlier coordinator got no further than that.
    fn recorded_origin(&self) -> Option<Origin> {
        let record = self.chain.last();
        let control::Origin { checkpoint: _, place, directory } = record.origin.clone()?;
        let claim = if record.claimed { ClaimMode::Claim } else { ClaimMode::NoClaim };
        Some(Origin { place, directory: ObjectPath::parse(&directory).ok()?, claim })
    }

    /// Reads the origin and records it, so that the next coordinator knows of it.
    fn start_from(&mut self, setup: &Setup, from: &Origin, now_ms: i64) -> Result<(Restore, Metadata<Reports>)> {
        let storage = open_place(&setup.storage, setup.places.as_ref(), &from.place)?;
        let location = Location { place: from.place.clone(), storage, directory: from.directory.clone() };
        let manifest = match location.read(setup.depth, |_| Ok(())) {
            Reading::Complete(manifest) => manifest,
            Reading::Absent => {
                return Err(Error::not_found("there is no snapshot to start from").in_file(&from.directory));
            }
            Reading::Sealed => {
                let message = "this snapshot was given up before it was complete; take another one";
                return Err(Error::not_found(message).in_file(&from.directory));
            }
            Reading::Damaged { reason } => {
                let message = format!("the snapshot to start from is damaged: {reason}; take another one");
                return Err(Error::corrupt(message).in_file(&from.directory));
            }
            Reading::Unavailable { reason } => {
                let message = format!("the snapshot to start from cannot be read now: {reason}; try again");
                return Err(Error::unavailable(message).in_file(&from.directory));
            }
        };
        let restore = Restore::of(&setup.job, location, &manifest, setup.allow_non_restored)?;
        let metadata = metadata_of(&manifest, manifest.checkpoint);
        let recorded = control::Origin {
            checkpoint: manifest.checkpoint,
            place: from.place.clone(),
            directory: from.directory.to_string(),
        };
        let claimed = from.claim == ClaimMode::Claim || setup.config.errs(Mistake::BorrowedIsOwned);
        if claimed {
            make_durable(&restore.location, false)?;
        }
        if claimed && !setup.config.errs(Mistake::ClaimNotAnnounced) {
            take_from(setup, &restore.location, now_ms)?;
        }
        let reserved = self
            .chain
            .last()
            .reserved
            .max(CheckpointId(manifest.checkpoint.0.saturating_add(1).saturating_add(chain::RESERVED_IDS)));
        self.chain.append(now_ms, |record| {
            record.origin = Some(recorded.clone());
            record.claimed = claimed && !setup.config.errs(Mistake::ClaimNotRecorded);
            record.reserved = reserved;
        })?;
        Ok((restore, metadata))
    }

    fn driver(
        self,
        setup: Setup,
        layout: JobLayout,
        inheritance: Inheritance<Reports>,
        elsewhere: BTreeMap<CheckpointId, Location>,
        origin: Option<Restore>,
        now_ms: i64,
    ) -> Result<Driver> {
        // What a predecessor still stores under one of its own ids is passed over by this.
        let below = inheritance.next_id;
        let coordinator = Coordinator::new(setup.config, inheritance)?;
        let mut driver = Driver {
            job: setup.job,
            layout,
            storage: setup.storage,
            random: setup.random,
            places: setup.places,
            coordinator,
            chain: self.chain,
            work: std::collections::VecDeque::new(),
            elsewhere,
            bases: BTreeMap::new(),
            collector: Collector::new(setup.grace_ms, setup.skew_ms, now_ms),
            origin,
            allow_non_restored: setup.allow_non_restored,
            passed_over: false,
        };
        if !driver.errs(Mistake::TakeoverNotRecorded) {
            driver.record(now_ms, below)?;
        }
        Ok(driver)
    }
}

/// A claimed checkpoint of another job: whoever coordinates that one must not delete it any more.
fn take_from(setup: &Setup, location: &Location, now_ms: i64) -> Result<()> {
    let Some((layout, _)) = job_of(&location.directory) else { return Ok(()) };
    if layout.job() == setup.job.id() {
        return Err(Error::invalid_input(format!(
            "{} is a checkpoint of this job itself; start it without a snapshot to go on from its latest one, or give it a \
             new job id",
            location.directory
        )));
    }
    Fence::raise(&location.storage, layout, &*setup.random, now_ms)?.lower(now_ms)
}

/// Whoever created the manifest may have died before it was durable. Once a record says that it counts, it has to stay.
fn make_durable(location: &Location, is_recorded: bool) -> Result<()> {
    if is_recorded { Ok(()) } else { location.storage.persist(&location.slot()?) }
}

/// The highest number of a checkpoint of which anything is stored.
pub(super) fn highest_listed(storage: &dyn Storage, layout: JobLayout) -> Result<CheckpointId> {
    let listed = storage.list(Some(&layout.root()))?;
    let ids = listed.iter().filter_map(|info| match layout.member(&info.path) {
        Some(Member::Manifest(id) | Member::Exclusive(id)) => Some(id),
        _ => None,
    });
    Ok(ids.max().unwrap_or(CheckpointId(0)))
}

fn origin_location(setup: &Setup, origin: &control::Origin) -> Result<Location> {
    let storage = open_place(&setup.storage, setup.places.as_ref(), &origin.place)?;
    Ok(Location { place: origin.place.clone(), storage, directory: ObjectPath::parse(&origin.directory)? })
}

/// A manifest in the directory of another checkpoint, or of another job, is not the one that was stored there.
fn check_identity(location: &Location, manifest: &Manifest, id: CheckpointId, layout: JobLayout) -> Result<()> {
    let is_own = location.place.is_empty() && location.directory == layout.checkpoint(id);
    if manifest.checkpoint == id && (!is_own || manifest.job == layout.job()) {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "its manifest is of checkpoint {} of job {}; somebody has copied files",
        manifest.checkpoint, manifest.job
    )))
}

/// A job that has checkpoints goes on from them. That it is given another origin than it once had is a mistake.
fn check_origin(chain: &Chain, setup: &Setup, has_checkpoints: bool) -> Result<()> {
    let Some(given) = setup.origin.as_ref().filter(|_| has_checkpoints) else { return Ok(()) };
    let recorded = chain.last().origin.as_ref();
    let same = |origin: &control::Origin| origin.place == given.place && origin.directory == given.directory.as_str();
    if recorded.is_some_and(same) {
        return Ok(());
    }
    Err(Error::invalid_input(format!(
        "job {} has checkpoints of its own and was not started from {}; start it without a snapshot to go on from its \
         latest checkpoint, or give it a new job id",
        setup.job.id(),
        given.directory
    )))
}
