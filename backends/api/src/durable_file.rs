//! Small files that are replaced as a whole, such as `stores.json` and `peers.json`.

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
    let temporary = temporary_path(path);
    let mut file = File::create(&temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Returns the path of the temporary file that is renamed to `path` once it is durable.
#[must_use]
pub fn temporary_path(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}
