//! Where a backup is written: a new regular file, or standard output.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::PipeWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::thread::JoinHandle;

use leasehold_core::backup::BackupFileError;
use leasehold_core::backup::Contents;
use tempfile::NamedTempFile;

use super::refused;
use crate::exit::Failed;
use crate::exit::SYSTEM;
use crate::exit::USAGE;

/// The argument that means standard output.
const STANDARD_OUTPUT: &str = "-";

/// A backup that is being written. Nothing has the backup's name before the backup is whole.
pub(super) enum Target {
    /// A file beside the one to be made, which only its owner can read.
    File {
        /// The name that it gets.
        path: PathBuf,
        /// Removed when dropped.
        unfinished: NamedTempFile,
        /// Whether a regular file of that name may be replaced.
        force: bool,
    },
    /// Standard output, and a thread that checks what is written to it.
    Output {
        to_check: PipeWriter,
        checking: JoinHandle<Result<Contents, BackupFileError>>,
    },
}

impl Target {
    /// Opens a target.
    ///
    /// # Errors
    /// The name is taken by something that may not be replaced, or the folder cannot be written.
    pub(super) fn open(path: &Path, force: bool) -> Result<Self, Failed> {
        if path.as_os_str() == STANDARD_OUTPUT {
            return Self::output();
        }
        check_name(path, force)?;
        let mut prefix = OsString::from(".");
        prefix.push(path.file_name().unwrap_or_default());
        prefix.push(".");
        let unfinished = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".unfinished")
            .tempfile_in(parent(path));
        Ok(Self::File {
            path: path.to_owned(),
            unfinished: unfinished.map_err(|error| failed(path, &error))?,
            force,
        })
    }

    fn output() -> Result<Self, Failed> {
        if io::stdout().is_terminal() {
            let problem = "-: standard output is a terminal; send it to a file or a program";
            return Err(Failed::new(USAGE, problem));
        }
        let output = |error: io::Error| Failed::new(SYSTEM, format!("standard output: {error}"));
        let (checked, to_check) = io::pipe().map_err(output)?;
        let checking = std::thread::Builder::new()
            .name("backup-check".to_owned())
            .spawn(move || Contents::read(checked))
            .map_err(output)?;
        Ok(Self::Output { to_check, checking })
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        match self {
            Self::File {
                path, unfinished, ..
            } => unfinished
                .write_all(bytes)
                .map_err(|error| failed(path, &error)),
            Self::Output { to_check, .. } => {
                // A check that has ended has found something, and `finish` says what.
                let _ = to_check.write_all(bytes);
                let written = io::stdout().lock().write_all(bytes);
                written.map_err(|error| Failed::new(SYSTEM, format!("standard output: {error}")))
            }
        }
    }

    /// Reads the backup again as a whole, and gives the file its name, durably.
    pub(super) fn finish(self) -> Result<Contents, Failed> {
        match self {
            Self::File {
                path,
                unfinished,
                force,
            } => {
                let synced = unfinished.as_file().sync_all();
                synced.map_err(|error| failed(&path, &error))?;
                let contents = Contents::check(unfinished.path());
                let contents = contents.map_err(|error| refused(&path, &error))?;
                keep(unfinished, &path, force)?;
                Ok(contents)
            }
            Self::Output { to_check, checking } => {
                drop(to_check);
                let output = Path::new("standard output");
                io::stdout()
                    .lock()
                    .flush()
                    .map_err(|error| failed(output, &error))?;
                let gone = |_| Failed::new(SYSTEM, "standard output: the check has failed");
                let contents = checking.join().map_err(gone)?;
                contents.map_err(|error| refused(output, &error))
            }
        }
    }
}

/// Refuses a name that is taken, unless by a regular file that may be replaced.
fn check_name(path: &Path, force: bool) -> Result<(), Failed> {
    let taken = |problem: &str| Failed::new(USAGE, format!("{}: {problem}", path.display()));
    if path.file_name().is_none() {
        return Err(taken("names no file"));
    }
    // Not followed: a link could name a device, or a file that nobody meant.
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(path, &error)),
        Ok(found) if !found.is_file() => Err(taken(
            "is there already, and is not a regular file; for standard output say -",
        )),
        Ok(_) if !force => Err(taken("is there already; --force replaces it")),
        Ok(_) => Ok(()),
    }
}

/// Gives the file its name. One that appeared meanwhile is replaced only by force.
fn keep(unfinished: NamedTempFile, path: &Path, force: bool) -> Result<(), Failed> {
    check_name(path, force)?;
    let kept = match force {
        true => unfinished.persist(path),
        false => unfinished.persist_noclobber(path),
    };
    kept.map_err(|error| failed(path, &error.error))?;
    let synced = File::open(parent(path)).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(path, &error))
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|at| !at.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Failed {
    Failed::new(SYSTEM, format!("{}: {error}", path.display()))
}
