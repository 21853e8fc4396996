//! The kinds of failures.

/// Why a request did not get what it asked for. Stable: each way to reach the gateway has its own
/// name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The caller lacks a role.
    Forbidden,
    /// A policy said no.
    Denied,
    /// A policy failed, and its binding says that this denies.
    PolicyError,
    /// No policy is bound, and the namespace denies by default.
    NoPolicyBound,
    /// The lease is another principal's.
    NotHolder,
    /// There is no such thing.
    NotFound,
    /// There is no such namespace.
    NamespaceNotFound,
    /// Somebody else holds the lock.
    Held,
    /// There is no such lease on this lock (any more).
    LeaseLost,
    /// The lease expired, was revoked, or was transferred.
    LeaseEnded,
    /// The request contradicts what exists.
    Conflict,
    /// The request id was made too long ago, and nothing stands under it.
    RequestIdTooOld,
    /// The page begins after the newest event.
    CursorBeyondEnd,
    /// The document has another revision.
    PreconditionFailed,
    /// It is the last key of an administrator.
    LastAdministrator,
    /// Other people must approve the change first.
    ApprovalRequired,
    /// A binding or a lease needs the policy version that was to be deleted.
    PolicyVersionInUse,
    /// The policy version was withdrawn, or too few trusted keys signed it for now.
    PolicyVersionUnusable,
    /// What was sent is too large.
    TooLarge,
    /// A part of the request is missing, unknown, or out of range.
    Invalid,
    /// The lock's queue is full.
    QueueFull,
    /// The namespace has as much as a cap allows.
    NamespaceFull,
    /// Too many requests by this caller.
    RateLimited,
    /// Something of ours is broken.
    Internal,
    /// Too much at once.
    Overloaded,
    /// The store cannot agree now.
    Unavailable,
    /// The store has not agreed for a while; nothing is granted until it does.
    SafeMode,
    /// The store that answers is behind what the gateway knows of its history. Nothing is granted
    /// from it.
    Fenced,
}

impl FailureKind {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Held
            | Self::QueueFull
            | Self::NamespaceFull
            | Self::RateLimited
            | Self::PolicyError
            | Self::Internal
            | Self::Overloaded
            | Self::Unavailable
            | Self::SafeMode
            | Self::Fenced => true,
            Self::Forbidden
            | Self::Denied
            | Self::NoPolicyBound
            | Self::NotHolder
            | Self::NotFound
            | Self::NamespaceNotFound
            | Self::LeaseLost
            | Self::LeaseEnded
            | Self::Conflict
            | Self::RequestIdTooOld
            | Self::CursorBeyondEnd
            | Self::PreconditionFailed
            | Self::LastAdministrator
            | Self::ApprovalRequired
            | Self::PolicyVersionInUse
            | Self::PolicyVersionUnusable
            | Self::TooLarge
            | Self::Invalid => false,
        }
    }
}
