//! The collector running beside writers, each of its steps between theirs: nothing in use is ever gone, and nothing
//! unused stays for ever.

use std::collections::{BTreeMap, BTreeSet};

use millpond::checkpoint::gc::{Content, Lease, Plan, Role, Seen, View, plan};
use millpond::ids::CheckpointId;
use millpond::random::{RandomSource, SeededRandom};

const GRACE_MS: u64 = 50;
const RETAINED: usize = 2;

/// Storage, one job that takes checkpoints two at a time, a stalled writer of the past, and a slow reader.
#[derive(Default)]
struct World {
    objects: BTreeSet<String>,
    manifests: BTreeMap<CheckpointId, Content<String>>,
    /// The boundary as stored.
    boundary: u64,
    next_id: u64,
    next_object: u64,
    pending: BTreeMap<u64, Pending>,
    kept: BTreeSet<u64>,
    stalled: Vec<(u64, BTreeSet<String>)>,
    reader: Option<Reader>,
    now_ms: i64,
}

#[derive(Clone)]
struct Pending {
    base: Option<u64>,
    names: BTreeSet<String>,
}

struct Reader {
    lease: Lease,
    names: BTreeSet<String>,
}

/// How far the collector is.
enum Collector {
    Idle,
    Listed { listing: BTreeSet<String>, next_id: u64 },
    Bounded { listing: BTreeSet<String>, next_id: u64, boundary: u64, kept: BTreeSet<CheckpointId>, leases: Vec<Lease> },
    Deleting(Plan<String>),
}

fn role(name: &str) -> Option<Role> {
    if name.starts_with("shared/") {
        return Some(Role::Shared);
    }
    let (id, rest) = name.strip_prefix("chk-")?.split_once('/')?;
    let id = CheckpointId(id.parse().ok()?);
    Some(if rest == "_metadata" { Role::Manifest(id) } else { Role::Exclusive(id) })
}

impl World {
    fn names(&self, id: u64) -> BTreeSet<String> {
        match self.manifests.get(&CheckpointId(id)) {
            Some(Content::Names(names)) => names.clone(),
            other => panic!("checkpoint {id}: {other:?}"),
        }
    }

    fn trigger(&mut self) {
        self.next_id += 1;
        let base = self.kept.last().copied();
        self.pending.insert(self.next_id, Pending { base, names: BTreeSet::new() });
    }

    fn upload(&mut self, id: u64, shared: bool) {
        self.next_object += 1;
        let directory = if shared { "shared".to_string() } else { format!("chk-{id}") };
        let name = format!("{directory}/{}", self.next_object);
        self.objects.insert(name.clone());
        self.pending.get_mut(&id).unwrap().names.insert(name);
    }

    fn reuse(&mut self, id: u64, random: &SeededRandom) {
        let Some(base) = self.pending[&id].base else { return };
        let shared = self.names(base).into_iter().filter(|name| name.starts_with("shared/"));
        let taken: Vec<String> = shared.filter(|_| pick(random, 2) == 0).collect();
        self.pending.get_mut(&id).unwrap().names.extend(taken);
    }

    fn complete(&mut self, id: u64) {
        let pending = self.pending.remove(&id).unwrap();
        self.manifests.insert(CheckpointId(id), Content::Names(pending.names));
        self.kept.insert(id);
        self.pending.retain(|other, _| *other > id);
    }

    /// What the coordinator keeps: the newest, and the bases of what is pending.
    fn retain(&mut self) {
        let bases: BTreeSet<u64> = self.pending.values().filter_map(|pending| pending.base).collect();
        let newest: BTreeSet<u64> = self.kept.iter().rev().take(RETAINED).copied().collect();
        self.kept.retain(|id| bases.contains(id) || newest.contains(id));
    }

    fn check(&self) {
        let read = self.reader.iter().map(|reader| &reader.names);
        let kept = self.kept.iter().map(|id| match &self.manifests[&CheckpointId(*id)] {
            Content::Names(names) => names,
            other => panic!("{other:?}"),
        });
        let pending = self.pending.values().map(|pending| &pending.names);
        for name in kept.chain(pending).chain(read).flatten() {
            assert!(self.objects.contains(name), "{name} is in use and gone");
        }
    }

    fn writer_step(&mut self, random: &SeededRandom) {
        let ids: Vec<u64> = self.pending.keys().copied().collect();
        let some = (!ids.is_empty()).then(|| ids[usize::try_from(pick(random, ids.len() as u64)).unwrap()]);
        match (pick(random, 12), some) {
            (0 | 1, _) if ids.len() < 2 => self.trigger(),
            (2..5, Some(id)) => self.upload(id, pick(random, 2) == 0),
            (5 | 6, Some(id)) => self.reuse(id, random),
            (7, Some(id)) => self.complete(id),
            (8, Some(id)) => drop(self.pending.remove(&id)),
            (9, Some(id)) if self.stalled.len() < 3 => {
                let names = self.pending.remove(&id).unwrap().names;
                self.stalled.push((id, names));
            }
            (10, _) => self.stalled_step(),
            (11, _) => self.reader_step(),
            _ => {}
        }
        self.retain();
    }

