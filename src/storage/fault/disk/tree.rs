//! Directories and files in two states at once: as a process sees them, and as far as they are durable.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::storage::filesystem::{FileIdentity, FileKind, FileMetadata};

/// Number of a file or directory, whatever its names.
pub(super) type Node = u64;

/// The root directory.
pub(super) const ROOT: Node = 0;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File(Node),
    Directory(Node),
}

/// The content of a file. Files only grow, so what is durable is a prefix, and what was written is shared with the past.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    writes: Vec<Arc<[u8]>>,
    pub(super) length: usize,
    /// Length of the durable prefix.
    pub(super) synced: usize,
}

impl Content {
    pub(super) fn durable(bytes: &Arc<[u8]>) -> Self {
        Content { writes: vec![Arc::clone(bytes)], length: bytes.len(), synced: bytes.len() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.writes.concat()
    }

    fn append(&mut self, bytes: &[u8]) {
        self.writes.push(bytes.into());
        self.length += bytes.len();
    }
}

/// A name that was given or taken away since the directory was synced last.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) name: String,
    pub(super) entry: Option<Entry>,
    /// Position among all changes of the tree.
    pub(super) order: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    pub(super) durable: BTreeMap<String, Entry>,
    pub(super) live: BTreeMap<String, Entry>,
    pub(super) changes: Vec<Change>,
}

/// A whole file system. Nodes are never reused and never forgotten, so an open file outlives its names.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) files: BTreeMap<Node, Content>,
    pub(super) directories: BTreeMap<Node, Directory>,
    next: Node,
    order: u64,
}

impl Tree {
    pub(super) fn new() -> Self {
        let directories = BTreeMap::from([(ROOT, Directory::default())]);
        Tree { files: BTreeMap::new(), directories, next: ROOT + 1, order: 0 }
    }

    /// Adds a file under a durable name; `node` if it has another name already.
    pub(super) fn place_file(&mut self, parent: Node, name: &str, content: Content, node: Option<Node>) -> Node {
        let node = node.unwrap_or_else(|| self.new_node());
        self.files.insert(node, content);
        self.place(parent, name, Entry::File(node));
        node
    }

    /// Adds an empty directory under a durable name.
    pub(super) fn place_directory(&mut self, parent: Node, name: &str) -> Node {
        let node = self.new_node();
        self.directories.insert(node, Directory::default());
        self.place(parent, name, Entry::Directory(node));
        node
    }

    fn place(&mut self, parent: Node, name: &str, entry: Entry) {
        if let Some(directory) = self.directories.get_mut(&parent) {
            directory.durable.insert(name.to_owned(), entry);
            directory.live.insert(name.to_owned(), entry);
        }
    }

    fn new_node(&mut self) -> Node {
        let node = self.next;
        self.next += 1;
        node
    }

    /// What a path stands for; the empty path is the root.
    pub(super) fn find(&self, path: &str) -> io::Result<Option<Entry>> {
        let mut entry = Entry::Directory(ROOT);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let Entry::Directory(node) = entry else { return Err(io::ErrorKind::NotADirectory.into()) };
            match self.directories.get(&node).and_then(|directory| directory.live.get(name)) {
                Some(found) => entry = *found,
                None => return Ok(None),
            }
        }
        Ok(Some(entry))
    }

    fn directory_at(&self, path: &str) -> io::Result<Node> {
        match self.find(path)? {
            Some(Entry::Directory(node)) => Ok(node),
            Some(Entry::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn file_at(&self, path: &str) -> io::Result<Node> {
        match self.find(path)? {
            Some(Entry::File(node)) => Ok(node),
            Some(Entry::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Changes the entry of a path; the directory it is in has to be there.
    fn change(&mut self, path: &str, entry: Option<Entry>) -> io::Result<()> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.directory_at(parent)?;
        let order = self.order;
        self.order += 1;
        let directory = self.directories.get_mut(&parent).ok_or(io::ErrorKind::NotFound)?;
        match entry {
            Some(entry) => directory.live.insert(name.to_owned(), entry),
            None => directory.live.remove(name),
        };
        directory.changes.push(Change { name: name.to_owned(), entry, order });
        Ok(())
    }

    fn check_free(&self, path: &str) -> io::Result<()> {
        match self.find(path)? {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    pub(super) fn create_file(&mut self, path: &str) -> io::Result<Node> {
        self.check_free(path)?;
        let node = self.new_node();
        self.change(path, Some(Entry::File(node)))?;
        self.files.insert(node, Content::default());
        Ok(node)
    }

    pub(super) fn create_directory(&mut self, path: &str) -> io::Result<()> {
        self.check_free(path)?;
        let node = self.new_node();
        self.change(path, Some(Entry::Directory(node)))?;
        self.directories.insert(node, Directory::default());
        Ok(())
    }

    pub(super) fn link(&mut self, from: &str, to: &str) -> io::Result<()> {
        let node = self.file_at(from)?;
        self.check_free(to)?;
        self.change(to, Some(Entry::File(node)))
    }

    pub(super) fn remove_file(&mut self, path: &str) -> io::Result<()> {
        self.file_at(path)?;
        self.change(path, None)
    }

    pub(super) fn remove_directory(&mut self, path: &str) -> io::Result<()> {
        let node = self.directory_at(path)?;
        if self.directories.get(&node).is_some_and(|directory| !directory.live.is_empty()) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(path, None)
    }

    pub(super) fn append(&mut self, node: Node, bytes: &[u8]) {
        if let Some(content) = self.files.get_mut(&node) {
            content.append(bytes);
        }
    }

    pub(super) fn sync_file(&mut self, node: Node) {
        if let Some(content) = self.files.get_mut(&node) {
            content.synced = content.length;
        }
    }

    pub(super) fn sync_directory(&mut self, path: &str) -> io::Result<()> {
        let node = self.directory_at(path)?;
        if let Some(directory) = self.directories.get_mut(&node) {
            directory.durable.clone_from(&directory.live);
            directory.changes.clear();
        }
        Ok(())
    }

    pub(super) fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let node = self.directory_at(path)?;
        Ok(self.directories.get(&node).into_iter().flat_map(|directory| directory.live.keys().cloned()).collect())
    }

    pub(super) fn metadata(&self, path: &str) -> io::Result<Option<FileMetadata>> {
        let identity = |number| FileIdentity { device: 0, number };
        Ok(self.find(path)?.map(|entry| match entry {
            Entry::Directory(node) => FileMetadata { kind: FileKind::Directory, length: 0, identity: identity(node) },
            Entry::File(node) => {
                let length = self.files.get(&node).map_or(0, |content| content.length);
                let length = u64::try_from(length).unwrap_or(u64::MAX);
                FileMetadata { kind: FileKind::File, length, identity: identity(node) }
            }
        }))
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let node = self.file_at(path)?;
        Ok(self.files.get(&node).map(|content| content.bytes()).unwrap_or_default())
    }
}
