use proptest::prelude::*;

use super::*;

fn decider(strategy: RestartStrategy) -> RestartDecider {
    RestartDecider::new(strategy).unwrap()
}

fn after(delay_ms: u64) -> Verdict {
    Verdict::Restart { delay_ms }
}

#[test]
fn none_gives_up_at_once() {
    assert_eq!(decider(RestartStrategy::None).on_failure(0, 0), Verdict::GiveUp(Exhausted::NoRestarts));
}

#[test]
fn fixed_delay_counts_restarts() {
    let mut fixed = decider(RestartStrategy::FixedDelay { attempts: 2, delay_ms: 10 });
    assert_eq!(fixed.on_failure(0, 0), after(10));
    assert_eq!(fixed.on_failure(4, 0), after(6), "the same outage");
    assert_eq!(fixed.on_failure(10, 0), after(10));
    assert_eq!(fixed.on_failure(1_000_000, 0), Verdict::GiveUp(Exhausted::Attempts { allowed: 2 }));
    assert_eq!(fixed.on_failure(1_000_001, 0), Verdict::GiveUp(Exhausted::Attempts { allowed: 2 }));
    let never = RestartStrategy::FixedDelay { attempts: 0, delay_ms: 10 };
    assert_eq!(decider(never).on_failure(0, 0), Verdict::GiveUp(Exhausted::Attempts { allowed: 0 }));
}

#[test]
fn failure_rate_slides() {
    let mut rate = decider(RestartStrategy::FailureRate { max_failures: 2, interval_ms: 100, delay_ms: 0 });
    assert_eq!(rate.on_failure(0, 0), after(0));
    assert_eq!(rate.on_failure(50, 0), after(0));
    assert_eq!(rate.on_failure(101, 0), after(0), "the first has left the interval");
    let exhausted = Exhausted::Rate { allowed: 2, interval_ms: 100 };
    assert_eq!(rate.on_failure(150, 0), Verdict::GiveUp(exhausted), "50 is still inside, 101 and this one");
    assert_eq!(exhausted.to_string(), "more than 2 failures within 100 ms");
}

#[test]
fn exponential_delay_grows_and_starts_over() {
    let backoff = Backoff { jitter_percent: 0, attempts: Some(4), reset_after_ms: 10_000, ..Backoff::default() };
    let mut exponential = decider(RestartStrategy::ExponentialDelay(backoff));
    assert_eq!(exponential.on_failure(0, 7), after(1_000));
    assert_eq!(exponential.on_failure(1_000, 7), after(1_500));
    assert_eq!(exponential.on_failure(2_500, 7), after(2_250));
    assert_eq!(exponential.on_failure(4_750 + 10_000, 7), after(1_000), "a quiet time");
    for (at_ms, delay_ms) in [(20_000, 1_500), (22_000, 2_250), (25_000, 3_375)] {
        assert_eq!(exponential.on_failure(at_ms, 7), after(delay_ms));
    }
    assert_eq!(exponential.on_failure(30_000, 7), Verdict::GiveUp(Exhausted::Attempts { allowed: 4 }));
}

#[test]
fn a_clock_that_goes_backwards_neither_stalls_nor_forgives() {
    let mut fixed = decider(RestartStrategy::FixedDelay { attempts: 1, delay_ms: 10 });
    assert_eq!(fixed.on_failure(1_000_000, 0), after(10));
    assert_eq!(fixed.on_failure(0, 0), after(10), "waits the delay at most, not until the old time");
    assert_eq!(fixed.on_failure(10, 0), Verdict::GiveUp(Exhausted::Attempts { allowed: 1 }));
    let mut rate = decider(RestartStrategy::FailureRate { max_failures: 1, interval_ms: 100, delay_ms: 0 });
    assert_eq!(rate.on_failure(1_000_000, 0), after(0));
    assert_eq!(rate.on_failure(10, 0), Verdict::GiveUp(Exhausted::Rate { allowed: 1, interval_ms: 100 }));
}

#[test]
fn contradictions_are_refused_with_the_reason() {
    let refused = |strategy| RestartDecider::new(strategy).unwrap_err().to_string();
    let with = |change: fn(&mut Backoff)| {
        let mut backoff = Backoff::default();
        change(&mut backoff);
        refused(RestartStrategy::ExponentialDelay(backoff))
    };
    assert!(with(|backoff| backoff.initial_ms = 0).contains("never grow"));
    assert!(with(|backoff| backoff.max_ms = 1).contains("exceeds the longest"));
    assert!(with(|backoff| backoff.max_ms = u64::MAX).contains("beyond"));
    assert!(with(|backoff| backoff.growth_percent = 99).contains("shrink"));
    assert!(with(|backoff| backoff.jitter_percent = 101).contains("0 to 100"));
    let rate = RestartStrategy::FailureRate { max_failures: 1, interval_ms: 0, delay_ms: 0 };
    assert!(refused(rate).contains("interval is 0"));
}

