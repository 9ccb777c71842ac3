//! Snapshots of classes that are not known, where what follows them can be found all the same.
//!
//! A snapshot has no length. But where the end of a whole header is known, all that follows an unknown snapshot has to fit up to
//! that end. If it fits in exactly one way, that is where the snapshot ends: nothing is guessed. If it fits in none or in several, the
//! header stays unreadable from there on.

use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::primitive::Primitives;

/// So many ways are tried at most, and fewer where they take more bytes than that in all.
const ATTEMPTS: usize = 2000;
const BYTES: usize = 64 << 20;

/// Names that state descriptions have for their serializers.
const SERIALIZERS: [&str; 4] = ["NAMESPACE_SERIALIZER", "VALUE_SERIALIZER", "KEY_SERIALIZER", "USER_KEY_SERIALIZER"];

/// Where snapshots of unknown classes end, in the order in which they are met.
#[derive(Debug, Default)]
pub(in crate::format::flink) struct Gaps {
    ends: Vec<u64>,
    met: usize,
    /// Offset of the first unknown snapshot whose end is not given.
    open: Option<u64>,
    searching: bool,
}

impl Gaps {
    /// Whether `name` can be that of a serializer of a state. While ends are tried, names that Flink does not use are no
    /// sign of a good one.
    pub(in crate::format::flink) fn accepts(&self, name: &str) -> bool {
        !self.searching || SERIALIZERS.contains(&name)
    }

    /// The end of the unknown snapshot that begins at `offset`; `None` if it is not known. Its outer snapshots meet the same
    /// error and get the same answer.
    pub(super) fn end(&mut self, offset: u64) -> Option<u64> {
        if self.open.is_some() {
            return None;
        }
        let end = self.ends.get(self.met).copied();
        self.met = self.met.saturating_add(1);
        if end.is_none() {
            self.open = Some(offset);
        }
        end
    }
}

/// Reads a header, and says how many states are still to come when it stops.
type Read<'r, H> = dyn Fn(&mut Reader<'_>, &mut Gaps) -> Result<(H, usize)> + 'r;

/// The only way to read all of `whole`, a header with snapshots of unknown classes; `None` if there is none, or more than one.
pub(in crate::format::flink) fn only_way<H>(whole: &Reader<'_>, read: &Read<'_, H>) -> Option<H> {
    let bytes = whole.rest();
    let starts = (0..bytes.len()).filter(|position| is_state(tail(bytes, *position))).collect();
    let left = BYTES.checked_div(bytes.len()).unwrap_or(0).min(ATTEMPTS);
    let mut search = Search { whole, read, starts, left, found: Vec::new() };
    search.attempt(&mut Vec::new());
    if search.left == 0 || search.found.len() > 1 {
        return None;
    }
    search.found.pop()
}

struct Search<'s, 'a, H> {
    whole: &'s Reader<'a>,
    read: &'s Read<'s, H>,
    /// Where the description of a state can begin.
    starts: Vec<usize>,
    left: usize,
    found: Vec<H>,
}

impl<H> Search<'_, '_, H> {
    /// Reads with these ends, and with every end that the next unknown snapshot can have.
    fn attempt(&mut self, ends: &mut Vec<u64>) {
        let Some(left) = self.left.checked_sub(1) else { return };
        self.left = left;
        let mut gaps = Gaps { ends: ends.clone(), searching: true, ..Gaps::default() };
        let mut input = self.whole.clone();
        let Ok((header, states_left)) = (self.read)(&mut input, &mut gaps) else { return };
        let Some(open) = gaps.open else {
            if input.is_empty() {
                self.found.push(header);
            }
            return;
        };
        let base = self.whole.offset();
        let from = usize::try_from(open.saturating_sub(base)).unwrap_or(usize::MAX).saturating_add(6);
        for end in from..=self.whole.remaining() {
            if self.found.len() > 1 || self.left == 0 || ends.len() >= 64 {
                return;
            }
            let starts_left = self.starts.len().saturating_sub(self.starts.partition_point(|start| *start < end));
            if starts_left < states_left {
                return;
            }
            if can_end(tail(self.whole.rest(), end)) {
                ends.push(base.saturating_add(u64::try_from(end).unwrap_or(u64::MAX)));
                self.attempt(ends);
                ends.pop();
            }
        }
    }
}

fn tail(bytes: &[u8], position: usize) -> &[u8] {
    bytes.get(position..).unwrap_or_default()
}

/// Whether a snapshot can end here, by what follows: nothing, another snapshot, another serializer, a state or a number of states.
fn can_end(rest: &[u8]) -> bool {
    if rest.is_empty() || is_state(rest) {
        return true;
    }
    let mut count = Reader::new(rest);
    if let Ok(0..) = count.i16("number of states")
        && (count.is_empty() || is_state(count.rest()) || count.rest() == [0, 0])
    {
        return true;
    }
    let mut behind = behind_name(rest);
    let is_number = matches!(behind.i32("version"), Ok(0..=10));
    is_number && Reader::new(rest).utf("class or serializer").is_ok_and(|name| !name.is_empty())
}

/// Whether the description of a state can begin here: a name, a type, a number of options.
fn is_state(rest: &[u8]) -> bool {
    let mut behind = behind_name(rest);
    matches!(behind.i32("state type"), Ok(0..=4))
        && matches!(behind.i32("number of state options"), Ok(0..=2))
        && Reader::new(rest).utf("state name").is_ok()
}

/// What is behind a name, which is not looked at: most places are ruled out by what would follow it.
fn behind_name(rest: &[u8]) -> Reader<'_> {
    let mut input = Reader::new(rest);
    let length = input.u16("length of a name").map_or(usize::MAX, usize::from);
    if input.raw(length, "name").is_ok() { input } else { Reader::new(&[]) }
}
