//! States as a snapshot holds them, and how they are written, on whatever thread, while the backend goes on.

use super::content::{Content, Liveness};
use super::queue::Moment;
use super::table::{FrozenGroup, GroupView, TableHasher};
use crate::backend::registration::SharedSerializer;
use crate::backend::{Key, SnapshotVersion};
use crate::codec::Writer;
use crate::error::Result;
use crate::format::canonical::PairWriter;
use crate::format::record::StateMeta;
use crate::format::section::SectionWriter;
use crate::snapshot::ObjectSink;

/// One state of a snapshot. Writing a group lets go of it, so that its old versions can be freed.
pub(super) trait Frozen: Send {
    fn meta(&self) -> &StateMeta;

    /// The first snapshot that showed a group as it is here.
    fn changed_in(&self, group: usize) -> SnapshotVersion;

    /// Lets go of a group that is not to be written.
    fn let_go(&mut self, group: usize);

    /// Writes one group as neutral pairs in canonical order.
    fn write_pairs(&mut self, group: usize, out: &mut PairWriter<ObjectSink>) -> Result<()>;

    /// Writes one group in the native format, in any order.
    fn write_typed(&mut self, group: usize, out: &mut SectionWriter<ObjectSink>) -> Result<()>;
}

/// Keyed state other than timers.
pub(super) struct FrozenTable<K, N, C: Content> {
    pub(super) meta: StateMeta,
    pub(super) groups: Vec<FrozenGroup<K, N, C::Stored>>,
    pub(super) hasher: TableHasher,
    pub(super) key: SharedSerializer<K>,
    pub(super) namespace: SharedSerializer<N>,
    pub(super) content: C,
    pub(super) liveness: Liveness,
}

fn take<K, N, V>(groups: &mut [FrozenGroup<K, N, V>], group: usize) -> Option<GroupView<K, N, V>> {
    groups.get_mut(group)?.view.take()
}

fn changed_in<K, N, V>(groups: &[FrozenGroup<K, N, V>], group: usize) -> SnapshotVersion {
    groups.get(group).map_or(SnapshotVersion::NONE, |group| group.changed_in)
}

impl<K, N, C> Frozen for FrozenTable<K, N, C>
where
    K: Key,
    N: Key,
    C: Content,
{
    fn meta(&self) -> &StateMeta {
        &self.meta
    }

    fn changed_in(&self, group: usize) -> SnapshotVersion {
        changed_in(&self.groups, group)
    }

    fn let_go(&mut self, group: usize) {
        take(&mut self.groups, group);
    }

    fn write_pairs(&mut self, group: usize, out: &mut PairWriter<ObjectSink>) -> Result<()> {
        let Some(view) = take(&mut self.groups, group) else { return Ok(()) };
        let entries = view.entries(&self.hasher);
        let mut pairs = SortedKeys::with_capacity(entries.len());
        let mut key_bytes = Writer::new();
        for (key, namespace, stored) in entries {
            key_bytes.clear();
            self.key.write(key, &mut key_bytes)?;
            self.namespace.write(namespace, &mut key_bytes)?;
            self.content.pairs(stored, &self.liveness, &mut key_bytes, &mut |key, pair| pairs.push(key, pair))?;
        }
        pairs.sort();
        if !pairs.is_empty() {
            out.begin_state(&self.meta.name, self.meta.kind)?;
        }
        for (key, pair) in pairs.iter() {
            out.pair_with(key, |value| self.content.write_pair(pair, &self.liveness, value))?;
        }
        Ok(())
    }

    fn write_typed(&mut self, group: usize, out: &mut SectionWriter<ObjectSink>) -> Result<()> {
        let Some(view) = take(&mut self.groups, group) else { return Ok(()) };
        out.begin_state(&self.meta.name, self.meta.kind)?;
        let mut done = Ok(());
        view.for_each(&self.hasher, |key, namespace, stored| {
            if done.is_ok() && self.content.is_live(stored, &self.liveness) {
                done = out.entry(|out| {
                    self.key.write(key, out)?;
                    self.namespace.write(namespace, out)?;
                    self.content.write_typed(stored, &self.liveness, out)
                });
            }
        });
        done
    }
}

