//! Errors of openraft and fjall, mapped on purpose.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use openraft::errors::ClientWriteError;
use openraft::errors::Fatal;
use openraft::errors::LinearizableReadError;
use openraft::errors::RaftError;

use crate::entry::Types;

/// Why a node's folder cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("{0}: the folder is locked by another process")]
    Locked(PathBuf),
    /// There is no store in it, and none may be created.
    #[error("{0}: there is no store in this folder")]
    Absent(PathBuf),
    /// There is a store in it already.
    #[error("{0}: there is a store in this folder already")]
    Present(PathBuf),
    /// It is another group's or node's.
    #[error("the folder belongs to {found}, not to {expected}")]
    Foreign {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// What is stored contradicts itself. Restore it; do not delete single files.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// It was written by a build with a higher feature level, or by one that is too old.
    #[error("{0}")]
    Level(String),
    /// The disk.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The log store.
    #[error("log store: {0}")]
    Store(#[from] fjall::Error),
    /// The peers' listener, or its certificates.
    #[error("peers: {0}")]
    Peers(String),
    /// openraft did not start.
    #[error("raft: {0}")]
    Raft(String),
}

/// Why a proposal was not answered with its outcome.
pub(crate) fn write_error<C: Types>(error: &ClientWriteError<C>) -> BackendError {
    match error {
        // Refused before anything was appended.
        ClientWriteError::ForwardToLeader(to) => {
            BackendError::without_effect(ErrorKind::Unavailable, to.to_string())
        }
        ClientWriteError::ChangeMembershipError(error) => {
            BackendError::without_effect(ErrorKind::Invalid, error.to_string())
        }
        // Another leader's log has replaced the entry here; elsewhere it may still commit.
        ClientWriteError::LogEntryDiscarded(_) => {
            BackendError::unknown(ErrorKind::Unavailable, error.to_string())
        }
        ClientWriteError::PreconditionFailed(_) => {
            BackendError::without_effect(ErrorKind::Unavailable, error.to_string())
        }
    }
}

/// The core has stopped: whether the entry was committed before is not known.
pub(crate) fn stopped<C: Types>(fatal: &Fatal<C>) -> BackendError {
    BackendError::unknown(ErrorKind::Closed, fatal.to_string())
}

/// The group has not agreed in time; it may still do so.
pub(crate) fn undecided(window: Duration) -> BackendError {
    let detail = format!("the group has not agreed within {window:?}");
    BackendError::unknown(ErrorKind::Deadline, detail)
}

/// Why a read could not be linearizable. A read has no effect.
pub(crate) fn read_error<C: Types>(error: &RaftError<C, LinearizableReadError<C>>) -> BackendError {
    let kind = match error {
        RaftError::Fatal(_) => ErrorKind::Closed,
        RaftError::APIError(_) => ErrorKind::Unavailable,
    };
    BackendError::without_effect(kind, error.to_string())
}

/// An answer that does not fit its item.
pub(crate) fn misfit() -> BackendError {
    BackendError::unknown(ErrorKind::Corrupt, "the answer does not fit the request")
}

/// The node is closing, or its store is poisoned, before the command was taken.
pub(crate) fn closed() -> BackendError {
    BackendError::without_effect(ErrorKind::Closed, "the store is closing")
}

/// The command was taken, and the node closed, or was poisoned, before it was answered.
pub(crate) fn lost() -> BackendError {
    BackendError::unknown(ErrorKind::Closed, "the store closed meanwhile")
}

/// An I/O error of the log store, for openraft.
pub(crate) fn io(error: fjall::Error) -> io::Error {
    match error {
        fjall::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
