//! Several threads at once.

use std::sync::Barrier;

use super::{CommitOutcome, ErrorKind, Storage, assert_holds, listed, path};

const THREADS: u8 = 16;

/// Runs `act` in sixteen threads that start together, and returns what they returned.
fn race<T: Send>(act: impl Fn(u8) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(usize::from(THREADS));
    std::thread::scope(|scope| {
        let (start, act) = (&start, &act);
        let run = |thread| {
            scope.spawn(move || {
                start.wait();
                act(thread)
            })
        };
        let threads: Vec<_> = (0..THREADS).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn content(thread: u8) -> Vec<u8> {
    vec![thread; 1000 + usize::from(thread)]
}

pub(super) fn one_of_sixteen_commits_wins(storage: &dyn Storage) {
    for round in 0..2 {
        let name = format!("race-{round}/object");
        let outcomes = race(|thread| storage.commit(&path(&name), &content(thread)));
        let mut winners = Vec::new();
        for (thread, outcome) in (0..).zip(outcomes) {
            match outcome {
                CommitOutcome::Committed => winners.push(thread),
                CommitOutcome::NotCommitted(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}"),
                CommitOutcome::Unknown(error) => panic!("nothing failed, but the outcome is unknown: {error:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "threads that were told that they committed: {winners:?}");
        assert_holds(storage, &name, &content(winners[0]));
    }
}

pub(super) fn one_of_sixteen_writers_wins(storage: &dyn Storage) {
    let finished = race(|thread| {
        let mut writer = storage.create(&path("a/b"))?;
        writer.write(&content(thread))?;
        writer.finish()
    });
    let winners: Vec<u8> =
        (0..).zip(&finished).filter(|(_, result)| result.is_ok()).map(|(thread, _)| thread).collect();
    assert_eq!(winners.len(), 1, "threads that finished: {winners:?}");
    assert!(finished.iter().filter_map(|result| result.as_ref().err()).all(|e| e.kind() == ErrorKind::InvalidInput));
    assert_holds(storage, "a/b", &content(winners[0]));
    assert_eq!(listed(storage, None).len(), 1);
}

/// Objects come and go below one prefix, which is empty now and then, while others are created there.
pub(super) fn writers_and_deletions_in_one_place(storage: &dyn Storage) {
    race(|thread| {
        for round in 0..8 {
            let name = format!("a/b/{thread}-{round}");
            let outcome = storage.commit(&path(&name), &content(thread));
            assert!(matches!(outcome, CommitOutcome::Committed), "{outcome:?}");
            assert!(storage.open(&path(&name)).unwrap().as_slice() == content(thread));
            if round != 7 {
                storage.delete(&path(&name)).unwrap();
            }
        }
    });
    assert_eq!(listed(storage, Some("a/b")).len(), usize::from(THREADS));
}
