//! The bank of planted mistakes: each is made, one at a time, and some test has to notice.
//!
//! What tries to notice, in this order: every scenario of the register about the control plane, every script, every test of the driver, the
//! collector beside writers, the model beside random events, whole jobs, simulated jobs, and power lost at every operation.
//! The first that fails has found the mistake. Forgotten syncs are planted in the disk itself, see `crash::power`.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use millpond::checkpoint::mistake::Mistake;

use super::{checks, collector, driver, model, scenarios, script, whole_job};
use crate::crash::power;
use crate::simulation;

thread_local! {
    /// The mistake that is made by everything that this thread configures.
    static PLANTED: Cell<Option<Mistake>> = const { Cell::new(None) };
}

pub(crate) fn planted() -> Option<Mistake> {
    PLANTED.get()
}

/// Panics that are asked for are not reported: there are many, and each would look for its back trace.
fn be_quiet_about_planted_mistakes() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if PLANTED.get().is_none() {
                report(panic);
            }
        }));
    });
}

/// Whether `test` panics with the mistake.
fn notices(mistake: Mistake, test: impl FnOnce()) -> bool {
    be_quiet_about_planted_mistakes();
    PLANTED.set(Some(mistake));
    let outcome = catch_unwind(AssertUnwindSafe(test));
    PLANTED.set(None);
    outcome.is_err()
}

/// Something that is run with one seed after the other.
type Seeded = (&'static str, u64, fn(u64));

const SEEDED: &[Seeded] = &[
    ("the collector beside writers", 100, collector::check),
    ("the model beside random events", 200, model::check),
    ("whole jobs", 60, whole_job::run),
    ("simulated jobs", 100, simulation::check),
];

/// Who notices a mistake, and after how much.
fn find(mistake: Mistake) -> Option<String> {
    let cases = [
        scenarios::CASES,
        script::CASES,
        driver::answers::CASES,
        driver::claims::CASES,
        driver::failures::CASES,
        driver::life::CASES,
        driver::protocol::CASES,
        driver::scenarios::CASES,
        checks::CASES,
    ];
    for (name, case) in cases.into_iter().flatten() {
        if notices(mistake, case) {
            return Some((*name).to_owned());
        }
    }
    for (name, seeds, run) in SEEDED {
        if let Some(seed) = (0..*seeds).find(|seed| notices(mistake, || run(*seed))) {
            return Some(format!("{name}, seed {seed}"));
        }
    }
    let mut images = None;
    let panicked = notices(mistake, || images = power::find(mistake));
    match images {
        None if panicked => Some("power lost, no end".to_owned()),
        images => images.map(|images| format!("power lost, image {images}")),
    }
}

#[test]
fn every_planted_mistake_is_found() {
    let find = |mistake| {
        let by = find(mistake);
        println!("{mistake:?}: {}", by.as_deref().unwrap_or("NOT FOUND"));
        (mistake, by)
    };
    let found: Vec<(Mistake, Option<String>)> = Mistake::ALL.into_iter().map(find).collect();
    let missed: Vec<Mistake> = found.iter().filter(|(_, by)| by.is_none()).map(|(mistake, _)| *mistake).collect();
    println!("{} of {} planted mistakes found", found.len() - missed.len(), Mistake::ALL.len());
    assert_eq!(missed, [], "nobody notices these");
}
