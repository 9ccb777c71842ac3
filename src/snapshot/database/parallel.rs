//! The same work for several items, on several threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::error::{Error, Result};

/// How often the caller is asked whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// Is asked again and again whether to go on.
pub(super) type KeepGoing<'k> = &'k dyn Fn() -> bool;

/// Work for one item.
type Work<'w, T, R> = &'w (dyn Fn(&T, KeepGoing<'_>) -> Result<R> + Sync);

/// Does `work` for every item on up to `threads` threads, and returns the results in the order of the items. With one
/// thread (or item) it is done on the calling one.
///
/// The first error ends it: nothing new is begun, and what is going on is asked to stop. `keep_going` is asked on the calling thread
/// only.
pub(super) fn for_each<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    keep_going: KeepGoing<'_>,
    work: Work<'_, T, R>,
) -> Result<Vec<R>> {
    if threads.min(items.len()) <= 1 {
        return items.iter().map(|item| check(keep_going).and_then(|()| work(item, keep_going))).collect();
    }
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = channel();
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let mut failure = None;
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            let (sender, next, stop) = (sender.clone(), &next, &stop);
            scope.spawn(move || serve(items, next, stop, work, &sender));
        }
        drop(sender);
        loop {
            let done = match receiver.recv_timeout(ASK_EVERY) {
                Ok((index, Ok(result))) => {
                    if let Some(slot) = results.get_mut(index) {
                        *slot = Some(result);
                    }
                    check(keep_going)
                }
                Ok((_, Err(error))) => Err(error),
                Err(RecvTimeoutError::Timeout) => check(keep_going),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Err(error) = done {
                stop.store(true, Ordering::Relaxed);
                failure.get_or_insert(error);
            }
        }
    });
    match failure {
        Some(error) => Err(error),
        None => results.into_iter().collect::<Option<_>>().ok_or_else(|| Error::internal("work was left undone")),
    }
}

/// Takes item after item until none is left or it is time to stop.
fn serve<T: Sync, R: Send>(
    items: &[T],
    next: &AtomicUsize,
    stop: &AtomicBool,
    work: Work<'_, T, R>,
    results: &Sender<(usize, Result<R>)>,
) {
    let keep_going = || !stop.load(Ordering::Relaxed);
    while keep_going() {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(item) = items.get(index) else { return };
        if results.send((index, work(item, &keep_going))).is_err() {
            return;
        }
    }
}

/// Fails with [`Aborted`](crate::ErrorKind::Aborted) if it is time to stop.
pub(super) fn check(keep_going: KeepGoing<'_>) -> Result<()> {
    if keep_going() { Ok(()) } else { Err(Error::aborted("the snapshot was aborted while it was written or read")) }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..50).collect();
        for threads in [0, 1, 3, 100] {
            let doubled = for_each(&items, threads, &|| true, &|item, _| Ok(item * 2)).unwrap();
            assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
        assert_eq!(for_each(&[0_u8; 0], 4, &|| true, &|_, _| Ok(())).unwrap(), vec![]);
    }

    #[test]
    fn the_first_error_stops_the_others_and_is_the_one_returned() {
        let items: Vec<usize> = (0..1000).collect();
        for threads in [1, 4] {
            let seen = Mutex::new(0);
            let error = for_each(&items, threads, &|| true, &|item, keep_going: KeepGoing<'_>| {
                *seen.lock().unwrap() += 1;
                if *item == 3 {
                    return Err(Error::unavailable("three"));
                }
                while *item > 3 && keep_going() && threads > 1 {
                    std::thread::yield_now();
                }
                Ok(())
            })
            .unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, "three"));
            assert!(*seen.lock().unwrap() < 20);
        }
    }

    #[test]
    fn it_ends_when_its_caller_says_so() {
        let items: Vec<usize> = (0..100).collect();
        for threads in [1, 4] {
            let error = for_each(&items, threads, &|| false, &|_, keep_going: KeepGoing<'_>| {
                while keep_going() {
                    std::thread::yield_now();
                }
                Ok(())
            })
            .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Aborted);
        }
    }
}
