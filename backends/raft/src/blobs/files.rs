//! The files of one node's blobs: `blobs/DIGEST` in its directory.
//!
//! A blob is written to a temporary file, which is synced and renamed; then the directory is synced. So
//! after a crash a blob is complete or absent. Files never change, so hard links to them are safe. A
//! file whose digest is not its name counts as missing, and the next write replaces it.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use leasehold_backend_api::durable_file;
use leasehold_domain::Digest;

/// The directory of the blobs in a node's directory.
pub(crate) const DIRECTORY: &str = "blobs";

/// The files of one node's blobs.
#[derive(Debug)]
pub struct BlobFiles {
    directory: PathBuf,
    /// The digests of the files that are durable, without those that were found damaged.
    present: Mutex<HashSet<Digest>>,
    /// Serialises writes.
    writing: Mutex<Writing>,
}

/// Whether blobs can be written.
#[derive(Debug, Default)]
struct Writing {
    /// After an I/O error it is not known which files are durable.
    has_failed: bool,
}

/// Why a blob was not written.
#[derive(Debug, thiserror::Error)]
pub enum BlobWriteError {
    /// The disk is full. No file was changed.
    #[error("{0}")]
    Full(io::Error),
    /// An I/O error; whether the file is durable is unknown.
    #[error("{0}")]
    Failed(io::Error),
}

/// A part of a blob.
#[derive(Debug)]
pub(crate) struct Part {
    /// Bytes of the whole blob.
    pub(crate) total: u64,
    pub(crate) bytes: Vec<u8>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BlobFiles {
    /// Opens the blobs in a node's directory, which is created if it is missing. Blocks. Every file
    /// that it finds is durable from then on.
    ///
    /// # Errors
    /// The directory cannot be read or written.
    pub fn open(node_directory: &Path) -> io::Result<Self> {
        let directory = node_directory.join(DIRECTORY);
        std::fs::create_dir_all(&directory)?;
        let mut present = HashSet::new();
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if let Ok(digest) = name.parse() {
                present.insert(digest);
            } else if name.ends_with(".new") {
                // A write that was cut off.
                std::fs::remove_file(entry.path())?;
            }
        }
        // A file that was renamed just before a kill may not be durable yet.
        File::open(&directory)?.sync_all()?;
        File::open(node_directory)?.sync_all()?;
        Ok(Self {
            directory,
            present: Mutex::new(present),
            writing: Mutex::default(),
        })
    }

