//! Small files that are replaced as a whole: what a gateway or a backend keeps beside its store.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

/// Replaces the file at `path`, durably: writes beside it, syncs, renames, and syncs the directory.
/// A crash leaves the old contents or the new ones. Blocks.
///
/// # Errors
/// The file cannot be written; the old contents are still there then.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let mut file = File::create(&beside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Returns where the new contents are written before they get their name.
#[must_use]
pub fn beside(path: &Path) -> PathBuf {
    path.with_extension("json.new")
}
