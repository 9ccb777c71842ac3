//! What a crash may leave of a file system.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::tree::{Content, Directory, Entry, Node, ROOT, Tree};
use crate::random::{RandomSource, SeededRandom};

/// One thing that a crash decides: what becomes of a name, or of the end of a file.
#[derive(Debug)]
enum Choice {
    /// `values` are what the name has stood for since its directory was synced, the durable one first, the newest last,
    /// and `orders` say after which change of the tree each holds.
    Name { directory: Node, name: String, values: Vec<Option<Entry>>, orders: Vec<u64> },
    /// The content: nothing of what was not synced first, all of it last.
    File { node: Node, contents: Vec<Arc<[u8]>> },
}

impl Choice {
    fn options(&self) -> usize {
        match self {
            Choice::Name { values, .. } => values.len(),
            Choice::File { contents, .. } => contents.len(),
        }
    }
}

/// Everything that a crash at one moment decides.
#[derive(Debug)]
pub(super) struct Choices {
    choices: Vec<Choice>,
}

impl Choices {
    pub(super) fn of(tree: &Tree) -> Self {
        let names = tree.directories.iter().flat_map(|(node, directory)| names(*node, directory));
        let reachable = reachable_files(tree);
        let files =
            tree.files.iter().filter(|(node, content)| reachable.contains(node) && content.synced < content.length);
        let files = files.map(|(node, content)| Choice::File { node: *node, contents: contents(content) });
        Choices { choices: names.chain(files).collect() }
    }

    /// Number of combinations.
    pub(super) fn count(&self) -> u128 {
        self.choices.iter().fold(1, |count, choice| count.saturating_mul(choice.options() as u128))
    }

    /// All combinations if there are at most `limit`, otherwise `limit` of them: those in which everything took effect in
    /// order up to some moment, those in which a single thing went another way than all others, and random ones.
    pub(super) fn pick(&self, limit: usize, seed: u64) -> Vec<Vec<usize>> {
        if self.count() <= limit as u128 {
            return self.all();
        }
        let random = SeededRandom::new(seed);
        let mut ordered = self.ordered();
        let mut single = self.single();
        shuffle(&mut ordered, &random);
        shuffle(&mut single, &random);
        let (nothing, everything) = self.extremes();
        let mut picked = vec![nothing, everything];
        picked.extend(ordered.into_iter().take(limit / 4));
        picked.extend(single.into_iter().take(limit / 4));
        while picked.len() < limit {
            picked.push(self.choices.iter().map(|choice| below(&random, choice.options())).collect());
        }
        picked.truncate(limit);
        picked
    }

    fn all(&self) -> Vec<Vec<usize>> {
        let mut all = vec![Vec::new()];
        for choice in &self.choices {
            let extend = |picked: Vec<usize>| (0..choice.options()).map(move |option| [&*picked, &[option]].concat());
            all = all.into_iter().flat_map(extend).collect();
        }
        all
    }

    fn extremes(&self) -> (Vec<usize>, Vec<usize>) {
        (vec![0; self.choices.len()], self.choices.iter().map(|choice| choice.options() - 1).collect())
    }

    /// Changes of names up to some moment, and of the files all or nothing.
    fn ordered(&self) -> Vec<Vec<usize>> {
        let orders = self.choices.iter().flat_map(|choice| match choice {
            Choice::Name { orders, .. } => orders.clone(),
            Choice::File { .. } => Vec::new(),
        });
        let moments: BTreeSet<u64> = orders.collect();
        let at = |moment: u64, files: bool| {
            let option = |choice: &Choice| match choice {
                Choice::Name { orders, .. } => orders.iter().filter(|order| **order <= moment).count(),
                Choice::File { contents, .. } => {
                    if files {
                        contents.len() - 1
                    } else {
                        0
                    }
                }
            };
            self.choices.iter().map(option).collect::<Vec<usize>>()
        };
        moments.into_iter().flat_map(|moment| [at(moment, false), at(moment, true)]).collect()
    }

    /// One thing otherwise than all others.
    fn single(&self) -> Vec<Vec<usize>> {
        let (nothing, everything) = self.extremes();
        let mut single = Vec::new();
        for (place, choice) in self.choices.iter().enumerate() {
            for option in 0..choice.options() {
                for base in [&nothing, &everything] {
                    let mut picked = base.clone();
                    if let Some(slot) = picked.get_mut(place).filter(|slot| **slot != option) {
                        *slot = option;
                        single.push(picked);
                    }
                }
            }
        }
        single
    }

    /// The file system after a crash that decided so. Everything in it is durable.
    pub(super) fn image(&self, tree: &Tree, picked: &[usize]) -> Tree {
        let mut names: BTreeMap<(Node, &str), Option<Entry>> = BTreeMap::new();
        let mut files: BTreeMap<Node, &Arc<[u8]>> = BTreeMap::new();
        for (choice, option) in self.choices.iter().zip(picked) {
            match choice {
                Choice::Name { directory, name, values, .. } => {
                    names.extend(values.get(*option).map(|entry| ((*directory, &**name), *entry)));
                }
                Choice::File { node, contents } => files.extend(contents.get(*option).map(|bytes| (*node, bytes))),
            }
        }
        Surviving { tree, names, files }.build()
    }
}

