//! Errors of openraft and fjall, mapped on purpose.

use std::io;
use std::path::PathBuf;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use openraft::errors::ClientWriteError;
use openraft::errors::LinearizableReadError;
use openraft::errors::RaftError;

use crate::entry::TypeConfig;

/// Why a node's folder cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("{0}: the folder is locked by another process")]
    Locked(PathBuf),
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
    /// The disk.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The log store.
    #[error("log store: {0}")]
    Store(#[from] fjall::Error),
    /// openraft did not start.
    #[error("raft: {0}")]
    Raft(String),
}

/// Why a proposal was not answered with its outcome.
pub(crate) fn write_error(
    error: &RaftError<TypeConfig, ClientWriteError<TypeConfig>>,
) -> BackendError {
    match error {
        // The core has stopped: whether the entry was committed before is not known.
        RaftError::Fatal(fatal) => BackendError::unknown(ErrorKind::Closed, fatal.to_string()),
        // Refused before anything was appended.
        RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => {
            BackendError::without_effect(ErrorKind::Unavailable, to.to_string())
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            BackendError::without_effect(ErrorKind::Invalid, error.to_string())
        }
        // Another leader's log has replaced the entry: it never takes effect here. Its effect is
        // called unknown all the same, until a cluster's tests show that nothing else means this.
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => {
            BackendError::unknown(ErrorKind::Unavailable, error.to_string())
        }
        RaftError::APIError(ClientWriteError::PreconditionFailed(_)) => {
            BackendError::without_effect(ErrorKind::Unavailable, error.to_string())
        }
    }
}

/// Why a read could not be linearizable. A read has no effect.
pub(crate) fn read_error(
    error: &RaftError<TypeConfig, LinearizableReadError<TypeConfig>>,
) -> BackendError {
    let kind = match error {
        RaftError::Fatal(_) => ErrorKind::Closed,
        RaftError::APIError(_) => ErrorKind::Unavailable,
    };
    BackendError::without_effect(kind, error.to_string())
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
