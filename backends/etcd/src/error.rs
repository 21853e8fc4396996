//! Errors of tonic and etcd, mapped on purpose.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use tonic::Code;
use tonic::Status;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration can never work.
    #[error("{0}")]
    Config(String),
    /// No member can be used now.
    #[error("{0}")]
    Unavailable(String),
    /// The keys were written by a newer build.
    #[error("the keys have format {found}, and this build knows {known}: start the newer build")]
    Newer {
        /// What is there.
        found: String,
        /// What this build knows.
        known: &'static str,
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
            ErrorKind::Outdated => Self::Level(error.detail),
            _ => Self::Unavailable(error.detail),
        }
    }
}

/// What a refusal means for the gateway's next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The token has run out: authenticate and ask again.
    Token,
    /// The revision that was asked for is compacted: read everything anew.
    Compacted,
    /// Anything else.
    Other,
}

/// What a status asks for.
pub(crate) fn refusal(status: &Status) -> Refusal {
    match status.code() {
        Code::Unauthenticated => Refusal::Token,
        // The auth store has changed since the token was given out.
        Code::InvalidArgument if status.message().contains("auth store is old") => Refusal::Token,
        Code::OutOfRange if status.message().contains("compacted") => Refusal::Compacted,
        _ => Refusal::Other,
    }
}

/// A failed call that was to change something.
pub(crate) fn written(status: &Status) -> BackendError {
    let kind = kind(status);
    match has_no_effect(status) {
        true => BackendError::without_effect(kind, describe(status)),
        false => BackendError::unknown(kind, describe(status)),
    }
}

/// A failed call that was to change nothing.
pub(crate) fn read(status: &Status) -> BackendError {
    BackendError::without_effect(kind(status), describe(status))
}

fn kind(status: &Status) -> ErrorKind {
    match status.code() {
        Code::DeadlineExceeded => ErrorKind::Deadline,
        // The server says so of a proposal that it waited for in vain.
        Code::Unavailable if status.message().contains("timed out") => ErrorKind::Deadline,
        // Too many requests, or no space: an alarm that an operator must clear. Not the command's
        // fault, and later it may work.
        Code::ResourceExhausted if status.message().contains("too many requests") => {
            ErrorKind::Overloaded
        }
        Code::ResourceExhausted => ErrorKind::Unavailable,
        // Larger than the server takes, or not a request that this server knows: never works.
        Code::InvalidArgument | Code::Unimplemented => ErrorKind::Invalid,
        Code::DataLoss => ErrorKind::Corrupt,
        // No leader, a member that stops, a broken connection; a missing right, which an operator
        // can give; and what a proxy may have made of them.
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::Unavailable
        | Code::Unauthenticated => ErrorKind::Unavailable,
    }
}

/// Whether the server has certainly refused before anything was changed. All else may have been
/// proposed to the group, and be applied later.
fn has_no_effect(status: &Status) -> bool {
    match status.code() {
        // Checked before a request is proposed, or when it is applied and then refused as a whole.
        Code::InvalidArgument
        | Code::ResourceExhausted
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::NotFound
        | Code::AlreadyExists => true,
        // `no leader` is the one that is said before anything is tried.
        Code::Unavailable => status.message() == "etcdserver: no leader",
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss => false,
    }
}

/// The status with its causes.
pub(crate) fn describe(status: &Status) -> String {
    let cause = std::error::Error::source(status);
    let cause = cause.map_or_else(String::new, |cause| format!(": {}", causes(cause)));
    format!("{} ({:?}){cause}", status.message(), status.code())
}

/// An error with its causes: tonic's own text often says only that there was one.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}

/// A stored value that does not decode, or an answer that does not fit its question.
pub(crate) fn corrupt(what: &str, error: impl std::fmt::Display) -> BackendError {
    BackendError::without_effect(ErrorKind::Corrupt, format!("{what}: {error}"))
}

/// The store is behind what this gateway knows of it, or has another history by now.
pub(crate) fn fenced(detail: impl Into<String>) -> BackendError {
    BackendError::without_effect(ErrorKind::Fenced, detail)
}

/// The cluster cannot be used now.
pub(crate) fn unavailable(detail: impl Into<String>) -> BackendError {
    BackendError::without_effect(ErrorKind::Unavailable, detail)
}

/// The store is closing; the command was not taken.
pub(crate) fn closed() -> BackendError {
    BackendError::without_effect(ErrorKind::Closed, "the store is closing")
}

#[cfg(test)]
mod tests {
    use leasehold_backend_api::Effect;

    use super::*;

    /// Whatever may have been proposed is of unknown effect; what was refused is not.
    #[test]
    fn effects_are_honest() {
        let none = [
            Status::resource_exhausted("etcdserver: mvcc: database space exceeded"),
            Status::resource_exhausted("etcdserver: too many requests"),
            Status::invalid_argument("etcdserver: request is too large"),
            Status::permission_denied("etcdserver: permission denied"),
            Status::unauthenticated("etcdserver: invalid auth token"),
            Status::unavailable("etcdserver: no leader"),
        ];
        for status in none {
            assert_eq!(written(&status).effect, Effect::None, "{status:?}");
        }
        let unknown = [
            Status::unavailable("etcdserver: request timed out"),
            Status::unavailable("etcdserver: leader changed"),
            Status::unavailable("etcdserver: server stopped"),
            Status::unknown("transport error"),
            Status::cancelled("h2 protocol error"),
            Status::deadline_exceeded("context deadline exceeded"),
        ];
        for status in unknown {
            assert_eq!(written(&status).effect, Effect::Unknown, "{status:?}");
            assert_eq!(read(&status).effect, Effect::None, "{status:?}");
        }
        let retryable = |status: Status| written(&status).is_retryable();
        assert!(retryable(Status::resource_exhausted(
            "etcdserver: mvcc: database space exceeded"
        )));
        assert!(!retryable(Status::invalid_argument(
            "etcdserver: request is too large"
        )));
    }
}
