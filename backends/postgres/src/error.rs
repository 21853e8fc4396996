//! Errors of tokio-postgres, mapped on purpose.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use tokio_postgres::error::DbError;
use tokio_postgres::error::Severity;
use tokio_postgres::error::SqlState;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration can never work.
    #[error("{0}")]
    Config(String),
    /// No server can be reached that is a primary as asked for.
    #[error("{0}")]
    Unavailable(String),
    /// The server is behind what is known of the database's history: an old primary, or a copy.
    #[error("{0}")]
    Fenced(String),
    /// The server has no synchronous standby, and the configuration does not allow that.
    #[error("{0}")]
    Unreplicated(String),
    /// The schema was written by a newer build.
    #[error(
        "the database has schema {found}, of a newer build; this build, {ours}, knows schemas up to \
         {known}: start the newer build, or restore a backup that this build wrote",
        ours = env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// What the database has.
        found: i32,
        /// What this build knows.
        known: i32,
    },
    /// This build does not support the feature level of the store.
    #[error("{0}")]
    Level(String),
    /// What is stored contradicts itself.
    #[error("corrupt: {0}")]
    Corrupt(String),
}

impl From<BackendError> for OpenError {
    fn from(error: BackendError) -> Self {
        match error.kind {
            ErrorKind::Corrupt => Self::Corrupt(error.detail),
            ErrorKind::Fenced => Self::Fenced(error.detail),
            ErrorKind::Outdated => Self::Level(error.detail),
            _ => Self::Unavailable(error.detail),
        }
    }
}

/// What an error of the database means. `Some` effect is for those who know better than the
/// default, which is that nothing happened.
pub(crate) fn kind(error: &tokio_postgres::Error) -> ErrorKind {
    let Some(code) = error.code() else {
        // Encoding, decoding and columns are this build's own mistakes; all else is the network.
        let connection = error.is_closed() || std::error::Error::source(error).is_some();
        return match connection {
            true => ErrorKind::Unavailable,
            false => ErrorKind::Corrupt,
        };
    };
    match *code {
        // Another gateway holds the store's row for too long, or a statement took too long.
        SqlState::LOCK_NOT_AVAILABLE | SqlState::QUERY_CANCELED => ErrorKind::Deadline,
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
            ErrorKind::Contended
        }
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => ErrorKind::Corrupt,
        SqlState::UNDEFINED_TABLE
        | SqlState::UNDEFINED_COLUMN
        | SqlState::UNDEFINED_FUNCTION
        | SqlState::UNIQUE_VIOLATION
        | SqlState::CHECK_VIOLATION => ErrorKind::Corrupt,
        // A standby, a shutdown, no more connections, a full disk, a missing right: an operator
        // or time will help, and the command was not carried out.
        _ => ErrorKind::Unavailable,
    }
}

/// A failure that certainly had no effect.
pub(crate) fn without_effect(error: &tokio_postgres::Error) -> BackendError {
    BackendError::without_effect(kind(error), describe(error))
}

/// Whether a server that goes on has refused a statement because a disk is full, or the memory: it
/// will say the same on any other connection.
pub(crate) fn lacks_room(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| {
        let full = [SqlState::DISK_FULL, SqlState::OUT_OF_MEMORY].contains(error.code());
        full && error.parsed_severity() == Some(Severity::Error)
    })
}

/// A failure of a statement in a flight that ends with a commit. The server has refused it and goes
/// on, which undoes the flight; or the connection has ended, of which a pooler tells in class 08,
/// and then the commit may have been carried out.
pub(crate) fn of_statement(error: &tokio_postgres::Error) -> BackendError {
    let refuses = |error: &DbError| {
        error.parsed_severity() == Some(Severity::Error) && !error.code().code().starts_with("08")
    };
    match error.as_db_error().is_some_and(refuses) {
        true => without_effect(error),
        false => unknown(error),
    }
}

/// A failure after which nobody knows.
pub(crate) fn unknown(error: &tokio_postgres::Error) -> BackendError {
    BackendError::unknown(kind(error), describe(error))
}

/// The error with its cause: tokio-postgres' own text often says only that there was one.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// A stored row that does not decode.
pub(crate) fn corrupt(what: &str, error: impl std::fmt::Display) -> BackendError {
    BackendError::without_effect(ErrorKind::Corrupt, format!("{what}: {error}"))
}

/// The server cannot be used now.
pub(crate) fn unavailable(detail: impl Into<String>) -> BackendError {
    BackendError::without_effect(ErrorKind::Unavailable, detail)
}

/// The server is behind what is known of the database's history.
pub(crate) fn fenced(detail: impl Into<String>) -> BackendError {
    BackendError::without_effect(ErrorKind::Fenced, detail)
}

/// Why no server can be used, as an answer to a request.
pub(crate) fn not_connected(failure: OpenError) -> BackendError {
    match failure {
        OpenError::Fenced(detail) => fenced(detail),
        other => unavailable(other.to_string()),
    }
}

/// The store is closing; the command was not taken.
pub(crate) fn closed() -> BackendError {
    BackendError::without_effect(ErrorKind::Closed, "the store is closing")
}

#[cfg(test)]
mod tests;
