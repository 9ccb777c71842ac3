//! Temporary files that no writer will give a name any more, or not yet.

use super::{Shared, is_absent};
use crate::error::{Error, Result};
use crate::storage::filesystem::FileKind;
use crate::storage::{Leftover, ObjectPath, layout};

/// Every temporary file of ours, in name order. Directories and files with other names are somebody else's.
pub(super) fn find(shared: &Shared) -> Result<Vec<Leftover>> {
    let mut found = Vec::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        let names = match shared.files.read_directory(&directory) {
            Ok(names) => names,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(shared.failed(&directory, error, "cannot list the directory")),
        };
        for name in names {
            let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
            let is_temporary = layout::is_temporary_name(&name);
            if !is_temporary && ObjectPath::parse(&path).is_err() {
                continue;
            }
            let looked = shared.files.metadata(&path);
            let metadata = looked.map_err(|error| shared.failed(&path, error, "cannot look at the file"))?;
            match metadata {
                Some(metadata) if metadata.kind == FileKind::File && is_temporary => {
                    let written = shared.files.modified_ms(&path);
                    let written = written.map_err(|error| shared.failed(&path, error, "cannot look at the file"))?;
                    found.push(Leftover { name: path, length: metadata.length, written_ms: written });
                }
                Some(metadata) if metadata.kind == FileKind::Directory && !is_temporary => directories.push(path),
                Some(_) | None => {}
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Removes one of the files that [`find`] gives, and nothing else.
pub(super) fn remove(shared: &Shared, leftover: &Leftover) -> Result<()> {
    let (directory, name) = match leftover.name.rsplit_once('/') {
        Some((directory, name)) => (Some(directory), name),
        None => (None, leftover.name.as_str()),
    };
    let is_ours = layout::is_temporary_name(name) && directory.is_none_or(|path| ObjectPath::parse(path).is_ok());
    if !is_ours {
        return Err(Error::invalid_input(format!("{:?} is not the name of a temporary file", leftover.name)));
    }
    match shared.files.remove_file(&leftover.name) {
        Ok(()) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(shared.failed(&leftover.name, error, "cannot remove the temporary file")),
    }
}