    /// A writer that was stalled creates its manifest at last, then reads the boundary and learns that it was passed over.
    fn stalled_step(&mut self) {
        if let Some((id, names)) = self.stalled.pop() {
            if self.boundary <= id {
                // Not passed over yet: still pending as far as the collector knows, see `boundary`.
                return self.stalled.push((id, names));
            }
            self.manifests.entry(CheckpointId(id)).or_insert(Content::Names(names));
        }
    }

    fn reader_step(&mut self) {
        if self.reader.take().is_none()
            && let Some(id) = self.kept.last().copied()
        {
            let lease = Lease { id: CheckpointId(id), expires_ms: self.now_ms + 200 };
            self.reader = Some(Reader { lease, names: self.names(id) });
        }
    }

    fn collector_step(&mut self, collector: Collector, seen: &mut BTreeMap<String, Seen>) -> Collector {
        match collector {
            Collector::Idle => {
                let slots = self.manifests.keys().map(|id| format!("chk-{id}/_metadata"));
                let listing = self.objects.iter().cloned().chain(slots).collect();
                Collector::Listed { listing, next_id: self.next_id + 1 }
            }
            Collector::Listed { listing, next_id } => {
                let boundary = self.pending.keys().next().copied().unwrap_or(self.next_id + 1);
                let kept = self.kept.iter().map(|id| CheckpointId(*id)).collect();
                let leases = self.reader.iter().map(|reader| reader.lease).collect();
                Collector::Bounded { listing, next_id, boundary, kept, leases }
            }
            Collector::Bounded { listing, next_id, boundary, kept, leases } => {
                let view = View {
                    listing: Some(listing),
                    next_id: CheckpointId(next_id),
                    boundary: CheckpointId(boundary),
                    kept,
                    manifests: self.manifests.clone(),
                    leases,
                    epoch: 1,
                    highest_epoch: 1,
                    seen: seen.clone(),
                    now_ms: self.now_ms,
                    grace_ms: GRACE_MS,
                    #[cfg(feature = "test-util")]
                    planted: super::planted(),
                };
                match plan(&view, |name| role(name)) {
                    Ok(plan) => {
                        assert_eq!(plan, millpond::checkpoint::gc::plan(&view, |name| role(name)).unwrap());
                        seen.clone_from(&plan.seen);
                        Collector::Deleting(plan)
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Collector::Deleting(mut plan) => {
                self.boundary = self.boundary.max(plan.boundary.below.0);
                if let Some(name) = plan.manifests.pop() {
                    let Some(Role::Manifest(id)) = role(&name) else { panic!("{name}") };
                    assert!(!self.kept.contains(&id.0), "{id} is kept");
                    self.manifests.remove(&id);
                } else if let Some(name) = plan.objects.pop() {
                    self.objects.remove(&name);
                } else {
                    return Collector::Idle;
                }
                Collector::Deleting(plan)
            }
        }
    }
}

fn pick(random: &SeededRandom, bound: u64) -> u64 {
    u64::try_from(random.next_u128().unwrap() % u128::from(bound)).unwrap()
}

fn run(seed: u64) -> usize {
    let random = SeededRandom::new(seed);
    let mut world = World::default();
    let (mut collector, mut seen, mut deleted) = (Collector::Idle, BTreeMap::new(), 0);
    for _ in 0..800 {
        world.now_ms += i64::try_from(pick(&random, 10)).unwrap();
        if world.reader.as_ref().is_some_and(|reader| reader.lease.expires_ms <= world.now_ms) {
            world.reader = None;
        }
        let before = world.objects.len();
        match pick(&random, 20) {
            // It crashes, and forgets or remembers what it saw.
            0 => collector = Collector::Idle,
            1 => (collector, seen) = (Collector::Idle, BTreeMap::new()),
            2..10 => collector = world.collector_step(collector, &mut seen),
            _ => world.writer_step(&random),
        }
        deleted += before.saturating_sub(world.objects.len());
        world.check();
    }
    settle(&mut world, seen);
    deleted
}

/// One seed; panics if something in use is gone.
#[cfg(feature = "test-util")]
pub(super) fn check(seed: u64) {
    run(seed);
}

/// Without writers and readers, a few rounds leave exactly what is kept.
fn settle(world: &mut World, mut seen: BTreeMap<String, Seen>) {
    (world.reader, world.pending) = (None, BTreeMap::new());
    world.retain();
    let mut collector = Collector::Idle;
    for _ in 0..1_000 {
        world.now_ms += 10;
        world.stalled_step();
        collector = world.collector_step(collector, &mut seen);
    }
    let kept: BTreeSet<CheckpointId> = world.kept.iter().map(|id| CheckpointId(*id)).collect();
    assert_eq!(world.manifests.keys().copied().collect::<BTreeSet<_>>(), kept);
    let named: BTreeSet<String> = world.kept.iter().flat_map(|id| world.names(*id)).collect();
    assert_eq!(world.objects, named, "orphans stay");
}

#[test]
fn nothing_in_use_is_collected_and_nothing_unused_stays() {
    let deleted: usize = (0..400).map(run).sum();
    assert!(deleted > 4_000, "only {deleted} deletions: the test tests nothing");
}