/// Timers.
pub(super) struct FrozenTimers<K, N> {
    pub(super) meta: StateMeta,
    pub(super) groups: Vec<FrozenGroup<K, Moment<N>, ()>>,
    pub(super) hasher: TableHasher,
    pub(super) key: SharedSerializer<K>,
    pub(super) namespace: SharedSerializer<N>,
}

impl<K: Key, N: Key> FrozenTimers<K, N> {
    fn write_timer(&self, key: &K, moment: &Moment<N>, out: &mut Writer) -> Result<()> {
        out.u8(moment.domain.tag());
        out.ordered_i64(moment.timestamp_ms);
        self.key.write(key, out)?;
        self.namespace.write(&moment.namespace, out)
    }
}

impl<K, N> Frozen for FrozenTimers<K, N>
where
    K: Key,
    N: Key,
{
    fn meta(&self) -> &StateMeta {
        &self.meta
    }

    fn changed_in(&self, group: usize) -> SnapshotVersion {
        changed_in(&self.groups, group)
    }

    fn let_go(&mut self, group: usize) {
        take(&mut self.groups, group);
    }

    fn write_pairs(&mut self, group: usize, out: &mut PairWriter<ObjectSink>) -> Result<()> {
        let Some(view) = take(&mut self.groups, group) else { return Ok(()) };
        let entries = view.entries(&self.hasher);
        let mut pairs = SortedKeys::with_capacity(entries.len());
        let mut timer = Writer::new();
        for (key, moment, ()) in entries {
            timer.clear();
            self.write_timer(key, moment, &mut timer)?;
            pairs.push(timer.as_slice(), ());
        }
        pairs.sort();
        if !pairs.is_empty() {
            out.begin_state(&self.meta.name, self.meta.kind)?;
        }
        pairs.iter().try_for_each(|(key, ())| out.pair(key, &[]))
    }

    fn write_typed(&mut self, group: usize, out: &mut SectionWriter<ObjectSink>) -> Result<()> {
        let Some(view) = take(&mut self.groups, group) else { return Ok(()) };
        out.begin_state(&self.meta.name, self.meta.kind)?;
        let mut done = Ok(());
        view.for_each(&self.hasher, |key, moment, ()| {
            if done.is_ok() {
                done = out.entry(|out| self.write_timer(key, moment, out));
            }
        });
        done
    }
}

/// Encoded keys with something attached, to be put in byte order.
///
/// The keys lie one after another in one buffer; what is sorted is their first eight bytes and where they are, so that most
/// comparisons touch nothing else.
pub(super) struct SortedKeys<T> {
    bytes: Vec<u8>,
    keys: Vec<SortKey<T>>,
}

struct SortKey<T> {
    prefix: u64,
    start: usize,
    len: usize,
    attached: T,
}

impl<T> SortedKeys<T> {
    pub(super) fn with_capacity(keys: usize) -> Self {
        SortedKeys { bytes: Vec::new(), keys: Vec::with_capacity(keys) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn push(&mut self, key: &[u8], attached: T) {
        let mut prefix = [0u8; 8];
        let shared = key.len().min(prefix.len());
        if let (Some(to), Some(from)) = (prefix.get_mut(..shared), key.get(..shared)) {
            to.copy_from_slice(from);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.keys.push(SortKey { prefix: u64::from_be_bytes(prefix), start, len: key.len(), attached });
    }

    pub(super) fn sort(&mut self) {
        let bytes = &self.bytes;
        let whole = |key: &SortKey<T>| bytes.get(key.start..key.start.saturating_add(key.len)).unwrap_or_default();
        self.keys.sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix).then_with(|| whole(a).cmp(whole(b))));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        self.keys.iter().map(|key| {
            let bytes = self.bytes.get(key.start..key.start.saturating_add(key.len)).unwrap_or_default();
            (bytes, &key.attached)
        })
    }
}
