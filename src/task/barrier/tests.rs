use super::*;

fn handler(inputs: usize) -> BarrierHandler {
    BarrierHandler::new(inputs, Delivery::ExactlyOnce).unwrap()
}

fn counting(inputs: usize) -> BarrierHandler {
    BarrierHandler::new(inputs, Delivery::AtLeastOnce).unwrap()
}

fn id(id: u64) -> CheckpointId {
    CheckpointId(id)
}

fn aligned(id: u64) -> Barrier {
    Barrier::aligned(CheckpointId(id))
}

fn unaligned(id: u64) -> Barrier {
    Barrier { id: CheckpointId(id), alignment: Alignment::Unaligned }
}

fn until(id: u64, deadline_ms: i64) -> Barrier {
    Barrier { id: CheckpointId(id), alignment: Alignment::AlignedUntil { deadline_ms } }
}

fn overtaken(old: u64, by: u64) -> Step {
    Step::Abort(CheckpointId(old), AbortReason::Overtaken { by: CheckpointId(by) })
}

#[test]
fn one_input_never_blocks() {
    let mut one = handler(1);
    assert_eq!(one.on_barrier(0, aligned(1)).unwrap(), [Step::Snapshot(aligned(1)), Step::Release]);
    assert_eq!(one.on_record(0).unwrap(), Admission::Forward);
    assert_eq!(one.on_barrier(0, aligned(2)).unwrap(), [Step::Snapshot(aligned(2)), Step::Release]);
}

#[test]
fn aligned_inputs_are_blocked_until_the_last_barrier() {
    let mut two = handler(2);
    assert_eq!(two.on_barrier(0, aligned(1)).unwrap(), []);
    assert_eq!(two.on_record(0).unwrap(), Admission::Hold);
    assert_eq!(two.on_record(1).unwrap(), Admission::Forward);
    assert_eq!(two.on_barrier(0, aligned(2)).unwrap(), [Step::Hold], "a later barrier waits behind the records");
    assert_eq!(two.on_end_of_input(0).unwrap(), [Step::Hold]);
    assert_eq!(two.on_cancellation(0, id(2)).unwrap(), [Step::Hold]);
    assert_eq!(two.on_barrier(1, aligned(1)).unwrap(), [Step::Snapshot(aligned(1)), Step::Release]);
    assert_eq!(two.on_record(0).unwrap(), Admission::Forward);
}

#[test]
fn late_and_duplicate_barriers_do_nothing() {
    let mut two = handler(2);
    two.on_barrier(0, aligned(2)).unwrap();
    assert_eq!(two.on_barrier(1, aligned(1)).unwrap(), []);
    assert_eq!(two.on_barrier(1, aligned(2)).unwrap(), [Step::Snapshot(aligned(2)), Step::Release]);
    assert_eq!(two.on_barrier(0, aligned(2)).unwrap(), []);
    assert_eq!(two.on_barrier(1, aligned(1)).unwrap(), []);
    assert!(!two.is_blocked(0) && !two.is_blocked(1));
}

#[test]
fn a_newer_barrier_overtakes_and_frees_the_blocked_inputs() {
    let mut three = handler(3);
    three.on_barrier(0, aligned(1)).unwrap();
    assert_eq!(three.on_barrier(1, aligned(3)).unwrap(), [overtaken(1, 3), Step::Release]);
    assert!(!three.is_blocked(0) && three.is_blocked(1));
    assert_eq!(three.on_barrier(2, aligned(1)).unwrap(), [], "the rest of the old one is late");
    assert_eq!(three.on_barrier(2, aligned(3)).unwrap(), []);
    assert_eq!(three.on_barrier(0, aligned(3)).unwrap(), [Step::Snapshot(aligned(3)), Step::Release]);
}

#[test]
fn an_ended_input_counts_as_aligned() {
    let mut three = handler(3);
    assert_eq!(three.on_end_of_input(2).unwrap(), []);
    three.on_barrier(0, aligned(1)).unwrap();
    assert_eq!(three.on_end_of_input(1).unwrap(), [Step::Snapshot(aligned(1)), Step::Release]);
    assert_eq!(three.on_barrier(0, aligned(2)).unwrap(), [Step::Snapshot(aligned(2)), Step::Release]);
    assert!(three.on_record(1).is_err());
    assert!(three.on_end_of_input(1).is_err());
    assert_eq!(three.on_end_of_input(0).unwrap(), []);
    assert!(three.all_ended());
}

#[test]
fn the_coordinator_aborts_a_pending_and_a_future_checkpoint() {
    let mut two = handler(2);
    two.on_barrier(0, aligned(1)).unwrap();
    assert_eq!(two.on_abort(id(1)), [Step::Abort(id(1), AbortReason::Coordinator), Step::Release]);
    assert_eq!(two.on_abort(id(1)), []);
    assert_eq!(two.on_barrier(1, aligned(1)).unwrap(), []);
    assert_eq!(two.on_abort(id(3)), []);
    assert_eq!(two.on_barrier(0, aligned(2)).unwrap(), []);
    assert_eq!(two.on_barrier(1, aligned(3)).unwrap(), [overtaken(2, 3), Step::Release], "3 is aborted, 2 is lost");
    assert_eq!(two.on_barrier(0, aligned(3)).unwrap(), []);
    assert_eq!(two.on_barrier(0, aligned(4)).unwrap(), []);
    assert_eq!(two.on_barrier(1, aligned(4)).unwrap(), [Step::Snapshot(aligned(4)), Step::Release]);
}

