//! A registered state with its types.

use super::content::{Content, Expiry, Liveness};
use super::shards::SweepCursor;
use super::table::{Table, TableHasher};
use crate::backend::Key;
use crate::backend::registration::SharedSerializer;
use crate::format::record::StateMeta;
use crate::state::{Ttl, TtlUpdate, TtlVisibility};

/// A state with its types: the table and what is needed to write it.
pub(super) struct TypedState<K, N, C: Content> {
    pub(super) meta: StateMeta,
    pub(super) table: Table<K, N, C::Stored>,
    pub(super) namespace: SharedSerializer<N>,
    pub(super) content: C,
    pub(super) ttl: Option<Ttl>,
    cleanup: Cleanup,
}

/// Where the background clean-up goes on.
#[derive(Debug, Default)]
struct Cleanup {
    group: usize,
    cursor: SweepCursor,
}

impl<K, N, C> TypedState<K, N, C>
where
    K: Key,
    N: Key,
    C: Content,
{
    pub(super) fn new(
        meta: StateMeta,
        groups: usize,
        hasher: TableHasher,
        namespace: SharedSerializer<N>,
        content: C,
        ttl: Option<Ttl>,
    ) -> Self {
        TypedState { meta, table: Table::new(groups, hasher), namespace, content, ttl, cleanup: Cleanup::default() }
    }

    #[inline]
    pub(super) fn liveness(&self, now_ms: i64) -> Liveness {
        Liveness { ttl: self.ttl, now_ms }
    }

    /// Whether an expired value that is still there shows.
    #[inline]
    pub(super) fn shows_expired(&self) -> bool {
        self.ttl.is_some_and(|ttl| ttl.visibility == TtlVisibility::ReturnUntilCleanedUp)
    }

    /// Whether a read counts as touching.
    #[inline]
    pub(super) fn touches_on_read(&self) -> bool {
        self.ttl.is_some_and(|ttl| ttl.update == TtlUpdate::OnReadAndWrite)
    }

    /// Looks at up to `budget` slots of the table and removes what is expired; returns how many it removed.
    pub(super) fn clean_up(&mut self, now_ms: i64, mut budget: usize) -> usize {
        let liveness = self.liveness(now_ms);
        let groups = self.table.group_count();
        let mut removed = 0;
        // A group costs a step as well, so that a call is cheap however many of them are empty.
        for _ in 0..=budget.min(groups) {
            let Cleanup { group, cursor } = self.cleanup;
            let content = &self.content;
            let next = self.table.sweep(group, cursor, &mut budget, |stored| {
                let expiry = content.expire(stored, &liveness);
                removed += usize::from(expiry == Expiry::Everything);
                expiry
            });
            match next {
                Some(cursor) => {
                    self.cleanup.cursor = cursor;
                    break;
                }
                None => self.cleanup = Cleanup { group: (group + 1) % groups.max(1), cursor: SweepCursor::default() },
            }
        }
        removed
    }
}

impl<K, N, C: Content> std::fmt::Debug for TypedState<K, N, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypedState").field("meta", &self.meta).finish_non_exhaustive()
    }
}