fn backoffs() -> impl Strategy<Value = Backoff> {
    (1u64..50, 0u64..500, 100u32..300, 0u64..200, 0u32..=100, prop::option::of(0u32..6)).prop_map(
        |(initial_ms, more_ms, growth_percent, reset_after_ms, jitter_percent, attempts)| Backoff {
            initial_ms,
            max_ms: initial_ms + more_ms,
            growth_percent,
            reset_after_ms,
            jitter_percent,
            attempts,
        },
    )
}

fn strategies() -> impl Strategy<Value = RestartStrategy> {
    prop_oneof![
        Just(RestartStrategy::None),
        (0u32..5, 0u64..50).prop_map(|(attempts, delay_ms)| RestartStrategy::FixedDelay { attempts, delay_ms }),
        (0u32..5, 1u64..200, 0u64..50).prop_map(|(max_failures, interval_ms, delay_ms)| {
            RestartStrategy::FailureRate { max_failures, interval_ms, delay_ms }
        }),
        backoffs().prop_map(RestartStrategy::ExponentialDelay),
    ]
}

/// The same rules from the whole history of outages `(failed at, delay)`; time does not go backwards here.
fn model(strategy: &RestartStrategy, history: &[(u64, u64)], now_ms: u64) -> Option<(u64, u64)> {
    match strategy {
        RestartStrategy::None => None,
        RestartStrategy::FixedDelay { attempts, delay_ms } => {
            (history.len() < usize::try_from(*attempts).unwrap()).then_some((*delay_ms, *delay_ms))
        }
        RestartStrategy::FailureRate { max_failures, interval_ms, delay_ms } => {
            let inside = history.iter().filter(|(at_ms, _)| now_ms - at_ms <= *interval_ms).count();
            (inside < usize::try_from(*max_failures).unwrap()).then_some((*delay_ms, *delay_ms))
        }
        RestartStrategy::ExponentialDelay(backoff) => {
            let mut streak = 0;
            let mut next_ms = now_ms;
            for (at_ms, delay_ms) in history.iter().rev() {
                if next_ms - (at_ms + delay_ms) >= backoff.reset_after_ms {
                    break;
                }
                streak += 1;
                next_ms = *at_ms;
            }
            if backoff.attempts.is_some_and(|attempts| streak >= attempts) {
                return None;
            }
            let mut base = backoff.initial_ms;
            for _ in 0..streak {
                base = (base * u64::from(backoff.growth_percent) / 100).min(backoff.max_ms);
            }
            let reach = base * u64::from(backoff.jitter_percent) / 100;
            Some(((base - reach).max(backoff.initial_ms), (base + reach).min(backoff.max_ms)))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decisions_follow_from_the_history(
        strategy in strategies(),
        failures in prop::collection::vec((0u64..250, any::<u64>()), 0..20),
    ) {
        let mut decider = decider(strategy);
        let (mut now_ms, mut history) = (0u64, Vec::new());
        for (later_ms, random) in failures {
            now_ms += later_ms;
            let verdict = decider.on_failure(i64::try_from(now_ms).unwrap(), random);
            if let Some((at_ms, delay_ms)) = history.last().filter(|(at_ms, delay_ms)| now_ms < at_ms + delay_ms) {
                prop_assert_eq!(verdict, after(at_ms + delay_ms - now_ms));
                continue;
            }
            match (verdict, model(&strategy, &history, now_ms)) {
                (Verdict::GiveUp(_), None) => break,
                (Verdict::Restart { delay_ms }, Some((least_ms, most_ms))) => {
                    prop_assert!((least_ms..=most_ms).contains(&delay_ms), "{delay_ms} in {least_ms}..={most_ms}");
                    history.push((now_ms, delay_ms));
                }
                (verdict, expected) => prop_assert!(false, "{verdict:?}, the model says {expected:?}"),
            }
        }
    }

    #[test]
    fn jitter_reaches_both_ends_and_no_further(base in 1_000u64..1_000_000, percent in 0u32..=100, random: u64) {
        let backoff = Backoff { initial_ms: 1, max_ms: u64::MAX / 2, jitter_percent: percent, ..Backoff::default() };
        let reach = base * u64::from(percent) / 100;
        prop_assert_eq!(backoff.jittered(base, 0), (base - reach).max(1));
        prop_assert_eq!(backoff.jittered(base, u64::MAX), base + reach);
        let moved = backoff.jittered(base, random);
        prop_assert!(moved + reach >= base && moved <= base + reach);
        prop_assert!(backoff.jittered(u64::MAX / 2, random) <= u64::MAX / 2);
    }
}