#[test]
fn a_cancellation_upstream_ends_the_checkpoint_once() {
    let mut two = handler(2);
    two.on_barrier(0, aligned(1)).unwrap();
    let cancelled = Step::Abort(id(1), AbortReason::CancelledUpstream);
    assert_eq!(two.on_cancellation(1, id(1)).unwrap(), [cancelled, Step::Release]);
    assert_eq!(two.on_cancellation(0, id(1)).unwrap(), []);
    let cancelled = Step::Abort(id(2), AbortReason::CancelledUpstream);
    assert_eq!(two.on_cancellation(0, id(2)).unwrap(), [cancelled]);
    assert_eq!(two.on_barrier(1, aligned(2)).unwrap(), []);
    two.on_barrier(0, aligned(3)).unwrap();
    let cancelled = Step::Abort(id(4), AbortReason::CancelledUpstream);
    assert_eq!(two.on_cancellation(1, id(4)).unwrap(), [overtaken(3, 4), Step::Release, cancelled]);
}

#[test]
fn unaligned_snapshots_at_the_first_barrier_and_stores_the_rest() {
    let mut two = handler(2);
    assert_eq!(two.on_barrier(0, unaligned(1)).unwrap(), [Step::Snapshot(unaligned(1))]);
    assert_eq!(two.on_record(0).unwrap(), Admission::Forward);
    assert_eq!(two.on_record(1).unwrap(), Admission::ForwardAndStore(id(1)));
    assert_eq!(two.on_barrier(1, unaligned(1)).unwrap(), [Step::ChannelStateComplete(id(1))]);
    assert_eq!(two.on_record(1).unwrap(), Admission::Forward);
    let mut one = handler(1);
    let both = [Step::Snapshot(unaligned(1)), Step::ChannelStateComplete(id(1))];
    assert_eq!(one.on_barrier(0, unaligned(1)).unwrap(), both);
}

#[test]
fn the_deadline_turns_aligned_into_unaligned() {
    let mut three = handler(3);
    three.on_barrier(0, until(1, 100)).unwrap();
    assert_eq!(three.deadline_ms(), Some(100));
    assert_eq!(three.on_time(99), []);
    assert_eq!(three.on_time(100), [Step::Snapshot(unaligned(1)), Step::Release]);
    assert_eq!(three.deadline_ms(), None);
    assert_eq!(three.on_record(1).unwrap(), Admission::ForwardAndStore(id(1)));
    assert_eq!(three.on_barrier(1, until(1, 100)).unwrap(), []);
    assert_eq!(three.on_end_of_input(2).unwrap(), [Step::ChannelStateComplete(id(1))]);
    assert_eq!(three.on_time(1000), []);
}

#[test]
fn an_unaligned_barrier_switches_before_the_deadline() {
    let mut two = handler(2);
    two.on_barrier(0, until(1, 100)).unwrap();
    let steps = [Step::Snapshot(unaligned(1)), Step::Release, Step::ChannelStateComplete(id(1))];
    assert_eq!(two.on_barrier(1, unaligned(1)).unwrap(), steps);
}

#[test]
fn an_aborted_unaligned_checkpoint_stores_nothing_more() {
    let mut two = handler(2);
    two.on_barrier(0, unaligned(1)).unwrap();
    assert_eq!(two.on_abort(id(1)), [Step::Abort(id(1), AbortReason::Coordinator)]);
    assert_eq!(two.on_record(1).unwrap(), Admission::Forward);
    assert_eq!(two.on_barrier(1, unaligned(1)).unwrap(), []);
}

#[test]
fn at_least_once_counts_and_never_blocks() {
    let mut two = counting(2);
    assert_eq!(two.on_barrier(0, aligned(1)).unwrap(), []);
    assert_eq!(two.on_record(0).unwrap(), Admission::Forward);
    assert_eq!(two.on_barrier(0, aligned(2)).unwrap(), []);
    assert_eq!(two.on_barrier(1, aligned(1)).unwrap(), [Step::Snapshot(aligned(1))]);
    assert_eq!(two.on_barrier(0, aligned(3)).unwrap(), []);
    assert_eq!(two.on_barrier(1, aligned(3)).unwrap(), [overtaken(2, 3), Step::Snapshot(aligned(3))]);
    assert_eq!(two.on_barrier(1, aligned(2)).unwrap(), []);
}

#[test]
fn at_least_once_takes_the_newest_when_an_input_ends() {
    let mut two = counting(2);
    two.on_barrier(0, aligned(1)).unwrap();
    two.on_barrier(0, aligned(2)).unwrap();
    assert_eq!(two.on_end_of_input(1).unwrap(), [overtaken(1, 2), Step::Snapshot(aligned(2))]);
    assert_eq!(two.on_abort(id(3)), []);
    assert_eq!(two.on_barrier(0, aligned(3)).unwrap(), []);
    assert_eq!(two.on_barrier(0, aligned(4)).unwrap(), [Step::Snapshot(aligned(4))]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut two = counting(2);
    let many = u64::try_from(MAX_REMEMBERED).unwrap();
    for n in 1..=many {
        assert_eq!(two.on_barrier(0, aligned(n)).unwrap(), []);
    }
    assert_eq!(two.on_barrier(0, aligned(many + 1)).unwrap(), [overtaken(1, many + 1)]);
    assert_eq!(two.on_barrier(1, aligned(1)).unwrap(), [], "evicted");
    for n in 1..=many + 5 {
        two.on_abort(id(1000 + n));
    }
    assert_eq!(two.aborted.len(), MAX_REMEMBERED);
}

#[test]
fn wrong_inputs_are_refused() {
    assert!(BarrierHandler::new(0, Delivery::ExactlyOnce).is_err());
    let mut two = handler(2);
    assert!(two.on_record(2).is_err());
    assert!(two.on_barrier(2, aligned(1)).is_err());
    assert!(two.on_cancellation(2, id(1)).is_err());
    assert!(two.on_end_of_input(2).is_err());
}
