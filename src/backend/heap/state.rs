//! A registered state with its types forgotten: what the backend does with all states alike.

use std::any::Any;

use super::content::{Content, Liveness};
use super::frozen::{Frozen, FrozenTable, FrozenTimers};
use super::timer::Timers;
use super::typed::TypedState;
use crate::backend::registration::SharedSerializer;
use crate::backend::{Key, SnapshotVersion, Statistics};
use crate::format::record::StateMeta;

/// A state of a backend with keys of type `K`.
pub(super) trait State<K>: Any + Send {
    fn meta(&self) -> &StateMeta;
    fn statistics(&self) -> Statistics;
    fn for_each_key(&self, now_ms: i64, visit: &mut dyn FnMut(&K, &dyn Any));
    fn clean_up(&mut self, now_ms: i64, budget: usize) -> usize;
    fn freeze(&mut self, key: &SharedSerializer<K>, now_ms: i64, version: SnapshotVersion) -> Box<dyn Frozen>;
}

impl<K, N, C> State<K> for TypedState<K, N, C>
where
    K: Key,
    N: Key,
    C: Content,
{
    fn meta(&self) -> &StateMeta {
        &self.meta
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            entries: self.table.len(),
            unsettled_groups: self.table.unsettled_groups(),
            layered_changes: self.table.layered_changes(),
        }
    }

    fn for_each_key(&self, now_ms: i64, visit: &mut dyn FnMut(&K, &dyn Any)) {
        let liveness = self.liveness(now_ms);
        for group in 0..self.table.group_count() {
            self.table.for_each(group, |key, namespace, stored| {
                if self.content.is_live(stored, &liveness) {
                    visit(key, namespace);
                }
            });
        }
    }

    fn clean_up(&mut self, now_ms: i64, budget: usize) -> usize {
        if self.ttl.is_none() {
            return 0;
        }
        TypedState::clean_up(self, now_ms, budget)
    }

    fn freeze(&mut self, key: &SharedSerializer<K>, now_ms: i64, version: SnapshotVersion) -> Box<dyn Frozen> {
        let filter = self.ttl.filter(|ttl| ttl.cleanup.in_snapshots);
        let liveness = Liveness { ttl: filter, now_ms };
        let groups = (0..self.table.group_count()).map(|group| self.table.freeze(group, version)).collect();
        Box::new(FrozenTable {
            meta: self.meta.clone(),
            groups,
            hasher: self.table.hasher().clone(),
            key: SharedSerializer::clone(key),
            namespace: SharedSerializer::clone(&self.namespace),
            content: self.content.clone(),
            liveness,
        })
    }
}

impl<K, N> State<K> for Timers<K, N>
where
    K: Key,
    N: Key,
{
    fn meta(&self) -> &StateMeta {
        &self.meta
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            entries: self.table.len(),
            unsettled_groups: self.table.unsettled_groups(),
            layered_changes: self.table.layered_changes(),
        }
    }

    fn for_each_key(&self, _now_ms: i64, visit: &mut dyn FnMut(&K, &dyn Any)) {
        for group in 0..self.table.group_count() {
            self.table.for_each(group, |key, moment, ()| visit(key, &moment.namespace));
        }
    }

    fn clean_up(&mut self, _now_ms: i64, _budget: usize) -> usize {
        0
    }

    fn freeze(&mut self, key: &SharedSerializer<K>, _now_ms: i64, version: SnapshotVersion) -> Box<dyn Frozen> {
        let groups = (0..self.table.group_count()).map(|group| self.table.freeze(group, version)).collect();
        Box::new(FrozenTimers {
            meta: self.meta.clone(),
            groups,
            hasher: self.table.hasher().clone(),
            key: SharedSerializer::clone(key),
            namespace: SharedSerializer::clone(&self.namespace),
        })
    }
}
