//! Tries every image at every moment of a program's life, and of the lives after that.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};

use millpond::storage::fault::{Disk, Moment};

use super::witness::Witness;

/// What is crashed: something that starts on a disk in any state a crash can leave, and goes on from there.
pub(super) trait Program {
    /// One life: looks at what is there, checks it against what the witness knows, goes on with the work, and tells what it
    /// has done. An error is a violation: something that must hold did not.
    fn live(&self, disk: &Disk, witness: &mut Witness) -> Result<(), String>;

    /// Looks at what is there and checks it. Changes nothing.
    fn look(&self, disk: &Disk, witness: &Witness) -> Result<(), String>;
}

/// How much is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Crashes in a row.
    pub(super) depth: u32,
    /// Images of one moment of the first life.
    pub(super) images: usize,
    /// Images of one moment of a later life.
    pub(super) later_images: usize,
    /// Of so many different images, one gets a life that is crashed again.
    pub(super) one_of: u64,
    /// Of so many moments, the process is killed in one; besides, when an object has just got its name.
    pub(super) one_kill_of: u64,
    /// Of so many moments at which an object has just got its name.
    pub(super) one_name_of: u64,
    pub(super) seed: u64,
}

/// What was tried.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Lives that were crashed at each of their moments.
    pub(super) lives: u64,
    pub(super) moments: u64,
    /// Images that were looked at.
    pub(super) images: u64,
    /// Those of them that no other was like.
    pub(super) different: u64,
    /// Lives that ended without the machine.
    pub(super) kills: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { lives, moments, images, different, kills } = self;
        write!(f, "{lives} lives, {moments} moments, {images} images, {different} of them different, {kills} kills")
    }
}

pub(super) struct Search<'p> {
    program: &'p dyn Program,
    effort: Effort,
    pub(super) tally: Tally,
    seen: HashSet<u64>,
    /// Which sync of which life, counted from 0, is left out.
    planted: Option<(u32, u64)>,
}

impl<'p> Search<'p> {
    pub(super) fn new(program: &'p dyn Program, effort: Effort) -> Self {
        Search { program, effort, tally: Tally::default(), seen: HashSet::new(), planted: None }
    }

    /// The same, with a mistake: in the lives of this depth, the sync of this number is not done.
    pub(super) fn without_sync(self, depth: u32, number: u64) -> Self {
        Search { planted: Some((depth, number)), ..self }
    }

    /// Lives on an empty disk and crashes everywhere. An error says how the violation came about.
    pub(super) fn run(&mut self) -> Result<(), String> {
        self.life(Disk::new(), Witness::default(), 0, "a first life")
    }

    /// The same, with one crash first, then two and so on: mistakes are found sooner.
    pub(super) fn deepen(mut self) -> (Tally, Result<(), String>) {
        let depth = self.effort.depth;
        for depth in 1..=depth {
            self.effort.depth = depth;
            self.seen.clear();
            if let Err(violation) = self.run() {
                return (self.tally, Err(violation));
            }
        }
        (self.tally, Ok(()))
    }

    /// A life on `disk`, and everything that can come after it.
    fn life(&mut self, disk: Disk, before: Witness, depth: u32, how: &str) -> Result<(), String> {
        let disk = match self.planted {
            Some((at, number)) if at == depth => disk.skipping_sync(number),
            _ => disk,
        };
        self.tally.lives += 1;
        let mut witness = before;
        let lived = self.program.live(&disk, &mut witness);
        lived.map_err(|violation| format!("{how}: {violation}"))?;
        for moment in disk.moments() {
            self.tally.moments += 1;
            let known = witness.until(moment.operation());
            let limit = if depth == 0 { self.effort.images } else { self.effort.later_images };
            for (number, image) in moment.images(limit, self.effort.seed).enumerate() {
                self.tally.images += 1;
                if !self.seen.insert(hash(&(depth, image.fingerprint(), &known))) {
                    continue;
                }
                self.tally.different += 1;
                let how = format!("{how}; power lost at {moment}, image {number}");
                self.program.look(&image.copy(), &known).map_err(|violation| format!("{how}: {violation}"))?;
                if depth + 1 < self.effort.depth && self.is_chosen() {
                    self.life(image, known.clone().reborn(), depth + 1, &how)?;
                }
            }
            if depth + 1 < self.effort.depth && self.is_killed(&moment) {
                self.tally.kills += 1;
                let how = format!("{how}; killed at {moment}");
                self.life(moment.killed(), known.reborn(), depth + 1, &how)?;
            }
        }
        Ok(())
    }

    fn is_killed(&self, moment: &Moment) -> bool {
        let has_name = moment.after().starts_with("Link");
        moment.operation().is_multiple_of(self.effort.one_kill_of)
            || has_name && moment.operation().is_multiple_of(self.effort.one_name_of)
    }

    fn is_chosen(&self) -> bool {
        self.tally.different.is_multiple_of(self.effort.one_of)
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The number in an environment variable, or the one for every day.
pub(super) fn setting(name: &str, everyday: u64) -> u64 {
    std::env::var(name).map_or(everyday, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
