//! Jobs of the writing thread.

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::LedgerHead;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use tokio::sync::oneshot;

use super::state::Encoded;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Append(
        Vec<Arc<Event>>,
        oneshot::Sender<Result<LedgerHead, BackendError>>,
    ),
    Closed(Box<Encoded>),
    /// Migrates the file to what a feature level allows.
    Raise(FeatureLevel, Raised),
    /// Fails as after an I/O error of a commit: these events are in the file, and nobody knows.
    #[cfg(test)]
    Break(Vec<Arc<Event>>),
    Stop,
}

/// Who waits for a migration.
pub(super) type Raised = oneshot::Sender<Result<(), BackendError>>;

/// Events to append, and who waits for the answer.
pub(super) type Append = (
    Vec<Arc<Event>>,
    oneshot::Sender<Result<LedgerHead, BackendError>>,
);
