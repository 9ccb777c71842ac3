//! Looking through the rows of a state: to count what they are, and to remove what is expired.

use super::database::Family;
use super::expiry::Liveness;
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::native_rocksdb::{group_bounds, split_row_key};
use crate::format::record::{StateKind, StateMeta};
use crate::format::schema::Schema;
use crate::key_group::KeyGroupRange;

/// Rows that accesses let pile up before some are looked at: opening an iterator costs as much as looking at dozens.
const PILE: usize = 256;

/// Where the removal of expired values goes on.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The first row that was not looked at; empty for the first of all.
    next: Vec<u8>,
    /// Whether something of the key and namespace of the row before `next` is left.
    is_kept: bool,
    /// Key and namespace of the row before `next`.
    last: Vec<u8>,
    /// Rows that accesses were to look at and have not yet.
    owed: usize,
}

/// Length of what precedes the key in the neutral key of a timer: domain and timestamp.
pub(super) const TIMER_BYTES: usize = 9;

/// What a row is after a look at it.
enum Outcome {
    Kept,
    Changed,
    Removed,
}

impl Sweep {
    /// Notes that an access was to look at `rows` rows; gives how many to look at now.
    pub(super) fn owe(&mut self, rows: usize) -> usize {
        self.owed = self.owed.saturating_add(rows);
        if self.owed < PILE { 0 } else { std::mem::take(&mut self.owed) }
    }

    /// Looks at up to `budget` rows, going round, and removes what is expired; returns how many keys and namespaces lost
    /// everything. For states with a time to live.
    pub(super) fn run(
        &mut self,
        family: Family<'_>,
        schema: Schema<'_>,
        range: KeyGroupRange,
        liveness: &Liveness,
        budget: usize,
    ) -> Result<usize> {
        if budget == 0 {
            return Ok(0);
        }
        let (first, end) = group_bounds(range);
        let mut rows = family.rows(if self.next.is_empty() { &first } else { &self.next }, &end)?;
        let (mut removed, mut kept) = (0, Writer::new());
        for _ in 0..budget {
            let Some((row, value)) = rows.next_row()? else {
                removed += self.leave();
                self.next.clear();
                return Ok(removed);
            };
            let place = place(schema, row)?;
            if place != self.last.as_slice() {
                removed += self.leave();
                self.last.extend_from_slice(place);
            }
            kept.clear();
            match look(schema.state.kind, value, liveness, &mut kept)? {
                Outcome::Kept => self.is_kept = true,
                Outcome::Changed => {
                    self.is_kept = true;
                    family.put(row, kept.as_slice())?;
                }
                Outcome::Removed => family.delete(row)?,
            }
            self.next.clear();
            self.next.extend_from_slice(row);
            self.next.push(0);
        }
        Ok(removed)
    }

    /// Leaves the key and namespace that was looked at last; counts it if nothing of it is left.
    fn leave(&mut self) -> usize {
        let is_gone = !self.last.is_empty() && !self.is_kept;
        self.last.clear();
        self.is_kept = false;
        usize::from(is_gone)
    }
}

/// The part of a row that says which key and namespace it belongs to: the key group, the key and the namespace.
pub(super) fn place<'r>(schema: Schema<'_>, row: &'r [u8]) -> Result<&'r [u8]> {
    if schema.state.kind != StateKind::Map {
        return Ok(row);
    }
    let (_, key) = split_row_key(row)?;
    let user_key = schema.split_key(key)?.user_key.len();
    Ok(row.get(..row.len().saturating_sub(user_key)).unwrap_or_default())
}

fn look(kind: StateKind, value: &[u8], liveness: &Liveness, kept: &mut Writer) -> Result<Outcome> {
    let mut input = Reader::new(value);
    if kind != StateKind::List {
        let is_live = liveness.is_live(input.ordered_i64("stamp")?);
        return Ok(if is_live { Outcome::Kept } else { Outcome::Removed });
    }
    keep_live(value, liveness, kept)?;
    Ok(match kept.len() {
        0 => Outcome::Removed,
        all if all == value.len() => Outcome::Kept,
        _ => Outcome::Changed,
    })
}

/// Appends the elements of a timed list that are live.
pub(super) fn keep_live(list: &[u8], liveness: &Liveness, kept: &mut Writer) -> Result<()> {
    let mut input = Reader::new(list);
    while !input.is_empty() {
        let element = input.bytes("element")?;
        if liveness.is_live(Reader::new(element).ordered_i64("stamp")?) {
            kept.bytes(element);
        }
    }
    Ok(())
}

/// The number of keys and namespaces, or of timers, that have rows. Reads all of them.
pub(super) fn count(family: Family<'_>, schema: Schema<'_>, range: KeyGroupRange) -> Result<usize> {
    let (first, end) = group_bounds(range);
    let mut rows = family.rows(&first, &end)?;
    let (mut entries, mut last) = (0_usize, Vec::new());
    while let Some((row, _)) = rows.next_row()? {
        let place = place(schema, row)?;
        if entries == 0 || place != last.as_slice() {
            entries += 1;
            last.clear();
            last.extend_from_slice(place);
        }
    }
    Ok(entries)
}

/// Describes `state` with keys of `key`.
pub(super) fn schema<'m>(key: &'m crate::serializer::SerializerSnapshot, state: &'m StateMeta) -> Schema<'m> {
    Schema { key, state }
}
