//! Where a pair lies in the database.

use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::key_group::{KeyGroup, KeyGroupRange, MAX_MAX_PARALLELISM};

/// Name of the merge operator of list states, which concatenates. Stored in the database; never changed.
pub const LIST_MERGE_OPERATOR: &str = "millpond.list.v1";

/// What the name of a column family begins with, so that a state may be called `default`.
const STATE_PREFIX: &str = "state/";

/// The column family of a state.
pub fn column_family_name(state: &str) -> String {
    format!("{STATE_PREFIX}{state}")
}

/// The state of a column family; `None` for the default one and for any other that is not of a state.
pub fn state_of_column_family(name: &str) -> Option<&str> {
    name.strip_prefix(STATE_PREFIX).filter(|state| !state.is_empty())
}

/// Appends the key of a row: the key group and the neutral key.
#[inline]
pub fn row_key(group: KeyGroup, key: &[u8], out: &mut Writer) {
    out.u16(group.0);
    out.raw(key);
}

/// The key group and the neutral key of a row.
#[inline]
pub fn split_row_key(row: &[u8]) -> Result<(KeyGroup, &[u8])> {
    let mut input = Reader::new(row);
    let at = input.clone();
    let group = input.u16("key group")?;
    if u32::from(group) >= MAX_MAX_PARALLELISM {
        return Err(at.corrupt("key group", format!("is {group}, which no job has")));
    }
    Ok((KeyGroup(group), input.rest()))
}

/// The rows of a range of key groups: from the first bound, included, to the second, excluded.
pub fn group_bounds(range: KeyGroupRange) -> ([u8; 2], [u8; 2]) {
    // A key group is at most 32,767, so there is always a next one.
    (range.first().0.to_be_bytes(), range.last().0.saturating_add(1).to_be_bytes())
}

/// The shortest byte string above everything that begins with `prefix`; `None` if there is none, because the prefix is
/// empty or all ones.
pub fn prefix_successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut successor = prefix.get(..=last)?.to_vec();
    let byte = successor.last_mut()?;
    *byte = byte.saturating_add(1);
    Some(successor)
}
