//! Why a file is no backup, or nothing could be made of it.

use std::io;
use std::path::PathBuf;

use super::frame::FORMAT;

/// Why a file is no backup, or nothing could be made of it.
#[derive(Debug, thiserror::Error)]
pub enum BackupFileError {
    /// The file or a folder cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is a pipe, a device or a folder, which cannot be read twice.
    #[error("is not a regular file")]
    NotRegular,
    /// It begins with something else.
    #[error("is no backup of Leasehold")]
    Foreign,
    /// It was written by another build.
    #[error("has format {0}; this build reads format {FORMAT}")]
    Format(u32),
    /// It ends too early.
    #[error("is cut off in frame {0}")]
    CutOff(u64),
    /// Something in it is not as it was written.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// The folder to be made has something in it.
    #[error("{0}: is there already and not empty; a restore makes a new folder")]
    Occupied(PathBuf),
    /// The store could not be made.
    #[error("storage: {0}")]
    Storage(String),
    /// The ledger could not be made.
    #[error("ledger: {0}")]
    Ledger(String),
}
