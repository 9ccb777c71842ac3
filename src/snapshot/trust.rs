/// How far the bytes of a snapshot are trusted.
///
/// The decoders of this crate are made for bytes from anybody. RocksDB is not: a table that was made for it can do what
/// it likes with the process. So the files of a database are given to RocksDB only where the caller says that they are its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Trust {
    /// Anybody may have written the snapshot. Databases are refused; everything else is read.
    #[default]
    Hostile,
    /// The snapshot is the caller's own, in a place that nobody else writes to. Digests still find what was damaged.
    Own,
}
