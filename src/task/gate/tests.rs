//! Random schedules against the definition: what a snapshot holds is what stood before the barriers.

use proptest::prelude::*;

use super::*;
use crate::checkpoint::barrier::Alignment;

const INPUTS: usize = 3;

/// What one input carries; records are numbered from 0 when they are pushed.
#[derive(Debug, Clone, Copy)]
enum Item {
    Record,
    Barrier(Mode),
    Skip,
    Cancel,
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    Aligned,
    Until,
    Unaligned,
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let mode = prop_oneof![3 => Just(Mode::Aligned), 1 => Just(Mode::Until), 1 => Just(Mode::Unaligned)];
    let item = prop_oneof![
        6 => Just(Item::Record),
        4 => mode.prop_map(Item::Barrier),
        1 => Just(Item::Skip),
        1 => Just(Item::Cancel),
    ];
    prop::collection::vec(item, 0..24)
}

/// The elements of one input with, per checkpoint, the number of records before its barrier.
fn elements(items: &[Item], alignment_of: &[Alignment]) -> (Vec<Element<usize>>, Vec<Option<usize>>) {
    let (mut elements, mut before, mut records) = (Vec::new(), vec![None; alignment_of.len() + 1], 0);
    let mut next = 1u64;
    for item in items {
        let id = CheckpointId(next);
        match item {
            Item::Record => {
                elements.push(Element::Record(records));
                records += 1;
                continue;
            }
            Item::Barrier(_) => {
                before[usize::try_from(next).unwrap()] = Some(records);
                let alignment = alignment_of[usize::try_from(next - 1).unwrap()];
                elements.push(Element::Barrier(Barrier { id, alignment }));
            }
            Item::Skip => {}
            Item::Cancel => elements.push(Element::Cancellation(id)),
        }
        next += 1;
    }
    elements.push(Element::End);
    (elements, before)
}

/// Runs the outputs: counts of records processed and stored, checked at each snapshot.
struct Job {
    processed: [usize; INPUTS],
    before: Vec<Vec<Option<usize>>>,
    ended: [bool; INPUTS],
    collecting: Option<(CheckpointId, [usize; INPUTS])>,
    last: Option<CheckpointId>,
    delivery: Delivery,
}

impl Job {
    fn run(&mut self, outputs: &mut Vec<Output<usize>>) {
        for output in outputs.drain(..) {
            match output {
                Output::Record { input, record, store_for } => {
                    assert_eq!(record, self.processed[input], "order of input {input}");
                    self.processed[input] += 1;
                    match (&mut self.collecting, store_for) {
                        (Some((id, stored)), Some(store_for)) if *id == store_for => stored[input] += 1,
                        (_, None) => {}
                        other => panic!("stored for the wrong checkpoint: {other:?}"),
                    }
                }
                Output::Snapshot(barrier) => self.snapshot(barrier),
                Output::ChannelStateComplete(id) => {
                    let (collecting, held) = self.collecting.take().unwrap();
                    assert_eq!(collecting, id);
                    self.check(id, &held);
                }
                Output::Abort(id, _) => {
                    if self.collecting.is_some_and(|(collecting, _)| collecting == id) {
                        self.collecting = None;
                    }
                }
                Output::End { input } => self.ended[input] = true,
            }
        }
    }

    fn snapshot(&mut self, barrier: Barrier) {
        assert!(self.last < Some(barrier.id), "snapshots in order");
        assert!(self.collecting.is_none());
        self.last = Some(barrier.id);
        if barrier.alignment == Alignment::Unaligned && self.delivery == Delivery::ExactlyOnce {
            self.collecting = Some((barrier.id, self.processed));
        } else {
            self.check(barrier.id, &self.processed);
        }
    }

    /// Whether the snapshot holds what stood before the barrier in each input, or all of an input that ended without.
    fn check(&self, id: CheckpointId, held: &[usize; INPUTS]) {
        for (input, held) in held.iter().enumerate() {
            match self.before[input][usize::try_from(id.0).unwrap()] {
                Some(before) if self.delivery == Delivery::ExactlyOnce => assert_eq!(*held, before, "{id} {input}"),
                Some(before) => assert!(*held >= before, "{id} {input}"),
                None => assert!(self.ended[input], "{id}: input {input} delivered neither barrier nor end"),
            }
        }
    }
}

fn alignments(ids: usize, modes: &[Mode]) -> Vec<Alignment> {
    (0..ids)
        .map(|n| match modes[n % modes.len()] {
            Mode::Aligned => Alignment::Aligned,
            Mode::Until => Alignment::AlignedUntil { deadline_ms: i64::try_from(n).unwrap() * 10 },
            Mode::Unaligned => Alignment::Unaligned,
        })
        .collect()
}