/// What the name stood for since the last sync, without repetitions.
fn names(node: Node, directory: &Directory) -> Vec<Choice> {
    let changed: BTreeSet<&str> = directory.changes.iter().map(|change| &*change.name).collect();
    let choice = |name: &str| {
        let mut values = vec![directory.durable.get(name).copied()];
        let mut orders = Vec::new();
        for change in directory.changes.iter().filter(|change| change.name == name) {
            values.push(change.entry);
            orders.push(change.order);
        }
        Choice::Name { directory: node, name: name.to_owned(), values, orders }
    };
    changed.into_iter().map(choice).collect()
}

/// What may be left of a file: nothing of what was not synced, half of it, zeros instead, half and then zeros, all but the
/// last byte, all of it. How many there are depends on the lengths alone.
fn contents(content: &Content) -> Vec<Arc<[u8]>> {
    let (bytes, synced) = (content.bytes(), content.synced);
    let length = bytes.len();
    let half = synced + (length - synced) / 2;
    // So many bytes are kept, and the file is so long.
    let ends = [(synced, synced), (half, half), (synced, length), (half, length), (length - 1, length - 1)];
    let mut kept: Vec<(usize, usize)> = Vec::new();
    for end in ends.into_iter().chain([(length, length)]) {
        if !kept.contains(&end) {
            kept.push(end);
        }
    }
    let content = |(kept, length): (usize, usize)| {
        let mut content: Vec<u8> = bytes.iter().copied().take(kept).collect();
        content.resize(length, 0);
        content.into()
    };
    kept.into_iter().map(content).collect()
}

/// Files that some image may have a name for.
fn reachable_files(tree: &Tree) -> BTreeSet<Node> {
    let entries = tree.directories.values().flat_map(|directory| {
        let changed = directory.changes.iter().filter_map(|change| change.entry.as_ref());
        directory.durable.values().chain(changed)
    });
    entries.filter_map(|entry| if let Entry::File(node) = entry { Some(*node) } else { None }).collect()
}

struct Surviving<'a> {
    tree: &'a Tree,
    names: BTreeMap<(Node, &'a str), Option<Entry>>,
    files: BTreeMap<Node, &'a Arc<[u8]>>,
}

impl Surviving<'_> {
    fn build(&self) -> Tree {
        let mut image = Tree::new();
        let mut placed = BTreeMap::new();
        let mut open = vec![(ROOT, ROOT)];
        while let Some((from, to)) = open.pop() {
            for (name, entry) in self.entries(from) {
                match entry {
                    Entry::Directory(node) => open.push((node, image.place_directory(to, &name))),
                    Entry::File(node) => {
                        let Some(content) = self.content(node) else { continue };
                        let known = placed.get(&node).copied();
                        placed.insert(node, image.place_file(to, &name, content, known));
                    }
                }
            }
        }
        image
    }

    fn entries(&self, node: Node) -> BTreeMap<String, Entry> {
        let mut entries =
            self.tree.directories.get(&node).map(|directory| directory.durable.clone()).unwrap_or_default();
        for ((_, name), entry) in self.names.range((node, "")..).take_while(|((directory, _), _)| *directory == node) {
            match entry {
                Some(entry) => entries.insert((*name).to_owned(), *entry),
                None => entries.remove(*name),
            };
        }
        entries
    }

    fn content(&self, node: Node) -> Option<Content> {
        match self.files.get(&node) {
            Some(bytes) => Some(Content::durable(bytes)),
            // All of it is durable, or the crash would have decided about it.
            None => self.tree.files.get(&node).cloned(),
        }
    }
}

/// The same for two trees in which a process finds the same names and contents.
pub(super) fn fingerprint(tree: &Tree) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut open = vec![ROOT];
    while let Some(node) = open.pop() {
        let entries = tree.directories.get(&node).map(|directory| &directory.live);
        for (name, entry) in entries.into_iter().flatten() {
            name.hash(&mut hasher);
            match entry {
                Entry::Directory(node) => open.push(*node),
                Entry::File(node) => tree.files.get(node).map(Content::bytes).hash(&mut hasher),
            }
        }
        u8::MAX.hash(&mut hasher);
    }
    hasher.finish()
}

fn below(random: &SeededRandom, bound: usize) -> usize {
    let drawn = random.next_u128().unwrap_or_default() % (bound.max(1) as u128);
    usize::try_from(drawn).unwrap_or_default()
}

fn shuffle<T>(list: &mut [T], random: &SeededRandom) {
    for at in (1..list.len()).rev() {
        list.swap(at, below(random, at + 1));
    }
}
