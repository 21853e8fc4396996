//! What can go wrong, and the only place that interprets `SQLite`'s errors.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;

/// Why a ledger could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// `SQLite` refused.
    #[error("the ledger file cannot be used")]
    Sqlite(#[from] rusqlite::Error),
    /// The file is not there.
    #[error("the ledger file cannot be reached")]
    File(#[source] std::io::Error),
    /// A newer build wrote the file. It is left as it is.
    #[error(
        "the ledger file has schema {found}, written by {build}; this build, {ours}, reads schemas up \
         to {known}: start that build or a later one, or restore a backup that this build wrote",
        ours = env!("CARGO_PKG_VERSION")
    )]
    NewerSchema {
        /// The file's schema.
        found: i64,
        /// The newest schema of this build.
        known: i64,
        /// The build that wrote it, if it says so.
        build: String,
    },
    /// A build before the first release wrote the file. It is left as it is.
    #[error(
        "the ledger file has schema {0}, of a build before the first release, which no later build \
         reads: start with an empty data directory"
    )]
    BeforeRelease(i64),
    /// The schema could not be brought up to date. The file is as it was.
    #[error("the schema of the ledger file cannot be brought up to date: {0}")]
    Migration(String),
    /// The file is some other database.
    #[error("the file is not a ledger")]
    NotALedger,
    /// The ledger is another backend's.
    #[error("the ledger is of backend {found:?}, not of {asked:?}")]
    OtherBackend {
        /// The file's.
        found: String,
        /// The caller's.
        asked: String,
    },
    /// The stored events do not fit their hash chain, or are not readable.
    #[error("the ledger does not fit its hash chain at event {cursor}: {problem}")]
    Tampered {
        /// The first event that does not fit.
        cursor: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// An option is out of its range.
    #[error("ledger options: {0}")]
    Options(&'static str),
    /// A thread could not be started.
    #[error("a ledger thread cannot be started")]
    Thread(#[from] std::io::Error),
}

impl OpenError {
    /// Whether the file is there and can be read, but is not what a ledger of this backend wrote.
    #[must_use]
    pub fn is_not_what_was_written(&self) -> bool {
        match self {
            Self::Tampered { .. } | Self::NotALedger | Self::OtherBackend { .. } => true,
            Self::Sqlite(error) => kind(error) == ErrorKind::Corrupt,
            Self::File(_)
            | Self::NewerSchema { .. }
            | Self::BeforeRelease(_)
            | Self::Migration(_)
            | Self::Options(_)
            | Self::Thread(_) => false,
        }
    }
}

/// A failed read, or a write that was rolled back: nothing happened.
pub(crate) fn without_effect(error: &rusqlite::Error) -> BackendError {
    BackendError::without_effect(kind(error), error.to_string())
}

/// A commit that failed: nobody knows.
pub(crate) fn unknown(error: &rusqlite::Error) -> BackendError {
    BackendError::unknown(kind(error), error.to_string())
}

/// The stored bytes contradict themselves.
pub(crate) fn corrupt(detail: impl Into<String>) -> BackendError {
    BackendError::without_effect(ErrorKind::Corrupt, detail)
}

/// The ledger's threads are gone.
pub(crate) fn closed() -> BackendError {
    BackendError::without_effect(ErrorKind::Closed, "the ledger is closed")
}

fn kind(error: &rusqlite::Error) -> ErrorKind {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Corrupt,
        // Everything else (busy, disk full, I/O) may pass when an operator has helped.
        Some(_) => ErrorKind::Unavailable,
        // Not from SQLite but from reading a column: the file holds what we did not write.
        None => ErrorKind::Corrupt,
    }
}