fn modes_of(items: &[Item]) -> Vec<Mode> {
    let modes: Vec<Mode> =
        items.iter().filter_map(|item| if let Item::Barrier(mode) = item { Some(*mode) } else { None }).collect();
    if modes.is_empty() { vec![Mode::Aligned] } else { modes }
}

fn run(inputs: &[Vec<Item>], order: &[usize], aborts: &[(usize, u64)], delivery: Delivery) {
    let alignment_of = alignments(24, &modes_of(&inputs[0]));
    let (mut queues, mut before) = (Vec::new(), Vec::new());
    for items in inputs {
        let (elements, counts) = elements(items, &alignment_of);
        queues.push(VecDeque::from(elements));
        before.push(counts);
    }
    let records: Vec<usize> =
        inputs.iter().map(|items| items.iter().filter(|item| matches!(item, Item::Record)).count()).collect();
    let mut job =
        Job { processed: [0; INPUTS], before, ended: [false; INPUTS], collecting: None, last: None, delivery };
    let mut gate = Gate::new(INPUTS, delivery).unwrap();
    let mut outputs = Vec::new();
    for (step, pick) in order.iter().copied().chain((0..INPUTS).cycle()).enumerate() {
        if queues.iter().all(VecDeque::is_empty) {
            break;
        }
        if let Some(element) = queues[pick].pop_front() {
            gate.push(pick, element, &mut outputs).unwrap();
        }
        for (_, id) in aborts.iter().filter(|(at, _)| *at == step) {
            gate.abort(CheckpointId(*id), &mut outputs).unwrap();
        }
        gate.on_time(i64::try_from(step).unwrap(), &mut outputs).unwrap();
        job.run(&mut outputs);
    }
    assert_eq!(gate.held(), 0, "every input ended, nothing may stay behind");
    assert_eq!(job.processed[..], records[..]);
    assert!(gate.handler().all_ended() && job.collecting.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_snapshot_holds_what_stood_before_the_barriers(
        inputs in prop::collection::vec(items(), INPUTS),
        order in prop::collection::vec(0..INPUTS, 0..80),
        aborts in prop::collection::vec((0usize..60, 1u64..12), 0..4),
        exactly_once: bool,
    ) {
        let delivery = if exactly_once { Delivery::ExactlyOnce } else { Delivery::AtLeastOnce };
        run(&inputs, &order, &aborts, delivery);
    }
}

#[test]
fn held_elements_come_out_in_order_and_block_again() {
    let mut gate = Gate::new(2, Delivery::ExactlyOnce).unwrap();
    let mut outputs = Vec::new();
    let barrier = |id| Element::Barrier(Barrier::aligned(CheckpointId(id)));
    for element in [barrier(1), Element::Record('a'), barrier(2), Element::Record('b'), Element::End] {
        gate.push(0, element, &mut outputs).unwrap();
    }
    assert_eq!((gate.held(), outputs.len()), (4, 0));
    assert!(gate.push(0, Element::Record('x'), &mut outputs).is_err(), "after the end");
    gate.push(1, barrier(1), &mut outputs).unwrap();
    assert_eq!(
        outputs,
        [
            Output::Snapshot(Barrier::aligned(CheckpointId(1))),
            Output::Record { input: 0, record: 'a', store_for: None }
        ]
    );
    assert_eq!(gate.held(), 2);
    assert!(gate.push(2, Element::End, &mut outputs).is_err());
}

proptest! {
    #[test]
    fn without_aborts_every_checkpoint_is_taken(
        records in prop::collection::vec(prop::collection::vec(0usize..4, 6), INPUTS),
        order in prop::collection::vec(0..INPUTS, 0..60),
    ) {
        let mut gate = Gate::new(INPUTS, Delivery::ExactlyOnce).unwrap();
        let mut queues: Vec<VecDeque<Element<()>>> = records
            .iter()
            .map(|counts| {
                let rounds = counts.iter().zip(1u64..);
                rounds
                    .flat_map(|(count, id)| {
                        let barrier = Barrier::aligned(CheckpointId(id));
                        std::iter::repeat_n(Element::Record(()), *count).chain([Element::Barrier(barrier)])
                    })
                    .collect()
            })
            .collect();
        let mut outputs = Vec::new();
        for pick in order.into_iter().chain((0..INPUTS).cycle()) {
            if queues.iter().all(VecDeque::is_empty) {
                break;
            }
            if let Some(element) = queues[pick].pop_front() {
                gate.push(pick, element, &mut outputs).unwrap();
            }
        }
        let taken: Vec<u64> =
            outputs.iter().filter_map(|output| if let Output::Snapshot(b) = output { Some(b.id.0) } else { None }).collect();
        prop_assert_eq!(taken, (1..=6).collect::<Vec<_>>());
    }
}