    /// Returns the path of a blob's file.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.to_string())
    }

    /// Makes a blob durable. Blocks. Bytes that are there whole are left as they are.
    ///
    /// # Errors
    /// The disk failed, or is full.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, BlobWriteError> {
        let digest = Digest::of(bytes);
        let mut writing = lock(&self.writing);
        if writing.has_failed {
            let error = io::Error::other("a write has failed before");
            return Err(BlobWriteError::Failed(error));
        }
        if self.whole(&digest).is_some() {
            return Ok(digest);
        }
        let path = self.path(&digest);
        match durable_file::replace(&path, bytes) {
            Ok(()) => {
                lock(&self.present).insert(digest);
                Ok(digest)
            }
            Err(error) if is_full(&error) => {
                let unfinished = durable_file::temporary_path(&path);
                match (std::fs::remove_file(unfinished), path.exists()) {
                    (Ok(()), false) => Err(BlobWriteError::Full(error)),
                    _ => {
                        writing.has_failed = true;
                        Err(BlobWriteError::Failed(error))
                    }
                }
            }
            Err(error) => {
                writing.has_failed = true;
                Err(BlobWriteError::Failed(error))
            }
        }
    }

    /// Returns the bytes of a blob that is here whole and durable. Blocks.
    pub(crate) fn durable(&self, digest: &Digest) -> Option<Vec<u8>> {
        let writing = lock(&self.writing);
        if writing.has_failed {
            return None;
        }
        self.whole(digest)
    }

    /// The same, for whoever holds `writing`.
    fn whole(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = self.read(digest).ok().flatten()?;
        lock(&self.present).insert(*digest);
        Some(bytes)
    }

    /// Returns the bytes of a blob; `None` if there is no whole copy. Blocks.
    ///
    /// # Errors
    /// The disk failed.
    pub fn read(&self, digest: &Digest) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(digest);
        match std::fs::read(&path) {
            Ok(bytes) if Digest::of(&bytes) == *digest => return Ok(Some(bytes)),
            Ok(bytes) => {
                let bytes = bytes.len();
                tracing::error!(path = %path.display(), bytes, "blob.file is damaged");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        lock(&self.present).remove(digest);
        Ok(None)
    }

    /// Returns a part of a blob, of at most `bytes_max` bytes; `None` if there is no whole copy. The
    /// whole file is checked with the first part. Blocks.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn read_part(
        &self,
        digest: &Digest,
        offset: u64,
        bytes_max: usize,
    ) -> io::Result<Option<Part>> {
        if offset == 0 {
            let Some(mut bytes) = self.read(digest)? else {
                return Ok(None);
            };
            let total = bytes.len() as u64;
            bytes.truncate(bytes_max);
            return Ok(Some(Part { total, bytes }));
        }
        let mut file = match File::open(self.path(digest)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let total = file.metadata()?.len();
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(bytes_max as u64).read_to_end(&mut bytes)?;
        Ok(Some(Part { total, bytes }))
    }

    /// Whether there is a file of that digest that was not found damaged.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        lock(&self.present).contains(digest)
    }

    /// Returns those of the digests that are not here, in their order.
    pub(crate) fn missing<'d>(&self, digests: impl IntoIterator<Item = &'d Digest>) -> Vec<Digest> {
        let present = lock(&self.present);
        let missing = digests.into_iter().filter(|d| !present.contains(*d));
        missing.copied().collect()
    }

    /// Returns all digests that are here.
    pub(crate) fn all(&self) -> impl IntoIterator<Item = Digest> {
        lock(&self.present).clone()
    }

    /// Gives another node's directory the files of these digests: by hard links, or by copies where the
    /// file system has none. Digests that are not here are left out. Blocks until they are durable.
    ///
    /// # Errors
    /// They cannot be read or written.
    pub(crate) fn link_into(&self, node_directory: &Path, digests: &[Digest]) -> io::Result<()> {
        let target = node_directory.join(DIRECTORY);
        std::fs::create_dir_all(&target)?;
        for digest in digests.iter().filter(|digest| self.has(digest)) {
            let (from, to) = (self.path(digest), target.join(digest.to_string()));
            if std::fs::hard_link(&from, &to).is_err() {
                durable_file::replace(&to, &std::fs::read(&from)?)?;
            }
        }
        File::open(target)?.sync_all()?;
        File::open(node_directory)?.sync_all()
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = b"a module";

    #[test]
    fn a_blob_is_there_after_a_restart_and_what_was_cut_off_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = BlobFiles::open(folder.path()).unwrap();
        let digest = files.put(BYTES).unwrap();
        assert_eq!(files.put(BYTES).unwrap(), digest);
        let other = Digest::of(b"another");
        assert_eq!(files.missing([&digest, &other]), [other]);
        let unfinished = durable_file::temporary_path(&files.path(&other));
        std::fs::write(&unfinished, b"anot").unwrap();
        let files = BlobFiles::open(folder.path()).unwrap();
        assert_eq!(files.read(&digest).unwrap().as_deref(), Some(BYTES));
        assert_eq!(files.read(&other).unwrap(), None);
        assert!(!unfinished.exists());
    }

    #[test]
    fn damage_is_noticed_anywhere_and_repaired_by_the_next_write() {
        let folder = tempfile::tempdir().unwrap();
        let files = BlobFiles::open(folder.path()).unwrap();
        let digest = files.put(BYTES).unwrap();
        let path = files.path(&digest);
        let damages: [&dyn Fn(); 4] = [
            &|| std::fs::write(&path, b"a modulf").unwrap(),
            &|| std::fs::write(&path, b"a modul").unwrap(),
            &|| std::fs::write(&path, b"").unwrap(),
            &|| std::fs::remove_file(&path).unwrap(),
        ];
        for damage in damages {
            damage();
            assert!(files.read_part(&digest, 0, 4).unwrap().is_none());
            assert_eq!(files.missing([&digest]), [digest]);
            assert_eq!(files.put(BYTES).unwrap(), digest);
            assert_eq!(files.read(&digest).unwrap().as_deref(), Some(BYTES));
        }
    }

    #[test]
    fn after_a_failed_write_nothing_is_durable_until_the_files_are_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let files = BlobFiles::open(folder.path()).unwrap();
        let digest = files.put(BYTES).unwrap();
        let (directory, away) = (folder.path().join(DIRECTORY), folder.path().join("away"));
        std::fs::rename(&directory, &away).unwrap();
        assert!(matches!(files.put(b"new"), Err(BlobWriteError::Failed(_))));
        std::fs::rename(&away, &directory).unwrap();
        assert!(matches!(files.put(BYTES), Err(BlobWriteError::Failed(_))));
        assert!(files.durable(&digest).is_none());
        let files = BlobFiles::open(folder.path()).unwrap();
        assert!(files.durable(&digest).is_some());
    }

    #[test]
    fn a_blob_is_read_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let files = BlobFiles::open(folder.path()).unwrap();
        let digest = files.put(BYTES).unwrap();
        let part = |offset| files.read_part(&digest, offset, 3).unwrap().unwrap();
        assert_eq!((part(0).total, part(0).bytes), (8, b"a m".to_vec()));
        assert_eq!((part(6).total, part(6).bytes), (8, b"le".to_vec()));
        assert_eq!(part(8).bytes, b"");
        let empty = files.put(b"").unwrap();
        assert_eq!(files.read_part(&empty, 0, 3).unwrap().unwrap().total, 0);
    }

    #[test]
    fn another_directory_gets_the_files() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = BlobFiles::open(from.path()).unwrap();
        let digests = [files.put(BYTES).unwrap(), Digest::of(b"missing")];
        files.link_into(to.path(), &digests).unwrap();
        let linked = BlobFiles::open(to.path()).unwrap();
        assert_eq!(linked.read(&digests[0]).unwrap().as_deref(), Some(BYTES));
        assert!(!linked.has(&digests[1]));
    }
}
