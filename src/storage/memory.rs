//! Objects in this process's memory, up to a limit.
//!
//! For tests, and for small jobs whose checkpoints need not survive the process. Finished objects are shared, not copied,
//! when they are opened; an object that was opened before it was deleted stays readable through its [`Blob`] and no
//! longer counts against the limit.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Blob, CommitOutcome, ObjectInfo, ObjectPath, ObjectWriter, Storage};
use crate::error::{Error, Result};

/// A [`Storage`] in memory. Clones are the same storage.
#[derive(Clone)]
pub struct MemoryStorage(Arc<Shared>);

struct Shared {
    limit_bytes: u64,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    objects: BTreeMap<ObjectPath, Blob>,
    /// Bytes of the finished objects and of those being written; never above the limit.
    used_bytes: u64,
}

impl MemoryStorage {
    /// An empty storage that holds at most `limit_bytes` bytes of objects, unfinished ones included. Names are not
    /// counted.
    pub fn new(limit_bytes: u64) -> Self {
        MemoryStorage(Arc::new(Shared { limit_bytes, content: Mutex::default() }))
    }

    /// Bytes held now, unfinished objects included.
    pub fn used_bytes(&self) -> u64 {
        self.0.content().used_bytes
    }

    fn writer(&self, path: &ObjectPath) -> Result<Writer> {
        self.0.content().check_free(path)?;
        Ok(Writer { shared: Arc::clone(&self.0), path: path.clone(), bytes: Vec::new(), failed: false })
    }
}

impl Shared {
    fn content(&self) -> MutexGuard<'_, Content> {
        // No code panics while it holds the lock, and every change is complete before anything can fail.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `bytes` more, or says why they do not fit.
    fn reserve(&self, path: &ObjectPath, bytes: u64) -> Result<()> {
        let mut content = self.content();
        match content.used_bytes.checked_add(bytes).filter(|&used| used <= self.limit_bytes) {
            Some(used) => {
                content.used_bytes = used;
                Ok(())
            }
            None => Err(Error::unavailable(format!(
                "memory storage is full: {bytes} more bytes are needed, {} of {} are free; raise the limit, delete old \
                 snapshots or use a directory",
                self.limit_bytes.saturating_sub(content.used_bytes),
                self.limit_bytes
            ))
            .in_file(path)),
        }
    }
}

impl Content {
    /// Fails if an object of this name cannot be added: it exists, or it would lie below an object, or objects lie below
    /// it.
    fn check_free(&self, path: &ObjectPath) -> Result<()> {
        if self.objects.contains_key(path) {
            return Err(super::taken().in_file(path));
        }
        let mut ancestor = path.parent();
        while let Some(object) = ancestor {
            if self.objects.contains_key(&object) {
                return Err(super::below_object(&object).in_file(path));
            }
            ancestor = object.parent();
        }
        match self.below(path).next() {
            Some((below, _)) => Err(super::above_object(below).in_file(path)),
            None => Ok(()),
        }
    }

    fn below<'a>(&'a self, prefix: &'a ObjectPath) -> impl Iterator<Item = (&'a ObjectPath, &'a Blob)> {
        // Names that begin with the prefix follow it, those that go on with a byte below `/` first.
        self.objects
            .range((Bound::Excluded(prefix), Bound::Unbounded))
            .take_while(|(path, _)| path.as_str().starts_with(prefix.as_str()))
            .filter(|(path, _)| path.is_below(prefix))
    }
}

impl Storage for MemoryStorage {
    fn create(&self, path: &ObjectPath) -> Result<Box<dyn ObjectWriter>> {
        Ok(Box::new(self.writer(path)?))
    }

    fn commit(&self, path: &ObjectPath, bytes: &[u8]) -> CommitOutcome {
        let written = self.writer(path).and_then(|mut writer| {
            writer.write(bytes)?;
            writer.publish()
        });
        match written {
            Ok(()) => CommitOutcome::Committed,
            Err(error) => CommitOutcome::NotCommitted(error),
        }
    }

    fn open(&self, path: &ObjectPath) -> Result<Blob> {
        self.0.content().objects.get(path).cloned().ok_or_else(|| super::missing().in_file(path))
    }

    fn length(&self, path: &ObjectPath) -> Result<Option<u64>> {
        Ok(self.0.content().objects.get(path).map(|blob| length_of(blob)))
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectInfo>> {
        let content = self.0.content();
        let info = |(path, blob): (&ObjectPath, &Blob)| ObjectInfo { path: path.clone(), length: length_of(blob) };
        Ok(match prefix {
            Some(prefix) => content.below(prefix).map(info).collect(),
            None => content.objects.iter().map(info).collect(),
        })
    }

    fn delete(&self, path: &ObjectPath) -> Result<()> {
        let mut content = self.0.content();
        if let Some(blob) = content.objects.remove(path) {
            content.used_bytes = content.used_bytes.saturating_sub(length_of(&blob));
        }
        Ok(())
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.0.content();
        write!(
            f,
            "MemoryStorage({} objects, {} of {} bytes)",
            content.objects.len(),
            content.used_bytes,
            self.0.limit_bytes
        )
    }
}

/// An object of which nothing is visible yet. Its bytes count against the limit until it is dropped or published.
struct Writer {
    shared: Arc<Shared>,
    path: ObjectPath,
    bytes: Vec<u8>,
    /// A write failed, so the bytes have a hole.
    failed: bool,
}

impl Writer {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.shared.reserve(&self.path, length_of(bytes))?;
        if let Err(error) = self.bytes.try_reserve(bytes.len()) {
            let mut content = self.shared.content();
            content.used_bytes = content.used_bytes.saturating_sub(length_of(bytes));
            return Err(Error::unavailable(format!("no memory for {} more bytes", bytes.len()))
                .because(error)
                .in_file(&self.path));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn publish(mut self) -> Result<()> {
        if self.failed {
            return Err(super::broken().in_file(&self.path));
        }
        let mut content = self.shared.content();
        content.check_free(&self.path)?;
        // The bytes stay counted: they belong to the object now, and dropping the emptied writer gives back nothing.
        content.objects.insert(self.path.clone(), Blob::from(std::mem::take(&mut self.bytes)));
        drop(content);
        Ok(())
    }
}

impl ObjectWriter for Writer {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.failed {
            return Err(super::broken().in_file(&self.path));
        }
        let appended = self.append(bytes);
        self.failed = appended.is_err();
        appended
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.publish()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut content = self.shared.content();
        content.used_bytes = content.used_bytes.saturating_sub(length_of(&self.bytes));
    }
}

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn path(text: &str) -> ObjectPath {
        ObjectPath::parse(text).unwrap()
    }

    #[test]
    fn the_limit_counts_unfinished_objects_and_names_need_and_limit() {
        let storage = MemoryStorage::new(10);
        let mut writer = storage.create(&path("a")).unwrap();
        writer.write(&[0; 6]).unwrap();
        let error = match storage.commit(&path("b"), &[0; 5]) {
            CommitOutcome::NotCommitted(error) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("5 more bytes are needed, 4 of 10 are free"), "{error}");
        assert_eq!(storage.length(&path("b")).unwrap(), None);
        drop(writer);
        assert_eq!(storage.used_bytes(), 0);
        assert!(matches!(storage.commit(&path("b"), &[0; 10]), CommitOutcome::Committed));
        storage.delete(&path("b")).unwrap();
        assert_eq!(storage.used_bytes(), 0);
    }

    #[test]
    fn a_lost_race_gives_its_bytes_back() {
        let storage = MemoryStorage::new(10);
        let mut first = storage.create(&path("a")).unwrap();
        let mut second = storage.create(&path("a")).unwrap();
        first.write(&[1; 4]).unwrap();
        second.write(&[2; 3]).unwrap();
        first.finish().unwrap();
        assert_eq!(second.finish().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(storage.used_bytes(), 4);
        assert_eq!(*storage.open(&path("a")).unwrap(), [1; 4]);
    }

    #[test]
    fn a_failed_write_breaks_the_object() {
        let storage = MemoryStorage::new(10);
        let mut writer = storage.create(&path("a")).unwrap();
        assert!(writer.write(&[1; 11]).is_err());
        assert_eq!(writer.write(&[1; 1]).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(storage.length(&path("a")).unwrap(), None);
        assert_eq!(storage.used_bytes(), 0);
    }

    #[test]
    fn an_open_object_outlives_its_deletion() {
        let storage = MemoryStorage::new(4);
        assert!(matches!(storage.commit(&path("a"), &[7; 4]), CommitOutcome::Committed));
        let blob = storage.open(&path("a")).unwrap();
        storage.delete(&path("a")).unwrap();
        assert!(matches!(storage.commit(&path("b"), &[8; 4]), CommitOutcome::Committed));
        assert_eq!(*blob, [7; 4]);
    }
}
